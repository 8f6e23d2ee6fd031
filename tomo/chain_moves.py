"""Moves of the Markov chain over occupancies: Numba kernels.

The chain samples P(s) ~ exp(-beta E(s)),

    E(s) = sum_l table_l[count_l(s)] + edge_weight * edges(s) + second_weight * second_edges(s)
           - chemical_potential * atoms(s).

The cost of one atom more or less on every line is kept up to date, so that a proposal needs one
look-up for each view.

A site is *flippable* where some of its neighbours are occupied, but not all of them. This does
not depend on the site itself, so every flip has its reverse among the proposals. Proposals start
from a flippable site drawn uniformly; as the number of those sites changes from B to B' with the
move, the acceptance is min(1, exp(-beta dE) B / B') (Hastings 1970, Biometrika 57, 97). The
moves, each its own reverse:

- flip one site;
- exchange an atom with a vacancy on the same grid line of one view (keeps that view's counts);
- exchange an atom with a neighbouring vacancy;
- switch the corners of a parallelogram spanned by the lines of two views, atom-vacancy-atom-
  vacancy, which keeps the counts of both (Ryser's interchange of binary matrices);
- flip a site drawn from all sites, if all its neighbours are vacant: atoms leave to the vacuum and
  come from it. Where vacancies are allowed, also if all its neighbours are occupied. Where they
  are not, moves that would close a hole are refused.

In moves of several sites, all of them must be flippable before and after.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels import jit, jit_inline, random_bits

#: Shares of the proposals, cumulative, in the order above.
MOVE_SHARES = np.array([0.52, 0.75, 0.85, 0.95])
_NEVER = 700.0
#: Largest -ln(u) of uniform random numbers u in each of so many intervals: costs above need no exponential.
_INTERVALS = 1024
_CEILING = np.append(_NEVER, -np.log(np.arange(1, _INTERVALS) / _INTERVALS))


@jit_inline
def _below(rng: NDArray[np.uint64], n: int) -> int:
    """Random integer below n < 2**31; its bias, n / 2**32, does not matter here."""
    return np.int64(((random_bits(rng) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))  # type: ignore[return-value]


@jit_inline
def _unit(rng: NDArray[np.uint64]) -> float:
    return np.float64(random_bits(rng) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@jit
def _cost(i: int, degree: Any, line: Any, occupied: Any, around: Any, marginal: Any, prior: Any) -> float:
    """Energy change on flipping site i."""
    edge_weight, chemical_potential, second_weight = prior
    s = np.int64(occupied[i])
    broken = edge_weight * (degree[i, 0] - 2 * around[i, 0]) + second_weight * (
        degree[i, 1] - 2 * around[i, 1]
    )
    change = (1 - 2 * s) * (broken - chemical_potential)
    for v in range(line.shape[1]):
        change += marginal[2 * line[i, v] + s]
    return change  # type: ignore[no-any-return]


@jit
def _listed_change(i: int, neighbours: Any, degree: Any, occupied: Any, around: Any) -> int:
    """Change of the number of flippable sites on flipping site i."""
    change = 0
    n_sites = neighbours.shape[0]
    if occupied[i]:
        for d in range(12):
            j = neighbours[i, d]
            if j < n_sites:
                change += (around[j, 0] == degree[j, 0]) - np.int64(around[j, 0] == 1)
    else:
        for d in range(12):
            j = neighbours[i, d]
            if j < n_sites:
                change += (around[j, 0] == 0) - np.int64(around[j, 0] == degree[j, 0] - 1)
    return change


@jit
def _closes_hole(i: int, neighbours: Any, degree: Any, occupied: Any, around: Any, left: int) -> bool:
    """Whether a vacant neighbour of i has no more than ``left`` vacant neighbours itself."""
    for d in range(12):
        j = neighbours[i, d]
        if j < neighbours.shape[0] and not occupied[j] and around[j, 0] >= degree[j, 0] - left:
            return True
    return False


@jit_inline
def _set_marginal(row: int, place: Any, table: Any, marginal: Any) -> None:
    """Cost of one atom more (even entries) and of one less (odd) on a line.

    More than a line's sites or less than none never happens; what stands there does not matter.
    """
    here = place[row]
    marginal[2 * row] = table[here + 1] - table[here]
    marginal[2 * row + 1] = table[here - 1] - table[here]


@jit
def set_marginals(state: Any, table: Any) -> None:
    """Marginal costs of all lines for other costs."""
    place, marginal = state[2], state[6]
    for row in range(place.shape[0]):
        _set_marginal(row, place, table, marginal)


@jit
def flip(i: int, lattice: Any, state: Any, table: Any) -> None:
    """Flip site i and bring counts, their costs, neighbour numbers and the list up to date."""
    neighbours, second, degree, line = lattice[:4]
    occupied, around, place, listed, slot, n_listed, marginal = state
    n_sites = neighbours.shape[0]
    n_lines = place.shape[0] - 1
    step = 1 - 2 * np.int64(occupied[i])
    occupied[i] ^= 1
    for v in range(line.shape[1]):
        here = line[i, v]
        if here < n_lines:
            place[here] += step
            _set_marginal(here, place, table, marginal)
    for d in range(6):
        if second[i, d] < n_sites:
            around[second[i, d], 1] += step
    for d in range(12):
        j = neighbours[i, d]
        if j == n_sites:
            continue
        around[j, 0] += step
        inside = 0 < around[j, 0] < degree[j, 0]
        if inside and slot[j] < 0:
            slot[j] = n_listed[0]
            listed[n_listed[0]] = j
            n_listed[0] += 1
        elif not inside and slot[j] >= 0:
            n_listed[0] -= 1
            last = listed[n_listed[0]]
            listed[slot[j]] = last
            slot[last] = slot[j]
            slot[j] = -1


@jit
def _row(sites: Any, low: Any, cells: Any, i: int, j: int, k: int) -> int:
    """Row of the site i + j - k (grid vectors); -1 where it is no candidate."""
    h = np.int64(sites[i, 0]) + sites[j, 0] - sites[k, 0] - low[0]
    m = np.int64(sites[i, 1]) + sites[j, 1] - sites[k, 1] - low[1]
    n = np.int64(sites[i, 2]) + sites[j, 2] - sites[k, 2] - low[2]
    if h < 0 or m < 0 or n < 0 or h // 2 >= cells.shape[0] or m >= cells.shape[1] or n >= cells.shape[2]:
        return -1
    row = cells[h // 2, m, n]
    # The cell is shared with the odd twin of its site.
    if row >= 0 and np.int64(sites[row, 0]) - low[0] != h:
        return -1
    return row


@jit
def _try_several(
    move: Any,
    n: int,
    u: float,
    lattice: Any,
    state: Any,
    table: Any,
    prior: Any,
    beta: float,
    vacancies: bool,
) -> bool:
    """Flip the first n sites of ``move`` together if the random number u allows it; else leave them."""
    neighbours, _, degree, line = lattice[:4]
    occupied, around, _, _, slot, n_listed, marginal = state
    before = n_listed[0]
    change = 0.0
    for m in range(n):
        change += _cost(move[m], degree, line, occupied, around, marginal, prior)
        flip(move[m], lattice, state, table)
    possible = True
    for m in range(n):
        i = move[m]
        closed = occupied[i] and not vacancies
        if slot[i] < 0 or (closed and _closes_hole(i, neighbours, degree, occupied, around, 0)):
            possible = False
    # Hastings: a proposal starts from one of the flippable sites.
    odds = np.exp(-min(max(beta * change, -_NEVER), _NEVER))
    if possible and u * n_listed[0] < odds * before:
        return True
    for m in range(n):
        flip(move[n - 1 - m], lattice, state, table)
    return False


@jit
def _allows_alone(
    i: int,
    neighbours: Any,
    degree: Any,
    line: Any,
    occupied: Any,
    around: Any,
    n_listed: Any,
    marginal: Any,
    prior: Any,
    beta: float,
    rng: Any,
) -> bool:
    """Whether site i, apart from all flippable ones, is flipped; the last atom stays."""
    change = beta * _cost(i, degree, line, occupied, around, marginal, prior)
    if n_listed[0] + _listed_change(i, neighbours, degree, occupied, around) == 0:
        return False
    return _unit(rng) < np.exp(-min(max(change, -_NEVER), _NEVER))  # type: ignore[no-any-return]


@jit_inline
def _exchange_cost(
    atom: int,
    vacancy: int,
    degree: Any,
    line: Any,
    around: Any,
    marginal: Any,
    prior: Any,
) -> float:
    """Least energy change on exchanging an atom with a vacancy: more if they are neighbours."""
    edge_weight, _, second_weight = prior
    change = 0.0
    for w in range(line.shape[1]):
        if line[atom, w] != line[vacancy, w]:
            change += marginal[2 * line[atom, w] + 1] + marginal[2 * line[vacancy, w]]
    change -= edge_weight * (degree[atom, 0] - 2 * around[atom, 0])
    change -= second_weight * (degree[atom, 1] - 2 * around[atom, 1])
    change += edge_weight * (degree[vacancy, 0] - 2 * around[vacancy, 0])
    change += second_weight * (degree[vacancy, 1] - 2 * around[vacancy, 1])
    return change


@jit
def propose(
    lattice: Any,
    state: Any,
    table: Any,
    prior: Any,
    beta: float,
    proposals: int,
    rng: Any,
    shares: Any,
    vacancies: bool,
) -> int:
    """Make so many proposals; returns how many were accepted.

    Its parts are compiled into it and get arrays one by one: a call, or a look into a tuple of arrays,
    costs more than a proposal. Its branches stay here for the same reason: that of the single flip, as an
    inlined function of its own, slowed the chain by 40 %.
    """
    neighbours, _, degree, line, line_start, line_sites, sites, low, cells = lattice
    occupied, around, place, listed, slot, n_listed, marginal = state
    n_sites, n_views = line.shape
    n_lines = place.shape[0] - 1
    move = np.zeros(4, np.int64)
    accepted = 0
    for _ in range(proposals):
        # 32 bits choose the kind of move, 32 the site.
        r = random_bits(rng)
        kind = np.float64(r & np.uint64(0xFFFFFFFF)) * (1.0 / 4294967296.0)
        r >>= np.uint64(32)
        if kind >= shares[3]:
            i = np.int64((r * np.uint64(n_sites)) >> np.uint64(32))
            lonely = around[i, 0] == 0 or (vacancies and around[i, 0] == degree[i, 0])
            if lonely and _allows_alone(
                i, neighbours, degree, line, occupied, around, n_listed, marginal, prior, beta, rng
            ):
                flip(i, lattice, state, table)
                accepted += 1
            continue
        i = np.int64(listed[(r * np.uint64(n_listed[0])) >> np.uint64(32)])
        if kind < shares[0]:
            change = beta * _cost(i, degree, line, occupied, around, marginal, prior)
            u = _unit(rng)
            # Twelve neighbours can enter or leave the list; count them only where it can matter.
            if n_listed[0] > 24 and change > _CEILING[np.int64(u * _INTERVALS)] + 0.7:
                continue
            odds = np.exp(-change) if change > -_NEVER else np.exp(_NEVER)
            if u * (n_listed[0] - 12) >= odds * n_listed[0]:
                continue
            after = n_listed[0] + _listed_change(i, neighbours, degree, occupied, around)
            if u * after >= odds * n_listed[0] or after == 0:
                continue
            if vacancies or occupied[i] or not _closes_hole(i, neighbours, degree, occupied, around, 1):
                flip(i, lattice, state, table)
                accepted += 1
            continue
        if kind < shares[1] or kind >= shares[2]:
            v = _below(rng, n_views)
            here = line[i, v]
            if here == n_lines:
                continue
            j = np.int64(line_sites[line_start[here] + _below(rng, line_start[here + 1] - line_start[here])])
        else:
            j = np.int64(neighbours[i, _below(rng, 12)])
            if j == n_sites:
                continue
        if occupied[i] == occupied[j] or slot[j] < 0:
            continue
        u = _unit(rng)
        move[0], move[1] = (i, j) if occupied[i] else (j, i)
        n = 2
        if kind < shares[2]:
            change = _exchange_cost(move[0], move[1], degree, line, around, marginal, prior)
            # At most 24 sites leave the list.
            if n_listed[0] > 48 and beta * change > _CEILING[np.int64(u * _INTERVALS)] + 0.7:
                continue
        else:
            other = _below(rng, n_views)
            here = line[i, other]
            if other == v or here == n_lines:
                continue
            k = np.int64(line_sites[line_start[here] + _below(rng, line_start[here + 1] - line_start[here])])
            if occupied[k] == occupied[i] or slot[k] < 0:
                continue
            m = _row(sites, low, cells, j, k, i)
            if m < 0 or occupied[m] != occupied[i] or slot[m] < 0:
                continue
            # i and m are of one kind, j and k of the other; atoms leave first, so no count overflows.
            move[0], move[1], move[2], move[3] = (i, j, m, k) if occupied[i] else (j, i, k, m)
            n = 4
        if _try_several(move, n, u, lattice, state, table, prior, beta, vacancies):
            accepted += 1
    return accepted


@jit
def add_conditionals(degree: Any, line: Any, state: Any, prior: Any, certainty: Any) -> None:
    """Add every site's probability of being occupied, given all others, to ``certainty``.

    Its mean over a chain scatters less than that of the states themselves, and tends to the same (Gelfand and
    Smith, J. Am. Stat. Assoc. 85 (1990) 398).
    """
    occupied, around, marginal = state[0], state[1], state[6]
    for i in range(line.shape[0]):
        if 0 < around[i, 0] < degree[i, 0]:
            change = _cost(i, degree, line, occupied, around, marginal, prior)
            if occupied[i]:
                change = -change
            certainty[i] += 1.0 / (1.0 + np.exp(min(max(change, -_NEVER), _NEVER)))
        else:
            certainty[i] += occupied[i]


@jit
def jump_all(
    start: Any,
    sites: Any,
    pattern: Any,
    lattice: Any,
    state: Any,
    table: Any,
    prior: Any,
    rng: Any,
    vacancies: bool,
) -> int:
    """Propose to reverse each group of sites that holds its pattern or the opposite of it."""
    neighbours, _, degree, line = lattice[:4]
    occupied, around, _, _, _, n_listed, marginal = state
    accepted = 0
    for g in range(start.shape[0] - 1):
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
            change += _cost(sites[m], degree, line, occupied, around, marginal, prior)
            flip(sites[m], lattice, state, table)
        possible = n_listed[0] > 0
        if not vacancies:
            for m in range(start[g], start[g + 1]):
                i = sites[m]
                if (occupied[i] and _closes_hole(i, neighbours, degree, occupied, around, 0)) or (
                    not occupied[i] and around[i, 0] == degree[i, 0]
                ):
                    possible = False
        if possible and _unit(rng) < np.exp(-min(max(change, -_NEVER), _NEVER)):
            accepted += 1
            continue
        for m in range(start[g], start[g + 1]):
            flip(sites[m], lattice, state, table)
    return accepted
