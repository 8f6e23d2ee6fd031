"""A whole result folder in napari: its images with their columns, and the atoms."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import stemcount
import tomo
from stemcount import InputError

from .atoms import atom_layer_data, frame_atoms, view_atoms
from .beside import OF_SPECIES, beside_atoms, counted_words, of_folder
from .columns import image_layer_data, points_of_columns
from .display import LayerData, lay_out, numbers_when_near, open_window, tell_colours

if TYPE_CHECKING:
    from napari import Viewer

ATOMS, TABLE, IMAGE = "reconstruction.h5", "columns.csv", "image.hspy"
LINE, SHORTEST_LINE, FOR_COLOUR_BAR = 90, 30, 12
"""Of a sentence in a window, and what is left for the colour bar beside it [letters]."""
LETTER = 8.5
"""Width of a letter in a window [pixels]."""
COLUMNS = ("x", "y", "cross_section", "count", "count_probability")
GRID_LINE = ("h", "k", "l")
"""One site on the line of each column; columns off the lattice have none, and older tables hold none."""


def folder_layers(folder: Path) -> list[LayerData]:
    """Layers of a result folder: every image with its columns coloured by count, then the atoms.

    Images of different directions do not belong on top of each other, nor on the atoms: the first image and
    its columns are visible, the others and the atoms are there to be switched on. In an empty window the
    plugin switches images off and atoms on.

    The folder holds ``reconstruction.h5``, and a folder with ``columns.csv`` and ``image.hspy`` for each
    image. A run that was refused leaves no reconstruction; its images are shown all the same. InputError if
    there is neither a reconstruction nor an image, one of them cannot be read, or a table of columns is not
    one.
    """
    if not is_result_folder(folder):
        raise InputError(
            f"{folder}: not a result folder; expected what `stemcount run` writes: reconstruction.h5, and a"
            " folder with columns.csv for each image."
        )
    layers = _image_layers(folder)
    if not (folder / ATOMS).is_file():
        return layers
    atoms = atom_layer_data(tomo.load_reconstruction(folder), folder.absolute().name)
    atoms[1]["visible"] = not layers
    atoms[1]["metadata"].update(of_folder(folder))
    return [*layers, atoms]


def is_result_folder(folder: Path) -> bool:
    """Whether a run, finished or not, has left atoms, columns or images in a folder."""
    return any(next(folder.glob(name), None) for name in (ATOMS, f"*/{TABLE}", f"*/{IMAGE}"))


def why_no_atoms(folder: Path) -> str | None:
    """A sentence why a run has left images but no atoms in a folder; None where there are atoms."""
    from stemcount.cli.result_folder.outputs import EARLIER, REFUSED

    if (folder / ATOMS).is_file():
        return None
    try:
        said = "the run was refused: " + (folder / REFUSED).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        said = "the run was stopped or has not ended yet."
    earlier = folder / EARLIER
    if (earlier / ATOMS).is_file():
        said += f" The earlier result is in {earlier}."
    return f"No atoms, {said}"


def tell_in_window(viewer: Viewer, text: str) -> None:
    """Write a sentence, and what the columns' colours mean, into the upper left corner of a napari window."""
    beside_colour_bar = int(viewer.canvas.size[1] / LETTER) - FOR_COLOUR_BAR
    tell_colours(viewer, *wrap(text, max(SHORTEST_LINE, min(beside_colour_bar, LINE))), counted_words(None))


def _image_layers(folder: Path) -> list[LayerData]:
    """The images of a folder and their columns, those of the first image visible."""
    layers: list[LayerData] = []
    for number, name in enumerate(_image_names(folder)):
        of_image = []
        if (folder / name / IMAGE).is_file():
            data, properties, kind = image_layer_data(stemcount.load_image(folder / name / IMAGE))
            of_image.append((data, {**properties, "name": name}, kind))
        if (folder / name / TABLE).is_file():
            of_image.append(column_table_layer(folder / name / TABLE, name))
        for _, properties, _ in of_image:
            properties["visible"] = number == 0
            properties.setdefault("metadata", {}).update(beside_atoms(folder, name))
        layers += of_image
    return layers


def _image_names(folder: Path) -> list[str]:
    """Names of the run's images that the folder has files of, in the order of the project."""
    found = sorted({path.parent.name for name in (TABLE, IMAGE) for path in folder.glob(f"*/{name}")})
    try:
        listed = list(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["images"])
    except (OSError, ValueError, KeyError, TypeError):
        return found
    return [name for name in listed if name in found]  # others are of an earlier run into the same folder


def column_table_layer(path: Path, name: str) -> LayerData:
    """The columns of an image's table as points, coloured by count.

    It is a CSV file with x, y [A], cross_section, count and count_probability; InputError where it is not.
    """
    table = _read_columns(path)
    features = {
        "cross_section": table["cross_section"],
        "count": table["count"],
        "doubt": 1.0 - table["count_probability"],
        **{
            name: values for name, values in table.items() if name in GRID_LINE or name.startswith(OF_SPECIES)
        },
    }
    return points_of_columns(table["x"], table["y"], features, f"{name} columns")


def take_tables(viewer: Viewer, folder: Path, names: Iterable[str]) -> None:
    """Put what a finished run has written of its columns in place of the layers that its stages had.

    The tables hold the counts as all views together settled them, and the grid line of each column, by which
    a clicked atom finds it.
    """
    from napari.layers import Points

    active = viewer.layers.selection.active
    for name in names:
        if f"{name} columns" not in viewer.layers or not (folder / name / TABLE).is_file():
            continue
        old = viewer.layers[f"{name} columns"]
        data, properties, _ = column_table_layer(folder / name / TABLE, name)
        new = Points(data, **{**properties, "metadata": old.metadata, "visible": old.visible})
        place = viewer.layers.index(old)
        viewer.layers.remove(old)
        viewer.layers.insert(place, new)
        new.face_colorbar.visible = True
    if active in viewer.layers:
        viewer.layers.selection.active = active


def _read_columns(path: Path) -> dict[str, NDArray[np.float64]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        table = {key: np.array([row[key] for row in rows], float) for key in COLUMNS}
        optional = (
            (*GRID_LINE, *(key for key in rows[0] if key.startswith(OF_SPECIES))) if rows else GRID_LINE
        )
        line = {key: np.array([row.get(key) or np.nan for row in rows], float) for key in optional}
        return {**table, **line}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a table of columns with {', '.join(COLUMNS)} ({error!r}).") from error


def view_result(folder: str | Path, *, show: bool = True) -> Viewer:
    """Open a napari window with everything of a result folder: the atoms in 3D, images and columns hidden.

    Of a run that was refused it shows the images with their columns, and the sentence why. In a script, call
    ``napari.run()`` afterwards to keep the window open.

    Parameters
    ----------
    folder : str or Path
        Result folder of ``stemcount run``.
    show : bool
        Show the window at once.

    Returns
    -------
    napari.Viewer

    Raises
    ------
    InputError
        If the folder is not one of a run, napari is not installed or there is no display.

    Examples
    --------
    >>> path = result.save("my_result")
    >>> viewer = view_result("my_result", show=False)
    >>> [layer.name for layer in viewer.layers]
    ['atoms']
    >>> viewer.close()
    """
    if not isinstance(folder, str | os.PathLike):
        raise InputError(f"folder: expected the name of a result folder, got {folder!r}.")
    folder = Path(folder)
    if folder.is_dir() and (said := why_no_atoms(folder)) is not None:
        return _view_images(folder, said, show)
    viewer = view_atoms(tomo.load_reconstruction(folder), show=show)
    viewer.layers["atoms"].metadata.update(of_folder(folder))
    for data, properties, kind in _image_layers(folder):
        add = viewer.add_image if kind == "image" else viewer.add_points
        add(data, **{**properties, "visible": False})
    viewer.layers.move(0, len(viewer.layers))  # the atoms on top, as napari's list has them after a drop
    viewer.layers.selection.active = viewer.layers["atoms"]
    frame_atoms(viewer, viewer.layers["atoms"])
    return viewer


def _view_images(folder: Path, said: str, show: bool) -> Viewer:
    """Open a window with the images of a run that has no atoms, and why it has none."""
    layers = folder_layers(folder)
    viewer = open_window(folder.absolute().name, show)
    lay_out()
    for data, properties, kind in layers:
        if kind == "image":
            viewer.add_image(data, **properties)
        else:
            columns = viewer.add_points(data, **properties)
            columns.face_colorbar.visible = True
            numbers_when_near(viewer, columns)
    viewer.canvas.overlays["scale_bar"].visible = True
    viewer.layers.selection.active = next(layer for layer in reversed(viewer.layers) if layer.visible)
    tell_in_window(viewer, said)
    viewer.reset_view()
    return viewer
