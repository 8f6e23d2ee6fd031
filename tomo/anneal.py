"""Simulated annealing of the occupancy of the grid: Numba kernels and the schedule.

Minimises E(s) = sum_l table_l[count_l(s)] + w edges(s) + v second_edges(s) - m atoms(s) by Metropolis
moves at a falling temperature T (Kirkpatrick, Gelatt & Vecchi 1983, Science 220, 671). Only *boundary*
sites are touched: atoms with a vacant neighbour and vacant sites with an occupied one; they are kept in a
list with O(1) insertion and removal, and the change of every line's cost on adding or taking one
atom is kept too, so that a proposal costs one look-up for each view. Moves: flip one site; move
an atom to a vacancy of the same line of one view, which keeps that view's counts; exchange any
boundary atom with any boundary vacancy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .chain import Prior
from .layout import Layout, connectivity_table

#: Share of the proposals, cumulative, in 1/256: move along a line, exchange; the rest are flips.
MOVE_SHARES = np.array([64, 72], dtype=np.uint64)
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


class Annealer:
    """State of one annealing run.

    Parameters
    ----------
    layout : Layout
        From `layout_of`.
    table : (T,) float
        Cost of every count on every line, in the order of `Problem.table`.
    prior : Prior
        Edge weights and chemical potential.
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
            np.zeros((n_sites + 1, 2), np.int8),
            np.zeros(n_sites, np.int32),
            np.full(n_sites + 1, -1, np.int32),
            np.zeros(n_lines + 1, np.int32),
            np.zeros(2 * n_lines + 2),
            np.zeros(len(layout.block_start) - 1, np.int64),
        )
        self.set_energy(table, prior)
        _prepare(self._fixed, layout.second_degree, self._state)

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
            layout.second,
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
        return (self.layout.degree.astype(np.int64) - self._state[1][:-1, 0]) // 2

    @property
    def second_around(self) -> NDArray[np.int64]:
        """Occupied second neighbours of every site, (S,) int."""
        return (self.layout.second_degree.astype(np.int64) - self._state[1][:-1, 1]) // 2

    def copy(self, occupied: NDArray[np.bool_]) -> Annealer:
        """Another occupancy with the same costs and the same source of random numbers."""
        return Annealer(self.layout, self._table, self.prior, occupied, self.rng)

    def misfit(self) -> float:
        """Cost of the counts."""
        return float(self._table[self.layout.table_start[:-1] + self.line_counts].sum())

    def misfit_without(self, sites: NDArray[np.int64]) -> NDArray[np.float64]:
        """Change of the counts' cost on taking out any one of the atoms at `sites` (n,), (n,) float."""
        marginal = self._state[5]
        return np.asarray(marginal[2 * self.layout.line[sites] + 1].sum(axis=1))

    def flip(self, site: int) -> None:
        """Take an atom out, or put one in."""
        _flip(site, self._fixed, self._state)

    def energy(self) -> float:
        """Misfit + edge weights x edges - chemical potential x atoms."""
        inside = self._occupied[:-1] > 0
        edges = int((self.layout.degree - self.around)[inside].sum())
        second = int((self.layout.second_degree - self.second_around)[inside].sum())
        atoms = int(np.count_nonzero(inside))
        prior = self.prior
        shape = prior.edge_weight * edges + prior.second_weight * second
        return self.misfit() + shape - prior.chemical_potential * atoms

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
            Raise the edge weights in proportion until the first is at least this times the
            temperature, so that the crystal does not melt where only the counts are to be softened.

        Returns
        -------
        accepted, changed : int
            Accepted moves, and those among them that changed the energy.
        """
        weight = max(self.prior.edge_weight, least_weight * float(temperature))
        raised = weight / self.prior.edge_weight if self.prior.edge_weight > 0 else 1.0
        accepted, changed = _propose(
            self._fixed,
            self._state,
            (self.layout.line_start, self.layout.line_sites, connectivity_table(), _EXPONENTIAL),
            int(proposals),
            float(temperature),
            (weight, raised * self.prior.second_weight, self.prior.chemical_potential),
            int(guard),
            MOVE_SHARES,
            self.rng,
        )
        return accepted, changed


@_jit
def _listed(j: int, occupied: Any, gap: Any, degree: Any, lowest: Any) -> bool:
    """A boundary site: an atom with a vacant neighbour, or a vacancy with an occupied one."""
    return gap[j, 0] >= lowest[j] if occupied[j] == 1 else gap[j, 0] < degree[j]  # type: ignore[no-any-return]


@_jit
def _prepare(fixed: Any, second_degree: Any, state: Any) -> None:
    """Fill gap, boundary list, counts and marginal costs for the occupancy."""
    neighbours, degree, lowest, line, table_start, table, block, block_start, second = fixed
    occupied, gap, listed, slot, counts, marginal, n_listed = state
    n_sites, n_lines = len(degree), len(counts) - 1
    for i in range(n_sites):
        around = 0
        for d in range(12):
            around += occupied[neighbours[i, d]]
        gap[i, 0] = degree[i] - 2 * around
        around = 0
        for d in range(6):
            around += occupied[second[i, d]]
        gap[i, 1] = second_degree[i] - 2 * around
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
    neighbours, degree, lowest, line, table_start, table, block, block_start, second = fixed
    occupied, gap, listed, slot, counts, marginal, n_listed = state
    n_sites, n_lines = len(degree), len(counts) - 1
    step = 1 - 2 * occupied[i]
    occupied[i] += step
    for v in range(line.shape[1]):
        row = line[i, v]
        if row < n_lines:
            counts[row] += step
            _set_marginal(row, counts, table_start, table, marginal)
    for d in range(6):
        if second[i, d] < n_sites:
            gap[second[i, d], 1] -= 2 * step
    for d in range(13):
        j = neighbours[i, d] if d < 12 else i
        if j == n_sites:
            continue
        if d < 12:
            gap[j, 0] -= 2 * step
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
    weights: Any,
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
            fixed, state, lookup, b, block_start[b], share, temperature, weights, guard, shares, rng
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
    weights: Any,
    guard: int,
    shares: Any,
    rng: Any,
) -> tuple[int, int]:
    neighbours, line, second = fixed[0], fixed[3], fixed[8]
    weight, farther, worth = weights
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
            change = (weight * gap[i, 0] + farther * gap[i, 1] - worth) * (1 - 2 * s)
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
            change = weight * (gap[i, 0] - gap[j, 0]) + farther * (gap[i, 1] - gap[j, 1])
            change *= 1 - 2 * s
            for u in range(n_views):
                if line[i, u] != line[j, u]:
                    change += marginal[2 * line[i, u] + s] + marginal[2 * line[j, u] + 1 - s]
            if change > limit:
                continue
            for d in range(12):
                if neighbours[i, d] == j:
                    # The pair is an edge before and after.
                    change += 2 * weight
            for d in range(6):
                if second[i, d] == j:
                    change += 2 * farther
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
