"""Small images with known answers."""
