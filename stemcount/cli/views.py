"""From counted images to views in one frame: readings and registration settled together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stemcount
import tomo
from stemcount.results import AtomCounts, ColumnFit, FitFlag

READINGS = 60  # of each view that are tried together
TRUSTED_COLUMNS = 1000.0  # whose cross-sections follow the model of their classes well enough
CUT = 0.4  # of the columns' spacing; columns that near to an edge are cut themselves
RIM = 0.8  # mean cross-section of columns at an edge over that of all; a particle's own rim is thinner
LEAST_STEP = 0.2  # between class means, of the last one
OUT_OF_REACH = 1.06  # ratio of another view's atoms to the most that any reading of a view holds
THICKNESS_RANGE = (0.85, 1.2)  # of the thickest columns, over what equal totals ask for
MOST_ATOMS = 250  # of a column that is tried
ALIKE = 0.9  # share of columns on which two readings must agree to count alike
DECIDED = 0.9  # probability that the readings that count alike must hold

Field = tuple[float, float, float, float]


@dataclass(frozen=True)
class JointReading:
    """Counts of every view, the frame they share, and where each image cuts the particle.

    Attributes
    ----------
    counts : tuple of AtomCounts
        One for each view, under the reading that was chosen.
    readings : tomo.JointReadings
        The choice of readings; holds the registration.
    fields : tuple of (left, right, top, bottom) or None
        Edges of an image [A] that cuts the particle; None where it does not.
    warnings : tuple of str
    widths : tuple of (kmax + 1,) float
        Class widths of every view as its own cross-sections have them: of the reading of the image alone
        where that was decided, else of the one chosen with all views [units of the cross-section].
    """

    counts: tuple[AtomCounts, ...]
    readings: tomo.JointReadings
    fields: tuple[Field | None, ...]
    warnings: tuple[str, ...]
    widths: tuple[NDArray[np.float64], ...]

    @property
    def registration(self) -> tomo.Registration:
        """Where every column lies in the common frame."""
        return self.readings.registration

    def summary(self) -> dict[str, Any]:
        """What the report says of the registration."""
        return {
            "verdict": self.registration.verdict,
            "margin_to_runner_up": self.registration.margin,
            "margin_of_readings": self.readings.margin,
            "atoms_of_each_view": [
                [float(atoms[use].sum()), deviation]
                for atoms, use, (_, deviation) in zip(
                    expected_counts(self), self.registration.used, self.readings.totals, strict=True
                )
            ],
            "field_of_view_cuts": [field is not None for field in self.fields],
            "shared_planes": [self._pair(pair) for pair in self.registration.pairs],
        }

    def _pair(self, pair: tuple[int, int]) -> dict[str, Any]:
        """How two views agree in the planes they share, by the counts of each alone and as chosen."""
        names = [indexing.name for indexing in self.registration.indexings]
        agreement = self.registration.pairs[pair]
        before = self.readings.before.get(pair)
        return {
            "views": [names[view] for view in pair],
            "normal": list(agreement.normal),
            "planes": agreement.planes,
            "relative_difference": agreement.relative_difference,
            "relative_difference_before": None if before is None else before.relative_difference,
            "relative_bias": agreement.bias,
            "relative_bias_std": agreement.bias_std,
        }


def field_that_cuts(indexing: tomo.Indexing, extent: Field, near: float = 1.0) -> Field | None:
    """The edges of an image if a column lies so near to one that the particle may go on beyond it.

    `near` is that distance in units of the columns' spacing: from 1 the next column would be in the image.
    """
    return extent if _at_edge(indexing, extent, near).any() else None


def field_that_touches(fit: ColumnFit, indexing: tomo.Indexing, extent: Field) -> Field | None:
    """The edges of an image if the particle is as thick at them as where it is cut, not as at its own rim."""
    there = _at_edge(indexing, extent, 1.0)
    volume = fit.cross_section
    thick = there.any() and volume[there].mean() > RIM * volume[indexing.keep].mean()
    return extent if thick else None


def _at_edge(indexing: tomo.Indexing, extent: Field, near: float) -> NDArray[np.bool_]:
    """Columns of the lattice nearer to an edge of the image than `near` spacings."""
    left, right, top, bottom = extent
    x, y = indexing.x, indexing.y
    away = np.min([x - left, right - x, y - top, bottom - y], axis=0)
    return indexing.keep & (away < near * np.sqrt(indexing.zone.cell_area(indexing.crystal.a)))


def read_together(
    fits: Sequence[ColumnFit],
    counts: Sequence[AtomCounts],
    indexings: Sequence[tomo.Indexing],
    extents: Sequence[Field],
    crystal: tomo.Crystal,
    fixed: Sequence[tomo.FixedView | None] | None = None,
) -> JointReading:
    """Choose the reading of every view by the agreement of all, and bring the views into one frame.

    A particle that fills its image may be cut by it or not. Images are first taken to show the whole particle
    where it is thin at their edges, as at its own rim; then where all columns are a little inside; and if the
    views do not agree like this, what lies beyond an edge is unseen.

    `fixed` is what the user knows of the orientation and place of each view.

    Raises
    ------
    InputError
        If the views cannot be of the same particle.
    """
    cut, perhaps = (
        tuple(field_that_cuts(*item, near) for item in zip(indexings, extents, strict=True))
        for near in (CUT, 1.0)
    )
    thick = tuple(field_that_touches(*item) for item in zip(fits, indexings, extents, strict=True))
    for fields in dict.fromkeys((thick, cut)):
        if fields == perhaps:
            continue
        try:
            joint = _read_together(fits, counts, indexings, fields, crystal, fixed)
            agreed = joint.registration.verdict == "consistent" and not contradictions(joint)
            if agreed and (fields == cut or _all_have_room(joint, fits, crystal)):
                return joint
        except tomo.InputError:
            pass
    return _read_together(fits, counts, indexings, perhaps, crystal, fixed)


def _all_have_room(joint: JointReading, fits: Sequence[ColumnFit], crystal: tomo.Crystal) -> bool:
    """Whether every column has sites enough for its atoms that lie on columns of the other views."""
    return not tomo.build_problem(views_of(joint, fits, hard=False), crystal, strict=False).warnings


def contradictions(joint: JointReading) -> tuple[str, ...]:
    """What `tomo.check_registration` says of the counts in their frame.

    Raises
    ------
    InputError
        If the views cannot be of the same particle.
    """
    return tomo.check_registration(
        joint.registration,
        expected_counts(joint),
        count_probabilities=[c.probability for c in joint.counts],
        fields_of_view=joint.fields,
    )


def expected_counts(joint: JointReading) -> list[NDArray[np.float64]]:
    """Expected number of atoms in each column of each view."""
    return [moments(c)[0] for c in joint.counts]


def read_as(
    joint: JointReading,
    combination: tuple[int, ...],
    fits: Sequence[ColumnFit],
    counts: Sequence[AtomCounts],
    crystal: tomo.Crystal,
    fixed: Sequence[tomo.FixedView | None] | None,
) -> JointReading:
    """The same views under another combination of their readings, one of `joint.readings.rivals`.

    Raises
    ------
    InputError
        If so read the views cannot be of the same particle.
    """
    indexings = joint.registration.indexings
    return _read_together(fits, counts, indexings, joint.fields, crystal, fixed, combination)


def _read_together(
    fits: Sequence[ColumnFit],
    counts: Sequence[AtomCounts],
    indexings: Sequence[tomo.Indexing],
    fields: tuple[Field | None, ...],
    crystal: tomo.Crystal,
    fixed: Sequence[tomo.FixedView | None] | None,
    combination: tuple[int, ...] | None = None,
) -> JointReading:
    """The joint reading if the images cut the particle as `fields` says; perhaps of given readings."""
    options = [_options(*item) for item in zip(fits, counts, strict=True)]
    options = _with_thick_readings(fits, counts, options, fields)
    if combination is not None:
        options = [[of_view[r]] for of_view, r in zip(options, combination, strict=True)]
    readings = [[_reading(option) for option in of_view] for of_view in options]
    joint = tomo.choose_readings(indexings, readings, crystal, fields_of_view=fields, fixed=fixed)
    settled = tuple(
        _settle(*item) for item in zip(counts, options, joint.chosen, joint.posterior, strict=True)
    )
    settled = tuple(_corrected(*item) for item in zip(settled, fits, joint.corrections, strict=True))
    widths = tuple(
        (own if own.verdict == "decided" else read).chosen.width
        for own, read in zip(counts, settled, strict=True)
    )
    return JointReading(settled, joint, fields, tuple(joint.registration.warnings), widths)


def _options(fit: ColumnFit, alone: AtomCounts) -> list[AtomCounts]:
    """The counts of one view under each of its readings; just one where the user fixed it."""
    if alone.verdict == "given":
        return [alone]
    distinct: dict[
        tuple[int, int], stemcount.Hypothesis
    ] = {}  # of readings with the same thinnest and thickest class, the most probable
    for reading in alone.alternatives:
        distinct.setdefault((reading.offset, reading.n_components), reading)
    return [
        stemcount.counts_from_hypothesis(fit.cross_section, reading, cross_section_std=fit.noise_std)
        for reading in [*distinct.values()][:READINGS]
    ]


def _with_thick_readings(
    fits: Sequence[ColumnFit],
    counts: Sequence[AtomCounts],
    options: list[list[AtomCounts]],
    fields: Sequence[Field | None],
) -> list[list[AtomCounts]]:
    """The readings of every view, and those of longer columns where none holds as many atoms as another view.

    A rod seen from its end shows few columns, all of them long: alone it is read as a particle about as thick
    as wide. Views that are cut, or whose order the user fixed, are left alone.
    """
    whole = [field is None for field in fields]
    totals = [
        float(moments(view)[0].sum()) if uncut else 0.0 for view, uncut in zip(counts, whole, strict=True)
    ]
    found = []
    for fit, alone, own, uncut in zip(fits, counts, options, whole, strict=True):
        held = [float(moments(option)[0].sum()) for option in own]
        wanted = max(totals) / max(max(held), 1.0)
        if alone.verdict == "given" or not uncut or wanted < OUT_OF_REACH:
            found.append(own)
            continue
        top = own[int(np.argmax(held))]
        thickest = wanted * float(np.quantile(top.count, 0.995))
        least, most = (round(thickest * factor) for factor in THICKNESS_RANGE)
        more = (
            stemcount.thick_readings(
                fit.cross_section, least, min(most, MOST_ATOMS), cross_section_std=fit.noise_std
            )
            if least < MOST_ATOMS
            else []
        )
        found.append(
            own
            + [
                stemcount.counts_from_hypothesis(fit.cross_section, reading, cross_section_std=fit.noise_std)
                for reading in more
            ]
        )
    return found


def _reading(counts: AtomCounts) -> tomo.Reading:
    """A reading as `tomo.choose_readings` takes it: expected atoms of each column and their variance.

    A thousand columns in, what is wrong with the model of the classes outweighs what further columns
    tell: the evidence of n columns is raised to the power of 1 / (1 + n / 1000) (a coarsened posterior,
    Miller and Dunson, J. Am. Stat. Assoc. 114 (2019) 1113).
    """
    expected, variance = moments(counts)
    power = 1 / (1 + len(expected) / TRUSTED_COLUMNS)
    return tomo.Reading(power * counts.chosen.log_posterior, expected, variance)


def moments(counts: AtomCounts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected number of atoms of each column and its variance."""
    numbers = np.arange(counts.probability.shape[1])
    expected = counts.probability @ numbers
    return expected, np.maximum(counts.probability @ numbers**2 - expected**2, 0.0)


def _settle(
    alone: AtomCounts, options: Sequence[AtomCounts], chosen: int, posterior: NDArray[np.float64]
) -> AtomCounts:
    """The counts of one view under the reading that all views together prefer."""
    if alone.verdict == "given":
        return alone
    counts = options[chosen]
    alike = [np.mean(option.count == counts.count) >= ALIKE for option in options]
    share = float(posterior[alike].sum())
    return replace(
        counts,
        mixtures=alone.mixtures,
        icl=alone.icl,
        alternatives=alone.alternatives,
        verdict="decided" if share >= DECIDED else "undecidable",
        reason=f"with all views, readings that count alike hold {100 * share:.0f} % of the probability"
        f" (the image alone: {alone.verdict})",
    )


def _corrected(counts: AtomCounts, fit: ColumnFit, correction: tomo.CountCorrection) -> AtomCounts:
    """The counts with class means moved so that they agree with those of the other views."""
    if counts.verdict == "given" or correction == tomo.CountCorrection(most=correction.most):
        return counts
    reading = counts.chosen
    numbers = np.arange(len(reading.mean))
    corrected = np.maximum.accumulate(correction(numbers))
    mean = np.interp(numbers, corrected, reading.mean)
    step = reading.mean[-1] - reading.mean[-2]
    beyond = numbers > corrected[-1]
    mean[beyond] = reading.mean[-1] + step * (numbers - corrected[-1])[beyond]
    mean[0] = 0.0
    mean[1:] = np.maximum.accumulate(np.maximum(mean[1:], LEAST_STEP * step * numbers[1:]))
    again = stemcount.counts_from_hypothesis(
        fit.cross_section, replace(reading, mean=mean), cross_section_std=fit.noise_std
    )
    return replace(
        again,
        mixtures=counts.mixtures,
        icl=counts.icl,
        alternatives=counts.alternatives,
        verdict=counts.verdict,
        reason=counts.reason,
    )


def views_of(joint: JointReading, fits: Sequence[ColumnFit], hard: bool) -> list[tomo.View]:
    """Views as the reconstruction takes them; columns cut by the image's edge say nothing of their count."""
    cut = [(fit.flags & FitFlag.AT_EDGE) != 0 for fit in fits]
    if hard:
        numbers = [np.where(c, -1, counts.count) for c, counts in zip(cut, joint.counts, strict=True)]
        return tomo.make_views(joint.registration, counts=numbers, fields_of_view=joint.fields)
    likelihoods = [
        np.where(c[:, None], 0.0, counts.log_likelihood) for c, counts in zip(cut, joint.counts, strict=True)
    ]
    return tomo.make_views(joint.registration, log_likelihoods=likelihoods, fields_of_view=joint.fields)
