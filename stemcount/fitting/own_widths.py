"""Widths of their own: how much those of an image differ, and whether the fit is the better for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints
from .covariance import own_covariance
from .joint import TINY, Problem, State, model_of, normal_equations
from .normal_equations import solve_bordered

LARGEST_SPREAD = 0.1  # standard deviation of the columns' own widths, relative to their mean
SMALLEST_SPREAD = 1e-3  # the same, the least
SPREAD_STEPS = 7  # of the bisection between them
WIDTH_SAMPLE = 400  # columns whose widths tell how widths scatter: enough to know it to 4 %
FEWEST_WIDTHS = 5  # columns with a well-measured width that are needed to learn how widths scatter
STIFF = 1e-6  # keeps the mean width of a type where it is when the image tells nothing of it
NEIGHBOURS = 4  # of a column whose cross-sections tell how much a fit scatters


def learn_widths(
    problem: Problem, state: State, weigh: Callable[[Floats], Floats], inflation: float
) -> Problem:
    """The problem with widths of their own, pulled as strongly as their scatter beyond their errors says.

    The widths are taken as drawn from a normal distribution around their type's mean with variance t^2. At
    the t that makes the image most probable, the widths d_n relative to the mean, fitted with that pull, obey

        sum d_n^2 = t^2 sum k_n,     k_n = 1 - C_n / t^2,

    with C_n their posterior variance and k_n the share of a width that the image and not the pull tells
    (MacKay, Neural Computation 4 (1992) 415). It is sought by bisection; the posterior at each t is one step
    of the linearised fit away from `state`. What the model misses (the inflation of the noise law) is much
    the same for all columns, so it does not count as an error of the differences between widths.

    The problem has the mean width of each column's type, ``group_width``, and no shared widths; `weigh` tells
    1 / variance of the pixels for a model image, `inflation` of that variance by what the model misses
    included. It comes back with these means and the spread ``width_spread`` [pixels], the smallest possible
    one where too few widths are known to tell.
    """
    free = replace(problem, width_spread=0.0)
    model = model_of(free, state)
    system, gradient, shared, curvature = normal_equations(free, state, weigh(model), model)
    n, middle, apart = len(state.width), float(np.median(state.width)), state.width - problem.group_width
    some = np.sort(np.random.default_rng(0).permutation(n)[:WIDTH_SAMPLE])

    def pulled(t: float) -> Floats:
        extra = curvature.copy()
        extra[:, 3] += 1 / (t**2 * inflation)
        return extra

    def answer(right: Floats, shared_right: Floats, extra: Floats) -> Floats:
        """Change of the widths in one step."""
        nothing = np.zeros(len(shared))
        step, _ = solve_bordered(system, right.ravel(), shared_right, extra.ravel(), nothing)
        return step.reshape(n, -1)[:, 3]

    def deviations(extra: Floats) -> Floats:
        """Of the widths from the mean that they are pulled to."""
        right = gradient.copy()
        right[:, 3] -= (extra - curvature)[:, 3] * apart
        return apart + answer(right, shared, extra)

    low, high = SMALLEST_SPREAD * middle, LARGEST_SPREAD * middle
    t = high
    for _ in range(SPREAD_STEPS):
        extra = pulled(t)
        error = own_covariance(system, system, extra, some)[:, 3, 3] / inflation
        known = np.clip(1 - error / t**2, TINY, 1.0)
        if t == high and known.sum() < FEWEST_WIDTHS:
            return replace(problem, width_spread=low)
        scatter = deviations(extra)[some] / np.sqrt(known)
        reach = 4 * 1.4826 * float(np.median(np.abs(scatter)))
        if np.average(np.clip(scatter, -reach, reach) ** 2, weights=known) > t**2:
            low = t
        else:
            high = t
        t = float(np.sqrt(low * high))

    # the mean about which the widths of each type scatter with this t: their pulls on it balance
    extra, member = pulled(t), problem.group[:, None] == np.unique(problem.group)
    force = np.zeros((*gradient.shape, member.shape[1]))
    force[:, 3] = member / (t**2 * inflation)
    follow = np.column_stack([answer(f, np.zeros(len(shared)), extra) for f in np.moveaxis(force, -1, 0)])
    balance = member.T @ (member - follow) + STIFF * np.diag(member.sum(axis=0))
    shift = np.linalg.solve(balance, member.T @ deviations(extra))
    spread = t * float(np.sqrt(inflation))
    return replace(problem, group_width=problem.group_width + member @ shift, width_spread=spread)


def neighbour_scatter(state: State, group: Ints) -> float:
    """Typical difference of a cross-section from the median of its nearest neighbours of the same type.

    Neighbours differ by the few atoms that the crystal's shape gives them and by the fit's errors. The
    first is the same for every fit of an image, so the fit with the smaller differences has the smaller
    errors, whatever its own error bars say.
    """
    differences = []
    for g in np.unique(group):
        points = np.column_stack([state.x, state.y])[group == g]
        volume = state.volume[group == g]
        if len(points) > NEIGHBOURS:
            near = cKDTree(points).query(points, k=NEIGHBOURS + 1)[1][:, 1:]
            differences.append(
                np.abs(volume - np.median(volume[near], axis=1)) / max(float(np.median(volume)), TINY)
            )
    return float(np.median(np.concatenate(differences))) if differences else 0.0
