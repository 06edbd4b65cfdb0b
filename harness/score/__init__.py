"""Scoring: lm-eval over the model just trained. Import the modules, this package itself stays light."""
