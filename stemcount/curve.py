"""A mixture whose class means lie on a smooth curve V(k) through V(0) = 0.

The cross-section grows by d_k = V(k) - V(k - 1) with the k-th atom. The logarithms of the
increments are a Gaussian process: nearly constant, bending slowly with channelling. One number a
class would fit any set of values; this prior lets only curves pass that a column of atoms can have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .mixtures import REACH, _jit

Array = NDArray[np.float64]

# Prior of the increments. Library curves of Au, Pt and Au(110) have increments that start 20-45 %
# below their plateau (a lone atom does not channel) and then wander by 10-30 % over 3-6 atoms.
BEND = 0.25  # standard deviation of ln d_k
BEND_LENGTH = 3.0  # atoms over which the increments stay alike
ROUGHNESS = 0.04  # of single increments, on top
SCALE_SPREAD = 1.5  # of ln(overall scale), about a tenth of the largest cross-section
FIRST_DIP = 0.35  # expected dip of ln d_k at the first atoms
DIP_LENGTH = 1.6
# Share of columns that are nothing the model knows (wrong fits, debris), spread over all values.
OUTLIERS = 0.01
# Prior of the thickness histogram, ln(share of class k): a smooth trend over the whole range of
# thicknesses, and the roughness that facets and steps give single classes.
TREND, TREND_LENGTH = 1.2, 0.3  # standard deviation; length as a fraction of the number of classes
HISTOGRAM_ROUGHNESS = 0.35
# Prior of (class width / increment), log-normal.
RELATIVE_WIDTH, RELATIVE_WIDTH_SPREAD = 0.2, 0.6
# A reading without single-atom columns costs this, and half of it again for every further class missing.
OFFSET_PRICE = 1.0


@lru_cache(maxsize=256)
def increment_prior(n_classes: int) -> tuple[Array, Array]:
    """Mean and inverse covariance of ln(d_k / scale) for k = 1..n_classes.

    Examples
    --------
    >>> mean, precision = increment_prior(3)
    >>> precision.shape
    (3, 3)
    """
    k = np.arange(1, n_classes + 1, dtype=float)
    mean = -FIRST_DIP * np.exp(-(((k - 1) / DIP_LENGTH) ** 2))
    distance = (k[:, None] - k[None, :]) / BEND_LENGTH
    covariance = BEND**2 * np.exp(-0.5 * distance**2) + ROUGHNESS**2 * np.eye(n_classes) + SCALE_SPREAD**2
    return mean, np.asarray(np.linalg.inv(covariance))


@lru_cache(maxsize=256)
def histogram_prior(n_classes: int) -> Array:
    """Inverse covariance of the logarithms of the classes' shares.

    Examples
    --------
    >>> histogram_prior(4).shape
    (4, 4)
    """
    k = np.arange(n_classes, dtype=float)
    distance = (k[:, None] - k[None, :]) / max(TREND_LENGTH * n_classes, 1.0)
    covariance = TREND**2 * np.exp(-0.5 * distance**2) + HISTOGRAM_ROUGHNESS**2 * np.eye(n_classes)
    return np.asarray(np.linalg.inv(covariance))


@_jit
def _curve_em(
    value: Array,
    number: Array,
    noise: Array,
    log_step: Array,
    prior_mean: Array,
    precision: Array,
    log_weight: Array,
    weight_precision: Array,
    lowest: int,
    s2: float,
    power: float,
    background: float,
    floor: float,
    max_steps: int,
    tolerance: float,
) -> tuple[float, float, Array, Array]:
    """Fit curve, widths and weights by expectation maximisation; log_step and log_weight in place.

    Class k = 0, 1, ... (of k + 1 atoms) has mean V(k), and the variance noise_n + s2 (V(k) /
    V(top))^(2 power) at value n. Classes lowest, ... lowest + len(log_weight) - 1 occur; the curve goes
    on beyond them. Returns (log-likelihood, s2, mean, share), share[k] the number of values in class k.
    """
    k_max = log_step.size
    occurring = log_weight.size
    highest = lowest + occurring - 1
    mean = np.empty(k_max)
    shape = np.empty(k_max)
    logs = np.empty(k_max)
    weight = np.empty(occurring)
    density = np.empty(k_max)
    share = np.empty(k_max)
    information = np.empty(k_max)
    pull = np.empty(k_max)
    log_background = np.log(OUTLIERS * background)
    before = -np.inf
    log_likelihood = -np.inf
    step = 0
    while True:
        running = 0.0
        for k in range(k_max):
            running += np.exp(log_step[k])
            mean[k] = running
        for k in range(k_max):
            shape[k] = (mean[k] / mean[k_max - 1]) ** (2 * power)
        weight[:] = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        for k in range(lowest, highest + 1):
            logs[k] = np.log(weight[k - lowest] * (1.0 - OUTLIERS)) - 0.918938533204672742
        share[:] = 0.0
        information[:] = 0.0
        pull[:] = 0.0
        scatter = 0.0
        explained = 0.0
        log_likelihood = 0.0
        near = lowest
        for n in range(value.size):
            v = value[n]
            f = noise[n]
            while near < highest and abs(mean[near + 1] - v) <= abs(v - mean[near]):
                near += 1
            limit = (v - mean[near]) ** 2 / (f + s2 * shape[near]) + 0.5 * REACH
            first = near
            while first > lowest and (v - mean[first - 1]) ** 2 < limit * (f + s2 * shape[first - 1]):
                first -= 1
            last = near
            while last < highest and (v - mean[last + 1]) ** 2 < limit * (f + s2 * shape[last + 1]):
                last += 1
            best = log_background
            for k in range(first, last + 1):
                variance = f + s2 * shape[k]
                density[k] = logs[k] - 0.5 * np.log(variance) - 0.5 * (v - mean[k]) ** 2 / variance
                best = max(best, density[k])
            sum_density = np.exp(log_background - best)
            for k in range(first, last + 1):
                density[k] = np.exp(density[k] - best)
                sum_density += density[k]
            log_likelihood += number[n] * (best + np.log(sum_density))
            for k in range(first, last + 1):
                t = number[n] * density[k] / sum_density
                variance = f + s2 * shape[k]
                part = s2 * shape[k] / variance
                share[k] += t
                information[k] += t / variance
                pull[k] += t * (v - mean[k]) / variance
                scatter += t * (part * part * (v - mean[k]) ** 2 + part * f) / shape[k]
                explained += t
        bent = precision @ (log_step - prior_mean)
        uneven = weight_precision @ log_weight
        score = log_likelihood - 0.5 * (log_step - prior_mean) @ bent - 0.5 * log_weight @ uneven
        if step == max_steps or (step > 5 and abs(score - before) < tolerance):
            break
        before = score
        step += 1
        # Gauss-Newton in ln d_j: dV(k)/d ln d_j = d_j for j <= k.
        increments = np.exp(log_step)
        tail = np.empty(k_max)
        gradient = -bent
        running_information = 0.0
        running_pull = 0.0
        for k in range(k_max - 1, -1, -1):
            running_information += information[k]
            running_pull += pull[k]
            tail[k] = running_information
            gradient[k] += increments[k] * running_pull
        hessian = precision.copy()
        for i in range(k_max):
            for j in range(k_max):
                hessian[i, j] += increments[i] * increments[j] * tail[max(i, j)]
        change = np.linalg.solve(hessian, gradient)
        log_step += change * min(1.0, 0.3 / max(np.abs(change).max(), 1e-12))
        s2 = max(scatter / max(explained, 1e-12), floor)
        # Newton in the logarithms of the weights.
        hessian = weight_precision - explained * np.outer(weight, weight)
        for k in range(occurring):
            hessian[k, k] += explained * weight[k]
        change = np.linalg.solve(hessian, share[lowest : highest + 1] - explained * weight - uneven)
        log_weight += change * min(1.0, 1.0 / max(np.abs(change).max(), 1e-12))
    return log_likelihood, s2, mean, share


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
    log_evidence : float
        ln of the probability of the values, curve, widths and weights integrated out approximately.
    first, last : int
        Thinnest and thickest class that occur.
    """

    mean: Array
    weight: Array
    share: Array
    s2: float
    power: float
    log_evidence: float
    first: int
    last: int

    @property
    def variance(self) -> Array:
        """Variance of each class beside the known noise, k = 1..kmax."""
        return self.s2 * (self.mean / self.mean[-1]) ** (2 * self.power)


@dataclass(frozen=True)
class Values:
    """Sorted, binned cross-sections as the kernel reads them.

    Attributes
    ----------
    value, number, noise : (n,) float
        Centre of each bin, values in it, and their known variance.
    background : float
        Density of the outliers.
    """

    value: Array
    number: Array
    noise: Array
    background: float

    @property
    def total(self) -> float:
        """Number of columns."""
        return float(self.number.sum())


def fit_curve(
    values: Values, mean: Array, power: float, relative_width: float, steps: int, first: int, last: int
) -> CurveFit:
    """Fit the curve mixture from start means V(1..kmax).

    Parameters
    ----------
    values : Values
    mean : (kmax,) array of float
        Where to start, ascending and positive.
    power : float
        How the class width grows with the mean.
    relative_width : float
        Start of class width / increment.
    steps : int
        Steps of expectation maximisation, at most.
    first, last : int
        Classes that occur, 1 <= first <= last <= kmax.

    Returns
    -------
    CurveFit
    """
    prior, precision = increment_prior(len(mean))
    largest = float(np.abs(values.value).max())
    prior = prior + np.log(largest / 10)
    log_step = np.log(np.maximum(np.diff(mean, prepend=0.0), 1e-6 * largest))
    step = float(mean[last - 1]) / last
    s2 = (relative_width * step) ** 2 * (mean[-1] / mean[(first + last) // 2 - 1]) ** (2 * power)
    log_weight = np.zeros(last - first + 1)
    weight_precision = histogram_prior(len(log_weight))
    log_likelihood, s2, mean, share = _curve_em(
        values.value, values.number, values.noise, log_step, prior, precision, log_weight, weight_precision,
        first - 1, s2, power, values.background, (1e-3 * step) ** 2, steps, 1e-3,
    )  # fmt: skip
    log_evidence = log_likelihood
    for parameter, inverse in ((log_step - prior, precision), (log_weight, weight_precision)):
        log_evidence -= 0.5 * float(parameter @ inverse @ parameter)
        log_evidence += 0.5 * float(np.linalg.slogdet(inverse)[1])
    # Width: log-normal prior on its ratio to the increments.
    increments = np.exp(log_step)
    width = np.sqrt(s2 * (mean / mean[-1]) ** (2 * power))
    ratio = float(np.sum(share * np.log(width / increments)) / share.sum())
    log_evidence -= 0.5 * ((ratio - np.log(RELATIVE_WIDTH)) / RELATIVE_WIDTH_SPREAD) ** 2
    log_evidence -= float(np.log(RELATIVE_WIDTH_SPREAD))
    weight = np.zeros(len(mean))
    weight[first - 1 : last] = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    # Laplace: the information that the values give, overlap of the classes included.
    size = len(mean)
    scores = _scores(values, mean, increments, weight, s2, power)
    scores = np.concatenate(
        [scores[:, :size], scores[:, size + first - 1 : size + last], scores[:, -1:]], axis=1
    )
    seen = (scores * values.number[:, None]).T @ scores
    seen[:size, :size] += precision
    seen[size:-1, size:-1] += weight_precision
    seen[-1, -1] += 1 / RELATIVE_WIDTH_SPREAD**2
    log_evidence -= 0.5 * float(np.linalg.slogdet(seen)[1])
    if first > 1:
        log_evidence -= OFFSET_PRICE * (0.5 + 0.5 * first)
    return CurveFit(mean, weight, share, s2, power, log_evidence, first, last)


def _scores(values: Values, mean: Array, increments: Array, weight: Array, s2: float, power: float) -> Array:
    """Gradient of each value's log-likelihood in (ln increments, log-weights, ln width), (n, 2 k + 1)."""
    shape = (mean / mean[-1]) ** (2 * power)
    variance = values.noise[:, None] + s2 * shape
    distance = values.value[:, None] - mean
    density = (1 - OUTLIERS) * weight * np.exp(-0.5 * distance**2 / variance) / np.sqrt(2 * np.pi * variance)
    t = density / (density.sum(axis=1, keepdims=True) + OUTLIERS * values.background)
    pull = t * distance / variance
    steps = np.cumsum(pull[:, ::-1], axis=1)[:, ::-1] * increments
    weights = t - weight * t.sum(axis=1, keepdims=True)
    part = s2 * shape / variance
    width = np.sum(t * part * (distance**2 / variance - 1), axis=1, keepdims=True)
    return np.concatenate([steps, weights, width], axis=1)
