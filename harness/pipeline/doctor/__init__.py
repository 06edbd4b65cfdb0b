"""What this machine and this installation have, and what of it keeps the harness from working."""
