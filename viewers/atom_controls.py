"""The panel beside the atoms: threshold, colour, planes, runs, directions and the picked atom."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from .agreement_figures import view_name
from .atom_buttons import NORMALS, CompareBox, direction_buttons, normal_box, planes_slider, species_boxes
from .atom_data import (
    ColourScale,
    Selection,
    atom_properties,
    colour_scales,
    numbers_in_words,
    run_deviation,
    visible,
)
from .atom_figures import length_unit
from .atom_table import species_rgba, sphere_diameters
from .atoms import count_layer_data, frame_atoms, look_along
from .beside import image_names, select_columns, show_image
from .canvas_picture import picture_button
from .display import narrow, numbers_when_near, scrolling, tell_colours
from .options import written_indices
from .picked import describe_atom, describe_distance
from .style import COUNT_COLORMAP

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Points

RING = 0.22
"""Width of the rings around clicked atoms, as a share of their diameter."""
DISCS = "discs: white as measured,\nred more atoms, blue fewer"


class AtomControls(QWidget):
    """Controls of one layer of `atom_layer_data`, whose metadata hold the reconstruction and its table."""

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
        self.clicked: list[int] = []
        self.seen: tuple[Any, float, Any] | None = None
        self._build()
        self._reset_planes()
        self._connect()
        self.update_shown()

    def _build(self) -> None:
        """Lay the controls out, from what is seen to where one looks from."""
        rows = QFormLayout()
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.rows = rows
        self.showing = narrow(QComboBox())
        self.showing.setToolTip("the atoms in 3D, or one of the images with its columns")
        rows.addRow("show", self.showing)
        self.compared = CompareBox(self.viewer, self.layer)
        self._add_appearance(rows)
        self._add_planes(rows)
        self._add_cut(rows)
        self._add_views_and_runs(rows)
        content = QWidget()
        column = QVBoxLayout(content)
        column.addLayout(rows)
        self.directions, grid = direction_buttons(self.viewer, self.result)
        column.addLayout(grid)
        self.save_picture = picture_button(self.viewer, self)
        column.addWidget(self.save_picture)
        self._list_images()
        self.number = QLabel()
        self.picked = QLabel("Click an atom to read about it, and another one for their distance.")
        for label in (self.number, self.picked):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(label)
        column.addStretch()
        scrolling(self, content)

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
        self.species = species_boxes(self.result)
        if len(self.species) > 1:
            line = QHBoxLayout()
            for box in self.species.values():
                line.addWidget(box)
            rows.addRow("species", line)

    def _add_planes(self, rows: QFormLayout) -> None:
        self.normal, self.planes = normal_box(), planes_slider()
        rows.addRow("planes", self.normal)
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
        self.overlaid = narrow(QComboBox())
        self.overlaid.addItems(["none", *(view_name(view) for view in self.result.views)])
        rows.addRow("counts of", self.overlaid)
        rows.addRow("compare with", self.compared)
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
        self.showing.activated.connect(self.show_chosen)
        for changed in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            changed.connect(self._list_images)
        self.layer.mouse_drag_callbacks.append(self._pick)
        self.layer.events.visible.connect(self._visible_changed)

    def _list_images(self, *_: Any) -> None:
        """Offer the images beside the atoms, where there are any."""
        names = image_names(self.viewer, self.layer.metadata.get("folder"))
        current = self.showing.currentText()
        self.showing.clear()
        self.showing.addItems(["atoms", *names])
        self.showing.setCurrentIndex(max(self.showing.findText(current), 0))
        self.rows.setRowVisible(self.showing, bool(names))
        self.compared.list_others()
        self.rows.setRowVisible(self.compared, self.compared.count() > 1)

    def show_chosen(self, index: int) -> None:
        """Show the atoms (0) as they were seen last, or an image with its columns."""
        camera = self.viewer.scene.camera
        if index > 0:
            if self.layer.visible:
                self.seen = (camera.center, camera.zoom, camera.angles)
            show_image(self.viewer, self.showing.itemText(index))
            return
        self.compared.compare(0)
        frame_atoms(self.viewer, self.layer)
        if self.seen is not None:
            camera.center, camera.zoom, camera.angles = self.seen
        if self.overlay is not None:
            self.overlay.visible = True
        self.viewer.layers.selection.active = self.layer

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
        self._tell_number(selection, int(shown.sum()))
        if not self.layer.visible:  # napari 0.9 draws a hidden layer from its last slice, which may be longer
            return
        self._count_again(selection)
        if not (np.array_equal(shown, self.drawn) and np.array_equal(deviation, self.properties["this run"])):
            self.drawn, self.properties["this run"] = shown, deviation
            self._draw()
        else:
            self.update_colour()

    def _tell_number(self, selection: Selection, drawn: int) -> None:
        """How many atoms there are, and how many of them are drawn."""
        text = f"{numbers_in_words(self.table, selection)}; {drawn} drawn"
        if (run := selection.run) is not None:
            text = f"run {run + 1}: {text}, energy {float(self.result.energy[run]):.1f}"
        self.number.setText(text)

    def _draw(self) -> None:
        """Fill the layer with the atoms that are to be seen."""
        self.layer.selected_data = set()
        self.layer.data = self.positions[self.drawn]
        features = {name: values[self.drawn] for name, values in self.properties.items()}
        self.layer.features = {**features, "species": self.table.species[self.drawn]}
        self.layer.size = self.sizes[self.drawn] if self.drawn.any() else 1.0
        self._mark()
        self.update_colour()

    def _mark(self) -> None:
        """Put rings around the atoms that were clicked."""
        clicked = np.isin(np.flatnonzero(self.drawn), self.clicked)
        self.layer.border_width = np.where(clicked, RING, 0.0) if len(clicked) else 0.0

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
        lines = [] if name == "species" else [f"colour: {self.scales[name].label}"]
        lines += [] if self.overlay is None else [DISCS]
        tell_colours(self.viewer, *(lines if self.layer.visible else []))
        self.viewer.canvas.overlays["axes"].visible = self.layer.visible

    def _visible_changed(self, *_: Any) -> None:
        """Do what was asked for while the atoms were hidden, once they are shown again."""
        self._tell_colours()
        if self.layer.visible:
            self.update_shown()

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
        written = written_indices(self.normal.currentText())
        if written is None:
            return  # still being written
        self.hkl = written
        plane = self.table.sites @ np.asarray(self.hkl, float)
        low, high = int(np.floor(plane.min(initial=0))), int(np.ceil(plane.max(initial=0)))
        self.properties["plane"] = plane
        self.scales["plane"] = ColourScale(
            f"plane ({' '.join(map(str, self.hkl))})", COUNT_COLORMAP, (float(low), float(max(high, low + 1)))
        )
        self.planes.blockSignals(True)  # all is drawn below, once
        self.planes.setRange(low, max(high, low + 1))
        self.planes.setValue((low, max(high, low + 1)))
        self.planes.blockSignals(False)
        self._set_cut(np.array(self.hkl, float))
        if self.drawn.any():
            self.drawn = np.zeros_like(self.drawn)  # the planes have other numbers: all is drawn anew
            self.update_shown()

    def show_counts(self, index: int) -> None:
        """Lay the counts of a view over the atoms and look along it; 0 takes them away."""
        if not self.layer.visible:
            self.showing.setCurrentIndex(0)
            self.show_chosen(0)
        self._lay_counts(index, self.selection())
        if index > 0:
            look_along(self.viewer, self.result.views[index - 1].zone_axis)
        self._tell_colours()

    def _lay_counts(self, index: int, selection: Selection) -> None:
        if self.overlay is not None and self.overlay in self.viewer.layers:
            self.viewer.layers.remove(self.overlay)
        self.overlay = None
        self.counted = (selection.threshold, selection.run)
        if index > 0:
            view = self.result.views[index - 1]
            data, properties, _ = count_layer_data(self.result, view, *self.counted)
            self.overlay = self.viewer.add_points(data, **properties)
            numbers_when_near(self.viewer, self.overlay)
            self.viewer.layers.selection.active = self.layer

    def _count_again(self, selection: Selection) -> None:
        """Compare the counts with the atoms that are chosen now."""
        if self.overlay is not None and self.counted != (selection.threshold, selection.run):
            self._lay_counts(self.overlaid.currentIndex(), selection)

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
        """Stop listening to the window and the layer, and to tell its colours."""
        for changed in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            changed.disconnect(self._list_images)
        tell_colours(self.viewer)
        self.compared.release()
        self.layer.events.visible.disconnect(self._visible_changed)
        if self._pick in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._pick)

    def describe(self, index: int) -> None:
        """Write about one site in the panel, mark it and the one before, and its columns in the images."""
        text = describe_atom(self.result, self.table, index, self.threshold.value())
        self.clicked = [*(i for i in self.clicked[-1:] if i != index), index]
        if len(self.clicked) > 1:
            text += "\n" + describe_distance(self.result, self.table, index, self.clicked[0])
        self.picked.setText(text)
        self._mark()
        if self.table.sublattice[index] == 0:
            folder = self.layer.metadata.get("folder")
            select_columns(self.viewer, self.result, folder, self.table.index[index])
