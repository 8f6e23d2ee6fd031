"""Placing views: all rotations and shifts that could bring them into one frame, best first."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..arrays import Floats, Ints
from ..zone import Zone
from .agreement import BiasPrior
from .counted_lines import CountedLines
from .planes import PlaneSums, SharedPlanes, bezout, shared_planes
from .rows import ShiftTable, row_sums, shift_table, shifted_sums

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

    def placed(self, v: int, zone: Zone, lines: Ints) -> Ints:
        """Lines (n, 2) of view number v, as its own indexing names them, in the common frame."""
        return zone.placed(lines, self.rotations[v], self.shifts[v])

    def lines_of(self, v: int, view: CountedLines) -> Ints:
        """Counted lines (n, 2) of view number v in the common frame."""
        return self.placed(v, view.zone, view.lines)

    def field_of(self, v: int, view: CountedLines) -> Ints | None:
        """All lines (m, 2) in the field of view number v, in the common frame; None if it cuts nothing."""
        return None if view.inside is None else self.placed(v, view.zone, view.inside)


def _tables(
    views: list[CountedLines], rotations: list[tuple[int, ...]], prior: BiasPrior
) -> dict[tuple[int, int, int, int], ShiftTable]:
    """Score tables by (first view, second view, rotation of first, rotation of second)."""
    tables = {}
    turns = [view.zone.plane_rotations() for view in views]
    for v, w in combinations(range(len(views)), 2):
        planes = shared_planes(views[v].zone_axis, views[w].zone_axis)
        for r in rotations[v]:
            first = row_sums(views[v], planes.of_first @ turns[v][r], planes.classes)
            for s in rotations[w]:
                second = row_sums(views[w], planes.of_second @ turns[w][s], planes.classes)
                tables[v, w, r, s] = shift_table(first, second, planes, prior)
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
) -> tuple[SharedPlanes, tuple[Ints, Ints], tuple[int, int]]:
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
    tables = _tables(views, [first, *(view.rotations for view in views[1:])], prior)
    for w in range(1, len(views)):
        grown = []
        for candidate in beam:
            for s in views[w].rotations:
                grown += _extend(candidate, w, s, views, tables)
        grown.sort(key=lambda c: -c.score)
        near = [c for c in grown[:BEAM] if c.score > grown[0].score - WINDOW]
        so_far = None if asked is None else (asked[0][: w + 1], asked[1][: w + 1])
        beam = near + [c for c in grown[len(near) :] if c.placing == so_far]
    return beam


def _extend(
    candidate: Candidate,
    w: int,
    s: int,
    views: list[CountedLines],
    tables: dict[tuple[int, int, int, int], ShiftTable],
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


def _pair_shifts(table: ShiftTable) -> Ints:
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
) -> tuple[Ints, Floats]:
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


def _point_at(views: list[CountedLines], places: list[Floats]) -> Floats:
    """Point (3,) of the crystal [a/2] whose line coordinates come closest to these, (2,) in each view."""
    onto_lines = np.concatenate([view.zone.onto_lines for view in views])
    return np.asarray(np.linalg.lstsq(onto_lines, np.concatenate(places), rcond=None)[0])
