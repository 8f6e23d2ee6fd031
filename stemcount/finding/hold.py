"""Columns held to the lattice they were placed on, as strongly as the image itself says.

Peaks that overlap until they have no maximum of their own leave the places of single columns to the noise,
and what a place errs its cross-section and its neighbours' pay for. All columns together still tell the
lattice, and how far they stand from it. What bends a row of columns bends those beside it, too: the places
are a smooth function of the index in the lattice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..fitting.fit import typical_spacing
from ..results import ColumnFit
from .known import same_shape
from .lattice import NEAR, lattice_translations, shortest
from .significance import CLOSE
from .spectrum import lattice_of_points

Floats = NDArray[np.float64]

BENT = 2  # degree of the places in the index: shear and scale are 1
LOOSEST, TIGHTEST = 0.15, 0.005  # of the closest distance: pulls that are possible
LEAST = 1e-6  # share of a place that an image tells
MOST = 0.9  # of the columns that stand near their place in the lattice; of the two halves of a twin fewer do


def site_indices(points: Floats) -> tuple[Floats, float] | None:
    """Indices (n, 2) of columns in the lattice that they form, and its shortest vector; None without one.

    Examples
    --------
    >>> x, y = (v.ravel().astype(float) for v in np.mgrid[0:5, 0:5])
    >>> points = np.column_stack([2 * x, 3 * y])
    >>> index, closest = site_indices(points)
    >>> np.ptp(index, axis=0).tolist(), round(closest, 3)
    ([4.0, 4.0], 2.0)
    """
    found = _indexed(points)
    return None if found is None else found[:2]


def _indexed(points: Floats) -> tuple[Floats, float, Floats] | None:
    """What `site_indices` gives, and the vectors (2, 2) of the lattice as columns."""
    translations = lattice_translations(points)
    if len(translations) == 0:
        return None
    lattice = lattice_of_points(points, translations)
    index = np.rint(np.linalg.solve(lattice.basis, (points - lattice.origin).T)).T
    return index, shortest(translations), lattice.basis


def overlap_on_lattice(fit: ColumnFit, seeds: Floats, basis: Floats) -> bool:
    """Whether columns overlap and were found on the lattice that a known crystal has.

    Where they are farther apart than `CLOSE` widths, the image tells their places by itself. `fit` is without
    that lattice, `seeds` (n, 2) are where they were found, and the vectors of the lattice are the columns of
    `basis` (2, 2), in any orientation [A].
    """
    if typical_spacing(fit.x, fit.y, np.inf) >= CLOSE * float(np.median(fit.width)):
        return False
    lattice = _indexed(seeds)
    if lattice is None or not same_shape(lattice[2], basis):
        return False
    index, closest, _ = lattice
    places = smooth_places(seeds, index, np.ones(len(seeds)))
    return bool(np.mean(~beside(seeds, places, index, closest)) >= MOST)


def beside(points: Floats, places: Floats, index: Floats, closest: float) -> NDArray[np.bool_]:
    """Which points (n, 2) are not to be held to their places in a lattice: too far, or another is nearer.

    Two points that are nearest to one site have one index, and one place.
    """
    away = np.hypot(*(points - places).T)
    order = np.argsort(away, kind="stable")
    nearest = np.zeros(len(points), dtype=bool)
    nearest[order[np.unique(index[order], axis=0, return_index=True)[1]]] = True
    return np.asarray(~nearest | (away > NEAR * closest))


def smooth_places(points: Floats, index: Floats, weight: Floats) -> Floats:
    """Polynomials of degree `BENT` in the index (n, 2), fitted to places (n, 2) with weights (n,)."""
    a, b = ((index - index.mean(axis=0)) / max(np.ptp(index), 1.0)).T
    design = np.stack([a**i * b**j for i in range(BENT + 1) for j in range(BENT + 1 - i)], axis=1)
    root = np.sqrt(weight)[:, None]
    return np.asarray(design @ np.linalg.lstsq(design * root, points * root, rcond=None)[0])


def told(fit: ColumnFit, pull: float) -> Floats:
    """The share (n,) of each place that the image and not the pull of a fit tells, 1 - C / pull^2.

    With C the variance that the pull leaves open.
    """
    return np.clip(1 - (fit.x_std**2 + fit.y_std**2) / (2 * pull**2), LEAST, 1.0)


def pull_of(fit: ColumnFit, places: Floats, pull: float, closest: float) -> float:
    """The pull [A] with which an image is most probable, closer to it than the one of a fit.

    Columns are taken to stand beside their places by normally distributed distances, of variance t^2 in x and
    in y. The most probable t obeys, for the distances d that are fitted with it,

        sum d_x^2 + d_y^2 = t^2 sum 2 k

    with k as of `told` (MacKay, Neural Comput. 4 (1992) 415), which is solved by iteration.
    """
    square = np.sum((fit.x - places[:, 0]) ** 2 + (fit.y - places[:, 1]) ** 2)
    t = float(np.sqrt(square / (2 * told(fit, pull).sum())))
    return float(np.clip(t, TIGHTEST * closest, LOOSEST * closest))
