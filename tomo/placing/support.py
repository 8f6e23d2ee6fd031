"""Whether views placed in one frame leave room for the atoms that each of them counts.

An atom needs a site that lies on a column of every view. Sites between 0 and 1 atom full that come
closest to all counts at once tell a right placement from one that merely has the right plane sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.sparse import csr_matrix

from ..arrays import Bools, Floats, Ints
from ..zone import Zone
from .counted_lines import CountedLines, find_rows
from .placement import Candidate
from .planes import shared_planes

MAX_SITES = 400_000  # beyond, the fit would take minutes; the plane sums of such crystals decide alone
WORK = 2_000_000  # sites fitted, all candidates together
ROOM_VARIANCE = 0.5  # of a column's count beside its own error: columns missed in other views
STEPS = 60  # towards the best filling
NEAR, MOST = 15.0, 24  # candidates that are fitted: within so many log units of the best, at most so many


@dataclass(frozen=True)
class Room:
    """Sites on a column of every view, and which lines they are on.

    Attributes
    ----------
    sites : (s, 3) int
        Grid sites in the frame of the candidate.
    line : (views, s) int
        Row of each site's line in the view's list of columns; -1 outside the view's field.
    goes_on : (lines,) bool
        Lines of all views, one after another, that go on beyond these sites where another view does not
        reach: there is room for more atoms of them.
    """

    sites: Ints
    line: Ints
    goes_on: Bools


def room_of(views: list[CountedLines], candidate: Candidate, most: int = MAX_SITES) -> Room | None:
    """Sites that lie on a column, or out of sight, in every view; None if there are more than `most`."""
    moved = [candidate.lines_of(u, view) for u, view in enumerate(views)]
    pairs = [
        (int(np.dot(*_cells(moved[v], moved[w], views[v].zone, views[w].zone)[1])), v, w)
        for v, w in combinations(range(len(views)), 2)
    ]
    number, v, w = min(pairs)
    if number > most:
        return None
    sites = _crossings(moved[v], moved[w], views[v].zone, views[w].zone)
    rows: list[Ints] = []
    for u in range(len(views)):
        row, outside = _met(views, candidate, u, sites)
        keep = (row >= 0) | outside
        sites, rows = sites[keep], [known[keep] for known in (*rows, row)]
    return Room(sites, np.array(rows), _going_on(views, candidate, sites, np.array(rows)))


def _cells(first: Ints, second: Ints, own: Zone, other: Zone) -> tuple[list[Ints], list[Ints]]:
    """Plane and class of each line of two views, as one number: lines with the same one cross. With how many
    lines of each view have each number."""
    planes = shared_planes(own.zone_axis, other.zone_axis)
    places = [first @ planes.of_first.T, second @ planes.of_second.T]
    low = min(int(p[:, 0].min()) for p in places)
    keys = [(p[:, 0] - low) * planes.classes + p[:, 1] % planes.classes for p in places]
    cells = int(max(k.max() for k in keys)) + 1
    return keys, [np.bincount(k, minlength=cells) for k in keys]


def _crossings(first: Ints, second: Ints, own: Zone, other: Zone) -> Ints:
    """Sites (m, 3) where lines of two views cross."""
    keys, counts = _cells(first, second, own, other)
    order = [np.argsort(k, kind="stable") for k in keys]
    # all pairs within a cell: repeat each line of the first by the number of partners it has
    partners = counts[1][keys[0][order[0]]]
    one = np.repeat(order[0], partners)
    starts = (np.cumsum(counts[1]) - counts[1])[keys[0][order[0]]]
    offset = np.arange(len(one)) - np.repeat(np.cumsum(partners) - partners, partners)
    two = order[1][np.repeat(starts, partners) + offset]
    sites = own.sites(first[one])
    step = other.lines([own.t])[0]
    gap = second[two] - other.lines(sites)
    steps = gap @ step // int(step @ step)
    return np.asarray(sites + steps[:, None] * np.array(own.t))


def _met(views: list[CountedLines], candidate: Candidate, u: int, sites: Ints) -> tuple[Ints, Bools]:
    """Row of each site's line among the columns of view u, -1 if it is none; which are out of its sight."""
    lines, shown = views[u].zone.lines(sites), candidate.field_of(u, views[u])
    row = find_rows(candidate.lines_of(u, views[u]), lines)
    if shown is None:
        return row, np.zeros(len(row), dtype=bool)
    return row, (row < 0) & (find_rows(shown, lines) < 0)


def _going_on(views: list[CountedLines], candidate: Candidate, sites: Ints, rows: Ints) -> Bools:
    """Lines of all views, one after another, that go on beyond `sites` where another view does not reach.

    The next site along such a line is outside the field of at least one other view, and on a column of all
    others, if there are any. `rows` (views, s) are those of the sites.
    """
    found = [np.zeros(len(view.lines), dtype=bool) for view in views]
    if not len(sites) or all(view.inside is None for view in views):
        return np.concatenate(found)
    for v, (view, goes_on) in enumerate(zip(views, found, strict=True)):
        on_line = rows[v] >= 0
        for step in (np.array(view.zone.t), -np.array(view.zone.t)):
            following = sites[on_line] + step
            allowed = find_rows(sites, following) < 0
            unseen = np.zeros(len(following), dtype=bool)
            for u in set(range(len(views))) - {v}:
                row, outside = _met(views, candidate, u, following)
                allowed &= (row >= 0) | outside
                unseen |= outside
            goes_on[rows[v][on_line][allowed & unseen]] = True
    return np.concatenate(found)


def room_misfit(views: list[CountedLines], room: Room) -> float:
    """Chi-square of the counts against the best filling of the room with 0 to 1 atom a site.

    Lines that go on beyond the room may hold more atoms than there. Accelerated projected gradient (Beck and
    Teboulle, SIAM J. Imaging Sci. 2 (2009) 183) with the row and column sums as scale.
    """
    if not len(room.sites):
        return float(sum((v.atoms**2 / (v.variance + ROOM_VARIANCE)).sum() for v in views))
    n_lines = np.array([len(v.atoms) for v in views])
    start = np.concatenate([[0], np.cumsum(n_lines)])
    seen = room.line >= 0
    row = (room.line + start[:-1, None])[seen]
    column = np.broadcast_to(np.arange(room.line.shape[1]), room.line.shape)[seen]
    weight = np.concatenate([1 / (v.variance + ROOM_VARIANCE) for v in views])
    atoms = np.concatenate([v.atoms for v in views])
    matrix = csr_matrix((np.ones(len(row)), (row, column)), shape=(int(start[-1]), len(room.sites)))
    size = np.asarray(matrix.sum(axis=1)).ravel()
    if any(v.inside is not None for v in views):
        # columns that another view's field cuts off say nothing; the others stand for all
        reached = size > 0
        weight = np.where(reached, weight * len(atoms) / max(int(reached.sum()), 1), 0.0)
    transposed = matrix.T.tocsr()
    scale = 1 / np.maximum(transposed @ (weight * size), 1e-9)  # bounds the Hessian's diagonal blocks

    def excess(on_lines: Floats) -> Floats:
        difference = on_lines - atoms
        return np.where(room.goes_on, np.maximum(difference, 0), difference)

    fill = np.full(len(room.sites), 0.5)
    ahead, momentum = fill, 1.0
    for _ in range(STEPS):
        gradient = transposed @ (weight * excess(matrix @ ahead))
        new = np.clip(ahead - scale * gradient, 0, 1)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - fill)
        fill, momentum = new, following
    return float(weight @ excess(matrix @ fill) ** 2)


def misfit_of(views: list[CountedLines], candidate: Candidate) -> float | None:
    """`room_misfit` a column of views placed as the candidate says; None for crystals too large for it."""
    room = room_of(views, candidate)
    return None if room is None else room_misfit(views, room) / sum(len(view.lines) for view in views)


def rank_by_room(views: list[CountedLines], candidates: list[Candidate]) -> list[Candidate]:
    """Candidates near the best one scored again by whether their counts have room; best first.

    Of the chi-square's difference to the best one half is taken off the score; if even the best has a
    larger chi-square than lines, all are scaled down by the ratio.
    """
    near = [c for c in candidates if c.score > candidates[0].score - NEAR][:MOST]
    if len(near) < 2:
        return candidates
    misfits = []
    budget = WORK
    for candidate in near:
        room = room_of(views, candidate)
        if room is None or len(room.sites) > budget:
            break
        budget -= len(room.sites)
        misfits.append(room_misfit(views, room))
    if len(misfits) < 2:
        return candidates
    lowest = min(misfits)
    excess = max(1.0, lowest / sum(len(v.atoms) for v in views))
    scored = [
        replace(c, score=c.score - 0.5 * (m - lowest) / excess) for c, m in zip(near, misfits, strict=False)
    ]
    worst = min(c.score for c in scored)
    rest = [replace(c, score=min(c.score, worst)) for c in candidates[len(scored) :]]
    return sorted(scored, key=lambda c: -c.score) + rest
