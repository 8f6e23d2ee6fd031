"""A mixture whose class means lie on a smooth curve V(k) through V(0) = 0.

The cross-section grows by d_k = V(k) - V(k - 1) with the k-th atom. The logarithms of the
increments are a Gaussian process: nearly constant, bending slowly with channelling. One number a
class would fit any set of values; this prior lets only curves pass that a column of atoms can have.
Readings are compared by their evidence, the probability of the values whatever curve, widths and shares are:
with d parameters, h their most probable values and A minus the second derivatives of ln P there, by Laplace

    ln P(V) = ln P(V | h) + ln P(h) + (d / 2) ln 2 pi - (1 / 2) ln det A

(MacKay, Neural Comput. 4 (1992) 415); for A stands the information of the values and the priors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from .curve_kernel import Law, Prior, Values, most_probable_curve

# Prior of the increments. Library curves of Au, Pt and Au(110) have increments that start 20-45 %
# below their plateau (a lone atom does not channel), decline slowly, and in some crystals wander by
# 10-30 % over 3-6 atoms. Two priors stand for the crystals that do not wander and those that do.
DECLINE, DECLINE_LENGTH = 0.25, 12.0  # of ln d_k in thick columns, where channelling fades
SLOW, SLOW_LENGTH = 0.2, 10.0  # standard deviation of ln d_k; atoms over which increments stay alike
WANDER = {True: 0.06, False: 0.28}  # stiff or not
WANDER_LENGTH = 3.0
ROUGHNESS = {True: 0.02, False: 0.04}  # of single increments, on top
STIFF_SHARE = 0.7  # crystals that are stiff
SCALE_SPREAD = 1.5  # of ln(overall scale), about a tenth of the largest cross-section
FIRST_DIP, FIRST_DIP_SPREAD = 0.2, 0.25  # expected dip of ln d_k at the first atoms
DIP_LENGTH = 1.6
# Share of columns that are nothing the model knows (wrong fits, debris), spread over all values.
OUTLIERS = 0.01
# Prior of the thickness histogram, ln(share of class k): a smooth trend over the whole range of
# thicknesses, and the roughness that facets and steps give single classes.
TREND, TREND_LENGTH = 1.2, 0.3  # standard deviation; length as a fraction of the number of classes
HISTOGRAM_ROUGHNESS = 0.35
# Prior of (class width / increment), log-normal.
RELATIVE_WIDTH, RELATIVE_WIDTH_SPREAD = 0.2, 0.6
FINEST = 1e-3  # least width of a class, in steps of the curve
TOLERANCE = 1e-3  # log units; a fit ends when a step gains less
# A reading without single-atom columns costs three times this, and once more for every further class missing.
OFFSET_PRICE = 0.5


IncrementPrior = tuple[Floats, Floats, float]  # mean of ln d_k, inverse covariance, ln det of the latter


@lru_cache(maxsize=256)
def increment_prior(n_classes: int, stiff: bool) -> IncrementPrior:
    """Mean, inverse covariance and ln det of the inverse of ln(d_k / scale) for k = 1..n_classes.

    Examples
    --------
    >>> mean, precision, log_det = increment_prior(3, stiff=True)
    >>> precision.shape
    (3, 3)
    """
    k = np.arange(1, n_classes + 1, dtype=float)
    dip = np.exp(-(((k - 1) / DIP_LENGTH) ** 2))
    squared = (k[:, None] - k[None, :]) ** 2
    covariance = (
        SCALE_SPREAD**2
        + FIRST_DIP_SPREAD**2 * np.outer(dip, dip)
        + SLOW**2 * np.exp(-0.5 * squared / SLOW_LENGTH**2)
        + WANDER[stiff] ** 2 * np.exp(-0.5 * squared / WANDER_LENGTH**2)
        + ROUGHNESS[stiff] ** 2 * np.eye(n_classes)
    )
    precision = np.asarray(np.linalg.inv(covariance), dtype=float)
    mean = -FIRST_DIP * dip - DECLINE * (1 - np.exp(-(k - 1) / DECLINE_LENGTH))
    return mean, precision, -float(np.linalg.slogdet(covariance)[1])


@lru_cache(maxsize=256)
def histogram_prior(n_classes: int) -> tuple[Floats, float]:
    """Inverse covariance of the logarithms of the classes' shares, and its ln det.

    Examples
    --------
    >>> histogram_prior(4)[0].shape
    (4, 4)
    """
    k = np.arange(n_classes, dtype=float)
    distance = (k[:, None] - k[None, :]) / max(TREND_LENGTH * n_classes, 1.0)
    covariance = TREND**2 * np.exp(-0.5 * distance**2) + HISTOGRAM_ROUGHNESS**2 * np.eye(n_classes)
    return np.asarray(np.linalg.inv(covariance), dtype=float), -float(np.linalg.slogdet(covariance)[1])


@dataclass(frozen=True)
class CurveFit:
    """One reading of the values: a curve, widths, and how many values each class holds.

    Attributes
    ----------
    mean : (kmax,) float
        V(k), k = 1..kmax.
    weight : (kmax,) float
        Share of class k in the histogram; sums to 1.
    share : (kmax,) float
        Expected number of columns of k atoms.
    s2, power : float
        Class k has the variance s2 (V(k) / V(kmax))^(2 power) beside the known noise.
    stiff : bool
        Which prior of the increments it was fitted with.
    log_evidence : float
        ln of the probability of the values, curve, widths and weights integrated out approximately.
    first, last : int
        Thinnest and thickest class that occur.
    """

    mean: Floats
    weight: Floats
    share: Floats
    s2: float
    power: float
    stiff: bool
    log_evidence: float
    first: int
    last: int

    @property
    def variance(self) -> Floats:
        """Variance of each class beside the known noise, k = 1..kmax."""
        return self.s2 * (self.mean / self.mean[-1]) ** (2 * self.power)


def increments_of(mean: Floats) -> Floats:
    """V(k) - V(k - 1) for k = 1..kmax of means (kmax,), with V(0) = 0."""
    increments = mean.copy()
    increments[1:] -= mean[:-1]
    return increments


def going_on(k: NDArray[Any], at: NDArray[Any], mean: Floats) -> Floats:
    """Means that are known `at` numbers of atoms, at others, k: in between, and on with the last step."""
    return np.asarray(np.interp(k, at, mean) + np.maximum(k - at[-1], 0.0) * (mean[-1] - mean[-2]))


def nearest_classes(mean: Floats, smallest: float, largest: float) -> tuple[int, int]:
    """The classes, of 1, 2, ... atoms, whose means are nearest to two values."""
    first, last = (int(np.argmin(np.abs(mean - value))) + 1 for value in (smallest, largest))
    return first, last


def fit_curve(
    values: Values,
    mean: Floats,
    power: float,
    stiff: bool,
    relative_width: float,
    steps: int,
    first: int,
    last: int,
    given: IncrementPrior | None = None,
) -> CurveFit:
    """Fit the curve mixture from start means V(1..kmax), ascending and positive.

    Class widths grow with the mean to the `power`, and are `relative_width` of an increment to begin with;
    classes `first` to `last` occur. The increments have the prior that is `given`, scale included, else the
    general one, `stiff` or not. `steps` are those of expectation maximisation, at most.
    """
    largest = float(np.abs(values.value).max())
    if given is None:
        prior, precision, log_det = increment_prior(len(mean), stiff)
        prior = prior + np.log(largest / 10)
    else:
        prior, precision, log_det = given
    log_step = np.log(np.maximum(increments_of(mean), 1e-6 * largest))
    step = float(mean[last - 1]) / last
    s2 = (relative_width * step) ** 2 * (mean[-1] / mean[(first + last) // 2 - 1]) ** (2 * power)
    log_weight = np.zeros(last - first + 1)
    weight_precision, weight_log_det = histogram_prior(len(log_weight))
    expected = Prior(prior, precision, weight_precision)
    law = Law(first - 1, last - 1, power, OUTLIERS)
    floor, precision_of_width = (FINEST * step) ** 2, RELATIVE_WIDTH_SPREAD**-2
    log_height, s2, share = most_probable_curve(
        values, expected, law, log_step, log_weight, s2, floor, steps, TOLERANCE, precision_of_width
    )
    increments = np.exp(log_step)
    mean = np.cumsum(increments)
    weight = np.zeros(len(mean))
    weight[first - 1 : last] = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    # Laplace's approximation: height of the posterior, the information of the parameters and the priors
    log_evidence = log_height + 0.5 * (log_det + weight_log_det)
    width = np.sqrt(s2 * (mean / mean[-1]) ** (2 * power))
    ratio = float((weight * np.log(width / increments)).sum())
    log_evidence -= 0.5 * ((ratio - np.log(RELATIVE_WIDTH)) / RELATIVE_WIDTH_SPREAD) ** 2
    log_evidence -= float(np.log(RELATIVE_WIDTH_SPREAD))
    log_evidence += float(np.log(STIFF_SHARE if stiff else 1 - STIFF_SHARE))
    if first > 1:
        log_evidence -= OFFSET_PRICE * (1 + first)
    return CurveFit(mean, weight, share, float(s2), power, stiff, float(log_evidence), first, last)
