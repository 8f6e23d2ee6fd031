"""Surface atoms and the facets they belong to."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Bools, Floats, Ints
from ..errors import InputError, are_whole, as_numbers
from ..grid import NEIGHBOUR_VECTORS, SiteIndex, neighbour_table, whole_sites


def _family(indices: tuple[int, int, int]) -> list[tuple[int, ...]]:
    """All permutations and signs of Miller indices, sorted."""
    orders = set(permutations(indices))
    return sorted(
        {tuple((np.array(o) * signs).tolist()) for o in orders for signs in product((1, -1), repeat=3)}
    )


#: Outward normals of the 8 {111}, 6 {100} and 12 {110} facets, (26, 3) int.
FACET_NORMALS: Ints = np.array(_family((1, 1, 1)) + _family((1, 0, 0)) + _family((1, 1, 0)))


#: The same of unit length, (26, 3).
UNIT_NORMALS: Floats = FACET_NORMALS / np.linalg.norm(FACET_NORMALS, axis=1)[:, None]


def layer_step(normal: ArrayLike) -> int:
    """Difference of normal . (h, k, l) between neighbouring layers of the fcc grid.

    Examples
    --------
    >>> layer_step((1, 0, 0)), layer_step((1, 1, 1))
    (1, 2)
    """
    return int(np.gcd.reduce(NEIGHBOUR_VECTORS @ np.asarray(normal, dtype=np.int64)))


def resting_places(atoms: Ints, normal: Ints) -> Ints:
    """Sites (m, 3), occupied or vacant, whose neighbours on the inner side are all among the atoms (n, 3);
    ``normal`` (3,) points outwards."""
    inward = NEIGHBOUR_VECTORS[NEIGHBOUR_VECTORS @ normal < 0]
    around = np.unique((atoms[:, None, :] - inward[None, :, :]).reshape(-1, 3), axis=0)
    occupied = SiteIndex(atoms)
    return np.asarray(around[np.all([occupied(around + step) >= 0 for step in inward], axis=0)])


def surface_atoms(atoms: ArrayLike) -> Bools:
    """Which atoms have a vacant nearest neighbour.

    Parameters
    ----------
    atoms : (n, 3) int
        Occupied sites [a/2].

    Returns
    -------
    (n,) bool

    Raises
    ------
    InputError
        If the atoms are not whole numbers on one fcc grid.

    Examples
    --------
    >>> from tomo.grid import NEIGHBOUR_VECTORS
    >>> surface_atoms([(0, 0, 0), *NEIGHBOUR_VECTORS.tolist()]).tolist()[:2]
    [False, True]
    """
    return np.asarray((neighbour_table(whole_sites(atoms)) < 0).any(axis=1))


def facet_atoms(atoms: ArrayLike) -> Ints:
    """Facet that every atom is part of: the row of `FACET_NORMALS`, or -1.

    An atom is in a facet when exactly those of its neighbours are missing that the flat surface
    lacks, the ones on the outer side: 3 on {111}, 4 on {100}, 5 on {110}. Atoms at edges,
    corners and steps are in none. The edge of two {111} facets lacks the same neighbours as a
    {110} facet: an atom is in the latter only if the next row of it is there too.

    Parameters
    ----------
    atoms : (n, 3) int
        Occupied sites [a/2].

    Returns
    -------
    (n,) int

    Raises
    ------
    InputError
        If the atoms are not whole numbers on one fcc grid.

    Examples
    --------
    >>> slab = [(h, k, l) for h in range(7) for k in range(7) for l in range(7) if (h + k + l) % 2 == 0]
    >>> facet = facet_atoms(slab)
    >>> FACET_NORMALS[facet[slab.index((3, 3, 6))]].tolist(), int(facet[slab.index((0, 0, 0))])
    ([0, 0, 1], -1)
    """
    grid = whole_sites(atoms)
    missing = neighbour_table(grid) < 0
    lacking = FACET_NORMALS @ NEIGHBOUR_VECTORS.T > 0
    code = missing @ (1 << np.arange(12))
    wanted = lacking @ (1 << np.arange(12))
    match = code[:, None] == wanted[None, :]
    facet = np.where(match.any(axis=1), match.argmax(axis=1), -1)
    return _without_lone_rows(grid, facet)


def _without_lone_rows(atoms: Ints, facet: Ints) -> Ints:
    """Take atoms out of {110} facets that are one row wide; rows are one <100> step of 2 apart."""
    rows = np.flatnonzero((facet >= 0) & (np.abs(FACET_NORMALS[facet]).sum(axis=1) == 2))
    across = 2 * (FACET_NORMALS[facet[rows]] == 0)
    at = SiteIndex(atoms)
    beside = np.zeros(len(rows), dtype=bool)
    for step in (across, -across):
        other = at(atoms[rows] + step)
        beside |= (other >= 0) & (facet[other] == facet[rows])
    out = facet.copy()
    out[rows[~beside]] = -1
    return out


def facet_family(facet: ArrayLike) -> NDArray[np.str_]:
    """Family of facets by their row in `FACET_NORMALS`: "111", "100", "110", or "" for -1.

    Parameters
    ----------
    facet : (n,) int
        From `facet_atoms`.

    Returns
    -------
    (n,) str

    Raises
    ------
    InputError
        If a row is none of `FACET_NORMALS`.

    Examples
    --------
    >>> facet_family([0, 8, 14, -1]).tolist()
    ['111', '100', '110', '']
    """
    given = as_numbers("facet", facet)
    if not are_whole(given):
        raise InputError("facet: expected whole numbers, the rows of FACET_NORMALS or -1.")
    rows = given.astype(np.int64)
    if rows.size and (rows.min() < -1 or rows.max() >= len(FACET_NORMALS)):
        raise InputError(f"facet: expected rows of FACET_NORMALS or -1, got {rows.min()}..{rows.max()}.")
    names = np.array(["100", "110", "111"])[np.abs(FACET_NORMALS).sum(axis=1) - 1]
    return np.where(rows >= 0, names[rows], "")
