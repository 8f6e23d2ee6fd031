"""The command line and the pipeline: the one place that calls all three packages."""


def main() -> None:
    """Entry point of the ``stemcount`` command."""
    from .app import main as run

    run()
