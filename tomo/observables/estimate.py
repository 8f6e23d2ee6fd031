"""Values with the error that the certainty of the atoms gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Floats, Ints
from ..errors import InputError, as_numbers
from ..grid import whole_sites

#: By which a mean of certainties may exceed one.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value, or an array of them, with its standard deviation.

    Attributes
    ----------
    value, std : (...) float
    """

    value: Floats
    std: Floats


def certainty_of(sites: NDArray, certainty: ArrayLike | None) -> Floats:
    """One certainty for each site, 1 where none are given; InputError where their number is another."""
    c = np.ones(len(sites)) if certainty is None else as_numbers("certainty", certainty)
    if c.shape != (len(sites),):
        raise InputError(f"certainty: expected {len(sites)} values, one for each site, got shape {c.shape}.")
    _check_probabilities(c)
    return c


def _check_probabilities(certainty: Floats) -> None:
    wrong = ~((certainty >= 0) & (certainty <= 1 + ROUNDING))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InputError(f"certainty: {certainty[first]:g} of site {first} is not between 0 and 1.")


def over_runs(sites: ArrayLike, runs: ArrayLike, observable: Callable[[Ints], ArrayLike]) -> Estimate:
    """Mean and spread of any observable over the runs of a reconstruction.

    With ``method="sample"`` the runs are draws from the posterior, and the spread is the error of
    the observable, correlations between atoms included. The spread of annealing runs is no error.

    Parameters
    ----------
    sites : (n, 3) int
        ``result.sites``.
    runs : (r, n) bool
        ``result.runs``, at least two.
    observable : callable
        Takes occupied sites (m, 3), returns a number or an array of fixed shape.

    Returns
    -------
    Estimate

    Raises
    ------
    InputError
        If there are fewer than two runs or their width is not the number of sites.

    Examples
    --------
    >>> found = over_runs([(0, 0, 0), (1, 1, 0)], [[True, True], [True, False]], len)
    >>> float(found.value), round(float(found.std), 3)
    (1.5, 0.707)
    """
    grid = whole_sites(sites)
    drawn = np.asarray(runs, dtype=bool)
    if drawn.ndim != 2 or len(drawn) < 2 or drawn.shape[1] != len(grid):
        raise InputError(f"runs: expected at least 2 runs of {len(grid)} sites, got shape {drawn.shape}.")
    if not callable(observable):
        raise InputError(f"observable: expected a function of sites, got {observable!r}.")
    values = np.array([observable(grid[run]) for run in drawn], dtype=float)
    return Estimate(values.mean(axis=0), values.std(axis=0, ddof=1))


def number_of_atoms(certainty: ArrayLike) -> Estimate:
    """Expected number of atoms, as if sites were independent.

    The counts hold atoms together: where one is missing, another is there. The true error is
    therefore smaller; ``over_runs(sites, runs, len)`` gives it for a sampled posterior.

    Parameters
    ----------
    certainty : (n,) float

    Returns
    -------
    Estimate
        Sum of c, with the standard deviation sqrt(sum of c (1 - c)).

    Raises
    ------
    InputError
        If a certainty is not between 0 and 1, or they are no 1D array.

    Examples
    --------
    >>> found = number_of_atoms([1.0, 0.5, 0.5])
    >>> float(found.value), round(float(found.std), 3)
    (2.0, 0.707)
    """
    c = np.atleast_1d(as_numbers("certainty", certainty))
    if c.ndim != 1:
        raise InputError(f"certainty: expected one value for each site, got shape {c.shape}.")
    _check_probabilities(c)
    c = np.minimum(c, 1.0)
    return Estimate(np.asarray(c.sum()), np.asarray(np.sqrt((c * (1 - c)).sum())))
