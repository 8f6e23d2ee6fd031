"""Views looked at once more when their counts are settled: is their placing still the best, do they agree,
and does the crystal that was found hold what each image shows?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

import tomo
from stemcount.arrays import Floats
from stemcount.results import AtomCounts, FitFlag
from tomo.placing.registration import SAME_ATOMS, THIN_MARGIN
from tomo.placing.verdict import WHAT_TO_CHECK

from .outcomes import Outcome, clearly_best, other_crystals, share_elsewhere
from .reconstruction import Reconstruct
from .settle import MOST_COLUMNS, recount_until_consistent
from .views import JointReading, OtherCrystal, contradictions, with_registration

ATTEMPTS = 2  # at placing the views anew
AN_ATOM = 0.75  # steps between classes, from where a column holds another number of atoms,
OF_THICK = 0.1  # and share of its atoms: slow errors of cross-sections grow with them
SHARP = 0.12  # share of the columns that their scatter may explain: beyond, counts refute nothing
DOUBTFUL, REFUSED = 0.09, 0.15  # share of the columns beyond what their scatter explains, rms of the views


def confirm_placing(joint: JointReading, reconstruct: Reconstruct) -> JointReading:
    """Place the views by their settled counts; where that moves one, count again in the new place.

    They were first placed by counts that were not settled: a scale that was wrong then may have put one a
    plane off. Counts settled in one place speak for it, so where it stays its margin is that of before; and
    so it is where it moves but the crystal does not change, as that of a symmetric particle. What crystals
    have decided before, a placing that is nearly tied by its counts overturns only by its crystal. InputError
    if the views contradict each other; see `tomo.check_registration`.
    """
    if len(joint.counts) < 2:
        return joint
    try:
        return _placed_again(joint, reconstruct)
    except tomo.InputError:
        if joint.beyond == joint.fields:
            raise
    # settled counts may hold atoms beyond an edge that was taken for the particle's own rim
    seen_so_far = replace(joint, fields=joint.beyond)
    return _placed_again(seen_so_far, reconstruct)


def _placed_again(joint: JointReading, reconstruct: Reconstruct) -> JointReading:
    """`confirm_placing` with the images cut as `joint.fields` says."""
    columns = sum(len(fit.cross_section) for fit in joint.fits)
    for _ in range(ATTEMPTS):
        again = tomo.register_views(
            joint.registration.indexings,
            joint.expected,
            count_probabilities=joint.probabilities,
            fields_of_view=joint.fields,
            fixed=joint.fixed or None,
        )
        before = joint.registration
        as_before = replace(again, margin=before.margin, elsewhere=before.elsewhere)
        if again.candidates[0].placing == before.candidates[0].placing:
            joint = with_registration(joint, as_before)
            break
        there = recount_until_consistent(with_registration(joint, again), reconstruct)
        thin, few = again.margin < THIN_MARGIN <= before.margin, columns <= MOST_COLUMNS
        here = recount_until_consistent(joint, reconstruct) if thin or few else Outcome(joint)
        same = share_elsewhere(there, here) < SAME_ATOMS
        if thin and same:
            joint = with_registration(there.joint, as_before)
            break
        if thin and here.held is not None and clearly_best([here, there]) is here:
            break
        joint = there.joint if same else replace(there.joint, others=_others_once_moved(there, here))
    return replace(joint, warnings=(*contradictions(joint), *joint.warnings))


def _others_once_moved(there: Outcome, here: Outcome) -> tuple[OtherCrystal, ...]:
    """The other crystals of views that were placed anew: that of the old place, and those known beside it.

    What was beside the old crystal is as probable as it was, beside that.
    """
    known = here.joint.others
    beside = 1.0 - sum(other.probability for other in known)
    found = []
    for old in other_crystals(there, [here]):
        found.append(old)
        for other in known:
            if there.sites is not None and tomo.compare_sites(other.sites, there.sites).wrong_fraction > 0:
                found.append(replace(other, probability=old.probability * other.probability / beside))
    total = 1.0 + sum(other.probability for other in found[1:])  # the first and what is shown have 1
    return tuple(replace(other, probability=other.probability / total) for other in found)


def confirm_crystal(joint: JointReading, sites: ArrayLike, vacancies: bool | None = None) -> JointReading:
    """Compare the columns of every view with the crystal found from all of them; where they differ, say so.

    The views of different particles often have a crystal that is a compromise between them, and counts that
    were settled with it: their classes are then so broad that nothing contradicts any more. The readings of
    each image alone are not deceived.

    `sites` (n, 3) are those of the crystal that are occupied [a/2]; `vacancies` says whether it was allowed
    empty places inside. InputError if so many columns contradict the
    crystal that the views cannot be of one particle; where an image may cut it and another placing is nearly
    tied, that is only a warning.
    """
    if len(joint.counts) < 2:
        return joint
    found = [_off_by_an_atom(joint, view, sites) for view in range(len(joint.counts))]
    beyond = [max(off - own, 0.0) for off, own in found]
    contradiction = float(np.sqrt(np.mean(np.square(beyond))))
    if contradiction < DOUBTFUL:
        return joint
    view = int(np.argmax(beyond))
    off, own = found[view]
    sentence = (
        f"{', '.join(joint.names)} contradict each other: the crystal that fits all of them best is an atom"
        f" or more off in {100 * off:.0f} % of the columns of {joint.names[view]}, where the scatter of its"
        f" own cross-sections explains {100 * own:.0f} %"
    )
    # what an image cuts off may leave its place open: another one may then hold what this one contradicts
    undecided = any(joint.beyond) and joint.registration.margin < THIN_MARGIN
    if not undecided and contradiction > REFUSED and np.mean([own for _, own in found]) < SHARP:
        raise tomo.InputError(
            f"{sentence}; {WHAT_TO_CHECK}."
            + ("" if vacancies else " If it has a cavity, allow it with vacancies = true.")
        )
    warning = (
        f"{sentence}: they may not show the same particle, or one is counted wrong, which no certainty says."
    )
    registration = replace(joint.registration, verdict="contradictory")
    readings = replace(joint.readings, registration=registration)
    return replace(joint, readings=readings, warnings=(warning, *joint.warnings))


def _off_by_an_atom(joint: JointReading, view: int, sites: ArrayLike) -> tuple[float, float]:
    """Share of a view's columns whose cross-section is that of another number of atoms than the crystal has
    there, and the share that is expected from the scatter of cross-sections within a class."""
    registration, counts, fit = joint.registration, joint.counts[view], joint.fits[view]
    use = registration.used[view] & ((fit.flags & FitFlag.AT_EDGE) == 0)
    if not use.any():
        return 0.0, 0.0
    shown = tomo.View(
        registration.indexings[view].zone_axis,
        registration.column_sites[view][use],
        counts=counts.count[use],
    )
    mean = counts.chosen.mean
    atoms = np.minimum(np.rint(tomo.reproject(sites, shown)).astype(int), len(mean) - 1)
    limit = np.maximum(AN_ATOM, OF_THICK * atoms) * np.gradient(mean)[atoms]
    off = np.abs(fit.cross_section[use] - mean[atoms]) > limit
    return float(np.mean(off)), _expected_beyond(limit, mean[atoms], fit.cross_section_std[use], counts)


def _expected_beyond(limit: Floats, mean: Floats, std: Floats, counts: AtomCounts) -> float:
    """Share of columns that lie farther than their limit from the mean of their class.

    An image that cannot tell how many classes it has cannot tell their width either: every reading of the
    image alone says how much they scatter, beside the stated error of the fit, and counts as it is probable.
    """
    readings = counts.alternatives or (counts.chosen,)
    probability = special.softmax([reading.log_posterior for reading in readings])
    scatter = [np.hypot(np.interp(mean, reading.mean, reading.width), std) for reading in readings]
    return float(probability @ special.erfc(limit / scatter / np.sqrt(2)).mean(axis=1))
