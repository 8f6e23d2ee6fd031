"""Moves of the annealing: Numba kernels.

Flip one site; move an atom to a vacancy of the same line of one view, which keeps that view's counts;
exchange any boundary atom with any boundary vacancy.

A move is accepted with probability min(1, exp(-dE / T)) (Metropolis et al., J. Chem. Phys. 21 (1953) 1087).
That the boundary grows or shrinks with it is left out: what is sought is the lowest energy. Fair draws from
the posterior are the business of `tomo.sampling.moves`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..energy.occupancy import exchange_cost, flip, flip_cost, site_on
from ..kernels import below, exponential, jit, jit_inline, jit_internal, random_bits

#: Proposals of 256 that are moves along a line, and these with the exchanges; the rest are flips.
_ALONG_LINE, _OF_TWO = 64, 72


@jit_internal
def _is_refused(i: int, guard: int, neighbours: Any, occupied: Any, connected: Any) -> bool:
    """Whether flipping site i may break what the guard protects."""
    mask = np.int64(0)
    for d in range(12):
        mask |= np.int64(occupied[neighbours[i, d]]) << d
    return (connected[mask] & guard) != guard  # type: ignore[no-any-return]


@jit_inline
def _bond_cost(i: int, j: int, neighbours: Any, second: Any, prior: Any) -> float:
    """What `exchange_cost` leaves out: neighbours that change places are an edge before and after."""
    for d in range(12):
        if neighbours[i, d] == j:
            return 2 * prior.edge_weight  # type: ignore[no-any-return]
    for d in range(6):
        if second[i, d] == j:
            return 2 * prior.second_weight  # type: ignore[no-any-return]
    return 0.0


@jit_internal
def _propose_within(
    b: int, layout: Any, state: Any, prior: Any, proposals: int, temperature: float, guard: int, rng: Any
) -> int:
    """Proposals in slab b; how many changed the energy.

    Arrays are unpacked first, as every look into a tuple counts references.
    """
    neighbours, second, connected = layout.neighbours, layout.second, layout.connected
    line, line_start, line_sites = layout.line, layout.line_start, layout.line_sites
    occupied, gap, _, _, marginal, listed, slot, n_listed = state
    first, n_views, n_lines = layout.block_start[b], line.shape[1], len(line_start) - 1
    changed = 0
    for _ in range(proposals):
        # One random number: 32 bits choose the site, 12 the threshold, 8 the kind of move, 10 the view.
        r = random_bits(rng)
        i = np.int64(listed[first + below(r, n_listed[b])])
        limit = temperature * exponential(r)
        kind = np.int64((r >> np.uint64(12)) & np.uint64(255))
        if kind >= _OF_TWO:
            change = flip_cost(i, line, occupied, gap, marginal, prior)
            if change > limit or (guard and _is_refused(i, guard, neighbours, occupied, connected)):
                continue
            flip(i, layout, state)
        else:
            r2 = random_bits(rng)
            if kind < _ALONG_LINE:
                v = np.int64((((r >> np.uint64(20)) & np.uint64(1023)) * np.uint64(n_views)) >> np.uint64(10))
                row = line[i, v]
                if row == n_lines:
                    continue
                j = site_on(row, line_start, line_sites, r2)
                if slot[j] < 0:
                    continue
            else:
                j = np.int64(listed[first + below(r2, n_listed[b])])
            if occupied[j] == occupied[i]:
                continue
            change = exchange_cost(i, j, line, occupied, gap, marginal, prior)
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
        changed += abs(change) > 1e-9
    return changed


@jit
def propose(
    layout: Any, state: Any, prior: Any, proposals: int, temperature: float, guard: int, rng: Any
) -> int:
    """Proposals in all slabs, to each by its share of the boundary; how many changed the energy."""
    total = max(state.n_listed.sum(), 1)
    changed = 0
    for b in range(len(state.n_listed)):
        share = proposals * state.n_listed[b] // total
        changed += _propose_within(b, layout, state, prior, share, temperature, guard, rng)
    return changed
