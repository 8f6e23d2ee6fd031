"""The table of the run widget: an image file in each row, with its zone axis and pixel size."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem

from stemcount import InputError, load_image

from .project_text import GivenFile

COLUMNS = ["image", "u", "v", "w", "Å/px"]


class ImageTable(QTableWidget):
    """Image files, one for each zone axis, whose indices and pixel sizes can be written."""

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setHorizontalHeaderLabels(COLUMNS)
        self.setToolTip(f"{COLUMNS[-1]}: pixel size; empty: as the file says")
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideLeft)  # of a path the end matters
        if (header := self.horizontalHeader()) is not None:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2, 3):
            self.setColumnWidth(column, 28)
        self.setColumnWidth(4, 46)
        self.setMinimumHeight(110)  # three images

    def add(self, path: Path, zone_axis: tuple[int, int, int] | None = None) -> None:
        """Add an image; its zone axis is read from the file if it says so."""
        if zone_axis is None:
            zone_axis = _zone_axis_of(path)
        row = self.rowCount()
        self.insertRow(row)
        name = QTableWidgetItem(str(path))
        name.setToolTip(str(path))
        self.setItem(row, 0, name)
        for column, index in enumerate(zone_axis or ("", "", ""), start=1):
            self.setItem(row, column, QTableWidgetItem(str(index)))

    def images(self) -> list[GivenFile]:
        """File, zone axis and pixel size [A] of every row.

        InputError if there is no row, a zone axis is not three integers, or a pixel size no number.
        """
        if not self.rowCount():
            raise InputError("no images: add one for each zone axis.")
        return [self._image(row) for row in range(self.rowCount())]

    def _image(self, row: int) -> GivenFile:
        file, *indices, pixel_size = (
            item.text().strip() if (item := self.item(row, column)) else "" for column in range(len(COLUMNS))
        )
        name = Path(file).name
        if not any(indices):
            raise InputError(f"{name}: write its zone axis into u, v and w, e.g. 1 1 0.")
        try:
            u, v, w = (int(text) for text in indices)
        except ValueError as error:
            raise InputError(
                f"{name}: the zone axis must be three integers u, v, w, got {' '.join(indices)!r}."
            ) from error
        try:
            return str(Path(file).resolve()), (u, v, w), float(pixel_size) if pixel_size else None
        except ValueError as error:
            raise InputError(f"{name}: the pixel size must be a number of Å, got {pixel_size!r}.") from error


def _zone_axis_of(path: Path) -> tuple[int, int, int] | None:
    """Zone axis that an image file holds, None where it says nothing or cannot be read."""
    try:
        return load_image(path).zone_axis
    except InputError:
        return None
