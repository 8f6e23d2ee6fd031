"""The panel beside the atoms: threshold, colour, planes, runs, directions and the picked atom."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider, QLabeledRangeSlider

from .agreement_figures import view_name
from .atom_data import (
    ColourScale,
    Selection,
    atom_properties,
    colour_scales,
    describe_atom,
    run_deviation,
    visible,
)
from .atom_figures import length_unit
from .atom_table import species_rgba, sphere_diameters
from .atoms import count_layer_data, frame_atoms, look_along
from .display import lay_out
from .geometry import direction_name
from .species import species_colours
from .style import COUNT_COLORMAP

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Points

LARGEST_INDEX = 99
"""Of planes that can be written; there is no use for higher ones, and sliders count only so far."""
NORMALS = ((0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 0), (1, -1, 0), (1, 1, 1))


class AtomControls(QWidget):
    """Controls of one atom layer.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : napari.layers.Points
        A layer made by `viewers.atoms.add_atoms`; its metadata hold the reconstruction and its table.
    """

    def __init__(self, viewer: Viewer, layer: Points) -> None:
        super().__init__()
        self.viewer = viewer
        self.layer = layer
        self.result = layer.metadata["reconstruction"]
        self.table = layer.metadata["table"]
        self.positions = self.table.positions
        self.scales = colour_scales(self.table)
        self.properties = {**atom_properties(self.table), "this run": run_deviation(self.table, None)}
        self.sizes = sphere_diameters(self.result, self.table)
        self.rgba = species_rgba(self.result, self.table)
        self.drawn = np.zeros(len(self.positions), bool)
        self.hkl: tuple[int, int, int] = NORMALS[0]
        self.cut_normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
        self.overlay: Points | None = None
        self._build()
        self._reset_planes()
        self._connect()
        self.update_shown()

    def _build(self) -> None:
        """Lay the controls out, from what is seen to where one looks from."""
        rows = QFormLayout()
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self._add_appearance(rows)
        self._add_planes(rows)
        self._add_cut(rows)
        self._add_views_and_runs(rows)
        column = QVBoxLayout(self)
        column.addLayout(rows)
        column.addLayout(self._direction_buttons())
        self.number = QLabel()
        self.picked = QLabel("Click an atom to read about it.")
        for label in (self.number, self.picked):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(label)
        column.addStretch()

    def _add_appearance(self, rows: QFormLayout) -> None:
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0.01, 1.0)
        self.threshold.setDecimals(2)
        self.threshold.setValue(0.5)
        rows.addRow("certainty ≥", self.threshold)
        self.colour = QComboBox()
        species = ["species"] if self.result.companions else []
        self.colour.addItems([*species, *self.scales, "plane"])
        rows.addRow("colour by", self.colour)
        self.species = self._species_boxes()
        if len(self.species) > 1:
            line = QHBoxLayout()
            for box in self.species.values():
                line.addWidget(box)
            rows.addRow("species", line)

    def _add_planes(self, rows: QFormLayout) -> None:
        self.normal = QComboBox()
        for normal in NORMALS:
            self.normal.addItem(" ".join(str(i) for i in normal))
        self.normal.setEditable(True)
        self.normal.setToolTip("planes (hkl); write other indices with spaces between them")
        rows.addRow("planes", self.normal)
        self.planes = QLabeledRangeSlider(Qt.Orientation.Horizontal)
        self.planes.setEdgeLabelMode(self.planes.EdgeLabelMode.NoLabel)
        room = self.planes.layout()
        if room is not None:  # the labels are centred on the handles, also at the ends
            room.setContentsMargins(18, 25, 18, 0)
        rows.addRow("from – to", self.planes)

    def _add_cut(self, rows: QFormLayout) -> None:
        self.cutting = QCheckBox()
        self.cutting.setToolTip("leave out what lies beyond a plane with the normal (hkl) of the planes")
        self.face = QPushButton("face me")
        self.face.setToolTip("turn the cut so that one looks straight onto it")
        self.cut = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.cut.setDecimals(1)
        line = QHBoxLayout()
        for widget in (self.cutting, self.cut, self.face):
            line.addWidget(widget)
        rows.addRow(f"cut ({length_unit(self.result)})", line)

    def _add_views_and_runs(self, rows: QFormLayout) -> None:
        self.overlaid = QComboBox()
        self.overlaid.addItems(["none", *(view_name(view) for view in self.result.views)])
        rows.addRow("counts of", self.overlaid)
        self.run = QSpinBox()
        self.run.setRange(0, len(self.result.runs))
        self.run.setSpecialValueText("all, by certainty")
        rows.addRow("run", self.run)
        self.interior = QCheckBox("leave out atoms nobody can see")
        self.interior.setChecked(True)
        rows.addRow("", self.interior)

    def _connect(self) -> None:
        for change in (
            self.threshold.valueChanged,
            self.planes.valueChanged,
            self.run.valueChanged,
            self.interior.toggled,
            self.cutting.toggled,
            self.cut.valueChanged,
            self.colour.currentTextChanged,
            *(box.toggled for box in self.species.values()),
        ):
            change.connect(self.update_shown)
        self.face.clicked.connect(lambda _=False: self.cut_facing_me())
        self.normal.currentTextChanged.connect(self._reset_planes)
        self.overlaid.currentIndexChanged.connect(self.show_counts)
        self.layer.mouse_drag_callbacks.append(self._pick)
        self.layer.events.visible.connect(self._tell_colours)

    def _species_boxes(self) -> dict[str, QCheckBox]:
        """A box for each species, written in its colour."""
        boxes = {}
        for name, (red, green, blue) in species_colours(self.result).items():
            boxes[name] = QCheckBox(name)
            boxes[name].setChecked(True)
            shade = ", ".join(str(round(255 * c)) for c in (red, green, blue))
            boxes[name].setStyleSheet(f"QCheckBox {{ color: rgb({shade}); font-weight: bold; }}")
        return boxes

    def _direction_buttons(self) -> QGridLayout:
        """A button for each view's zone axis and for the cube axes."""
        grid = QGridLayout()
        grid.addWidget(QLabel("look along"), 0, 0)
        axes = [tuple(int(i) for i in view.zone_axis) for view in self.result.views]
        self.directions: dict[tuple[int, ...], QPushButton] = {}
        for axis in dict.fromkeys([*axes, (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]):
            button = QPushButton(direction_name(axis))
            button.clicked.connect(lambda _=False, axis=axis: look_along(self.viewer, axis))
            grid.addWidget(button, *divmod(len(self.directions) + 1, 4))
            self.directions[axis] = button
        return grid

    def selection(self) -> Selection:
        """What the controls say is to be seen."""
        low, high = self.planes.value()
        ends = (self.planes.minimum(), self.planes.maximum())
        shown = tuple(name for name, box in self.species.items() if box.isChecked())
        return Selection(
            threshold=self.threshold.value(),
            run=self.run.value() - 1 if self.run.value() else None,
            missing=self.colour.currentText() == "this run",
            normal=self.hkl,
            first=int(low) if low > ends[0] else None,
            last=int(high) if high < ends[1] else None,
            cut=self.cut_normal if self.cutting.isChecked() else None,
            distance=self.cut.value(),
            species=shown if len(self.species) > 1 else None,
            hide_interior=self.interior.isChecked(),
        )

    def update_shown(self, *_: Any) -> None:
        """Show what the controls ask for."""
        selection = self.selection()
        shown = visible(self.table, selection)
        self.layer.metadata["threshold"] = selection.threshold  # what a writer of the layer keeps to
        deviation = run_deviation(self.table, selection.run)
        if not (np.array_equal(shown, self.drawn) and np.array_equal(deviation, self.properties["this run"])):
            self.drawn, self.properties["this run"] = shown, deviation
            self._draw()
        else:
            self.update_colour()
        counted = self.table.sublattice == 0
        if selection.run is None:
            number = int(np.sum(self.table.certainty >= selection.threshold))
            self.number.setText(f"{number} atoms, {int(shown.sum())} drawn")
        else:
            number = int(np.sum(self.table.runs[selection.run] & counted))
            energy = float(self.result.energy[selection.run])
            self.number.setText(f"run {selection.run + 1}: {number} atoms, energy {energy:.1f}")

    def _draw(self) -> None:
        """Fill the layer with the atoms that are to be seen."""
        self.layer.selected_data = set()
        self.layer.data = self.positions[self.drawn]
        features = {name: values[self.drawn] for name, values in self.properties.items()}
        self.layer.features = {**features, "species": self.table.species[self.drawn]}
        self.layer.size = self.sizes[self.drawn] if self.drawn.any() else 1.0
        self.update_colour()

    def update_colour(self) -> None:
        """Colour the atoms by the property that is chosen."""
        name = self.colour.currentText()
        self._tell_colours()
        if not self.drawn.any():
            return
        if name == "species":
            self.layer.face_color = self.rgba[self.drawn]
            return
        scale = self.scales[name]
        self.layer.face_color = name
        self.layer.face_colormap = scale.colormap
        self.layer.face_contrast_limits = scale.limits
        self.layer.refresh_colors()

    def _tell_colours(self, *_: Any) -> None:
        """Name what the colours and the axes are, as long as atoms are shown: images have others."""
        name = self.colour.currentText()
        self.layer.face_colorbar.visible = name != "species"
        caption = self.viewer.canvas.overlays["text"]  # napari's colour bars have no label
        caption.text = "" if name == "species" else f"colour: {self.scales[name].label}"
        caption.position, caption.visible = "top_left", name != "species" and self.layer.visible
        self.viewer.canvas.overlays["axes"].visible = self.layer.visible

    def cut_facing_me(self) -> None:
        """Turn the plane of the cut so that one looks straight onto it, and cut."""
        direction = np.asarray(self.viewer.scene.camera.view_direction, float)
        self._set_cut(-direction)
        self.cutting.setChecked(True)
        self.update_shown()

    def _set_cut(self, normal: np.ndarray) -> None:
        """Give the cut another normal and put it through the middle of the particle."""
        x, y, z = (float(v) for v in normal / np.linalg.norm(normal))
        self.cut_normal = (x, y, z)
        depth = self.positions @ np.array(self.cut_normal)
        low, high = float(depth.min(initial=0.0)), float(depth.max(initial=0.0))
        self.cut.blockSignals(True)
        self.cut.setRange(np.floor(low) - 1, np.ceil(high) + 1)
        self.cut.setValue((low + high) / 2)
        self.cut.blockSignals(False)

    def _reset_planes(self, *_: Any) -> None:
        """Count planes along the normal that is written, if it is one."""
        words = self.normal.currentText().replace("(", " ").replace(")", " ").replace(",", " ").split()
        try:
            h, k, l = (int(word) for word in words)  # noqa: E741
        except ValueError:
            return  # still being written
        if (h, k, l) == (0, 0, 0) or max(abs(h), abs(k), abs(l)) > LARGEST_INDEX:
            return
        self.hkl = (h, k, l)
        plane = self.table.sites @ np.asarray(self.hkl, float)
        low, high = int(np.floor(plane.min(initial=0))), int(np.ceil(plane.max(initial=0)))
        self.properties["plane"] = plane
        self.scales["plane"] = ColourScale(
            f"plane ({h} {k} {l})", COUNT_COLORMAP, (float(low), float(max(high, low + 1)))
        )
        self.planes.setRange(low, max(high, low + 1))
        self.planes.setValue((low, max(high, low + 1)))
        self._set_cut(np.array(self.hkl, float))
        if self.drawn.any():
            self.update_shown()
            self._draw()  # the planes have other numbers, whether or not other atoms are shown

    def show_counts(self, index: int) -> None:
        """Lay the counts of a view over the atoms and look along it; 0 takes them away."""
        if self.overlay is not None and self.overlay in self.viewer.layers:
            self.viewer.layers.remove(self.overlay)
        self.overlay = None
        if index > 0:
            view = self.result.views[index - 1]
            data, properties, _ = count_layer_data(self.result, view, self.threshold.value())
            self.overlay = self.viewer.add_points(data, **properties)
            self.viewer.layers.selection.active = self.layer
            look_along(self.viewer, view.zone_axis)

    def _pick(self, layer: Points, event: Any) -> Generator[None, None, None]:
        """Tell about the atom under a click; a drag turns the particle as always."""
        start = np.asarray(event.pos, float)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.asarray(event.pos, float) - start).max() > 4:
            return
        index = layer.get_value(
            event.position,
            view_direction=event.view_direction,
            dims_displayed=event.dims_displayed,
            world=True,
        )
        if index is not None:
            self.describe(int(np.flatnonzero(self.drawn)[int(index)]))

    def release(self) -> None:
        """Stop listening to the layer, and to tell its colours."""
        self.viewer.canvas.overlays["text"].visible = False
        self.layer.events.visible.disconnect(self._tell_colours)
        if self._pick in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._pick)

    def describe(self, index: int) -> None:
        """Write about one site in the panel."""
        self.picked.setText(describe_atom(self.result, self.table, index, self.threshold.value()))


class AtomPanel(QWidget):
    """Atom viewer of the plugin menu: the controls of whichever reconstruction is selected.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Named as napari wants it, which fills it in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.controls: AtomControls | None = None
        self.hint = QLabel("Open a result folder or a reconstruction.h5 and select its layer.")
        self.hint.setWordWrap(True)
        self.column = QVBoxLayout(self)
        self.column.addWidget(self.hint)
        napari_viewer.layers.selection.events.active.connect(self._follow)
        napari_viewer.layers.events.removed.connect(self._follow)
        self._follow()

    def _follow(self, *_: Any) -> None:
        """Show the controls of the active layer if it holds a reconstruction; else keep what is there."""
        layer = self.viewer.layers.selection.active
        if layer is None or "reconstruction" not in layer.metadata:
            candidates = [x for x in self.viewer.layers if "reconstruction" in x.metadata]
            if self.controls is not None and self.controls.layer in self.viewer.layers:
                return
            layer = candidates[-1] if candidates else None
        if self.controls is not None:
            if layer is not None and self.controls.layer.unique_id == layer.unique_id:
                return  # not "is": napari hands plugins a new proxy of a layer every time
            self.controls.release()
            self.controls.deleteLater()
            self.controls = None
        self.hint.setVisible(layer is None)
        if layer is not None:
            self.controls = AtomControls(self.viewer, layer)
            self.column.addWidget(self.controls, stretch=1)  # so that it fills the panel from the top
            frame_atoms(self.viewer, layer)
            QTimer.singleShot(0, self._frame_again)  # the panel itself takes room from the canvas

    def _frame_again(self) -> None:
        lay_out()
        if self.controls is not None and self.controls.layer in self.viewer.layers:
            frame_atoms(self.viewer, self.controls.layer)
