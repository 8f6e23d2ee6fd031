"""What no reconstruction doubts, put into the certainties: how the views are read and placed, where other
crystals explain them, too; the number of atoms, where columns differ beyond noise; and that two views are
seen as declared, where another crystal explains them far better.

Columns of equally many atoms that differ (by a second element, a shell, contamination) blur the classes that
would fix how many atoms a column holds. The images then leave the total open, and a reconstruction takes it
as known. So the crystals of more and of fewer atoms are found, too, and every site's certainty is its mean
over them. With s the standard deviation of the total's logarithm, the totals are those at -sqrt(3/2) s, 0
and sqrt(3/2) s, equally probable: they have the standard deviation s, and their mean distance from 0 is that
of a normal distribution to 2 % (three nodes of equal weight: Chebyshev's quadrature). But where counts settle
with their crystals, each settles from there, and those crystals are as probable as they explain the
cross-sections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

import tomo
from stemcount.arrays import Floats, Ints
from stemcount.counting.curve import going_on
from stemcount.results import AtomCounts, ColumnFit
from tomo.grid import SiteIndex

from ..project_file.project import Project
from .outcomes import Outcome, evidence
from .reconstruction import Reconstruct, reconstruct_as
from .settle import MOST_COLUMNS, recount_until_consistent
from .view_readings import counted_by
from .views import JointReading, OtherCrystal, views_of

NODES = (-(1.5**0.5), 1.5**0.5)  # standard deviations, beside 0
NOT_SETTLED = 3.0  # standard deviations by which settling may move the total before it counts as not settled
LEAST = 0.01  # of the logarithm of a total, known however well: settling may move it by so much
RUNS = 3  # of the reconstruction of more or fewer atoms
SMOOTHER_RIGHT = 0.9  # probability; docs/benchmarks/warnings.md: of 23 pairs so warned of, one was right
WORTH = 0.5  # wrong atoms more that are worth telling
MOST_FACTOR = 2.0  # of the atoms: what is as wrong as that has no certainty at all
LESS_THAN_HALF = float(np.nextafter(np.float32(0.5), np.float32(0)))  # whatever precision a reader takes

Crystal = tuple[Ints, Floats]  # sites (n, 3) [a/2], certainty (n,)


@dataclass(frozen=True)
class OtherScale:
    """The views read with another number of atoms, and how probable that is."""

    joint: JointReading
    weight: float


def with_scale_in_doubt(
    project: Project, joint: JointReading, result: tomo.Reconstruction
) -> tomo.Reconstruction:
    """The result with certainties that say how many atoms there may be; for views whose columns differ.

    The crystal stays: a site keeps its side of one half, and the runs are those that it was found from.
    """
    given = any(counts.verdict == "given" for counts in joint.counts)
    if given or not len(result.sites) or sum(map(len, joint.fits)) > MOST_COLUMNS:
        return result
    reconstruct = reconstruct_as(project)
    others = other_scales(joint, reconstruct)
    if not others:
        return result
    crystals = [
        reconstruct(
            views_of(other.joint, hard=False),
            runs=RUNS,
            edge_weight=project.reconstruction.edge_weight,
            strict=False,
        )
        for other in others
    ]
    atoms = [len(crystal.occupied()) for crystal in (result, *crystals)]
    sentence = (
        "images whose columns of equally many atoms differ do not fix the number of atoms:"
        f" {min(atoms)} to {max(atoms)} are nearly as probable"
    )
    tables = [(crystal.sites, crystal.certainty) for crystal in crystals]
    return mixed(result, tables, [other.weight for other in others], sentence)


def other_scales(joint: JointReading, reconstruct: Reconstruct) -> list[OtherScale]:
    """The views read as more and as fewer atoms, with the probability of each: at most that of the choice."""
    deviation, overturned = _open_deviation(joint)
    if deviation == 0:
        return []
    read = [scaled_reading(joint, float(np.exp(node * deviation))) for node in NODES]

    def settled_from(start: JointReading) -> Outcome:
        try:
            return recount_until_consistent(start, reconstruct)
        except tomo.InputError:  # views so read contradict each other: no crystal, but no reason to refuse
            return Outcome(start)

    chosen = None if overturned else settled_from(joint)
    if chosen is None or chosen.held is None:
        return [OtherScale(other, 1 / (1 + len(read))) for other in read]
    ends = [settled_from(other) for other in read]
    settled = [end for end in ends if end.held is not None]
    worth = evidence([chosen, *settled])
    weight = softmax(np.minimum(worth, worth[0]))
    return [OtherScale(end.joint, float(w)) for end, w in zip(settled, weight[1:], strict=True)]


def _open_deviation(joint: JointReading) -> tuple[float, bool]:
    """Standard deviation of the logarithm of the total, and whether settling overturned what was known of it.

    Every view alone, read together with the others, says how sure it is of its total; views share their
    planes, so the surest one counts.
    """
    known = []
    for atoms, use, (total, std) in zip(
        joint.expected, joint.registration.used, joint.readings.totals, strict=True
    ):
        total = max(total, 1.0)
        known.append((std / total, abs(float(np.log(max(atoms[use].sum(), 1.0) / total)))))
    deviation, moved = min(known)
    overturned = moved > NOT_SETTLED * max(deviation, LEAST)
    return min(moved if overturned else deviation, float(np.log(MOST_FACTOR))), overturned


def scaled_reading(joint: JointReading, factor: float) -> JointReading:
    """The views with every cross-section read as `factor` times as many atoms."""
    counts = tuple(scaled_counts(*item, factor) for item in zip(joint.counts, joint.fits, strict=True))
    return replace(joint, counts=counts)


def scaled_counts(counts: AtomCounts, fit: ColumnFit, factor: float) -> AtomCounts:
    """The counts under classes V'(k) = V(k / factor), as wide as before at the same V."""
    reading = counts.chosen
    known = np.arange(len(reading.mean))
    k = np.arange(int(np.ceil(known[-1] * max(factor, 1.0))) + 1) / factor
    weight = np.interp(k, known, reading.weight)
    classes = replace(
        reading,
        mean=going_on(k, known, reading.mean),
        width=np.interp(k, known, reading.width),
        weight=weight / weight.sum(),
    )
    return counted_by(fit, classes).with_choice_of(counts)


def with_rivals(result: tomo.Reconstruction, rivals: Sequence[OtherCrystal]) -> tomo.Reconstruction:
    """The result with certainties that say how it differs from crystals to which the counts settled, too."""
    tables = [_laid_over(result, rival.sites) for rival in rivals]
    sentence = "read or placed otherwise, the images have other crystals that explain them nearly as well"
    return mixed(result, tables, [rival.probability for rival in rivals], sentence)


def with_smoother_crystal(result: tomo.Reconstruction, sites: Ints) -> tomo.Reconstruction:
    """The result with certainties that say how it differs from a crystal that is far more probable."""
    if not len(sites):
        return result
    sentence = "the much smoother crystal is probably the right one"
    return mixed(result, [_laid_over(result, sites)], [SMOOTHER_RIGHT], sentence)


def _laid_over(result: tomo.Reconstruction, sites: Ints) -> Crystal:
    """The atoms (n, 3) of another crystal, in whatever frame, where they agree best with the result."""
    if len(sites) and len(result.occupied()):
        sites = tomo.compare_sites(sites, result.occupied()).to_true_frame(sites)
    return sites, np.ones(len(sites))


def mixed(
    result: tomo.Reconstruction, others: Sequence[Crystal], weights: Sequence[float], sentence: str
) -> tomo.Reconstruction:
    """The result with certainties that are the mean over it and other crystals, so weighted.

    Their weight is kept as ``diagnostics["other_crystals"]``: such certainties are no shares of runs.
    `sentence` says in the warning, which takes the place of that about certainties, why there are others.
    """
    own = 1.0 - sum(weights)
    sites = np.unique(np.concatenate([result.sites, *(sites for sites, _ in others)]), axis=0)
    before = _certainty_at(sites, (result.sites, result.certainty))
    there = before >= 0.5
    certainty, told = own * before, own * result.diagnostics["expected_wrong"]
    for other, weight in zip(others, weights, strict=True):
        elsewhere = _certainty_at(sites, other)
        certainty += weight * elsewhere
        told += weight * float(np.where(there, 1 - elsewhere, elsewhere).sum())
    if told < result.diagnostics["expected_wrong"] + WORTH:
        return result
    certainty = np.where(there, np.maximum(certainty, 0.5), np.minimum(certainty, LESS_THAN_HALF))
    row = SiteIndex(result.sites)(sites)
    warning = (
        f"certainty: {sentence}; about {told:.0f} of {len(result.occupied())} atoms are expected to be wrong."
    )
    said = [sentence for sentence in result.warnings if not sentence.startswith("certainty: ")]
    return replace(
        result,
        sites=sites,
        certainty=certainty,
        runs=np.where(row >= 0, result.runs[:, row], False),
        diagnostics=result.diagnostics | {"expected_wrong": told, "other_crystals": 1.0 - own},
        warnings=(*said, warning),
    )


def _certainty_at(sites: Ints, crystal: Crystal) -> Floats:
    """Certainty of given sites; 0 where the crystal lists none."""
    row = SiteIndex(crystal[0])(sites)
    return np.where(row >= 0, crystal[1][row], 0.0)
