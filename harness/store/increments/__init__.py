"""What training changed in each matrix of an adapter."""
