"""Readings of one view: the counts of its columns under each, and under the one that all views prefer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

import stemcount
import tomo
from stemcount.arrays import Floats
from stemcount.counting.curve import going_on
from stemcount.counting.likelihood import coarsening
from stemcount.results import AtomCounts, ColumnFit
from tomo.placing.registration import Field

READINGS = 60  # of each view that are tried together
LEAST_STEP = 0.2  # between class means, of the last one
OUT_OF_REACH = 1.06  # ratio of another view's atoms to the most that any reading of a view holds
THICKNESS_RANGE = (0.85, 1.2)  # of the thickest columns, over what equal totals ask for
MOST_ATOMS = 250  # of a column that is tried
ALIKE = 0.9  # share of columns on which two readings must agree to count alike
DECIDED = 0.9  # probability that the readings that count alike must hold


def counted_by(fit: ColumnFit, reading: stemcount.Hypothesis) -> AtomCounts:
    """The counts of a fit's columns under one reading, told by the noise alone."""
    return stemcount.counts_from_hypothesis(fit.cross_section, reading, cross_section_std=fit.noise_std)


def options_of(fit: ColumnFit, alone: AtomCounts) -> list[AtomCounts]:
    """The counts of one view under each of its readings; just one where the user fixed it."""
    if alone.verdict == "given":
        return [alone]
    # of readings with the same thinnest and thickest class, the most probable
    distinct: dict[tuple[int, int], stemcount.Hypothesis] = {}
    for reading in alone.alternatives:
        distinct.setdefault((reading.offset, reading.n_components), reading)
    return [counted_by(fit, reading) for reading in [*distinct.values()][:READINGS]]


def with_thick_readings(
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
        found.append(own + [counted_by(fit, reading) for reading in more])
    return found


def trusted_reading(counts: AtomCounts) -> tomo.Reading:
    """A reading as `tomo.choose_readings` takes it: expected atoms of each column and their variance.

    What many columns say for it is believed less than literally (`stemcount.counting.likelihood.coarsening`).
    """
    power = coarsening(len(counts.count))
    return tomo.reading_of(power * counts.chosen.log_posterior, counts.probability)


def moments(counts: AtomCounts) -> tuple[Floats, Floats]:
    """Expected number of atoms of each column and its variance."""
    reading = tomo.reading_of(0.0, counts.probability)
    return reading.expected, reading.variance


def settled_counts(
    alone: AtomCounts, options: Sequence[AtomCounts], chosen: int, posterior: Floats
) -> AtomCounts:
    """The counts of one view under the reading that all views together prefer."""
    if alone.verdict == "given":
        return alone
    counts = options[chosen]
    alike = [np.mean(option.count == counts.count) >= ALIKE for option in options]
    share = float(posterior[alike].sum())
    return replace(
        counts.with_choice_of(alone),
        verdict="decided" if share >= DECIDED else "undecidable",
        reason=f"With all views, readings that count alike hold {100 * share:.0f} % of the probability"
        f" (the image alone: {alone.verdict}).",
    )


def corrected_counts(counts: AtomCounts, fit: ColumnFit, correction: tomo.CountCorrection) -> AtomCounts:
    """The counts with class means moved so that they agree with those of the other views."""
    if counts.verdict == "given" or correction == tomo.CountCorrection(most=correction.most):
        return counts
    reading = counts.chosen
    numbers = np.arange(len(reading.mean))
    corrected = np.maximum.accumulate(correction(numbers))
    mean = going_on(numbers, corrected, reading.mean)
    step = reading.mean[-1] - reading.mean[-2]
    mean[0] = 0.0
    mean[1:] = np.maximum.accumulate(np.maximum(mean[1:], LEAST_STEP * step * numbers[1:]))
    return counted_by(fit, replace(reading, mean=mean)).with_choice_of(counts)
