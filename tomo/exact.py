"""The best occupancy and its proof, by integer programming.

With x_i = 1 where site i is occupied, z_lk = 1 where line l holds k atoms and y_ij = 1 where the
(nearest or second) neighbours i and j differ, the energy of `Problem` is linear:

    minimise    sum_lk table_l[k] z_lk + sum_ij weight_ij y_ij + sum_i outside_i x_i
                - chemical_potential sum_i x_i
    subject to  sum_k z_lk = 1,  sum_k k z_lk = sum_(i on l) x_i,  y_ij >= |x_i - x_j|.

Only x needs to be integer, and z on lines whose table is not convex. Without edges the problem
falls apart into groups of sites that share no line: the planes that hold the beam directions of
all views, where there are such. HiGHS (through `scipy.optimize.milp`) solves each and gives a
bound that proves it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix, csr_matrix, vstack
from scipy.sparse.csgraph import connected_components

from .chain import Prior
from .errors import InputError
from .problem import Problem

#: Energies closer than this are equal [nats].
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class ExactSolution:
    """The best occupancy that was found and what is proven about it.

    Attributes
    ----------
    occupied : (S,) bool
    energy : float
        Its energy [nats].
    bound : float
        No occupancy has a lower energy than this.
    proven : bool
        Whether the two are equal.
    edge_weight, chemical_potential, second_weight : float
        What an edge costs, an atom is worth and a pair of unlike second neighbours costs [nats].
    """

    occupied: NDArray[np.bool_]
    energy: float
    bound: float
    proven: bool
    edge_weight: float
    chemical_potential: float = 0.0
    second_weight: float = 0.0

    @property
    def prior(self) -> Prior:
        """The three of them."""
        return Prior(self.edge_weight, self.chemical_potential, self.second_weight)


@dataclass(frozen=True, eq=False)
class Freedom:
    """How far other occupancies can go that are as good as the best one.

    Attributes
    ----------
    always, never : (S,) bool
        Sites that every such occupancy holds, and that every one leaves empty.
    movable : int
        Largest number of atoms of the solution that another one can have elsewhere or lack.
    proven : bool
        False where the time was over first: then `always` and `never` may be too large.
    """

    always: NDArray[np.bool_]
    never: NDArray[np.bool_]
    movable: int
    proven: bool


@dataclass(frozen=True, eq=False)
class _Program:
    """Rows and columns of the integer program of a group of sites; the sites' columns come first."""

    sites: NDArray[np.int64]
    cost: NDArray[np.float64]
    rows: csr_matrix
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    integer: NDArray[np.int64]


def solve_exact(
    problem: Problem,
    edge_weight: float = 0.0,
    *,
    chemical_potential: float = 0.0,
    second_weight: float = 0.0,
    time_limit: float = 60.0,
) -> ExactSolution:
    """Occupancy of the lowest energy, with a bound that proves it.

    Parameters
    ----------
    problem : Problem
        From `build_problem`; for other costs ``dataclasses.replace(problem, table=...)``.
    edge_weight : float
        Price of an edge [nats]. Without edges particles of 10,000 atoms take seconds; with them
        three views of 1,000 atoms seconds to minutes, two views of 300.
    chemical_potential : float
        Worth of an atom [nats].
    second_weight : float
        Price of an unlike pair of second neighbours [nats].
    time_limit : float
        Seconds after which the best so far is returned, with its bound.

    Returns
    -------
    ExactSolution

    Raises
    ------
    InputError
        If an edge weight is negative, or no occupancy was found in time.

    Examples
    --------
    >>> from tomo import build_problem
    >>> from tomo.phantoms import random_particle, views_of
    >>> views = views_of(random_particle(200, "faceted"), [(1, 0, 0), (0, 1, 0), (1, 1, 0)])
    >>> solution = solve_exact(build_problem(views))
    >>> solution.proven, solution.energy
    (True, 0.0)
    """
    for name, weight in (("edge_weight", edge_weight), ("second_weight", second_weight)):
        if not 0 <= weight < np.inf:
            raise InputError(f"{name}: expected a number >= 0, got {weight!r}.")
    prior = Prior(edge_weight, chemical_potential, second_weight)
    end = time.monotonic() + time_limit
    occupied = np.zeros(problem.n_sites, dtype=bool)
    bound = 0.0
    for program in _programs(problem, prior):
        answer = _solve(program, program.cost, end)
        if answer is None:
            raise InputError(f"time_limit: {time_limit} s were not enough to find any occupancy.")
        occupied[program.sites] = answer[0]
        bound += answer[1]
    energy = problem.energy(occupied, *prior)
    proven = bool(energy - bound <= TOLERANCE * max(1.0, abs(energy)))
    return ExactSolution(occupied, energy, min(bound, energy), proven, *prior)


def optimality_gap(
    problem: Problem,
    occupied: NDArray[np.bool_],
    edge_weight: float = 0.0,
    *,
    chemical_potential: float = 0.0,
    second_weight: float = 0.0,
    time_limit: float = 60.0,
) -> float:
    """Energy of an occupancy above the proven bound [nats]; 0 proves that none is better.

    Parameters
    ----------
    problem : Problem
    occupied : (S,) bool
    edge_weight, chemical_potential, second_weight, time_limit
        As in `solve_exact`.

    Examples
    --------
    >>> from tomo import build_problem
    >>> from tomo.phantoms import random_particle, views_of
    >>> views = views_of(random_particle(200, "faceted"), [(1, 0, 0), (0, 1, 0), (1, 1, 0)])
    >>> problem = build_problem(views)
    >>> optimality_gap(problem, solve_exact(problem).occupied)
    0.0
    """
    energy = problem.energy(occupied, edge_weight, chemical_potential, second_weight)
    best = solve_exact(
        problem,
        edge_weight,
        chemical_potential=chemical_potential,
        second_weight=second_weight,
        time_limit=time_limit,
    )
    gap = energy - best.bound
    return 0.0 if gap <= TOLERANCE * max(1.0, abs(energy)) else float(gap)


def freedom(problem: Problem, solution: ExactSolution, *, time_limit: float = 60.0) -> Freedom:
    """What all occupancies of the lowest energy have in common, and how far they differ.

    The occupancy that differs from the solution at as many sites as possible is found first; of
    the sites that have kept their state in all occupancies so far, the next one changes as many
    as it can, until none changes.

    Parameters
    ----------
    problem : Problem
    solution : ExactSolution
        From `solve_exact`, proven.
    time_limit : float
        In seconds.

    Returns
    -------
    Freedom

    Raises
    ------
    InputError
        If the solution is not proven to be the best.

    Examples
    --------
    >>> from tomo import build_problem
    >>> from tomo.phantoms import random_particle, views_of
    >>> views = views_of(random_particle(100, "faceted"), [(1, 0, 0), (0, 1, 0), (1, 1, 0)])
    >>> problem = build_problem(views)
    >>> solution = solve_exact(problem)
    >>> found = freedom(problem, solution)
    >>> found.proven, bool((solution.occupied[found.always]).all())
    (True, True)
    """
    if not solution.proven:
        raise InputError("solution: expected a proven one; give solve_exact more time.")
    end = time.monotonic() + time_limit
    same = np.ones(problem.n_sites, dtype=bool)
    movable, proven = 0, True
    for program in _programs(problem, solution.prior):
        own = solution.occupied[program.sites]
        best = _solve(program, program.cost, end)
        if best is None:
            return Freedom(same & solution.occupied, same & ~solution.occupied, movable, False)
        limited = _with_cost_limit(program, best[1] + TOLERANCE * max(1.0, abs(best[1])))
        kept = np.ones(len(own), dtype=bool)
        first = True
        while kept.any():
            away = np.zeros(len(program.cost))
            away[: len(own)] = np.where(kept, np.where(own, 1.0, -1.0), 0.0)
            if first:
                # Atoms of the solution that are gone are what is asked for; they come first.
                away[: len(own)] *= np.where(own, len(own) + 1.0, 1.0)
            answer = _solve(limited, away, end)
            if answer is None:
                proven = False
                break
            if first:
                movable += int((own & ~answer[0]).sum())
                first = False
            changed = kept & (answer[0] != own)
            if not changed.any():
                break
            kept &= ~changed
        same[program.sites] = kept
    return Freedom(same & solution.occupied, same & ~solution.occupied, movable, proven)


def _programs(problem: Problem, prior: Prior) -> list[_Program]:
    """One program for each group of sites that no line and, with an edge weight, no bond connects."""
    n = problem.n_sites
    view, site = np.nonzero(problem.line >= 0)
    ends = [np.stack([site, n + problem.line[view, site]])]
    ends.append(_bonds(problem, prior)[0])
    pairs = np.concatenate(ends, axis=1)
    size = n + problem.n_lines
    graph = coo_matrix((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(size, size))
    label = connected_components(graph, directed=False)[1]
    programs = []
    for group in np.unique(label):
        sites = np.flatnonzero(label[:n] == group)
        lines = np.flatnonzero(label[n:] == group)
        programs.append(_program(problem, sites, lines, prior))
    return programs


def _bonds(problem: Problem, prior: Prior) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs (2, m) of neighbouring candidates that it matters to tell apart, and what that costs (m,)."""
    pairs, prices = [np.zeros((2, 0), np.int64)], [np.zeros(0)]
    for price, rows in _shells(problem, prior):
        i = np.repeat(np.arange(problem.n_sites), rows.shape[1])
        j = rows.ravel().astype(np.int64)
        pairs.append(np.stack([i, j])[:, j > i])
        prices.append(np.full(int((j > i).sum()), price))
    return np.concatenate(pairs, axis=1), np.concatenate(prices)


def _shells(problem: Problem, prior: Prior) -> list[tuple[float, NDArray[np.int32]]]:
    """Edge weights above 0 and the neighbours they are for."""
    shells = ((prior.edge_weight, problem.neighbours), (prior.second_weight, problem.second_neighbours))
    return [(price, rows) for price, rows in shells if price > 0]


def _program(problem: Problem, sites: NDArray[np.int64], lines: NDArray[np.int64], prior: Prior) -> _Program:
    n = len(sites)
    local = np.full(problem.n_sites, -1)
    local[sites] = np.arange(n)
    length = np.diff(problem.table_start)[lines]
    owner = np.repeat(np.arange(len(lines)), length)
    atoms = np.arange(len(owner)) - np.repeat(np.cumsum(length) - length, length)
    table = problem.table[problem.table_start[lines][owner] + atoms]
    z = n + np.arange(len(owner))
    number = np.full(problem.n_lines, -1)
    number[lines] = np.arange(len(lines))
    view, site = np.nonzero(problem.line[:, sites] >= 0)
    on = number[problem.line[view, sites[site]]]
    bonds, price = _bonds(problem, prior)
    bonds = local[bonds]
    inside = (bonds >= 0).all(axis=0)
    bonds, price = bonds[:, inside], price[inside]
    y = n + len(owner) + np.arange(bonds.shape[1])
    m = len(lines)
    one, b = np.ones(len(owner)), np.ones(bonds.shape[1])
    # Rows: one count per line, counts equal atoms, then both signs of every bond.
    row = np.concatenate([owner, m + owner, m + on])
    column = np.concatenate([z, z, site])
    value = np.concatenate([one, atoms, -np.ones(len(on))])
    for sign, shift in ((1, 0), (-1, bonds.shape[1])):
        r = 2 * m + shift + np.arange(bonds.shape[1])
        row = np.concatenate([row, r, r, r])
        column = np.concatenate([column, y, bonds[0], bonds[1]])
        value = np.concatenate([value, b, -sign * b, sign * b])
    shape = (2 * m + 2 * bonds.shape[1], n + len(owner) + bonds.shape[1])
    rows = coo_matrix((value, (row, column)), shape=shape).tocsr()
    low = np.concatenate([np.ones(m), np.zeros(shape[0] - m)])
    high = np.concatenate([np.ones(m), np.zeros(m), np.full(shape[0] - 2 * m, np.inf)])
    alone = np.full(n, -prior.chemical_potential)
    for weight, around in _shells(problem, prior):
        alone += weight * (around[sites] == -1).sum(axis=1)
    cost = np.concatenate([alone, table, price])
    integer = np.zeros(shape[1], np.int64)
    integer[:n] = 1
    integer[z] = ~_convex(problem, lines)[owner]
    return _Program(sites, cost, rows, low, high, integer)


def _convex(problem: Problem, lines: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the cost table of each line is convex in the number of atoms."""
    tables = (problem.table[problem.table_start[i] : problem.table_start[i + 1]] for i in lines)
    return np.array([bool(np.all(np.diff(t, 2) >= -1e-12)) for t in tables], dtype=bool)


def _with_cost_limit(program: _Program, limit: float) -> _Program:
    """The same program with its cost no longer minimised but limited."""
    return _Program(
        program.sites,
        program.cost,
        csr_matrix(vstack([program.rows, csr_matrix(program.cost)])),
        np.append(program.low, -np.inf),
        np.append(program.high, limit),
        program.integer,
    )


def _solve(
    program: _Program, cost: NDArray[np.float64], end: float
) -> tuple[NDArray[np.bool_], float] | None:
    """Occupancy of the group's sites and the proven bound of its cost; None if none was found."""
    if len(cost) == 0:
        return np.zeros(0, dtype=bool), 0.0
    result = milp(
        cost,
        integrality=program.integer,
        bounds=Bounds(0.0, 1.0),
        constraints=LinearConstraint(program.rows, program.low, program.high),
        options={"time_limit": max(end - time.monotonic(), 0.1), "mip_rel_gap": 0.0},
    )
    if result.x is None:
        return None
    bound = result.mip_dual_bound
    return result.x[: len(program.sites)] > 0.5, float(result.fun if bound is None else bound)
