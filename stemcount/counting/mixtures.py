"""Gaussian mixtures of cross-sections: one per order, each grown from the order below it.

The density of a mixture of order K is p(V) = sum_k w_k N(V; m_k, s_k^2). Expectation maximisation (Dempster,
Laird and Rubin, J. R. Stat. Soc. B 39 (1977) 1) takes in turn the probability that a value belongs to each
component, t_nk = w_k N(V_n; m_k, s_k^2) / p(V_n), and the shares, means and width of values so divided.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..errors import InputError, as_numbers, check_dose, check_whole
from ..kernels import jit
from ..results import Mixture

# exp(-REACH / 2) is below the rounding error of a sum of order one: components farther from a value
# than the nearest one by this much in squared standard deviations do not change its likelihood.
REACH = 80.0
# More values than this are grown on bins and then polished, in few steps, on the values themselves.
FEW_VALUES = 500
MAX_BINS = 250
# Squares and products of cross-sections beyond this overflow, and those of its inverse vanish.
LARGEST = 1e60


@jit
def _expect(
    value: Floats,
    number: Floats,
    mean: Floats,
    variance: Floats,
    weight: Floats,
    sums: Floats,
) -> tuple[float, float]:
    """One expectation step: negative log-likelihood, entropy, and the sums that the next step needs.

    `value` and `mean` ascend. sums[k] = (sum of t, sum of t V, sum of t (V - mean_k)^2).
    """
    k_max = mean.size
    density = np.empty(k_max)
    height = np.log(np.maximum(weight, 1e-300)) - 0.5 * np.log(2 * np.pi * variance)
    sums[:] = 0.0
    nll = 0.0
    entropy = 0.0
    near = 0
    for n in range(value.size):
        v = value[n]
        while near + 1 < k_max and abs(mean[near + 1] - v) <= abs(v - mean[near]):
            near += 1
        limit = (v - mean[near]) ** 2 / variance[near] + REACH
        first = near
        while first > 0 and (v - mean[first - 1]) ** 2 < limit * variance[first - 1]:
            first -= 1
        last = near
        while last + 1 < k_max and (v - mean[last + 1]) ** 2 < limit * variance[last + 1]:
            last += 1
        top = -np.inf
        for k in range(first, last + 1):
            density[k] = height[k] - 0.5 * (v - mean[k]) ** 2 / variance[k]
            top = max(top, density[k])
        total = 0.0
        spread = 0.0
        for k in range(first, last + 1):
            exponent = density[k] - top
            density[k] = np.exp(exponent)
            total += density[k]
            spread += density[k] * exponent
        scale = number[n] / total
        nll -= number[n] * (top + np.log(total))
        # - sum t ln t with t = density / total
        entropy += number[n] * (np.log(total) - spread / total)
        for k in range(first, last + 1):
            t = density[k] * scale
            sums[k, 0] += t
            sums[k, 1] += t * v
            sums[k, 2] += t * (v - mean[k]) ** 2
    return nll, entropy


@jit
def _em(
    value: Floats,
    number: Floats,
    inside: Floats,
    mean: Floats,
    weight: Floats,
    s2: float,
    per_electron: float,
    floor: float,
    max_steps: int,
    tolerance: float,
) -> tuple[float, float]:
    """Expectation maximisation with variance_k = s2 + mean_k * per_electron; mean and weight in place.

    `inside` is the scatter (sum of squares) of the values merged into each bin. Returns the negative
    log-likelihood at the parameters that stand when it stops, and s2.
    """
    k_max = mean.size
    sums = np.empty((k_max, 3))
    variance = np.empty(k_max)
    total = number.sum()
    within = inside.sum()
    before = np.inf
    nll = np.inf
    for step in range(max_steps + 1):
        for k in range(k_max):
            variance[k] = s2 + max(mean[k], 0.0) * per_electron
        nll, _ = _expect(value, number, mean, variance, weight, sums)
        if step == max_steps or before - nll < tolerance:
            break
        before = nll
        scatter = within
        for k in range(k_max):
            t = sums[k, 0]
            weight[k] = t / total
            squares = sums[k, 2]
            if t > 1e-12:
                moved = sums[k, 1] / t - mean[k]
                mean[k] += moved
                squares -= t * moved * moved
            # What of the scatter is not counting noise (exact for per_electron = 0).
            share = s2 / variance[k]
            scatter += share * share * squares + t * share * (variance[k] - s2)
        s2 = max(scatter / total, floor)
        for k in range(1, k_max):  # means stay in order; crossings are rare and by rounding
            j = k
            while j > 0 and mean[j] < mean[j - 1]:
                mean[j], mean[j - 1] = mean[j - 1], mean[j]
                weight[j], weight[j - 1] = weight[j - 1], weight[j]
                j -= 1
    return nll, s2


@jit
def _grow(
    value: Floats,
    number: Floats,
    inside: Floats,
    mean: Floats,
    weight: Floats,
    s2: float,
    per_electron: float,
    floor: float,
    trial_steps: int,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Try a new mean in every gap, below the first and above the last; all trials after a few steps.

    Returns their negative log-likelihoods, means, weights and s2, one row a gap.
    """
    k = mean.size
    nll = np.empty(k + 1)
    means = np.empty((k + 1, k + 1))
    weights = np.empty((k + 1, k + 1))
    variances = np.empty(k + 1)
    for gap in range(k + 1):
        low = value[0] if gap == 0 else mean[gap - 1]
        high = value[-1] if gap == k else mean[gap]
        for old in range(k):
            new = old if old < gap else old + 1
            means[gap, new] = mean[old]
            weights[gap, new] = weight[old] * k / (k + 1)
        means[gap, gap] = 0.5 * (low + high)
        weights[gap, gap] = 1.0 / (k + 1)
        nll[gap], variances[gap] = _em(
            value, number, inside, means[gap], weights[gap], s2, per_electron, floor, trial_steps, 0.0
        )
    return nll, means, weights, variances


def _even_starts(values: Floats, k: int, floor: float) -> list[tuple[Floats, Floats, float]]:
    """Starts that owe nothing to the order below: as many values, or as much width, to each component."""
    by_number = values[((np.arange(k) + 0.5) / k * len(values)).astype(int)]
    by_width = values[0] + (values[-1] - values[0]) * (np.arange(k) + 0.5) / k
    s2 = max(((values[-1] - values[0]) / (3 * k)) ** 2, floor)
    return [(mean.astype(float), np.full(k, 1.0 / k), s2) for mean in (by_number, by_width)]


def _halved(mixture: Mixture, per_electron: float, floor: float) -> tuple[Floats, Floats, float]:
    """The same density with one component more: the heaviest one as two equal halves."""
    k = int(np.argmax(mixture.weight))
    weight = np.insert(mixture.weight, k, mixture.weight[k] / 2)
    weight[k + 1] /= 2
    s2 = float(mixture.width[0] ** 2) - max(float(mixture.mean[0]), 0.0) * per_electron
    return np.insert(mixture.mean, k, mixture.mean[k]), weight, max(s2, floor)


def summed_in_bins(values: Floats, n_bins: int, *amounts: Floats) -> tuple[Floats, list[Floats]]:
    """How many ascending values lie in each of `n_bins` even bins, and sums of amounts that belong to them.

    Bins without a value are left out.

    Examples
    --------
    >>> number, sums = summed_in_bins(np.array([0.0, 1.0, 9.0]), 3, np.array([5.0, 6.0, 7.0]))
    >>> number.tolist(), sums[0].tolist()
    ([2.0, 1.0], [11.0, 7.0])
    """
    edges = np.linspace(values[0], values[-1], n_bins + 1)
    index = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, n_bins - 1)
    number = np.bincount(index, minlength=n_bins).astype(float)
    used = number > 0
    sums = [np.bincount(index, amount, n_bins)[used].astype(float) for amount in amounts]
    return number[used], sums


def _binned(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Ascending values, many of them merged into bins: their means, numbers and inner sums of squares."""
    if len(values) <= FEW_VALUES:
        return values, np.ones(len(values)), np.zeros(len(values))
    number, (total, squares) = summed_in_bins(values, MAX_BINS, values, values**2)
    centre = total / number
    return centre, number, np.maximum(squares - number * centre**2, 0.0)


def checked_cross_sections(cross_sections: ArrayLike, at_least: int = 2) -> Floats:
    """Cross-sections as a 1D float array, or `InputError` saying what is wrong with them."""
    values = as_numbers("cross_sections", cross_sections)
    if values.ndim != 1:
        raise InputError(
            f"cross_sections: expected one value per column, got an array of shape {values.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InputError(
            f"cross_sections: {len(bad)} are NaN, masked or infinite, the first at column {bad[0]}."
        )
    if len(values) < at_least:
        least = "one column" if at_least == 1 else f"{at_least} columns"
        raise InputError(f"cross_sections: expected at least {least}, got {len(values)}.")
    if np.abs(values).max() > LARGEST or 0 < np.abs(values).max() < 1 / LARGEST:
        raise InputError(
            f"cross_sections: the largest is {np.abs(values).max():.3g}; give them in units in which it is"
            f" between {1 / LARGEST:g} and {LARGEST:g}."
        )
    return values


def checked_std(cross_section_std: ArrayLike | None, n: int) -> Floats | None:
    """Standard deviations of n cross-sections, or `InputError` saying what is wrong with them."""
    if cross_section_std is None:
        return None
    std = as_numbers("cross_section_std", cross_section_std)
    if std.shape != (n,):
        raise InputError(
            f"cross_section_std: expected shape ({n},) like the cross-sections, got {std.shape}."
        )
    if not np.all(np.isfinite(std)) or np.any(std < 0):
        raise InputError("cross_section_std: expected finite values of zero or more.")
    return std


def describe_mixture(cross_sections: ArrayLike, mean: Floats, width: Floats, weight: Floats) -> Mixture:
    """Likelihood, entropy and criteria of a mixture of given parameters (k,), means ascending.

    Examples
    --------
    >>> mixture = describe_mixture([1.0, 2.0], np.array([1.0, 2.0]), np.full(2, 0.1), np.full(2, 0.5))
    >>> mixture.n_components
    2
    """
    values = np.sort(np.asarray(cross_sections, dtype=float))
    n, k = len(values), len(mean)
    sums = np.empty((k, 3))
    nll, entropy = _expect(values, np.ones(n), mean, width**2, weight, sums)
    return Mixture(
        mean=mean,
        width=width,
        weight=weight,
        negative_log_likelihood=float(nll),
        entropy=float(entropy),
        icl=float(2 * nll + 2 * entropy + 2 * k * np.log(n)),
        bic=float(2 * nll + 2 * k * np.log(n)),
        aic=float(2 * nll + 4 * k),
    )


def fit_mixtures(
    cross_sections: ArrayLike, max_components: int = 20, *, dose: float | None = None
) -> tuple[Mixture, ...]:
    """Fit Gaussian mixtures of order 1, 2, ... max_components by maximum likelihood.

    All components of a mixture share one width s; with a dose, component k has the variance
    s^2 + mean_k / dose, the second term being the counting noise of a column. Order k + 1 starts
    from order k with a new mean tried in every gap, so that the likelihood never falls with the
    order. ICL(k) = 2 NLL + 2 EN + 2 k ln N (McLachlan and Peel, Finite Mixture Models, 2000; Van
    Aert et al., Phys. Rev. B 87 (2013) 064107; De Backer et al., Ultramicroscopy 134 (2013) 23), where k
    components have 2 k free parameters.

    Parameters
    ----------
    cross_sections : (n,) array of float
        Columns' cross-sections, any unit.
    max_components : int
        Highest order; no more than there are different values.
    dose : float, optional
        Incident electrons per area [1/A^2]; cross-sections must then be in A^2.

    Returns
    -------
    tuple of Mixture
        Order 1 first.

    Raises
    ------
    InputError
        If the cross-sections are not a finite 1D array of at least two values, or
        `max_components` or `dose` is not positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = np.repeat([1.0, 2.0, 3.0], 50) + 0.1 * rng.standard_normal(150)
    >>> mixtures = fit_mixtures(values, max_components=5)
    >>> 1 + int(np.argmin([mixture.icl for mixture in mixtures]))
    3
    """
    values = np.sort(checked_cross_sections(cross_sections))
    check_whole("max_components", max_components, 1)
    check_dose(dose)
    per_electron = 0.0 if dose is None else 1.0 / dose
    ones, nothing = np.ones(len(values)), np.zeros(len(values))
    extent = values[-1] - values[0]
    floor = float((1e-5 * (extent if extent > 0 else max(abs(values[0]), 1.0))) ** 2)
    bins = _binned(values)
    few = len(values) <= FEW_VALUES
    trial_steps, trials, steps, tolerance = (8, 3, 300, 1e-4) if few else (4, 2, 40, 1e-2)
    mean, weight = np.array([values.mean()]), np.ones(1)
    s2 = max(float(values.var()) - max(mean[0], 0.0) * per_electron, floor)

    def finished(mean: Floats, weight: Floats, s2: float) -> Mixture:
        width = np.sqrt(s2 + np.maximum(mean, 0.0) * per_electron)
        return describe_mixture(values, mean, width, weight)

    mixtures = [finished(mean, weight, s2)]
    for _ in range(1, min(max_components, len(np.unique(values)))):
        nll, means, weights, variances = _grow(*bins, mean, weight, s2, per_electron, floor, trial_steps)
        starts = [
            (means[row], weights[row], variances[row]) for row in np.argsort(nll, kind="stable")[:trials]
        ]
        starts += _even_starts(values, len(mean) + 1, floor)
        tried = []
        for start_mean, start_weight, start_s2 in starts:
            trial = start_mean.copy(), start_weight.copy()
            tried.append((*_em(*bins, *trial, start_s2, per_electron, floor, steps, tolerance), *trial))
        _, s2, mean, weight = min(tried, key=lambda trial: trial[0])
        polish = per_electron, floor, 500 if few else 15, 0.1 * tolerance
        found, s2 = _em(values, ones, nothing, mean, weight, s2, *polish)
        below = mixtures[-1]
        if found > below.negative_log_likelihood:  # too few steps: start from the order below itself
            mean, weight, s2 = _halved(below, per_electron, floor)
            _, s2 = _em(values, ones, nothing, mean, weight, s2, *polish)
        mixtures.append(finished(mean.copy(), weight.copy(), s2))
    return tuple(mixtures)
