"""Registration: bringing the indexed views of one particle into one crystal frame.

Every view names its lines up to a whole shift and a proper rotation that maps its projected grid to
itself. All rotations and shifts are scored by the atoms in planes that views share (`tomo.agreement`)
and by the centre of mass; a beam of the best candidates is carried from view to view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .agreement import SharedPlanes, bezout, gaussian_agreement, shared_planes
from .crystal import Crystal
from .errors import InputError
from .indexing import Indexing
from .zone import zone_geometry

BEAM = 48  # candidates carried from one view to the next
WINDOW = 40.0  # log units below the best that a candidate may lie and be carried on
COUNT_VARIANCE = 0.3  # of a column's count where no probabilities are given


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


@dataclass(frozen=True)
class Registration:
    """Views of one particle in one frame.

    Attributes
    ----------
    column_sites : tuple of (n, 3) int
        For each view, one grid site (h, k, l) on each column's line, in the common frame.
    used : tuple of (n,) bool
        For each view, the columns that are on a line of the counted sublattice.
    candidates : tuple of Candidate
        The chosen one first; equivalent ones (the inverted crystal, a common shift) left out.
    margin : float
        Score of the chosen candidate minus that of the runner-up [log units].
    orientation : tuple of (2, 2) int
        For each view, the matrix that turned its line names.
    shift : tuple of tuple of 2 int
        For each view, the shift of its turned line names.
    verdict : str
        "consistent" or "biased".
    warnings : tuple of str
        What deserves attention, one sentence each.
    """

    indexings: tuple[Indexing, ...]
    column_sites: tuple[NDArray[np.int64], ...]
    used: tuple[NDArray[np.bool_], ...]
    candidates: tuple[Candidate, ...]
    margin: float
    orientation: tuple[NDArray[np.int64], ...]
    shift: tuple[tuple[int, int], ...]
    verdict: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Lines:
    """What registration needs of one view: its counted lines, their atoms and the variance."""

    zone_axis: tuple[int, int, int]
    lines: NDArray[np.int64]
    atoms: NDArray[np.float64]
    variance: NDArray[np.float64]
    inside: NDArray[np.int64] | None  # all lines within the field of view, None if nothing is cut


def register_views(
    indexings: Sequence[Indexing],
    expected_counts: Sequence[ArrayLike],
    crystal: Crystal,
    *,
    count_probabilities: Sequence[ArrayLike | None] | None = None,
    fields_of_view: Sequence[tuple[float, float, float, float] | None] | None = None,
) -> Registration:
    """Bring indexed views of one particle into one frame.

    Parameters
    ----------
    indexings : sequence of Indexing
        One for each view.
    expected_counts : sequence of (n,) float
        Expected number of atoms of the counted sublattice in each column of each view.
    crystal : Crystal
        The crystal.
    count_probabilities : sequence of (n, kmax + 1) float, optional
        P(k atoms) of each column; gives the errors of the plane sums.
    fields_of_view : sequence of (left, right, top, bottom), optional
        Edges of each image [A] where it may cut the particle; None where it does not.

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        If the views cannot be of the same particle.
    """
    views = _prepare(indexings, expected_counts, count_probabilities, fields_of_view)
    candidates = [_centred(c, views) for c in _search(views)]
    best = candidates[0]
    margin = best.score - candidates[1].score if len(candidates) > 1 else np.inf
    orientation = tuple(
        zone_geometry(v.zone_axis).plane_rotations()[r] for v, r in zip(views, best.rotations, strict=True)
    )
    sites = tuple(
        zone_geometry(x.zone_axis).sites(x.lines @ turn.T + np.array(shift))
        for x, turn, shift in zip(indexings, orientation, best.shifts, strict=True)
    )
    return Registration(
        indexings=tuple(indexings),
        column_sites=sites,
        used=tuple(x.counted for x in indexings),
        candidates=tuple(candidates),
        margin=float(margin),
        orientation=orientation,
        shift=best.shifts,
        verdict="consistent",
        warnings=(),
    )


def _centred(candidate: Candidate, views: list[_Lines]) -> Candidate:
    """The same candidate moved as a whole so that the particle's middle is at the origin."""
    design, middle = [], []
    for view, r, shift in zip(views, candidate.rotations, candidate.shifts, strict=True):
        geometry = zone_geometry(view.zone_axis)
        turned = view.lines @ geometry.plane_rotations()[r].T + np.array(shift)
        design.append(np.linalg.inv(geometry.basis)[:2])
        middle.append((turned.min(axis=0) + turned.max(axis=0)) / 2)
    centre = np.linalg.lstsq(np.concatenate(design), np.concatenate(middle), rcond=None)[0]
    origin = np.rint(centre).astype(np.int64)
    origin[2] += origin.sum() % 2
    shifts = []
    for view, shift in zip(views, candidate.shifts, strict=True):
        i, j = np.array(shift) - zone_geometry(view.zone_axis).lines(origin)[0]
        shifts.append((int(i), int(j)))
    return Candidate(candidate.score, candidate.rotations, tuple(shifts))


def _prepare(
    indexings: Sequence[Indexing],
    expected_counts: Sequence[ArrayLike],
    count_probabilities: Sequence[ArrayLike | None] | None,
    fields_of_view: Sequence[tuple[float, float, float, float] | None] | None,
) -> list[_Lines]:
    views = []
    for number, (indexing, counts) in enumerate(zip(indexings, expected_counts, strict=True)):
        atoms = np.asarray(counts, dtype=float)
        if atoms.shape != (len(indexing),):
            raise InputError(
                f"view {indexing.name or number}: {len(indexing)} columns but counts of shape {atoms.shape}."
            )
        variance = np.full(len(atoms), COUNT_VARIANCE)
        table = None if count_probabilities is None else count_probabilities[number]
        if table is not None:
            p = np.asarray(table, dtype=float)
            k = np.arange(p.shape[1])
            variance = p @ k**2 - (p @ k) ** 2 + 0.05
        use = indexing.counted & np.isfinite(atoms)
        field = None if fields_of_view is None else fields_of_view[number]
        inside = None if field is None else lines_inside(indexing, field)
        views.append(_Lines(indexing.zone_axis, indexing.lines[use], atoms[use], variance[use], inside))
    return views


def lines_inside(indexing: Indexing, field: tuple[float, float, float, float]) -> NDArray[np.int64]:
    """Lines (m, 2) whose columns the image shows in full: inside its edges by half a column spacing."""
    left, right, top, bottom = field
    corners = np.array([(x, y) for x in (left, right) for y in (top, bottom)])
    basis = indexing.matrix @ indexing.zone.plane_basis * indexing.crystal.a / 2
    rim = np.linalg.solve(basis, (corners - indexing.offset).T).T
    low, high = np.floor(rim.min(axis=0)).astype(int) - 2, np.ceil(rim.max(axis=0)).astype(int) + 3
    grid = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
    lines = np.stack(grid, axis=-1).reshape(-1, 2)
    x, y = indexing.line_positions(lines).T
    margin = 0.4 * indexing.scale * np.sqrt(indexing.zone.cell_area(indexing.crystal.a))
    inside = (x > left + margin) & (x < right - margin) & (y > top + margin) & (y < bottom - margin)
    return np.asarray(lines[inside])


@dataclass(frozen=True)
class _Sums:
    """Atoms by shared plane and class in one view; row 0 is plane `start`."""

    start: int
    atoms: NDArray[np.float64]  # (planes, classes)
    variance: NDArray[np.float64]
    seen: NDArray[np.bool_]  # (planes, classes)
    cut: bool  # planes beyond the rows are unseen, not empty


def _plane_sums(view: _Lines, change: NDArray[np.int64], classes: int) -> _Sums:
    """Sums over the elements of the quotient; `change` takes line names to (plane, class)."""
    place = view.lines @ change.T
    planes = place[:, 0] if view.inside is None else np.append(place[:, 0], view.inside @ change[0])
    start, stop = int(planes.min()), int(planes.max()) + 1
    atoms, variance = np.zeros((stop - start, classes)), np.zeros((stop - start, classes))
    cell = (place[:, 0] - start, place[:, 1] % classes)
    np.add.at(atoms, cell, view.atoms)
    np.add.at(variance, cell, view.variance)
    seen = np.ones(atoms.shape, dtype=bool)
    if view.inside is not None:
        seen &= _complete_rows(place, view.inside @ change.T, start, stop)[:, None]
    return _Sums(start, atoms, variance, seen, view.inside is not None)


def _complete_rows(
    columns: NDArray[np.int64], inside: NDArray[np.int64], start: int, stop: int
) -> NDArray[np.bool_]:
    """Rows of columns that lie in the field of view and do not run into its edge."""
    first = np.full(stop - start, np.iinfo(np.int64).max)
    last = np.full(stop - start, np.iinfo(np.int64).min)
    np.minimum.at(first, inside[:, 0] - start, inside[:, 1])
    np.maximum.at(last, inside[:, 0] - start, inside[:, 1])
    complete = np.asarray(first < last)
    row = columns[:, 0] - start
    touching = (columns[:, 1] <= first[row] + 1) | (columns[:, 1] >= last[row] - 1)
    complete[row[touching]] = False
    return complete


@dataclass(frozen=True)
class _Table:
    """Score of every relative shift of a pair of views in given orientations."""

    planes: SharedPlanes
    turns: tuple[NDArray[np.int64], NDArray[np.int64]]
    lowest: int
    scores: NDArray[np.float64]  # (plane shifts, classes)

    def at(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores for shifts of line names (2,) of the first and (n, 2) of the second view."""
        place = second @ self.planes.of_second.T - first @ self.planes.of_first.T
        row = place[:, 0] - self.lowest
        valid = (row >= 0) & (row < len(self.scores))
        found = self.scores[np.clip(row, 0, len(self.scores) - 1), place[:, 1] % self.planes.classes]
        return np.where(valid, found, self.scores.min())


def _score_table(first: _Sums, second: _Sums, classes: int) -> tuple[int, NDArray[np.float64]]:
    """Score of every relative shift of the second view: (lowest plane shift, (shifts, classes))."""
    n, m = len(first.atoms), len(second.atoms)
    scores = np.zeros((n + m - 1, classes))
    shape = (n + 2 * m - 2, classes)
    position = np.repeat(np.arange(shape[0], dtype=float), classes)
    atoms, variance = np.zeros(shape), np.zeros(shape)
    seen = np.full(shape, not first.cut)
    own = slice(m - 1, m - 1 + n)
    atoms[own], variance[own], seen[own] = first.atoms, first.variance, first.seen
    for c in range(classes):
        rolled = [np.roll(values, c, axis=1) for values in (second.atoms, second.variance, second.seen)]
        for k in range(n + m - 1):
            other_atoms, other_variance = np.zeros(shape), variance.copy()
            other_seen = np.full(shape, not second.cut)
            here = slice(k, k + m)
            other_atoms[here] = rolled[0]
            other_variance[here] += rolled[1]
            other_seen[here] = rolled[2]
            use = (seen & other_seen & ((atoms > 0) | (other_atoms > 0))).ravel()
            scores[k, c] = gaussian_agreement(
                atoms.ravel()[use], other_atoms.ravel()[use], other_variance.ravel()[use], position[use]
            )
    return first.start - second.start - m + 1, scores


def _tables(views: list[_Lines]) -> dict[tuple[int, int, int, int], _Table]:
    """Score tables by (first view, second view, rotation of first, rotation of second)."""
    tables = {}
    turns = [zone_geometry(v.zone_axis).plane_rotations() for v in views]
    for v, first in enumerate(views):
        for w in range(v + 1, len(views)):
            second = views[w]
            planes = shared_planes(first.zone_axis, second.zone_axis)
            of_first = [_plane_sums(first, planes.of_first @ turn, planes.classes) for turn in turns[v]]
            of_second = [_plane_sums(second, planes.of_second @ turn, planes.classes) for turn in turns[w]]
            for r, own in enumerate(of_first):
                for s, other in enumerate(of_second):
                    lowest, scores = _score_table(own, other, planes.classes)
                    tables[v, w, r, s] = _Table(planes, (turns[v][r], turns[w][s]), lowest, scores)
    return tables


def _search(views: list[_Lines]) -> list[Candidate]:
    """Beam search over rotations and shifts, view by view."""
    n_turns = [len(zone_geometry(v.zone_axis).plane_rotations()) for v in views]
    # Turning every view by 180 degrees is the inverted crystal: half the rotations of the first do.
    beam = [Candidate(0.0, (r,), ((0, 0),)) for r in range(max(1, n_turns[0] // 2))]
    if len(views) == 1:
        return beam[:1]
    tables = _tables(views)
    for w in range(1, len(views)):
        grown = []
        for candidate in beam:
            for s in range(n_turns[w]):
                grown += _extend(candidate, w, s, views, tables)
        grown.sort(key=lambda c: -c.score)
        beam = [c for c in grown[:BEAM] if c.score > grown[0].score - WINDOW]
    return beam


def _extend(
    candidate: Candidate, w: int, s: int, views: list[_Lines], tables: dict[tuple[int, int, int, int], _Table]
) -> list[Candidate]:
    """Best shifts of view w in rotation s, given the views before it."""
    earlier = [(v, tables[v, w, candidate.rotations[v], s]) for v in range(w)]
    if w == 1:
        shifts = _pair_shifts(earlier[0][1])
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
    candidate: Candidate, w: int, s: int, views: list[_Lines]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Shifts of view w that bring its centre of mass near that of the views before, with penalties."""
    geometry = zone_geometry(views[w].zone_axis)
    lines = views[w].lines @ geometry.plane_rotations()[s].T
    weights = np.maximum(views[w].atoms, 0)
    own = weights @ lines / weights.sum()
    design, target = [], []
    for v in range(w):
        other = zone_geometry(views[v].zone_axis)
        turned = views[v].lines @ other.plane_rotations()[candidate.rotations[v]].T + candidate.shifts[v]
        weights = np.maximum(views[v].atoms, 0)
        design.append(np.linalg.inv(other.basis)[:2])
        target.append(weights @ turned / weights.sum())
    centre = np.linalg.lstsq(np.concatenate(design), np.concatenate(target), rcond=None)[0]
    wanted = np.linalg.inv(geometry.basis)[:2] @ centre - own
    cut = any(view.inside is not None for view in (views[w], *views[:w]))
    reach = 12.0 if cut else 5.0  # [a/2]
    spread = reach / 4
    steps = np.ceil(np.linalg.norm(np.linalg.inv(geometry.plane_basis), axis=1) * reach).astype(int)
    grid = np.meshgrid(*(np.arange(-k, k + 1) for k in steps), indexing="ij")
    shifts = np.stack(grid, axis=-1).reshape(-1, 2) + np.rint(wanted).astype(np.int64)
    away = np.linalg.norm((shifts - wanted) @ geometry.plane_basis.T, axis=1)
    keep = away <= reach
    return shifts[keep], -0.5 * (away[keep] / spread) ** 2
