"""A bar on the terminal for commands that take a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from .interrupt import stop_if_asked


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[float], None]]:
    """Show how far `what` is: gives a function to be called with the share that is done, 0..1.

    A Ctrl-C that compiled code kept to itself ends the work at such a call.
    """
    with tqdm(total=100, desc=what, leave=False, bar_format="{l_bar}{bar}| {elapsed}") as bar:

        def show(share: float) -> None:
            stop_if_asked()
            bar.update(100 * share - bar.n)

        yield show
