"""How significant each column of a set is, and what the set leaves of the image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .covariance import column_covariance
from .fit import TAIL_START, Choice, first_state, make_problem, noise_law, typical_spacing, weights_of
from .image import ZoneAxisImage
from .joint import Problem, State, model_of, normal_equations, solve
from .noise import NoiseLaw
from .normal_equations import Bordered, diagonal_blocks
from .peaks import add_shared_derivatives, mark_near, peak_height

Floats = NDArray[np.float64]

CLOSE = 3.0  # widths: columns that are closer may hide others
MISFIT = 1.5  # scatter of the scores above which the peaks are given tails at once
OWN_SCORE = 0.9  # of a peak's volume over error: its share in the difference of Gaussians, 0.6 / sqrt(0.45)
N_LEVELS = 12
ROUGH = 0.03  # residual of the linear equations in fits that only judge a set
GIVE_WAY = 0.4  # widths that a neighbour may move to take over a column's intensity


@dataclass(frozen=True)
class Revision:
    """A set of columns, the fit that judged it [pixels] and what that fit leaves.

    Attributes
    ----------
    points : (n, 2) float
        Fitted positions [A].
    significance : (n,) float
        Of each column, see `judge`.
    state, problem
        The fit.
    scores : (rows, cols) float
        `peak_scores` of the residual, in units of their spread at the pixel's intensity.
    tail_gain : float
        By how much tails would lower the weighted sum of squares; 0 if the peaks have them.
    law : NoiseLaw
        Of the pixels.
    """

    points: Floats
    significance: Floats
    state: State
    problem: Problem
    scores: Floats
    tail_gain: float
    law: NoiseLaw

    @property
    def width(self) -> float:
        """Common width of the peaks [pixels]."""
        return float(self.state.width[0])

    @property
    def extent(self) -> float:
        """Root mean square radius of a peak along one axis, tails included [pixels]."""
        fraction, ratio = self.state.tail
        return self.width * float(np.sqrt(1 - fraction + fraction * ratio**2))

    @property
    def crowded(self) -> bool:
        """Whether peaks overlap so much that some may hide others."""
        return typical_spacing(self.state.x, self.state.y, np.inf) < CLOSE * self.width


def judge(image: ZoneAxisImage, points: Floats, width: float | None = None) -> Revision:
    """Fit columns with a common width and measure how significant each of them is.

    A column is as significant as the less convincing of two measures: its volume over its error, with
    everything free that could do without it (its neighbours' places and volumes), and how much of a
    peak remains at its place when it alone is taken out of the model. Both count in units of what the
    scores scatter where the *other* columns and the background are as bright.

    Parameters
    ----------
    image : ZoneAxisImage
    points : (n, 2) float
        Start positions [A].
    width : float, optional
        To begin with [pixels].
    """
    problem = problem_of(image, points)
    if width is not None:
        problem = replace(problem, width_start=width)
    state = first_state(problem)
    law = noise_law(problem, state, image, "least_squares")
    return _assess(
        image,
        problem,
        solve(problem, state, weights_of(problem, law), 4, tolerance=0.1, linear_tolerance=ROUGH),
        5,
    )


def judge_again(
    image: ZoneAxisImage, last: Revision, keep: NDArray[np.bool_], new: Floats, tailed: bool = False
) -> Revision:
    """The same for some of the columns of a revision and new ones, from where its fit ended.

    Parameters
    ----------
    image : ZoneAxisImage
    last : Revision
    keep : (n,) bool
        The columns of `last` that are still in the set.
    new : (m, 2) float
        Places of more columns [A].
    tailed : bool
        Whether to give the peaks tails if they have none yet.
    """
    problem = problem_of(image, np.concatenate([last.points[keep], new]))
    problem = replace(problem, width_start=last.width, tailed=last.problem.tailed or tailed)
    state = State(
        x=problem.x0,
        y=problem.y0,
        volume=np.concatenate([last.state.volume[keep], np.zeros(len(new))]),
        width=np.full(len(problem.x0), last.width),
        tail=TAIL_START if tailed and not last.problem.tailed else last.state.tail,
        background=last.state.background,
    )
    return _assess(image, problem, state, 4)


def problem_of(image: ZoneAxisImage, points: Floats) -> Problem:
    """Joint fit with a common width."""
    return make_problem(image, points, np.zeros(len(points), dtype=np.int64), Choice(widths="common"))


def _assess(image: ZoneAxisImage, problem: Problem, state: State, steps: int) -> Revision:
    """Finish the fit with the image's own noise as weights, with tails if it needs them; measure."""
    law = replace(noise_law(problem, state, image, "poisson"), inflation=1.0)
    state = solve(problem, state, weights_of(problem, law), steps, tolerance=0.03, linear_tolerance=ROUGH)
    model, weight, scores = scores_of(problem, state, law)
    if not problem.tailed and np.mean(spread_of(scores, model, problem, state)[1]) > MISFIT:
        # not noise but the peaks' shape dominates the residual
        problem, state = replace(problem, tailed=True), replace(state, tail=TAIL_START)
        state = solve(problem, state, weights_of(problem, law), 5, tolerance=0.03, linear_tolerance=ROUGH)
        model, weight, scores = scores_of(problem, state, law)
    # a neighbour could give way, but not farther than linear equations hold
    free = replace(problem, pull=GIVE_WAY * float(state.width[0]))
    system, _, _, curvature, _ = normal_equations(free, state, weight)
    # that all volumes have a scale in common does not make any one column doubtful
    alone = Bordered(system.local, np.zeros((system.local.shape[0], 0)), np.zeros((0, 0)))
    covariance, _ = column_covariance(alone, alone, curvature.ravel(), np.zeros(0))
    error = np.sqrt(np.maximum(covariance[:, 2, 2], 1e-300))
    blocks = diagonal_blocks(system.local)
    blocks[:, range(3), range(3)] += curvature
    single = np.sqrt(np.linalg.inv(blocks)[:, 2, 2])
    i = np.clip(np.rint(state.y).astype(int), 0, model.shape[0] - 1)
    j = np.clip(np.rint(state.x).astype(int), 0, model.shape[1] - 1)
    top = peak_height(state.volume, state.width, state.tail)
    levels, spread = spread_of(scores, model, problem, state)
    own = spread[np.searchsorted(levels, np.maximum(model[i, j] - top, model.min()))]
    # what the column's own peak adds to the score, its weights those of the present model
    peak = scores[i, j] + OWN_SCORE * state.volume / single
    significance = np.minimum(state.volume / error, peak) / own
    fitted = np.column_stack([state.x, state.y]) * image.pixel_size + image.offset
    scaled = scores / spread[np.searchsorted(levels, model)]
    gain = 0.0 if problem.tailed else tail_gain(problem, state, model, weight)
    return Revision(fitted, significance, state, problem, scaled, gain, law)


def scores_without(revision: Revision, doubtful: NDArray[np.bool_]) -> Floats:
    """How much of a peak there is at each column's place when all doubtful ones are left out together.

    Columns side by side on an even background hold each other up: each alone leaves a hole when it is
    taken away. Together they leave what the background is, which has no peaks.

    Parameters
    ----------
    revision : Revision
    doubtful : (n,) bool

    Returns
    -------
    (n,) float
    """
    problem, state = revision.problem, revision.state
    rest = replace(state, volume=np.where(doubtful, 0.0, state.volume))
    weight = weights_of(problem, revision.law)(model_of(problem, state))
    model = model_of(problem, rest)
    residual = np.where(problem.valid, problem.data - model, 0.0)
    scores = peak_scores(residual, weight, revision.width)
    levels, spread = spread_of(scores, model, problem, rest)
    i = np.clip(np.rint(state.y).astype(int), 0, model.shape[0] - 1)
    j = np.clip(np.rint(state.x).astype(int), 0, model.shape[1] - 1)
    return np.asarray(scores[i, j] / spread[np.searchsorted(levels, model[i, j])])


def scores_of(problem: Problem, state: State, law: NoiseLaw) -> tuple[Floats, Floats, Floats]:
    """Model, weights and `peak_scores` of what the model leaves."""
    model = model_of(problem, state)
    weight = weights_of(problem, law)(model)
    residual = np.where(problem.valid, problem.data - model, 0.0)
    return model, weight, peak_scores(residual, weight, float(state.width[0]))


def tail_gain(problem: Problem, state: State, model: Floats, weight: Floats) -> float:
    """By how much tails would lower the weighted sum of squares: the score test of the tail's fraction.

    What a common scale of the volumes, the width and the background could do in its place is projected
    out of the tail's derivative.
    """
    images = np.zeros((3, *model.shape))
    group = np.zeros(len(state.x), dtype=np.int64)
    ratio = TAIL_START[1]
    add_shared_derivatives(images, state.x, state.y, state.volume, state.width, group, 1, 1e-9, ratio)
    near = (weight > 0) & (images[1] != 0)
    root = np.sqrt(weight[near])
    background = np.ones(len(root))
    others = np.stack([images[0][near], model[near], background], axis=1) * root[:, None]
    residual = (problem.data - model)[near] * root
    tail = images[1][near] * root
    tail -= others @ np.linalg.lstsq(others.T @ others, others.T @ tail, rcond=None)[0]
    return float(np.vdot(residual, tail) ** 2 / max(np.vdot(tail, tail), 1e-300))


def peak_scores(residual: Floats, weight: Floats, width: float) -> Floats:
    """Significance of a peak on its own surroundings at every pixel of a residual image.

    The residual in standard deviations, filtered with the difference of Gaussians of `width` and
    twice that [pixels], in units of the filter's noise: level differences and slopes give nothing.
    """
    u = residual * np.sqrt(weight)
    fine, coarse = (ndimage.gaussian_filter(u, k * width, truncate=3.0) for k in (1, 2))
    # integral of (g1 - g2)^2 = (1 + 1/4 - 4/5) / (4 pi width^2)
    return np.asarray((fine - coarse) * np.sqrt(4 * np.pi * width**2 / 0.45))


def spread_of(scores: Floats, model: Floats, problem: Problem, state: State) -> tuple[Floats, Floats]:
    """Robust standard deviation, at least 1, of the scores by model intensity: bin edges and values.

    What the model misses is larger where the image is bright; it must not be taken for columns.
    """
    near = np.zeros(model.shape, dtype=bool)
    mark_near(near, state.x, state.y, 3 * problem.width_start)
    near &= problem.valid
    levels = np.quantile(model[near], np.linspace(0, 1, N_LEVELS + 1)[1:-1])
    which = np.searchsorted(levels, model[near])
    size = np.abs(scores[near])
    spread = [1.4826 * np.median(size[which == k]) if (which == k).any() else 1.0 for k in range(N_LEVELS)]
    return levels, np.maximum(1.0, spread)
