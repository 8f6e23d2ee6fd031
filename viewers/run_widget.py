"""The run widget: choose images, reconstruct in the background, see the layers appear."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from stemcount import InputError

from .atoms import atom_layer_data, frame_atoms, name_colours
from .background import in_background
from .beside import beside_atoms, of_folder
from .column_figures import cross_section_unit
from .columns import colour_words, column_layer_data, image_layer_data
from .display import scrolling, tell_colours
from .image_table import ImageTable
from .options import written
from .project_text import Phase, project_text
from .result_folder import take_tables
from .said_once import said_once

if TYPE_CHECKING:
    from napari import Viewer
    from qtpy.QtGui import QDragEnterEvent, QDropEvent

    from stemcount import AtomCounts, ColumnFit, ZoneAxisImage

STRUCTURES = ("fcc", "rock_salt", "zinc_blende")
WIDTH = 320
"""Of the panel, which paths and sentences need [pixels]."""
STAGES_PER_IMAGE = 2
"""Stages of one image that `run_project` reports: columns and counts."""


class Cancelled(Exception):
    """The user pressed Cancel."""


class _Messages(QObject):
    """Carries finished stages from the working thread to the window."""

    stage = Signal(str, object)


class RunWidget(QWidget):
    """Reconstruct a particle from image files and show every stage as it finishes.

    The parameter is named as napari wants it, which fills it in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.worker: Any = None
        self.stop = threading.Event()
        self.folder = Path("stemcount_result")
        self.report: Path | None = None
        self.messages = _Messages()
        self.messages.stage.connect(self._stage_finished)
        self._build()

    def _build(self) -> None:
        """Lay the widget out: the crystal and the run, the images, the buttons, what happens."""
        self.rows = self._settings()
        self.table = ImageTable()
        self.bar = QProgressBar()
        self.status = QLabel("Add one image for each zone axis, or drop the files here.")
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        content = QWidget()
        content.setMinimumWidth(WIDTH)
        layout = QVBoxLayout(content)
        layout.addLayout(self.rows)
        layout.addWidget(self.table)
        for line in self._button_lines():
            layout.addLayout(line)
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
        scrolling(self, content)
        self.setAcceptDrops(True)
        self.structure.currentTextChanged.connect(self._show_phases)
        self._show_phases(self.structure.currentText())

    def _settings(self) -> QFormLayout:
        """What the program has to know besides the images."""
        self.structure = QComboBox()
        self.structure.addItems([*STRUCTURES, "core_shell"])
        self.species = QLineEdit("Au")
        self.species.setToolTip(
            "chemical symbols; of a core-shell crystal those of core / shell: Pb Se / Cd Se"
        )
        self.phases = {"core": QComboBox(), "shell": QComboBox()}
        for box, usual in zip(self.phases.values(), ("rock_salt", "zinc_blende"), strict=True):
            box.addItems(STRUCTURES)
            box.setCurrentText(usual)
        self.a = QDoubleSpinBox()
        self.a.setRange(2.01, 19.99)
        self.a.setDecimals(3)
        self.a.setValue(4.08)
        self.a.setSuffix(" Å")
        self.runs = QSpinBox()
        self.runs.setRange(1, 1000)
        self.runs.setValue(10)
        self.method = QComboBox()
        self.method.addItems(["anneal", "sample"])
        self.method.setToolTip(
            "anneal: repeated runs, in seconds; sample: takes longer, certainties are calibrated"
        )
        self.a.setToolTip("lattice parameter of the crystal")
        self.runs.setToolTip(
            "reconstructions from other random numbers, whose agreement tells what is doubtful"
        )
        self.out = QLineEdit("stemcount_result")
        rows = QFormLayout()
        for label, widget in (
            ("structure", self.structure),
            ("core", self.phases["core"]),
            ("shell", self.phases["shell"]),
            ("species", self.species),
            ("a", self.a),
            ("runs", self.runs),
            ("method", self.method),
            ("result folder", self.out),
        ):
            rows.addRow(label, widget)
        return rows

    def _button_lines(self) -> tuple[QHBoxLayout, QHBoxLayout]:
        """The buttons that change the table, and those that act on all of it."""
        first, second = QHBoxLayout(), QHBoxLayout()
        self.buttons: dict[str, QPushButton] = {}
        for line, name, press in (
            (first, "Add images", self.ask_for_images),
            (first, "Remove", lambda: self.table.removeRow(self.table.currentRow())),
            (first, "Report", self.open_report),
            (second, "Save project", self.ask_where_to_save),
            (second, "Run", self.run),
            (second, "Cancel", self.cancel),
        ):
            self.buttons[name] = QPushButton(name)
            self.buttons[name].clicked.connect(lambda _=False, press=press: press())
            line.addWidget(self.buttons[name])
        self.buttons["Report"].setToolTip("open the report of the finished run in the browser")
        for name in ("Cancel", "Report"):
            self.buttons[name].setEnabled(False)
        return first, second

    # ---- what the user says

    def _show_phases(self, structure: str) -> None:
        """Ask for the structures of core and shell only where there are such."""
        for box in self.phases.values():
            self.rows.setRowVisible(box, structure == "core_shell")

    def ask_for_images(self) -> None:
        """Let the user choose image files."""
        names, _ = QFileDialog.getOpenFileNames(self, "Zone-axis images")
        for name in names:
            self.add_image(Path(name))

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Files can be dropped on the widget."""
        if event is not None and (mime := event.mimeData()) is not None and mime.hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Add the files that are dropped."""
        if event is not None and (mime := event.mimeData()) is not None:
            for url in mime.urls():
                if url.isLocalFile():
                    self.add_image(Path(url.toLocalFile()))
            event.acceptProposedAction()

    def add_image(self, path: Path, zone_axis: tuple[int, int, int] | None = None) -> None:
        """Add an image; its zone axis is read from the file if it says so."""
        self.table.add(path, zone_axis)

    def project(self) -> str:
        """The project file of what is set.

        InputError if there is no image, a zone axis is not three integers, or a pixel size no number.
        """
        images = self.table.images()
        parts = [part.split() for part in self.species.text().replace(",", " ").split("/")]
        phases: tuple[Phase, Phase] | None = None
        if self.structure.currentText() == "core_shell":
            if len(parts) != 2 or not all(parts):
                raise InputError(
                    "species: expected those of core / shell, e.g. Pb Se / Cd Se, got"
                    f" {self.species.text()!r}."
                )
            core, shell = (box.currentText() for box in self.phases.values())
            phases = (core, parts[0]), (shell, parts[1])
        elif not any(parts):
            raise InputError("species: expected a chemical symbol, e.g. Au; none is given.")
        return project_text(
            self.structure.currentText(),
            [name for part in parts for name in part],
            self.a.value(),
            images,
            self.runs.value(),
            self.method.currentText(),
            phases,
        )

    def ask_where_to_save(self) -> None:
        """Let the user save the project file."""
        name, _ = QFileDialog.getSaveFileName(self, "Project file", "project.toml", "TOML (*.toml)")
        if name:
            self.save_project(Path(name))

    def save_project(self, path: Path) -> bool:
        """Write the project file; False, with the reason shown, where that is not possible."""
        try:
            text = self.project()
            with written(path, "project file") as unfinished:
                unfinished.write_text(text, encoding="utf-8")
        except InputError as error:
            self._failed(error)
            return False
        self.status.setText(
            f"Saved {path}; the same from a terminal:  stemcount run {shlex.quote(str(path))}"
        )
        return True

    # ---- the run

    def run(self) -> None:
        """Write the project file into the result folder and reconstruct it in the background."""
        if self.worker is not None:
            return
        out = self.folder = Path(self.out.text().strip() or "stemcount_result")
        path = out / "project.toml"
        if not self.save_project(path):
            return
        self.stop.clear()
        self.report = None
        self.bar.setRange(0, STAGES_PER_IMAGE * self.table.rowCount() + 2)
        self.bar.setValue(0)
        self.status.setText("Working …")
        self._enable(False)
        self.worker = in_background(
            _reconstruct, path, out, self.stop, self.messages.stage.emit, done=self._done, failed=self._failed
        )

    def open_report(self) -> None:
        """Open the report of the run that is finished in the browser."""
        if self.report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.report)))

    def cancel(self) -> None:
        """Stop after the stage that is being computed; finished stages are kept in the result folder."""
        self.stop.set()
        self.status.setText("Stopping after this stage …")

    def _stage_finished(self, name: str, result: Any) -> None:
        self.bar.setValue(self.bar.value() + 1)
        self.status.setText(f"{name}: done")
        if name.endswith((": columns", ": counts")):
            self._show_image(*result)
        elif name == "reconstruction":
            data, properties, _ = atom_layer_data(result)
            properties["metadata"].update(of_folder(self.folder))
            layer = self.viewer.add_points(data, **properties)
            frame_atoms(self.viewer, layer)
            name_colours(self.viewer, layer)
            self.viewer.layers.selection.active = layer

    def _show_image(self, image: ZoneAxisImage, fit: ColumnFit, counts: AtomCounts | None = None) -> None:
        """Show an image with its columns, in place of an earlier stage's; the workbench shows the rest."""
        for layer in self.viewer.layers:  # images of different directions do not belong on top of each other
            layer.visible = layer.visible and not layer.metadata.keys() & {"beside_atoms", "reconstruction"}
        if image.name not in self.viewer.layers:
            data, properties, _ = image_layer_data(image)
            properties["metadata"].update(beside_atoms(self.folder, image.name))
            self.viewer.add_image(data, **properties)
        name = f"{image.name} columns"
        if name in self.viewer.layers:
            self.viewer.layers.remove(name)
        points, properties, _ = column_layer_data(fit, counts)
        layer = self.viewer.add_points(
            points, **{**properties, "name": name, "metadata": beside_atoms(self.folder, image.name)}
        )
        layer.face_colorbar.visible = True
        shown = "cross_section" if counts is None else "count"
        tell_colours(self.viewer, colour_words(shown, cross_section_unit(image)))
        self.viewer.layers[image.name].visible = True
        self.viewer.layers.selection.active = layer
        self.viewer.canvas.overlays["scale_bar"].visible = True
        self.viewer.dims.ndisplay = 2
        self.viewer.reset_view()

    def _done(self, result: Any) -> None:
        self.worker = None
        report = (self.folder / "report.html").resolve()
        self.report = report if result is not None and report.is_file() else None
        self._enable(True)
        if result is not None:
            self.bar.setValue(self.bar.maximum())
            take_tables(self.viewer, self.folder, [view.name for view in result.views])
            atoms = len(result.occupied(0.5))
            said = [f"{atoms} atoms; figures and report are in {self.folder}."]
            if result.warnings:
                said += [
                    "",
                    "Before you trust this result:",
                    *(f"• {text}" for text in said_once(result.warnings)),
                ]
            self.status.setText("\n".join(said))
        else:
            self.status.setText("Stopped; Run goes on from the stages that are finished.")

    def _failed(self, error: Exception) -> None:
        self.worker = None
        self._enable(True)
        said = " ".join([str(error), *getattr(error, "__notes__", [])])
        self.status.setText(said)
        show_warning(said)

    def _enable(self, on: bool) -> None:
        for name, button in self.buttons.items():
            button.setEnabled(on != (name == "Cancel"))
        self.buttons["Report"].setEnabled(on and self.report is not None)


def _reconstruct(
    project: Path, out: Path, stop: threading.Event, tell: Callable[[str, object], None]
) -> object | None:
    """Run a project in the working thread; None if it was cancelled."""
    from stemcount.cli.pipeline import run_project

    def on_stage(name: str, result: object) -> None:
        if stop.is_set():
            raise Cancelled
        tell(name, result)

    def on_progress(share: float) -> None:
        if stop.is_set():
            raise Cancelled

    try:
        return run_project(project, out, progress=on_progress, on_stage=on_stage)
    except Cancelled:
        return None
