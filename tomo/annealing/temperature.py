"""From hot to cold: the range of temperatures, and what is done at each of them."""

from __future__ import annotations

import numpy as np

from ..arrays import Bools, Floats
from ..energy.prior import Prior
from ..problem import Problem
from .anneal import Annealer
from .ejection import run_chains

#: The edge weight is kept above this times the temperature: the fcc lattice gas melts at 0.204.
SOLID = 0.3
#: Ratio of one temperature to the last, and proposals for each boundary site at each of them.
_COOLING, _SWEEPS = 0.92, 40
#: Ejection chains for each boundary site at each temperature below this one.
_CHAINS, _CHAINS_BELOW = 0.5, 1.5
#: Rounds of a quench, and its ejection chains for each boundary site.
_QUENCHES, _COLD_CHAINS = 2, 2.0
#: Reheatings of a frozen state, and their temperatures as shares of the edge weight.
_REHEATINGS, _REHEATED = 2, (0.6, 0.43, 0.27, 0.1)
#: Share of the atoms below which a crystal counts as evaporated.
_EVAPORATED = 0.1


def temperatures(problem: Problem, table: Floats, prior: Prior, coldest: float) -> Floats:
    """A schedule from where counts off by one are usual down to ``coldest``.

    The hottest temperature is the median cost of one atom more or less than the best count of a
    column, by the cost tables (T,), and at least that at which the edges begin to melt. Temperatures (n,)
    are in units of the energy.
    """
    hottest = max(_cost_of_one(problem, table), prior.edge_weight / SOLID, 1.01 * coldest)
    steps = int(np.ceil(np.log(coldest / hottest) / np.log(_COOLING)))
    return np.asarray(hottest * _COOLING ** np.arange(steps + 1), dtype=np.float64)


def _cost_of_one(problem: Problem, table: Floats) -> float:
    """Median over the lines of what a count beside the best one costs at least."""
    line = np.repeat(np.arange(problem.n_lines), np.diff(problem.table_start))
    if len(line) == problem.n_lines:
        return 0.0
    lowest = np.minimum.reduceat(table, problem.table_start[:-1])
    same = line[1:] == line[:-1]
    step = np.abs(np.diff(table))
    beside = same & (np.minimum(table[1:], table[:-1]) <= lowest[line[1:]])
    cost = np.full(problem.n_lines, np.inf)
    np.minimum.at(cost, line[1:][beside], step[beside])
    return float(np.median(cost[np.isfinite(cost)]))


def condensed(state: Annealer, start: Bools) -> Annealer:
    """The state, or the start again where nearly all of its atoms have evaporated.

    An empty grid has no boundary, so a crystal that the heat has driven off could not come back.
    """
    if np.count_nonzero(state.occupied) < _EVAPORATED * np.count_nonzero(start):
        return state.copy(start)
    return state


def cool(state: Annealer, temperature: float) -> tuple[int, int]:
    """Proposals and ejection chains at one temperature of a schedule; how many proposals were made, and how
    many moves changed the state."""
    made = _SWEEPS * max(state.n_listed, 1)
    changed = state.run(made, temperature, least_weight=SOLID)
    if temperature < _CHAINS_BELOW:
        changed += run_chains(state, int(_CHAINS * state.n_listed), temperature, max(temperature, SOLID))
    if state.layout.pieces:
        changed += seeded(state)
    return made, changed


def seeded(state: Annealer) -> int:
    """Put back atoms that the counts demand where no other one is near; how many.

    Moves start beside other atoms, so that a piece which the heat has driven off could not come back.
    """
    put = 0
    while (cost := state.cost_apart()).size and cost.min() < 0:
        state.flip(int(np.argmin(cost)))
        put += 1
    return put


def refined(state: Annealer) -> Annealer:
    """The lowest state of a quench and of some short reheatings.

    A schedule ends where it freezes; states that differ by less than its last temperature, or by
    several sites at once, are told apart here.
    """
    _quench(state)
    best, lowest = state.occupied, state.energy()
    for _ in range(_REHEATINGS):
        for share in _REHEATED:
            cool(state, share * state.prior.edge_weight)
        _quench(state)
        if state.energy() < lowest:
            best, lowest = state.occupied, state.energy()
    return state.copy(best)


def _quench(state: Annealer) -> None:
    """Take the moves and ejection chains that lower the energy."""
    for _ in range(_QUENCHES):
        state.run(_SWEEPS * state.n_listed, 0.0)
        run_chains(state, int(_COLD_CHAINS * state.n_listed), 0.0, 1.0)
