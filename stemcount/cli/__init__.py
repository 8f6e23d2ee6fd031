"""The command line and the pipeline: the one place that calls all three packages."""

import sys


def main() -> None:
    """Entry point of the ``stemcount`` command."""
    try:
        from .app import main as run
    except KeyboardInterrupt:  # pressed before there is anything to stop
        sys.exit("stemcount: stopped.")
    run()
