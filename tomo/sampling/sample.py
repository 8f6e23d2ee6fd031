"""Sampling the posterior of the occupancies: a certainty that can be believed.

Several Markov chains draw occupancies from P(s | counts) ~ P(counts | s) P(s) at temperature 1, with
the P(s) of `tomo.Prior`. The edge weights and the share of wrong counts are not asked for: they are
estimated while the chains run, by stochastic expectation maximisation. A chain is several
*rounds*: each heats the crystal, cools it again to temperature 1, forgets, and measures. The heat
lets a round leave the mode its forerunner was in, and jumps between the modes that the chains are
found in (`tomo.sampling.jumps`) give each mode its right share. Rounds that disagree about a site all the
same show that the chains do not mix there, and the result says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..annealing.temperature import SOLID
from ..checkpoint import Folder, ensemble_key
from ..energy.count_error import (
    CountModel,
    count_table,
    initial_count_model,
    mean_count_model,
    update_count_model,
)
from ..energy.edge_weight import edge_statistics, prior_from_statistics
from ..energy.layout import layout_of
from ..energy.prior import Prior
from ..errors import InputError, check_number, check_progress, check_whole
from ..kernels import random_state
from ..problem import Problem, check_problem
from ..start import centred_columns, start_occupancy
from .chain import Chain
from .diagnostics import Convergence, convergence_of
from .jumps import Jumps, learn_jumps
from .segments import SamplerState

_START, _START_ERROR = Prior(0.5, 0.0), 0.2
_HOT, _WARM = 0.1, 0.3


@dataclass(frozen=True, eq=False)
class ChainSchedule:
    """How long the chains run; a sweep is as many proposals as there are flippable sites.

    Attributes
    ----------
    cooling : int
        Temperatures on the way from hot to 1.
    cooling_sweeps : int
        Sweeps at each of them.
    estimates : int
        Rounds of estimating edge weight and count errors.
    estimate_sweeps : int
        Sweeps in each of them.
    learn_every : int
        Rounds of estimating after which the chains learn each other's modes.
    rounds : int
        Times a chain is heated, cooled and measured.
    burn_in : int
        Sweeps at temperature 1 that are forgotten in every round.
    measurements : int
        Measurements in every round.
    measure_every : int
        Sweeps from one measurement to the next.
    """

    cooling: int = 20
    cooling_sweeps: int = 20
    estimates: int = 40
    estimate_sweeps: int = 20
    learn_every: int = 8
    rounds: int = 4
    burn_in: int = 100
    measurements: int = 100
    measure_every: int = 5


@dataclass(frozen=True, eq=False)
class PosteriorSample:
    """What the chains say about every candidate site; C chains, S sites.

    Attributes
    ----------
    certainty : (S,) float
        Probability that the site is occupied.
    runs : (C, S) bool
        The occupancy at the end of every chain: fair draws from the posterior.
    energy : (C,) float
        Their energies, with the count model and prior below.
    prior : Prior
        Edge weights and chemical potential that were used.
    count_model : CountModel
        Share of wrong counts of every view, or the exponent on its count probabilities.
    table : (T,) float
        Cost tables that follow from it, in the layout of `Problem.table`.
    convergence : Convergence
        R-hat and effective sample sizes.
    warnings : tuple of str
    """

    certainty: NDArray[np.float64]
    runs: NDArray[np.bool_]
    energy: NDArray[np.float64]
    prior: Prior
    count_model: CountModel
    table: NDArray[np.float64]
    convergence: Convergence
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        atoms, chains = int((self.certainty >= 0.5).sum()), len(self.runs)
        return f"<PosteriorSample: {atoms} atoms, {chains} chains, {len(self.warnings)} warnings>"

    @property
    def edge_weight(self) -> float:
        """Edge weight that was used [nats per edge]."""
        return self.prior.edge_weight

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Plain numbers for a report."""
        return {**self.prior._asdict(), **self.count_model.summary(), **asdict(self.convergence)}


def sample_posterior(
    problem: Problem,
    *,
    edge_weight: float | None = None,
    chemical_potential: float | None = None,
    count_error: float | None = None,
    chains: int = 8,
    schedule: ChainSchedule | None = None,
    start: NDArray[np.bool_] | None = None,
    vacancies: bool = False,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[float], None] | None = None,
    checkpoint: str | Path | None = None,
) -> PosteriorSample:
    """Certainty of every candidate site from Markov chains over the occupancies.

    Parameters
    ----------
    problem : Problem
        From `build_problem`.
    edge_weight : float, optional
        Price of an occupied-vacant neighbour pair [nats]; if None, estimated with that of second
        neighbours, which is 0 otherwise.
    chemical_potential : float, optional
        Worth of an atom [nats]; if None, estimated with the edge weight, or 0 where that is given.
    count_error : float, optional
        Share of hard counts that are wrong; estimated for each view if None.
    chains : int
        Independent chains, at least 2.
    schedule : ChainSchedule, optional
        How long they run.
    start : (S,) bool, optional
        An occupancy that all chains start from, warm. By default they start hot from one that the counts
        suggest (`tomo.start`); with a single view, which leaves open where its columns begin, warm from
        centred columns.
    vacancies : bool
        Let atoms be missing inside the crystal.
    seed : int
        The result is the same for the same seed, whatever the number of workers.
    workers : int, optional
        Threads; all cores if None.
    progress : callable, optional
        Called with the share of the work that is done, 0..1.
    checkpoint : str or Path, optional
        Folder that the state is saved into after every segment (a tenth of the work or less); what
        was stopped goes on from there and ends with the same bits.

    Returns
    -------
    PosteriorSample

    Raises
    ------
    InputError
        If an argument is out of its range, or the checkpoint cannot be written.

    Examples
    --------
    >>> from tomo import build_problem
    >>> from tomo.phantoms import random_particle, views_of
    >>> views = views_of(random_particle(200, "faceted"), [(1, 0, 0), (0, 1, 0), (1, 1, 0)])
    >>> sample = sample_posterior(build_problem(views), chains=2)
    >>> sample.certainty.shape == sample.runs[0].shape
    True
    """
    _check(edge_weight, chemical_potential, count_error, chains, start, problem)
    check_whole("seed", seed, 0)
    check_progress(progress)
    if schedule is not None and not isinstance(schedule, ChainSchedule):
        raise InputError(f"schedule: expected a tomo.ChainSchedule, got {schedule!r}.")
    if workers is not None:
        check_whole("workers", workers, 1)
    plan = schedule or ChainSchedule()
    model = initial_count_model(problem, _START_ERROR if count_error is None else count_error)
    if edge_weight is not None and chemical_potential is None:
        chemical_potential = 0.0
    fixed = (edge_weight, chemical_potential, None if edge_weight is None else 0.0)
    prior = Prior(
        *(value if given is None else float(given) for value, given in zip(_START, fixed, strict=True))
    )
    hot = _HOT if start is None and len(problem.views) > 1 else _WARM
    if start is None:
        # One compact crystal: all candidates would condense into several where views of high indices leave
        # room for them, and no heat brings these together. The hot start spreads the chains over modes.
        start = start_occupancy(problem) if len(problem.views) > 1 else centred_columns(problem)
    layout, table = layout_of(problem, vacancies), count_table(problem, model)
    running = [
        Chain(layout, table, prior, start, random_state(s))
        for s in np.random.SeedSequence(seed).spawn(chains)
    ]
    state = SamplerState(running, prior, model)
    folder = None
    if checkpoint is not None:
        asked = (chains, astuple(plan), start.tobytes(), hot, vacancies, seed, *fixed, count_error)
        key = ensemble_key(problem, "sample", *asked)
        folder = Folder(checkpoint, key, "sample")
    with ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 1) as pool:
        job = _Job(problem, plan, hot, fixed, count_error, pool, state)
        job.run(folder, progress or (lambda _: None))
    return _sample_of(problem, state)


def _sample_of(problem: Problem, state: SamplerState) -> PosteriorSample:
    """What the chains have measured."""
    table = state.set_costs(problem)
    means = np.concatenate([certainty for certainty, _ in state.rounds])
    convergence = convergence_of(means, np.concatenate([energy for _, energy in state.rounds]))
    return PosteriorSample(
        means.mean(axis=0, dtype=float),
        np.array([chain.occupied for chain in state.chains]),
        np.array([chain.energy() for chain in state.chains]),
        state.prior,
        state.model,
        table,
        convergence,
        convergence.warnings(),
    )


def _check(
    edge_weight: float | None,
    chemical_potential: float | None,
    count_error: float | None,
    chains: int,
    start: NDArray[np.bool_] | None,
    problem: Problem,
) -> None:
    check_problem(problem)
    if edge_weight is not None:
        check_number("edge_weight", edge_weight, 0)
    if chemical_potential is not None:
        check_number("chemical_potential", chemical_potential)
    if count_error is not None and not (
        isinstance(count_error, int | float | np.number) and 0 < count_error < 1
    ):
        raise InputError(f"count_error: expected a share between 0 and 1, got {count_error!r}.")
    check_whole("chains", chains, 2)  # one alone cannot be compared
    if start is not None and np.shape(start) != (problem.n_sites,):
        raise InputError(f"start: expected {problem.n_sites} values, got shape {np.shape(start)}.")
    if start is not None and not np.any(start):
        raise InputError("start: expected at least one atom.")


def _cool(chain: Chain, hot: float, plan: ChainSchedule) -> None:
    """From inverse temperature ``hot`` to 1, the edge weight no lower than where the crystal melts."""
    table, prior = chain.table, chain.prior
    for beta in np.geomspace(hot, 1.0, plan.cooling):
        weight = max(min(prior.edge_weight, SOLID), beta * prior.edge_weight)
        second = prior.second_weight * (weight / prior.edge_weight if prior.edge_weight > 0 else 1.0)
        chain.set_costs(beta * table, Prior(weight, beta * prior.chemical_potential, second))
        chain.sweep(plan.cooling_sweeps)
    chain.set_costs(table, prior)
    chain.tidy()


def _draw(chain: Chain, jumps: Jumps, sweeps: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Statistics of edges, and counts, of the occupancy after so many sweeps."""
    chain.sweep(sweeps // 2)
    chain.jump(jumps)
    chain.sweep(sweeps - sweeps // 2)
    return edge_statistics(chain.occupied, chain.around, chain.layout.degree), chain.counts


def _measure(
    chain: Chain, jumps: Jumps, plan: ChainSchedule
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Forget, then measure: mean certainty and energies."""
    for _ in range(plan.burn_in // plan.measure_every):
        chain.sweep(plan.measure_every)
        chain.jump(jumps)
    certainty = np.zeros(len(chain.layout.sites))
    energy = np.zeros(plan.measurements)
    for m in range(plan.measurements):
        chain.sweep(plan.measure_every)
        chain.jump(jumps)
        chain.measure(certainty)
        energy[m] = chain.energy()
    return (certainty / plan.measurements).astype(np.float32), energy


@dataclass(frozen=True, eq=False)
class _Job:
    """The segments of a sampling run: each changes the state, and is saved when it is done."""

    problem: Problem
    plan: ChainSchedule
    hot: float
    fixed: tuple[float | None, float | None, float | None]
    count_error: float | None
    pool: ThreadPoolExecutor
    state: SamplerState

    def run(self, folder: Folder | None, report: Callable[[float], None]) -> None:
        """Work on all segments that the folder does not hold yet, and report the share that is done."""
        for number, (work, share) in enumerate(self.segments()):
            saved = folder.load(number) if folder is not None else None
            if saved is not None:
                self.state.restore(saved)
            else:
                measured = work()
                if folder is not None:
                    folder.save(number, self.state.arrays(measured))
            report(share)

    def segments(self) -> list[tuple[Callable[[], bool], float]]:
        """Work, and the share of all work that is done after it; a work returns whether it has measured."""
        plan = self.plan
        starts = range(0, plan.estimates, plan.learn_every)
        found: list[tuple[Callable[[], bool], float]] = [(self.cool, 0.1)]
        for first in starts:
            end = min(first + plan.learn_every, plan.estimates)
            found.append((partial(self.estimate, first, end), 0.1 + 0.3 * end / plan.estimates))
        return found + [(self.measure, 0.4 + 0.6 * (r + 1) / plan.rounds) for r in range(plan.rounds)]

    def each(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """The same work on every chain."""
        return list(self.pool.map(lambda chain: work(chain, *arguments), self.state.chains))

    def cool(self) -> bool:
        """From hot to temperature 1."""
        self.state.set_costs(self.problem)
        self.each(_cool, self.hot, self.plan)
        return False

    def estimate(self, first: int, end: int) -> bool:
        """Steps of stochastic expectation maximisation of prior and count model.

        Every step draws occupancies with the present values and takes those that suit the draws
        best; the result is the mean over the last half of the steps. At first the chains learn
        each other's modes, or one wrong mode that all share in part would pass for count errors.
        """
        state, plan = self.state, self.plan
        state.set_costs(self.problem)
        if 0 < first <= plan.estimates // 2:
            self.each(_cool, _WARM, plan)
        self.learn()
        for step in range(first, end):
            state.set_costs(self.problem)
            drawn = self.each(_draw, state.jumps, plan.estimate_sweeps)
            state.prior = prior_from_statistics(sum(s for s, _ in drawn) / len(drawn), *self.fixed)
            # Probabilities are believed until the chains have had time to find what agrees with them.
            soft = 3 * step >= plan.estimates
            counts = np.array([n for _, n in drawn])
            updated = update_count_model(self.problem, state.model, counts, soft)
            if self.count_error is not None:
                updated = replace(updated, error=state.model.error)
            state.model = updated
            if step >= plan.estimates // 2:
                state.kept.append((state.prior, state.model))
        if end == plan.estimates:
            mean = np.mean([p for p, _ in state.kept], axis=0)
            state.prior = Prior(
                *(float(m) if given is None else given for m, given in zip(mean, self.fixed, strict=True))
            )
            state.model = mean_count_model([m for _, m in state.kept])
        return False

    def measure(self) -> bool:
        """One round: heat, cool, forget, measure."""
        state, plan = self.state, self.plan
        state.set_costs(self.problem)
        self.each(_cool, _WARM, plan)
        self.learn()
        found = self.each(_measure, state.jumps, plan)
        state.rounds.append(
            (np.array([mean for mean, _ in found]), np.array([energy for _, energy in found]))
        )
        return True

    def learn(self) -> None:
        """Add what tells the chains' modes apart to the jumps."""
        state = self.state
        state.jumps = learn_jumps(state.chains[0].layout, self.each(Chain.quenched), state.jumps)
