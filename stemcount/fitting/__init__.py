"""The joint fit: start positions -> positions and cross-sections with their errors."""
