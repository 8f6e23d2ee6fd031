"""How much more than noise the residual of a fit holds, which the fit's error bars have to know.

Correlated noise, distortions of the scan, speckle of a film and peaks of another shape than the model's all
err at the scale of the peaks, where the noise from pixel to pixel says nothing of them. Most of such an
error the fit itself takes up: it has nearly as many parameters as an image of close columns has resolved
details, so that what is left of it looks like noise or less. It has therefore to be compared with what
the same fit leaves of white noise, not with the white noise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .inner_products import image_products
from .joint import Problem, State, model_of, place_of, shared_images, stepped
from .noise import matched_significance
from .normal_equations import Bordered, solve_bordered
from .peaks import mark_near, reach_of

Floats = NDArray[np.float64]

NEAR = 2.0  # widths around the columns within which the residual is looked at
SAMPLE = 800  # columns in all draws of white noise together: their median is then known to about 5 %
FEWEST, MOST = 1, 16  # draws
SMALL = 1e-3  # of a draw: what the model follows in a straight line
TOLERANCE = 1e-2  # of the linear equations


def misfit(
    problem: Problem, s: State, system: Bordered, curvature: Floats, weight: Floats, variance: Floats
) -> float:
    """Factor, at least 1, by which the variances of a fit's errors exceed what the pixels' noise makes them.

    The median of z^2 near the columns, z the significance of a peak in the residual
    (`stemcount.noise.matched_significance`), over its median in what the fit leaves of white noise,

        e - J (J'WJ + P)^-1 J'W e,     e ~ N(0, variance).

    It is 1 unless the residual exceeds every single draw of the noise.

    Parameters
    ----------
    problem, s
        The fit and its result.
    system, curvature
        J'WJ and the diagonal of P; see `stemcount.joint.normal_equations`.
    weight : (rows, cols) float
        W, the weights of the fit.
    variance : (rows, cols) float
        Of the pixels' noise [image units^2].
    """
    near = np.zeros(problem.data.shape, dtype=bool)
    width = float(np.median(s.width))
    mark_near(near, s.x, s.y, NEAR * width)
    near &= problem.valid
    if not near.any():
        return 1.0
    model, deviation = model_of(problem, s), np.where(problem.valid, np.sqrt(variance), 0.0)
    trust = np.where(problem.valid, 1 / variance, 0.0)

    def size(residual: Floats) -> float:
        """Median square of the significance near the columns: a few places that went wrong are not all."""
        return float(np.median(matched_significance(residual, trust, width)[near] ** 2))

    def noise(draw: int) -> Floats:
        return deviation * np.random.default_rng(draw).standard_normal(deviation.shape)

    draws = int(np.clip(SAMPLE // len(s.x), FEWEST, MOST))
    steps, shared_steps = _answers(problem, s, system, curvature, lambda draw: weight * noise(draw), draws)
    left = []
    for draw in range(draws):
        to = stepped(problem, s, SMALL * steps[:, draw], SMALL * shared_steps[:, draw])
        left.append(size(noise(draw) - (model_of(problem, to) - model) / SMALL))
    found = size(np.where(problem.valid, problem.data - model, 0.0))
    return max(1.0, found / float(np.mean(left))) if found > max(left) > 0 else 1.0


def _answers(
    problem: Problem,
    s: State,
    system: Bordered,
    curvature: Floats,
    weighted: Callable[[int], Floats],
    number: int,
) -> tuple[Floats, Floats]:
    """Steps of the own (N, r) and the shared parameters (s, r) by which the fit follows r images times W."""
    reach = reach_of(s.width, *s.tail)
    shared = shared_images(problem, s)
    gradient = np.empty((len(s.x) * problem.kinds, number))
    shared_gradient = np.empty((len(shared), number))
    products = np.empty((len(s.x), problem.kinds, 1))
    for k in range(number):
        image = weighted(k)
        image_products(image[None], *place_of(s), *s.tail, reach, products)
        gradient[:, k] = products.ravel()
        shared_gradient[:, k] = shared.reshape(len(shared), image.size) @ image.ravel()
    nothing = np.zeros(problem.n_shared)
    return solve_bordered(system, gradient, shared_gradient, curvature.ravel(), nothing, TOLERANCE)
