"""The column workbench: find, fit and count the columns of an image by hand, with the plots linked to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

import stemcount
from stemcount import InputError, ZoneAxisImage

from .background import in_background
from .column_figures import cross_section_unit, residual_image
from .columns import (
    COLOUR_CHOICES,
    colour_columns,
    colour_words,
    column_layer_data,
    image_frame,
    image_layer_data,
    image_of_layer,
)
from .display import narrow, numbers_when_near, scrolling, tell_colours
from .style import DIFFERENCE_COLORMAP
from .workbench_plots import ColumnPlot, CountPlot, describe_column

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Points

    from stemcount import AtomCounts, ColumnFit

AUTOMATIC = 0
HALF = 112
"""Width of a box that shares its line with another one [pixels]."""


class ColumnWorkbench(QWidget):
    """Find, fit and count the columns of an image; edit them with napari's own point tools.

    The parameter is named as napari wants it, which fills it in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.image: ZoneAxisImage | None = None
        self.columns: Points | None = None
        self.fit: ColumnFit | None = None
        self.model: np.ndarray | None = None
        self.counts: AtomCounts | None = None
        self.worker: Any = None
        self._build()
        napari_viewer.layers.events.inserted.connect(self._list_images)
        napari_viewer.layers.events.removed.connect(self._list_images)
        self._list_images()

    # ---- the panel

    def _build(self) -> None:
        self.images = narrow(QComboBox())
        self.peak = QComboBox()
        self.peak.addItems(["gaussian", "tailed"])
        self.background = QComboBox()
        self.background.addItems(["automatic", "constant", "plane", "smooth"])
        self.order = QSpinBox()
        self.order.setRange(AUTOMATIC, 200)
        self.order.setSpecialValueText("auto")
        self.colour = QComboBox()
        self.colour.addItems(list(COLOUR_CHOICES))
        self.type = QSpinBox()
        self.type.setRange(0, 9)
        self.set_type = QPushButton("set type of selected")
        self.buttons = {name: QPushButton(name) for name in ("Find", "Fit", "Count")}
        line = QHBoxLayout()
        for button in self.buttons.values():
            line.addWidget(button)
        self.status = QLabel("Choose an image and press Fit.")
        self.status.setWordWrap(True)
        self.plot = CountPlot(self.select_class, self.order.setValue)
        self.close_up = ColumnPlot()
        self.about = QLabel("")
        self.about.setWordWrap(True)
        content = QWidget()
        column = QVBoxLayout(content)
        column.addLayout(self._settings())
        column.addLayout(line)
        column.addWidget(self.status)
        column.addWidget(self.plot, stretch=3)
        column.addWidget(self.close_up, stretch=1)
        column.addWidget(self.about)
        scrolling(self, content)
        self.buttons["Find"].clicked.connect(lambda: self.find_columns())
        self.buttons["Fit"].clicked.connect(lambda: self.refit())
        self.buttons["Count"].clicked.connect(lambda: self.count())
        self.set_type.clicked.connect(lambda: self.retype())
        self.order.valueChanged.connect(lambda _: self.count() if self.fit is not None else None)
        self.colour.currentTextChanged.connect(lambda _: self._recolour())

    def _settings(self) -> QGridLayout:
        """What can be set, in pairs: the plots below need the height."""
        rows = QGridLayout()
        places: tuple[tuple[int, int, str, QWidget], ...] = (
            (0, 0, "image", self.images),
            (1, 0, "peak", self.peak),
            (1, 2, "background", self.background),
            (2, 0, "components", self.order),
            (2, 2, "colour by", self.colour),
            (3, 0, "type", self.type),
        )
        for row, column, label, widget in places:
            rows.addWidget(QLabel(label), row, column)
            widget.setMinimumWidth(HALF)
            rows.addWidget(widget, row, column + 1, 1, 3 if widget is self.images else 1)
        rows.addWidget(self.set_type, 3, 2, 1, 2)
        for column in (1, 3):
            rows.setColumnStretch(column, 1)
        return rows

    def _list_images(self, *_: Any) -> None:
        """Offer the window's own images, not the model and residual made here."""
        current = self.images.currentData()
        self.images.clear()
        for layer in self.viewer.layers:
            if type(layer).__name__ == "Image" and not layer.metadata.get("stemcount_result"):
                self.images.addItem(layer.name, str(layer.unique_id))
                layer.events.name.connect(self._list_images)
        self.images.setCurrentIndex(max(self.images.findData(current), 0))
        if self.columns is not None and self.columns not in self.viewer.layers:
            self.columns, self.fit, self.counts = None, None, None
            self.plot.clear()

    def _chosen_image(self) -> ZoneAxisImage:
        name = self.images.currentText()
        if not name:
            raise InputError("no image to work on: open one first.")
        return image_of_layer(self.viewer.layers[name])

    # ---- the three steps; each runs in a thread and hands its result to _shown

    def find_columns(self) -> None:
        """Find the columns of the chosen image."""
        if (given := self._given()) is not None:
            self._start("finding columns", self._find, given[0])

    def refit(self) -> None:
        """Fit the columns where their points are now; find them first if there are none."""
        if (given := self._given()) is not None:
            options = {"peak": self.peak.currentText(), "background": self.background.currentText()}
            self._start("fitting", self._refit, *given, options)

    def count(self) -> None:
        """Count atoms with the order that is set."""
        if self.fit is None:
            self.status.setText("Press Fit first.")
            return
        self._start("counting", self._count, self.fit, self.order.value())

    def _given(self) -> tuple[ZoneAxisImage, np.ndarray | None, np.ndarray | None] | None:
        """Image, points and types as they stand in the window; None where there is no image."""
        try:
            image = self._chosen_image()
        except InputError as error:
            self._say(error)
            return None
        known = self.columns is not None and self.image is not None and self.image.name == image.name
        if not known or self.columns is None or len(self.columns.data) == 0:
            return image, None, None
        points = np.asarray(self.columns.data, float)[:, ::-1].copy()
        types = np.asarray(self.columns.features["type"], int)
        return image, points, types

    def _find(self, image: ZoneAxisImage) -> Callable[[], None]:
        seeds = stemcount.find_columns(image)
        return lambda: self._show_seeds(image, seeds)

    def _refit(
        self,
        image: ZoneAxisImage,
        points: np.ndarray | None,
        types: np.ndarray | None,
        options: dict[str, Any],
    ) -> Callable[[], None]:
        seeds = stemcount.find_columns(image) if points is None else points
        if types is not None and np.ptp(types) > 0:
            options = {**options, "column_type": types, "widths": "per_type"}
        fit = stemcount.fit_columns(image, seeds, **options)
        model = stemcount.model_image(image, fit)
        return lambda: self._show_fit(image, fit, model, types)

    def _count(self, fit: ColumnFit, order: int) -> Callable[[], None]:
        chosen = {"n_components": order} if order else {"cross_section_std": fit.noise_std}
        counts = stemcount.count_atoms(fit.cross_section, **chosen)
        return lambda: self._show_counts(fit, counts)

    def _start(self, what: str, step: Callable[..., Callable[[], None]], *arguments: Any) -> None:
        """Run a step in a thread; its errors become one sentence, its result is shown when it is there."""
        if self.worker is None:
            self.status.setText(what + " …")
            self._enable(False)
            self.worker = in_background(step, *arguments, done=self._done, failed=self._failed)

    def _done(self, show: Callable[[], None]) -> None:
        self.worker = None
        self._enable(True)
        show()

    def _failed(self, error: Exception) -> None:
        self.worker = None
        self._enable(True)
        self._say(error)

    def _say(self, error: Exception) -> None:
        self.status.setText(str(error))
        show_warning(str(error))

    def _enable(self, on: bool) -> None:
        for button in self.buttons.values():
            button.setEnabled(on)

    # ---- showing

    def _show_seeds(self, image: ZoneAxisImage, seeds: np.ndarray) -> None:
        self.fit, self.counts = None, None
        self.plot.clear()
        self._replace_columns(image, seeds, {"type": np.zeros(len(seeds), int)}, {"face_color": "#ffb000"})
        self.status.setText(f"{len(seeds)} columns found; edit them if need be, then press Fit.")

    def _show_fit(
        self, image: ZoneAxisImage, fit: ColumnFit, model: np.ndarray, types: np.ndarray | None
    ) -> None:
        self.fit, self.model, self.counts = fit, model, None
        _, properties, _ = column_layer_data(fit)
        features = {**properties["features"], "type": np.zeros(len(fit), int) if types is None else types}
        self._replace_columns(image, np.column_stack([fit.x, fit.y]), features, {"size": properties["size"]})
        residual, limit = residual_image(image, model)
        self._show_image("model", model, image, "gray", image_layer_data(image)[1]["contrast_limits"])
        self._show_image("residual", residual, image, DIFFERENCE_COLORMAP, (-limit, limit))
        flagged = int(np.count_nonzero(fit.flags))
        self.status.setText(f"{len(fit)} columns fitted, {flagged} with flags.")
        self._recolour()
        self.count()  # follows by itself, as nothing has to be decided for it

    def _show_counts(self, fit: ColumnFit, counts: AtomCounts) -> None:
        if fit is not self.fit or self.columns is None or self.image is None:  # the columns changed meanwhile
            return
        self.counts = counts
        features = dict(self.columns.features)
        features["count"] = counts.count.astype(float)
        features["doubt"] = 1.0 - counts.count_probability
        self.columns.features = features
        self.plot.show_counts(fit, counts, cross_section_unit(self.image))
        total = int(counts.count.sum())
        self.status.setText(
            f"{total} atoms in {len(fit)} columns, {counts.n_components} classes ({counts.verdict})."
            f" {counts.reason}"
        )
        self.colour.setCurrentText("count")
        self._recolour()
        self._selection_changed()

    def _replace_columns(
        self, image: ZoneAxisImage, xy: np.ndarray, features: dict[str, Any], properties: dict[str, Any]
    ) -> None:
        """Put columns into the window in place of the former ones."""
        former, self.columns = self.columns, None
        if former is not None and former in self.viewer.layers:
            self.viewer.layers.remove(former)
        self.image = image
        options = {"size": 1.2, "border_width": 0, **properties}
        self.columns = self.viewer.add_points(
            xy[:, ::-1],
            name="columns",
            features=features,
            units=("angstrom",) * 2,
            axis_labels=("y", "x"),
            **options,
        )
        numbers_when_near(self.viewer, self.columns)
        self.columns.events.data.connect(self._edited)
        self.columns.selected_data.events.items_changed.connect(self._selection_changed)

    def _show_image(
        self,
        name: str,
        data: np.ndarray,
        image: ZoneAxisImage,
        colormap: str,
        limits: tuple[float, float],
    ) -> None:
        name = f"{image.name} {name}"
        if name in self.viewer.layers:
            layer = self.viewer.layers[name]
            layer.data, layer.contrast_limits = data, limits
            return
        layer = self.viewer.add_image(
            data, name=name, colormap=colormap, contrast_limits=limits, visible=False,
            metadata={"stemcount_result": True}, **image_frame(image),
        )  # fmt: skip
        self.viewer.layers.move(self.viewer.layers.index(layer), self.viewer.layers.index("columns"))
        self.viewer.layers.selection.active = self.columns

    def _recolour(self) -> None:
        name = self.colour.currentText()
        if self.columns is not None and self.fit is not None and colour_columns(self.columns, name):
            assert self.image is not None
            tell_colours(self.viewer, colour_words(name, cross_section_unit(self.image)))

    def _edited(self, event: Any) -> None:
        """Points were added, moved or removed: the fit no longer belongs to them."""
        if self.columns is None or self.fit is None or len(self.columns.data) == 0:
            return
        moved = len(self.columns.data) != len(self.fit) or not np.allclose(
            self.columns.data, np.column_stack([self.fit.y, self.fit.x])
        )
        if moved:
            self.status.setText("The columns were edited: press Fit to fit them again.")

    # ---- links between image and plots

    def selected(self) -> np.ndarray:
        """Indices of the selected columns that the fit knows."""
        if self.columns is None or self.fit is None or len(self.columns.data) != len(self.fit):
            return np.zeros(0, int)
        return np.array(sorted(self.columns.selected_data), dtype=int)

    def _selection_changed(self, *_: Any) -> None:
        chosen = self.selected()
        if self.fit is None or self.image is None:
            return
        self.plot.mark(self.fit.cross_section[chosen])
        unit = cross_section_unit(self.image)
        if len(chosen) == 1 and self.model is not None:
            self.close_up.show_column(self.image, self.fit, self.model, int(chosen[0]), self.counts)
            self.about.setText(describe_column(self.fit, int(chosen[0]), self.counts, unit))
        elif len(chosen):
            mean, spread = self.fit.cross_section[chosen].mean(), self.fit.cross_section[chosen].std()
            self.about.setText(
                f"{len(chosen)} columns selected: cross-section {mean:.4g}, spread {spread:.2g} {unit}"
            )

    def select_class(self, atoms: int) -> None:
        """Select all columns of that many atoms."""
        if (
            self.columns is not None
            and self.counts is not None
            and len(self.columns.data) == len(self.counts.count)
        ):
            self.columns.selected_data = set(np.flatnonzero(self.counts.count == atoms).tolist())
            self.viewer.layers.selection.active = self.columns

    def retype(self) -> None:
        """Give the selected columns the type that is set."""
        if self.columns is None or not self.columns.selected_data:
            self.status.setText("Select columns first, with the points layer's selection tool.")
            return
        features = dict(self.columns.features)
        types = np.asarray(features["type"], int).copy()
        types[list(self.columns.selected_data)] = self.type.value()
        features["type"] = types
        self.columns.features = features
        self.status.setText("Types were changed: press Fit to fit with a width for each type.")
