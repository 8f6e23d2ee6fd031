"""Rows of columns: each column and the neighbours whose number of atoms is most like its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from ..arrays import Bools, Floats, Ints

REACH = 2.2  # of a step from column to column, in distances of nearest neighbours
SAME = 0.25  # steps that differ by so much are one, in the same unit
LINKED = 0.6  # share of the columns that a step must lead on from
MOST_STEPS = 12  # that are tried
FEW = 20  # columns


@dataclass(frozen=True)
class Rows:
    """Columns row after row.

    Attributes
    ----------
    order : (n,) int
        Index of each column; every column occurs once.
    start : (n,) bool
        Where a row begins; from there each column follows its neighbour.
    """

    order: Ints
    start: Bools


def find_rows(positions: ArrayLike, cross_sections: ArrayLike) -> Rows | None:
    """Rows along that step of the lattice with which the cross-sections (n,) change least.

    None where no step leads from most columns, at positions (n, 2) [A], to another: few columns, or no
    lattice.

    Examples
    --------
    >>> x, y = (v.ravel() for v in np.meshgrid(np.arange(6.0), np.arange(4.0)))
    >>> rows = find_rows(np.column_stack([x, y]), y)  # equal along x
    >>> rows.order[:6].tolist(), int(rows.start.sum())
    ([0, 1, 2, 3, 4, 5], 4)
    """
    place = np.asarray(positions, dtype=float)
    value = np.asarray(cross_sections, dtype=float)
    if len(place) < FEW:
        return None
    tree = cKDTree(place)
    nearest = float(np.median(tree.query(place, 2)[0][:, 1]))
    pairs = tree.query_pairs(REACH * nearest, output_type="ndarray")
    step = place[pairs[:, 1]] - place[pairs[:, 0]]
    backwards = (step[:, 0] < -SAME * nearest) | ((abs(step[:, 0]) <= SAME * nearest) & (step[:, 1] < 0))
    pairs[backwards] = pairs[backwards, ::-1]
    step[backwards] *= -1
    best: tuple[float, Ints] | None = None
    for _ in range(MOST_STEPS):
        if len(pairs) < LINKED * len(place):
            break
        here = _commonest(step, SAME * nearest)
        links = pairs[here]
        if len(links) >= LINKED * len(place):
            change = float(np.median(abs(value[links[:, 1]] - value[links[:, 0]])))
            if best is None or change < best[0]:
                best = change, links
        pairs, step = pairs[~here], step[~here]
    return None if best is None else _rows(best[1], len(place))


def _commonest(step: Floats, radius: float) -> Bools:
    """Which steps lie around the most frequent one."""
    tree = cKDTree(step)
    some = step[:: max(1, len(step) // 300)]
    centre = some[int(np.argmax(tree.query_ball_point(some, radius, return_length=True)))]
    for _ in range(3):
        centre = step[np.hypot(*(step - centre).T) < radius].mean(axis=0)
    here: Bools = np.hypot(*(step - centre).T) < radius
    return here


def _rows(links: Ints, n: int) -> Rows:
    """Columns followed from link to link; each has one neighbour ahead and one behind at most."""
    ahead = np.full(n, -1)
    behind = np.full(n, -1)
    for one, other in links.tolist():
        if ahead[one] < 0 and behind[other] < 0:
            ahead[one], behind[other] = other, one
    order, start = [], []
    for first in np.flatnonzero(behind < 0).tolist():
        column, begins = first, True
        while column >= 0:
            order.append(column)
            start.append(begins)
            column, begins = int(ahead[column]), False
    return Rows(np.array(order, dtype=np.int64), np.array(start, dtype=bool))
