"""Annealing: the occupancy of the lowest energy, in independent runs."""
