"""Counting: cross-sections -> probabilities of every number of atoms."""
