"""Placing: columns of several images -> grid lines of one frame, and readings of their counts that agree."""
