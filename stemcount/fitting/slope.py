"""Whether the background slopes under columns that leave no room to see it beside them.

A slope that is taken for an even background is given to the columns, on one side too much and on the other
too little. Between the columns it shows. So does light that is theirs: the tails of their peaks add up to a
slope where a crystal is a wedge. What tells them apart is that tails follow the columns: a slope is one for
what no halo of these, of whatever radius and strength, can do in its place. Where an image cuts the crystal,
the tails of thicker columns beyond its edges look like a slope, too: there the background stays even.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..arrays import Bools, Floats
from ..images.noise import residual_inflation
from .background import background_basis
from .halo import halo_of
from .joint import Problem, State, background_of, model_of, normal_equations, shared_images, solve, stepped
from .normal_equations import inverse_of, solve_local
from .peaks import nearest_pixels

RADII = (1.0, 2.0, 4.0, 8.0)  # spacings: of halos that could be there in place of a slope
HIGHEST = 3  # degree of the polynomial that, with the halos, takes what is slow out of the residual
LIKELY = 1.0  # a halo's light over its columns': one far wider than they lie would need a hundred
SLOW = (0.5, 2.0)  # spacings: scales at which what is left counts as noise
CHANCE = 4.0  # gain from which a slope is looked at: twice what noise has
EDGE = 4.0  # widths from the edges of the image, where columns beyond them may shine
AT_EDGE = 2.0  # widths from them within which columns mean that the image cuts the crystal
A_FEW = 0.02  # of the columns: so few are there by mistake
FARTHER = 2.0  # spacings from the edges, where the image cuts it
# Of the evidence for halos: a slope with less is what halos that are not quite of this shape leave.
RIVAL = 0.25
SMALL = 1e-3  # of a step: what the model follows in a straight line


def with_slope(
    problem: Problem,
    state: State,
    weigh: Callable[[Floats], Floats],
    inflation: float,
    spacing: float,
    max_iterations: int,
    cut: float = np.inf,
) -> tuple[Problem, State]:
    """The problem on a plane in place of an even background, and its fit, if the image shows that it slopes.

    `problem` and `state` are a fit on an even background. `weigh` gives the weights (rows, cols)
    [1 / image units^2] for a model image, and `inflation` is by how much these are less than those of the
    noise alone, as the fit leaves more than that; `spacing` is that of the columns [pixels]. Where the image
    cuts the crystal a slope needs `cut` times the evidence: if infinite, none is found there.
    """
    at_edge = ~recorded_inside(problem, AT_EDGE * problem.width_start)
    whole = np.mean(at_edge[nearest_pixels(problem.x0, problem.y0, at_edge.shape)]) < A_FEW
    if not (whole or np.isfinite(cut)) or not np.isfinite(spacing):
        return problem, state
    plane = background_basis(problem.data.shape, 1)
    if gain_of(problem, state, weigh, plane[1:]) < CHANCE:
        return problem, state
    sloping = replace(problem, basis=plane)
    start = replace(state, background=np.append(state.background, [0.0, 0.0]))
    found = solve(sloping, start, weigh, max_iterations, tolerance=1e-2)
    if not found.volume.any():  # the plane has taken the light of all: they tell nothing
        return problem, state
    weight = weigh(model_of(sloping, found)) * inflation
    reach = EDGE * float(found.width[0])
    weight[~recorded_inside(problem, reach if whole else max(reach, FARTHER * spacing))] = 0.0
    # columns beyond the edges, which are not in the model, may shine like a far stronger halo
    by_slope, by_halos = evidence(sloping, found, weight, spacing, LIKELY if whole else np.inf)
    # of two numbers, by the Bayesian information criterion
    price = 2 * np.log(max(float(np.count_nonzero(weight)), 1.0))
    slopes = by_slope > max(price if whole else cut * price, RIVAL * by_halos)
    return (sloping, found) if slopes else (problem, state)


def recorded_inside(problem: Problem, distance: float) -> Bools:
    """Pixels (rows, cols) farther than a distance [pixels] from the edges of what was recorded."""
    parts: list[Bools] = []
    for axis in (0, 1):
        there = np.flatnonzero(problem.valid.any(axis=1 - axis))
        at = np.arange(problem.valid.shape[axis])
        parts.append((at - there[0] >= distance) & (there[-1] - at >= distance))
    return parts[0][:, None] & parts[1]


def gain_of(problem: Problem, state: State, weigh: Callable[[Floats], Floats], images: Floats) -> float:
    """By how much some images (m, rows, cols) would lower the weighted sum of squares at least.

    The score test of their strengths. What the background and the common widths could do in their place is
    projected out; what the columns could do, which leaves less of the images, and so more gain, is not.
    """
    model = model_of(problem, state)
    weight = weigh(model)
    used = weight > 0
    root = np.sqrt(weight[used])
    others = np.stack([image[used] for image in shared_images(problem, state)], axis=1) * root[:, None]
    new = np.stack([image[used] for image in images], axis=1) * root[:, None]
    new -= others @ np.linalg.lstsq(others.T @ others, others.T @ new, rcond=None)[0]
    along = new.T @ ((problem.data - model)[used] * root)
    return float(along @ np.linalg.lstsq(new.T @ new, along, rcond=None)[0])


def evidence(
    problem: Problem, state: State, weight: Floats, spacing: float, likely: float
) -> tuple[float, float]:
    """Squared significance of the slope of a fit on a plane, and of halos of its columns beside it.

    c' S^-1 c, c the two coefficients of the slope, or those of halos of all `RADII`, where both are fitted,
    S their covariance with everything else that is fitted free. The strength of a halo has a Gaussian prior
    of width `likely`. What halos and a polynomial of degree `HIGHEST` leave at the scales of `SLOW` counts as
    noise, as the errors of the peaks' shape.
    """
    model = model_of(problem, state)
    light = model - background_of(problem, state)
    basis = [*background_basis(model.shape, HIGHEST), *(halo_of(light, r * spacing) for r in RADII)]
    more = len(basis) - len(problem.basis)
    wider = replace(problem, basis=np.array(basis))
    start = replace(state, background=np.append(state.background, np.zeros(more)))
    system, gradient, shared_gradient, curvature = normal_equations(wider, start, weight, model)
    # columns near the edges, which the weights may leave out, keep the system regular
    typical = float(np.median(state.volume)) or float(np.mean(state.volume))
    curvature[:, 2] += 1 / typical**2
    right = np.column_stack([gradient.ravel(), system.border])
    z = solve_local(system.local, right, curvature.ravel(), 1e-3)
    onto = np.einsum("Ns,Nt->st", system.border, z)
    schur, along = system.shared - onto[:, 1:], shared_gradient - onto[:, 0]
    halos = np.arange(len(basis) - len(RADII), len(basis))
    schur[halos, halos] += 1 / likely**2
    every = inverse_of(schur) @ along
    to = stepped(wider, start, SMALL * (z[:, 0] - z[:, 1:] @ every), SMALL * every)
    left = problem.data - model - (model_of(wider, to) - model) / SMALL
    used = weight > 0
    left[~used] = 0.0
    noise = max(residual_inflation(left, weight, r * spacing, used) for r in SLOW)
    # the polynomial's higher degrees are no rivals of the slope
    kept = np.r_[:3, halos[0] : len(schur)]
    covariance = inverse_of(schur[np.ix_(kept, kept)])
    found = covariance @ along[kept]
    found[:3] += state.background
    squares = []
    for which in (slice(1, 3), slice(3, 3 + len(RADII))):
        squares.append(float(found[which] @ np.linalg.pinv(covariance[which, which]) @ found[which]) / noise)
    return squares[0], squares[1]
