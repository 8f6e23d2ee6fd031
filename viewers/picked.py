"""The atom under a click: what is known of it, its columns, and its distance from the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomo.grid import line_keys

from .agreement_figures import measured_counts, view_name
from .atom_figures import lattice_parameter, length_unit

if TYPE_CHECKING:
    from tomo import View
    from tomo.result import Reconstruction

    from .atom_table import AtomTable


def describe_atom(result: Reconstruction, table: AtomTable, index: int, threshold: float = 0.5) -> str:
    """A few lines on a site: where it is, how certain, its neighbours, and its column in every image.

    Neighbours are the nearest ones of the same species, and atoms the sites of at least `threshold`.
    """
    x, y, z = table.positions[index]
    certainty = f"certainty {float(table.certainty[index]):.3f}"
    if len(table.runs):
        certainty += f", in {int(table.runs[:, index].sum())} of {len(table.runs)} runs"
    lines = [
        _name(result, table, index),
        f"x {x:.2f}, y {y:.2f}, z {z:.2f} {length_unit(result)}".replace("-", "−"),
        certainty,
        _neighbours(result, table, index, threshold),
    ]
    if table.sublattice[index] == 0:  # the views count this species only
        lines += [_column(result, view, table.index[index], threshold) for view in result.views]
    return "\n".join(lines)


def describe_distance(result: Reconstruction, table: AtomTable, index: int, other: int) -> str:
    """How far one site is from another."""
    length = float(np.linalg.norm(table.positions[index] - table.positions[other]))
    return f"{length:.2f} {length_unit(result)} from the one before, {_name(result, table, other)}"


def on_line(sites: np.ndarray, site: np.ndarray, view: View) -> NDArray[np.bool_]:
    """Which sites (n, 3) lie in the column of a view that one site is in."""
    return np.asarray(line_keys(sites, view.zone_axis) == line_keys([site], view.zone_axis)[0])


def column_of_atom(view: View, site: np.ndarray) -> int | None:
    """Which column of a view a site lies in; None where the view has none on that line."""
    found = np.flatnonzero(on_line(view.column_sites, site, view))
    return int(found[0]) if len(found) else None


def _name(result: Reconstruction, table: AtomTable, index: int) -> str:
    h, k, l = (int(v) for v in table.index[index])  # noqa: E741
    species = f"{table.species[index]}, " if result.companions else ""
    return f"{species}site ({h} {k} {l})"


def _neighbours(result: Reconstruction, table: AtomTable, index: int, threshold: float) -> str:
    near = np.sum((table.index - table.index[index]) ** 2, axis=1) == 2
    near &= (table.sublattice == table.sublattice[index]) & (table.certainty >= threshold)
    number = int(near.sum())
    species = f"{table.species[index]} " if result.companions else ""
    text = f"{number} {species}neighbour{'' if number == 1 else 's'}"
    if number:
        distance = lattice_parameter(result) / np.sqrt(2)
        text += f" at {distance:.2f} {length_unit(result)}"
        text += f", certainties from {float(table.certainty[near].min()):.2f}"
    return text


def _column(result: Reconstruction, view: View, site: np.ndarray, threshold: float) -> str:
    """Which atom of its column a site is in one image, counted along the beam, and how many were measured."""
    column = column_of_atom(view, site)
    if column is None:
        return f"{view_name(view)}: no column there"
    atoms = result.occupied(threshold)
    depth = atoms[on_line(atoms, site, view)] @ np.asarray(view.zone_axis)
    measured = measured_counts(view)[column]
    counted = "not counted" if np.isnan(measured) else f"{measured:.0f} measured"
    own = int(site @ np.asarray(view.zone_axis))
    place = f"{_ordinal(int(np.sum(depth <= own)))} of" if own in depth else "column of"
    return f"{view_name(view)}: {place} {len(depth)} atom{'' if len(depth) == 1 else 's'}, {counted}"


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, ...

    Examples
    --------
    >>> [_ordinal(number) for number in (1, 2, 3, 4, 11, 21, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '21st', '112th']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number // 10 % 10 == 1 else ending}"
