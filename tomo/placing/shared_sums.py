"""Atoms of two views in the planes that they share.

`tomo.placing.planes` says which lines of two views lie in the same plane (and class); here their atoms are
added up. Whether the sums are of the same atoms is asked in `tomo.placing.agreement`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import softmax

from ..arrays import Bools, Floats, Ints
from ..errors import check_kind
from ..view import View
from ..zone import zone_geometry
from .planes import shared_planes


@dataclass(frozen=True, eq=False)
class PlaneSums:
    """Atoms per shared plane in two views, or of those lines in it that meet (`SharedPlanes.classes`).

    Attributes
    ----------
    normal : tuple of 3 int
        Normal of the planes.
    plane : (m,) int
        n . (h, k, l) / divisor of the plane.
    first, second : (m,) float
        Expected number of atoms in either view.
    variance : (m,) float
        Variance of their difference as the counts' probabilities have it.
    first_columns, second_columns : (m,) float
        Number of columns in either view, of those whose count is known.
    first_seen, second_seen : (m,) bool
        Wholly inside the field of view of either.
    """

    normal: tuple[int, int, int]
    plane: Ints
    first: Floats
    second: Floats
    variance: Floats
    first_columns: Floats
    second_columns: Floats
    first_seen: Bools
    second_seen: Bools

    @property
    def seen(self) -> Bools:
        """Planes wholly inside both fields of view, (m,)."""
        return self.first_seen & self.second_seen

    @property
    def difference(self) -> Floats:
        """Atoms that the first view has more, (m,)."""
        return self.first - self.second

    @property
    def in_both(self) -> Bools:
        """Planes in which both views have columns, (m,)."""
        return (self.first_columns > 0) & (self.second_columns > 0)

    @property
    def in_either(self) -> Bools:
        """Planes in which one view or both have columns, (m,)."""
        return (self.first_columns > 0) | (self.second_columns > 0)

    def only_seen(self) -> PlaneSums:
        """Without the planes that one of the images does not show whole."""
        arrays = {name: value for name, value in vars(self).items() if name != "normal"}
        return replace(self, **{name: value[..., self.seen] for name, value in arrays.items()})

    def emptied(self, where: Bools) -> PlaneSums:
        """The same planes, some of them, (..., m), without atoms and columns in either view."""
        names = ("first", "second", "variance", "first_columns", "second_columns")
        empty: dict[str, Any] = {name: np.where(where, 0.0, getattr(self, name)) for name in names}
        return replace(self, **empty)


def plane_sums(first: View, second: View) -> PlaneSums:
    """Atoms per shared plane in two views in a common frame.

    Parameters
    ----------
    first, second : View
        Soft counts are averaged over their likelihood; hard counts have no variance; where nothing is
        known (-1, or equal likelihoods) the plane counts as unseen.

    Returns
    -------
    PlaneSums

    Raises
    ------
    InputError
        If the zone axes are parallel.

    Examples
    --------
    >>> a = View((1, 0, 0), [(0, 0, 0), (0, 0, 2)], counts=[2, 1])
    >>> b = View((0, 1, 0), [(0, 0, 0), (0, 0, 2)], counts=[2, 1])
    >>> sums = plane_sums(a, b)
    >>> sums.plane.tolist(), sums.first.tolist(), sums.second.tolist()
    ([0, 2], [2.0, 1.0], [2.0, 1.0])
    """
    check_kind("first", first, View)
    check_kind("second", second, View)
    planes = shared_planes(first.zone_axis, second.zone_axis)
    cells, values = [], []
    hidden: list[set[tuple[int, int]]] = []
    for view, change in ((first, planes.of_first), (second, planes.of_second)):
        geometry = zone_geometry(view.zone_axis)
        mean, variance = _moments(view)
        place = _cells(geometry.lines(view.column_sites) @ change.T, planes.classes)
        cells.append(place)
        values.append((mean, variance))
        blind = [place[~np.isfinite(mean)]]
        if view.unseen_sites is not None and len(view.unseen_sites):
            blind.append(_cells(geometry.lines(view.unseen_sites) @ change.T, planes.classes))
        hidden.append({tuple(cell) for cell in np.concatenate(blind).tolist()})
    keys, where = np.unique(np.concatenate(cells), axis=0, return_inverse=True)
    where = where.ravel()
    split = np.split(where, [len(cells[0])])
    sums: list[list[Floats]] = [
        [
            np.bincount(part, np.nan_to_num(weight), len(keys)).astype(np.float64)
            for weight in (mean, variance, np.isfinite(mean))
        ]
        for part, (mean, variance) in zip(split, values, strict=True)
    ]
    shown = [np.array([tuple(key) not in of for key in keys.tolist()], dtype=bool) for of in hidden]
    return PlaneSums(
        planes.normal,
        keys[:, 0],
        sums[0][0],
        sums[1][0],
        sums[0][1] + sums[1][1],
        sums[0][2],
        sums[1][2],
        *shown,
    )


def _cells(place: Ints, classes: int) -> Ints:
    return np.column_stack([place[:, 0], place[:, 1] % classes])


def _moments(view: View) -> tuple[Floats, Floats]:
    """Mean and variance of each column's count; NaN where nothing is known."""
    if view.counts is not None:
        return np.where(view.counts < 0, np.nan, view.counts.astype(float)), np.zeros(len(view.counts))
    assert view.log_likelihood is not None
    probability = softmax(view.log_likelihood, axis=1)
    k = np.arange(probability.shape[1])
    mean = probability @ k
    variance = probability @ k**2 - mean**2
    flat = np.ptp(view.log_likelihood, axis=1) == 0
    return np.where(flat, np.nan, mean), np.where(flat, 0, variance)
