"""What can be computed from a reconstructed crystal."""
