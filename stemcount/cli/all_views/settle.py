"""Counts of all views and the crystal that explains them, settled together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import stemcount
import tomo
from stemcount.arrays import Bools, Ints
from stemcount.results import AtomCounts, ColumnFit
from tomo.energy.edge_weight import surface_log_likelihood
from tomo.placing.readings import OUT_OF_QUESTION
from tomo.placing.registration import SAME_ATOMS

from .outcomes import (
    CLEARLY,
    Outcome,
    clearly_best,
    credibility,
    distinct,
    evidence,
    other_crystals,
    share_elsewhere,
)
from .reconstruction import Reconstruct
from .view_readings import ALIKE, DECIDED, moments
from .views import JointReading, read_as, views_of, with_registration

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
WOULD_DECIDE = "A library, a further view or your own n_components would decide."


def settle(joint: JointReading, reconstruct: Reconstruct) -> JointReading:
    """Let the counts of all views and the crystal settle, from all readings and placings nearly tied.

    Most readings between which plane sums cannot decide lead to one crystal: then nothing is undecided.
    Where they lead to different ones, the crystal has to explain every cross-section, column by column in all
    views at once, and a wrong scale leaves it columns that are an atom off; so does a view that is out of
    place. Nor is a start that does not settle the answer where another does, however decided it was.

    What plane sums cannot tell at all is an atom more or less in every column: that rests on how thick
    particles of such widths usually are. So it is tried wherever counts are sharp enough to be settled: of
    blurred ones the classes learned from an atom more are narrow whether that is right or not.

    So does how many atoms there are in columns that all hold the same number. A view alone that may show such
    columns may show a single layer, or two of which each is seen between the other's, and that is tried, too.

    Where no reading settles that is nearly tied with the choice, and no view alone is sure of its own, the
    columns are probably cut into too many classes: scattered values of few atoms fall as well into the narrow
    classes of two, three or four times as many. So fewer atoms are tried in each.

    Raises
    ------
    InputError
        If the views agree only where their own counts are overturned, and even then do not settle.
    """
    few = sum(len(fit.cross_section) for fit in joint.fits) <= MOST_COLUMNS

    def settled_from(starts: Iterable[Callable[[], JointReading]]) -> list[Outcome]:
        """From starts other than the chosen one, where the views can be so."""
        ends = []
        for start in starts if few else ():
            with suppress(tomo.InputError):
                ends.append(recount_until_consistent(start(), reconstruct))
        return [end for end in ends if end.held is not None]

    def read(**way: Any) -> Callable[[], JointReading]:
        return partial(read_as, joint, **way)

    end = recount_until_consistent(joint, reconstruct)
    ends = [end] if end.held is not None else []
    undecided = any(c.verdict == "undecidable" for c in end.joint.counts)
    if _contradicts(end) or (ends and undecided):
        ends += settled_from(read(combination=rival) for rival in joint.readings.rivals)
    if _contradicts(end) and not ends and all(c.verdict == "undecidable" for c in joint.alone):
        ends = settled_from(partial(_stretched, end.joint, factor) for factor in FEWER)
    if _contradicts(end) or ends:
        found = clearly_best(ends).joint if ends else end.joint
        ends += settled_from(partial(_stepped, found, step) for step in (-1, 1))
        share = _of_a_single_layer(found)
        if share < 1:
            ends += settled_from([partial(_stretched, found, share)])
    if ends and few:
        end = _told_apart(ends)
    placed = settled_from(read(placing=other) for other in joint.readings.placings)
    if few and joint.readings.placings:
        end = _best_placed(end, placed)
    joint = replace(end.joint, others=other_crystals(end, [*ends, *placed]))
    if _contradicts(end):
        _refuse_overturned(joint)
    told = [
        f"{name}: the order of the mixture is undecidable. {c.reason[:1].upper()}"
        f"{c.reason[1:].removesuffix('.')}. {WOULD_DECIDE}"
        for name, c in zip(joint.names, joint.counts, strict=True)
        if c.verdict == "undecidable"
    ]
    return replace(joint, warnings=(*told, *joint.warnings))


def _stepped(joint: JointReading, step: int) -> JointReading:
    """The views counted again as if every column held so many atoms more."""
    counts = (_recounted(*item, item[0].count + step) for item in zip(joint.counts, joint.fits, strict=True))
    return replace(joint, counts=tuple(counts))


def _stretched(joint: JointReading, factor: float) -> JointReading:
    """The views counted again as if every column held so many times as many atoms; none loses its last."""
    fewer = [np.maximum(np.rint(factor * c.count), np.minimum(c.count, 1)).astype(int) for c in joint.counts]
    counts = (_recounted(*item) for item in zip(joint.counts, joint.fits, fewer, strict=True))
    return replace(joint, counts=tuple(counts))


def _of_a_single_layer(joint: JointReading) -> float:
    """The factor on all counts that leaves one atom in each column of a view that may show nothing else.

    That is a view which, alone, may be read as of one class; of several the one whose columns hold the fewest
    atoms in `joint`. The factor is 1 where there is none, or the user fixed a view.
    """
    if any(c.verdict == "given" for c in joint.alone):
        return 1.0
    means = [
        float(together.count[together.count > 0].mean())
        for alone, together in zip(joint.alone, joint.counts, strict=True)
        if _may_be_one_class(alone) and together.count.any()
    ]
    return 1 / min(means, default=1.0)


def _may_be_one_class(alone: AtomCounts) -> bool:
    """Whether a view alone may be read as columns that all hold the same number of atoms."""
    best = max((reading.log_posterior for reading in alone.alternatives), default=0.0)
    return any(
        reading.n_components == 1 and reading.log_posterior > best - OUT_OF_QUESTION
        for reading in alone.alternatives
    )


def _contradicts(end: Outcome) -> bool:
    """Whether counts sharp enough to be settled did not."""
    return end.held is None and max(_blur(c) for c in end.joint.counts) <= BLURRED


def _refuse_overturned(joint: JointReading) -> None:
    """Refuse counts that do not settle if a view which is sure of its own had to be read quite otherwise."""
    for name, alone, together in zip(joint.names, joint.alone, joint.counts, strict=True):
        own, now = int(alone.count.sum()), int(together.count.sum())
        if alone.verdict == "decided" and abs(now - own) > OVERTURNED * own:
            raise tomo.InputError(
                f"{', '.join(joint.names)} contradict each other: {name} alone surely shows {own} atoms, but"
                f" only counts of {now} agree with the other views, and no crystal holds those; check that"
                " they show the same particle and that the zone axes are right."
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


def _told_apart(ends: Sequence[Outcome]) -> Outcome:
    """The clearly best outcome, with the verdict on every view that all of them together allow."""
    pick = clearly_best(ends)
    crystals = distinct([pick, *ends])
    weight = credibility(crystals)
    held = pick.held
    assert held is not None
    judged = []
    reason = "all readings that settle lead to one crystal"
    for view, counts in enumerate(pick.joint.counts):
        alike = [end.held is not None and np.mean(end.held[view] == held[view]) >= ALIKE for end in crystals]
        share = float(weight[alike].sum())
        if len(crystals) > 1:
            reason = (
                f"of {len(crystals)} crystals from readings that are nearly tied, or of more or fewer atoms,"
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


def recount_until_consistent(joint: JointReading, reconstruct: Reconstruct) -> Outcome:
    """Let the class means of every view and the crystal that explains all views settle together.

    A quick reconstruction says how many atoms each column holds; the class means are learned again from
    these; and so on until the counts stay. A bias that only one view has (a mistilt, a support film under
    the particle) is then undone by the others. Views whose order the user fixed are left alone, and so is
    every view if any is too blurred: class means learned from counts that are themselves off by an atom
    come out too close to each other, and the counts would grow from round to round. Nor is anything learned
    from a crystal that cannot hold the counts (of a particle with a cavity, unless it may have vacancies, of
    another one in one view): columns that look alike hold different numbers of its atoms, and their classes
    come out far too wide.
    """
    if len(joint.counts) < 2 or max(_blur(counts) for counts in joint.counts) > BLURRED:
        return Outcome(joint)
    start, fits = joint, joint.fits
    for _ in range(RECOUNTS):
        views = views_of(joint, hard=False)
        result = reconstruct(views, runs=QUICK_RUNS)
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


def _held(fit: ColumnFit, used: Bools, view: tomo.View, atoms: Ints) -> Ints:
    """Atoms of a crystal on the columns of a view, -1 on those that take no part."""
    held = np.full(len(fit.cross_section), -1)
    held[used] = np.rint(tomo.reproject(atoms, view)).astype(int)
    return held


def _recounted(counts: AtomCounts, fit: ColumnFit, held: Ints) -> AtomCounts:
    """One view counted again from the atoms of the reconstructed crystal on its columns."""
    if counts.verdict == "given" or np.count_nonzero(held >= 1) < ENOUGH_COLUMNS:
        return counts  # fixed by the user; or a crystal this small teaches nothing
    return stemcount.recount(counts, fit.cross_section, fit.noise_std, held)
