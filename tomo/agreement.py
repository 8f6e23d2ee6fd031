"""Agreement of views: planes of atoms that two views share hold the same number of atoms in both.

The sites that a line of one view and a line of another can share are told by the quotient of the grid
by both beam directions, Q = grid / (Z t_v + Z t_w). It is Z x Z_k: the first number is the plane
n . (h, k, l) with n along z_v x z_w; within a plane the lines fall into k classes that never meet.
Every line of either view belongs to one element of Q, and the atoms of an element are the same atoms
in both views. (For k = 1 these are the plane sums of discrete tomography.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .zone import zone_geometry

RELATIVE_ERROR = 0.02  # of a plane's sum, on top of what the counts' own errors say
FLOOR_VARIANCE = 1.0  # atoms^2 per plane: a weak column missed or invented at the rim
EXCESS_PRIOR = 1.5  # standard deviation of the log of the factor by which variances are too small
BIAS_PRIOR = 0.04  # standard deviation of a slow relative error between two views, and of its slope


@dataclass(frozen=True)
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
    of_first: NDArray[np.int64]
    of_second: NDArray[np.int64]


def shared_planes(first: ArrayLike, second: ArrayLike) -> SharedPlanes:
    """Planes shared by two zone axes.

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
    n = int(normal[0]), int(normal[1]), int(normal[2])
    return SharedPlanes(first, second, n, divisor, classes, of_first, of_second)


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


@dataclass(frozen=True)
class PlaneSums:
    """Atoms per shared plane in two views.

    Attributes
    ----------
    plane, line_class : (m,) int
        Which plane, and which class of lines in it.
    first, second : (m,) float
        Expected number of atoms in either view.
    first_variance, second_variance : (m,) float
        Variance of these sums from the counts' probabilities.
    seen : (m,) bool
        Wholly inside both fields of view.
    """

    plane: NDArray[np.int64]
    line_class: NDArray[np.int64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    first_variance: NDArray[np.float64]
    second_variance: NDArray[np.float64]
    seen: NDArray[np.bool_]


def gaussian_agreement(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    variance: NDArray[np.float64],
    position: NDArray[np.float64],
) -> float:
    """Log likelihood ratio that two lists of sums are of the same atoms, against unrelated ones.

    The differences are Gaussian with the given variance, plus a slow bias that is proportional to the
    sums and may slope along `position`; its two coefficients are integrated out under a Gaussian prior
    of standard deviation `BIAS_PRIOR`. Where the differences are larger than that, a common factor on
    the variance is taken at its most likely value, under a broad prior: counts of real images are less
    good than they say. Unrelated sums differ by as much as the sums vary themselves.

    Parameters
    ----------
    first, second, variance : (m,) float
        Sums in either view, and the variance of their difference.
    position : (m,) float
        Where the planes are, any unit.

    Returns
    -------
    float
        Above zero: the sums agree; every agreeing plane adds its share.

    Examples
    --------
    >>> import numpy as np
    >>> sums = np.array([10.0, 30.0, 50.0, 20.0])
    >>> gaussian_agreement(sums, sums, np.ones(4), np.arange(4.0)) > 0
    True
    >>> gaussian_agreement(sums, sums[::-1], np.ones(4), np.arange(4.0)) < 0
    True
    """
    if not len(first):
        return 0.0
    difference = first - second
    mean = (first + second) / 2
    variance = variance + (RELATIVE_ERROR * mean) ** 2 + FLOOR_VARIANCE
    unrelated = 2 * float(np.mean(first**2 + second**2)) + variance
    spread = position - position.mean()
    slope = mean * spread / max(float(np.abs(spread).max()), 1e-9)
    design = np.column_stack([mean, slope]) * BIAS_PRIOR
    weighted = design / variance[:, None]
    inner = np.eye(2) + design.T @ weighted
    moment = weighted.T @ difference
    chi2 = float(difference**2 @ (1 / variance) - moment @ np.linalg.solve(inner, moment))
    log_det = float(np.log(variance).sum() + np.linalg.slogdet(inner)[1])
    excess = max(1.0, chi2 / len(first))
    agree = chi2 / excess + len(first) * np.log(excess) + log_det + (np.log(excess) / EXCESS_PRIOR) ** 2
    null = float((difference**2 / unrelated + np.log(unrelated)).sum())
    return 0.5 * (null - float(agree))
