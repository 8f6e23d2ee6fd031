"""Compiled kernels of `stemcount.counting.curve`: expectation maximisation and the information it leaves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Floats
from ..kernels import jit, jit_internal
from .mixtures import REACH
from .small_matrices import add_block, factor, solve, times

LOG_SQRT_2PI = 0.918938533204672742
PER_SQRT_2PI = 0.398942280401432678


class Values(NamedTuple):
    """Sorted, binned cross-sections.

    Attributes
    ----------
    value, number, noise : (n,) float
        Centre of each bin, values in it, and their known variance.
    background : float
        Density of the outliers.
    """

    value: Floats
    number: Floats
    noise: Floats
    background: float


class Prior(NamedTuple):
    """Gaussian priors: mean (kmax,) and precision (kmax, kmax) of ln d_k, precision (m, m) of ln weight."""

    mean: Floats
    precision: Floats
    weight_precision: Floats


class Law(NamedTuple):
    """Which classes occur (class 0 holds one atom), width ~ V(k)^power, and the share of the outliers."""

    lowest: int
    highest: int
    power: float
    outliers: float


class Classes(NamedTuple):
    """Every class, (kmax,): its mean, its variance over s2, and its height where it occurs.

    The height is what stands before exp(...) / standard deviation in the density.
    """

    mean: Floats
    shape: Floats
    height: Floats


class One(NamedTuple):
    """Of one value and every class, (kmax,): probability of the class, and the inverse of its variance."""

    t: Floats
    inverse: Floats


class Sums(NamedTuple):
    """Every class, (kmax,): values in it, their summed inverse variance, d(log-likelihood) / d(its mean)."""

    share: Floats
    information: Floats
    pull: Floats


@jit_internal
def _no_classes(k_max: int) -> Classes:
    """Room for the classes."""
    return Classes(np.empty(k_max), np.empty(k_max), np.empty(k_max))


@jit_internal
def _set_classes(log_step: Floats, log_weight: Floats, law: Law, classes: Classes, weight: Floats) -> None:
    """Classes and weights from the parameters."""
    running = 0.0
    for k in range(log_step.size):
        running += np.exp(log_step[k])
        classes.mean[k] = running
    for k in range(log_step.size):
        classes.shape[k] = (classes.mean[k] / running) ** (2 * law.power)
    heaviest, total = log_weight.max(), 0.0
    for k in range(weight.size):
        weight[k] = np.exp(log_weight[k] - heaviest)
        total += weight[k]
    for k in range(weight.size):
        weight[k] /= total
        classes.height[law.lowest + k] = weight[k] * (1.0 - law.outliers) * PER_SQRT_2PI


@jit_internal
def _nearest(v: float, mean: Floats, near: int, highest: int) -> int:
    """The class whose mean is nearest to a value, `near` being that of a smaller one."""
    while near < highest and abs(mean[near + 1] - v) <= abs(v - mean[near]):
        near += 1
    return near


@jit_internal
def _responsibilities(
    v: float, noise: float, classes: Classes, s2: float, outlier: float, near: int, law: Law, one: One
) -> tuple[float, int, int]:
    """One value's probability of its classes first..last, in `one`; its density p(v), first, last.

    `near` is the class whose mean is nearest, `outlier` the density of the outliers: what is missing from
    probability one is their share, and they keep the density of a value far from all classes above zero.
    """
    mean, shape, height = classes
    t, inverse = one
    limit = (v - mean[near]) ** 2 / (noise + s2 * shape[near]) + 0.5 * REACH
    first = near
    while first > law.lowest and (v - mean[first - 1]) ** 2 < limit * (noise + s2 * shape[first - 1]):
        first -= 1
    last = near
    while last < law.highest and (v - mean[last + 1]) ** 2 < limit * (noise + s2 * shape[last + 1]):
        last += 1
    density = outlier
    for k in range(first, last + 1):
        inverse[k] = 1.0 / (noise + s2 * shape[k])
        t[k] = height[k] * np.sqrt(inverse[k]) * np.exp(-0.5 * (v - mean[k]) ** 2 * inverse[k])
        density += t[k]
    for k in range(first, last + 1):
        t[k] /= density
    return density, first, last


@jit_internal
def _expect(
    values: Values, classes: Classes, s2: float, law: Law, one: One, sums: Sums
) -> tuple[float, float, float]:
    """Expectation step: log-likelihood, sum of squares about the means over `shape`, values explained.

    `sums` is filled; `one` is room for what is of one value.
    """
    value, number, noise, background = values
    mean, shape, _ = classes
    share, information, pull = sums
    t, inverse = one
    share[:] = 0.0
    information[:] = 0.0
    pull[:] = 0.0
    scatter = 0.0
    explained = 0.0
    log_likelihood = 0.0
    outlier = law.outliers * background
    near = law.lowest
    for n in range(value.size):
        v = value[n]
        near = _nearest(v, mean, near, law.highest)
        density, first, last = _responsibilities(v, noise[n], classes, s2, outlier, near, law, one)
        log_likelihood += number[n] * np.log(density)
        for k in range(first, last + 1):
            part_of = number[n] * t[k]
            known = part_of * inverse[k]
            own = s2 * shape[k] * inverse[k]
            share[k] += part_of
            information[k] += known
            pull[k] += known * (v - mean[k])
            scatter += known * s2 * (own * (v - mean[k]) ** 2 + noise[n])
            explained += part_of
    return log_likelihood, scatter, explained


@jit_internal
def _move_curve(log_step: Floats, bent: Floats, precision: Floats, sums: Sums, hessian: Floats) -> None:
    """Gauss-Newton step in ln d_j: dV(k) / d ln d_j = d_j for j <= k. `bent` is the pull of the prior."""
    change = -bent
    step = np.exp(log_step)
    tail_information = 0.0
    tail_pull = 0.0
    for k in range(log_step.size - 1, -1, -1):
        tail_information += sums.information[k]
        tail_pull += sums.pull[k]
        change[k] += step[k] * tail_pull
        for j in range(k + 1):
            hessian[k, j] = precision[k, j] + step[k] * step[j] * tail_information
    solve(hessian, change)
    log_step += change * min(1.0, 0.3 / max(np.abs(change).max(), 1e-12))


@jit_internal
def _move_weights(
    log_weight: Floats,
    uneven: Floats,
    precision: Floats,
    weight: Floats,
    share: Floats,
    explained: float,
    hessian: Floats,
) -> None:
    """Newton step in the logarithms of the weights. `uneven` is the pull of the prior."""
    change = share - explained * weight - uneven
    for i in range(log_weight.size):
        for j in range(i + 1):
            hessian[i, j] = precision[i, j] - explained * weight[i] * weight[j]
        hessian[i, i] += explained * weight[i]
    solve(hessian, change)
    log_weight += change * min(1.0, 1.0 / max(np.abs(change).max(), 1e-12))


@jit_internal
def _curve_em(
    values: Values,
    prior: Prior,
    law: Law,
    log_step: Floats,
    log_weight: Floats,
    s2: float,
    floor: float,
    max_steps: int,
    tolerance: float,
) -> tuple[float, float, Floats]:
    """Fit curve, widths and weights by expectation maximisation; arguments as `most_probable_curve`.

    Returns what `most_probable_curve` does, but of ln P without the information.
    """
    k_max = log_step.size
    occurring = log_weight.size
    classes = _no_classes(k_max)
    sums = Sums(np.empty(k_max), np.empty(k_max), np.empty(k_max))
    weight = np.empty(occurring)
    one = One(np.empty(k_max), np.empty(k_max))
    hessian = np.empty((k_max, k_max))
    weight_hessian = np.empty((occurring, occurring))
    before = -np.inf
    step = 0
    while True:
        _set_classes(log_step, log_weight, law, classes, weight)
        log_likelihood, scatter, explained = _expect(values, classes, s2, law, one, sums)
        bent = times(prior.precision, log_step - prior.mean)
        uneven = times(prior.weight_precision, log_weight)
        score = log_likelihood
        for k in range(k_max):
            score -= 0.5 * (log_step[k] - prior.mean[k]) * bent[k]
        for k in range(occurring):
            score -= 0.5 * log_weight[k] * uneven[k]
        if step == max_steps or (step > 5 and abs(score - before) < tolerance):
            return score, s2, sums.share
        before = score
        step += 1
        _move_curve(log_step, bent, prior.precision, sums, hessian)
        s2 = max(scatter / max(explained, 1e-12), floor)
        held = sums.share[law.lowest : law.highest + 1]
        _move_weights(log_weight, uneven, prior.weight_precision, weight, held, explained, weight_hessian)


@jit_internal
def _products(values: Values, classes: Classes, s2: float, law: Law) -> Floats:
    """Sums over the values of the products of what each of them says, (kmax + m + 2) squared.

    That is, in this order: its pull on every mean, its probability of each of the m classes that occur, its
    gradient in ln width and its probability of being no outlier. Few of these differ from zero for one value.
    """
    value, number, noise, background = values
    mean, shape, _ = classes
    k_max = mean.size
    size = k_max + law.highest - law.lowest + 3
    sums = np.zeros((size, size))
    index = np.empty(2 * k_max + 2, dtype=np.int64)
    sparse = np.empty(2 * k_max + 2)
    one = One(np.empty(k_max), np.empty(k_max))
    t, inverse = one
    outlier = law.outliers * background
    near = law.lowest
    for n in range(value.size):
        v = value[n]
        near = _nearest(v, mean, near, law.highest)
        _, first, last = _responsibilities(v, noise[n], classes, s2, outlier, near, law, one)
        used = 0
        width = 0.0
        inlier = 0.0
        for k in range(first, last + 1):
            index[used] = k
            sparse[used] = t[k] * (v - mean[k]) * inverse[k]
            index[used + 1] = k_max + k - law.lowest
            sparse[used + 1] = t[k]
            width += t[k] * s2 * shape[k] * inverse[k] * ((v - mean[k]) ** 2 * inverse[k] - 1.0)
            inlier += t[k]
            used += 2
        index[used] = size - 2
        sparse[used] = width
        index[used + 1] = size - 1
        sparse[used + 1] = inlier
        used += 2
        for a in range(used):
            for b in range(used):
                sums[index[a], index[b]] += number[n] * sparse[a] * sparse[b]
    return sums


@jit_internal
def _log_information(
    values: Values,
    prior: Prior,
    law: Law,
    log_step: Floats,
    log_weight: Floats,
    s2: float,
    width_precision: float,
) -> float:
    """ln det of the information about (curve, weights, width), priors included; arguments as below.

    The information of the values is the sum of the outer products of their scores (gradients of the
    log-likelihood), so that what the overlap of the classes hides is not counted.
    """
    k_max = log_step.size
    occurring = log_weight.size
    classes = _no_classes(k_max)
    weight = np.empty(occurring)
    _set_classes(log_step, log_weight, law, classes, weight)
    sums = _products(values, classes, s2, law)
    size = sums.shape[0]
    # Score in ln d_j: d_j times the pulls on all means from j on. Score in ln weight_k: t_k -
    # weight_k times the probability of being no outlier.
    for _ in range(2):
        for other in range(size):
            running = 0.0
            for k in range(k_max - 1, -1, -1):
                running += sums[k, other]
                sums[k, other] = running * np.exp(log_step[k])
            for k in range(occurring):
                sums[k_max + k, other] -= weight[k] * sums[size - 1, other]
        sums = sums.T.copy()
    information = sums[: size - 1, : size - 1].copy()
    add_block(prior.precision, 0, information)
    add_block(prior.weight_precision, k_max, information)
    information[size - 2, size - 2] += width_precision
    return factor(information)


@jit
def most_probable_curve(
    values: Values,
    prior: Prior,
    law: Law,
    log_step: Floats,
    log_weight: Floats,
    s2: float,
    floor: float,
    max_steps: int,
    tolerance: float,
    width_precision: float,
) -> tuple[float, float, Floats]:
    """Fit curve, widths and weights by expectation maximisation; log_step and log_weight in place.

    Class k = 0, 1, ... (of k + 1 atoms) has the mean V(k) and, at value n, the variance noise_n + s2 (V(k) /
    V(top))^(2 power). The curve goes on beyond the classes that occur.

    `log_step` (kmax,) is ln of the increments of V, `log_weight` (highest - lowest + 1,) ln of the weights of
    the classes that occur, up to a constant; `s2` is the variance of the thickest class and `floor` the least
    that it may have, `width_precision` the inverse variance of the prior of ln width. The fit ends when a
    step gains less than `tolerance` [nats].

    Returned are ln P(values | curve, weights, widths) + ln P(curve, weights) - 1/2 ln det of the information
    about all three, where the normalisation of the priors and the prior of the widths are left to the caller;
    s2; and how many values are in each class, (kmax,).
    """
    score, s2, share = _curve_em(values, prior, law, log_step, log_weight, s2, floor, max_steps, tolerance)
    information = _log_information(values, prior, law, log_step, log_weight, s2, width_precision)
    return score - 0.5 * information, s2, share
