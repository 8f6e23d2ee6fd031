"""Crystals to which counts settled, compared by what explains the cross-sections and how smooth they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

import tomo
from stemcount.arrays import Floats, Ints
from stemcount.counting.likelihood import coarsening

from .view_readings import ALIKE
from .views import JointReading, OtherCrystal

CLEARLY = 3.0  # log units by which the crystal of a rival must explain the cross-sections better
BELIEVED = 0.2  # of a lead in log units: how often crystals with such a lead are right
UNLIKELY = 0.001  # probability of a crystal, below which it does not count
LEAST_RATIO, NEAR = 1.2, 0.1  # of numbers of atoms in proportion; atoms of a column from it


@dataclass(frozen=True)
class Outcome:
    """Where counts and crystal settled from one start.

    Attributes
    ----------
    joint : JointReading
    held : tuple of (n,) int, or None
        Atoms that the crystal holds on each column of each view, -1 where it says nothing; None where the
        counts did not settle.
    atoms : int
        Of the crystal.
    edges : (2,) int
        Of the crystal, and its second edges.
    weights : (2,) float
        What each of them costs [nats].
    sites : (n, 3) int, or None
        Of the atoms of the crystal [a/2]; None where it is not known.
    surface : float
        ln of the largest pseudo-likelihood of the crystal.
    """

    joint: JointReading
    held: tuple[Ints, ...] | None = None
    atoms: int = 1
    edges: tuple[int, int] = (0, 0)
    weights: tuple[float, float] = (0.0, 0.0)
    sites: Ints | None = None
    surface: float = 0.0

    @property
    def fit(self) -> float:
        """sum ln P(V | atoms of the crystal on the column)."""
        assert self.held is not None
        total = 0.0
        for counts, atoms in zip(self.joint.counts, self.held, strict=True):
            known = np.flatnonzero(atoms >= 0)
            table = counts.log_likelihood[known]
            total += float(table[np.arange(len(known)), np.minimum(atoms[known], table.shape[1] - 1)].sum())
        return total


def evidence(outcomes: Sequence[Outcome]) -> Floats:
    """ln P(cross-sections | crystal) + ln P(crystal) of settled outcomes, coarsened as in `read_together`.

    Crystals from different starts may explain the cross-sections as well as each other; then the smoother
    one is more probable, and there are two measures of that. The price of its edges: the weights are the mean
    of all, as by its own a ragged crystal is as probable as a smooth one. But a ragged ball has fewer edges
    than a smooth rod or plate. And the pseudo-likelihood, by which every crystal has the weights that suit
    it; but those of a ragged one suit it rather well. So what both say is taken, beside the crystal that
    holds the cross-sections best: the less of the two, and nothing where they contradict each other.

    How many atoms a crystal has says nothing, so both are compared at one size: those of a shape grow with
    the power 2/3 of its atoms.

    Counts in proportion, as of a single layer and of the same columns with three atoms each, have the same
    classes, so cross-sections cannot tell them apart, and what they seem to say is how narrow classes may be.
    Nor can edges, of which a layer has more than anything thicker, brought to one size. The pseudo-likelihood
    can: a flat layer is more orderly than a ragged one, and a cube more than a layer across it.
    """
    fit, by_edges, by_surface = _measures(outcomes)
    less = np.minimum(np.abs(by_edges), np.abs(by_surface))
    found = fit + np.where(by_edges * by_surface > 0, np.sign(by_edges) * less, 0.0)
    best = int(np.argmax(fit))
    in_proportion = np.array([_in_proportion(outcomes[best], outcome) for outcome in outcomes])
    return np.where(in_proportion, fit[best] + by_surface, found)


def _in_proportion(one: Outcome, other: Outcome) -> bool:
    """Whether two crystals hold different numbers of atoms, in proportion on the columns of every view."""
    assert one.held is not None
    assert other.held is not None
    ratio = other.atoms / one.atoms
    if abs(np.log(ratio)) < np.log(LEAST_RATIO):
        return False
    return all(
        np.mean(np.abs(ratio * mine - theirs)[mine >= 0] < NEAR) >= ALIKE
        for mine, theirs in zip(one.held, other.held, strict=True)
    )


def _measures(outcomes: Sequence[Outcome]) -> tuple[Floats, ...]:
    """What the cross-sections say for each outcome; edges and surface, beside those of the best by them."""
    size = np.array([outcome.atoms for outcome in outcomes])
    to_one_size = (size.mean() / size) ** (2 / 3)
    edges = np.array([outcome.edges for outcome in outcomes]) * to_one_size[:, None]
    weights = np.mean([outcome.weights for outcome in outcomes], axis=0)
    surface = np.array([outcome.surface for outcome in outcomes]) * to_one_size
    fit = np.array([outcome.fit for outcome in outcomes])
    held = outcomes[0].held
    assert held is not None
    power = coarsening(sum(int(np.count_nonzero(atoms >= 0)) for atoms in held))
    best = int(np.argmax(fit))
    return power * fit, power * ((edges[best] - edges) @ weights), power * (surface - surface[best])


def share_elsewhere(one: Outcome, other: Outcome) -> float:
    """Share of the atoms in which two crystals differ, however they lie; 1 where one is not known."""
    if one.sites is None or other.sites is None or not len(one.sites) or not len(other.sites):
        return 1.0
    return tomo.compare_sites(other.sites, one.sites).wrong_fraction / 2


def clearly_best(outcomes: Sequence[Outcome]) -> Outcome:
    """The first of settled outcomes, unless another one is clearly better by `evidence`."""
    ends = [outcome for outcome in outcomes if outcome.held is not None]
    found = evidence(ends)
    best = int(np.argmax(found))
    return ends[best if found[best] > found[0] + CLEARLY else 0]


def distinct(ends: Sequence[Outcome]) -> list[Outcome]:
    """One outcome for each crystal."""
    found: list[Outcome] = []
    for end in ends:
        if not any(end is other or share_elsewhere(end, other) == 0 for other in found):
            found.append(end)
    return found


def credibility(outcomes: Sequence[Outcome]) -> Floats:
    """Probability that each of several settled crystals is the right one; none has more than the first.

    Leads by `evidence` are overconfident: the shapes that it takes for probable are not those of every
    particle, and the classes of a crystal suit it. BELIEVED is the share of a lead that holds
    (docs/benchmarks/warnings.md).
    """
    found = evidence(outcomes)
    return np.asarray(softmax(BELIEVED * np.minimum(found - found[0], 0.0)))


def other_crystals(shown: Outcome, ends: Sequence[Outcome]) -> tuple[OtherCrystal, ...]:
    """The other crystals among outcomes that settled than the one that is shown, with their probabilities."""
    if shown.held is None:
        return ()
    crystals = distinct([shown, *(end for end in ends if end.held is not None)])
    weight = credibility(crystals)
    return tuple(
        OtherCrystal(end.sites, float(w))
        for end, w in zip(crystals[1:], weight[1:], strict=True)
        if end.sites is not None and len(end.sites) and w > UNLIKELY
    )
