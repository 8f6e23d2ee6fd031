"""A halo: the part of a probe that is much wider than the peaks of the columns.

Some of what a column scatters appears around it, at distances of several columns: the probe has wide tails,
and a thick crystal spreads the beam. Where the particle is even that looks like background; at its rim and
beyond it falls off over many pixels, which peaks alone would explain by columns drawn outward. With the halo
a column of volume V adds

    V ((1 - f) p(r) + f (p * g)(r)),     g(r) = exp(-r^2 / 2 R^2) / (2 pi R^2),

to the image, the same share f and radius R for all columns.

Blurring with g is a multiplication of the image's cosine transform, which takes the image as mirrored at
its edges: a crystal that an edge cuts goes on beyond it. So the halo of an image of peaks, and the peaks
alone from an image with its halo, cost two transforms each. In the joint fit the halo of the last model is
one more image of the background, with the strength s = f / (1 - f) as its coefficient: what one column adds
to it is so little and so even that the columns' own equations need not know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.fft import dctn, idctn

from ..arrays import Floats
from ..images.noise import residual_inflation
from .joint import Problem, State, background_of, model_of, shared_images, solve

ROUNDS = 8  # of columns and their halo in turn, at most
SETTLED = 1e-3  # change of the halo's strength that ends them


def transfer(shape: tuple[int, ...], radius: float) -> Floats:
    """By what blurring with g multiplies the cosine transform of an image; `radius` in pixels."""
    rows, cols = (np.exp(-0.5 * (np.pi * np.arange(size) / size * radius) ** 2) for size in shape)
    return np.outer(rows, cols)


def halo_of(peaks: Floats, radius: float) -> Floats:
    """An image (rows, cols) of peaks, blurred with g.

    Examples
    --------
    >>> image = np.zeros((40, 50))
    >>> image[20, 25] = 1.0
    >>> halo = halo_of(image, 3.0)
    >>> bool(np.isclose(halo.sum(), 1.0)), bool(np.isclose(halo[20, 25], 1 / (2 * np.pi * 9)))
    (True, True)
    """
    return np.asarray(idctn(dctn(peaks) * transfer(peaks.shape, radius)))


def halo_in(light: Floats, radius: float, strength: float) -> Floats:
    """The blurred peaks, if `light` (rows, cols) is peaks + strength x blurred peaks."""
    g = transfer(light.shape, radius)
    return np.asarray(idctn(dctn(light) * g / (1 + strength * g)))


def strength_of(problem: Problem, state: State) -> float:
    """Volume of the halo over that of the peaks; 0 without a halo."""
    return float(state.background[-1]) if problem.halo > 0 else 0.0


def share_of(problem: Problem, state: State) -> float:
    """Share f of the columns' volume that is in their halo."""
    strength = max(strength_of(problem, state), 0.0)
    return strength / (1 + strength)


def add_halo(problem: Problem, state: State, radius: float) -> tuple[Problem, State]:
    """The problem with a halo of a `radius` [pixels], of no strength yet."""
    basis = np.concatenate([problem.basis, np.zeros((1, *problem.data.shape))])
    background = np.append(state.background, 0.0)
    return replace(problem, basis=basis, halo=radius), replace(state, background=background)


def refreshed(problem: Problem, state: State) -> Problem:
    """The problem with the halo of the columns as they are now."""
    light = model_of(problem, state) - background_of(problem, state)
    halo = halo_in(light, problem.halo, max(strength_of(problem, state), 0.0))
    return replace(problem, basis=np.concatenate([problem.basis[:-1], halo[None]]))


def settle(
    problem: Problem,
    state: State,
    weigh: Callable[[Floats], Floats],
    max_iterations: int,
    tolerance: float = 1e-4,
) -> tuple[Problem, State]:
    """`solve`, for columns and their halo, if the problem has one, in turn."""
    if problem.halo == 0:
        return problem, solve(problem, state, weigh, max_iterations, tolerance)
    for _ in range(ROUNDS):
        before = strength_of(problem, state)
        problem = refreshed(problem, state)
        state = solve(problem, state, weigh, max_iterations, tolerance)
        if abs(strength_of(problem, state) - before) < SETTLED:
            break
    return problem, state


def halo_gain(problem: Problem, state: State, weight: Floats, radius: float) -> float:
    """By how much a halo would lower the weighted sum of squares: the score test of its strength.

    What the background, the common widths and a common factor of the volumes could do in its place is
    projected out; what the volumes of single columns could do is not. 0 if its strength would be negative.
    """
    model = model_of(problem, state)
    light = model - background_of(problem, state)
    used = weight > 0
    root = np.sqrt(weight[used])
    others = np.stack([*(image[used] for image in shared_images(problem, state)), light[used]], axis=1)
    others *= root[:, None]
    halo = halo_of(light, radius)[used] * root
    halo -= others @ np.linalg.lstsq(others.T @ others, others.T @ halo, rcond=None)[0]
    slope = float(halo @ ((problem.data - model)[used] * root))
    square = float(halo @ halo)
    return max(slope, 0.0) ** 2 / square if square > 0 else 0.0


def halo_helps(
    before: tuple[Problem, State], after: tuple[Problem, State], weight: Floats, radius: float
) -> bool:
    """Whether the fit with a halo is so much better that the data want one.

    By the Bayesian information criterion (Schwarz, Ann. Stat. 6 (1978) 461), with what it leaves at the
    halo's own scale counted as noise: the speckle of a film or an uneven background is no halo.
    """
    used = weight > 0
    squares = [np.where(used, p.data - model_of(p, s), 0.0) ** 2 * weight for p, s in (before, after)]
    left = np.where(used, after[0].data - model_of(*after), 0.0)
    inflation = residual_inflation(left, weight, radius, used)
    gain = float(np.sum(squares[0]) - np.sum(squares[1]))
    return gain / inflation > np.log(np.count_nonzero(used))
