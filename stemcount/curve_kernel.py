"""Compiled kernels of `stemcount.curve`: expectation maximisation and the information it leaves.

No BLAS is called: the matrices are small, and threads of a BLAS would cost more than they bring.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .mixtures import REACH, _jit

Array = NDArray[np.float64]

LOG_SQRT_2PI = 0.918938533204672742


@_jit
def _factor(matrix: Array) -> float:
    """Cholesky factor of a positive definite matrix, in place below the diagonal; ln det."""
    n = matrix.shape[0]
    log_det = 0.0
    for j in range(n):
        pivot = matrix[j, j]
        for m in range(j):
            pivot -= matrix[j, m] * matrix[j, m]
        pivot = max(pivot, 1e-12 * abs(matrix[j, j]) + 1e-300)
        log_det += np.log(pivot)
        root = np.sqrt(pivot)
        matrix[j, j] = root
        for i in range(j + 1, n):
            rest = matrix[i, j]
            for m in range(j):
                rest -= matrix[i, m] * matrix[j, m]
            matrix[i, j] = rest / root
    return log_det


@_jit
def _solve(matrix: Array, right: Array) -> None:
    """Solve matrix x = right for positive definite `matrix` (destroyed); x replaces `right`."""
    _factor(matrix)
    n = matrix.shape[0]
    for i in range(n):
        for m in range(i):
            right[i] -= matrix[i, m] * right[m]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for m in range(i + 1, n):
            right[i] -= matrix[m, i] * right[m]
        right[i] /= matrix[i, i]


@_jit
def _times(matrix: Array, vector: Array) -> Array:
    """Matrix times vector."""
    out = np.zeros(vector.size)
    for i in range(vector.size):
        for j in range(vector.size):
            out[i] += matrix[i, j] * vector[j]
    return out


@_jit
def _set_classes(
    log_step: Array, log_weight: Array, power: float, mean: Array, shape: Array, weight: Array
) -> None:
    """Means, relative variances and weights from the parameters."""
    running = 0.0
    for k in range(log_step.size):
        running += np.exp(log_step[k])
        mean[k] = running
    for k in range(log_step.size):
        shape[k] = (mean[k] / running) ** (2 * power)
    weight[:] = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()


@_jit
def _responsibilities(
    v: float,
    noise: float,
    mean: Array,
    shape: Array,
    logs: Array,
    s2: float,
    log_background: float,
    near: int,
    lowest: int,
    highest: int,
    t: Array,
) -> tuple[float, int, int]:
    """Probabilities t[first..last] of one value's classes; ln p(v), first, last.

    `near` is the class whose mean is nearest. What is missing from one is the share of the outliers.
    """
    limit = (v - mean[near]) ** 2 / (noise + s2 * shape[near]) + 0.5 * REACH
    first = near
    while first > lowest and (v - mean[first - 1]) ** 2 < limit * (noise + s2 * shape[first - 1]):
        first -= 1
    last = near
    while last < highest and (v - mean[last + 1]) ** 2 < limit * (noise + s2 * shape[last + 1]):
        last += 1
    best = log_background
    for k in range(first, last + 1):
        variance = noise + s2 * shape[k]
        t[k] = logs[k] - 0.5 * np.log(variance) - 0.5 * (v - mean[k]) ** 2 / variance
        best = max(best, t[k])
    total = np.exp(log_background - best)
    for k in range(first, last + 1):
        t[k] = np.exp(t[k] - best)
        total += t[k]
    for k in range(first, last + 1):
        t[k] /= total
    return best + np.log(total), first, last


@_jit
def _log_heights(weight: Array, outliers: float, lowest: int, logs: Array) -> None:
    """ln of what stands before exp(...) / standard deviation in the density of every class that occurs."""
    for k in range(weight.size):
        logs[lowest + k] = np.log(weight[k] * (1.0 - outliers)) - LOG_SQRT_2PI


@_jit
def _expect(
    value: Array,
    number: Array,
    noise: Array,
    mean: Array,
    shape: Array,
    logs: Array,
    s2: float,
    log_background: float,
    lowest: int,
    highest: int,
    t: Array,
    share: Array,
    information: Array,
    pull: Array,
) -> tuple[float, float, float]:
    """Expectation step: log-likelihood, sum of squares about the means over `shape`, values explained.

    share, information and pull[k]: values in class k, their summed inverse variance, and the gradient of
    the log-likelihood in the mean of the class.
    """
    share[:] = 0.0
    information[:] = 0.0
    pull[:] = 0.0
    scatter = 0.0
    explained = 0.0
    log_likelihood = 0.0
    near = lowest
    for n in range(value.size):
        v = value[n]
        while near < highest and abs(mean[near + 1] - v) <= abs(v - mean[near]):
            near += 1
        log_density, first, last = _responsibilities(
            v, noise[n], mean, shape, logs, s2, log_background, near, lowest, highest, t
        )
        log_likelihood += number[n] * log_density
        for k in range(first, last + 1):
            part_of = number[n] * t[k]
            variance = noise[n] + s2 * shape[k]
            own = s2 * shape[k] / variance
            share[k] += part_of
            information[k] += part_of / variance
            pull[k] += part_of * (v - mean[k]) / variance
            scatter += part_of * own * (own * (v - mean[k]) ** 2 + noise[n]) / shape[k]
            explained += part_of
    return log_likelihood, scatter, explained


@_jit
def _move_curve(
    log_step: Array, bent: Array, precision: Array, information: Array, pull: Array, hessian: Array
) -> None:
    """Gauss-Newton step in ln d_j: dV(k) / d ln d_j = d_j for j <= k. `bent` is the pull of the prior."""
    change = -bent
    tail_information = 0.0
    tail_pull = 0.0
    for k in range(log_step.size - 1, -1, -1):
        tail_information += information[k]
        tail_pull += pull[k]
        size = np.exp(log_step[k])
        change[k] += size * tail_pull
        for j in range(k + 1):
            hessian[k, j] = precision[k, j] + size * np.exp(log_step[j]) * tail_information
    _solve(hessian, change)
    log_step += change * min(1.0, 0.3 / max(np.abs(change).max(), 1e-12))


@_jit
def _move_weights(
    log_weight: Array,
    uneven: Array,
    precision: Array,
    weight: Array,
    share: Array,
    explained: float,
    hessian: Array,
) -> None:
    """Newton step in the logarithms of the weights. `uneven` is the pull of the prior."""
    change = share - explained * weight - uneven
    for i in range(log_weight.size):
        for j in range(i + 1):
            hessian[i, j] = precision[i, j] - explained * weight[i] * weight[j]
        hessian[i, i] += explained * weight[i]
    _solve(hessian, change)
    log_weight += change * min(1.0, 1.0 / max(np.abs(change).max(), 1e-12))


@_jit
def curve_em(
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
    outliers: float,
    background: float,
    floor: float,
    max_steps: int,
    tolerance: float,
) -> tuple[float, float, Array]:
    """Fit curve, widths and weights by expectation maximisation; log_step and log_weight in place.

    Class k = 0, 1, ... (of k + 1 atoms) has the mean V(k) and, at value n, the variance noise_n +
    s2 (V(k) / V(top))^(2 power). Classes lowest ... lowest + len(log_weight) - 1 occur; the curve goes on
    beyond them. Returns (log-likelihood, s2, share), share[k] the number of values in class k.
    """
    k_max = log_step.size
    occurring = log_weight.size
    highest = lowest + occurring - 1
    mean = np.empty(k_max)
    shape = np.empty(k_max)
    logs = np.empty(k_max)
    weight = np.empty(occurring)
    t = np.empty(k_max)
    share = np.empty(k_max)
    information = np.empty(k_max)
    pull = np.empty(k_max)
    hessian = np.empty((k_max, k_max))
    weight_hessian = np.empty((occurring, occurring))
    log_background = np.log(outliers * background)
    before = -np.inf
    step = 0
    while True:
        _set_classes(log_step, log_weight, power, mean, shape, weight)
        _log_heights(weight, outliers, lowest, logs)
        log_likelihood, scatter, explained = _expect(
            value, number, noise, mean, shape, logs, s2, log_background, lowest, highest, t,
            share, information, pull,
        )  # fmt: skip
        bent = _times(precision, log_step - prior_mean)
        uneven = _times(weight_precision, log_weight)
        score = log_likelihood
        for k in range(k_max):
            score -= 0.5 * (log_step[k] - prior_mean[k]) * bent[k]
        for k in range(occurring):
            score -= 0.5 * log_weight[k] * uneven[k]
        if step == max_steps or (step > 5 and abs(score - before) < tolerance):
            return log_likelihood, s2, share
        before = score
        step += 1
        _move_curve(log_step, bent, precision, information, pull, hessian)
        s2 = max(scatter / max(explained, 1e-12), floor)
        held = share[lowest : highest + 1]
        _move_weights(log_weight, uneven, weight_precision, weight, held, explained, weight_hessian)


@_jit
def _products(
    value: Array,
    number: Array,
    noise: Array,
    mean: Array,
    shape: Array,
    logs: Array,
    s2: float,
    log_background: float,
    lowest: int,
    highest: int,
    occurring: int,
    t: Array,
) -> Array:
    """Sums over the values of the products of what each of them says.

    That is, in this order: its pull on every mean, its probability of every class, its gradient in ln width
    and its probability of being no outlier. Few of these differ from zero for one value.
    """
    k_max = mean.size
    size = k_max + occurring + 2
    sums = np.zeros((size, size))
    index = np.empty(2 * k_max + 2, dtype=np.int64)
    sparse = np.empty(2 * k_max + 2)
    near = lowest
    for n in range(value.size):
        v = value[n]
        while near < highest and abs(mean[near + 1] - v) <= abs(v - mean[near]):
            near += 1
        _, first, last = _responsibilities(
            v, noise[n], mean, shape, logs, s2, log_background, near, lowest, highest, t
        )
        used = 0
        width = 0.0
        inlier = 0.0
        for k in range(first, last + 1):
            variance = noise[n] + s2 * shape[k]
            index[used] = k
            sparse[used] = t[k] * (v - mean[k]) / variance
            index[used + 1] = k_max + k - lowest
            sparse[used + 1] = t[k]
            width += t[k] * s2 * shape[k] / variance * ((v - mean[k]) ** 2 / variance - 1.0)
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


@_jit
def log_information(
    value: Array,
    number: Array,
    noise: Array,
    log_step: Array,
    precision: Array,
    log_weight: Array,
    weight_precision: Array,
    lowest: int,
    s2: float,
    power: float,
    outliers: float,
    background: float,
    width_precision: float,
) -> float:
    """ln det of the information about (curve, weights, width), priors included.

    The information of the values is the sum of the outer products of their scores (gradients of the
    log-likelihood), so that what the overlap of the classes hides is not counted.
    """
    k_max = log_step.size
    occurring = log_weight.size
    highest = lowest + occurring - 1
    mean = np.empty(k_max)
    shape = np.empty(k_max)
    logs = np.empty(k_max)
    weight = np.empty(occurring)
    t = np.empty(k_max)
    _set_classes(log_step, log_weight, power, mean, shape, weight)
    _log_heights(weight, outliers, lowest, logs)
    log_background = np.log(outliers * background)
    sums = _products(
        value, number, noise, mean, shape, logs, s2, log_background, lowest, highest, occurring, t
    )
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
    information[:k_max, :k_max] += precision
    information[k_max : size - 2, k_max : size - 2] += weight_precision
    information[size - 2, size - 2] += width_precision
    return _factor(information)
