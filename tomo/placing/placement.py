"""Placing views: all rotations and shifts that could bring them into one frame, best first."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..zone import Zone, zone_geometry
from .agreement import BiasPrior, agreement_log_likelihood
from .planes import SharedPlanes, bezout, shared_planes
from .shared_sums import PlaneSums

BEAM = 48  # candidates carried from one view to the next
WINDOW = 40.0  # log units below the best that a candidate may lie and be carried on

Placing = tuple[tuple[int, ...], tuple[tuple[int, int], ...]]  # rotations and shifts of the views


@dataclass(frozen=True)
class Candidate:
    """One way to bring the views into a common frame.

    Attributes
    ----------
    score : float
        Log likelihood ratio: plane sums, centre of mass, support.
    rotations : tuple of int
        For each view, index into `zone_geometry(zone_axis).plane_rotations()`.
    shifts : tuple of tuple of 2 int
        For each view, shift of the rotated line names (i, j).
    """

    score: float
    rotations: tuple[int, ...]
    shifts: tuple[tuple[int, int], ...]

    @property
    def placing(self) -> Placing:
        """What tells two candidates apart."""
        return self.rotations, self.shifts

    def placed(self, v: int, zone: Zone, lines: NDArray[np.int64]) -> NDArray[np.int64]:
        """Lines (n, 2) of view number v, as its own indexing names them, in the common frame."""
        return zone.placed(lines, self.rotations[v], self.shifts[v])

    def lines_of(self, v: int, view: CountedLines) -> NDArray[np.int64]:
        """Counted lines (n, 2) of view number v in the common frame."""
        return self.placed(v, view.zone, view.lines)

    def field_of(self, v: int, view: CountedLines) -> NDArray[np.int64] | None:
        """All lines (m, 2) in the field of view number v, in the common frame; None if it cuts nothing."""
        return None if view.inside is None else self.placed(v, view.zone, view.inside)


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
    lines: NDArray[np.int64]
    atoms: NDArray[np.float64]
    variance: NDArray[np.float64]
    inside: NDArray[np.int64] | None
    rotations: tuple[int, ...]
    fixed_shift: dict[int, tuple[int, int]] | None = None

    @property
    def zone(self) -> Zone:
        """Geometry of the zone axis."""
        return zone_geometry(self.zone_axis)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Atoms on each line, none of them negative, (n,)."""
        return np.maximum(self.atoms, 0)


@dataclass(frozen=True)
class RowSums:
    """Atoms of one view by shared plane and class of lines, (planes, classes); row 0 is plane `start`."""

    start: int
    atoms: NDArray[np.float64]
    variance: NDArray[np.float64]
    columns: NDArray[np.float64]
    seen: NDArray[np.bool_]
    cut: bool  # planes beyond the rows are unseen, not empty


def row_sums(view: CountedLines, change: NDArray[np.int64], classes: int) -> RowSums:
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


def side_by_side(first: RowSums, second: RowSums, planes: SharedPlanes) -> PlaneSums:
    """Sums of two views of the same span; of many counts of their columns where atoms and variance are."""
    use = (first.columns > 0) | (second.columns > 0)
    return PlaneSums(
        planes.normal,
        np.nonzero(use)[0] + first.start,
        first.atoms[..., use],
        second.atoms[..., use],
        first.variance[..., use] + second.variance[..., use],
        first.columns[use],
        second.columns[use],
        first.seen[use] & second.seen[use],
    )


def _complete_rows(
    columns: NDArray[np.int64], inside: NDArray[np.int64], start: int, stop: int
) -> NDArray[np.bool_]:
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
class _Table:
    """Score of every relative shift of a pair of views in given orientations."""

    planes: SharedPlanes
    lowest: int
    scores: NDArray[np.float64]  # (plane shifts, classes)

    def at(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores for shifts of line names (2,) of the first and (n, 2) of the second view."""
        place = second @ self.planes.of_second.T - first @ self.planes.of_first.T
        row = place[:, 0] - self.lowest
        valid = (row >= 0) & (row < len(self.scores))
        found = self.scores[np.clip(row, 0, len(self.scores) - 1), place[:, 1] % self.planes.classes]
        return np.where(valid, found, self.scores.min())


def _score_table(
    first: RowSums, second: RowSums, planes: SharedPlanes, prior: BiasPrior
) -> tuple[int, NDArray[np.float64]]:
    """Score of every relative shift of the second view: (lowest plane shift, (shifts, classes))."""
    lowest = first.start - second.start - len(second.atoms) + 1
    scores = np.zeros((len(first.atoms) + len(second.atoms) - 1, planes.classes))
    for k, c in np.ndindex(scores.shape):
        scores[k, c] = agreement_log_likelihood(shifted_sums(first, second, planes, lowest + k, c), prior)
    return lowest, scores


def _tables(views: list[CountedLines], prior: BiasPrior) -> dict[tuple[int, int, int, int], _Table]:
    """Score tables by (first view, second view, rotation of first, rotation of second)."""
    tables = {}
    turns = [view.zone.plane_rotations() for view in views]
    for v, w in combinations(range(len(views)), 2):
        planes = shared_planes(views[v].zone_axis, views[w].zone_axis)
        for r in views[v].rotations:
            first = row_sums(views[v], planes.of_first @ turns[v][r], planes.classes)
            for s in views[w].rotations:
                second = row_sums(views[w], planes.of_second @ turns[w][s], planes.classes)
                tables[v, w, r, s] = _Table(planes, *_score_table(first, second, planes, prior))
    return tables


def pair_sums(views: list[CountedLines], candidate: Candidate, v: int, w: int) -> PlaneSums:
    """Sums over the planes that views v and w share when placed as the candidate says."""
    planes, changes, shift = shared_by(views[v], views[w], candidate, v, w)
    first, second = (
        row_sums(views[u], change, planes.classes) for u, change in zip((v, w), changes, strict=True)
    )
    return shifted_sums(first, second, planes, *shift)


def shared_by(
    first: CountedLines, second: CountedLines, candidate: Candidate, v: int, w: int
) -> tuple[SharedPlanes, tuple[NDArray[np.int64], NDArray[np.int64]], tuple[int, int]]:
    """The planes that views number v and w share when placed as the candidate says.

    With what takes the line names of each to (plane, class), and the planes and classes by which the second
    is moved against the first then.
    """
    planes = shared_planes(first.zone_axis, second.zone_axis)
    turns = [view.zone.plane_rotations()[candidate.rotations[u]] for view, u in ((first, v), (second, w))]
    move = planes.of_second @ np.array(candidate.shifts[w]) - planes.of_first @ np.array(candidate.shifts[v])
    changes = planes.of_first @ turns[0], planes.of_second @ turns[1]
    return planes, changes, (int(move[0]), int(move[1]) % planes.classes)


def place_views(views: list[CountedLines], prior: BiasPrior, asked: Placing | None = None) -> list[Candidate]:
    """Beam search over rotations and shifts, view by view; best candidate first.

    The placing that is `asked` for is among them even where others suit these counts far better.
    """
    first = views[0].rotations
    if all(len(view.rotations) == len(view.zone.plane_rotations()) for view in views):
        # turning every view by 180 degrees is the inverted crystal: half the rotations of the first do
        first = first[: len(first) // 2]
    start = views[0].fixed_shift or {}
    beam = [Candidate(0.0, (r,), (start.get(r, (0, 0)),)) for r in first]
    if len(views) == 1:
        return beam[:1]
    tables = _tables(views, prior)
    for w in range(1, len(views)):
        grown = []
        for candidate in beam:
            for s in views[w].rotations:
                grown += _extend(candidate, w, s, views, tables)
        grown.sort(key=lambda c: -c.score)
        near = [c for c in grown[:BEAM] if c.score > grown[0].score - WINDOW]
        beam = near + [c for c in grown[len(near) :] if _leads_to(c, asked)]
    return beam


def _leads_to(candidate: Candidate, placing: Placing | None) -> bool:
    """Whether the views that a candidate has so far lie as in a placing of all of them."""
    n = len(candidate.rotations)
    return placing is not None and (placing[0][:n], placing[1][:n]) == candidate.placing


def _extend(
    candidate: Candidate,
    w: int,
    s: int,
    views: list[CountedLines],
    tables: dict[tuple[int, int, int, int], _Table],
) -> list[Candidate]:
    """Best shifts of view w in rotation s, given the views before it."""
    earlier = [(v, tables[v, w, candidate.rotations[v], s]) for v in range(w)]
    fixed = views[w].fixed_shift
    if fixed is not None and views[0].fixed_shift is not None:
        shifts, penalty = np.array([fixed[s]]), np.zeros(1)
    elif w == 1:
        shifts = _pair_shifts(earlier[0][1]) + np.array(candidate.shifts[0])
        penalty = np.zeros(len(shifts))
    else:
        shifts, penalty = _shifts_near_centre(candidate, w, s, views)
    score = penalty + sum(table.at(np.array(candidate.shifts[v]), shifts) for v, table in earlier)
    best = np.argsort(-score, kind="stable")[:BEAM]
    return [
        Candidate(
            candidate.score + float(score[k]),
            (*candidate.rotations, s),
            (*candidate.shifts, (int(shifts[k, 0]), int(shifts[k, 1]))),
        )
        for k in best
    ]


def _pair_shifts(table: _Table) -> NDArray[np.int64]:
    """One shift of the second view's lines for each element of the quotient; the rest is gauge."""
    planes = table.planes
    rows = np.arange(len(table.scores)) + table.lowest
    p, q = (int(c) for c in planes.of_second[0])
    r, t = bezout(p, q)
    along = np.array([-q, p])  # stays in the plane
    across = np.array([t, -r])  # one plane further: p t - q r = 1
    return np.concatenate([np.outer(rows, across) + c * along for c in range(planes.classes)])


def _shifts_near_centre(
    candidate: Candidate, w: int, s: int, views: list[CountedLines]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Shifts of view w that bring its centre of mass near that of the views before, with penalties."""
    geometry = views[w].zone
    lines = views[w].lines @ geometry.plane_rotations()[s].T
    own = views[w].weights @ lines / views[w].weights.sum()
    before = views[:w]
    middles = [
        view.weights @ candidate.lines_of(v, view) / view.weights.sum() for v, view in enumerate(before)
    ]
    centre = _point_at(before, middles)
    wanted = geometry.onto_lines @ centre - own
    cut = any(view.inside is not None for view in views[: w + 1])
    # the centre of what is left of a cut particle says little
    size = float(np.linalg.norm(np.ptp(lines, axis=0) @ geometry.plane_basis.T))
    reach = float(np.clip(0.25 * size, 8.0, 40.0)) if cut else 5.0  # [a/2]
    spread = reach / 4
    steps = np.ceil(np.linalg.norm(np.linalg.inv(geometry.plane_basis), axis=1) * reach).astype(int)
    grid = np.meshgrid(*(np.arange(-k, k + 1) for k in steps), indexing="ij")
    shifts = np.stack(grid, axis=-1).reshape(-1, 2) + np.rint(wanted).astype(np.int64)
    away = np.linalg.norm((shifts - wanted) @ geometry.plane_basis.T, axis=1)
    keep = away <= reach
    return shifts[keep], -0.5 * (away[keep] / spread) ** 2


def centred(candidate: Candidate, views: list[CountedLines]) -> Candidate:
    """The same candidate moved as a whole so that the particle's middle is at the origin.

    Nothing is moved if the user fixed the place of the first view.
    """
    if views[0].fixed_shift is not None:
        return candidate
    placed = [candidate.lines_of(v, view) for v, view in enumerate(views)]
    middles = [(lines.min(axis=0) + lines.max(axis=0)) / 2 for lines in placed]
    origin = np.rint(_point_at(views, middles)).astype(np.int64)
    origin[2] += origin.sum() % 2
    shifts = []
    for view, shift in zip(views, candidate.shifts, strict=True):
        i, j = np.array(shift) - view.zone.lines(origin)[0]
        shifts.append((int(i), int(j)))
    return Candidate(candidate.score, candidate.rotations, tuple(shifts))


def _point_at(views: list[CountedLines], places: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Point (3,) of the crystal [a/2] whose line coordinates come closest to these, (2,) in each view."""
    onto_lines = np.concatenate([view.zone.onto_lines for view in views])
    return np.asarray(np.linalg.lstsq(onto_lines, np.concatenate(places), rcond=None)[0])
