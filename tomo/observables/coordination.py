"""Coordination numbers: how many of its 12 nearest neighbours an atom has."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Ints
from ..grid import neighbour_table, whole_sites
from .estimate import Estimate, certainty_of


def coordination_numbers(atoms: ArrayLike) -> Ints:
    """Number of nearest neighbours of every atom, 0..12.

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
    >>> coordination_numbers([(0, 0, 0), (1, 1, 0), (2, 2, 0)]).tolist()
    [1, 2, 1]
    """
    return np.asarray((neighbour_table(whole_sites(atoms)) >= 0).sum(axis=1))


def expected_coordination(sites: ArrayLike, certainty: ArrayLike) -> Estimate:
    """Coordination number that an atom at each site has, with its error.

    The sum of the neighbours' certainties c; its variance, sum of c (1 - c), holds for
    independent sites.

    Parameters
    ----------
    sites : (n, 3) int
        All sites that may be occupied [a/2], such as ``result.sites``.
    certainty : (n,) float

    Returns
    -------
    Estimate
        Of shape (n,).

    Raises
    ------
    InputError
        If there is not one certainty for each site.

    Examples
    --------
    >>> found = expected_coordination([(0, 0, 0), (1, 1, 0), (-1, 1, 0)], [1.0, 1.0, 0.5])
    >>> found.value.tolist(), found.std.tolist()
    ([1.5, 1.0, 1.0], [0.5, 0.0, 0.0])
    """
    rows = neighbour_table(whole_sites(sites))
    around = np.append(certainty_of(rows, certainty), 0.0)[rows]
    return Estimate(around.sum(axis=1), np.sqrt((around * (1 - around)).sum(axis=1)))
