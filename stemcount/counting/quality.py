"""What the counts of a fit's columns say of the fit: clear classes, a column of one atom, unlike columns."""

from __future__ import annotations

import numpy as np

from ..results import AtomCounts, ColumnFit

LEAST_NOISE = 0.25  # of the smallest variance of a column: a line through them may end too low


def clarity_gained(fit: ColumnFit, counts: AtomCounts, other: ColumnFit, other_counts: AtomCounts) -> float:
    """How much more clearly the cross-sections of another fit of the same columns fall into classes [nats].

    By the evidence of the readings that were taken. So that it does not depend on their unit, and not on how
    much the cross-sections vary in all, both are measured by their standard deviation; what is left to
    compare is how much they gather about the class means.
    """
    gain = other_counts.chosen.log_posterior - counts.chosen.log_posterior
    gain += len(fit) * np.log(np.std(other.cross_section) / np.std(fit.cross_section))
    return float(gain)


def brightness_of_one(fit: ColumnFit, counts: AtomCounts) -> float:
    """How many times its own error a column of one atom is bright, as the counts of a view are read.

    Variances grow as those of counted electrons: a straight line through those of all columns, each weighted
    as it scatters, tells that of so small a cross-section.
    """
    one = float(counts.chosen.mean[1])
    variance = fit.cross_section_std**2
    design = np.column_stack([np.ones(len(fit)), fit.cross_section]) / variance[:, None]
    line = np.linalg.lstsq(design, np.ones(len(fit)), rcond=None)[0]
    least = LEAST_NOISE * float(variance.min())
    return one / float(np.sqrt(max(float(line[0] + line[1] * one), least)))


def scatter_of_classes(fit: ColumnFit, counts: AtomCounts) -> tuple[float, float, float]:
    """How much columns of equally many atoms differ, in steps of one atom, mean of all columns.

    Beside noise: how much noise makes them differ, and their difference over the root of their atoms, as
    which it grows where atoms of another element are in some of the sites.
    """
    atoms, classes = np.maximum(counts.count, 1), counts.chosen
    own = np.minimum(atoms, len(classes.mean) - 1)
    step = np.gradient(classes.mean)[own]
    scatter = classes.width[own] / step
    noise = float(np.median(fit.noise_std / step))
    return float(np.mean(scatter)), noise, float(np.mean(scatter / np.sqrt(atoms)))
