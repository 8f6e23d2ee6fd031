"""One image of a run: from its file to fitted columns and the readings of their counts, and its faults."""
