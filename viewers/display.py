"""Is there a screen, and is napari installed? Answered before Qt can abort the process."""

from __future__ import annotations

import importlib.util
import os
import sys

from stemcount import InputError

WINDOW_SIZE = (1280, 860)
"""Of a window for atoms or columns: napari's own leaves little room beside the panels [pixels]."""


def require_napari() -> None:
    """Raise a readable error where a napari window cannot open.

    Raises
    ------
    InputError
        If napari is not installed, or Linux offers no display (Qt would abort the whole process).

    Examples
    --------
    >>> from viewers.display import require_napari
    """
    if importlib.util.find_spec("napari") is None:
        raise InputError("napari is not installed; install the viewers with  pip install 'stemcount[gui]'.")
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        raise InputError(
            "no display: napari needs a screen (DISPLAY is not set); run it under xvfb-run, or use"
            " save_screenshot, save_movie and the figures, which need none."
        )


def lay_out() -> None:
    """Let Qt lay the windows out: only then a canvas has its size beside the panels."""
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()
