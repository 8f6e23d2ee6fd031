"""Gauss-Newton for all columns of an image at once, in pixels and image units.

What is minimised is sum w (d - m)^2 + the cost of the pulls, d the image, m the model and w the weights. A
step that raises it is damped by adding to the diagonal of the normal equations (Levenberg-Marquardt:
Marquardt, J. Soc. Indust. Appl. Math. 11 (1963) 431). With w = 1 / variance(m), taken anew in every step, the
steps are those of Fisher scoring, and end at the maximum of the likelihood of counted electrons (Green, J. R.
Stat. Soc. B 46 (1984) 149).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Bools, Floats, Ints
from .inner_products import image_products
from .normal_equations import Bordered, local_blocks, solve_bordered
from .peaks import add_peaks, add_shared_derivatives, reach_of

WIDTH_BOUNDS = (0.5, 2.2)  # of a width, relative to the one at the start
OWN_WIDTH_BOUNDS = (0.75, 1.33)  # of a column's own width, relative to the common one
TAIL_BOUNDS = ((0.01, 0.6), (1.3, 3.0))  # of the tail's fraction and of its width ratio
LARGEST_MOVE = 0.5  # widths that a column may move in one step
SETTLED = 1e-3  # relative decrease of the sum of squares that ends the fit, per tolerance
TINY = 1e-300


@dataclass(frozen=True)
class State:
    """Everything that is fitted.

    Attributes
    ----------
    x, y, volume, width : (n,) float
        Centre [pixels], volume [image units x pixel^2] and rho [pixels] of each column.
    tail : tuple of 2 float
        Fraction and width ratio of the tail; (0, 1) without one.
    background : (m,) float
        Coefficients of the background's basis images.
    """

    x: Floats
    y: Floats
    volume: Floats
    width: Floats
    tail: tuple[float, float]
    background: Floats


@dataclass(frozen=True)
class Problem:
    """What stays the same while the joint fit runs.

    Attributes
    ----------
    data : (rows, cols) float
    valid : (rows, cols) bool
        Pixels that are used.
    x0, y0 : (n,) float
        Where the pull holds the columns [pixels].
    pull : float
        Standard deviation of a column's distance from there, in x and in y [pixels]; 0 for no pull.
    group : (n,) int
        Which shared width a column has.
    n_groups : int
        Number of shared widths; 0 when every column has its own.
    group_width : (n,) float
        The common width that own widths, or those of several groups, are pulled to [pixels].
    width_spread : float
        Their standard deviation about it [pixels]; 0 for no pull.
    tailed : bool
        Whether the tail is fitted.
    basis : (m, rows, cols) float
        Images whose sum with the coefficients is the background.
    fixed_background : float or (rows, cols) float
        Background that is known.
    width_start : float
        Width at the start [pixels]; bounds are relative to it.
    halo : float
        Radius of the columns' halo [pixels], which then is the last image of `basis`; 0 for none.
    """

    data: Floats
    valid: Bools
    x0: Floats
    y0: Floats
    pull: float
    group: Ints
    n_groups: int
    group_width: Floats
    width_spread: float
    tailed: bool
    basis: Floats
    fixed_background: float | Floats
    width_start: float
    halo: float = 0.0

    @property
    def kinds(self) -> int:
        """Own parameters of each column: x, y, volume and perhaps width."""
        return 4 if self.n_groups == 0 else 3

    @property
    def n_shared(self) -> int:
        """Number of parameters that all columns share."""
        return len(self.basis) + self.n_groups + 2 * self.tailed


def background_of(problem: Problem, s: State) -> Floats:
    """The background alone, without the halo of the columns (rows, cols)."""
    last = len(problem.basis) - (problem.halo > 0)
    if last == 0:
        return np.full(problem.data.shape, problem.fixed_background)
    image = s.background[0] * problem.basis[0]
    image += problem.fixed_background
    for coefficient, picture in zip(s.background[1:last], problem.basis[1:last], strict=True):
        image += coefficient * picture
    return image


def model_of(problem: Problem, s: State) -> Floats:
    """Image that a state predicts (rows, cols)."""
    image = background_of(problem, s)
    if problem.halo > 0:
        image += s.background[-1] * problem.basis[-1]
    add_peaks(image, *place_of(s), *s.tail)
    return image


def place_of(s: State) -> tuple[Floats, Floats, Floats, Floats]:
    """x, y, volume and width, as the kernels take them."""
    return s.x, s.y, s.volume, s.width


def shared_images(problem: Problem, s: State) -> Floats:
    """Derivatives by the shared parameters: background, widths of the groups, tail."""
    m = len(problem.basis)
    if problem.n_shared == m:
        return problem.basis
    images = np.zeros((problem.n_shared, *problem.data.shape))
    images[:m] = problem.basis
    reach = reach_of(s.width, *s.tail)
    add_shared_derivatives(images[m:], *place_of(s), problem.group, problem.n_groups, *s.tail, reach)
    return images


def _pull(problem: Problem, s: State) -> tuple[float, Floats, Floats]:
    """Cost of the pulls, and minus half its gradient and half its curvature by the own parameters."""
    gradient = np.zeros((len(s.x), problem.kinds))
    curvature = np.zeros((len(s.x), problem.kinds))
    if problem.pull > 0:
        gradient[:, 0] = (problem.x0 - s.x) / problem.pull**2
        gradient[:, 1] = (problem.y0 - s.y) / problem.pull**2
        curvature[:, :2] = 1 / problem.pull**2
    if problem.n_groups == 0 and problem.width_spread > 0:
        gradient[:, 3] = (problem.group_width - s.width) / problem.width_spread**2
        curvature[:, 3] = 1 / problem.width_spread**2
    cost = float(np.sum(gradient**2 / np.maximum(curvature, TINY)))
    return cost, gradient, curvature


def _pull_of_groups(problem: Problem, s: State) -> Floats:
    """Minus half the gradient of the cost of the pull of the groups' widths, by these widths (n_groups,)."""
    first = np.unique(problem.group, return_index=True)[1]
    return np.asarray((problem.group_width - s.width)[first] / problem.width_spread**2)


def objective(problem: Problem, s: State, weight: Floats, model: Floats) -> float:
    """Weighted sum of squares plus the cost of the pulls, of a state and the image that it predicts."""
    residual = problem.data - model
    square = weight * residual
    square *= residual
    cost = float(np.sum(square)) + _pull(problem, s)[0]
    if problem.n_groups > 1 and problem.width_spread > 0:
        cost += float(np.sum((problem.width_spread * _pull_of_groups(problem, s)) ** 2))
    return cost


def normal_equations(
    problem: Problem, s: State, weight: Floats, model: Floats
) -> tuple[Bordered, Floats, Floats, Floats]:
    """Matrices, gradients (own and shared) with the pulls, curvature of the pulls; `model` is the state's."""
    shared = shared_images(problem, s)
    images = np.empty((1 + len(shared), *model.shape))
    np.subtract(problem.data, model, out=images[0])
    images[0] *= weight
    np.multiply(shared, weight, out=images[1:])
    products = np.empty((len(s.x), problem.kinds, len(images)))
    reach = reach_of(s.width, *s.tail)
    image_products(images, *place_of(s), *s.tail, reach, products)
    gradient, border = products[:, :, 0], products[:, :, 1:].reshape(len(s.x) * problem.kinds, len(shared))
    matrix = local_blocks(weight, *place_of(s), s.tail, problem.kinds)
    _, pull_gradient, curvature = _pull(problem, s)
    # a column without volume says nothing about its place or width: keep the system regular
    diagonal = matrix.diagonal().reshape(-1, problem.kinds)
    largest = diagonal.max(axis=0, initial=0.0)
    curvature += 1e-9 * np.where(largest > 0, largest, 1.0)
    along = images.reshape(len(images), model.size) @ shared.reshape(len(shared), model.size).T
    if problem.n_groups > 1 and problem.width_spread > 0:
        widths = np.arange(len(problem.basis), len(problem.basis) + problem.n_groups)
        along[0, widths] += _pull_of_groups(problem, s)
        along[1 + widths, widths] += 1 / problem.width_spread**2
    return Bordered(matrix, border, along[1:]), gradient + pull_gradient, along[0], curvature


def stepped(problem: Problem, s: State, step: Floats, shared_step: Floats) -> State:
    """The state after a step of the columns' own parameters and of the shared ones."""
    step = step.reshape(-1, problem.kinds)
    m, g = len(problem.basis), problem.n_groups
    tail = s.tail
    if problem.tailed:
        tail = (s.tail[0] + float(shared_step[m + g]), s.tail[1] + float(shared_step[m + g + 1]))
    return State(
        x=s.x + step[:, 0],
        y=s.y + step[:, 1],
        volume=s.volume + step[:, 2],
        width=s.width + (shared_step[m + problem.group] if g else step[:, 3]),
        tail=tail,
        background=s.background + shared_step[:m],
    )


def _moved(problem: Problem, s: State, step: Floats, shared_step: Floats) -> State:
    """The state after a step, kept within the bounds."""
    to = stepped(problem, s, step, shared_step)
    limit = LARGEST_MOVE * s.width
    low, high = (b * problem.width_start for b in WIDTH_BOUNDS)
    width = to.width
    if problem.n_groups == 0:
        width = np.clip(width, *(b * problem.group_width for b in OWN_WIDTH_BOUNDS))
    tail = s.tail
    if problem.tailed:
        tail = (float(np.clip(to.tail[0], *TAIL_BOUNDS[0])), float(np.clip(to.tail[1], *TAIL_BOUNDS[1])))
    return State(
        x=np.clip(to.x, s.x - limit, s.x + limit),
        y=np.clip(to.y, s.y - limit, s.y + limit),
        volume=np.maximum(to.volume, 0.0),
        width=np.clip(width, np.maximum(low, 0.8 * s.width), np.minimum(high, 1.25 * s.width)),
        tail=tail,
        background=to.background,
    )


def solve(
    problem: Problem,
    state: State,
    weigh: Callable[[Floats], Floats],
    max_iterations: int,
    tolerance: float = 1e-4,
    linear_tolerance: float = 1e-3,
) -> State:
    """Iterate until no parameter moves any more.

    Weights (rows, cols) [1 / image units^2] are told by `weigh` for a model image, in every iteration. The
    largest change of a position or volume that ends it, relative to the width and to the largest volume, is
    `tolerance`; `linear_tolerance` is that of `solve_local`.
    """
    damping = 0.0
    model = model_of(problem, state)
    for _ in range(max_iterations):
        weight = weigh(model)
        system, gradient, shared_gradient, curvature = normal_equations(problem, state, weight, model)
        before = objective(problem, state, weight, model)
        diagonal = system.local.diagonal().reshape(-1, problem.kinds)
        for _ in range(10):
            step, shared_step = solve_bordered(
                system,
                gradient.ravel(),
                shared_gradient,
                (curvature + damping * diagonal).ravel(),
                damping * np.diag(system.shared),
                linear_tolerance,
            )
            trial = _moved(problem, state, step, shared_step)
            predicted = model_of(problem, trial)
            after = objective(problem, trial, weight, predicted)
            if after <= before * (1 + 1e-12):
                damping = 0.0 if damping < 1e-3 else damping / 10
                break
            damping = max(10 * damping, 1e-3)
        else:
            return state
        shift = max(float(np.max(np.abs(trial.x - state.x))), float(np.max(np.abs(trial.y - state.y))))
        growth = float(np.max(np.abs(trial.volume - state.volume)))
        state, model = trial, predicted
        small = shift < tolerance * problem.width_start and growth < tolerance * float(np.max(state.volume))
        if small or before - after <= SETTLED * tolerance * before:
            break
    return state
