"""Simulated annealing of the occupancy of the grid: Numba kernels and the schedule.

Minimises E(s) = sum_l table_l[count_l(s)] + w edges(s) - m atoms(s) by Metropolis moves at a falling
temperature T (Kirkpatrick, Gelatt & Vecchi 1983, Science 220, 671). Only *boundary* sites are
touched: atoms with a vacant neighbour and vacant sites with an occupied one; they are kept in a
list with O(1) insertion and removal, and the change of every line's cost on adding or taking one
atom is kept too, so that a proposal costs one look-up for each view. Moves: flip one site; move
an atom to a vacancy of the same line of one view, which keeps that view's counts; exchange any
boundary atom with any boundary vacancy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .chain import Prior
from .grid import NEIGHBOUR_VECTORS
from .problem import Problem

#: Share of the proposals, cumulative, in 1/256: move along a line, exchange; the rest are flips.
MOVE_SHARES = np.array([64, 72], dtype=np.uint64)
#: Bits of a guard: the move must keep the crystal in one piece; it must not open or close a hole.
ONE_PIECE, NO_HOLES = 1, 2
#: Sites of a slab.
_SLAB = 20_000
_LEVELS = 4096
#: Quantiles of the exponential distribution: a move is accepted when its cost is below T times one of them.
_EXPONENTIAL = -np.log((np.arange(_LEVELS) + 0.5) / _LEVELS)


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = njit(cache=True, nogil=True)(function)
    return compiled


def _jit_inline(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = njit(cache=True, nogil=True, inline="always")(function)
    return compiled


def random_state(seed: np.random.SeedSequence) -> NDArray[np.uint64]:
    """State (1,) uint64 of the kernels' random numbers."""
    return np.asarray(seed.generate_state(1, np.uint64), dtype=np.uint64)


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


@dataclass(frozen=True, eq=False)
class Layout:
    """What never changes during a run, laid out for the kernels; S sites, V views, L lines.

    Attributes
    ----------
    neighbours : (S, 12) int32
        Row of each neighbour; S where it is no candidate.
    degree : (S,) int8
        Neighbours that count in edges: 12 but at the end of the field of view.
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
    block : (S,) int32
        Slab of the crystal that a site lies in; slabs are worked on in turn, so that what a
        proposal reads stays in the processor's cache.
    block_start : (B + 1,) int64
        First place of each slab in the list of boundary sites.
    """

    neighbours: NDArray[np.int32]
    degree: NDArray[np.int8]
    lowest: NDArray[np.int8]
    line: NDArray[np.int32]
    line_start: NDArray[np.int64]
    line_sites: NDArray[np.int32]
    table_start: NDArray[np.int64]
    block: NDArray[np.int32]
    block_start: NDArray[np.int64]


def layout_of(problem: Problem, vacancies: bool = False) -> Layout:
    """Lay out a problem for the kernels; with ``vacancies``, every atom is a boundary site."""
    n_sites, n_lines = problem.n_sites, problem.n_lines
    degree = (problem.neighbours != -2).sum(axis=1)
    flat = problem.line.ravel()
    known = flat >= 0
    members = np.tile(np.arange(n_sites, dtype=np.int32), len(problem.line))[known]
    return Layout(
        np.where(problem.neighbours < 0, n_sites, problem.neighbours).astype(np.int32),
        degree.astype(np.int8),
        (-degree if vacancies else 2 - degree).astype(np.int8),
        np.ascontiguousarray(np.where(problem.line < 0, n_lines, problem.line).T, dtype=np.int32),
        np.concatenate([[0], np.cumsum(np.bincount(flat[known], minlength=n_lines))]).astype(np.int64),
        members[np.argsort(flat[known], kind="stable")],
        problem.table_start,
        *_slabs(problem),
    )


def _slabs(problem: Problem) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Slabs of about `_SLAB` sites across the longest axis, and where each begins in the list."""
    axis = int(np.argmax(np.ptp(problem.sites, axis=0)))
    height = problem.sites[:, axis] - problem.sites[:, axis].min()
    below = np.cumsum(np.bincount(height)) - 1
    block = (below[height] // _SLAB).astype(np.int32)
    block = np.unique(block, return_inverse=True)[1].astype(np.int32)
    return block, np.concatenate([[0], np.cumsum(np.bincount(block))]).astype(np.int64)


class Annealer:
    """State of one annealing run.

    Parameters
    ----------
    layout : Layout
        From `layout_of`.
    table : (T,) float
        Cost of every count on every line, in the order of `Problem.table`.
    prior : Prior
        Edge weight and chemical potential.
    occupied : (S,) bool
        Where the run starts.
    rng : (1,) uint64
        State of its random numbers, changed in place; see `random_state`.
    """

    def __init__(
        self,
        layout: Layout,
        table: NDArray[np.float64],
        prior: Prior,
        occupied: NDArray[np.bool_],
        rng: NDArray[np.uint64],
    ) -> None:
        n_sites, n_lines = len(layout.degree), len(layout.table_start) - 1
        self.layout = layout
        self.rng = rng
        self._occupied = np.zeros(n_sites + 1, np.int8)
        self._occupied[:n_sites] = occupied
        self._state = (
            self._occupied,
            np.zeros(n_sites + 1, np.int8),
            np.zeros(n_sites, np.int32),
            np.full(n_sites + 1, -1, np.int32),
            np.zeros(n_lines + 1, np.int32),
            np.zeros(2 * n_lines + 2),
            np.zeros(len(layout.block_start) - 1, np.int64),
        )
        self.set_energy(table, prior)
        _prepare(self._fixed, self._state)

    def set_energy(self, table: NDArray[np.float64], prior: Prior) -> None:
        """Go on with other costs."""
        layout = self.layout
        self.prior = prior
        self._table = np.ascontiguousarray(table, dtype=np.float64)
        self._fixed = (
            layout.neighbours,
            layout.degree,
            layout.lowest,
            layout.line,
            layout.table_start,
            self._table,
            layout.block,
            layout.block_start,
        )
        _set_marginals(self._state[4], layout.table_start, self._table, self._state[5])

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Copy of the occupancy, (S,) bool."""
        return np.asarray(self._occupied[:-1] > 0)

    @property
    def n_boundary(self) -> int:
        """Number of boundary sites."""
        return int(self._state[6].sum())

    @property
    def line_counts(self) -> NDArray[np.int64]:
        """Atoms on every line, (L,) int."""
        return self._state[4][:-1].astype(np.int64)

    @property
    def around(self) -> NDArray[np.int64]:
        """Occupied neighbours of every site, (S,) int."""
        # The kernels keep degree - 2 occupied neighbours.
        return (self.layout.degree.astype(np.int64) - self._state[1][:-1]) // 2

    def copy(self, occupied: NDArray[np.bool_]) -> Annealer:
        """Another occupancy with the same costs and the same source of random numbers."""
        return Annealer(self.layout, self._table, self.prior, occupied, self.rng)

    def misfit(self) -> float:
        """Cost of the counts."""
        return float(self._table[self.layout.table_start[:-1] + self.line_counts].sum())

    def energy(self) -> float:
        """Misfit + edge weight x edges - chemical potential x atoms."""
        inside = self._occupied[:-1] > 0
        edges = int((self.layout.degree.astype(np.int64) - self.around)[inside].sum())
        atoms = int(np.count_nonzero(inside))
        return self.misfit() + self.prior.edge_weight * edges - self.prior.chemical_potential * atoms

    def run(
        self, proposals: int, temperature: float, guard: int = 0, least_weight: float = 0.0
    ) -> tuple[int, int]:
        """Make proposals at one temperature.

        Parameters
        ----------
        proposals : int
        temperature : float
            In units of the energy.
        guard : int
            Bits `ONE_PIECE` and `NO_HOLES`: refuse moves that may violate these.
        least_weight : float
            Raise the edge weight to at least this times the temperature, so that the crystal
            does not melt where only the counts are to be softened.

        Returns
        -------
        accepted, changed : int
            Accepted moves, and those among them that changed the energy.
        """
        accepted, changed = _propose(
            self._fixed,
            self._state,
            (self.layout.line_start, self.layout.line_sites, connectivity_table(), _EXPONENTIAL),
            int(proposals),
            float(temperature),
            max(self.prior.edge_weight, least_weight * float(temperature)),
            self.prior.chemical_potential,
            int(guard),
            MOVE_SHARES,
            self.rng,
        )
        return accepted, changed


@_jit
def _listed(j: int, occupied: Any, gap: Any, degree: Any, lowest: Any) -> bool:
    """A boundary site: an atom with a vacant neighbour, or a vacancy with an occupied one."""
    return gap[j] >= lowest[j] if occupied[j] == 1 else gap[j] < degree[j]  # type: ignore[no-any-return]


@_jit
def _prepare(fixed: Any, state: Any) -> None:
    """Fill gap, boundary list, counts and marginal costs for the occupancy."""
    neighbours, degree, lowest, line, table_start, table, block, block_start = fixed
    occupied, gap, listed, slot, counts, marginal, n_listed = state
    n_sites, n_lines = len(degree), len(counts) - 1
    for i in range(n_sites):
        around = 0
        for d in range(12):
            around += occupied[neighbours[i, d]]
        gap[i] = degree[i] - 2 * around
    for i in range(n_sites):
        if _listed(i, occupied, gap, degree, lowest):
            b = block[i]
            slot[i] = block_start[b] + n_listed[b]
            listed[slot[i]] = i
            n_listed[b] += 1
        if occupied[i] == 1:
            for v in range(line.shape[1]):
                if line[i, v] < n_lines:
                    counts[line[i, v]] += 1
    _set_marginals(counts, table_start, table, marginal)


@_jit
def _set_marginals(counts: Any, table_start: Any, table: Any, marginal: Any) -> None:
    for row in range(len(table_start) - 1):
        _set_marginal(row, counts, table_start, table, marginal)


@_jit_inline
def _set_marginal(row: int, counts: Any, table_start: Any, table: Any, marginal: Any) -> None:
    """Cost of one atom more (even entries) and of one less (odd) on a line."""
    here = table_start[row] + counts[row]
    marginal[2 * row] = table[here + 1] - table[here] if here + 1 < table_start[row + 1] else np.inf
    marginal[2 * row + 1] = table[here - 1] - table[here] if here > table_start[row] else np.inf


@_jit
def _flip(i: int, fixed: Any, state: Any) -> None:
    """Flip site i and bring everything up to date."""
    neighbours, degree, lowest, line, table_start, table, block, block_start = fixed
    occupied, gap, listed, slot, counts, marginal, n_listed = state
    n_sites, n_lines = len(degree), len(counts) - 1
    step = 1 - 2 * occupied[i]
    occupied[i] += step
    for v in range(line.shape[1]):
        row = line[i, v]
        if row < n_lines:
            counts[row] += step
            _set_marginal(row, counts, table_start, table, marginal)
    for d in range(13):
        j = neighbours[i, d] if d < 12 else i
        if j == n_sites:
            continue
        if d < 12:
            gap[j] -= 2 * step
        place = slot[j]
        if _listed(j, occupied, gap, degree, lowest):
            if place < 0:
                b = block[j]
                slot[j] = block_start[b] + n_listed[b]
                listed[slot[j]] = j
                n_listed[b] += 1
        elif place >= 0:
            b = block[j]
            n_listed[b] -= 1
            last = listed[block_start[b] + n_listed[b]]
            listed[place] = last
            slot[last] = place
            slot[j] = -1


@_jit_inline
def _random(rng: Any) -> np.uint64:
    """Next 64 bits of splitmix64 (Steele, Lea & Flood 2014)."""
    rng[0] += np.uint64(0x9E3779B97F4A7C15)
    z = rng[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@_jit
def _refused(i: int, guard: int, neighbours: Any, occupied: Any, connected: Any) -> bool:
    """Whether flipping site i may break what the guard protects."""
    mask = np.int64(0)
    for d in range(12):
        mask |= np.int64(occupied[neighbours[i, d]]) << d
    return (connected[mask] & guard) != guard  # type: ignore[no-any-return]


@_jit
def _propose(
    fixed: Any,
    state: Any,
    lookup: Any,
    proposals: int,
    temperature: float,
    weight: float,
    worth: float,
    guard: int,
    shares: Any,
    rng: Any,
) -> tuple[int, int]:
    """Proposals in one slab after the other, to each by its share of the boundary."""
    block_start, n_listed = fixed[7], state[6]
    total = max(n_listed.sum(), 1)
    accepted, changed = 0, 0
    for b in range(len(n_listed)):
        share = proposals * n_listed[b] // total
        some, others = _propose_within(
            fixed, state, lookup, b, block_start[b], share, temperature, weight, worth, guard, shares, rng
        )
        accepted += some
        changed += others
    return accepted, changed


@_jit
def _propose_within(
    fixed: Any,
    state: Any,
    lookup: Any,
    b: int,
    first: int,
    proposals: int,
    temperature: float,
    weight: float,
    worth: float,
    guard: int,
    shares: Any,
    rng: Any,
) -> tuple[int, int]:
    neighbours, line = fixed[0], fixed[3]
    occupied, gap, listed, slot, _, marginal, n_listed = state
    line_start, line_sites, connected, exponential = lookup
    n_views, n_lines = line.shape[1], len(marginal) // 2 - 1
    high, levels = np.uint64(32), np.uint64(4095)
    accepted, changed = 0, 0
    for _ in range(proposals):
        # One random number: 32 bits choose the site, 12 the threshold, 8 the kind of move, 10 the view.
        r = _random(rng)
        i = listed[first + np.int64(((r >> high) * np.uint64(n_listed[b])) >> high)]
        s = occupied[i]
        limit = temperature * exponential[r & levels]
        kind = (r >> np.uint64(12)) & np.uint64(255)
        if kind >= shares[1]:
            change = (weight * gap[i] - worth) * (1 - 2 * s)
            for u in range(n_views):
                change += marginal[2 * line[i, u] + s]
            if change > limit or (guard and _refused(i, guard, neighbours, occupied, connected)):
                continue
            _flip(i, fixed, state)
        else:
            r2 = _random(rng) >> high
            if kind < shares[0]:
                v = np.int64((((r >> np.uint64(20)) & np.uint64(1023)) * np.uint64(n_views)) >> np.uint64(10))
                row = line[i, v]
                if row == n_lines:
                    continue
                length = np.uint64(line_start[row + 1] - line_start[row])
                j = line_sites[line_start[row] + np.int64((r2 * length) >> high)]
                if slot[j] < 0:
                    continue
            else:
                j = listed[first + np.int64((r2 * np.uint64(n_listed[b])) >> high)]
            if occupied[j] == s:
                continue
            change = weight * (gap[i] - gap[j]) * (1 - 2 * s)
            for u in range(n_views):
                if line[i, u] != line[j, u]:
                    change += marginal[2 * line[i, u] + s] + marginal[2 * line[j, u] + 1 - s]
            if change > limit:
                continue
            for d in range(12):
                if neighbours[i, d] == j:
                    # The pair is an edge before and after.
                    change += 2 * weight
            if change > limit or (guard and _refused(i, guard, neighbours, occupied, connected)):
                continue
            _flip(i, fixed, state)
            if guard and _refused(j, guard, neighbours, occupied, connected):
                _flip(i, fixed, state)
                continue
            _flip(j, fixed, state)
        accepted += 1
        changed += abs(change) > 1e-9
    return accepted, changed
