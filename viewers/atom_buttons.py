"""Boxes for the species of a crystal and buttons for its directions, in the panel beside the atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton

from .atoms import look_along
from .geometry import direction_name
from .species import species_colours

if TYPE_CHECKING:
    from napari import Viewer

    from tomo.result import Reconstruction

BUTTONS_IN_A_ROW = 4


def species_boxes(result: Reconstruction) -> dict[str, QCheckBox]:
    """A box for each species, written in its colour."""
    boxes = {}
    for name, (red, green, blue) in species_colours(result).items():
        boxes[name] = QCheckBox(name)
        boxes[name].setChecked(True)
        shade = ", ".join(str(round(255 * c)) for c in (red, green, blue))
        boxes[name].setStyleSheet(f"QCheckBox {{ color: rgb({shade}); font-weight: bold; }}")
    return boxes


def direction_buttons(
    viewer: Viewer, result: Reconstruction
) -> tuple[dict[tuple[int, ...], QPushButton], QGridLayout]:
    """A button for each view's zone axis and for the cube axes, and how they are laid out."""
    grid = QGridLayout()
    grid.addWidget(QLabel("look along"), 0, 0)
    axes = [tuple(int(i) for i in view.zone_axis) for view in result.views]
    directions: dict[tuple[int, ...], QPushButton] = {}
    for axis in dict.fromkeys([*axes, (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]):
        button = QPushButton(direction_name(axis))
        button.clicked.connect(lambda _=False, axis=axis: look_along(viewer, axis))
        grid.addWidget(button, *divmod(len(directions) + 1, BUTTONS_IN_A_ROW))
        directions[axis] = button
    return directions, grid
