"""The best occupancy and its proof, by integer programming.

With x_i = 1 where site i is occupied, z_lk = 1 where line l holds k atoms and y_ij = 1 where the
(nearest or second) neighbours i and j differ, the energy of `Problem` is linear:

    minimise    sum_lk table_l[k] z_lk + sum_ij weight_ij y_ij + sum_i outside_i x_i
                - chemical_potential sum_i x_i
    subject to  sum_k z_lk = 1,  sum_k k z_lk = sum_(i on l) x_i,  y_ij >= |x_i - x_j|.

Only x needs to be integer, and z on lines whose table is not convex. Without edges the problem
falls apart into groups of sites that share no line: the planes that hold the beam directions of
all views, where there are such.

Without the integers it is a linear program, whose optimum is a bound. With three views the optimum
is hardly ever above that, and with the rows of `tomo.path_cuts` seldom with two: an interior point
method then proves it in a second or two. Where the linear program leaves sites between 0 and 1 and the
bound is below a known occupancy, HiGHS (through `scipy.optimize.milp`) branches.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from .annealing.anneal import Annealer
from .annealing.temperature import condensed, cool, refined, temperatures
from .arrays import Bools
from .energy.layout import layout_of
from .energy.prior import Prior
from .errors import InputError, as_switches, check_number
from .integer_program import programs_of, relaxed, solve, with_cost_limit
from .kernels import random_state
from .problem import Problem, check_problem
from .start import start_occupancy

#: Energies closer than this are equal [nats].
TOLERANCE = 1e-6
#: Last temperature of the annealing that a solution starts from [nats].
_COLDEST = 0.05


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

    occupied: Bools
    energy: float
    bound: float
    proven: bool
    edge_weight: float
    chemical_potential: float = 0.0
    second_weight: float = 0.0

    def __repr__(self) -> str:
        least = "proven" if self.proven else f"none is below {self.bound:.4g}"
        return f"<ExactSolution: {int(self.occupied.sum())} atoms, energy {self.energy:.4g}, {least}>"

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

    always: Bools
    never: Bools
    movable: int
    proven: bool

    def __repr__(self) -> str:
        always, never = int(self.always.sum()), int(self.never.sum())
        proven = "" if self.proven else " (not proven)"
        return f"<Freedom: {always} sites always and {never} never occupied, {self.movable} movable{proven}>"


def solve_exact(
    problem: Problem,
    edge_weight: float = 0.0,
    *,
    chemical_potential: float = 0.0,
    second_weight: float = 0.0,
    start: Bools | None = None,
    time_limit: float = 60.0,
) -> ExactSolution:
    """Occupancy of the lowest energy, with a bound that proves it.

    Parameters
    ----------
    problem : Problem
        From `build_problem`; for other costs ``dataclasses.replace(problem, table=...)``.
    edge_weight : float
        Price of an edge [nats]. Without edges particles of 10,000 atoms take seconds; with them
        three views of 1,000 atoms take a second or two, two views of 300 atoms mostly as long.
    chemical_potential : float
        Worth of an atom [nats].
    second_weight : float
        Price of an unlike pair of second neighbours [nats].
    start : (S,) bool, optional
        A good occupancy: where the bound reaches its energy, it is the solution. By default that of a
        short annealing, where the linear program alone does not find the optimum.
    time_limit : float
        Seconds after which the best so far is returned, with its bound.

    Returns
    -------
    ExactSolution

    Raises
    ------
    InputError
        If an edge weight is negative.

    Examples
    --------
    >>> from tomo import build_problem
    >>> from tomo.phantoms import random_particle, views_of
    >>> views = views_of(random_particle(200, "faceted"), [(1, 0, 0), (0, 1, 0), (1, 1, 0)])
    >>> solution = solve_exact(build_problem(views))
    >>> solution.proven, solution.energy
    (True, 0.0)
    """
    prior = _checked_prior(problem, edge_weight, chemical_potential, second_weight)
    end = _end(time_limit)
    if start is not None:
        start = as_switches("start", start, problem.n_sites, "one for each candidate site")
    programs = programs_of(problem, prior)
    relaxation = [relaxed(program, end) for program in programs]
    bounds = [r.bound for r in relaxation]
    if start is None:
        whole = all(r.whole for r in relaxation)
        start = np.zeros(problem.n_sites, dtype=bool) if whole else _annealed(problem, prior)
    occupied = start.copy()
    energy = problem.energy(occupied, *prior)
    if not _equal(energy, sum(bounds)):
        for i, program in enumerate(programs):
            if relaxation[i].whole:
                occupied[program.sites] = relaxation[i].occupied
                continue
            answer = solve(program, program.cost, end)
            if answer is not None:
                occupied[program.sites], bounds[i] = answer[0], max(answer[1], bounds[i])
        if problem.energy(occupied, *prior) > energy:
            occupied = start
        energy = problem.energy(occupied, *prior)
    bound = min(sum(bounds), energy)
    return ExactSolution(occupied, energy, bound, _equal(energy, bound), *prior)


def _checked_prior(
    problem: Problem, edge_weight: float, chemical_potential: float, second_weight: float
) -> Prior:
    check_problem(problem)
    check_number("edge_weight", edge_weight, 0)
    check_number("second_weight", second_weight, 0)
    check_number("chemical_potential", chemical_potential)
    return Prior(float(edge_weight), float(chemical_potential), float(second_weight))


def _end(time_limit: float) -> float:
    """When the time is over, on the clock of `time.monotonic` [s]; it may never be."""
    if not (isinstance(time_limit, float) and time_limit == np.inf):
        check_number("time_limit", time_limit, 0)
    return time.monotonic() + time_limit


def _annealed(problem: Problem, prior: Prior) -> Bools:
    """The occupancy at the end of one annealing run."""
    start = start_occupancy(problem)
    rng = random_state(np.random.SeedSequence(0))
    state = Annealer(layout_of(problem, vacancies=True), problem.table, prior, start, rng)
    for temperature in temperatures(problem, problem.table, prior, _COLDEST):
        cool(state, float(temperature))
        state = condensed(state, start)
    return refined(state).occupied


def _equal(energy: float, bound: float) -> bool:
    return bool(energy - bound <= TOLERANCE * max(1.0, abs(energy)))


def optimality_gap(
    problem: Problem,
    occupied: Bools,
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

    Returns
    -------
    float

    Raises
    ------
    InputError
        If there is not one value for each candidate site, or a weight is out of its range.

    Examples
    --------
    >>> from tomo import build_problem
    >>> from tomo.phantoms import random_particle, views_of
    >>> views = views_of(random_particle(200, "faceted"), [(1, 0, 0), (0, 1, 0), (1, 1, 0)])
    >>> problem = build_problem(views)
    >>> optimality_gap(problem, solve_exact(problem).occupied)
    0.0
    """
    prior = _checked_prior(problem, edge_weight, chemical_potential, second_weight)
    energy = problem.energy(occupied, *prior)
    best = solve_exact(
        problem,
        edge_weight,
        chemical_potential=chemical_potential,
        second_weight=second_weight,
        start=occupied,
        time_limit=time_limit,
    )
    return 0.0 if _equal(energy, best.bound) else float(energy - best.bound)


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
    check_problem(problem)
    if not (isinstance(solution, ExactSolution) and solution.proven):
        raise InputError("solution: expected a proven one; give solve_exact more time.")
    end = _end(time_limit)
    same = np.ones(problem.n_sites, dtype=bool)
    movable, proven = 0, True
    for program in programs_of(problem, solution.prior):
        own = solution.occupied[program.sites]
        best = solve(program, program.cost, end)
        if best is None:
            return Freedom(same & solution.occupied, same & ~solution.occupied, movable, False)
        limited = with_cost_limit(program, best[1] + TOLERANCE * max(1.0, abs(best[1])))
        kept = np.ones(len(own), dtype=bool)
        first = True
        while kept.any():
            away = np.zeros(len(program.cost))
            away[: len(own)] = np.where(kept, np.where(own, 1.0, -1.0), 0.0)
            if first:
                # Atoms of the solution that are gone are what is asked for; they come first.
                away[: len(own)] *= np.where(own, len(own) + 1.0, 1.0)
            answer = solve(limited, away, end)
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
