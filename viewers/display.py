"""Is there a screen, and is napari installed? Answered before Qt can abort the process."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from stemcount import InputError

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Points
    from qtpy.QtWidgets import QComboBox, QWidget

LayerData = tuple[Any, dict[str, Any], str]
"""Data, properties and kind of a layer, as napari takes them from a reader."""
SMALLEST_DISC = 13.0
"""That a number can be read in [pixels]."""
LETTERS = 14
"""Of a name in a closed list of names."""
WINDOW_SIZE = (1280, 860)
"""Of a window for atoms or columns: napari's own leaves little room beside the panels [pixels]."""
NARROW = 1100
"""Width of a window that has no room for a canvas between panels on both of its sides [pixels]."""
TITLE_BAR = 36
"""That the desktop adds above a window [pixels]."""


def sphere_look(in_angstrom: bool) -> dict[str, Any]:
    """How layers of atoms look: spheres without rims, on axes x, y, z, whose unit may not be known."""
    look = {"shading": "spherical", "border_width": 0, "antialiasing": 0, "axis_labels": ("x", "y", "z")}
    return {**look, "units": ("angstrom",) * 3} if in_angstrom else look


def coloured_by(feature: str, colormap: str, limits: tuple[float, float]) -> dict[str, Any]:
    """How points are coloured by one of their features, whose `limits` are the ends of a colour map."""
    return {"face_color": feature, "face_colormap": colormap, "face_contrast_limits": limits}


def require_napari() -> None:
    """InputError where napari is not installed, or Linux offers no display: Qt would abort the process."""
    if importlib.util.find_spec("napari") is None:
        raise InputError("napari is not installed; install the viewers with  pip install 'stemcount[gui]'.")
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        raise InputError(
            "no display: napari needs a screen (DISPLAY is not set); report.html of the result, stemcount"
            " export --format html, save_screenshot and save_movie need none."
        )


def open_window(title: str, show: bool, ndisplay: Literal[2, 3] = 2) -> Viewer:
    """A napari window, or an `InputError` where none can open; its canvas has its size after `lay_out`."""
    require_napari()
    import napari

    viewer = napari.Viewer(title=f"stemcount: {title}", ndisplay=ndisplay, show=show)
    viewer.window.resize(*_size_on_screen())
    return viewer


def _size_on_screen() -> tuple[int, int]:
    """Of a window: what lies beyond the edge of a small screen, as the scale bar did, is never seen."""
    from qtpy.QtWidgets import QApplication

    screen = QApplication.primaryScreen()
    if screen is None:
        return WINDOW_SIZE
    room = screen.availableGeometry()
    return min(WINDOW_SIZE[0], room.width()), min(WINDOW_SIZE[1], room.height() - TITLE_BAR)


def add_panel(viewer: Viewer, panel: QWidget, name: str) -> None:
    """Dock a panel beside the canvas: on its right, or in a narrow window on top of napari's own panels.

    There they are tabs of one another; side by side they would leave the canvas a strip.
    """
    from qtpy.QtWidgets import QDockWidget, QMainWindow

    narrow_window = viewer.window.geometry()[2] < NARROW
    dock = viewer.window.add_dock_widget(panel, name=name, area="left" if narrow_window else "right")
    window = dock.parent()
    if narrow_window and isinstance(window, QMainWindow):
        area = window.dockWidgetArea(dock)
        own, *others = (d for d in window.findChildren(QDockWidget) if window.dockWidgetArea(d) == area)
        for other in others:
            window.tabifyDockWidget(own, other)
        lay_out()  # a tab can come to the front only when there are tabs
        dock.raise_()


def scrolling(panel: QWidget, content: QWidget) -> None:
    """Let the content of a panel be scrolled where a window is too low for it, which stays as it is."""
    from qtpy.QtCore import QEvent, QObject, Qt
    from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout

    class Area(QScrollArea):
        """As wide as its content; gives sentences all their lines, which in Qt's own the plots cover."""

        def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
            layout = content.layout()
            changes = (QEvent.Type.LayoutRequest, QEvent.Type.Resize)
            if watched is content and layout is not None and event is not None and event.type() in changes:
                content.setMinimumHeight(layout.minimumHeightForWidth(content.width()))
                bar, seen = self.verticalScrollBar(), self.viewport()
                room = max(bar.sizeHint().width(), self.width() - seen.width()) if bar and seen else 0
                self.setMinimumWidth(max(content.minimumWidth(), layout.minimumSize().width()) + room)
            return super().eventFilter(watched, event)

    area = Area()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    around = QVBoxLayout(panel)
    around.setContentsMargins(0, 0, 0, 0)
    around.addWidget(area)


def narrow(box: QComboBox) -> QComboBox:
    """A list of names that may be long and must not widen the panel: they are shown whole when it is open."""
    box.setSizeAdjustPolicy(box.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(LETTERS)
    return box


def numbers_when_near(viewer: Viewer, columns: Points) -> None:
    """Write numbers into discs only where they can be read: from afar they are specks that look like data.

    They come and go as the zoom passes there; in between napari's own switch shows and hides them.
    """
    if columns.metadata.get("numbers_when_near") or not len(columns.data):
        return
    columns.metadata["numbers_when_near"] = True
    camera, near = viewer.scene.camera, True

    def follow(_: Any = None) -> None:
        nonlocal near
        diameter = float(columns.size.max(initial=0.0)) * camera.zoom
        if near != (diameter >= SMALLEST_DISC):
            near = not near
            columns.text.visible = near

    camera.events.zoom.connect(follow)
    follow()


def tell_colours(viewer: Viewer, *lines: str) -> None:
    """Say what the colours in a canvas are, since napari's colour bars have no label; no lines: nothing."""
    caption = viewer.canvas.overlays["text"]
    caption.text = "\n".join(lines)
    caption.position, caption.visible = "top_left", bool(lines)


def lay_out() -> None:
    """Let Qt lay the windows out: only then a canvas has its size beside the panels."""
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()
