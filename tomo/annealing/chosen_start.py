"""Costs and start of an annealing: those of a compact crystal or, where the views allow it, of a sheet."""

from __future__ import annotations

import numpy as np

from ..arrays import Floats
from ..energy.count_error import count_table, initial_count_model
from ..energy.edge_weight import surface_log_likelihood
from ..energy.layout import Layout
from ..kernels import random_state
from ..problem import Problem
from ..start import start_occupancy
from ..thin import is_sheet, thin_starts
from .anneal import Annealer
from .calibrate import Calibration, calibrate
from .temperature import refined

#: Share of wrong hard counts that crystals of different starts are compared with.
_ERROR = 0.05
#: What a sheet may be worse by than what heat leads to, and still be kept [log units].
_AS_GOOD = 1.0


def calibrated(
    problem: Problem,
    layout: Layout,
    seed: int,
    edge_weight: float | None = None,
    cavities: bool = False,
    tempered: bool = True,
) -> Calibration:
    """`calibrate` from the compact start, or from the sheet that explains counts and its own surface better.

    Costs are learned from the crystal that they lead to, so that those of different crystals cannot judge
    each other: a sheet that has come out as a ragged ball teaches that edges cost little. Each crystal is
    judged by the costs that suit its own surface best, and all by the same costs of the counts, untempered.
    """
    ways = edge_weight, cavities, tempered
    found = calibrate(problem, layout, start_occupancy(problem), _numbers(seed), *ways)
    sheets = thin_starts(problem)
    if not sheets:
        return found
    table = count_table(problem, initial_count_model(problem, _ERROR))
    best, least = found, _implausibility(problem, layout, found, table) + _AS_GOOD
    for number, start in enumerate(sheets):
        sheet = calibrate(problem, layout, start, _numbers(seed, number), *ways, cold=True)
        value = _implausibility(problem, layout, sheet, table)
        # what has grown to a rod or a ball comes hot as well, and tells more of what else is possible
        if value < least and is_sheet(problem.sites[sheet.state]):
            best, least = sheet, value
    return best


def sheet_of(
    problem: Problem, layout: Layout, seed: int, edge_weight: float | None, cavities: bool
) -> Calibration | None:
    """Costs and crystal of the sheet that `calibrated` takes; None where it takes a start that bears heat."""
    if not thin_starts(problem):
        return None
    found = calibrated(problem, layout, seed, edge_weight, cavities)
    return found if found.cold else None


def _numbers(seed: int, *path: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(1, *path))


def _implausibility(problem: Problem, layout: Layout, calibration: Calibration, table: Floats) -> float:
    """-ln of how well the crystal of some costs explains the counts, and its surface itself [nats]."""
    rng = random_state(np.random.SeedSequence(0))
    crystal = refined(Annealer(layout, calibration.table, calibration.prior, calibration.state, rng))
    occupied = crystal.occupied
    if not occupied.any():
        return np.inf
    crystal.set_costs(table, calibration.prior)
    return crystal.misfit() - surface_log_likelihood(problem.sites[occupied].astype(np.int64))
