"""Moves of the Markov chain over occupancies: Numba kernels.

The chain samples P(s) ~ exp(-E(s)) with the energy of `tomo.energy.occupancy`.

A site is *listed* where some of its neighbours are occupied, but not all of them (excluded places are vacant
neighbours). This does not depend on the site itself, so every flip has its reverse among the proposals.
Proposals start from a listed site drawn uniformly; as the number of those sites changes from B to B' with the
move, the acceptance is min(1, exp(-dE) B / B') (Hastings 1970, Biometrika 57, 97). The moves, each its own
reverse:

- flip one site;
- exchange an atom with a vacancy on the same grid line of one view (keeps that view's counts);
- exchange an atom with a neighbouring vacancy;
- switch the corners of a parallelogram spanned by the lines of two views, atom-vacancy-atom-
  vacancy, which keeps the counts of both (Ryser's interchange of binary matrices);
- flip a site drawn from all sites, if all its neighbours are vacant: atoms leave to the vacuum and
  come from it. Where vacancies are allowed, also if all its neighbours are occupied. Where they
  are not, moves that would close a hole are refused.

In moves of several sites, all of them must be listed before and after.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..energy.occupancy import exchange_cost, flip, flip_cost, site_on
from ..kernels import below, jit, jit_inline, jit_internal, random_bits, unit

#: Shares of the proposals, cumulative, in the order above; and of two views at temperature 1, whose counts,
#: where exact, let nothing but parallelograms pass. Of these two in a hundred find corners that can change.
SHARES, SHARES_OF_TWO = (0.52, 0.75, 0.85, 0.95), (0.25, 0.35, 0.4, 0.95)
_NEVER = 700.0
#: Largest -ln(u) of uniform random numbers u in each of so many intervals: costs above need no exponential.
_INTERVALS = 1024
_CEILING = np.append(_NEVER, -np.log(np.arange(1, _INTERVALS) / _INTERVALS))


@jit_inline
def _is_mixed(gap: int, degree: int, opened: bool) -> bool:
    """Whether a site with such a gap has neighbours of both kinds."""
    return gap < degree and (opened or gap > -degree)


@jit_internal
def _listed_change(i: int, layout: Any, occupied: Any, gap: Any) -> int:
    """Change of the number of listed sites on flipping site i."""
    neighbours, degree, opened = layout.neighbours, layout.degree, layout.opened
    change, shift = 0, 4 * occupied[i] - 2
    for d in range(12):
        j = neighbours[i, d]
        if j < neighbours.shape[0]:
            after = _is_mixed(gap[j, 0] + shift, degree[j, 0], opened[j])
            change += int(after) - int(_is_mixed(gap[j, 0], degree[j, 0], opened[j]))
    return change


@jit_internal
def _closes_hole(i: int, layout: Any, occupied: Any, gap: Any, left: int) -> bool:
    """Whether a vacant neighbour of i has no more than ``left`` vacant neighbours itself."""
    neighbours, degree, opened = layout.neighbours, layout.degree, layout.opened
    for d in range(12):
        j = neighbours[i, d]
        if j == neighbours.shape[0] or occupied[j] or opened[j]:
            continue
        if gap[j, 0] + degree[j, 0] <= 2 * left:
            return True
    return False


@jit_internal
def _row(sites: Any, cells: Any, i: int, j: int, k: int) -> int:
    """Row of the site i + j - k (grid vectors); -1 where it is no candidate."""
    h = np.int64(sites[i, 0]) + sites[j, 0] - sites[k, 0]
    m = np.int64(sites[i, 1]) + sites[j, 1] - sites[k, 1]
    n = np.int64(sites[i, 2]) + sites[j, 2] - sites[k, 2]
    if h < 0 or m < 0 or n < 0 or h // 2 >= cells.shape[0] or m >= cells.shape[1] or n >= cells.shape[2]:
        return -1
    row = cells[h // 2, m, n]
    # The cell is shared with the odd twin of its site.
    if row >= 0 and sites[row, 0] != h:
        return -1
    return row


@jit_inline
def _odds(change: float) -> float:
    """exp(-change), but never 0 or infinity."""
    return np.exp(-min(max(change, -_NEVER), _NEVER))  # type: ignore[no-any-return]


@jit_inline
def _is_hopeless(change: float, u: float, n_listed: int, leaving: int) -> bool:
    """Whether the random number u refuses a move of such a cost even if so many sites leave the list.

    Where these are no more than half of the list, the odds are at most 2 exp(-change), and ln 2 < 0.7.
    """
    return n_listed > 2 * leaving and change > _CEILING[np.int64(u * _INTERVALS)] + 0.7  # type: ignore[no-any-return]


@jit_internal
def _allows_flip(i: int, change: float, u: float, layout: Any, state: Any) -> bool:
    """Whether the random number u lets a listed site flip at such a cost."""
    occupied, gap = state.occupied, state.gap
    before = state.n_listed[0]
    odds = np.exp(-max(change, -_NEVER))
    # Twelve neighbours can enter or leave the list; they are counted only where it can matter.
    if u * (before - 12) >= odds * before:
        return False
    after = before + _listed_change(i, layout, occupied, gap)
    if u * after >= odds * before or after == 0:
        return False
    return layout.vacancies or occupied[i] == 1 or not _closes_hole(i, layout, occupied, gap, 1)


@jit_internal
def _try_several(move: Any, n: int, u: float, layout: Any, state: Any, prior: Any) -> bool:
    """Flip the first n sites of ``move`` together if the random number u allows it; else leave them."""
    line = layout.line
    occupied, gap, _, _, marginal, _, slot, n_listed = state
    before = n_listed[0]
    change = 0.0
    for m in range(n):
        change += flip_cost(move[m], line, occupied, gap, marginal, prior)
        flip(move[m], layout, state)
    possible = True
    for m in range(n):
        i = move[m]
        closed = occupied[i] and not layout.vacancies
        if slot[i] < 0 or (closed and _closes_hole(i, layout, occupied, gap, 0)):
            possible = False
    # Hastings: a proposal starts from one of the listed sites.
    if possible and u * n_listed[0] < _odds(change) * before:
        return True
    for m in range(n):
        flip(move[n - 1 - m], layout, state)
    return False


@jit_internal
def _try_alone(i: int, layout: Any, state: Any, prior: Any, rng: Any) -> bool:
    """Flip site i, apart from all listed ones, if chance allows it; the last atom stays."""
    occupied, gap = state.occupied, state.gap
    change = flip_cost(i, layout.line, occupied, gap, state.marginal, prior)
    if state.n_listed[0] + _listed_change(i, layout, occupied, gap) == 0:
        return False
    if unit(random_bits(rng)) >= _odds(change):
        return False
    flip(i, layout, state)
    return True


@jit
def propose(layout: Any, state: Any, prior: Any, sweeps: int, proposals: int, rng: Any, shares: Any) -> int:
    """Sweeps of so many proposals each, or of one for each listed site if 0; returns how many were accepted.

    A call, or a look into a tuple of arrays, costs more than a proposal. So all that refuses most proposals
    stands here, on arrays unpacked first; what few of them come to are functions of their own. Several
    sweeps are one call from Python, which costs as much as a sweep of a small crystal.
    """
    neighbours, degree, opened, line = layout.neighbours, layout.degree, layout.opened, layout.line
    line_start, line_sites, vacancies = layout.line_start, layout.line_sites, layout.vacancies
    occupied, gap, _, _, marginal, listed, slot, n_listed = state
    n_sites, n_views = line.shape
    accepted, n_lines, move = 0, len(line_start) - 1, np.zeros(4, np.int64)
    flips, along_line, to_neighbour, parallelogram = shares
    for _ in range(sweeps):
        for _ in range(proposals if proposals > 0 else n_listed[0]):
            # 32 bits choose the kind of move, 32 the site.
            r = random_bits(rng)
            kind = np.float64(r & np.uint64(0xFFFFFFFF)) * (1.0 / 4294967296.0)
            if kind >= parallelogram:
                i = below(r, n_sites)
                if not _is_mixed(gap[i, 0], degree[i, 0], opened[i]) and (
                    vacancies or gap[i, 0] == degree[i, 0]
                ):
                    accepted += _try_alone(i, layout, state, prior, rng)
                continue
            i = np.int64(listed[below(r, n_listed[0])])
            if kind < flips:
                change = flip_cost(i, line, occupied, gap, marginal, prior)
                u = unit(random_bits(rng))
                if not _is_hopeless(change, u, n_listed[0], 12) and _allows_flip(i, change, u, layout, state):
                    flip(i, layout, state)
                    accepted += 1
                continue
            if along_line <= kind < to_neighbour:
                j = np.int64(neighbours[i, below(random_bits(rng), 12)])
                if j == n_sites:
                    continue
            else:
                v = below(random_bits(rng), n_views)
                row = line[i, v]
                if row == n_lines:
                    continue
                j = site_on(row, line_start, line_sites, random_bits(rng))
            if occupied[j] == occupied[i] or slot[j] < 0:
                continue
            u = unit(random_bits(rng))
            if kind < to_neighbour:
                change = exchange_cost(i, j, line, occupied, gap, marginal, prior)
                if _is_hopeless(change, u, n_listed[0], 24):
                    continue
                move[0], move[1] = (i, j) if occupied[i] else (j, i)
                accepted += _try_several(move, 2, u, layout, state, prior)
            else:
                w = below(random_bits(rng), n_views - 1)
                w += w >= v  # one of the other views
                if w == n_views:
                    continue
                row = line[i, w]
                if row == n_lines:
                    continue
                k = site_on(row, line_start, line_sites, random_bits(rng))
                if occupied[k] == occupied[i] or slot[k] < 0:
                    continue
                m = _row(layout.sites, layout.cells, j, k, i)
                if m < 0 or occupied[m] != occupied[i] or slot[m] < 0:
                    continue
                # i and m are of one kind, j and k of the other; atoms leave first, so no count overflows.
                move[0], move[1], move[2], move[3] = (i, j, m, k) if occupied[i] else (j, i, k, m)
                accepted += _try_several(move, 4, u, layout, state, prior)
    return accepted


@jit
def add_conditionals(layout: Any, state: Any, prior: Any, certainty: Any) -> None:
    """Add every site's probability of being occupied, given all others, to ``certainty``.

    Its mean over a chain scatters less than that of the states themselves, and tends to the same (Gelfand and
    Smith, J. Am. Stat. Assoc. 85 (1990) 398).
    """
    line, degree, opened = layout.line, layout.degree, layout.opened
    occupied, gap, marginal = state.occupied, state.gap, state.marginal
    for i in range(len(line)):
        if _is_mixed(gap[i, 0], degree[i, 0], opened[i]):
            change = flip_cost(i, line, occupied, gap, marginal, prior)
            certainty[i] += 1.0 / (1.0 + _odds(change if occupied[i] else -change))
        else:
            certainty[i] += occupied[i]


@jit
def jump_all(jumps: Any, layout: Any, state: Any, prior: Any, rng: Any) -> int:
    """Propose to reverse each group of sites that holds its pattern or the opposite of it."""
    start, sites, pattern = jumps.start, jumps.sites, jumps.pattern
    degree, opened, line = layout.degree, layout.opened, layout.line
    occupied, gap, _, _, marginal, _, _, n_listed = state
    accepted = 0
    for g in range(len(start) - 1):
        turned = occupied[sites[start[g]]] != pattern[start[g]]
        fits = True
        for m in range(start[g], start[g + 1]):
            if (occupied[sites[m]] != pattern[m]) != turned:
                fits = False
                break
        if not fits:
            continue
        change = 0.0
        for m in range(start[g], start[g + 1]):
            i = np.int64(sites[m])
            change += flip_cost(i, line, occupied, gap, marginal, prior)
            flip(i, layout, state)
        possible = n_listed[0] > 0
        if not layout.vacancies:
            for m in range(start[g], start[g + 1]):
                i = np.int64(sites[m])
                if (occupied[i] and _closes_hole(i, layout, occupied, gap, 0)) or (
                    not occupied[i] and not opened[i] and gap[i, 0] == -degree[i, 0]
                ):
                    possible = False
        if possible and unit(random_bits(rng)) < _odds(change):
            accepted += 1
            continue
        for m in range(start[g], start[g + 1]):
            flip(np.int64(sites[m]), layout, state)
    return accepted
