"""How likely every number of atoms is under a reading of the cross-sections."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..arrays import Floats
from ..results import Hypothesis
from .curve import OUTLIERS

BLOCK = 500  # columns, whose likelihoods are computed together
TRUSTED_COLUMNS = 1000.0  # whose cross-sections follow the model of their classes well enough


def coarsening(n_columns: int) -> float:
    """The power to which the evidence of so many columns is raised, 1 / (1 + n / 1000).

    A thousand columns in, what is wrong with the model of the classes outweighs what further columns tell
    (a coarsened posterior, Miller and Dunson, J. Am. Stat. Assoc. 114 (2019) 1113): errors of neighbours
    are alike, and a curve that bends otherwise, or a background, is the same error in every column.

    Examples
    --------
    >>> coarsening(0), coarsening(1000)
    (1.0, 0.5)
    """
    return 1 / (1 + n_columns / TRUSTED_COLUMNS)


def count_log_likelihood(values: Floats, reading: Hypothesis, noise_std: Floats | None = None) -> Floats:
    """ln P(V | k atoms) (n, kmax + 1) of every column for k = 0..kmax.

    A Gaussian about the class mean, with a share `OUTLIERS` of columns spread evenly over all values: a
    column whose fit went wrong then says little instead of ruling out the truth. `noise_std` (n,) are known
    standard deviations, where the widths do not yet hold them.
    """
    extent = _extent(values, reading)
    found = np.empty((len(values), len(reading.mean)))
    for rows in _blocks(len(values)):
        found[rows] = _log_likelihood(values, reading, noise_std, extent, rows)
    return found


def probability_of(log_likelihood: Floats, reading: Hypothesis) -> Floats:
    """P(k | V) (n, kmax + 1) under a reading."""
    with np.errstate(divide="ignore"):
        joint = log_likelihood + np.log(reading.weight)
    joint -= joint.max(axis=1, keepdims=True)
    probability = np.exp(joint, out=joint)
    probability /= probability.sum(axis=1, keepdims=True)
    return probability


def under_each(
    values: Floats, readings: list[Hypothesis], std: Floats | None
) -> Iterator[tuple[slice, list[Floats]]]:
    """P(k | V) under each reading, of some of the columns after the others.

    The tables of all readings and columns together would be gigabytes of a large image.
    """
    extents = [_extent(values, reading) for reading in readings]
    for rows in _blocks(len(values)):
        yield (
            rows,
            [
                probability_of(_log_likelihood(values, reading, std, extent, rows), reading)
                for reading, extent in zip(readings, extents, strict=True)
            ],
        )


def _extent(values: Floats, reading: Hypothesis) -> float:
    """Over what values the columns whose fit went wrong are spread."""
    return max(float(values.max()), float(reading.mean[-1])) - min(float(values.min()), 0.0)


def _blocks(n: int) -> Iterator[slice]:
    """Rows of n columns, some at a time: tables of all columns are too large for the processor's memory."""
    return (slice(first, first + BLOCK) for first in range(0, n, BLOCK))


def _log_likelihood(
    values: Floats, reading: Hypothesis, noise_std: Floats | None, extent: float, rows: slice
) -> Floats:
    """`count_log_likelihood` of some of the columns."""
    noise = 0.0 if noise_std is None else noise_std[rows, None] ** 2
    variance = reading.width**2 + noise
    log_density = -0.5 * (values[rows, None] - reading.mean) ** 2 / variance
    log_density -= 0.5 * np.log(2 * np.pi * variance)
    return np.asarray(np.logaddexp(np.log1p(-OUTLIERS) + log_density, np.log(OUTLIERS / (1.1 * extent))))
