"""Sampling: Markov chains over the occupancies, for certainties."""
