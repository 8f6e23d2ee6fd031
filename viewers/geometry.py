"""Where atoms and columns appear on the screen: view directions, grid lines, surface atoms.

All directions follow the image frame of the program: x right, y down, beam into the page along
+[uvw]; so an atom's depth is its coordinate along [uvw] and small depths face the eye.
"""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemcount import InputError

NEAREST_NEIGHBOURS = np.array(
    [(a, b, 0) for a in (1, -1) for b in (1, -1)]
    + [(a, 0, b) for a in (1, -1) for b in (1, -1)]
    + [(0, a, b) for a in (1, -1) for b in (1, -1)],
    dtype=np.int64,
)
"""The 12 nearest neighbours of an fcc site [a/2]."""


def view_rotation(direction: ArrayLike, up: ArrayLike | None = None) -> NDArray[np.float64]:
    """Proper rotation from crystal axes to the frame of an image taken along `direction`.

    Parameters
    ----------
    direction : (3,) array_like
        Direction [uvw] in which one looks.
    up : (3,) array_like, optional
        Crystal direction that points up (to -y) on the screen. By default [001], or [010] when one
        looks along [001].

    Returns
    -------
    (3, 3) array
        R with ``xyz_image = R @ xyz_crystal``; its third row is the unit vector along `direction`.

    Raises
    ------
    InputError
        If `direction` is not a direction.

    Examples
    --------
    >>> np.round(view_rotation((0, 0, 1)), 3) + 0.0
    array([[-1.,  0.,  0.],
           [ 0., -1.,  0.],
           [ 0.,  0.,  1.]])
    """
    try:
        z = np.asarray(direction, dtype=float)
    except (TypeError, ValueError):  # text, or lists of different lengths
        z = np.zeros(0)
    if z.shape != (3,) or not np.isfinite(z).all() or not z.any():
        raise InputError(f"{direction!r} is not a direction: expected three numbers [uvw], not all zero.")
    z = z / np.linalg.norm(z)
    candidates = [np.eye(3)[2], np.eye(3)[1]] if up is None else [np.asarray(up, float), *np.eye(3)[::-1]]
    for candidate in candidates:
        y = -(candidate - (candidate @ z) * z)
        if np.linalg.norm(y) > 1e-3 * np.linalg.norm(candidate):
            break
    y = y / np.linalg.norm(y)
    return np.array([np.cross(y, z), y, z])


def oblique_direction(
    direction: ArrayLike, azimuth: float = 24.0, elevation: float = 14.0
) -> NDArray[np.float64]:
    """`direction` turned by small angles [degree], so that a lattice is not seen end on."""
    azimuth_rad, elevation_rad = np.deg2rad((azimuth, elevation))
    local = (
        np.sin(azimuth_rad) * np.cos(elevation_rad),
        np.sin(elevation_rad),
        np.cos(azimuth_rad) * np.cos(elevation_rad),
    )
    return np.asarray(local) @ view_rotation(direction)


def direction_name(direction: ArrayLike) -> str:
    """Crystal direction as text, bars over negative indices: ``[11̄0]``.

    Examples
    --------
    >>> direction_name((1, 1, 0))
    '[110]'
    """
    indices = [int(v) for v in np.asarray(direction)]
    separator = "" if max(abs(i) for i in indices) < 10 else " "
    return "[" + separator.join(f"{abs(i)}\u0304" if i < 0 else f"{i}" for i in indices) + "]"


def line_keys(sites: ArrayLike, zone_axis: ArrayLike) -> NDArray[np.int64]:
    """Integers that are equal for sites on one line along `zone_axis` and differ otherwise.

    The cross product s x [uvw] is the same for all sites s on a line along [uvw].

    Parameters
    ----------
    sites : (n, 3) array_like of int
        Grid sites (h, k, l).
    zone_axis : (3,) array_like of int

    Returns
    -------
    (n, 3) array of int

    Examples
    --------
    >>> line_keys([(0, 0, 0), (2, 2, 0), (2, 0, 0)], (1, 1, 0)).tolist()
    [[0, 0, 0], [0, 0, 0], [0, 0, 2]]
    """
    return np.cross(np.asarray(sites, np.int64).reshape(-1, 3), np.asarray(zone_axis, np.int64))


def sum_over_columns(
    column_sites: ArrayLike, sites: ArrayLike, zone_axis: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Atoms on each column's line, or the sum of their weights.

    Parameters
    ----------
    column_sites : (n, 3) array_like of int
        One grid site on each column's line.
    sites : (m, 3) array_like of int
        Occupied sites.
    zone_axis : (3,) array_like of int
    weights : (m,) array_like, optional
        Weight of each site, e.g. its certainty; 1 by default.

    Returns
    -------
    (n,) array

    Examples
    --------
    >>> sum_over_columns([(0, 0, 0)], [(1, 1, 0), (3, 3, 0), (2, 0, 0)], (1, 1, 0))
    array([2.])
    """
    columns = line_keys(column_sites, zone_axis)
    atoms = line_keys(sites, zone_axis)
    _, index = np.unique(np.concatenate([columns, atoms]), axis=0, return_inverse=True)
    index = index.reshape(-1)
    total = np.bincount(
        index[len(columns) :],
        weights=None if weights is None else np.asarray(weights, float),
        minlength=int(index.max(initial=-1)) + 1,
    )
    return total[index[: len(columns)]].astype(float)


def coordination(sites: ArrayLike, occupied: ArrayLike | None = None) -> NDArray[np.int64]:
    """Number of occupied nearest neighbours of fcc sites, 0 to 12.

    Parameters
    ----------
    sites : (n, 3) array_like of int
        Grid sites (h, k, l), all different.
    occupied : (n,) array_like of bool, optional
        Which of them hold an atom; by default all.

    Returns
    -------
    (n,) array of int

    Examples
    --------
    >>> coordination([(0, 0, 0), (1, 1, 0), (2, 2, 0)]).tolist()
    [1, 2, 1]
    """
    sites = np.asarray(sites, np.int64).reshape(-1, 3)
    if not len(sites):
        return np.zeros(0, np.int64)
    low = sites.min(axis=0) - 1
    shape = sites.max(axis=0) - low + 2
    flat = np.ravel_multi_index(tuple((sites - low).T), tuple(shape))
    grid = np.zeros(int(np.prod(shape)), dtype=bool)
    grid[flat if occupied is None else flat[np.asarray(occupied, bool)]] = True
    steps = NEAREST_NEIGHBOURS @ np.array([shape[1] * shape[2], shape[2], 1])
    return np.sum([grid[flat + step] for step in steps], axis=0)


def shared_planes(zone_axis_1: ArrayLike, zone_axis_2: ArrayLike) -> NDArray[np.int64] | None:
    """Normal of the lattice planes that contain both viewing directions, or None if they are parallel.

    Each column of either view lies within one of these planes, so both views must find the same
    number of atoms in every plane.

    Examples
    --------
    >>> shared_planes((1, 1, 0), (1, 0, 0)).tolist()
    [0, 0, 1]
    """
    normal = np.cross(np.asarray(zone_axis_1, np.int64), np.asarray(zone_axis_2, np.int64))
    divisor = gcd(*(int(v) for v in normal))
    if divisor == 0:
        return None
    normal //= divisor
    return normal if normal[np.nonzero(normal)[0][0]] > 0 else -normal
