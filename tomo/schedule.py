"""One annealing run: a start, a temperature schedule that finds its own range, a repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .anneal import NO_HOLES, ONE_PIECE, Annealer, Layout, random_state
from .problem import Problem
from .repair import without_flaws

#: Edge weight over temperature at the start: the fcc lattice gas melts at 0.204.
HOTTEST = 0.25
#: Proposals for each boundary site at each temperature, and temperatures.
SWEEPS, STEPS = 60, 80
#: Ratio of the last temperature to the first, if the run does not freeze before.
_COOLING = 0.015
#: Temperatures in a row without a change of energy after which a run is frozen.
_FROZEN = 3


class Cancelled(Exception):
    """The run was asked to stop."""


@dataclass(frozen=True, eq=False)
class AnnealedRun:
    """What one run found.

    Attributes
    ----------
    occupied : (S,) bool
    energy, misfit : float
        Of that occupancy.
    free_energy, free_misfit : float
        Before one piece and no holes were imposed.
    proposals : int
    hottest, coldest : float
        Temperatures of the schedule.
    """

    occupied: NDArray[np.bool_]
    energy: float
    misfit: float
    free_energy: float
    free_misfit: float
    proposals: int
    hottest: float
    coldest: float


def start_occupancy(problem: Problem) -> NDArray[np.bool_]:
    """A first guess: the sites that hold most where the counts are spread over their lines.

    Iterative proportional fitting of an occupancy 0..1 to the counts (Deming & Stephan 1940), of
    which the largest values are taken, as many as there are atoms.

    Returns
    -------
    (S,) bool
    """
    counts = np.array(
        [
            problem.views[v].best_counts[c]
            for v, c in zip(problem.line_view, problem.line_column, strict=True)
        ],
        dtype=float,
    )
    known = problem.line >= 0
    share = np.full(problem.n_sites, 0.5)
    for _ in range(20):
        for v in range(len(problem.line)):
            lines = problem.line[v, known[v]]
            total = np.bincount(lines, share[known[v]], minlength=problem.n_lines)
            ratio = counts / np.maximum(total, 1e-9)
            share[known[v]] = np.minimum(share[known[v]] * ratio[lines], 1.0)
    n_atoms = round(float(share.sum()))
    occupied = np.zeros(problem.n_sites, dtype=bool)
    occupied[np.argsort(-share, kind="stable")[: max(n_atoms, 1)]] = True
    return occupied


def anneal_once(
    problem: Problem,
    layout: Layout,
    edge_weight: float,
    start: NDArray[np.bool_],
    seed: np.random.SeedSequence,
    *,
    connected: bool = True,
    vacancies: bool = False,
    tick: Callable[[], bool] = lambda: False,
) -> AnnealedRun:
    """One run from hot to frozen.

    Parameters
    ----------
    problem : Problem
    layout : Layout
        `tomo.anneal.layout_of` the problem.
    edge_weight : float
    start : (S,) bool
    seed : numpy.random.SeedSequence
    connected : bool
        Impose one piece and, without ``vacancies``, no holes.
    vacancies : bool
        Atoms inside may be missing.
    tick : callable
        Called after each temperature; returns whether to stop.

    Raises
    ------
    Cancelled
        If ``tick`` asked for it.
    """
    state = Annealer(layout, edge_weight, start, random_state(seed))
    hottest = max(edge_weight, 0.05) / HOTTEST
    temperature, quiet, proposals = hottest, 0, 0
    for _ in range(STEPS):
        n = SWEEPS * max(state.n_boundary, 1)
        proposals += n
        changed = state.run(n, temperature)[1]
        quiet = 0 if changed else quiet + 1
        if tick():
            raise Cancelled
        if quiet == _FROZEN:
            break
        temperature *= _COOLING ** (1 / (STEPS - 1))
    free = state.occupied
    occupied = free
    if connected:
        occupied = _repaired(problem, layout, edge_weight, free, state, vacancies)
    return AnnealedRun(
        occupied,
        problem.energy(occupied, edge_weight),
        problem.misfit(occupied),
        problem.energy(free, edge_weight),
        problem.misfit(free),
        proposals,
        hottest,
        temperature,
    )


def _repaired(
    problem: Problem,
    layout: Layout,
    edge_weight: float,
    free: NDArray[np.bool_],
    state: Annealer,
    vacancies: bool,
) -> NDArray[np.bool_]:
    whole = without_flaws(problem, free, fill=not vacancies)
    if (whole == free).all():
        return free
    guard = ONE_PIECE if vacancies else ONE_PIECE | NO_HOLES
    cold = Annealer(layout, edge_weight, whole, state.rng)
    best, lowest = whole, cold.energy
    for temperature in np.linspace(0.5, 0.0, 10) * edge_weight:
        cold.run(SWEEPS * max(cold.n_boundary, 1), float(temperature), guard)
        if cold.energy < lowest:
            best, lowest = cold.occupied, cold.energy
    return best
