"""What training changed in each matrix that it trained: measured at its end, or afterwards from what was kept."""
