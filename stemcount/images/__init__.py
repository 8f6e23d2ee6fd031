"""Images: reading, writing, calibration and preparation, and what their pixels alone tell."""
