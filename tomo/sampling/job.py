"""The work of a sampling run: cool, estimate, then rounds of heating, cooling and measuring.

Each of these is a segment, after which the state can be saved.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..annealing.temperature import SOLID
from ..arrays import Floats, Ints
from ..checkpoint import Folder
from ..energy.count_error import mean_count_model, update_count_model
from ..energy.edge_weight import edge_statistics, prior_from_statistics
from ..energy.prior import Prior
from ..errors import check_whole
from ..problem import Problem
from .chain import Chain
from .jumps import Jumps, learn_jumps
from .segments import SamplerState

# Of most numbers of a schedule it is 1; for R-hat each half of a round's measurements must have a variance.
LEAST = {"burn_in": 0, "measurements": 4}
WARM = 0.3  # inverse temperature that a round heats to, unless the crystal does not bear it


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

    Raises
    ------
    InputError
        If one of them is no integer of at least 1; `measurements` are at least 4, `burn_in` may be 0.
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

    def __post_init__(self) -> None:
        for field in fields(self):
            check_whole(f"schedule.{field.name}", getattr(self, field.name), LEAST.get(field.name, 1))


def _cool(chain: Chain, hot: float, plan: ChainSchedule) -> None:
    """From inverse temperature ``hot`` to 1, the edge weight no lower than where the crystal melts."""
    table, prior = chain.table, chain.prior
    for beta in np.geomspace(hot, 1.0, plan.cooling):
        weight = max(min(prior.edge_weight, SOLID), beta * prior.edge_weight)
        second = prior.second_weight * (weight / prior.edge_weight if prior.edge_weight > 0 else 1.0)
        chain.set_costs(beta * table, Prior(weight, beta * prior.chemical_potential, second), beta)
        chain.sweep(plan.cooling_sweeps, hot=True)
    chain.set_costs(table, prior)
    chain.tidy()


def _draw(chain: Chain, jumps: Jumps, sweeps: int) -> tuple[Floats, Ints]:
    """Statistics of edges, and counts, of the occupancy after so many sweeps."""
    chain.sweep(sweeps // 2)
    chain.jump(jumps)
    chain.sweep(sweeps - sweeps // 2)
    layout = chain.layout
    statistics = edge_statistics(chain.occupied, chain.around, layout.degree, layout.worth, layout.opened)
    return statistics, chain.counts


def _measure(chain: Chain, jumps: Jumps, plan: ChainSchedule) -> tuple[NDArray[np.float32], Floats]:
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
class Job:
    """The segments of a sampling run: each changes the state, and is saved when it is done."""

    problem: Problem
    plan: ChainSchedule
    hot: float
    warm: float
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
            self.each(_cool, self.warm, plan)
        self.learn()
        for step in range(first, end):
            state.set_costs(self.problem)
            drawn = self.each(_draw, state.jumps, plan.estimate_sweeps)
            statistics = sum(s for s, _ in drawn) / len(drawn)
            state.prior = prior_from_statistics(statistics, *self.fixed, site_worth=self.problem.worth)
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
        self.each(_cool, self.warm, plan)
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
