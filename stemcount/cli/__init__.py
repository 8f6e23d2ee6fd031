"""The command line and the pipeline: the one place that calls all three packages."""
