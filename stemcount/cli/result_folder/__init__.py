"""The result folder: what a run keeps and what it tells."""
