"""A reconstruction problem laid out for the kernels: the one description that annealing and chains share."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats, Ints
from ..grid import NEIGHBOUR_VECTORS
from ..problem import Problem

#: Bits of a guard: the move must keep the crystal in one piece; it must not open or close a hole.
ONE_PIECE, NO_HOLES = 1, 2
#: Sites of a slab.
_SLAB = 20_000


class Layout(NamedTuple):
    """What moves do not change, laid out for the kernels; S sites, V views, L lines, B slabs.

    Attributes
    ----------
    sites : (S, 3) int32
        Grid indices, counted from the lowest.
    cells : (i, j, k) int32
        Dense look-up: site (h, k, l) has row ``cells[h // 2, k, l]``.
    neighbours : (S, 12) int32
        Row of each neighbour; S where it is no candidate.
    second : (S, 6) int32
        The same of the second neighbours.
    degree : (S, 2) int8
        Nearest and second neighbours that count in edges: 12 and 6 but at the end of the field of view.
    connected : (4096,) uint8
        From `connectivity_table`.
    line : (S, V) int32
        Line of each site in each view; L where nothing is known.
    line_start : (L + 1,) int64
        Sites of line l are ``line_sites[line_start[l]:line_start[l + 1]]``.
    line_sites : (n,) int32
        See `line_start`.
    table_start : (L + 1,) int64
        As in `Problem`.
    opened : (S,) bool
        As in `Problem`.
    worth : (S,) float64 or (0,)
        What an atom at each site is worth. Each site is then a line of its own, too, after all others.
    vacancies : bool
        Atoms inside the crystal may be missing.
    pieces : bool
        The crystal may be in several pieces.
    reversible : bool
        Which sites moves start from; see `tomo.energy.occupancy`.
    block : (S,) int32
        Slab of the crystal that a site lies in; slabs are worked on in turn, so that what a
        proposal reads stays in the processor's cache.
    block_start : (B + 1,) int64
        First place of each slab in the list of sites that moves start from.
    """

    sites: NDArray[np.int32]
    cells: NDArray[np.int32]
    neighbours: NDArray[np.int32]
    second: NDArray[np.int32]
    degree: NDArray[np.int8]
    connected: NDArray[np.uint8]
    line: NDArray[np.int32]
    line_start: Ints
    line_sites: NDArray[np.int32]
    table_start: Ints
    opened: Bools
    worth: Floats
    vacancies: bool
    pieces: bool
    reversible: bool
    block: NDArray[np.int32]
    block_start: Ints

    def for_chains(self) -> Layout:
        """The same for fair draws: every move has its reverse, and all sites are in one slab."""
        n_sites = len(self.sites)
        one_slab = np.array([0, n_sites], np.int64)
        return self._replace(reversible=True, block=np.zeros(n_sites, np.int32), block_start=one_slab)


def layout_of(problem: Problem, vacancies: bool = False, pieces: bool = False) -> Layout:
    """Lay out a problem for the kernels; for ``vacancies`` and ``pieces`` see `Layout`."""
    sites = problem.sites - problem.sites.min(axis=0)
    neighbours, second, degree = _neighbours(problem)
    line, line_start, line_sites = _lines(problem)
    block, block_start = _slabs(problem)
    worth = np.zeros(0) if problem.worth is None else problem.worth
    opened = np.zeros(len(sites), dtype=bool) if problem.opened is None else problem.opened
    return Layout(
        sites=np.ascontiguousarray(sites, dtype=np.int32),
        cells=_cells(sites),
        neighbours=neighbours,
        second=second,
        degree=degree,
        connected=connectivity_table(),
        line=line,
        line_start=line_start,
        line_sites=line_sites,
        table_start=_table_start(problem),
        opened=opened,
        worth=worth,
        vacancies=bool(vacancies),
        pieces=bool(pieces),
        reversible=False,
        block=block,
        block_start=block_start,
    )


def _cells(sites: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Row of the site in every cell of the box around all sites, -1 where there is none."""
    # The sum of a site's indices is even: of two neighbouring places along the first axis one holds a site.
    h, k, last = (sites // (2, 1, 1)).T
    cells = np.full((h.max() + 1, k.max() + 1, last.max() + 1), -1, np.int32)
    cells[h, k, last] = np.arange(len(sites), dtype=np.int32)
    return cells


def _neighbours(problem: Problem) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """Rows of neighbours (S, 12) and second neighbours (S, 6), S where they are no candidates, and how many
    of both count in edges, (S, 2)."""
    both = problem.neighbours, problem.second_neighbours
    first, second = (np.where(rows < 0, problem.n_sites, rows).astype(np.int32) for rows in both)
    return first, second, np.stack([(rows != -2).sum(axis=1) for rows in both], axis=1).astype(np.int8)


def _lines(problem: Problem) -> tuple[NDArray[np.int32], Ints, NDArray[np.int32]]:
    """Line of each site in each view (S, V), L where nothing is known; where the sites of each line begin,
    (L + 1,), and these sites."""
    lines, n_lines = problem.line, problem.n_lines
    if problem.worth is not None:
        lines = np.vstack([lines, n_lines + np.arange(problem.n_sites)])
        n_lines += problem.n_sites
    line = np.ascontiguousarray(np.where(lines < 0, n_lines, lines).T, dtype=np.int32)
    flat = lines.ravel()
    known = flat >= 0
    start = np.concatenate([[0], np.cumsum(np.bincount(flat[known], minlength=n_lines))])
    members = np.tile(np.arange(problem.n_sites, dtype=np.int32), len(lines))[known]
    return line, start.astype(np.int64), members[np.argsort(flat[known], kind="stable")]


def _table_start(problem: Problem) -> Ints:
    """Where the costs of each line begin, (L + 1,), those of lines of a single site last."""
    start = np.asarray(problem.table_start, dtype=np.int64)
    if problem.worth is None:
        return start
    return np.concatenate([start, start[-1] + 2 * np.arange(1, problem.n_sites + 1)])


def _slabs(problem: Problem) -> tuple[NDArray[np.int32], Ints]:
    """Slabs of about `_SLAB` sites across the longest axis, and where each begins in the list."""
    axis = int(np.argmax(np.ptp(problem.sites, axis=0)))
    height = problem.sites[:, axis] - problem.sites[:, axis].min()
    below = np.cumsum(np.bincount(height)) - 1
    block = (below[height] // _SLAB).astype(np.int32)
    block = np.unique(block, return_inverse=True)[1].astype(np.int32)
    return block, np.concatenate([[0], np.cumsum(np.bincount(block))]).astype(np.int64)


@cache
def connectivity_table() -> NDArray[np.uint8]:
    """Which flips keep the crystal locally connected, (4096,), for each pattern of occupied neighbours.

    Bit d of the index is set where neighbour d (order of `NEIGHBOUR_VECTORS`) is occupied. `ONE_PIECE` is set
    in the entry where the occupied neighbours form one group of neighbours among themselves, `NO_HOLES` where
    the vacant ones do. A flip with both set can neither split or join parts of the crystal nor open or close
    a hole.

    Examples
    --------
    >>> table = connectivity_table()
    >>> int(table[0]), int(table[0b1]), int(table[4095])
    (2, 3, 1)
    """
    apart = NEIGHBOUR_VECTORS[:, None] - NEIGHBOUR_VECTORS[None]
    adjacent = (apart**2).sum(axis=2) == 2
    table = np.zeros(4096, dtype=np.uint8)
    for mask in range(4096):
        occupied = ((mask >> np.arange(12)) & 1).astype(bool)
        for bit, members in ((ONE_PIECE, occupied), (NO_HOLES, ~occupied)):
            reached = np.zeros(12, dtype=bool)
            reached[np.argmax(members)] = members.any()
            for _ in range(6):
                reached |= (adjacent[reached].any(axis=0)) & members
            table[mask] |= bit * int(members.any() and (reached == members).all())
    return table
