"""`reconstruct`: from views to a result, by repeated annealing or by sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from .annealing.align import aligned
from .annealing.calibrate import Calibration
from .annealing.chosen_start import calibrated
from .annealing.runs import Task, all_runs
from .annealing.schedule import AnnealedRun
from .arrays import Bools, Floats, Ints
from .crystal import Crystal
from .energy.layout import Layout, layout_of
from .errors import (
    MOST_RUNS,
    InputError,
    check_choice,
    check_number,
    check_progress,
    check_switch,
    check_whole,
)
from .problem import Problem, build_problem
from .remarks import COSTLY, doubtful_sites, filled_vacancies, odd_runs, open_ends
from .repair import holes
from .report import few_atoms
from .result import Reconstruction
from .start import start_occupancy
from .view import View

METHODS = ("anneal", "sample")
#: Share of what the edges cost, beside `COSTLY`, by which a run that counts may end above the lowest one;
#: runs that end in one and the same crystal but for a few atoms differ by up to 0.02.
_STUCK = 0.05
#: Candidate sites from which on chains start warm instead of hot: sections that lean the wrong way turn
#: over by themselves in smaller crystals only.
_LARGE = 50_000
#: Largest certainty of a site that is left empty; less than one half in single precision, too.
_LESS_THAN_HALF = float(np.nextafter(np.float32(0.5), np.float32(0)))
#: What of every annealing run is in the diagnostics.
_TOLD_OF_RUNS = (
    "misfit",
    "voted_energy",
    "edges",
    "second_edges",
    "proposals",
    "hottest",
    "coldest",
)


def reconstruct(
    views: Sequence[View],
    runs: int = 10,
    method: str = "anneal",
    seed: int = 0,
    workers: int | None = None,
    *,
    crystal: Crystal | None = None,
    edge_weight: float | None = None,
    connected: bool = True,
    vacancies: bool | None = None,
    strict: bool = True,
    excluded_sites: ArrayLike | None = None,
    site_worth: tuple[ArrayLike, ArrayLike] | None = None,
    tempered: bool = True,
    progress: bool | Callable[[float], None] = False,
    checkpoint: str | Path | None = None,
    client: Any = None,
) -> Reconstruction:
    """Find the occupied sites of a crystal from views along one or more zone axes.

    Every run minimises ``sum over columns of -ln P(counted | atoms) + edge_weight x edges`` by
    simulated annealing from its own random numbers (Bals et al., Nano Letters 11 (2011) 3420);
    ``method="sample"`` draws from exp(-that) instead.

    Parameters
    ----------
    views : sequence of View
        One or more, in a common frame.
    runs : int
        Independent runs; Markov chains with ``method="sample"`` (at least 2).
    method : str
        "anneal": certainty is the fraction of runs that hold the atom, those left out that froze far
        above the lowest energy; "sample": its posterior probability, see `tomo.sample_posterior`.
    seed : int
        The result is the same for the same seed, whatever the workers.
    workers : int, optional
        Threads; by default one for each core.
    crystal : Crystal, optional
        Kept in the result; positions and species in files need it.
    edge_weight : float, optional
        Cost of an occupied-vacant neighbour pair. If None, it is estimated from the views, with what
        such a pair of second neighbours costs and what an atom is worth (else both are 0).
    connected : bool
        Impose one piece and, unless ``vacancies`` is true, no holes on every annealing run. What
        that costs in misfit is in ``result.diagnostics``.
    vacancies : bool, optional
        Whether atoms inside the crystal may be missing. None: single ones, where the counts of
        their columns leave no other explanation (a warning says how many); sampling takes that
        for False, and a warning says where the counts speak against it. How many places inside the
        crystal each run left empty is ``result.diagnostics["vacancies"]``.
    strict : bool
        Refuse views that contradict each other beyond noise; else only warn.
    excluded_sites : (m, 3) int, optional
        Sites that hold no atom of this species, e.g. because one of another species is too near.
    site_worth : ((m, 3) int, (m,) float), optional
        Sites, and what an atom at each of them is worth by itself [nats], e.g. by its bonds with others.
    tempered : bool
        Whether annealing tempers the count probabilities of views that prove too sure of them, by an
        exponent below one; sampling does so once its chains had time to find what agrees with them.
    progress : bool or callable
        Show a bar, or call with the share of the work that is done, 0..1.
    checkpoint : str or Path, optional
        Folder that every finished run (every segment of a sampling) is saved into at once; what was
        stopped goes on from there and ends with the same bits.
    client : dask.distributed.Client, optional
        Do the annealing runs on a cluster instead of threads.

    Returns
    -------
    Reconstruction

    Raises
    ------
    InputError
        If the views contradict each other beyond noise (see `build_problem`) or an argument is
        out of its range.
    KeyboardInterrupt
        On Ctrl-C, after the runs in progress have stopped; finished ones are in ``checkpoint``.

    Examples
    --------
    >>> from tomo.phantoms import random_particle, views_of
    >>> particle = random_particle(200, "faceted", seed=2)
    >>> result = reconstruct(views_of(particle, [(1, 0, 0), (0, 1, 0), (1, 1, 0)]), runs=2)
    >>> len(result.occupied()) == len(particle)
    True
    """
    _check_arguments(runs, method, seed, workers, edge_weight, crystal, client)
    check_switch("connected", connected)
    check_switch("strict", strict)
    check_switch("tempered", tempered)
    check_progress(progress)
    if vacancies is not None:
        check_switch("vacancies", vacancies)
    problem = build_problem(views, strict=strict, excluded_sites=excluded_sites, site_worth=site_worth)
    if method == "sample":
        return _sampled(problem, runs, seed, workers, crystal, edge_weight, vacancies, progress, checkpoint)
    layout = layout_of(problem, bool(vacancies), not connected)
    calibration = calibrated(problem, layout, seed, edge_weight, bool(vacancies), tempered)
    finished = all_runs(
        Task(problem, layout, calibration, seed, connected, vacancies),
        runs,
        workers=workers,
        progress=progress,
        checkpoint=checkpoint,
        client=client,
    )
    occupied = np.array([run.occupied for run in finished])
    if problem.slides:
        occupied = aligned(problem, occupied)
    counting = _that_count(finished, calibration)
    certainty = _fraction_of_runs([finished[n] for n in counting], occupied[counting])
    return _assembled(
        problem,
        layout,
        certainty,
        certainty if problem.slides else np.mean([finished[n].probability for n in counting], axis=0),
        occupied,
        np.array([run.energy for run in finished]),
        method=method,
        seed=seed,
        edge_weight=calibration.prior.edge_weight,
        crystal=crystal,
        diagnostics=_annealing_diagnostics(problem, calibration, finished),
        warnings=problem.warnings + odd_runs(problem, finished, len(counting)),
    )


def _sampled(
    problem: Problem,
    runs: int,
    seed: int,
    workers: int | None,
    crystal: Crystal | None,
    edge_weight: float | None,
    vacancies: bool | None,
    progress: bool | Callable[[float], None],
    checkpoint: str | Path | None,
) -> Reconstruction:
    """The result of ``method="sample"``."""
    from .sampling.sample import sample_posterior

    bar = tqdm(total=1000, desc="posterior", disable=progress is not True)

    def report(share: float) -> None:
        bar.update(round(1000 * share) - bar.n)
        if callable(progress):
            progress(share)

    sample = sample_posterior(
        problem,
        edge_weight=edge_weight,
        chains=max(runs, 2),
        start=start_occupancy(problem) if problem.n_sites > _LARGE else None,
        vacancies=bool(vacancies),
        seed=seed,
        workers=workers,
        progress=report,
        checkpoint=checkpoint,
    )
    bar.close()
    said = (
        sample.warnings if vacancies is not None else (*sample.warnings, *filled_vacancies(problem, sample))
    )
    return _assembled(
        problem,
        layout_of(problem),
        sample.certainty,
        sample.certainty,
        sample.runs,
        sample.energy,
        method="sample",
        seed=seed,
        edge_weight=sample.edge_weight,
        crystal=crystal,
        diagnostics=dict(sample.diagnostics),
        warnings=problem.warnings + open_ends(problem) + said,
    )


def _check_arguments(
    runs: int,
    method: str,
    seed: int,
    workers: int | None,
    edge_weight: float | None,
    crystal: Crystal | None,
    client: Any,
) -> None:
    check_choice("method", method, METHODS)
    check_whole("runs", runs, 1, MOST_RUNS)
    check_whole("seed", seed, 0)
    if workers is not None:
        check_whole("workers", workers, 1)
    if crystal is not None and not isinstance(crystal, Crystal):
        raise InputError(f"crystal: expected a tomo.Crystal, got {crystal!r}.")
    if edge_weight is not None:
        check_number("edge_weight", edge_weight, 0)
    if client is not None and not hasattr(client, "scatter"):
        raise InputError(f"client: expected a dask.distributed.Client, got {client!r}.")
    if client is not None and method == "sample":
        raise InputError('client: only method="anneal" runs on a cluster; leave it out.')


def _assembled(
    problem: Problem,
    layout: Layout,
    certainty: Floats,
    probability: NDArray[np.floating],
    runs: Bools,
    energy: Floats,
    **rest: Any,
) -> Reconstruction:
    """The result on the sites that matter: occupied in a run or with a certainty above 0.

    The probability that a site is occupied decides whether the user is told of other crystals.
    """
    kept = runs.any(axis=0) | (certainty > 0)
    result = Reconstruction(
        sites=problem.sites[kept].astype(np.int64),
        certainty=certainty[kept],
        runs=runs[:, kept],
        energy=energy,
        views=problem.views,
        **rest,
    )
    there = certainty >= 0.5
    expected_wrong = float(np.where(there, 1 - probability, probability).sum(dtype=float))
    views, planes = result.agreement()
    doubts = doubtful_sites(there, probability, expected_wrong)
    result = replace(result, warnings=(*result.warnings, *few_atoms(int(there.sum()), views), *doubts))
    result.diagnostics["views"] = [view.summary() for view in views]
    result.diagnostics["shared_planes"] = [plane.summary() for plane in planes]
    result.diagnostics["expected_wrong"] = expected_wrong
    result.diagnostics["vacancies"] = [int(holes(layout, run).sum()) for run in runs]
    return result


def _fraction_of_runs(runs: list[AnnealedRun], occupied: Bools) -> Floats:
    """Share of the runs that hold a site, (S,) float.

    Of two crystals that explain the counts equally well each may be that of half of the runs. The sites of
    both would hold too many atoms, so the run whose crystal has the lowest energy decides a tie.
    """
    share = occupied.mean(axis=0)
    best = occupied[int(np.argmin([run.voted_energy for run in runs]))]
    return np.asarray(np.where((share == 0.5) & ~best, _LESS_THAN_HALF, share))


def _that_count(runs: list[AnnealedRun], calibration: Calibration) -> Ints:
    """Which runs did not freeze far above the lowest one.

    A plate of few layers, while hot, may melt to a ball that no cooling turns back. It is no crystal that
    explains the counts nearly as well, however many runs end in it.
    """
    energy = np.array([run.energy for run in runs])
    best = runs[int(energy.argmin())]
    edges = calibration.prior.edge_weight * best.edges + calibration.prior.second_weight * best.second_edges
    return np.flatnonzero(energy <= best.energy + _STUCK * edges + COSTLY)


def _annealing_diagnostics(
    problem: Problem, calibration: Calibration, runs: list[AnnealedRun]
) -> dict[str, Any]:
    return {
        "candidate_sites": problem.n_sites,
        "informative_columns": problem.n_lines,
        **calibration.prior._asdict(),
        **calibration.counts.summary(),
        **{name: [getattr(run, name) for run in runs] for name in _TOLD_OF_RUNS},
        "one_piece_misfit_cost": [run.misfit - run.free_misfit for run in runs],
        "one_piece_energy_cost": [run.energy - run.free_energy for run in runs],
    }
