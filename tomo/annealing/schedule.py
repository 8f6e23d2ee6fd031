"""One annealing run: a schedule that finds its own range, a repair, and a vote at temperature 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools
from ..energy.layout import NO_HOLES, ONE_PIECE, Layout
from ..kernels import random_state
from ..problem import Problem
from ..repair import without_flaws
from ..sampling.chain import Chain
from .anneal import Annealer
from .calibrate import Calibration
from .temperature import condensed, cool, refined, temperatures
from .vacancy import open_evident_vacancies

#: Last temperature, as a share of the edge weight, and temperatures without a change that end a run before.
_COLDEST, _FROZEN = 0.06, 3
#: Proposals for each boundary site at each temperature of the repair.
_REPAIR_SWEEPS = 40
#: Proposals for each boundary site at temperature 1 before a vote, between two ballots; ballots.
_SETTLE, _BETWEEN, _BALLOTS = 40, 3, 60


class Cancelled(Exception):
    """The run was asked to stop."""


@dataclass(frozen=True, eq=False)
class AnnealedRun:
    """What one run found.

    Attributes
    ----------
    occupied : (S,) bool
        The crystal of the run: sites that are occupied most of the time at temperature 1 (with
        views along one axis only, the state of lowest energy), in one piece and without holes
        where that was asked for.
    probability : (S,) float32
        How often each site is occupied at temperature 1 by a chain that starts there; with views along one
        axis only, 0 and 1 as the crystal has it.
    energy : float
        Lowest energy found, in one piece and without holes where that was asked for.
    misfit : float
        Its part that comes from the counts.
    free_energy, free_misfit : float
        The same before one piece and no holes were imposed.
    voted_energy : float
        Energy of ``occupied``.
    edges, second_edges : int
        Its occupied-vacant pairs of nearest and of second neighbours.
    vacancies : int
        Atoms that were taken out of its inside because the counts demand it.
    proposals : int
    hottest, coldest : float
        Temperatures of the schedule.
    """

    occupied: Bools
    probability: NDArray[np.float32]
    energy: float
    misfit: float
    free_energy: float
    free_misfit: float
    voted_energy: float
    edges: int
    second_edges: int
    vacancies: int
    proposals: int
    hottest: float
    coldest: float


def anneal_once(
    problem: Problem,
    layout: Layout,
    calibration: Calibration,
    seed: np.random.SeedSequence,
    *,
    connected: bool,
    vacancies: bool | None,
    tick: Callable[[float], bool],
) -> AnnealedRun:
    """One run from hot to frozen, and its vote.

    It begins with the costs and the occupancy of the calibration. `connected` imposes one piece and, unless
    ``vacancies`` is true, no holes; with None atoms inside may be missing only where the counts leave no
    other explanation. ``tick`` is called with the share of the run that is done, and raises `Cancelled` by
    returning that it is to stop.
    """
    state = Annealer(layout, calibration.table, calibration.prior, calibration.state, random_state(seed))
    coldest = _COLDEST * max(calibration.prior.edge_weight, 0.05)
    schedule = temperatures(problem, calibration.table, calibration.prior, coldest)
    if calibration.cold:
        schedule = np.append(1.0, schedule[schedule < 1.0])
    quiet, proposals, temperature = 0, 0, 0.0
    for step, temperature in enumerate(schedule):
        made, changed = cool(state, temperature)
        state = condensed(state, calibration.state)
        proposals += made
        quiet = 0 if changed else quiet + 1
        if tick(0.9 * (step + 1) / len(schedule)):
            raise Cancelled
        if quiet == _FROZEN:
            break
    # The vote goes on from the frozen state: the lowest one would have all runs agree more than they know.
    free = refined(state.copy(state.occupied))
    free_energy, free_misfit = free.energy(), free.misfit()
    best = _imposed(free, bool(vacancies)) if connected else free
    voted = best
    if not problem.slides:
        voted = _vote(state)
        if connected:
            voted = _imposed(voted, bool(vacancies))
    energy, misfit = best.energy(), best.misfit()
    opened = open_evident_vacancies(voted) if vacancies is None else 0
    occupied = voted.occupied
    probability = occupied.astype(np.float32)
    if not problem.slides:
        rng = random_state(seed.spawn(1)[0])
        probability = _probability(Chain(layout, calibration.table, calibration.prior, occupied, rng))
    if tick(1.0):
        raise Cancelled
    edges, second_edges = voted.edges()
    return AnnealedRun(
        occupied=occupied,
        probability=probability,
        energy=energy,
        misfit=misfit,
        free_energy=free_energy,
        free_misfit=free_misfit,
        voted_energy=voted.energy(),
        edges=edges,
        second_edges=second_edges,
        vacancies=opened,
        proposals=proposals,
        hottest=float(schedule[0]),
        coldest=float(temperature),
    )


def _vote(state: Annealer) -> Annealer:
    """Sites that are occupied most of the time at temperature 1.

    Fewer of them are wrong than of the state of lowest energy (maximiser of the posterior marginals:
    Marroquin, Mitter and Poggio, J. Am. Stat. Assoc. 82 (1987) 76).
    """
    state.run(_SETTLE * state.n_listed, 1.0)
    votes = np.zeros(len(state.layout.sites), dtype=np.int32)
    for _ in range(_BALLOTS):
        state.run(_BETWEEN * state.n_listed, 1.0)
        votes += state.occupied
    return state.copy(2 * votes > _BALLOTS)


def _probability(chain: Chain) -> NDArray[np.float32]:
    """How often each site is occupied at temperature 1.

    The chain draws from the posterior, and exchanges the corners of parallelograms: where counts are sharp,
    the moves of annealing leave a crystal as it is, and others that explain two views as well are not seen.
    """
    chain.sweep(_SETTLE)
    ballots = np.zeros(len(chain.layout.sites), dtype=np.float32)
    for _ in range(_BALLOTS):
        chain.sweep(_BETWEEN)
        ballots += chain.occupied
    return ballots / np.float32(_BALLOTS)


def _imposed(state: Annealer, vacancies: bool) -> Annealer:
    """The state in one piece without holes, recovered by a short cold annealing; itself where it is so."""
    free = state.occupied
    whole = without_flaws(state.layout, free, fill=not vacancies)
    if (whole == free).all():
        return state.copy(free)
    guard = ONE_PIECE if vacancies else ONE_PIECE | NO_HOLES
    cold = state.copy(whole)
    best, lowest = whole, cold.energy()
    for temperature in np.linspace(0.4, 0.0, 8) * state.prior.edge_weight:
        cold.run(_REPAIR_SWEEPS * cold.n_listed, float(temperature), guard)
        if cold.energy() < lowest:
            best, lowest = cold.occupied, cold.energy()
    return state.copy(best)
