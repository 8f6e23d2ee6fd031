"""What placing needs of one view: its lines and the atoms counted on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import Floats, Ints
from ..zone import Zone, zone_geometry

LEAST_VARIANCE = 0.05  # of a column's count


@dataclass(frozen=True)
class CountedLines:
    """What placing needs of one view.

    Attributes
    ----------
    zone_axis : tuple of 3 int
    lines : (n, 2) int
        Its counted lines, as its own indexing names them.
    atoms, variance : (n,) float
        Expected number of atoms on each and its variance.
    inside : (m, 2) int or None
        All lines within the field of view; None if it cuts nothing.
    rotations : tuple of int
        Rotations that are allowed (rows of `Zone.plane_rotations`).
    fixed_shift : dict of int to tuple of 2 int, optional
        Shift that the user fixed, for each allowed rotation.
    """

    zone_axis: tuple[int, int, int]
    lines: Ints
    atoms: Floats
    variance: Floats
    inside: Ints | None
    rotations: tuple[int, ...]
    fixed_shift: dict[int, tuple[int, int]] | None = None

    @cached_property
    def zone(self) -> Zone:
        """Geometry of the zone axis."""
        return zone_geometry(self.zone_axis)

    @property
    def weights(self) -> Floats:
        """Atoms on each line, none of them negative, (n,)."""
        return np.maximum(self.atoms, 0)


def find_rows(table: Ints, wanted: Ints) -> Ints:
    """Row (m,) of each wanted line (m, 2) among the distinct ones of a table (n, 2), -1 where it is missing.

    Sites (n, 3) are found alike.

    Examples
    --------
    >>> find_rows(np.array([[0, 2], [1, 1]]), np.array([[1, 1], [4, 4]])).tolist()
    [1, -1]
    """
    both = np.concatenate([table, wanted])
    low = both.min(axis=0)
    index = np.full(np.ptp(both, axis=0) + 1, -1, dtype=np.int64)
    index[tuple((table - low).T)] = np.arange(len(table))
    return np.asarray(index[tuple((wanted - low).T)])


def moments(probability: Floats) -> tuple[Floats, Floats]:
    """Mean and variance (n,) of counts whose probabilities are (n, kmax + 1).

    Examples
    --------
    >>> mean, variance = moments(np.array([[0.0, 0.5, 0.5]]))
    >>> mean.tolist(), variance.tolist()
    ([1.5], [0.25])
    """
    k = np.arange(probability.shape[1])
    mean = probability @ k
    return np.asarray(mean, dtype=float), np.asarray(probability @ k**2 - mean**2, dtype=float)
