"""Readings judged by neighbouring columns: along a row the number of atoms changes little.

Where classes overlap, the values alone do not tell how many there are. But columns beside each other
mostly hold the same number of atoms or one more or less, and a terrace of ten columns tells its level
three times as sharply as a column does. A row is a hidden Markov chain (Rabiner, Proc. IEEE 77 (1989) 257):

    P(k_i = k | k_{i-1} = j) = (1 - a) T(k - j) + a w_k,

T being the distribution of the steps, symmetric and free, and `a` the share of columns that are drawn anew,
whatever their neighbour holds. With a = 1 it is the plain mixture; particles so rough that neighbours say
nothing lose nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from ..arrays import Floats, Ints
from .curve import (
    OFFSET_PRICE,
    OUTLIERS,
    RELATIVE_WIDTH,
    RELATIVE_WIDTH_SPREAD,
    STIFF_SHARE,
    CurveFit,
    Values,
    fit_curve,
    going_on,
    increment_prior,
    nearest_classes,
)
from .order import Readings, bin_values, one_class_apart, relative_width
from .row_kernel import RowModel, RowSums, RowValues, row_expectations
from .rows import Rows

ZONES, ALONG = 4, 5  # of like thickness; columns of a row whose mean tells it
ANEW = 0.05  # share of columns drawn anew, at the start
ROUGH_STEPS, STEPS = 12, 60  # of expectation maximisation
PLAIN_STEPS = 20  # of a plain mixture
KEEP = 10  # readings that are followed to the end
RETURNED = 20  # readings, at most, beside the best of every thickest class
CLOSE = 15.0  # log units below the best within which all are, at last
RARE = 0.02  # share of the columns in a class that may be none
NEIGHBOURS, ROUNDS = 2, 3  # of the best, with a class more or less somewhere: readings a round, rounds
STRETCHES = (0.7, 0.76, 0.82, 0.88, 0.94, 1.06, 1.13, 1.21, 1.3)  # of the counts, tried
LEAST_VARIANCE = 0.1  # of a class beside the known noise, of all
TOLERANCE = 0.02  # of the log posterior
BLUR = np.array([0.25, 0.5, 0.25])  # neighbouring classes are about as frequent


def in_rows(cross_sections: Floats, noise: Floats, rows: Rows, readings: list[CurveFit]) -> list[CurveFit]:
    """The readings fitted again with neighbours in mind, and those a class apart; the most probable first.

    Given are the most probable ones, and the best of every thickest class; their `log_evidence` compares with
    each other, not with that of the readings. `noise` (n,) are known variances, `rows` says which columns are
    neighbours.
    """
    value = cross_sections[rows.order]
    columns = RowValues(value, rows.start, _zones(value))
    found = Readings(bin_values(cross_sections))

    def follow(starts: list[CurveFit]) -> None:
        """A few steps from every start, and the most probable ones to the end."""
        for steps, n in ((ROUGH_STEPS, len(starts)), (STEPS, KEEP)):
            starts = [fit_in_rows(columns, fit, steps) for fit in starts[:n]]
            starts.sort(key=lambda fit: -fit.log_evidence)
            for fit in starts:
                found.add(fit)

    follow([_widened(fit, float(noise.mean())) for fit in readings])
    searched: set[tuple[int, float]] = set()
    for _ in range(ROUNDS):
        best = [fit for fit in found.varied(NEIGHBOURS) if (fit.last, fit.log_evidence) not in searched]
        searched.update((fit.last, fit.log_evidence) for fit in best)
        follow([_started(fit, mean) for fit in best for mean in one_class_apart(fit) + _stretched(fit)])
    values = bin_values(cross_sections, np.sqrt(noise))
    best_found = found.top(1)[0].log_evidence
    close = [fit for fit in found.top(len(found.found)) if fit.log_evidence > best_found - CLOSE]
    settled = Readings(found.values)
    for fit in close:
        settled.add(_settled(columns, values, float(noise.mean()), fit))
    for fit in found.varied(3 * RETURNED):
        if fit.log_evidence <= best_found - CLOSE:
            settled.add(_pooled(values, fit, float(noise.mean())))
    return settled.shortlist(RETURNED, 3 * RETURNED)


def _settled(columns: RowValues, values: Values, noise: float, fit: CurveFit) -> CurveFit:
    """The reading fitted to its end, without those thickest classes that make it less probable.

    Rows and plain mixture do not agree on a class that hardly occurs; were the versions with and without it
    not compared by the pooled evidence, chance would decide which one of them a reading is known by.
    """
    best = None
    while True:
        fit = fit_in_rows(columns, fit, STEPS)
        pooled = _pooled(values, fit, noise)
        if best is not None and pooled.log_evidence < best.log_evidence:
            return best
        best = pooled
        if fit.last == fit.first or fit.weight[fit.last - 1] > RARE:
            return best
        fit = replace(fit, last=fit.last - 1)


def _pooled(values: Values, fit: CurveFit, noise: float) -> CurveFit:
    """The reading with the mean of its log evidence in rows and as a plain mixture beside the known noise.

    Both come from the same values, so they do not add; and where the approximations of one are off, the
    other holds it (a logarithmic opinion pool: Genest and Zidek, Statist. Sci. 1 (1986) 114).
    """
    fit = _widened(fit, -noise)
    width = relative_width(fit)
    plain = fit_curve(values, fit.mean, fit.power, fit.stiff, width, PLAIN_STEPS, fit.first, fit.last)
    return replace(fit, log_evidence=0.5 * (fit.log_evidence + plain.log_evidence))


def _widened(fit: CurveFit, noise: float) -> CurveFit:
    """The reading with `noise` more (or less) variance of the columns, on average."""
    shape = fit.variance / fit.s2
    more = noise * float(np.sum(fit.weight / shape))
    return replace(fit, s2=max(fit.s2 + more, LEAST_VARIANCE * fit.s2))


def _stretched(fit: CurveFit) -> list[Floats]:
    """The fit's curve with all counts multiplied by a factor."""
    counts = np.arange(len(fit.mean) + 1)
    curve = np.concatenate([[0.0], fit.mean])
    return [
        going_on(np.arange(1, int(fit.last * factor) + 4) / factor, counts, curve) for factor in STRETCHES
    ]


def _started(fit: CurveFit, mean: Floats) -> CurveFit:
    """A reading with other class means and as wide classes, where the fit's values are."""
    first, last = nearest_classes(mean, fit.mean[fit.first - 1], fit.mean[fit.last - 1])
    share = np.zeros(len(mean))
    share[first - 1 : last] = fit.share.sum() / (last + 1 - first)
    s2 = fit.s2 * (mean[-1] / fit.mean[-1]) ** (2 * fit.power)
    return replace(fit, mean=mean, share=share, weight=share / share.sum(), s2=s2, first=first, last=last)


def _zones(value: Floats) -> Ints:
    """Zones of like thickness: at the rim the steps are higher than in the middle."""
    smooth = uniform_filter1d(value, ALONG)
    return np.searchsorted(np.quantile(smooth, np.arange(1, ZONES) / ZONES), smooth)


def fit_in_rows(columns: RowValues, like: CurveFit, steps: int) -> CurveFit:
    """Fit curve, widths and steps along the rows by expectation maximisation, from a reading.

    The widths are those of all errors together.
    """
    value = columns.value
    k_max = len(like.mean)
    prior, precision, log_det = increment_prior(k_max, like.stiff)
    prior = prior + np.log(float(np.abs(value).max()) / 10)
    background = OUTLIERS / (1.1 * (float(value.max()) - min(float(value.min()), 0.0)))
    log_step = np.log(np.diff(like.mean, prepend=0.0))
    s2, anew = like.s2, np.full(ZONES, ANEW)
    reach = int(np.clip(np.ceil(like.last / 8), 2, 8))
    jump = np.exp(-np.abs(np.arange(-reach, reach + 1)))
    jump = np.tile(jump / jump.sum(), (ZONES, 1))
    lowest, highest = like.first - 1, like.last - 1
    weight = _smooth(like.share, lowest, highest)
    sums = RowSums(*(np.empty(shape) for shape in ((k_max, 4), jump.shape, k_max, ZONES)))
    classes, jumps, drawn, fresh = sums
    later = np.maximum.outer(np.arange(k_max), np.arange(k_max))  # dV(k) / d ln d_j = d_j for j <= k
    before = -np.inf
    for step in range(steps + 1):
        increments = np.exp(log_step)
        mean = np.cumsum(increments)
        shape = (mean / mean[-1]) ** (2 * like.power)
        model = RowModel(lowest, highest, mean, s2 * shape, weight, jump, anew, background)
        log_likelihood = row_expectations(columns, model, sums)
        bent = precision @ (log_step - prior)
        score = log_likelihood - 0.5 * float((log_step - prior) @ bent)
        information, pull = (np.cumsum((classes[:, c] / (s2 * shape))[::-1])[::-1] for c in (1, 2))
        hessian = precision + np.outer(increments, increments) * information[later]
        if step == steps or (step > 5 and abs(score - before) < TOLERANCE):
            break
        before = score
        change = np.linalg.solve(hessian, increments * pull - bent)
        log_step = log_step + change * min(1.0, 0.3 / max(float(np.abs(change).max()), 1e-12))
        s2 = max(float((classes[:, 3] / shape).sum() / max(classes[:, 1].sum(), 1e-12)), 1e-12)
        jump = (jumps + jumps[:, ::-1]) / 2 + 0.3
        jump /= jump.sum(axis=1, keepdims=True)
        anew = (fresh + 0.5) / (fresh + jumps.sum(axis=1) + 1.0)
        weight = _smooth(classes[:, 0], lowest, highest)
    share = classes[:, 0].copy()
    fit = replace(like, mean=mean, weight=share / share.sum(), share=share, s2=s2)
    # Laplace's approximation, with the information of known classes
    log_evidence = score + 0.5 * log_det - 0.5 * float(np.linalg.slogdet(hessian)[1])
    log_evidence -= 0.5 * float(np.log1p(jumps[:, reach:] + jumps[:, reach::-1]).sum())
    log_evidence -= 0.5 * float(np.log1p(drawn / len(BLUR)).sum())
    width = np.sqrt(s2 * shape)
    ratio = float(np.sum(fit.weight * np.log(width / increments)))
    log_evidence -= 0.5 * ((ratio - np.log(RELATIVE_WIDTH)) / RELATIVE_WIDTH_SPREAD) ** 2
    log_evidence += float(np.log(STIFF_SHARE if like.stiff else 1 - STIFF_SHARE))
    if fit.first > 1:
        log_evidence -= OFFSET_PRICE * (1 + fit.first)
    return replace(fit, log_evidence=float(log_evidence))


def _smooth(share: Floats, lowest: int, highest: int) -> Floats:
    """How frequent the classes are, neighbours alike and none that occurs impossible."""
    smooth = np.zeros(len(share))
    smooth[lowest : highest + 1] = np.convolve(share, BLUR, mode="same")[lowest : highest + 1] + 0.1
    return np.asarray(smooth / smooth.sum())
