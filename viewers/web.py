"""A web page with the atoms in 3D, in one file that works offline in any browser."""

from __future__ import annotations

import base64
import json
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from stemcount import InputError

from .atom_figures import lattice_parameter, length_unit
from .geometry import direction_name, oblique_direction, view_rotation
from .style import CERTAINTY_COLORMAP

if TYPE_CHECKING:
    from tomo.result import Reconstruction

MAX_INDEX = 32000


def write_page(result: Reconstruction, path: str | Path, title: str | None = None) -> Path:
    """Write an interactive 3D view of the atoms as one self-contained HTML file.

    The reader turns, moves and zooms the particle, changes the certainty threshold, cuts planes away,
    looks along the zone axes of the views, and reads about the atom under a click. It needs WebGL 2,
    which every browser since 2021 has, and loads nothing from elsewhere.

    Parameters
    ----------
    result : tomo.Reconstruction
    path : str or Path
        File to write.
    title : str, optional
        Heading; by default the species and number of atoms.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the file cannot be written.

    Examples
    --------
    >>> write_page(result, "atoms.html").name
    'atoms.html'
    """
    path = Path(path)
    species = result.crystal.species if result.crystal is not None else "atoms"
    title = title or f"{species}, {len(result.occupied(0.5))} atoms"
    template = files("viewers").joinpath("page.html").read_text(encoding="utf-8")
    data = json.dumps(_page_data(result)).replace("</", "<\\/")
    page = template.replace("{{title}}", escape(title)).replace("{{data}}", data)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: the page cannot be written ({error.strerror or error}).") from error
    return path


def _page_data(result: Reconstruction) -> dict[str, Any]:
    """What the page's script reads: sites, certainties, colours and directions."""
    sites = np.asarray(result.sites)
    if len(sites) and np.abs(sites).max() > MAX_INDEX:
        raise InputError(f"result: grid indices beyond {MAX_INDEX} do not fit on a page.")
    axes = dict.fromkeys(tuple(int(i) for i in view.zone_axis) for view in result.views)
    directions = list(dict.fromkeys([*axes, (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]))
    start = oblique_direction(directions[0])
    return {
        "species": result.crystal.species if result.crystal is not None else "",
        "halfCell": lattice_parameter(result) / 2,
        "unit": length_unit(result),
        "sites": _base64(sites.astype("<i2")),
        "certainty": _base64(np.asarray(result.certainty).astype("<f4")),
        "colours": np.round(
            matplotlib.colormaps[CERTAINTY_COLORMAP](np.linspace(0, 1, 33))[:, :3], 4
        ).tolist(),
        "directions": [
            {
                "name": direction_name(axis),
                "rotation": view_rotation(axis).round(6).tolist(),
                "view": axis in axes,
            }
            for axis in directions
        ],
        "start": view_rotation(start).round(6).tolist(),
    }


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
