"""What the terminal shows of commands that take a while: a bar, and that loops are being compiled."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from numba.core import event
from tqdm import tqdm

from .interrupt import stop_if_asked

TICK = 1.0  # seconds between two drawings of a bar


class _Notice(event.Listener):
    """Says, once in a process, that Numba has something to compile and so keeps the user waiting."""

    said = False

    def on_start(self, event: event.Event) -> None:
        if not _Notice.said:
            _Notice.said = True
            text = "Compiling inner loops for this computer: once, for about half a minute in all."
            tqdm.write(text, file=sys.stderr)

    def on_end(self, event: event.Event) -> None:
        pass


@contextmanager
def compiling_told() -> Iterator[None]:
    """Within this block, or within a function that it decorates, the user is told of compiling."""
    with event.install_listener("numba:compile", _Notice()):
        yield


def bars_wanted() -> bool:
    """Whether what is written to stderr is looked at while it changes; in a log bars are rubbish."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def stage_log() -> Callable[[str], None]:
    """For a log: one line on stderr for each stage as it begins, with the seconds since the first."""
    start = time.perf_counter()

    def tell(stage: str) -> None:
        print(f"{time.perf_counter() - start:6.0f} s  {stage}", file=sys.stderr, flush=True)

    return tell


@contextmanager
def ticking(bar: tqdm) -> Iterator[None]:
    """Draw the bar again every `TICK`, so that its clock runs through a long stage; on a terminal only."""
    done = Event()

    def tick() -> None:
        while not done.wait(TICK):
            bar.refresh()

    thread = Thread(target=tick, daemon=True)
    if sys.stderr.isatty() and not bar.disable:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if thread.is_alive():
            thread.join()


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[float], None]]:
    """Show how far `what` is: gives a function to be called with the share that is done, 0..1.

    A Ctrl-C that compiled code kept to itself ends the work at such a call.
    """
    shape = "{l_bar}{bar}| {elapsed}"
    bar = tqdm(total=100, desc=what, leave=False, bar_format=shape, disable=not bars_wanted())
    with compiling_told(), bar, ticking(bar):

        def show(share: float) -> None:
            stop_if_asked()
            bar.update(100 * share - bar.n)

        yield show
