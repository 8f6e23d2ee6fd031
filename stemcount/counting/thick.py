"""Readings of columns thicker than one image alone would make them: a rod seen from its end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..errors import InputError, check_whole
from ..results import Hypothesis
from .curve import OFFSET_PRICE, CurveFit, fit_curve, nearest_classes
from .mixtures import checked_cross_sections, checked_std
from .order import POWERS, bin_values, hypothesis, relative_width, start_curve

BENDS, DIPS = (0.85, 0.92, 1.0), (0.0, 0.3)  # of the curves that are tried
FIRST_WIDTH = 0.25  # class width over increment at the start
_MOST = 10_000  # atoms in a column
ROUGH_STEPS, STEPS = 6, 25  # of expectation maximisation


def thick_readings(
    cross_sections: ArrayLike, least: int, most: int, *, cross_section_std: ArrayLike | None = None
) -> list[Hypothesis]:
    """The most probable reading for every number of atoms of the thickest columns from `least` to `most`.

    An image alone is taken to show a particle about as thick as wide, and its thinnest columns to hold few
    atoms (`stemcount.counting.order`). Where other views say that the columns are long, neither holds: here
    no class below the thinnest column is priced. The law of the classes' spacing and widths is
    that of all readings.

    Parameters
    ----------
    cross_sections : (n,) array of float
        Columns' cross-sections, any unit.
    least, most : int
        Atoms of the thickest columns.
    cross_section_std : (n,) array of float, optional
        Standard deviations of the cross-sections from the fit.

    Returns
    -------
    list of Hypothesis
        The most probable first. Their `log_posterior` compares with each other and with those of
        `count_atoms`.

    Raises
    ------
    InputError
        If the range is empty, or no column is bright.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> atoms = rng.integers(40, 49, 100)
    >>> readings = thick_readings(0.3 * atoms**0.95 + 0.03 * rng.standard_normal(100), 46, 50)
    >>> any(reading.offset == 39 for reading in readings)
    True
    """
    values = checked_cross_sections(cross_sections)
    check_whole("thick_readings: least", least, 1)
    check_whole("thick_readings: most", most, 1, _MOST)
    if least > most:
        raise InputError(f"thick_readings: expected 1 <= least <= most, got {least!r} and {most!r}.")
    binned = bin_values(values, checked_std(cross_section_std, len(values)))
    ordered = np.repeat(binned.value, binned.number.astype(int))
    smallest, largest = (float(q) for q in np.quantile(ordered, (0.01, 0.995)))
    if largest <= 0:
        raise InputError("cross_sections: expected values above 0, got none among the largest of them.")

    def fitted(start: Floats, power: float, width: float, steps: int) -> CurveFit:
        """From start means; classes from that of the smallest value to that of the largest occur."""
        classes = nearest_classes(start, smallest, largest)
        return fit_curve(binned, start, power, True, width, steps, *classes)

    found = []
    for scale in range(least, most + 1):
        starts = [start_curve(float(scale), bend, dip, largest) for bend in BENDS for dip in DIPS]
        rough = [fitted(start, 0.5, FIRST_WIDTH, ROUGH_STEPS) for start in starts]
        best = max(rough, key=lambda fit: fit.log_evidence)
        fits = [fitted(best.mean, power, relative_width(best), STEPS) for power in POWERS]
        usable = [fit for fit in [best, *fits] if np.isfinite(fit.log_evidence)]
        found += [max(usable, key=lambda fit: fit.log_evidence)] if usable else []
    readings = [replace(hypothesis(f), log_posterior=_unpriced(f)) for f in found]
    return sorted(readings, key=lambda reading: -reading.log_posterior)


def _unpriced(fit: CurveFit) -> float:
    """Evidence without the price of missing thin columns."""
    return fit.log_evidence + (OFFSET_PRICE * (1 + fit.first) if fit.first > 1 else 0.0)
