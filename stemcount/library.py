"""Counting with a library of simulated cross-sections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .results import Hypothesis

Array = NDArray[np.float64]

# Scales tried by hybrid counting, and how far they are expected from one (standard deviation of ln).
LARGEST_FACTOR = 1.6
SCALE_SPREAD = 0.2
MAX_STEPS = 300
# Half a column in every class, so that none becomes impossible.
PSEUDO_COUNT = 0.5


def checked_library(library: ArrayLike) -> Array:
    """Library as an ascending 1D array, its first entry the cross-section of one atom.

    Raises
    ------
    InputError
        If it is not 1D, finite, positive and ascending.

    Examples
    --------
    >>> checked_library([0.02, 0.05, 0.09])
    array([0.02, 0.05, 0.09])
    """
    means = np.asarray(library, dtype=float)
    if means.ndim != 1 or not len(means):
        raise InputError(f"library: expected the cross-sections of 1, 2, ... atoms, got shape {means.shape}.")
    if not np.all(np.isfinite(means)) or np.any(np.diff(means, prepend=0.0) <= 0):
        raise InputError(
            "library: expected finite, positive cross-sections that grow with the number of atoms."
        )
    return means


def _fit_scale_and_width(
    values: Array, means: Array, noise: Array, scale: float, width: float, free_scale: bool
) -> tuple[float, float, Array, float]:
    """Scale, width, weights (k = 1..kmax) and log-likelihood by expectation maximisation."""
    weight = np.full(len(means), 1.0 / len(means))
    before = -np.inf
    score = -np.inf
    for _ in range(MAX_STEPS):
        variance = width**2 + noise[:, None]
        distance = values[:, None] - scale * means
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
        if free_scale:
            share = t / variance
            scale = float(np.sum(share * values[:, None] * means) / np.sum(share * means**2))
            distance = values[:, None] - scale * means
        own = width**2 / variance
        width = float(np.sqrt(np.sum(t * own * (own * distance**2 + noise[:, None])) / len(values)))
        width = max(width, 1e-4 * scale * float(means[0]))
    return scale, width, weight, score


def library_reading(
    cross_sections: ArrayLike,
    library: ArrayLike,
    *,
    free_scale: bool = False,
    cross_section_std: ArrayLike | None = None,
) -> Hypothesis:
    """Class means from a library; width, weights and on request the scale from the cross-sections.

    With `free_scale` this is hybrid counting: the library gives the shape of V(k), the image its
    scale and spread (after De wael et al., Ultramicroscopy 177 (2017) 69).

    Parameters
    ----------
    cross_sections : (n,) array of float
        Columns' cross-sections.
    library : (kmax,) array of float
        Cross-sections of 1, 2, ... kmax atoms [units of the cross-sections].
    free_scale : bool
        Whether the library is only known up to a factor.
    cross_section_std : (n,) array of float, optional
        Known standard deviations of the cross-sections.

    Returns
    -------
    Hypothesis

    Raises
    ------
    InputError
        If the library is not an ascending 1D array of positive numbers.

    Examples
    --------
    >>> reading = library_reading([1.1, 2.0, 2.1, 2.9], [0.5, 1.0, 1.5, 2.0], free_scale=True)
    >>> bool(0.2 < reading.mean[1] < 1.2)
    True
    """
    values = np.asarray(cross_sections, dtype=float)
    means = checked_library(library)
    noise = np.zeros(len(values)) if cross_section_std is None else np.asarray(cross_section_std, float) ** 2
    step = float(means[-1]) / len(means)
    scales = np.geomspace(1 / LARGEST_FACTOR, LARGEST_FACTOR, 41) if free_scale else np.ones(1)
    fits = [_fit_scale_and_width(values, means, noise, float(s), 0.2 * step * s, free_scale) for s in scales]

    def price(fit: tuple[float, float, Array, float]) -> float:
        """Finer scales use more classes: each costs half ln(n), as in the BIC."""
        classes = np.count_nonzero(fit[2] * (len(values) + PSEUDO_COUNT * len(means)) >= 1.0)
        return 0.5 * classes * float(np.log(len(values))) + 0.5 * (np.log(fit[0]) / SCALE_SPREAD) ** 2

    scale, width, weight, score = max(fits, key=lambda fit: fit[3] - price(fit))
    used = np.flatnonzero(weight * (len(values) + PSEUDO_COUNT * len(means)) >= 2 * PSEUDO_COUNT)
    return Hypothesis(
        mean=np.concatenate([[0.0], scale * means]),
        width=np.full(len(means) + 1, width),
        weight=np.concatenate([[0.0], weight]),
        offset=int(used[0]) if len(used) else 0,
        n_components=int(used[-1] - used[0]) + 1 if len(used) else len(means),
        log_posterior=score,
    )


def rescaled(reading: Hypothesis, factor: float) -> Hypothesis:
    """The reading with all cross-sections multiplied by `factor`, as after a change of unit.

    Examples
    --------
    >>> reading = library_reading([1.0, 2.0], [1.0, 2.0])
    >>> rescaled(reading, 10.0).mean
    array([ 0., 10., 20.])
    """
    return replace(reading, mean=reading.mean * factor, width=reading.width * factor)
