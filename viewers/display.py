"""Is there a screen, and is napari installed? Answered before Qt can abort the process."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING

from stemcount import InputError

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

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


def scrolling(panel: QWidget, content: QWidget) -> None:
    """Let the content of a panel be scrolled where a window is too low for it, which stays as it is."""
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout

    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    bar = area.verticalScrollBar()
    area.setMinimumWidth(content.minimumSizeHint().width() + (bar.sizeHint().width() if bar else 0))
    around = QVBoxLayout(panel)
    around.setContentsMargins(0, 0, 0, 0)
    around.addWidget(area)


def lay_out() -> None:
    """Let Qt lay the windows out: only then a canvas has its size beside the panels."""
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()
