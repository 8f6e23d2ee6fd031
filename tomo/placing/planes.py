"""Planes that two views share: which of their lines can hold the same atoms.

The sites that a line of one view and a line of another can share are told by the quotient of the grid
by both beam directions, Q = grid / (Z t_v + Z t_w). It is Z x Z_k: the first number is the plane
n . (h, k, l) with n along z_v x z_w; within a plane the lines fall into k classes that never meet.
Every line of either view belongs to one element of Q, and the atoms of an element are the same atoms
in both views. (For k = 1 these are the planes of discrete tomography.) `PlaneSums` are those atoms, as either
view counts them; whether they are the same is asked in `tomo.placing.agreement`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Bools, Floats, Ints
from ..errors import InputError
from ..grid import triple
from ..zone import zone_geometry


@dataclass(frozen=True, eq=False)
class SharedPlanes:
    """Planes that two zone axes share, as linear maps from line names.

    Attributes
    ----------
    first, second : tuple of 3 int
        The zone axes.
    normal : tuple of 3 int
        Normal n of the shared planes, such that n . (h, k, l) / divisor takes every whole number.
    divisor : int
        1 or 2.
    classes : int
        Number k of classes of lines within a plane that never meet.
    of_first, of_second : (2, 2) int
        Line (i, j) of each view to (plane, class); the class is to be taken modulo k.
    """

    first: tuple[int, int, int]
    second: tuple[int, int, int]
    normal: tuple[int, int, int]
    divisor: int
    classes: int
    of_first: Ints
    of_second: Ints


def shared_planes(first: ArrayLike, second: ArrayLike) -> SharedPlanes:
    """Planes shared by two zone axes.

    Parameters
    ----------
    first, second : (3,) int
        Zone axes [uvw].

    Returns
    -------
    SharedPlanes

    Raises
    ------
    InputError
        If the zone axes are parallel.

    Examples
    --------
    >>> shared_planes((1, 0, 0), (1, 1, 0)).normal, shared_planes((1, 0, 0), (0, 0, 1)).classes
    ((0, 0, 1), 2)
    """
    return _shared_planes(zone_geometry(first).zone_axis, zone_geometry(second).zone_axis)


@lru_cache(maxsize=256)
def _shared_planes(first: tuple[int, int, int], second: tuple[int, int, int]) -> SharedPlanes:
    cross = np.cross(first, second)
    if not cross.any():
        raise InputError(
            f"zone axes {list(first)} and {list(second)} are parallel: they share no set of planes."
        )
    normal = cross // gcd(*(int(c) for c in cross))
    view, other = zone_geometry(first), zone_geometry(second)
    products = normal @ view.basis  # n . b1, n . b2, and 0
    divisor = gcd(int(products[0]), int(products[1]))
    p, q = (int(c) // divisor for c in products[:2])
    r, s = bezout(p, q)
    of_first = np.array([[p, q], [r, s]], dtype=np.int64)
    classes = abs(int((of_first @ view.lines([other.t])[0])[1]))
    steps = view.lines([other.b1, other.b2]).T  # the other view's b1, b2 as lines of this one
    of_second = of_first @ steps
    return SharedPlanes(first, second, triple(normal), divisor, classes, of_first, of_second)


def bezout(p: int, q: int) -> tuple[int, int]:
    """(r, s) with p s - q r = 1, for p and q without common divisor.

    Examples
    --------
    >>> r, s = bezout(3, 5)
    >>> 3 * s - 5 * r
    1
    """
    a, b = (p, 1, 0), (q, 0, 1)  # each (x, u, v) with x = u p + v q
    while b[0]:
        factor = a[0] // b[0]
        a, b = b, (a[0] - factor * b[0], a[1] - factor * b[1], a[2] - factor * b[2])
    return -a[0] * a[2], a[0] * a[1]


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
