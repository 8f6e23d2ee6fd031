"""Readings of the cross-sections: which number of atoms each class of columns holds."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..arrays import Floats, Ints
from ..results import Hypothesis
from .curve import CurveFit, Values, fit_curve, going_on, increments_of, nearest_classes
from .mixtures import summed_in_bins

MAX_BINS = 600
POWERS = (0.0, 0.5, 0.75, 1.0)
# Readings that give this share of the columns the same count are one reading.
SAME = 0.92
EXTRA_CLASSES = 3
BENDS = (0.8, 0.88, 0.95, 1.0, 1.07, 1.15, 1.25)  # of curves that are tried, see `start_curve`
DIPS = (0.0, 0.4)


def bin_values(cross_sections: Floats, cross_section_std: Floats | None = None) -> Values:
    """Sort cross-sections (n,), with known standard deviations, and merge them into `MAX_BINS` at most."""
    order = np.argsort(cross_sections, kind="stable")
    value = np.asarray(cross_sections, dtype=float)[order]
    noise = np.zeros(len(value)) if cross_section_std is None else np.asarray(cross_section_std)[order] ** 2
    extent = value[-1] - min(value[0], 0.0)
    background = 1.0 / (1.1 * extent)
    if len(value) <= MAX_BINS:
        return Values(value, np.ones(len(value)), noise, background)
    number, sums = summed_in_bins(value, MAX_BINS, value, noise)
    return Values(sums[0] / number, number, sums[1] / number, background)


def assign(values: Floats, fit: CurveFit) -> Ints:
    """Most probable class of each value under a fit (no outliers)."""
    variance = fit.variance
    with np.errstate(divide="ignore"):
        log_weight = np.log(fit.weight) - 0.5 * np.log(variance)
    score = log_weight - 0.5 * (values[:, None] - fit.mean) ** 2 / variance
    return 1 + np.argmax(score, axis=1)


def start_curve(scale: float, bend: float, dip: float, largest: float) -> Floats:
    """Curve on which the largest value stands for `scale` atoms, V(k) ~ (sum of its increments)^bend.

    The increments are 1 - dip exp(-(k - 1) / 1.5).
    """
    k = np.arange(0, int(np.ceil(scale)) + EXTRA_CLASSES)
    mean = np.cumsum(np.where(k > 0, 1 - dip * np.exp(-(k - 1) / 1.5), 0.0)) ** bend
    mean *= largest / np.interp(scale, k, mean)
    return np.asarray(mean[1:])


def _shifted(fit: CurveFit, at: float, by: int, length: float) -> Floats:
    """The fit's curve with `by` classes put in (or taken out) around class `at`."""
    k_max = len(fit.mean)
    old = np.arange(k_max + 1, dtype=float)
    new = old + by / (1 + np.exp(-(old - at) / length))
    new -= new[0]
    k = np.arange(1, int(np.ceil(new[fit.last])) + EXTRA_CLASSES)
    mean = np.concatenate([[0.0], fit.mean])
    return going_on(k, new, mean)


def one_class_apart(fit: CurveFit) -> list[Floats]:
    """Curves with a class more or less than the fit's somewhere along it, sharply or gradually."""
    return [
        _shifted(fit, float(at), by, length)
        for length in (0.3, max(1.0, fit.last / 6))
        for at in np.linspace(0.5, fit.last + 0.5, min(fit.last + 1, 7))
        for by in (-1, 1)
        if fit.last + by >= 1
    ]


class Readings:
    """The best fit of every different reading met so far."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.found: list[tuple[CurveFit, Ints]] = []

    def add(self, fit: CurveFit) -> None:
        """Keep the fit if it is a new reading or a better version of a known one."""
        if not np.isfinite(fit.log_evidence):
            return
        label = assign(self.values.value, fit)
        number = self.values.number
        alike = np.array([other for _, other in self.found]).reshape(-1, len(label)) == label
        same = alike @ number >= SAME * number.sum()
        if any(
            one and known.log_evidence >= fit.log_evidence
            for one, (known, _) in zip(same, self.found, strict=True)
        ):
            return
        self.found = [item for one, item in zip(same, self.found, strict=True) if not one]
        self.found.append((fit, label))
        self.found.sort(key=lambda item: -item[0].log_evidence)

    def varied(self, n: int) -> list[CurveFit]:
        """The best readings of different thickest class."""
        best: dict[int, CurveFit] = {}
        for fit, _ in self.found:
            best.setdefault(fit.last, fit)
        return list(best.values())[:n]

    def top(self, n: int) -> list[CurveFit]:
        """The most probable readings."""
        return [fit for fit, _ in self.found[:n]]

    def shortlist(self, n: int, thickest: int) -> list[CurveFit]:
        """The n most probable readings, and the best of so many thickest classes: other views may need it."""
        chosen = {id(fit): fit for fit in self.top(n) + self.varied(thickest)}
        return sorted(chosen.values(), key=lambda fit: -fit.log_evidence)


def find_readings(values: Values, max_classes: int, keep: int, most: int | None = None) -> list[CurveFit]:
    """Search scales, offsets and curves; the most probable reading first.

    The thickest column has `max_classes` atoms at most, and no column more than `most`, if that is given;
    else those next to the tried ones may. So many as `keep` are returned, and the best of twice as many
    thickest classes on top.
    """
    readings = Readings(values)
    for fit in _best_of_every_scale(_scan(values, max_classes, most)):
        width = relative_width(fit)
        tries = [fit_curve(values, fit.mean, power, True, width, 20, fit.first, fit.last) for power in POWERS]
        best = max(tries, key=lambda one: one.log_evidence)
        readings.add(trimmed(values, best, best.mean, best.power, True, 60))
    for fit in readings.top(keep // 2):
        readings.add(trimmed(values, fit, fit.mean, fit.power, False, 60))
    searched: set[tuple[int, float]] = set()
    for _ in range(2):  # neighbours of the best: a class more or less somewhere along the curve
        seeds = [fit for fit in readings.varied(4) if (fit.last, fit.log_evidence) not in searched]
        for fit in seeds:
            searched.add((fit.last, fit.log_evidence))
            for start in one_class_apart(fit):
                for stiff in (True, False):  # a curve that wanders may need one class more or less
                    readings.add(trimmed(values, fit, start[:most], fit.power, stiff, 40))
    for fit in readings.top(keep // 2):
        for power in POWERS:
            for stiff in (True, False):
                readings.add(trimmed(values, fit, fit.mean, power, stiff, 60))
    return readings.shortlist(keep, 2 * keep)


def _scan(values: Values, max_classes: int, most: int | None) -> list[CurveFit]:
    """Quick fits from stiff curves of every scale, bend and dip."""
    ordered = np.repeat(values.value, values.number.astype(int))
    smallest, largest = (float(q) for q in np.quantile(ordered, (0.01, 0.995)))
    scales = np.concatenate([np.arange(1, min(20, max_classes), 0.5), np.arange(20, max_classes + 1, 1.0)])
    found = []
    for dip, bend, scale in product(DIPS, BENDS, scales):
        start = start_curve(float(scale), bend, dip, largest)[:most]
        classes = nearest_classes(start, smallest, largest)
        found.append(fit_curve(values, start, 0.5, True, 0.2, 8, *classes))
    return found


def _best_of_every_scale(scan: list[CurveFit]) -> list[CurveFit]:
    """The two best fits for every thickest class, in steps of 5 % where there are many.

    After few steps the right scale with the wrong law of the widths is often behind many fine scales,
    with which any smooth density can be made.
    """
    best: dict[int, list[CurveFit]] = {}
    for fit in sorted(scan, key=lambda fit: -fit.log_evidence):
        step = fit.last if fit.last <= 20 else round(20 * (1 + np.log(fit.last / 20)))
        best.setdefault(step, []).append(fit)
    return [fit for fits in best.values() for fit in fits[:2]]


def trimmed(values: Values, like: CurveFit, mean: Floats, power: float, stiff: bool, steps: int) -> CurveFit:
    """Fit from start means, then drop or add outer classes as long as that is more probable."""
    first, last = nearest_classes(mean, like.mean[like.first - 1], like.mean[like.last - 1])
    best = fit_curve(values, mean, power, stiff, relative_width(like), steps, first, last)
    tried = {(first, last)}
    while True:
        before, width = best, relative_width(best)
        for d_first, d_last in ((0, -1), (0, 1), (1, 0), (-1, 0)):
            first, last = before.first + d_first, before.last + d_last
            if (first, last) in tried or not 1 <= first <= last <= len(mean):
                continue
            tried.add((first, last))
            fit = fit_curve(values, before.mean, power, stiff, width, 12, first, last)
            if fit.log_evidence > best.log_evidence:
                best = fit
        if best is before:
            return best


def relative_width(fit: CurveFit) -> float:
    """Class width over increment, where the columns are."""
    steps = increments_of(fit.mean)
    return float(np.average(np.sqrt(fit.variance) / steps.mean(), weights=fit.weight))


def hypothesis(fit: CurveFit) -> Hypothesis:
    """The reading as others see it: k = 0 first, classes beyond the thickest kept.

    A class that holds no column keeps the weight of half a column, so that none is impossible.
    """
    deviation = np.sqrt(fit.variance)
    mean = np.concatenate([[0.0], fit.mean])
    width = np.concatenate([deviation[:1], deviation])
    weight = np.concatenate([[0.0], fit.share]) + 0.5
    return Hypothesis(
        mean=mean,
        width=width,
        weight=weight / weight.sum(),
        offset=fit.first - 1,
        n_components=fit.last - fit.first + 1,
        log_posterior=fit.log_evidence,
    )
