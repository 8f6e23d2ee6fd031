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

from .atom_figures import lattice_parameter, length_unit, oblique_view
from .atom_table import atom_table, sphere_diameters
from .geometry import direction_name, view_rotation
from .options import check_number, check_path, check_result, written
from .species import species_colours, species_names
from .style import CERTAINTY_COLORMAP

if TYPE_CHECKING:
    from tomo.result import Reconstruction

MAX_INDEX = 32000
"""Of sites on the page, which are 16-bit integers [steps of its grid]."""


def write_page(
    result: Reconstruction, path: str | Path, title: str | None = None, threshold: float = 0.0
) -> Path:
    """Write an interactive 3D view of the atoms as one self-contained HTML file.

    The reader turns, moves and zooms the particle, changes the certainty threshold, cuts planes away,
    looks along the zone axes of the views, shows and hides species, and reads about the atom under a click.
    It needs WebGL 2, which every browser since 2021 has, and loads nothing from elsewhere.

    Parameters
    ----------
    result : tomo.Reconstruction
    path : str or Path
        File to write; its folder is made where there is none.
    title : str, optional
        Heading; by default the species and number of atoms.
    threshold : float
        Sites of at least this certainty are on the page; it shows those of at least 0.5 at first.

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
    check_result(result)
    path = check_path(path)
    if title is not None and not isinstance(title, str):
        raise InputError(f"title: expected text, got {title!r}.")
    threshold = check_number("threshold", threshold, 0, 1)
    shown = max(0.5, threshold)
    atoms = sum(len(part.occupied(shown)) for part in result.parts)
    names = ", ".join(species_names(result)) + ": " if result.crystal is not None else ""
    title = title or f"{names}{atoms} atoms"
    template = files("viewers").joinpath("page.html").read_text(encoding="utf-8")
    data = json.dumps(_page_data(result, threshold)).replace("</", "<\\/")
    page = template.replace("{{title}}", escape(title)).replace("{{data}}", data)
    with written(path, "page") as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    return path


def _page_data(result: Reconstruction, threshold: float) -> dict[str, Any]:
    """What the page's script reads: sites, certainties, colours and directions."""
    table = atom_table(result)
    fine = 2 if result.companions else 1  # grid that holds the sites of all sublattices
    chosen = table.certainty >= threshold
    places = np.rint(fine * table.sites[chosen]).astype(np.int64)
    if len(places) and np.abs(places).max() > MAX_INDEX:
        raise InputError(f"result: grid indices beyond {MAX_INDEX // fine} do not fit on a page.")
    diameters = sphere_diameters(result, table)
    colours = species_colours(result)
    parts = []
    for number, part in enumerate(result.parts):
        own = np.flatnonzero(table.sublattice == number)
        name = part.species if number else next(iter(colours))
        parts.append(
            {
                "species": name if result.crystal is not None else "",
                "offset": [round(fine * v) for v in part.offset],
                "colour": np.round(colours[name], 4).tolist(),
                "radius": float(diameters[own[0]]) / 2 if len(own) else 1.0,
            }
        )
    axes = dict.fromkeys(tuple(int(i) for i in view.zone_axis) for view in result.views)
    directions = list(dict.fromkeys([*axes, (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]))
    return {
        "parts": parts,
        "fine": fine,
        "halfCell": lattice_parameter(result) / 2,
        "unit": length_unit(result),
        "sites": _base64(places.astype("<i2")),
        "certainty": _base64(table.certainty[chosen].astype("<f4")),
        "kind": _base64(table.sublattice[chosen].astype("u1")),
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
        "start": view_rotation(oblique_view(result)).round(6).tolist(),
    }


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
