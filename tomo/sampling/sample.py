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
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..annealing.align import aligned
from ..annealing.chosen_start import sheet_of
from ..arrays import Bools, Floats
from ..checkpoint import Folder, ensemble_key
from ..energy.count_error import (
    CountModel,
    count_table,
    initial_count_model,
)
from ..energy.layout import layout_of
from ..energy.prior import Prior
from ..errors import (
    MOST_RUNS,
    InputError,
    as_switches,
    check_number,
    check_progress,
    check_switch,
    check_whole,
)
from ..kernels import random_state
from ..problem import Problem, check_problem
from ..start import centred_columns, start_occupancy
from .chain import Chain
from .diagnostics import Convergence, convergence_of
from .job import WARM, ChainSchedule, Job
from .segments import SamplerState

_START, _START_ERROR = Prior(0.5, 0.0), 0.2
_HOT = 0.1  # inverse temperature that chains start from


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

    certainty: Floats
    runs: Bools
    energy: Floats
    prior: Prior
    count_model: CountModel
    table: Floats
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
    start: Bools | None = None,
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
        centred columns; and at temperature 1 from a sheet of a few layers seen obliquely.
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
    check_switch("vacancies", vacancies)
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
    prior = _prior(_START, fixed)
    layout = layout_of(problem, vacancies)
    hot, warm = _HOT if start is None and len(problem.views) > 1 else WARM, WARM
    sheet = sheet_of(problem, layout, seed, edge_weight, vacancies) if start is None else None
    if sheet is not None:
        # drawn to a ball by heat, it would not come back
        start, hot, warm = sheet.state, 1.0, 1.0
        prior = _prior(sheet.prior, fixed)
        model = sheet.counts if count_error is None else model
    elif start is None:
        # One compact crystal: all candidates would condense into several where views of high indices leave
        # room for them, and no heat brings these together. The hot start spreads the chains over modes.
        start = start_occupancy(problem) if len(problem.views) > 1 else centred_columns(problem)
    table = count_table(problem, model)
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
        job = Job(problem, plan, hot, warm, fixed, count_error, pool, state)
        job.run(folder, progress or (lambda _: None))
    return _sample_of(problem, state)


def _prior(learned: Prior, fixed: tuple[float | None, float | None, float | None]) -> Prior:
    """What is fixed, and for the rest what is learned."""
    return Prior(*(v if given is None else float(given) for v, given in zip(learned, fixed, strict=True)))


def _sample_of(problem: Problem, state: SamplerState) -> PosteriorSample:
    """What the chains have measured."""
    table = state.set_costs(problem)
    means = np.concatenate([certainty for certainty, _ in state.rounds])
    runs = np.array([chain.occupied for chain in state.chains])
    if problem.slides:
        sharpest = means[int(np.square(means).sum(axis=1).argmax())]
        means, runs = (aligned(problem, each, sharpest) for each in (means, runs))
    convergence = convergence_of(means, np.concatenate([energy for _, energy in state.rounds]))
    return PosteriorSample(
        means.mean(axis=0, dtype=float),
        runs,
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
    start: Bools | None,
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
    check_whole("chains", chains, 2, MOST_RUNS)  # one alone cannot be compared
    if (
        start is not None
        and not as_switches("start", start, problem.n_sites, "one for each candidate site").any()
    ):
        raise InputError("start: expected at least one atom.")
