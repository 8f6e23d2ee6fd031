"""Columns of several species: cross-section as a function of how many atoms of each species they hold.

    V = c + sum_s (v_s n_s + q_s n_s^2),        sd(V)^2 = (a std)^2 + (w V)^2

v_s is what one atom of species s scatters, q_s the bend that channelling gives, c what neighbours add to a
column that holds any atom; std is the fit's own error and `a` a factor on it, w the spread that thermal
motion and the order of the atoms in a column give, which grows with the cross-section. Numbers in,
likelihoods out; nothing here knows where columns lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from ..arrays import Floats
from ..errors import InputError

RATIO_SPREAD = 0.35  # relative standard deviation of v_s about the species' brightness
BEND_SPREAD = 0.06  # standard deviation of q_s / v_s
CONSTANT_SPREAD = 0.3  # standard deviation of c, in atoms of the darkest species
SPREAD = 0.08  # w where nothing is known yet
ROBUST = 4.0  # degrees of freedom of the t distribution of the misfits: single wrong counts hardly count
ROUNDS = 6


@dataclass(frozen=True)
class Composition:
    """What columns of one type in one image scatter; see the module for the equations.

    Attributes
    ----------
    constant : float
        c [units of the cross-section].
    linear, bend : (m,) float
        v_s and q_s of each species [units of the cross-section].
    noise : float
        a, the factor on the fit's errors.
    spread : float
        w, relative.
    """

    constant: float
    linear: Floats
    bend: Floats
    noise: float
    spread: float

    def predict(self, counts: ArrayLike) -> Floats:
        """Cross-sections (...,) of columns with counts (..., m) of each species."""
        n = np.asarray(counts, dtype=float)
        return np.asarray(self.constant * (n.sum(axis=-1) > 0) + n @ self.linear + n**2 @ self.bend)

    def variance(self, cross_section: ArrayLike, std: ArrayLike) -> Floats:
        """Variance of measured cross-sections about the predicted ones."""
        least = 0.5 * float(self.linear.min())
        size = np.maximum(np.asarray(cross_section, dtype=float), least)
        return np.asarray((self.noise * np.asarray(std)) ** 2 + (self.spread * size) ** 2)

    def log_likelihood(
        self, cross_section: ArrayLike, std: ArrayLike, counts: ArrayLike, doubt: ArrayLike
    ) -> Floats:
        """ln P(V | counts) (n, k) of every column under each of k suppositions about its atoms.

        `counts` (n, k, m) are the atoms of every species, `doubt` (n, m) the variance of these numbers, 0 for
        the species that is supposed; cross-sections and their errors are (n,).

        Examples
        --------
        >>> pure = first_composition(0.002, [1.0])
        >>> pure.log_likelihood([0.006], [1e-4], np.arange(6).reshape(1, 6, 1), [[0.0]]).argmax()
        np.int64(3)
        """
        values = np.asarray(cross_section, dtype=float)[:, None]
        numbers = np.asarray(counts, dtype=float)
        predicted = self.predict(numbers)
        slope = self.linear + 2 * self.bend * numbers
        extra = (np.asarray(doubt, dtype=float)[:, None] * slope**2).sum(axis=2)
        variance = self.variance(predicted, np.asarray(std, dtype=float)[:, None]) + extra
        return np.asarray(-0.5 * (values - predicted) ** 2 / variance - 0.5 * np.log(variance))

    def evidence(self, cross_section: ArrayLike, std: ArrayLike, counts: ArrayLike) -> float:
        """Log-likelihood of all columns (n,) with counts (n, m), single misfits limited (t distribution)."""
        predicted = self.predict(counts)
        variance = self.variance(predicted, std)
        square = (np.asarray(cross_section, dtype=float) - predicted) ** 2 / variance
        return float(np.sum(-0.5 * np.log(variance) - 0.5 * (ROBUST + 1) * np.log1p(square / ROBUST)))


def first_composition(unit: float, brightness: ArrayLike) -> Composition:
    """The composition that brightness (m,) alone suggests; `unit` is what an atom of brightness 1 scatters.

    Examples
    --------
    >>> first_composition(0.002, [4.0, 1.0]).predict([[2, 3]]).round(4)
    array([0.022])
    """
    bright = np.asarray(brightness, dtype=float)
    return Composition(0.0, unit * bright, np.zeros(len(bright)), 1.0, SPREAD)


def fit_composition(
    cross_section: ArrayLike, std: ArrayLike, counts: ArrayLike, brightness: ArrayLike, unit: float
) -> Composition:
    """Learn a type's composition from columns whose atoms are known, or nearly so.

    `cross_section` and `std` (n,) are measured, with the fit's error; `counts` (n, m) is the expected number
    of atoms of each species in every column, `brightness` (m,) that of one atom, relative, and `unit` the
    cross-section of an atom of brightness 1. InputError if the arrays do not belong together.

    Iteratively reweighted least squares with the weights of a t distribution (Lange, Little and Taylor, J.
    Am. Stat. Assoc. 84 (1989) 881); normal priors tie v_s to unit x brightness (35 %), q_s to 0 (6 % of v_s)
    and c to 0 (0.3 atoms of the darkest species), so that species that hardly occur keep what their
    brightness says.

    Examples
    --------
    >>> lead, selenium = np.array([0, 1, 2, 3, 3]), np.array([2, 2, 3, 3, 2])
    >>> values = 0.010 * lead + 0.002 * selenium
    >>> atoms = np.column_stack([lead, selenium])
    >>> found = fit_composition(values, np.full(5, 1e-4), atoms, [4.5, 1.0], 0.0021)
    >>> [round(float(v), 3) for v in found.linear]
    [0.01, 0.002]
    """
    values, errors = np.asarray(cross_section, dtype=float), np.asarray(std, dtype=float)
    n, bright = np.asarray(counts, dtype=float), np.asarray(brightness, dtype=float)
    if n.ndim != 2 or not len(values) == len(errors) == len(n) or n.shape[1] != len(bright):
        raise InputError(
            f"fit_composition: {len(values)} cross-sections, {len(errors)} errors, counts of shape {n.shape}"
            f" and {len(bright)} species do not belong together."
        )
    found = first_composition(unit, brightness)
    if not len(values):
        return found
    atom = unit * bright
    start = np.concatenate([[0.0], atom, np.zeros(len(bright))])
    scale = np.concatenate([[CONSTANT_SPREAD * atom.min()], RATIO_SPREAD * atom, BEND_SPREAD * atom])
    design = np.column_stack([n.sum(axis=1) > 0, n, n**2])
    for _ in range(ROUNDS):
        predicted = found.predict(n)
        variance = found.variance(predicted, errors)
        robust = (ROBUST + 1) / (ROBUST + (values - predicted) ** 2 / variance)
        weight = robust / variance
        normal = (design.T * weight) @ design + np.diag(scale**-2.0)
        right = (design.T * weight) @ values + start / scale**2
        solved = np.linalg.solve(normal, right)
        linear = np.maximum(solved[1 : 1 + len(bright)], 0.3 * atom)
        found = replace(found, constant=float(solved[0]), linear=linear, bend=solved[1 + len(bright) :])
        predicted = found.predict(n)
        noise, spread = _noise_and_spread(values - predicted, errors, predicted)
        found = replace(found, noise=noise, spread=spread)
    return found


def _noise_and_spread(residual: Floats, std: Floats, predicted: Floats) -> tuple[float, float]:
    """a and w of greatest posterior probability, residuals drawn from a t distribution.

    Priors of ln a and ln w are normal about 0 and the usual spread; too few columns say nothing of either.
    """
    use = predicted > 0
    if np.count_nonzero(use) < 5:
        return 1.0, SPREAD
    error, size, off = std[use], predicted[use], residual[use] ** 2
    usual = np.array([0.0, np.log(SPREAD)])

    def cost(logarithms: Floats) -> tuple[float, Floats]:
        noise, spread = (np.exp(logarithms[0]) * error) ** 2, (np.exp(logarithms[1]) * size) ** 2
        variance, far = noise + spread, (logarithms - usual) / 0.7
        square = off / variance
        misfit = 0.5 * np.log(variance) + 0.5 * (ROBUST + 1) * np.log1p(square / ROBUST)
        excess = (1 - (ROBUST + 1) * square / (ROBUST + square)) / variance
        return misfit.sum() + 0.5 * far @ far, np.array([noise @ excess, spread @ excess]) + far / 0.7

    # L-BFGS-B wakes the threads of BLAS at each step: 48 ms a fit in place of 0.6 on a busy machine
    noise, spread = np.exp(minimize(cost, usual, jac=True, method="BFGS").x)
    return float(noise), float(spread)
