"""The project file: what the user says about a particle and its images."""
