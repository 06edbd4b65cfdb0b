"""What training changed in the matrices of adapters, and whether one kind of matrix changes more densely."""
