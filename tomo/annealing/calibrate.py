"""What an annealing weighs against what: edge weights, worth of an atom and count errors, from the views.

Stochastic expectation maximisation (Celeux & Diebolt 1985, Comput. Stat. Q. 2, 73): draw an occupancy at
temperature 1, take the parameters that suit it best, and again; the mean of the later half of the steps is
used. One quick chain is enough for weights, where `tomo.sample_posterior` wants several for a posterior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Bools, Floats
from ..energy.count_error import (
    CountModel,
    count_table,
    initial_count_model,
    mean_count_model,
    update_count_model,
)
from ..energy.edge_weight import edge_statistics, prior_from_statistics
from ..energy.layout import Layout
from ..energy.prior import Prior
from ..kernels import random_state
from ..problem import Problem
from .anneal import Annealer
from .temperature import condensed, cool, temperatures

_START = Prior(0.6, 0.3)
_START_ERROR = 0.2
#: Fewest and most steps, and proposals for each boundary site in each of them; a large crystal
#: tells as much in few steps as a small one in many.
_FEWEST, _MOST, _SWEEPS = 12, 30, 15
_LARGE = 10_000
#: Occupancies drawn in each step.
_DRAWS = 2


@dataclass(frozen=True, eq=False)
class Calibration:
    """Costs of a reconstruction.

    Attributes
    ----------
    prior : Prior
        Edge weights and chemical potential [nats].
    counts : CountModel
        Share of wrong counts of every view, or the exponent on its count probabilities.
    table : (T,) float
        Cost of every count on every line that follows from it.
    state : (S,) bool
        The last occupancy drawn: a good start.
    cold : bool
        Whether heat would destroy that start.
    """

    prior: Prior
    counts: CountModel
    table: Floats
    state: Bools
    cold: bool = False


def _statistics(chain: Annealer) -> Floats:
    """What the state of a chain says about the edge weights."""
    layout = chain.layout
    return edge_statistics(chain.occupied, chain.around, layout.degree, layout.worth, layout.opened)


def calibrate(
    problem: Problem,
    layout: Layout,
    start: Bools,
    seed: np.random.SeedSequence,
    edge_weight: float | None = None,
    cavities: bool = False,
    tempered: bool = True,
    cold: bool = False,
) -> Calibration:
    """Estimate the costs from the views, from a first guess (S,) of the occupancy.

    An edge weight that is given is kept; the weight of second neighbours and the chemical potential are then
    0. With `cavities` atoms inside may be missing. The chemical potential is 0 then, too: it is learned at
    the surface, where it is worth an atom here and there, but a cavity of n sites would be filled for n times
    it. Unless `tempered`, count probabilities are taken as they are; they may prove too sure of themselves.
    Heat would destroy a `cold` start: it is not heated above 1, and costs are at first those that suit it.
    """
    second_weight = None if edge_weight is None else 0.0
    chemical_potential = 0.0 if cavities else second_weight
    prior = _START if edge_weight is None else Prior(edge_weight, 0.0)
    model = initial_count_model(problem, _START_ERROR)
    table = count_table(problem, model)
    chain = Annealer(layout, table, prior, start, random_state(seed))
    fixed = (edge_weight, chemical_potential, second_weight)
    if cold:
        chain.run(_SWEEPS * chain.n_listed, 0.0)
        prior = prior_from_statistics(_statistics(chain), *fixed, site_worth=problem.worth)
        chain.set_costs(table, prior)
    else:
        for temperature in temperatures(problem, table, prior, coldest=1.0):
            cool(chain, temperature)
            chain = condensed(chain, start)
    kept: list[tuple[Prior, CountModel]] = []
    steps = round(_FEWEST + (_MOST - _FEWEST) * min(1.0, _LARGE / max(chain.n_listed, 1)))
    for step in range(steps):
        drawn, counts = [], []
        for _ in range(_DRAWS):
            chain.run(_SWEEPS * chain.n_listed, 1.0)
            drawn.append(_statistics(chain))
            counts.append(chain.counts)
        prior = prior_from_statistics(np.mean(drawn, axis=0), *fixed, site_worth=problem.worth)
        model = update_count_model(problem, model, np.array(counts), tempered)
        chain.set_costs(count_table(problem, model), prior)
        if step >= steps // 2:
            kept.append((prior, model))
    mean = np.mean([p for p, _ in kept], axis=0)
    model = mean_count_model([m for _, m in kept])
    prior = Prior(*(float(value) for value in mean))
    return Calibration(prior, model, count_table(problem, model), chain.occupied, cold)
