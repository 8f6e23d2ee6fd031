"""What a napari canvas shows as a picture in a file, finer than the screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_warning
from numpy.typing import NDArray
from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from stemcount import InputError

from .options import LARGEST, check_path, written
from .screenshot import PICTURE_ENDINGS
from .style import round_length

if TYPE_CHECKING:
    from napari import Viewer

FINER = 3
"""Pixels of a picture for each one of the canvas along an edge, unless it becomes too large."""
BAR_SPAN = 480.0
"""Of which a scale bar is about a quarter [pixels of the canvas]."""
LENGTHS = ("font_size", "tick_length", "size")
"""Of overlays: they are given in pixels and grow with the picture."""


def picture_button(viewer: Viewer, parent: QWidget) -> QPushButton:
    """A button that asks for a file and saves what the canvas shows."""
    button = QPushButton("Save picture")
    button.setToolTip("the canvas as it is seen, with its colour and scale bars, finer than on the screen")

    def ask(_: Any = False) -> None:
        endings = " ".join("*" + ending for ending in PICTURE_ENDINGS)
        name, _ = QFileDialog.getSaveFileName(parent, "Save picture", "atoms.png", f"Pictures ({endings})")
        if name:
            save_canvas(viewer, name)

    button.clicked.connect(ask)
    return button


def canvas_picture(viewer: Viewer) -> NDArray[np.uint8]:
    """What the canvas shows (rows, cols, 3), with all that is written on it, `FINER` than on the screen."""
    height, width = viewer.canvas.size
    times = max(1, min(FINER, LARGEST // max(height, width)))
    with _grown(viewer, times):
        size = (int(times * height), int(times * width))
        return np.asarray(viewer.screenshot(canvas_only=True, flash=False, size=size))[..., :3]


@contextmanager
def _grown(viewer: Viewer, times: float) -> Iterator[None]:
    """Everything in the canvas that many times as large: napari itself enlarges the canvas alone."""
    overlays: list[Any] = [viewer.canvas.overlays[name] for name in ("text", "scale_bar")]
    overlays += [layer.face_colorbar for layer in viewer.layers if hasattr(layer, "face_colorbar")]
    before = [
        (overlay, name, getattr(overlay, name))
        for overlay in overlays
        for name in LENGTHS
        if hasattr(overlay, name)
    ]
    camera, bar = viewer.scene.camera, viewer.canvas.overlays["scale_bar"]
    zoom, length = camera.zoom, bar.length
    try:
        camera.zoom, bar.length = times * zoom, round_length(BAR_SPAN / zoom)
        for overlay, name, value in before:
            larger = tuple(times * v for v in value) if isinstance(value, tuple) else times * value
            setattr(overlay, name, larger)
        yield
    finally:
        camera.zoom, bar.length = zoom, length
        for overlay, name, value in before:
            setattr(overlay, name, value)


def save_canvas(viewer: Viewer, name: str) -> bool:
    """Save what the canvas shows; False, with the reason told, where that is not possible."""
    from PIL import Image

    try:
        path = Path(name)
        path = check_path(path if path.suffix else path.with_suffix(".png"), PICTURE_ENDINGS)
        picture = canvas_picture(viewer)
        with written(path, "picture") as unfinished:
            Image.fromarray(picture).save(unfinished)
    except InputError as error:
        show_warning(str(error))
        return False
    return True
