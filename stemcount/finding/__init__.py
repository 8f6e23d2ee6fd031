"""Finding columns: an image -> start positions."""
