"""Tilt of a crystal against the beam, told by columns that stand aside the deeper they begin.

In a crystal tilted by t an atom at depth z appears displaced by z tan t. A column shows where its upper atoms
are, because channelling keeps the beam on them: columns that begin at different depths are displaced against
the lattice in proportion. Drift, distortion of the scan and astigmatism know nothing of depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..errors import InputError, check_kind
from ..grid import line_keys, rows_of, whole_sites
from .distortion import monomials
from .indexing import Indexing

FEW = 40  # columns below which nothing is said
DEGREE = 2  # of the distortion that is fitted with the tilt, at least


@dataclass(frozen=True)
class Tilt:
    """Tilt of the crystal in one view.

    Attributes
    ----------
    angle : float
        Between beam and zone axis [deg].
    direction : float
        In which direction of the image columns are displaced, from x (right) towards y (down), 0 to
        180 [deg]: counts tell no crystal from its inverse, and so not which end is the upper one.
    chi_square : float
        Square of the tilt in its standard deviations, the larger one of both ends; 2 degrees of freedom.
    """

    angle: float
    direction: float
    chi_square: float


def tilt_of(indexing: Indexing, column_sites: ArrayLike, sites: ArrayLike) -> Tilt | None:
    """Tilt of the crystal that displaces the columns of one view.

    Positions p_n of the columns are fitted by p_n = f(q_n) + t z_n, where q_n is the place on the lattice,
    f a smooth distortion and z_n the depth of the column's end, by least squares weighted with the number
    of atoms.

    Parameters
    ----------
    indexing : Indexing
        Columns of the view on its lines.
    column_sites : (n, 3) int
        One grid site on the line of each column, in the frame of the crystal.
    sites : (m, 3) int
        Occupied sites of the crystal [a/2].

    Returns
    -------
    Tilt, or None if fewer than forty columns hold atoms, or if these begin and end in planes: a tilt does to
    them what a distortion does.

    Raises
    ------
    InputError
        If there is not one site a column, or sites are not whole numbers on one fcc grid.

    Examples
    --------
    >>> import tomo
    >>> crystal = tomo.fcc("Au", a=4.08)
    >>> sites = tomo.phantoms.random_particle(500, "rough", seed=2)
    >>> columns, _ = tomo.phantoms.column_counts(sites, (0, 0, 1))
    >>> top = np.array([sites[(sites[:, :2] == c[:2]).all(axis=1), 2].min() for c in columns]) * 2.04
    >>> x, y = (columns[:, :2] * 2.04 + 0.01 * np.sin(np.outer(np.arange(len(columns)), (3.0, 5.0)))).T
    >>> indexing = tomo.index_columns(x + np.tan(np.radians(1.0)) * top, y, (0, 0, 1), crystal)
    >>> found = tilt_of(indexing, columns, sites)
    >>> round(found.angle, 1), bool(abs(np.sin(np.radians(found.direction))) < 0.1)
    (1.0, True)
    """
    check_kind("indexing", indexing, Indexing)
    columns = whole_sites(column_sites)
    if len(columns) != len(indexing):
        raise InputError(f"column_sites: expected {len(indexing)}, one a column, got {len(columns)}.")
    zone, a, counted = indexing.zone, indexing.crystal.a, np.flatnonzero(indexing.counted)
    ends, number = _ends(columns[counted], whole_sites(sites), zone.zone_axis)
    use, number = counted[number > 0], number[number > 0]
    if len(use) < FEW:
        return None
    place = zone.positions(indexing.lines[use], a)
    radius = np.abs(place - place.mean(axis=0)).max()
    smooth = monomials((place - place.mean(axis=0)) / radius, max(DEGREE, indexing.field.degree))
    weight = np.sqrt(number)[:, None]
    position = weight * np.column_stack([indexing.x, indexing.y])[use]
    found = []
    for depth in ends.T * a / 2:
        design = weight * np.column_stack([smooth, depth - depth.mean()])
        solution, _, rank, _ = np.linalg.lstsq(design, position, rcond=None)
        if rank == np.linalg.matrix_rank(weight * smooth):
            continue  # of a flat layer, whose depth grows with the place: a slope of the lattice, or a tilt
        variance = ((position - design @ solution) ** 2).sum(axis=0) / (len(design) - design.shape[1])
        spread = np.linalg.pinv(design.T @ design)[-1, -1]
        found.append((float((solution[-1] ** 2 / np.maximum(spread * variance, 1e-300)).sum()), solution[-1]))
    if not found:
        return None
    chi_square, slope = max(found, key=lambda item: item[0])
    angle = float(np.degrees(np.arctan(np.hypot(*slope))))
    return Tilt(angle, float(np.degrees(np.arctan2(slope[1], slope[0])) % 180), chi_square)


def _ends(column_sites: Ints, sites: Ints, zone_axis: tuple[int, int, int]) -> tuple[Floats, Ints]:
    """Depths (m, 2) along the beam of both ends of the columns that hold atoms [a/2], and the number of atoms
    of all columns (n,)."""
    column = rows_of(line_keys(column_sites, zone_axis), line_keys(sites, zone_axis))
    column, sites = column[column >= 0], sites[column >= 0]
    depth = sites @ np.array(zone_axis) / np.linalg.norm(zone_axis)
    top, bottom = np.full(len(column_sites), np.inf), np.full(len(column_sites), -np.inf)
    np.minimum.at(top, column, depth)
    np.maximum.at(bottom, column, depth)
    number = np.bincount(column, minlength=len(column_sites))
    return np.column_stack([top, bottom])[number > 0], number
