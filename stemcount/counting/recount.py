"""Counting again, with class means learned from columns whose number of atoms is known from elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..errors import InputError, as_numbers
from ..results import AtomCounts, Hypothesis, check_atom_counts
from .count import counts_from_hypothesis
from .curve import going_on
from .mixtures import checked_cross_sections, checked_std

BEND = 0.06  # standard deviation of the curve's second differences, in steps between classes
LEAST_WIDTH = 0.05  # of a class, in steps
EXTRA_CLASSES = 3
ROUNDS = 4  # of means and widths in turn; the widths settle to a per cent in two


def recount(
    counts: AtomCounts, cross_sections: ArrayLike, cross_section_std: ArrayLike, atoms: ArrayLike
) -> AtomCounts:
    """Count columns again after a reconstruction has said how many atoms they hold.

    The atoms of a crystal that explains several views together tell, column by column, which number of
    atoms a cross-section belongs to; where an image alone can be read in several ways, this decides. The
    class means are the smooth curve

        min_m  sum_n (V_n - m(k_n))^2 / sigma_n^2  +  sum_k (m(k+1) - 2 m(k) + m(k-1))^2 / (0.06 d)^2,

    with m(0) = 0, d the median step of the curve, k_n the known number of atoms of column n and
    sigma_n^2 = c^2 m(k_n) d + std_n^2; c follows from the median absolute residual, so that single wrong
    columns do not widen the classes. Widths that grow with the square root of the mean describe columns
    whose atoms scatter independently.

    Parameters
    ----------
    counts : AtomCounts
        The counts so far; their class means are where the curve starts.
    cross_sections : (n,) float
        V of each column [units of the cross-section].
    cross_section_std : (n,) float
        Standard deviations from the fit.
    atoms : (n,) int
        Number of atoms of each column in the reconstructed crystal; where it is below one, NaN or masked,
        the column teaches nothing.

    Returns
    -------
    AtomCounts
        New means, widths and probabilities; mixtures, alternatives and verdict are those of `counts`.

    Raises
    ------
    InputError
        If the arrays differ in length, or fewer than three columns have a known number of atoms.

    Examples
    --------
    >>> from stemcount import count_atoms
    >>> values = np.repeat([1.0, 2.0, 3.0], 30) + 0.02 * np.sin(np.arange(90))
    >>> again = recount(count_atoms(values), values, np.full(90, 0.01), np.repeat([1, 2, 3], 30))
    >>> np.round(again.chosen.mean[:4], 2).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    check_atom_counts(counts)
    values = checked_cross_sections(cross_sections, at_least=3)
    std = checked_std(cross_section_std, len(values))
    if std is None:
        raise InputError("recount: cross_section_std is needed, the standard deviations from the fit.")
    known = as_numbers("recount: atoms", atoms)
    if known.shape != values.shape:
        raise InputError(
            f"recount: {len(values)} cross-sections and numbers of atoms of shape {known.shape};"
            " expected as many of each."
        )
    k = np.where(np.isfinite(known), np.rint(known), 0).astype(np.int64)
    used = k >= 1
    if np.count_nonzero(used) < 3:
        raise InputError("recount: at least three columns must hold a known number of atoms.")
    means = counts.chosen.mean
    most = max(len(means) - 1, int(k.max()) + EXTRA_CLASSES)
    start = going_on(np.arange(most + 1), np.arange(len(means)), means)
    mean, width = _curve(values[used], std[used], k[used], start)
    occurring = np.bincount(k[used], minlength=len(mean)).astype(float)
    seen = np.flatnonzero(occurring)
    reading = Hypothesis(
        mean=mean,
        width=width,
        weight=_weights(occurring),
        offset=int(seen[0]) - 1,
        n_components=int(seen[-1] - seen[0]) + 1,
        log_posterior=counts.chosen.log_posterior,
    )
    again = counts_from_hypothesis(values, reading, cross_section_std=std)
    return again.with_choice_of(counts)


def _curve(values: Floats, std: Floats, k: Ints, start: Floats) -> tuple[Floats, Floats]:
    """Smooth class means through zero and class widths, in turn."""
    n_classes = len(start)
    mean = start
    step = float(np.median(np.diff(start)))
    spread = 0.2 * step  # c d: width of a class of mean d
    design = np.zeros((len(values), n_classes))
    design[np.arange(len(values)), k] = 1.0
    bend = np.diff(np.eye(n_classes), 2, axis=0)
    for _ in range(ROUNDS):
        variance = spread**2 * np.maximum(mean[k] / step, 0.5) + std**2
        normal = (design.T / variance) @ design + bend.T @ bend / (BEND * step) ** 2
        right = (design.T / variance) @ values
        solved = np.linalg.solve(normal[1:, 1:], right[1:])  # m(0) = 0 is no unknown
        mean = np.maximum.accumulate(np.concatenate([[0.0], solved]))
        step = float(np.median(np.diff(mean))) or step
        scaled = (values - mean[k]) / np.sqrt(np.maximum(mean[k] / step, 0.5))
        spread = 1.4826 * float(np.median(np.abs(scaled)))  # of a Gaussian: sd = 1.4826 median |r|
    noise = float(np.median(std))
    total = spread**2 * np.maximum(mean / step, 0.5)
    return mean, np.sqrt(np.maximum(total - noise**2, (LEAST_WIDTH * step) ** 2))


def _weights(occurring: Floats) -> Floats:
    """Share of columns of each class: the numbers seen, smoothed over neighbours; no class is impossible."""
    smooth = np.convolve(occurring, [0.25, 0.5, 0.25], mode="same") + 0.3
    smooth[0] = 1e-3  # a column that was fitted is seldom empty
    return np.asarray(smooth / smooth.sum())
