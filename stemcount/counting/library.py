"""Counting with a library of simulated cross-sections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..errors import InputError, as_numbers
from ..results import Hypothesis
from .curve import CurveFit, IncrementPrior, Values, fit_curve, nearest_classes
from .mixtures import checked_cross_sections, checked_std

# Scales tried by hybrid counting, and how far they are expected from one (standard deviation of ln).
LARGEST_FACTOR = 1.6
SCALE_SPREAD = 0.2
# Log units by which cross-sections are told better without a library that is in another unit, and what it
# costs to say that it is.
WORSE, OTHER_UNIT = 4.0, 7.0
MAX_STEPS = 300
# Errors of a library's increments: of its shape over some atoms, and of single ones.
SHAPE_ERROR, SHAPE_LENGTH, STEP_ERROR = 0.06, 6.0, 0.02
LARGEST_CHANGE = 2.0  # of an increment by an uncertain setting, as a factor
WIDTHS = (0.2, 0.35)  # of classes in steps, from where fits start
MOST_CLASSES = 200
SCALES, ROUNDS = 41, 4  # tried
POWERS = (0.0, 0.5, 1.0)  # of the class width with the mean
# Half a column in every class, so that none becomes impossible.
PSEUDO_COUNT = 0.5


def checked_library(library: ArrayLike) -> Floats:
    """Library (kmax, 1 + m): V(1..kmax), and in further columns V with one uncertain setting changed.

    InputError if it has neither one nor two dimensions, is not finite and positive, or its first column not
    ascending.

    Examples
    --------
    >>> checked_library([0.02, 0.05, 0.09]).shape
    (3, 1)
    """
    means = as_numbers("library", library)
    if means.ndim not in (1, 2) or not means.size:
        raise InputError(
            "library: expected the cross-sections of 1, 2, ... atoms, further columns with a setting changed;"
            f" got shape {means.shape}."
        )
    means = means.reshape(len(means), -1)
    wrong = np.argwhere(~(np.isfinite(means) & (means > 0)))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(
            f"library: row {row + 1}, column {column + 1} is {means[row, column]:g};"
            " expected finite, positive cross-sections."
        )
    falls = np.flatnonzero(np.diff(means[:, 0]) <= 0)
    if len(falls):
        row = int(falls[0]) + 1
        raise InputError(
            f"library: row {row + 1} has {means[row, 0]:g} after {means[row - 1, 0]:g};"
            " expected cross-sections that grow with the number of atoms."
        )
    return means


def _fit_width(values: Floats, means: Floats, noise: Floats, width: float) -> tuple[float, Floats, float]:
    """Common width, weights (k = 1..kmax) and log-likelihood by expectation maximisation from a width.

    `noise` (n,) is the known variance of each value, beside the class's own.
    """
    weight = np.full(len(means), 1.0 / len(means))
    before = -np.inf
    score = -np.inf
    for _ in range(MAX_STEPS):
        variance = width**2 + noise[:, None]
        distance = values[:, None] - means
        log_density = np.log(weight) - 0.5 * distance**2 / variance - 0.5 * np.log(2 * np.pi * variance)
        top = log_density.max(axis=1, keepdims=True)
        t = np.exp(log_density - top)
        total = t.sum(axis=1, keepdims=True)
        t /= total
        score = float(np.sum(top + np.log(total)))
        if score - before < 1e-4:
            break
        before = score
        weight = (t.sum(axis=0) + PSEUDO_COUNT) / (len(values) + PSEUDO_COUNT * len(means))
        own = width**2 / variance
        width = float(np.sqrt(np.sum(t * own * (own * distance**2 + noise[:, None])) / len(values)))
        width = max(width, 1e-4 * float(means[0]))
    return width, weight, score


def library_reading(
    cross_sections: ArrayLike,
    library: ArrayLike,
    *,
    cross_section_std: ArrayLike | None = None,
) -> Hypothesis:
    """Class means from a library; width and weights from the cross-sections.

    Parameters
    ----------
    cross_sections : (n,) array of float
        Columns' cross-sections.
    library : (kmax,) or (kmax, 1 + m) array of float
        Cross-sections of 1, 2, ... kmax atoms [units of the cross-sections]; of several columns the first.
        Where a column has more atoms, they go on with the last increment.
    cross_section_std : (n,) array of float, optional
        Known standard deviations of the cross-sections.

    Returns
    -------
    Hypothesis

    Raises
    ------
    InputError
        If the library is not an ascending array of positive numbers or by far too short, or the
        cross-sections or their standard deviations are not usable.

    Examples
    --------
    >>> library_reading([1.1, 2.0, 2.1, 2.9], [1.0, 2.0, 3.0, 4.0]).mean.tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    values = checked_cross_sections(cross_sections, at_least=1)
    means = _long_enough(checked_library(library)[:, 0], float(values.max()))
    std = checked_std(cross_section_std, len(values))
    noise = np.zeros(len(values)) if std is None else std**2
    step = float(means[-1]) / len(means)
    width, weight, score = _fit_width(values, means, noise, 0.2 * step)
    used = np.flatnonzero(weight * (len(values) + PSEUDO_COUNT * len(means)) >= 2 * PSEUDO_COUNT)
    return Hypothesis(
        mean=np.concatenate([[0.0], means]),
        width=np.full(len(means) + 1, width),
        weight=np.concatenate([[0.0], weight]),
        offset=int(used[0]) if len(used) else 0,
        n_components=int(used[-1] - used[0]) + 1 if len(used) else len(means),
        log_posterior=score,
    )


def _long_enough(means: Floats, largest: float) -> Floats:
    """Means of a library, going on with the last increment where a column is nearer to a thicker class."""
    last = float(np.diff(means, prepend=0.0)[-1])
    missing = int(np.ceil(max(min((largest - means[-1]) / last, 2.0 * MOST_CLASSES) - 0.5, 0.0)))
    if len(means) + missing > max(MOST_CLASSES, len(means)):
        raise InputError(
            f"library: it ends with {means[-1]:g}, but columns reach {largest:g}; expected the unit of the"
            ' cross-sections, or library_scale = "free".'
        )
    return np.concatenate([means, means[-1] + last * np.arange(1, missing + 1)])


def beyond_library(count: Ints, library: ArrayLike) -> str:
    """A sentence on the columns (n,) that hold more atoms than the thickest of a library; "" if none does.

    Examples
    --------
    >>> beyond_library(np.array([3, 4, 5, 6]), [1.0, 2.0, 3.0, 4.0])
    '2 of 4 columns hold more atoms than the 4 of the library, which speaks for no thicker ones: its last step is repeated there; simulate it to more.'
    """  # noqa: E501
    most = len(checked_library(library))
    thicker = int(np.count_nonzero(count > most))
    if not thicker:
        return ""
    return (
        f"{thicker} of {len(count)} columns hold more atoms than the {most} of the library, which speaks for"
        " no thicker ones: its last step is repeated there; simulate it to more."
    )


def library_fits(
    values: Values, library: ArrayLike, keep: int, plain: float = -np.inf, most: int = 40
) -> list[CurveFit]:
    """Readings with class means of the library's shape; the most probable first (hybrid counting).

    The library gives the shape of V(k), the image its scale and spread (after De wael et al., Ultramicroscopy
    177 (2017) 69). The increments of V(k) are the library's times a common factor, with small errors of their
    own and those of uncertain settings, where the library has columns for them; readings of different factor
    are compared by their evidence, as without a library (`stemcount.counting.curve`). `keep` are returned.

    The factor is expected near one. Where the cross-sections are told better without the library, by `plain`,
    the log evidence of the best reading, it may be in another unit, as for an image that is not in fractions
    of the beam; then any factor is tried with which the thickest column has at most `most` atoms, at the
    price of `OTHER_UNIT`.

    `library` (kmax,) or (kmax, 1 + m) are cross-sections of 1, 2, ... kmax atoms; beyond, they go on with the
    last increment. In further columns stand the same with one setting of the simulation changed by its
    standard error. An `InputError` where it is no ascending array of positive numbers.
    """
    means = checked_library(library)
    largest = float(values.value.max())
    fits = _fits_near(values, means) if _steps_needed(LARGEST_FACTOR * largest, means) <= MOST_CLASSES else []
    if not fits or fits[0].log_evidence < plain - WORSE:
        curve = np.cumsum(_steps(np.diff(means[:, 0], prepend=0.0)[:, None], most))
        for atoms in np.geomspace(2, most, 2 + int(np.log2(most))).astype(int):
            unit = largest / float(curve[atoms - 1])
            for fit in _fits_near(values, unit * means):
                fits.append(replace(fit, log_evidence=fit.log_evidence - OTHER_UNIT))
    return sorted(fits, key=lambda fit: -fit.log_evidence)[:keep]


def _fits_near(values: Values, library: Floats) -> list[CurveFit]:
    """Readings whose class means are near those of a library (kmax, 1 + m), the most probable first."""
    largest = float(values.value.max())
    steps = _steps_up_to(LARGEST_FACTOR * largest, library)
    curve, prior = np.cumsum(steps[:, 0]), _prior_of(steps)
    found: dict[tuple[int, int, float], CurveFit] = {}

    def add(mean: Floats, first: int, last: int, power: float, width: float) -> None:
        fit = fit_curve(values, mean, power, True, width, 80, first, last, prior)
        before = found.get((first, last, power))
        if np.isfinite(fit.log_evidence) and (before is None or fit.log_evidence > before.log_evidence):
            found[first, last, power] = fit

    smallest = float(np.quantile(values.value, 0.01))
    for scale in np.geomspace(1 / LARGEST_FACTOR, LARGEST_FACTOR, SCALES):
        first, last = nearest_classes(scale * curve, smallest, largest)
        for width in WIDTHS:
            add(scale * curve, first, last, 0.0, width)
    searched: set[tuple[int, int, float]] = set()
    for _ in range(ROUNDS):
        for fit in sorted(found.values(), key=lambda fit: -fit.log_evidence)[:5]:
            if (fit.first, fit.last, fit.power) in searched:
                continue
            searched.add((fit.first, fit.last, fit.power))
            for d_first, d_last in ((0, -1), (0, 1), (1, 0), (-1, 0)):
                first, last = fit.first + d_first, fit.last + d_last
                if 1 <= first <= last <= len(steps):
                    add(fit.mean, first, last, fit.power, WIDTHS[0])
            for power in POWERS:
                add(fit.mean, fit.first, fit.last, power, WIDTHS[0])
    return sorted(found.values(), key=lambda fit: -fit.log_evidence)


def _steps_up_to(largest: float, library: Floats) -> Floats:
    """Increments of a library, going on with the last one until V(k) is above `largest`."""
    steps = np.diff(library, axis=0, prepend=0.0)
    return _steps(steps, _steps_needed(largest, library))


def _steps_needed(largest: float, library: Floats) -> int:
    """How many increments of a library, the last of which may be repeated, lead to above `largest`."""
    means = library[:, 0]
    if largest < means[-1]:
        return int(np.searchsorted(means, largest)) + 2
    last = means[-1] - (means[-2] if len(means) > 1 else 0.0)
    return len(means) + int(np.ceil(max(largest - means[-1], 0.0) / last)) + 2


def _steps(steps: Floats, n: int) -> Floats:
    """The first n increments (kmax, 1 + m), of which the last goes on."""
    return np.concatenate([steps, np.repeat(steps[-1:], max(n - len(steps), 0), axis=0)])[:n]


def _prior_of(steps: Floats) -> IncrementPrior:
    """Prior of ln of the increments: the library's, a common factor, small errors and those of settings.

    A setting that is off by x standard errors changes the increments by x times what one of them does:
    a Gaussian x adds the outer product of that change to the covariance.
    """
    change = np.clip(steps[:, 1:] / steps[:, :1], 1 / LARGEST_CHANGE, LARGEST_CHANGE)
    along = np.log(change)
    k = np.arange(len(steps))
    covariance = (
        SCALE_SPREAD**2
        + SHAPE_ERROR**2 * np.exp(-0.5 * ((k[:, None] - k) / SHAPE_LENGTH) ** 2)
        + STEP_ERROR**2 * np.eye(len(steps))
        + along @ along.T
    )
    inverse = np.asarray(np.linalg.inv(covariance), dtype=float)
    return np.asarray(np.log(steps[:, 0]), dtype=float), inverse, -float(np.linalg.slogdet(covariance)[1])
