"""Moves of the annealing: Numba kernels.

Only *boundary* sites are touched: atoms with a vacant neighbour and vacant sites with an occupied one;
they are kept in a list with O(1) insertion and removal, and the change of every line's cost on adding or
taking one atom is kept too, so that a proposal costs one look-up for each view. Moves: flip one site; move
an atom to a vacancy of the same line of one view, which keeps that view's counts; exchange any boundary
atom with any boundary vacancy.

A move is accepted with probability min(1, exp(-dE / T)) (Metropolis et al., J. Chem. Phys. 21 (1953) 1087).
That the boundary grows or shrinks with it is left out: what is sought is the lowest energy. Fair draws from
the posterior are the business of `tomo.chain_moves`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .kernels import jit, jit_inline, random_bits

#: Share of the proposals, cumulative, in 1/256: move along a line, exchange; the rest are flips.
MOVE_SHARES = np.array([64, 72], dtype=np.uint64)
#: Entries of `EXPONENTIAL`, a power of two.
LEVELS = 4096
#: Quantiles of the exponential distribution: a move is accepted when its cost is below T times one of them.
EXPONENTIAL = -np.log((np.arange(LEVELS) + 0.5) / LEVELS)


class State(NamedTuple):
    """An occupancy, and what is kept up to date with it; S sites, L lines, B slabs.

    Attributes
    ----------
    occupied : (S + 1,) int8
        1 where there is an atom; the last entry stands for all that is no candidate.
    gap : (S + 1, 2) int8
        Nearest, and second, neighbours of each site less twice those that are occupied.
    listed : (S,) int32
        The boundary sites of slab b are ``listed[block_start[b]:block_start[b] + n_listed[b]]``.
    slot : (S + 1,) int32
        Where a site is in that list; -1 where it is not.
    counts : (L + 1,) int32
        Atoms on each line; the last line is one of no cost.
    marginal : (2 L + 2,) float
        Cost of one atom more (even entries) and of one less (odd) on each line.
    n_listed : (B,) int64
        See `listed`.
    """

    occupied: NDArray[np.int8]
    gap: NDArray[np.int8]
    listed: NDArray[np.int32]
    slot: NDArray[np.int32]
    counts: NDArray[np.int32]
    marginal: NDArray[np.float64]
    n_listed: NDArray[np.int64]


@jit
def _is_listed(j: int, occupied: Any, gap: Any, degree: Any, lowest: Any) -> bool:
    """A boundary site: an atom with a vacant neighbour, or a vacancy with an occupied one."""
    return gap[j, 0] >= lowest[j] if occupied[j] == 1 else gap[j, 0] < degree[j]  # type: ignore[no-any-return]


@jit
def prepare(layout: Any, state: Any) -> None:
    """Fill gap, boundary list, counts and marginal costs for the occupancy."""
    occupied, gap, line, block = state.occupied, state.gap, layout.line, layout.block
    n_sites, n_lines = len(layout.degree), len(state.counts) - 1
    for i in range(n_sites):
        around = 0
        for d in range(12):
            around += occupied[layout.neighbours[i, d]]
        gap[i, 0] = layout.degree[i] - 2 * around
        around = 0
        for d in range(6):
            around += occupied[layout.second[i, d]]
        gap[i, 1] = layout.second_degree[i] - 2 * around
    for i in range(n_sites):
        if _is_listed(i, occupied, gap, layout.degree, layout.lowest):
            state.slot[i] = layout.block_start[block[i]] + state.n_listed[block[i]]
            state.listed[state.slot[i]] = i
            state.n_listed[block[i]] += 1
        if occupied[i] == 1:
            for v in range(line.shape[1]):
                if line[i, v] < n_lines:
                    state.counts[line[i, v]] += 1
    set_marginals(layout, state)


@jit
def set_marginals(layout: Any, state: Any) -> None:
    """Marginal costs of all lines for other costs."""
    for row in range(len(layout.table_start) - 1):
        _set_marginal(row, layout.table_start, layout.table, state.counts, state.marginal)


@jit_inline
def _set_marginal(row: int, table_start: Any, table: Any, counts: Any, marginal: Any) -> None:
    """Cost of one atom more (even entries) and of one less (odd) on a line."""
    here = table_start[row] + counts[row]
    marginal[2 * row] = table[here + 1] - table[here] if here + 1 < table_start[row + 1] else np.inf
    marginal[2 * row + 1] = table[here - 1] - table[here] if here > table_start[row] else np.inf


@jit
def flip(i: int, layout: Any, state: Any) -> None:
    """Flip site i and bring everything up to date."""
    neighbours, second, line, block = layout.neighbours, layout.second, layout.line, layout.block
    occupied, gap, listed, slot, counts, marginal, n_listed = state
    n_sites, n_lines = len(layout.degree), len(counts) - 1
    step = 1 - 2 * occupied[i]
    occupied[i] += step
    for v in range(line.shape[1]):
        row = line[i, v]
        if row < n_lines:
            counts[row] += step
            _set_marginal(row, layout.table_start, layout.table, counts, marginal)
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
        if _is_listed(j, occupied, gap, layout.degree, layout.lowest):
            if place < 0:
                b = block[j]
                slot[j] = layout.block_start[b] + n_listed[b]
                listed[slot[j]] = j
                n_listed[b] += 1
        elif place >= 0:
            b = block[j]
            n_listed[b] -= 1
            last = listed[layout.block_start[b] + n_listed[b]]
            listed[place] = last
            slot[last] = place
            slot[j] = -1


@jit
def _is_refused(i: int, guard: int, neighbours: Any, occupied: Any, connected: Any) -> bool:
    """Whether flipping site i may break what the guard protects."""
    mask = np.int64(0)
    for d in range(12):
        mask |= np.int64(occupied[neighbours[i, d]]) << d
    return (connected[mask] & guard) != guard  # type: ignore[no-any-return]


@jit_inline
def flip_cost(i: int, line: Any, occupied: Any, gap: Any, marginal: Any, prior: Any) -> float:
    """Energy change on flipping site i."""
    s = occupied[i]
    shape = prior.edge_weight * gap[i, 0] + prior.second_weight * gap[i, 1] - prior.chemical_potential
    change = shape * (1 - 2 * s)
    for v in range(line.shape[1]):
        change += marginal[2 * line[i, v] + s]
    return change  # type: ignore[no-any-return]


@jit_inline
def _exchange_cost(i: int, j: int, line: Any, occupied: Any, gap: Any, marginal: Any, prior: Any) -> float:
    """Energy change on exchanging the states of sites i and j, which differ, were they no neighbours."""
    s = occupied[i]
    change = prior.edge_weight * (gap[i, 0] - gap[j, 0]) + prior.second_weight * (gap[i, 1] - gap[j, 1])
    change *= 1 - 2 * s
    for v in range(line.shape[1]):
        if line[i, v] != line[j, v]:
            change += marginal[2 * line[i, v] + s] + marginal[2 * line[j, v] + 1 - s]
    return change  # type: ignore[no-any-return]


@jit_inline
def _bond_cost(i: int, j: int, neighbours: Any, second: Any, prior: Any) -> float:
    """What that leaves out: neighbours that change places are an edge before and after."""
    for d in range(12):
        if neighbours[i, d] == j:
            return 2 * prior.edge_weight  # type: ignore[no-any-return]
    for d in range(6):
        if second[i, d] == j:
            return 2 * prior.second_weight  # type: ignore[no-any-return]
    return 0.0


@jit
def _propose_within(
    layout: Any,
    state: Any,
    prior: Any,
    b: int,
    proposals: int,
    temperature: float,
    guard: int,
    shares: Any,
    rng: Any,
) -> tuple[int, int]:
    """Proposals in slab b; arrays are unpacked first, as every look into a tuple counts references."""
    neighbours, second, connected = layout.neighbours, layout.second, layout.connected
    line, line_start, line_sites = layout.line, layout.line_start, layout.line_sites
    occupied, gap, listed, slot, counts, marginal, n_listed = state
    first, n_views, n_lines = layout.block_start[b], line.shape[1], len(counts) - 1
    high, levels = np.uint64(32), np.uint64(LEVELS - 1)
    accepted, changed = 0, 0
    for _ in range(proposals):
        # One random number: 32 bits choose the site, 12 the threshold, 8 the kind of move, 10 the view.
        r = random_bits(rng)
        i = np.int64(listed[first + np.int64(((r >> high) * np.uint64(n_listed[b])) >> high)])
        limit = temperature * EXPONENTIAL[r & levels]
        kind = (r >> np.uint64(12)) & np.uint64(255)
        if kind >= shares[1]:
            change = flip_cost(i, line, occupied, gap, marginal, prior)
            if change > limit or (guard and _is_refused(i, guard, neighbours, occupied, connected)):
                continue
            flip(i, layout, state)
        else:
            r2 = random_bits(rng) >> high
            if kind < shares[0]:
                v = np.int64((((r >> np.uint64(20)) & np.uint64(1023)) * np.uint64(n_views)) >> np.uint64(10))
                row = line[i, v]
                if row == n_lines:
                    continue
                length = np.uint64(line_start[row + 1] - line_start[row])
                j = np.int64(line_sites[line_start[row] + np.int64((r2 * length) >> high)])
                if slot[j] < 0:
                    continue
            else:
                j = np.int64(listed[first + np.int64((r2 * np.uint64(n_listed[b])) >> high)])
            if occupied[j] == occupied[i]:
                continue
            change = _exchange_cost(i, j, line, occupied, gap, marginal, prior)
            if change > limit:
                continue
            change += _bond_cost(i, j, neighbours, second, prior)
            if change > limit or (guard and _is_refused(i, guard, neighbours, occupied, connected)):
                continue
            flip(i, layout, state)
            if guard and _is_refused(j, guard, neighbours, occupied, connected):
                flip(i, layout, state)
                continue
            flip(j, layout, state)
        accepted += 1
        changed += abs(change) > 1e-9
    return accepted, changed


@jit
def propose(
    layout: Any,
    state: Any,
    prior: Any,
    proposals: int,
    temperature: float,
    guard: int,
    shares: Any,
    rng: Any,
) -> tuple[int, int]:
    """Proposals in one slab after the other, to each by its share of the boundary.

    Returns how many were accepted, and how many of those changed the energy.
    """
    total = max(state.n_listed.sum(), 1)
    accepted, changed = 0, 0
    for b in range(len(state.n_listed)):
        share = proposals * state.n_listed[b] // total
        some, others = _propose_within(layout, state, prior, b, share, temperature, guard, shares, rng)
        accepted += some
        changed += others
    return accepted, changed
