"""How much more than noise the residual of a fit holds, which the fit's error bars have to know.

Correlated noise, distortions of the scan, speckle of a film and peaks of another shape than the model's all
err at the scale of the peaks, where the noise from pixel to pixel says nothing of them. Most of such an
error the fit itself takes up: it has nearly as many parameters as an image of close columns has resolved
details, so that what is left of it looks like noise or less. It has therefore to be compared with what
the same fit leaves of white noise, not with the white noise. What varies slowly between the columns leaves
next to nothing; where there is room beside the particle it is measured there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Floats
from ..images.blur import gaussian_blur
from ..images.noise import filtered_weight, matched_significance
from .inner_products import image_products
from .joint import TINY, Problem, State, model_of, place_of, shared_images, stepped
from .normal_equations import Bordered, solve_bordered
from .peaks import mark_near, nearest_pixels, reach_of
from .surroundings import distance_to_columns, structure_beside

NEAR = 2.0  # widths around the columns within which the residual is looked at
AROUND = 5.0  # widths: standard deviation of the region over which what is seen there is averaged
CUT = 3.0  # of these, where it ends
SAMPLE = 800  # columns in all draws of noise together
FEWEST, MOST = 8, 16  # draws
SMALL = 1e-3  # of a draw: what the model follows in a straight line
TOLERANCE = 1e-2  # of the linear equations


def misfit(
    problem: Problem,
    s: State,
    model: Floats,
    system: Bordered,
    curvature: Floats,
    weight: Floats,
    variance: Floats,
) -> Floats:
    """Factors (n,), at least 1, by which variances of errors exceed what the noise of the pixels makes them.

    The mean, around a column, of z^2 / z0^2, z the significance of a peak in the residual
    (`stemcount.images.noise.matched_significance`) and z0^2 its mean square at the same pixel in what the fit
    leaves of white noise,

        e - J (J'WJ + P)^-1 J'W e,     e ~ N(0, variance).

    Pixel by pixel, because a fit leaves most where it has least to do with the columns, at the particle's
    rim. The factors are all 1 unless the residual of the whole image exceeds every single draw of the noise.

    `model` (rows, cols) is the image that the fit predicts, `system` J'WJ and `curvature` the diagonal of P
    (`stemcount.fitting.joint.normal_equations`), `weight` W and `variance` that of the pixels' noise, both
    (rows, cols).
    """
    near = np.zeros(problem.data.shape, dtype=bool)
    width = float(np.median(s.width))
    mark_near(near, s.x, s.y, NEAR * width)
    near &= problem.valid
    if not near.any():
        return np.ones(len(s.x))
    deviation = np.where(problem.valid, np.sqrt(variance), 0.0)
    trust = np.where(problem.valid, 1 / variance, 0.0)
    filtered = filtered_weight(trust, width)

    # each array of a large image costs more than its sums, so that few are made
    def squares(residual: Floats) -> Floats:
        """z^2 near the columns, 0 elsewhere."""
        z = matched_significance(residual, trust, width, filtered)
        z *= near
        z *= z
        return z

    def noise(draw: int) -> Floats:
        image = np.random.default_rng(draw).standard_normal(deviation.shape)
        image *= deviation
        return image

    draws = draws_for(s)
    steps, shared_steps = answers(problem, s, system, curvature, lambda draw: weight * noise(draw), draws)
    left, most = np.zeros(near.shape), 0.0
    for draw in range(draws):
        to = stepped(problem, s, SMALL * steps[:, draw], SMALL * shared_steps[:, draw])
        followed = model_of(problem, to)
        followed -= model
        followed /= SMALL
        z_squared = squares(np.subtract(noise(draw), followed, out=followed))
        most = max(most, float(z_squared.sum()))
        z_squared /= draws
        left += z_squared
    found = squares(np.where(problem.valid, problem.data - model, 0.0))
    if not found.sum() > most > 0:
        return np.ones(len(s.x))
    inside = near.astype(float)
    left_there, area_there = (gaussian_blur(part, width, edge="dark") for part in (left, inside))
    ratio = np.where(near, found * area_there / np.maximum(left_there, TINY), 0.0)
    at = nearest_pixels(s.x, s.y, ratio.shape)
    total, area = (gaussian_blur(part, AROUND * width, CUT, "dark")[at] for part in (ratio, inside))
    return np.maximum(total / np.maximum(area, TINY), 1.0)


def answers_to_surroundings(
    problem: Problem,
    s: State,
    model: Floats,
    system: Bordered,
    curvature: Floats,
    weight: Floats,
    pixel: float,
) -> Floats:
    """What x, y [pixels] and V [pixels^2] do (n, 3, r) if under the particle varies what does beside it.

    The fit's answers to r random images like the surroundings (`stemcount.fitting.surroundings`); 0 if
    nothing does.
    """
    n, width = len(s.x), float(np.median(s.width))
    residual = np.where(problem.valid, problem.data - model, 0.0)
    distance = distance_to_columns(residual.shape, s.x, s.y)
    structure = structure_beside(residual, problem.valid, problem.basis, distance, width, pixel)
    if structure is None:
        return np.zeros((n, 3, 1))
    draws = draws_for(s)
    steps, _ = answers(problem, s, system, curvature, lambda draw: weight * structure.draw(draw), draws)
    return steps.reshape(n, problem.kinds, draws)[:, :3]


def excess(changes: Floats, alone: Floats) -> Floats:
    """Variances of changes that are alike in all columns, over those of the noise alone (n, 3).

    `changes` (n, 3, r) are those of x, y and V of each column in r images, `alone` (n, 3) the variances by
    the noise. Cross-sections change by as much in all columns. Places change the more the less light a column
    has, and so do their errors by the noise.
    """
    squares = np.mean(changes**2, axis=2)
    of_places = np.broadcast_to(np.mean(squares[:, :2] / alone[:, :2], axis=0), (len(alone), 2))
    return np.column_stack([of_places, np.mean(squares[:, 2]) / alone[:, 2]])


def draws_for(s: State) -> int:
    """Number of random images that tell enough: the more columns, the fewer."""
    return int(np.clip(SAMPLE // len(s.x), FEWEST, MOST))


def answers(
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
