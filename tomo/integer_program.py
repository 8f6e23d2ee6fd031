"""The occupancy of the lowest energy as an integer program, in groups that do not touch each other.

See `tomo.exact` for the formulation.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_matrix, csr_matrix, vstack

from .arrays import Bools, Floats, Ints
from .energy.prior import Prior
from .grid import NEIGHBOUR_VECTORS, SECOND_VECTORS, connected_parts
from .path_cuts import path_entries
from .problem import Problem

#: A number this close to an integer is one.
_INTEGER = 1e-6


@dataclass(frozen=True, eq=False)
class Program:
    """The integer program of a group of sites: the least cost . u for low <= rows u <= high, 0 <= u <= 1.

    Attributes
    ----------
    sites : (n,) int
        Numbers of the sites, to which the first n unknowns belong.
    cost : (c,) float
        Of each unknown: the sites', then those of every number of atoms on every line, then of every bond.
    rows : (r, c) sparse
    low, high : (r,) float
    integer : (c,) int
        1 where an unknown must be whole.
    """

    sites: Ints
    cost: Floats
    rows: csr_matrix
    low: Floats
    high: Floats
    integer: Ints


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The optimum of a program without its integers.

    Attributes
    ----------
    occupied : (n,) bool
        Sites of the group that are more than half occupied.
    bound : float
        Its cost, a bound of what integers cost; minus infinity where the time was over.
    whole : bool
        Whether all that should be integer is: then it is the optimum with them too.
    """

    occupied: Bools
    bound: float
    whole: bool


def programs_of(problem: Problem, prior: Prior) -> list[Program]:
    """One program for each group of sites that no line and, with an edge weight, no bond connects."""
    n = problem.n_sites
    view, site = np.nonzero(problem.line >= 0)
    on_lines = np.stack([site, n + problem.line[view, site]])
    pairs = np.concatenate([on_lines, _bonds(problem, prior)[0]], axis=1)
    label = connected_parts(pairs[0], pairs[1], n + problem.n_lines)
    return [
        _program(problem, np.flatnonzero(label[:n] == group), np.flatnonzero(label[n:] == group), prior)
        for group in np.unique(label)
    ]


def _bonds(problem: Problem, prior: Prior) -> tuple[Ints, Floats]:
    """Pairs (2, m) of neighbouring candidates that it matters to tell apart, and what that costs (m,)."""
    pairs, prices = [np.zeros((2, 0), np.int64)], [np.zeros(0)]
    for price, rows, _ in _shells(problem, prior):
        i = np.repeat(np.arange(problem.n_sites), rows.shape[1])
        j = rows.ravel().astype(np.int64)
        pairs.append(np.stack([i, j])[:, j > i])
        prices.append(np.full(int((j > i).sum()), price))
    return np.concatenate(pairs, axis=1), np.concatenate(prices)


def _shells(problem: Problem, prior: Prior) -> list[tuple[float, NDArray[np.int32], Ints]]:
    """Edge weights above 0, the neighbours they are for and the steps to these."""
    shells = (
        (prior.edge_weight, problem.neighbours, NEIGHBOUR_VECTORS),
        (prior.second_weight, problem.second_neighbours, SECOND_VECTORS),
    )
    return [shell for shell in shells if shell[0] > 0]


def _program(problem: Problem, sites: Ints, lines: Ints, prior: Prior) -> Program:
    """The program of some sites and the lines that they are on, x, z and y as in `tomo.exact`."""
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
    if problem.worth is not None:
        alone -= problem.worth[sites]
    for weight, around, _ in _shells(problem, prior):
        alone += weight * (around[sites] == -1).sum(axis=1)
    cost = np.concatenate([alone, table, price])
    integer = np.zeros(shape[1], np.int64)
    integer[:n] = 1
    integer[z] = ~_convex(problem, lines)[owner]
    empty = np.full(problem.n_lines, -1)
    empty[lines] = z[atoms == 0]
    cuts = _cuts(problem, prior, local, empty, bonds, n + len(owner), shape[1])
    low, high = np.append(low, np.full(cuts.shape[0], 2.0)), np.append(high, np.full(cuts.shape[0], np.inf))
    return Program(sites, cost, csr_matrix(vstack([rows, cuts])), low, high, integer)


def _cuts(
    problem: Problem,
    prior: Prior,
    local: Ints,
    empty: Ints,
    bonds: Ints,
    first_bond: int,
    width: int,
) -> csr_matrix:
    """Rows, at least 2 each, of the two edges that a line with an atom makes on paths through it."""
    n = int(local.max(initial=-1)) + 1
    key = bonds.min(axis=0) * n + bonds.max(axis=0)
    order = np.argsort(key)
    found = [csr_matrix((0, width))]
    for view in range(len(problem.views)):
        for _, neighbours, steps in _shells(problem, prior):
            for line, site, other in path_entries(problem, view, neighbours, steps):
                mine = (empty[line] >= 0) & (local[site] >= 0)
                line, site, other = line[mine], local[site[mine]], other[mine]
                vacuum = other < 0
                i, j = site[~vacuum], local[other[~vacuum]]
                at = order[np.searchsorted(key, np.minimum(i, j) * n + np.maximum(i, j), sorter=order)]
                pairs = np.unique(np.stack([line[~vacuum], first_bond + at]), axis=1)
                owners = np.unique(line)
                row = np.concatenate([pairs[0], line[vacuum], owners])
                column = np.concatenate([pairs[1], site[vacuum], empty[owners]])
                value = np.repeat([1.0, 2.0], [len(row) - len(owners), len(owners)])
                number = np.searchsorted(owners, row)
                found.append(coo_matrix((value, (number, column)), shape=(len(owners), width)).tocsr())
    return csr_matrix(vstack(found))


def _convex(problem: Problem, lines: Ints) -> Bools:
    """Whether the cost table of each line is convex in the number of atoms."""
    tables = (problem.table[problem.table_start[i] : problem.table_start[i + 1]] for i in lines)
    return np.array([bool(np.all(np.diff(t, 2) >= -1e-12)) for t in tables], dtype=bool)


def with_cost_limit(program: Program, limit: float) -> Program:
    """The same program with its cost no longer minimised but limited."""
    return replace(
        program,
        rows=csr_matrix(vstack([program.rows, csr_matrix(program.cost)])),
        low=np.append(program.low, -np.inf),
        high=np.append(program.high, limit),
    )


def relaxed(program: Program, end: float) -> Relaxed:
    """Solve the program without its integers by an interior point method."""
    if len(program.cost) == 0:
        return Relaxed(np.zeros(0, dtype=bool), 0.0, True)
    equal = program.low == program.high
    result = linprog(
        program.cost,
        A_ub=-program.rows[~equal],
        b_ub=-program.low[~equal],
        A_eq=program.rows[equal],
        b_eq=program.low[equal],
        bounds=(0.0, 1.0),
        method="highs-ipm",
        options={"time_limit": max(end - time.monotonic(), 0.1)},
    )
    if result.status != 0:
        return Relaxed(np.zeros(len(program.sites), dtype=bool), -np.inf, False)
    integers = result.x[program.integer > 0]
    whole = bool(np.abs(integers - np.round(integers)).max(initial=0.0) < _INTEGER)
    return Relaxed(result.x[: len(program.sites)] > 0.5, float(result.fun), whole)


def solve(program: Program, cost: Floats, end: float) -> tuple[Bools, float] | None:
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
