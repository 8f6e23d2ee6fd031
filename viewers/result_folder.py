"""A whole result folder in napari: its images with their columns, and the atoms."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import stemcount
import tomo
from stemcount import InputError

from .atoms import atom_layer_data, frame_atoms, view_atoms
from .columns import image_layer_data, points_of_columns

if TYPE_CHECKING:
    from napari import Viewer

LayerData = tuple[Any, dict[str, Any], str]
COLUMNS = ("x", "y", "cross_section", "count", "count_probability")
GRID_LINE = ("h", "k", "l")
"""One site on the line of each column; columns off the lattice have none, and older tables hold none."""


def folder_layers(folder: Path) -> list[LayerData]:
    """Layers of a result folder: every image with its columns coloured by count, then the atoms.

    Images of different directions do not belong on top of each other, nor on the atoms: the first image and
    its columns are visible, the others and the atoms are there to be switched on. In an empty window the
    plugin switches images off and atoms on.

    Parameters
    ----------
    folder : Path
        Holds ``reconstruction.h5``, and a folder with ``columns.csv`` and ``image.hspy`` for each image.

    Returns
    -------
    list of tuple
        (data, keyword arguments of the layer, kind) as a napari reader gives them.

    Raises
    ------
    InputError
        If there is no readable reconstruction, or a table of columns is not one.
    """
    atoms = atom_layer_data(tomo.load_reconstruction(folder), folder.absolute().name)
    layers = _image_layers(folder)
    atoms[1]["visible"] = not layers
    return [*layers, atoms]


def _image_layers(folder: Path) -> list[LayerData]:
    """The images of a folder and their columns, those of the first image visible."""
    layers: list[LayerData] = []
    for number, name in enumerate(_image_names(folder)):
        of_image = [column_table_layer(folder / name / "columns.csv", name)]
        if (folder / name / "image.hspy").is_file():
            data, properties, kind = image_layer_data(stemcount.load_image(folder / name / "image.hspy"))
            of_image.insert(0, (data, {**properties, "name": name}, kind))
        for _, properties, _ in of_image:
            properties["visible"] = number == 0
            properties.setdefault("metadata", {})["beside_atoms"] = True
        layers += of_image
    return layers


def _image_names(folder: Path) -> list[str]:
    """Names of the run's images that the folder has tables of, in the order of the project."""
    found = sorted(path.parent.name for path in folder.glob("*/columns.csv"))
    try:
        listed = list(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["images"])
    except (OSError, ValueError, KeyError, TypeError):
        return found
    return [name for name in listed if name in found]  # others are of an earlier run into the same folder


def column_table_layer(path: Path, name: str) -> LayerData:
    """The columns of a table as points, coloured by count.

    Parameters
    ----------
    path : Path
        CSV file with the columns x, y [A], cross_section, count and count_probability.
    name : str
        Of the image.

    Returns
    -------
    tuple
        (positions y, x, keyword arguments of `napari.layers.Points`, ``"points"``).

    Raises
    ------
    InputError
        If the file cannot be read as such a table.
    """
    table = _read_columns(path)
    features = {
        "cross_section": table["cross_section"],
        "count": table["count"],
        "doubt": 1.0 - table["count_probability"],
        **{axis: table[axis] for axis in GRID_LINE},
    }
    return points_of_columns(table["x"], table["y"], features, f"{name} columns")


def _read_columns(path: Path) -> dict[str, NDArray[np.float64]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        table = {key: np.array([row[key] for row in rows], float) for key in COLUMNS}
        line = {key: np.array([row.get(key) or np.nan for row in rows], float) for key in GRID_LINE}
        return {**table, **line}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a table of columns with {', '.join(COLUMNS)} ({error!r}).") from error


def view_result(folder: str | Path, *, show: bool = True) -> Viewer:
    """Open a napari window with everything of a result folder: the atoms in 3D, images and columns hidden.

    In a script, call ``napari.run()`` afterwards to keep the window open.

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
        If the folder holds no reconstruction, napari is not installed or there is no display.

    Examples
    --------
    >>> path = result.save("my_result")
    >>> viewer = view_result("my_result", show=False)
    >>> [layer.name for layer in viewer.layers]
    ['atoms']
    >>> viewer.close()
    """
    folder = Path(folder)
    viewer = view_atoms(tomo.load_reconstruction(folder), show=show)
    for data, properties, kind in _image_layers(folder):
        add = viewer.add_image if kind == "image" else viewer.add_points
        add(data, **{**properties, "visible": False})
    viewer.layers.move(0, len(viewer.layers))  # the atoms on top, as napari's list has them after a drop
    viewer.layers.selection.active = viewer.layers["atoms"]
    frame_atoms(viewer, viewer.layers["atoms"])
    return viewer
