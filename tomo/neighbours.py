"""Which sites of different sublattices are bonded, and which exclude each other."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Bools, Ints
from .crystal import Crystal
from .grid import SiteIndex

TOO_NEAR = 0.99  # [a/2]; cations of core and shell on neighbouring holes of the anions stand sqrt(3)/2 apart


def conflicting(crystal: Crystal, first: int, second: int) -> bool:
    """Whether two sublattices have sites too near to be both filled.

    Sublattices of one phase never have; those of different phases have if their closest sites are less than
    half a lattice parameter apart.

    Examples
    --------
    >>> import tomo
    >>> pbse, cdse = tomo.rock_salt("Pb", "Se", a=6.1), tomo.zinc_blende("Cd", "Se", a=6.1)
    >>> crystal = tomo.core_shell(pbse, cdse, "Pb")
    >>> conflicting(crystal, 0, 2), conflicting(crystal, 1, 2)  # Pb and Cd, Se and Cd
    (True, False)
    """
    if first == second or any(first in phase and second in phase for phase in crystal.phases):
        return False
    return len(vectors_within(crystal, first, second, TOO_NEAR)) > 0


def vectors_within(crystal: Crystal, first: int, second: int, distance: float) -> Ints:
    """Steps (m, 3) from a site of one sublattice's grid to the sites of another's within a distance [a/2]."""
    offset = np.array(crystal.sublattices[second].offset) - np.array(crystal.sublattices[first].offset)
    reach = int(np.ceil(distance + np.abs(offset).max()))
    steps = np.array([s for s in product(range(-reach, reach + 1), repeat=3) if sum(s) % 2 == 0])
    return np.asarray(steps[np.linalg.norm(steps + offset, axis=1) <= distance + 1e-9])


def bonds(crystal: Crystal, first: int, second: int) -> Ints:
    """Steps (m, 3) from a site of one sublattice to its nearest neighbours on another; none between phases.

    Examples
    --------
    >>> import tomo
    >>> crystal = tomo.rock_salt("Pb", "Se", a=6.1)
    >>> len(bonds(crystal, 0, 1))
    6
    """
    if first == second or not any(first in phase and second in phase for phase in crystal.phases):
        return np.zeros((0, 3), dtype=np.int64)
    near = vectors_within(crystal, first, second, 1.0)
    offset = np.array(crystal.sublattices[second].offset) - np.array(crystal.sublattices[first].offset)
    length = np.linalg.norm(near + offset, axis=1)
    return np.asarray(near[length < length.min() + 1e-6])


def near_filled(sites: ArrayLike, steps: Ints, filled: ArrayLike) -> Bools:
    """Whether a step from each site (n, 3) leads to one of the filled sites (m, 3)."""
    return filled_around(sites, steps, filled) > 0


def filled_around(sites: ArrayLike, steps: Ints, filled: ArrayLike) -> Ints:
    """How many of the steps from each site (n, 3) lead to one of the filled sites (m, 3).

    Examples
    --------
    >>> filled_around([[0, 0, 0]], np.array([[1, 1, 0], [-1, 1, 0]]), [[1, 1, 0], [2, 0, 0]])
    array([1])
    """
    grid = np.asarray(sites, dtype=np.int64).reshape(-1, 3)
    index = SiteIndex(filled)
    if not len(steps) or not len(np.asarray(filled)):
        return np.zeros(len(grid), dtype=np.int64)
    return np.sum([index(grid + step) >= 0 for step in steps], axis=0, dtype=np.int64)
