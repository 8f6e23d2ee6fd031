"""Atoms of a view by the planes that it shares with another one, and how the two agree for every shift.

Before the views have their place, their sums are kept apart (`RowSums`), so that one can be moved against the
other; brought side by side they are the `PlaneSums` whose agreement is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import softmax

from ..arrays import Bools, Floats, Ints
from ..errors import check_kind
from ..view import View
from ..zone import zone_geometry
from .agreement import BiasPrior, log_likelihoods
from .counted_lines import CountedLines, moments
from .planes import PlaneSums, SharedPlanes, bezout, shared_planes

CELLS = 100_000  # planes and classes that are compared at once, all shifts of two views together


@dataclass(frozen=True)
class RowSums:
    """Atoms of one view by shared plane and class of lines, (planes, classes); row 0 is plane `start`."""

    start: int
    atoms: Floats
    variance: Floats
    columns: Floats
    seen: Bools
    cut: bool  # planes beyond the rows are unseen, not empty


def row_sums(view: CountedLines, change: Ints, classes: int) -> RowSums:
    """Sums over shared planes; `change` (2, 2) takes line names to (plane, class)."""
    place = view.lines @ change.T
    planes = place[:, 0] if view.inside is None else np.append(place[:, 0], view.inside @ change[0])
    start, stop = int(planes.min()), int(planes.max()) + 1
    cell = (place[:, 0] - start) * classes + place[:, 1] % classes
    shape = (stop - start, classes)
    sums = [
        np.bincount(cell, weight, shape[0] * classes).astype(float).reshape(shape)
        for weight in (view.atoms, view.variance, np.ones(len(cell)))
    ]
    seen = np.ones(shape, dtype=bool)
    if view.inside is not None:
        # a whole-number coordinate along the rows; the class is one only modulo `classes`
        p, q = (int(c) for c in change[0])
        along = np.array([change[0], bezout(p, q)])
        seen &= _complete_rows(view.lines @ along.T, view.inside @ along.T, start, stop)[:, None]
    return RowSums(start, sums[0], sums[1], sums[2], seen, view.inside is not None)


def shifted_sums(
    first: RowSums, second: RowSums, planes: SharedPlanes, plane_shift: int, class_shift: int
) -> PlaneSums:
    """Sums of two views side by side, the second moved by whole planes and classes."""
    span = common_span(first, second, plane_shift)
    return side_by_side(moved(first, span), moved(second, span, plane_shift, class_shift), planes)


def common_span(first: RowSums, second: RowSums, plane_shift: int) -> tuple[int, int]:
    """First plane, and the one after the last, that two views have, the second moved by whole planes."""
    stops = first.start + len(first.atoms), second.start + plane_shift + len(second.atoms)
    return min(first.start, second.start + plane_shift), max(stops)


def moved(rows: RowSums, span: tuple[int, int], plane_shift: int = 0, class_shift: int = 0) -> RowSums:
    """Sums moved by whole planes and classes, with a row for every plane of the span."""
    start = rows.start + plane_shift - span[0]
    here, shape = slice(start, start + len(rows.atoms)), (span[1] - span[0], rows.atoms.shape[1])
    sums = np.zeros((3, *shape))
    sums[:, here] = np.roll(np.array([rows.atoms, rows.variance, rows.columns]), class_shift, axis=2)
    seen = np.full(shape, not rows.cut)
    seen[here] = np.roll(rows.seen, class_shift, axis=1)
    return RowSums(span[0], sums[0], sums[1], sums[2], seen, rows.cut)


def stacked(rows: Sequence[RowSums], *names: str) -> RowSums:
    """Sums of one span as one: all of these `names`, (many, planes, classes); the rest is as of the first."""
    every: dict[str, Any] = {name: np.array([getattr(one, name) for one in rows]) for name in names}
    return replace(rows[0], **every)


def side_by_side(first: RowSums, second: RowSums, planes: SharedPlanes) -> PlaneSums:
    """Sums of two views of the same span; either may be `stacked`, and then those of each of them.

    All have the same planes; what is empty in both views says nothing of their agreement.
    """
    held = (first.columns > 0) | (second.columns > 0)
    use = held.any(axis=tuple(range(held.ndim - 2)))
    return PlaneSums(
        planes.normal,
        np.nonzero(use)[0] + first.start,
        first.atoms[..., use],
        second.atoms[..., use],
        first.variance[..., use] + second.variance[..., use],
        first.columns[..., use],
        second.columns[..., use],
        first.seen[..., use],
        second.seen[..., use],
    )


def _complete_rows(columns: Ints, inside: Ints, start: int, stop: int) -> Bools:
    """Rows that lie in the field of view and whose columns do not run into its edge.

    Beyond an outermost row that runs into it, rows without a column may have theirs outside, too. Where all
    rows do, as those along a rod, the empty ones beside them are all that is known, and are kept.

    `columns` and `inside` hold (row, place along the row) of the columns and of all visible lines.
    """
    first = np.full(stop - start, np.iinfo(np.int64).max)
    last = np.full(stop - start, np.iinfo(np.int64).min)
    np.minimum.at(first, inside[:, 0] - start, inside[:, 1])
    np.maximum.at(last, inside[:, 0] - start, inside[:, 1])
    complete = np.asarray(first < last)
    row = columns[:, 0] - start
    touching = (columns[:, 1] <= first[row]) | (columns[:, 1] >= last[row])
    complete[row[touching]] = False
    if complete[row].any():
        low, high = int(row.min()), int(row.max())
        if not complete[low]:
            complete[:low] = False
        if not complete[high]:
            complete[high + 1 :] = False
    return complete


@dataclass(frozen=True)
class ShiftTable:
    """Score of every relative shift of a pair of views in given orientations."""

    planes: SharedPlanes
    lowest: int
    scores: Floats  # (plane shifts, classes)

    def at(self, first: Ints, second: Ints) -> Floats:
        """Scores for shifts of line names (2,) of the first and (n, 2) of the second view."""
        place = second @ self.planes.of_second.T - first @ self.planes.of_first.T
        row = place[:, 0] - self.lowest
        valid = (row >= 0) & (row < len(self.scores))
        found = self.scores[np.clip(row, 0, len(self.scores) - 1), place[:, 1] % self.planes.classes]
        return np.where(valid, found, self.scores.min())


def shift_table(first: RowSums, second: RowSums, planes: SharedPlanes, prior: BiasPrior) -> ShiftTable:
    """Score of every relative shift of the second view."""
    lowest = first.start - second.start - len(second.atoms) + 1
    rows = len(first.atoms) + len(second.atoms) - 1
    parts = np.array_split(np.arange(lowest, lowest + rows), -(-rows * rows * planes.classes // CELLS))
    scores = [
        [log_likelihoods(_shifted_by_each(first, second, planes, some, c), prior) for some in parts]
        for c in range(planes.classes)
    ]
    return ShiftTable(planes, lowest, np.array([np.concatenate(of_class) for of_class in scores]).T)


def _shifted_by_each(
    first: RowSums, second: RowSums, planes: SharedPlanes, shifts: Ints, class_shift: int
) -> PlaneSums:
    """`shifted_sums` for each of ascending plane shifts, (shifts, cells)."""
    low, high = (common_span(first, second, int(shift)) for shift in (shifts[0], shifts[-1]))
    span = min(low[0], high[0]), max(low[1], high[1])
    theirs = [moved(second, span, int(shift), class_shift) for shift in shifts]
    each = stacked(theirs, "atoms", "variance", "columns", "seen")
    return side_by_side(moved(first, span), each, planes)


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
    rows, blind = [], []
    for view, change in ((first, planes.of_first), (second, planes.of_second)):
        zone = zone_geometry(view.zone_axis)
        mean, variance = _moments(view)
        lines, unknown = zone.lines(view.column_sites), np.isnan(mean)
        counted = CountedLines(view.zone_axis, lines, np.nan_to_num(mean), variance, None, ())
        sums = row_sums(counted, change, planes.classes)
        plane, of_class = (lines[unknown] @ change.T).T
        np.subtract.at(sums.columns, (plane - sums.start, of_class % planes.classes), 1.0)
        rows.append(sums)
        beyond = lines[:0] if view.unseen_sites is None else zone.lines(view.unseen_sites)
        blind.append(np.concatenate([lines[unknown], beyond]) @ change.T)
    span = common_span(rows[0], rows[1], 0)
    own, other = (moved(sums, span) for sums in rows)
    for sums, place in zip((own, other), blind, strict=True):
        row = place[:, 0] - span[0]
        within = (row >= 0) & (row < span[1] - span[0])
        sums.seen[row[within], place[within, 1] % planes.classes] = False
    return side_by_side(own, other, planes)


def _moments(view: View) -> tuple[Floats, Floats]:
    """Mean and variance of each column's count; NaN where nothing is known."""
    if view.counts is not None:
        return np.where(view.counts < 0, np.nan, view.counts.astype(float)), np.zeros(len(view.counts))
    assert view.log_likelihood is not None
    mean, variance = moments(softmax(view.log_likelihood, axis=1))
    flat = np.ptp(view.log_likelihood, axis=1) == 0
    return np.where(flat, np.nan, mean), np.where(flat, 0, variance)
