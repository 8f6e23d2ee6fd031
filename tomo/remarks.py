"""What a user is told of a reconstruction beside its atoms: its warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .annealing.schedule import AnnealedRun
from .annealing.vacancy import evident_vacancies
from .arrays import Bools
from .problem import Problem

if TYPE_CHECKING:
    from .sampling.sample import PosteriorSample

#: Energy [nats] that one piece and no holes may cost before the user is told.
COSTLY = 10.0
#: Expected wrong atoms, and as a share of all, from which on the user is told; sites are doubtful that are
#: farther than this from certain either way.
_WRONG, _WRONG_SHARE, _DOUBTFUL = 0.5, 0.005, 0.05


def filled_vacancies(problem: Problem, sample: PosteriorSample) -> tuple[str, ...]:
    """The warning that chains without holes fill places which the counts say are empty, column by column."""
    occupied = sample.certainty >= 0.5
    if not occupied.any():
        return ()
    empty = evident_vacancies(problem, sample.table, sample.prior, occupied)
    if not len(empty):
        return ()
    columns = []
    for view, lines in zip(problem.views, problem.line, strict=True):
        crossed = np.unique(problem.line_column[lines[empty][lines[empty] >= 0]])
        if len(crossed):
            several = "columns" if len(crossed) > 1 else "column"
            columns.append(f"{several} {', '.join(map(str, crossed))} of {view.name}")
    places = "1 place" if len(empty) == 1 else f"{len(empty)} places"
    return (
        f"vacancies: {places} inside the crystal would be empty by the counts ({'; '.join(columns)}) but"
        " sampling fills them; vacancies = true in [reconstruction] allows empty ones.",
    )


def doubtful_sites(there: Bools, probability: NDArray[np.floating], expected_wrong: float) -> tuple[str, ...]:
    """The warning that the views leave alternatives; so many atoms are expected to be missed or false."""
    atoms = int(there.sum())
    if expected_wrong < max(_WRONG, _WRONG_SHARE * atoms):
        return ()
    full = int((probability[there] < 1 - _DOUBTFUL).sum())
    empty = int((probability[~there] > _DOUBTFUL).sum())
    digits = 0 if expected_wrong >= 100 else 1
    return (
        f"certainty: {full} atom{'s' * (full != 1)} and {empty} empty site{'s' * (empty != 1)} are doubtful,"
        " as other crystals explain the counts"
        f" nearly as well; about {expected_wrong:.{digits}f} of {atoms} atoms are expected to be wrong;"
        " a view along another axis, or often more electrons, would decide between them.",
    )


def open_ends(problem: Problem) -> tuple[str, ...]:
    """The warning that views along one axis deserve."""
    if not problem.slides:
        return ()
    return (
        "views: all are along one zone axis, which leaves open where each column lies along the "
        "beam; only the edges decide, and a view along another one would tell.",
    )


def odd_runs(problem: Problem, runs: list[AnnealedRun], counting: int) -> tuple[str, ...]:
    warnings = open_ends(problem)
    stuck = len(runs) - counting
    if stuck:
        warnings += (f"runs: {stuck} of {len(runs)} froze far above the lowest energy and do not count.",)
    opened = [run.vacancies for run in runs if run.vacancies]
    if opened:
        upto = "" if min(opened) == max(opened) else "up to "
        some = "" if len(opened) == len(runs) else f" in {len(opened)} of {len(runs)} runs"
        warnings += (
            f"vacancies: the counts leave {upto}{max(opened)} {'place' if max(opened) == 1 else 'places'} "
            f"inside the crystal empty{some}; vacancies = false fills what is empty.",
        )
    costly = [run for run in runs if run.energy - run.free_energy > COSTLY]
    if 2 * len(costly) > len(runs):  # a run or two may have ended in a worse state
        worst = max(run.energy - run.free_energy for run in costly)
        warnings += (
            f"one piece without holes explains the counts less well in {len(costly)} of {len(runs)} runs, "
            f"by up to {worst:.0f} in energy: there may be a cavity, which vacancies = true "
            "allows, or a second particle: cut the images to one of them (roi of each [[image]]; for both at "
            "once connected=False of tomo.reconstruct).",
        )
    return warnings
