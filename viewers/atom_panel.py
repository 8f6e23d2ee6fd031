"""The atom viewer of napari's plugin menu: the controls of whichever reconstruction is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from .atom_controls import AtomControls
from .atoms import frame_atoms
from .display import lay_out

if TYPE_CHECKING:
    from napari import Viewer


class AtomPanel(QWidget):
    """Atom viewer of the plugin menu: the controls of whichever reconstruction is selected.

    The parameter is named as napari wants it, which fills it in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.controls: AtomControls | None = None
        self.hint = QLabel("Open a result folder or a reconstruction.h5 and select its layer.")
        self.hint.setWordWrap(True)
        self.column = QVBoxLayout(self)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)  # else napari pads it
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
            self.column.removeWidget(self.controls)
            self.controls.hide()  # it is deleted only when Qt comes round to it
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
