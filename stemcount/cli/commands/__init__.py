"""Commands that are not a run."""
