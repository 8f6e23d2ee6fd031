"""Counts of all views and the crystal that explains them, settled together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

import stemcount
import tomo
from stemcount.results import AtomCounts, ColumnFit
from tomo.energy.edge_weight import surface_log_likelihood
from tomo.placing.registration import SAME_ATOMS

from .view_readings import ALIKE, DECIDED, TRUSTED_COLUMNS, moments
from .views import JointReading, OtherCrystal, read_as, views_of, with_registration

RECOUNTS = 6  # rounds of reconstruction and recount, at most
QUICK_RUNS = 2  # of the reconstruction in each round
BLURRED = 0.8  # atoms; a view whose counts are less sure than this teaches no class means
LOST = 0.3  # share of columns; a recount that still changes more does not settle
SPOILT = 4.0  # times as wide as before, and wider than
OVERLAP = 0.25  # steps: classes of counts that the crystal does not hold; right ones grow up to 1.6 times
ENOUGH_COLUMNS = 3  # that must hold atoms for class means to be learned
STEADY = 0.003  # share of columns whose count may still change
MOST_COLUMNS = 3000  # of all views together; beyond, settling each rival would take minutes
OVERTURNED = 0.3  # share of the atoms that a view surely counts alone by which all together may differ
FEWER = (2 / 3, 1 / 2, 1 / 3, 1 / 4)  # as many atoms in each column, where nothing near the choice settles
CLEARLY = 3.0  # log units by which the crystal of a rival must explain the cross-sections better
BELIEVED = 0.2  # of a lead in log units: how often crystals with such a lead are right
WOULD_DECIDE = "A library, a further view or your own n_components would decide."
UNLIKELY = 0.001  # probability of a crystal, below which it does not count


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
    held: tuple[NDArray[np.int64], ...] | None = None
    atoms: int = 1
    edges: tuple[int, int] = (0, 0)
    weights: tuple[float, float] = (0.0, 0.0)
    sites: NDArray[np.int64] | None = None
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


def evidence(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """ln P(cross-sections | crystal) + ln P(crystal) of settled outcomes, coarsened as in `read_together`.

    Crystals from different starts may explain the cross-sections as well as each other; then the smoother
    one is more probable, and there are two measures of that. The price of its edges: the weights are the mean
    of all, as by its own a ragged crystal is as probable as a smooth one. But a ragged ball has fewer edges
    than a smooth rod or plate. And the pseudo-likelihood, by which every crystal has the weights that suit
    it; but those of a ragged one suit it rather well. So what both say is taken, beside the crystal that
    holds the cross-sections best: the less of the two, and nothing where they contradict each other.

    How many atoms a crystal has says nothing, so both are compared at one size: those of a shape grow with
    the power 2/3 of its atoms.
    """
    fit, by_edges, by_surface = _measures(outcomes)
    less = np.minimum(np.abs(by_edges), np.abs(by_surface))
    return fit + np.where(by_edges * by_surface > 0, np.sign(by_edges) * less, 0.0)


def _measures(outcomes: Sequence[Outcome]) -> tuple[NDArray[np.float64], ...]:
    """What the cross-sections say for each outcome; edges and surface, beside those of the best by them."""
    size = np.array([outcome.atoms for outcome in outcomes])
    to_one_size = (size.mean() / size) ** (2 / 3)
    edges = np.array([outcome.edges for outcome in outcomes]) * to_one_size[:, None]
    weights = np.mean([outcome.weights for outcome in outcomes], axis=0)
    surface = np.array([outcome.surface for outcome in outcomes]) * to_one_size
    fit = np.array([outcome.fit for outcome in outcomes])
    held = outcomes[0].held
    assert held is not None
    power = 1 / (1 + sum(np.count_nonzero(atoms >= 0) for atoms in held) / TRUSTED_COLUMNS)
    best = int(np.argmax(fit))
    return power * fit, power * ((edges[best] - edges) @ weights), power * (surface - surface[best])


def settle(
    joint: JointReading,
    fits: Sequence[ColumnFit],
    counts: Sequence[AtomCounts],
    crystal: tomo.Crystal,
    fixed: Sequence[tomo.FixedView | None] | None,
    seed: int,
    workers: int | None,
    vacancies: bool | None = None,
) -> JointReading:
    """Let the counts of all views and the crystal settle, from all readings and placings nearly tied.

    Most readings between which plane sums cannot decide lead to one crystal: then nothing is undecided.
    Where they lead to different ones, the crystal has to explain every cross-section, column by column in all
    views at once, and a wrong scale leaves it columns that are an atom off; so does a view that is out of
    place. Nor is a start that does not settle the answer where another does, however decided it was.

    What plane sums cannot tell at all is an atom more or less in every column: that rests on how thick
    particles of such widths usually are. So it is tried wherever counts are sharp enough to be settled: of
    blurred ones the classes learned from an atom more are narrow whether that is right or not.

    Where no reading settles that is nearly tied with the choice, and no view alone is sure of its own, the
    columns are probably cut into too many classes: scattered values of few atoms fall as well into the narrow
    classes of two, three or four times as many. So fewer atoms are tried in each.

    `counts` are those of each view alone; `fixed` is what the user knows of its orientation and place.

    Raises
    ------
    InputError
        If the views agree only where their own counts are overturned, and even then do not settle.
    """
    few = sum(len(fit.cross_section) for fit in fits) <= MOST_COLUMNS

    def settled_from(starts: Iterable[Callable[[], JointReading]]) -> list[Outcome]:
        """From starts other than the chosen one, where the views can be so."""
        ends = []
        for start in starts if few else ():
            with suppress(tomo.InputError):
                ends.append(recount_until_consistent(start(), fits, crystal, seed, workers, vacancies))
        return [end for end in ends if end.held is not None]

    def read(**way: Any) -> Callable[[], JointReading]:
        return partial(read_as, joint, fits, counts, fixed, **way)

    end = recount_until_consistent(joint, fits, crystal, seed, workers, vacancies)
    ends = [end] if end.held is not None else []
    undecided = any(c.verdict == "undecidable" for c in end.joint.counts)
    if _contradicts(end) or (ends and undecided):
        ends += settled_from(read(combination=rival) for rival in joint.readings.rivals)
    if _contradicts(end) and not ends and all(c.verdict == "undecidable" for c in counts):
        ends = settled_from(partial(_stretched, end.joint, fits, factor) for factor in FEWER)
    if _contradicts(end) or ends:
        found = clearly_best(ends).joint if ends else end.joint
        ends += settled_from(partial(_stepped, found, fits, step) for step in (-1, 1))
    if ends and few:
        end = _told_apart(ends)
    placed = settled_from(read(placing=other) for other in joint.readings.placings)
    if few and joint.readings.placings:
        end = _best_placed(end, placed)
    joint = replace(end.joint, others=other_crystals(end, [*ends, *placed]))
    if _contradicts(end):
        _refuse_overturned(joint, counts)
    told = [
        f"{indexing.name}: the order of the mixture is undecidable. {c.reason[:1].upper()}"
        f"{c.reason[1:].removesuffix('.')}. {WOULD_DECIDE}"
        for indexing, c in zip(joint.registration.indexings, joint.counts, strict=True)
        if c.verdict == "undecidable"
    ]
    return replace(joint, warnings=(*told, *joint.warnings))


def _stepped(joint: JointReading, fits: Sequence[ColumnFit], step: int) -> JointReading:
    """The views counted again as if every column held so many atoms more."""
    counts = (_recounted(*item, item[0].count + step) for item in zip(joint.counts, fits, strict=True))
    return replace(joint, counts=tuple(counts))


def _stretched(joint: JointReading, fits: Sequence[ColumnFit], factor: float) -> JointReading:
    """The views counted again as if every column held so many times as many atoms; none loses its last."""
    fewer = [np.maximum(np.rint(factor * c.count), np.minimum(c.count, 1)).astype(int) for c in joint.counts]
    counts = (_recounted(*item) for item in zip(joint.counts, fits, fewer, strict=True))
    return replace(joint, counts=tuple(counts))


def _contradicts(end: Outcome) -> bool:
    """Whether counts sharp enough to be settled did not."""
    return end.held is None and max(_blur(c) for c in end.joint.counts) <= BLURRED


def _refuse_overturned(joint: JointReading, counts: Sequence[AtomCounts]) -> None:
    """Refuse counts that do not settle if a view which is sure of its own had to be read quite otherwise."""
    names = [indexing.name for indexing in joint.registration.indexings]
    for name, alone, together in zip(names, counts, joint.counts, strict=True):
        own, now = int(alone.count.sum()), int(together.count.sum())
        if alone.verdict == "decided" and abs(now - own) > OVERTURNED * own:
            raise tomo.InputError(
                f"{', '.join(names)} contradict each other: {name} alone surely shows {own} atoms, but only"
                f" counts of {now} agree with the other views, and no crystal holds those; check that they"
                " show the same particle and that the zone axes are right."
            )


def _best_placed(end: Outcome, others: list[Outcome]) -> Outcome:
    """The outcome that is most probable by `evidence`, `end` unless another is clearly better.

    How far it leads the next one of another crystal is the margin of its registration: a symmetric particle
    has several placings, and while their counts were not settled these seemed to differ. Without a lead if
    none settled: then nothing more is known than before.
    """
    settled = [outcome for outcome in (end, *others) if outcome.held is not None]
    if not settled:
        return end
    found = evidence(settled)
    best = int(np.argmax(found))
    if end.held is not None and found[best] <= found[0] + CLEARLY:
        best = 0
    differs = np.array([share_elsewhere(settled[best], outcome) for outcome in settled]) >= SAME_ATOMS
    differs[best] = False
    registration = replace(
        settled[best].joint.registration,
        margin=float(found[best] - found[differs].max(initial=-np.inf)),
        elsewhere=end.joint.registration.elsewhere,
    )
    return replace(settled[best], joint=with_registration(settled[best].joint, registration))


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


def _told_apart(ends: Sequence[Outcome]) -> Outcome:
    """The clearly best outcome, with the verdict on every view that all of them together allow."""
    pick = clearly_best(ends)
    distinct = _distinct([pick, *ends])
    weight = credibility(distinct)
    held = pick.held
    assert held is not None
    judged = []
    reason = "all readings that settle lead to one crystal"
    for view, counts in enumerate(pick.joint.counts):
        alike = [end.held is not None and np.mean(end.held[view] == held[view]) >= ALIKE for end in distinct]
        share = float(weight[alike].sum())
        if len(distinct) > 1:
            reason = (
                f"of {len(distinct)} crystals from readings that are nearly tied, or of more or fewer atoms,"
                f" those that hold the same atoms have {100 * share:.0f} % of the probability"
            )
        judged.append(
            counts
            if counts.verdict == "given"
            else replace(
                counts,
                verdict="decided" if share >= DECIDED else "undecidable",
                reason=reason,
            )
        )
    return replace(pick, joint=replace(pick.joint, counts=tuple(judged)))


def _distinct(ends: Sequence[Outcome]) -> list[Outcome]:
    """One outcome for each crystal."""
    found: list[Outcome] = []
    for end in ends:
        if not any(end is other or share_elsewhere(end, other) == 0 for other in found):
            found.append(end)
    return found


def credibility(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
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
    distinct = _distinct([shown, *(end for end in ends if end.held is not None)])
    weight = credibility(distinct)
    return tuple(
        OtherCrystal(end.sites, float(w))
        for end, w in zip(distinct[1:], weight[1:], strict=True)
        if end.sites is not None and len(end.sites) and w > UNLIKELY
    )


def recount_until_consistent(
    joint: JointReading,
    fits: Sequence[ColumnFit],
    crystal: tomo.Crystal,
    seed: int,
    workers: int | None,
    vacancies: bool | None = None,
) -> Outcome:
    """Let the class means of every view and the crystal that explains all views settle together.

    A quick reconstruction says how many atoms each column holds; the class means are learned again from
    these; and so on until the counts stay. A bias that only one view has (a mistilt, a support film under
    the particle) is then undone by the others. Views whose order the user fixed are left alone, and so is
    every view if any is too blurred: class means learned from counts that are themselves off by an atom
    come out too close to each other, and the counts would grow from round to round. Nor is anything learned
    from a crystal that cannot hold the counts (of a particle with a cavity, unless `vacancies` allows it, of
    another one in one view): columns that look alike hold different numbers of its atoms, and their classes
    come out far too wide.
    """
    if len(joint.counts) < 2 or max(_blur(counts) for counts in joint.counts) > BLURRED:
        return Outcome(joint)
    start = joint
    for _ in range(RECOUNTS):
        views = views_of(joint, fits, hard=False)
        result = tomo.reconstruct(
            views, runs=QUICK_RUNS, seed=seed, workers=workers, crystal=crystal, vacancies=vacancies
        )
        # two runs that differ may both hold the counts; the sites that half of them have hold too many
        found = result.diagnostics
        best = int(np.argmin(found["voted_energy"]))
        atoms = result.sites[result.runs[best]]
        held = tuple(_held(*item, atoms) for item in zip(fits, joint.registration.used, views, strict=True))
        counts = tuple(_recounted(*item) for item in zip(joint.counts, fits, held, strict=True))
        before, joint = joint, replace(joint, counts=counts)
        changed = [np.mean(a.count != b.count) for a, b in zip(before.counts, counts, strict=True)]
        if any(_spoilt(*item) for item in zip(start.counts, counts, strict=True)):
            return Outcome(start)
        if max(changed) < STEADY:
            break
    if max(changed) > LOST:
        return Outcome(start)
    edges = found["edges"][best], found["second_edges"][best]
    weights = found["edge_weight"], found["second_weight"]
    return Outcome(joint, held, len(atoms), edges, weights, atoms, surface_log_likelihood(atoms))


def _spoilt(before: AtomCounts, after: AtomCounts) -> bool:
    """Whether the classes of a view have become much wider, and overlap."""
    width, step = after.chosen.width[1:], np.diff(after.chosen.mean)
    broader = np.median(width) > SPOILT * np.median(before.chosen.width[1:])
    return bool(broader and np.median(width / np.maximum(step, 1e-300)) > OVERLAP)


def _blur(counts: AtomCounts) -> float:
    """Standard deviation of the counts of a view, median of its columns [atoms]."""
    return float(np.median(np.sqrt(moments(counts)[1])))


def _held(
    fit: ColumnFit, used: NDArray[np.bool_], view: tomo.View, atoms: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Atoms of a crystal on the columns of a view, -1 on those that take no part."""
    held = np.full(len(fit.cross_section), -1)
    held[used] = np.rint(tomo.reproject(atoms, view)).astype(int)
    return held


def _recounted(counts: AtomCounts, fit: ColumnFit, held: NDArray[np.int64]) -> AtomCounts:
    """One view counted again from the atoms of the reconstructed crystal on its columns."""
    if counts.verdict == "given" or np.count_nonzero(held >= 1) < ENOUGH_COLUMNS:
        return counts  # fixed by the user; or a crystal this small teaches nothing
    return stemcount.recount(counts, fit.cross_section, fit.noise_std, held)
