"""Compiled kernel of `stemcount.context`: forward-backward recursion along rows of columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .curve_kernel import LOG_SQRT_2PI
from .mixtures import _jit

Array = NDArray[np.float64]

WINDOW = 48  # classes of one column, at most
NEAR = 25.0  # classes farther than this from a value, in squared standard deviations, are left out


@_jit
def _forwards(
    value: Array,
    start: NDArray[np.bool_],
    zone: NDArray[np.int64],
    lowest: int,
    highest: int,
    mean: Array,
    variance: Array,
    weight: Array,
    jump: Array,
    anew: Array,
    background: float,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    forward: Array,
    density: Array,
    regular: Array,
    norm: Array,
) -> float:
    """Recursion from the start of each row; ln p(values).

    Of column i the classes low[i] ... high[i] are looked at; forward: their probabilities given the values so
    far, density: of the value, over that at its best, regular: share of it that is not of an outlier, norm:
    sum by which forward was divided.
    """
    n, reach = value.size, jump.shape[1] // 2
    log_floor = np.log(background)
    log_height = -0.5 * np.log(variance) - LOG_SQRT_2PI
    log_likelihood = 0.0
    near = lowest
    for i in range(n):
        v = value[i]
        while near > lowest and abs(mean[near - 1] - v) < abs(mean[near] - v):
            near -= 1
        while near < highest and abs(mean[near + 1] - v) < abs(mean[near] - v):
            near += 1
        first = last = near
        while first > lowest and (v - mean[first - 1]) ** 2 < NEAR * variance[first - 1]:
            first -= 1
        while last < highest and (v - mean[last + 1]) ** 2 < NEAR * variance[last + 1]:
            last += 1
        first = max(first, near - WINDOW // 2 + 1)
        last = min(last, near + WINDOW // 2)
        low[i], high[i] = first, last
        best = log_floor
        for k in range(first, last + 1):
            density[i, k - first] = -0.5 * (v - mean[k]) ** 2 / variance[k] + log_height[k]
            best = max(best, density[i, k - first])
        total = 0.0
        floor = np.exp(log_floor - best)
        z = zone[i]
        for k in range(first, last + 1):
            e = np.exp(density[i, k - first] - best)
            density[i, k - first] = e + floor
            regular[i, k - first] = e / (e + floor)
            p = weight[k]
            if not start[i]:
                p *= anew[z]
                for j in range(max(low[i - 1], k - reach), min(high[i - 1], k + reach) + 1):
                    p += (1.0 - anew[z]) * forward[i - 1, j - low[i - 1]] * jump[z, k - j + reach]
            forward[i, k - first] = p * density[i, k - first]
            total += forward[i, k - first]
        for k in range(last - first + 1):
            forward[i, k] /= total
        norm[i] = total
        log_likelihood += np.log(total) + best
    return log_likelihood


@_jit
def _backwards(
    value: Array,
    start: NDArray[np.bool_],
    zone: NDArray[np.int64],
    mean: Array,
    weight: Array,
    jump: Array,
    anew: Array,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    forward: Array,
    density: Array,
    regular: Array,
    norm: Array,
    sums: Array,
    jumps: Array,
    drawn: Array,
    fresh_in: Array,
) -> None:
    """Recursion from the end of each row, and the sums that `row_expectations` promises."""
    n, reach = value.size, jump.shape[1] // 2
    sums[:] = 0.0
    jumps[:] = 0.0
    drawn[:] = 0.0
    fresh_in[:] = 0.0
    back = np.ones(WINDOW)
    before = np.ones(WINDOW)
    for i in range(n - 1, -1, -1):
        if i == n - 1 or start[i + 1]:
            back[:] = 1.0
        first, z = low[i], zone[i]
        fresh = 0.0
        for k in range(first, high[i] + 1):
            t = forward[i, k - first] * back[k - first]
            sums[k, 0] += t
            t *= regular[i, k - first]
            sums[k, 1] += t
            sums[k, 2] += t * (value[i] - mean[k])
            sums[k, 3] += t * (value[i] - mean[k]) ** 2
            if start[i]:
                drawn[k] += forward[i, k - first] * back[k - first]
            else:
                x = anew[z] * weight[k] * density[i, k - first] * back[k - first] / norm[i]
                fresh += x
                drawn[k] += x
                fresh_in[z] += x
        if start[i]:
            continue
        for j in range(low[i - 1], high[i - 1] + 1):
            total = fresh
            for k in range(max(first, j - reach), min(high[i], j + reach) + 1):
                x = (
                    (1.0 - anew[z])
                    * jump[z, k - j + reach]
                    * density[i, k - first]
                    * back[k - first]
                    / norm[i]
                )
                total += x
                jumps[z, k - j + reach] += forward[i - 1, j - low[i - 1]] * x
            before[j - low[i - 1]] = total
        back[:] = before


@_jit
def row_expectations(
    value: Array,
    start: NDArray[np.bool_],
    zone: NDArray[np.int64],
    lowest: int,
    highest: int,
    mean: Array,
    variance: Array,
    weight: Array,
    jump: Array,
    anew: Array,
    background: float,
    sums: Array,
    jumps: Array,
    drawn: Array,
    fresh_in: Array,
) -> float:
    """ln p(values), and what the next step of expectation maximisation needs.

    Class k has the mean `mean[k]` and the variance `variance[k]`; classes lowest ... highest occur. A
    column of zone z follows its neighbour of class j with probability (1 - anew[z]) jump[z, k - j + D] +
    anew[z] weight[k]; a row starts with `weight`.
    sums[k] = sums over the columns of (t; and without outliers t, t (V - mean), t (V - mean)^2) with t the
    probability of class k; jumps, drawn and fresh_in: how often each jump was made, each class drawn, and a
    column drawn anew in each zone.
    """
    n = value.size
    low = np.empty(n, dtype=np.int64)
    high = np.empty(n, dtype=np.int64)
    forward = np.zeros((n, WINDOW))
    density = np.zeros((n, WINDOW))
    regular = np.zeros((n, WINDOW))
    norm = np.empty(n)
    log_likelihood = _forwards(
        value, start, zone, lowest, highest, mean, variance, weight, jump, anew, background,
        low, high, forward, density, regular, norm,
    )  # fmt: skip
    _backwards(
        value, start, zone, mean, weight, jump, anew, low, high, forward, density, regular, norm,
        sums, jumps, drawn, fresh_in,
    )  # fmt: skip
    return log_likelihood
