"""JSON Schemas of experiment and method files: an editor completes names with them and marks mistakes at once."""
