"""Compiled kernel of `stemcount.counting.context`: forward-backward recursion along rows of columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..kernels import jit, jit_internal
from .curve_kernel import LOG_SQRT_2PI

WINDOW = 48  # classes of one column, at most
NEAR = 25.0  # classes farther than this from a value, in squared standard deviations, are left out


class RowValues(NamedTuple):
    """Columns row after row.

    Attributes
    ----------
    value : (n,) float
        Cross-sections.
    start : (n,) bool
        Where a row begins; from there each column follows its neighbour.
    zone : (n,) int
        Zone z of like thickness, whose steps from column to column have a distribution of their own.
    """

    value: Floats
    start: Bools
    zone: Ints


class RowModel(NamedTuple):
    """Classes and steps: the parameters of the hidden Markov chain; K classes, k + 1 atoms each, Z zones.

    Attributes
    ----------
    lowest, highest : int
        Classes that occur.
    mean, variance, weight : (K,) float
        Of each class.
    jump : (Z, 2 D + 1) float
        How probable steps of -D ... D atoms to the next column are.
    anew : (Z,) float
        Share of the columns that are drawn from the weights, whatever their neighbour holds.
    background : float
        Probability density of an outlier.
    """

    lowest: int
    highest: int
    mean: Floats
    variance: Floats
    weight: Floats
    jump: Floats
    anew: Floats
    background: float


class RowSums(NamedTuple):
    """Expected numbers, from which the next step of expectation maximisation follows.

    Attributes
    ----------
    classes : (K, 4) float
        Sums over the columns of t; and without outliers t, t (V - mean), t (V - mean)^2, with t the
        probability of the class.
    jumps : (Z, 2 D + 1) float
        How often each step was made.
    drawn : (K,) float
        How often each class was drawn from the weights.
    fresh : (Z,) float
        Columns drawn from the weights though they have a neighbour.
    """

    classes: Floats
    jumps: Floats
    drawn: Floats
    fresh: Floats


class _Trellis(NamedTuple):
    """What is known of each column when the rows have been followed from their starts.

    Attributes
    ----------
    low, high : (n,) int
        Classes that are looked at.
    forward : (n, WINDOW) float
        Their probabilities given the values so far.
    density : (n, WINDOW) float
        Probability density of the value, over that of the class where it is greatest.
    regular : (n, WINDOW) float
        Share of the density that is not of an outlier.
    norm : (n,) float
        Sum by which forward was divided.
    """

    low: Ints
    high: Ints
    forward: Floats
    density: Floats
    regular: Floats
    norm: Floats


# The functions unpack the tuples first: every look into a tuple of arrays counts references.


@jit_internal
def _forwards(rows: RowValues, model: RowModel, trellis: _Trellis) -> float:
    """Recursion from the start of each row, which fills the trellis; ln p(values)."""
    value, start, zone = rows
    lowest, highest, mean, variance, weight, jump, anew, background = model
    low, high, forward, density, regular, norm = trellis
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


@jit_internal
def _backwards(rows: RowValues, model: RowModel, trellis: _Trellis, sums: RowSums) -> None:
    """Recursion from the end of each row, which fills the sums."""
    value, start, zone = rows
    _, _, mean, _, weight, jump, anew, _ = model
    low, high, forward, density, regular, norm = trellis
    classes, jumps, drawn, fresh_in = sums
    n, reach = value.size, jump.shape[1] // 2
    classes[:] = 0.0
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
            classes[k, 0] += t
            t *= regular[i, k - first]
            classes[k, 1] += t
            classes[k, 2] += t * (value[i] - mean[k])
            classes[k, 3] += t * (value[i] - mean[k]) ** 2
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
        back, before = before, back


@jit
def row_expectations(rows: RowValues, model: RowModel, sums: RowSums) -> float:
    """ln p(values); fills the sums.

    A column of zone z follows its neighbour of class j with probability (1 - anew[z]) jump[z, k - j + D] +
    anew[z] weight[k]; a row starts with `weight`. The recursions are those of Baum et al., Ann. Math.
    Statist. 41 (1970) 164; outliers have a constant density, and classes far from a value are left out.
    """
    n = rows.value.size
    trellis = _Trellis(
        np.empty(n, dtype=np.int64),
        np.empty(n, dtype=np.int64),
        np.zeros((n, WINDOW)),
        np.zeros((n, WINDOW)),
        np.zeros((n, WINDOW)),
        np.empty(n),
    )
    log_likelihood = _forwards(rows, model, trellis)
    _backwards(rows, model, trellis, sums)
    return log_likelihood
