"""What a sampling run knows between two of its segments, as plain arrays that a file can hold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..energy.count_error import CountModel, count_table
from ..energy.prior import Prior
from ..problem import Problem
from .chain import Chain
from .jumps import NO_JUMPS, Jumps


@dataclass(eq=False)
class SamplerState:
    """C chains and all that is estimated with them; changed by every segment.

    Attributes
    ----------
    chains : list of Chain
    prior : Prior
    model : CountModel
    jumps : Jumps
    kept : list of (Prior, CountModel)
        Estimates whose mean will be used.
    rounds : list of (certainty (C, S) float32, energy (C, n) float)
        Measurements of the rounds that are done.
    """

    chains: list[Chain]
    prior: Prior
    model: CountModel
    jumps: Jumps = NO_JUMPS
    kept: list[tuple[Prior, CountModel]] = field(default_factory=list)
    rounds: list[tuple[NDArray[np.float32], Floats]] = field(default_factory=list)

    def set_costs(self, problem: Problem) -> Floats:
        """Let all chains go on with what is estimated now; returns the cost tables."""
        table = count_table(problem, self.model)
        for chain in self.chains:
            chain.set_costs(table, self.prior)
        return table

    def arrays(self, measured: bool) -> dict[str, NDArray[np.generic]]:
        """Everything but earlier rounds; with ``measured``, the last round too."""
        listed = [chain.listed for chain in self.chains]
        values: dict[str, NDArray[np.generic]] = {
            "occupied": np.packbits(np.array([chain.occupied for chain in self.chains]), axis=1),
            "listed": np.concatenate(listed),
            "n_listed": np.array([len(rows) for rows in listed]),
            "rng": np.array([chain.rng[0] for chain in self.chains]),
            "prior": np.array(self.prior),
            "model": _flat(self.model),
            "jump_start": self.jumps.start,
            "jump_sites": self.jumps.sites,
            "jump_pattern": self.jumps.pattern,
            "kept": np.array([[*prior, *_flat(model)] for prior, model in self.kept]),
        }
        if measured:
            values["certainty"], values["energy"] = self.rounds[-1]
        return values

    def restore(self, values: dict[str, NDArray[np.generic]]) -> None:
        """Go back to what `arrays` gave, bit for bit; a round among them is added to those known."""
        n_sites = len(self.chains[0].layout.sites)
        occupied = np.unpackbits(values["occupied"].view(np.uint8), axis=1, count=n_sites) > 0
        listed = np.split(values["listed"], np.cumsum(values["n_listed"])[:-1])
        self.chains = [
            chain.restored(state, rows.astype(np.int32), rng)
            for chain, state, rows, rng in zip(
                self.chains, occupied, listed, values["rng"].astype(np.uint64), strict=True
            )
        ]
        self.prior = _prior(values["prior"])
        self.model = _model(values["model"].astype(float))
        self.jumps = Jumps(
            values["jump_start"].astype(np.int64),
            values["jump_sites"].astype(np.int32),
            values["jump_pattern"].astype(np.uint8),
        )
        n = len(self.prior)
        self.kept = [(_prior(row[:n]), _model(row[n:].astype(float))) for row in values["kept"]]
        if "certainty" in values:
            self.rounds.append((values["certainty"].astype(np.float32), values["energy"].astype(float)))


def _prior(numbers: NDArray[np.generic]) -> Prior:
    return Prior(*(float(value) for value in numbers.astype(float)))


def _flat(model: CountModel) -> Floats:
    return np.concatenate([[model.large], model.error, model.scale, model.empty.ravel()])


def _model(flat: Floats) -> CountModel:
    error, scale, first, second = flat[1:].reshape(4, -1)
    return CountModel(error, float(flat[0]), scale, np.concatenate([first, second]).reshape(-1, 2))
