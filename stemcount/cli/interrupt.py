"""Ctrl-C that cannot get lost.

Compilers and libraries called from a stage may swallow a KeyboardInterrupt. The handler therefore also
leaves a note, which the pipeline reads between its stages.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

_asked_to_stop = threading.Event()


def catch_interrupts() -> None:
    """Take note of Ctrl-C from now on, and raise KeyboardInterrupt as usual."""

    def take_note(number: int, frame: FrameType | None) -> None:
        _asked_to_stop.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, take_note)


def asked_to_stop() -> bool:
    """Whether Ctrl-C was pressed since `catch_interrupts`."""
    return _asked_to_stop.is_set()


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed since `catch_interrupts`."""
    if asked_to_stop():
        raise KeyboardInterrupt
