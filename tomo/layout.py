"""A reconstruction problem laid out for the annealing kernels."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .grid import NEIGHBOUR_VECTORS
from .problem import Problem

#: Bits of a guard: the move must keep the crystal in one piece; it must not open or close a hole.
ONE_PIECE, NO_HOLES = 1, 2
#: Sites of a slab.
_SLAB = 20_000


class Layout(NamedTuple):
    """What moves do not change, laid out for the kernels; S sites, V views, L lines.

    Attributes
    ----------
    neighbours : (S, 12) int32
        Row of each neighbour; S where it is no candidate.
    second : (S, 6) int32
        The same of the second neighbours.
    degree, second_degree : (S,) int8
        Neighbours that count in edges: 12 and 6 but at the end of the field of view.
    lowest : (S,) int8
        An atom is a boundary site from this value of ``vacant - occupied neighbours`` on.
    line : (S, V) int32
        Line of each site in each view; L where nothing is known.
    line_start : (L + 1,) int64
        Sites of line l are ``line_sites[line_start[l]:line_start[l + 1]]``.
    line_sites : (n,) int32
        See `line_start`.
    table_start : (L + 1,) int64
        As in `Problem`.
    table : (T,) float
        Cost of every count on every line, in the order of `Problem.table`; a run may have others later.
    block : (S,) int32
        Slab of the crystal that a site lies in; slabs are worked on in turn, so that what a
        proposal reads stays in the processor's cache.
    block_start : (B + 1,) int64
        First place of each slab in the list of boundary sites.
    connected : (4096,) uint8
        From `connectivity_table`.
    """

    neighbours: NDArray[np.int32]
    second: NDArray[np.int32]
    degree: NDArray[np.int8]
    second_degree: NDArray[np.int8]
    lowest: NDArray[np.int8]
    line: NDArray[np.int32]
    line_start: NDArray[np.int64]
    line_sites: NDArray[np.int32]
    table_start: NDArray[np.int64]
    table: NDArray[np.float64]
    block: NDArray[np.int32]
    block_start: NDArray[np.int64]
    connected: NDArray[np.uint8]


def layout_of(problem: Problem, vacancies: bool = False) -> Layout:
    """Lay out a problem for the kernels; with ``vacancies``, every atom is a boundary site."""
    neighbours, second, degrees = neighbours_of(problem)
    degree, second_degree = np.ascontiguousarray(degrees.T)
    return Layout(
        neighbours,
        second,
        degree,
        second_degree,
        -degree if vacancies else 2 - degree,
        *lines_of(problem),
        problem.table_start,
        np.ascontiguousarray(problem.table, dtype=np.float64),
        *_slabs(problem),
        connectivity_table(),
    )


def neighbours_of(problem: Problem) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """Rows of neighbours (S, 12) and second neighbours (S, 6), S where they are no candidates, and how many
    of both count in edges, (S, 2)."""
    both = problem.neighbours, problem.second_neighbours
    first, second = (np.where(rows < 0, problem.n_sites, rows).astype(np.int32) for rows in both)
    return first, second, np.stack([(rows != -2).sum(axis=1) for rows in both], axis=1).astype(np.int8)


def lines_of(problem: Problem) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
    """Line of each site in each view (S, V), L where nothing is known; where the sites of each line begin,
    (L + 1,), and these sites."""
    line = np.ascontiguousarray(np.where(problem.line < 0, problem.n_lines, problem.line).T, dtype=np.int32)
    flat = problem.line.ravel()
    known = flat >= 0
    start = np.concatenate([[0], np.cumsum(np.bincount(flat[known], minlength=problem.n_lines))])
    members = np.tile(np.arange(problem.n_sites, dtype=np.int32), len(problem.line))[known]
    return line, start.astype(np.int64), members[np.argsort(flat[known], kind="stable")]


def _slabs(problem: Problem) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Slabs of about `_SLAB` sites across the longest axis, and where each begins in the list."""
    axis = int(np.argmax(np.ptp(problem.sites, axis=0)))
    height = problem.sites[:, axis] - problem.sites[:, axis].min()
    below = np.cumsum(np.bincount(height)) - 1
    block = (below[height] // _SLAB).astype(np.int32)
    block = np.unique(block, return_inverse=True)[1].astype(np.int32)
    return block, np.concatenate([[0], np.cumsum(np.bincount(block))]).astype(np.int64)


@cache
def connectivity_table() -> NDArray[np.uint8]:
    """Which flips keep the crystal locally connected, for each pattern of occupied neighbours.

    Returns
    -------
    (4096,) uint8
        Bit d of the index is set where neighbour d (order of `NEIGHBOUR_VECTORS`) is occupied.
        `ONE_PIECE` is set in the entry where the occupied neighbours form one group of
        neighbours among themselves, `NO_HOLES` where the vacant ones do. A flip with both set
        can neither split or join parts of the crystal nor open or close a hole.

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
