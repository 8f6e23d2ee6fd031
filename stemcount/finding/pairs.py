"""Columns that noise, jitter of the scan and drift split in two, joined again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..fitting.fit import typical_spacing
from .complete import PAIR, strong_lattice
from .lattice import TOLERANCE, shortest
from .significance import Revision

Floats = NDArray[np.float64]

JOINS = 3  # times that pairs are looked at: joined ones show what others are
FEW = 1  # single columns that the lattice leads to from a pair, more than which must say that it is one
DOUBLE = 1.5  # of the brightest of them: as bright as that, a pair is two columns


def join_pairs(revision: Revision) -> tuple[Floats, NDArray[np.bool_]]:
    """The columns [A] with one in the place of any two where the lattice has one, and which are added ones.

    The two that a column is split in may both be significant beside their neighbours. They stand closer than
    the others do, the lattice around leads to the place between them, and together they are no brighter than
    the one column that it leads to; two real columns would be twice as bright.
    """
    points, volume, added = revision.points, revision.state.volume, revision.added
    translations = strong_lattice(revision)
    if len(translations) == 0:
        return points, added
    limit = PAIR * typical_spacing(points[:, 0], points[:, 1], 0.0)
    tolerance = TOLERANCE * shortest(translations)
    for _ in range(JOINS):
        pairs = closest_pairs(points, limit)
        single = np.ones(len(points), dtype=bool)
        single[pairs] = False
        if len(pairs) == 0 or not single.any():
            break
        both = volume[pairs].sum(axis=1)
        share = volume[pairs] / np.maximum(both, np.finfo(float).tiny)[:, None]
        centre = np.sum(points[pairs] * share[:, :, None], axis=1)
        expected = centre[:, None, :] + translations
        distance, which = cKDTree(points[single]).query(expected)
        one = distance < tolerance
        two = cKDTree(centre).query(expected)[0] < tolerance
        bright = np.max(np.where(one, volume[single][which], -np.inf), axis=1)
        join = (one.sum(axis=1) > np.maximum(two.sum(axis=1), FEW)) & (both < DOUBLE * bright)
        if not join.any():
            break
        left = np.ones(len(points), dtype=bool)
        left[pairs[join]] = False
        points = np.concatenate([points[left], centre[join]])
        volume = np.concatenate([volume[left], both[join]])
        added = np.concatenate([added[left], added[pairs[join]].all(axis=1)])
    return points, added


def closest_pairs(points: Floats, limit: float) -> NDArray[np.int64]:
    """Pairs (m, 2) of columns nearer than a limit, each column in one pair at most, the closest first."""
    pairs = cKDTree(points).query_pairs(limit, output_type="ndarray")
    free = np.ones(len(points), dtype=bool)
    chosen = []
    for a, b in pairs[np.argsort(np.hypot(*(points[pairs[:, 0]] - points[pairs[:, 1]]).T), kind="stable")]:
        if free[a] and free[b]:
            free[[a, b]] = False
            chosen.append((a, b))
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)
