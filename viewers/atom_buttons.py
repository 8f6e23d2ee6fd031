"""Parts of the panel beside the atoms: boxes of species and planes, buttons of directions, comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QPushButton
from superqt import QLabeledRangeSlider

from stemcount import InputError

from .atoms import look_along
from .comparing import atoms_of_layer, difference_layer_data, differences, others_to_compare
from .display import narrow, tell_colours
from .geometry import direction_name
from .species import species_colours

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Points

    from tomo.result import Reconstruction

BUTTONS_IN_A_ROW = 4
NORMALS = ((0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 0), (1, -1, 0), (1, 1, 1))


def species_boxes(result: Reconstruction) -> dict[str, QCheckBox]:
    """A box for each species, with a mark in its colour: in letters it could not be read on every theme."""
    boxes = {}
    for name, (red, green, blue) in species_colours(result).items():
        boxes[name] = QCheckBox(name)
        boxes[name].setChecked(True)
        mark = QPixmap(12, 12)
        mark.fill(QColor.fromRgbF(float(red), float(green), float(blue)))
        boxes[name].setIcon(QIcon(mark))
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


def normal_box() -> QComboBox:
    """A list of planes (hkl), in which others can be written."""
    box = QComboBox()
    for normal in NORMALS:
        box.addItem(" ".join(str(i) for i in normal))
    box.setEditable(True)
    box.setToolTip("planes (hkl); write other indices with spaces between them")
    return box


def planes_slider() -> QLabeledRangeSlider:
    """From which plane to which atoms are shown."""
    slider = QLabeledRangeSlider(Qt.Orientation.Horizontal)
    slider.setEdgeLabelMode(slider.EdgeLabelMode.NoLabel)
    room = slider.layout()
    if room is not None:  # the labels are centred on the handles, also at the ends
        room.setContentsMargins(18, 25, 18, 0)
    return slider


class CompareBox(QComboBox):
    """Lists the other atoms in a window; shows where those that are chosen differ from the atoms of a layer.

    The layer is one of `atom_layer_data`.
    """

    def __init__(self, viewer: Viewer, layer: Points) -> None:
        super().__init__()
        narrow(self)
        self.viewer, self.layer = viewer, layer
        self.shown: Points | None = None
        self.setToolTip("another result or a structure file in this window: which atoms differ")
        self.list_others()
        self.activated.connect(self.compare)

    def list_others(self) -> None:
        """Offer the atoms that are in the window now."""
        current = self.currentText()
        self.clear()
        self.addItems(
            ["nothing", *(other.name for other in others_to_compare(self.viewer.layers, self.layer))]
        )
        self.setCurrentIndex(max(self.findText(current), 0))

    def compare(self, index: int) -> None:
        """Show the differences to the atoms of that number, or with 0 the atoms of the layer again."""
        if self.shown is not None:
            self.release()
            self.layer.visible = True
        self.setCurrentIndex(index)
        if index < 1:
            return
        name = self.currentText()
        result = self.layer.metadata["reconstruction"]
        threshold = self.layer.metadata.get("threshold", 0.5)
        try:
            found = differences(result, *atoms_of_layer(self.viewer.layers[name]), threshold)
        except InputError as error:
            show_warning(str(error))
            self.setCurrentIndex(0)
            return
        for other in self.viewer.layers:
            other.visible = False
        data, properties, _ = difference_layer_data(result, found)
        self.shown = self.viewer.add_points(data, **properties)
        self.viewer.layers.selection.active = self.layer  # the panel stays with it
        self.viewer.dims.ndisplay = 3
        self.viewer.canvas.overlays["axes"].visible = True
        tell_colours(self.viewer, found.in_words(name))

    def release(self) -> None:
        """Take the differences away."""
        shown, self.shown = self.shown, None
        if shown is not None and shown in self.viewer.layers:
            self.viewer.layers.remove(shown)
            tell_colours(self.viewer)
