"""How significant each column of a set is, and what the set leaves of the image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..fitting.covariance import column_covariance
from ..fitting.fit import TAIL_START, first_state, make_problem, noise_law, typical_spacing, weights_of
from ..fitting.fit_input import Choice
from ..fitting.joint import Problem, State, model_of, normal_equations, place_of, solve
from ..fitting.normal_equations import Bordered, diagonal_blocks
from ..fitting.peaks import add_shared_derivatives, mark_near, nearest_pixels, peak_height, reach_of
from ..images.blur import DIFFERENCE_SQUARE, gaussian_blur
from ..images.image import ZoneAxisImage
from ..images.noise import NoiseLaw
from .lattice import expected_places

Floats = NDArray[np.float64]

CLOSE = 3.0  # widths: columns that are closer may hide others
MISFIT = 1.5  # scatter of the scores above which there is a halo at once
HALO = (2.5, 5.0)  # widths by which the halo's parts are blurred
BENEATH = 2.0  # widths around a column within which its fit takes up noise
# Of a peak's volume over error: its share in the difference of Gaussians, 0.6 / sqrt(DIFFERENCE_SQUARE).
OWN_SCORE = 0.9
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
    halo_gain : float
        By how much a halo would lower the weighted sum of squares; 0 if there is one, or no sign of it in
        the scores.
    law : NoiseLaw
        Of the pixels.
    added : (n,) bool
        Columns that came from the residual of a fit or from the lattice, not from the image.
    lit : bool
        Whether the fixed background is the light between the columns (`stemcount.finding.between`).
    """

    points: Floats
    significance: Floats
    state: State
    problem: Problem
    scores: Floats
    halo_gain: float
    law: NoiseLaw
    added: NDArray[np.bool_]
    lit: bool = False

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


def judge(
    image: ZoneAxisImage, points: Floats, width: float | None = None, slow: Floats | float = 0.0
) -> Revision:
    """Fit columns, from `points` (n, 2) [A], with a common width and measure how significant each is.

    A column is as significant as the less convincing of two measures: its volume over its error, with
    everything free that could do without it (its neighbours' places and volumes), and how much of a peak
    remains at its place when it alone is taken out of the model. Both count in units of what the scores
    scatter where the *other* columns and the background are as bright. `slow` (rows, cols) is an uneven
    background, see `stemcount.images.uneven`; peaks have a `width` to begin with [pixels].
    """
    problem = replace(problem_of(image, points), fixed_background=slow)
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
    image: ZoneAxisImage,
    last: Revision,
    keep: NDArray[np.bool_],
    new: Floats,
    translations: Floats,
    halo: bool = False,
) -> Revision:
    """The same for columns of a revision that are kept, and new ones (m, 2) [A], from where its fit ended.

    The lattice of the translations (k, 2) holds the columns where it expects them [A]. With `halo` they are
    given one if they have none yet; peaks that form no lattice are given tails in its place, which tell
    columns from things that are wider, see `too_wide`.
    """
    points = np.concatenate([last.points[keep], new])
    problem = problem_of(image, expected_places(points, translations))
    on_lattice = len(translations) > 0
    wide = halo or last.problem.tailed or has_halo(last.problem)
    problem = replace(
        problem,
        width_start=last.width,
        tailed=wide and not on_lattice,
        fixed_background=last.problem.fixed_background,
    )
    if wide and on_lattice:
        problem = with_halo(problem, last.width)
    tail = last.state.tail if last.problem.tailed else TAIL_START
    x, y = np.ascontiguousarray(((points - image.offset) / image.pixel_size).T)
    state = State(
        x=x,
        y=y,
        volume=np.concatenate([last.state.volume[keep], np.zeros(len(new))]),
        width=np.full(len(problem.x0), last.width),
        tail=tail if problem.tailed else (0.0, 1.0),
        background=_padded(last.state.background, problem),
    )
    revision = _assess(image, problem, state, 3, on_lattice)
    return replace(revision, added=np.concatenate([last.added[keep], np.ones(len(new), dtype=bool)]))


def problem_of(image: ZoneAxisImage, points: Floats) -> Problem:
    """Joint fit with a common width."""
    return make_problem(image, points, np.zeros(len(points), dtype=np.int64), Choice(widths="common"))


def _assess(
    image: ZoneAxisImage, problem: Problem, state: State, steps: int, on_lattice: bool = False
) -> Revision:
    """Finish the fit with the image's own noise as weights, with a halo or tails if needed; measure."""
    inflated = noise_law(problem, state, image, "poisson")
    law = replace(inflated, inflation=1.0)
    # what peaks of this shape miss must not move columns away from where the lattice wants them
    weigh = weights_of(problem, inflated if on_lattice else law)
    state = solve(problem, state, weigh, steps, tolerance=0.03, linear_tolerance=ROUGH)
    model, weight, scores = scores_of(problem, state, law)
    levels, spread = spread_of(scores, model, problem, state)
    if not (has_halo(problem) or problem.tailed) and np.mean(spread) > MISFIT:
        # not noise but the peaks' shape dominates the residual
        if on_lattice:
            problem = with_halo(problem, float(state.width[0]))
            state = replace(state, background=_padded(state.background, problem))
        else:
            problem, state = replace(problem, tailed=True), replace(state, tail=TAIL_START)
        state = solve(problem, state, weigh, 5, tolerance=0.03, linear_tolerance=ROUGH)
        model, weight, scores = scores_of(problem, state, law)
        levels, spread = spread_of(scores, model, problem, state)
    # a neighbour could give way, but not farther than linear equations hold
    free = replace(problem, pull=GIVE_WAY * float(state.width[0]))
    system, _, _, curvature = normal_equations(free, state, weight, model)
    # that all volumes have a scale in common does not make any one column doubtful
    alone = Bordered(system.local, np.zeros((system.local.shape[0], 0)), np.zeros((0, 0)))
    covariance, _ = column_covariance(alone, alone, curvature.ravel(), np.zeros(0))
    error = np.sqrt(np.maximum(covariance[:, 2, 2], 1e-300))
    blocks = diagonal_blocks(system.local)
    blocks[:, range(3), range(3)] += curvature
    single = np.sqrt(np.linalg.inv(blocks)[:, 2, 2])
    at = nearest_pixels(state.x, state.y, model.shape)
    top = peak_height(state.volume, state.width, state.tail)
    own = spread[np.searchsorted(levels, np.maximum(model[at] - top, model.min()))]
    # what the column's own peak adds to the score, its weights those of the present model
    peak = scores[at] + OWN_SCORE * state.volume / single
    significance = np.minimum(state.volume / error, peak) / own
    fitted = np.column_stack([state.x, state.y]) * image.pixel_size + image.offset
    scaled = scores / spread[np.searchsorted(levels, model)]
    # a halo that does not show in the scores needs no looking for
    clean = has_halo(problem) or problem.tailed or bool(np.all(spread == 1))
    gain = 0.0 if clean else halo_gain(problem, state, model, weight)
    added = np.zeros(len(fitted), dtype=bool)
    return Revision(fitted, significance, state, problem, scaled, gain, law, added)


def scores_without(revision: Revision, doubtful: NDArray[np.bool_]) -> Floats:
    """How much of a peak there is at each column's place when all doubtful ones are left out, (n,).

    Columns side by side on an even background hold each other up: each alone leaves a hole when it is taken
    away. Together they leave what the background is, which has no peaks.
    """
    problem, state = revision.problem, revision.state
    rest = replace(state, volume=np.where(doubtful, 0.0, state.volume))
    weight = weights_of(problem, revision.law)(model_of(problem, state))
    model = model_of(problem, rest)
    residual = np.where(problem.valid, problem.data - model, 0.0)
    scores = peak_scores(residual, weight, revision.width)
    levels, spread = spread_of(scores, model, problem, rest)
    at = nearest_pixels(state.x, state.y, model.shape)
    return np.asarray(scores[at] / spread[np.searchsorted(levels, model[at])])


def scores_of(problem: Problem, state: State, law: NoiseLaw) -> tuple[Floats, Floats, Floats]:
    """Model, weights and `peak_scores` of what the model leaves."""
    model = model_of(problem, state)
    weight = weights_of(problem, law)(model)
    residual = np.where(problem.valid, problem.data - model, 0.0)
    return model, weight, peak_scores(residual, weight, float(state.width[0]))


def halo_images(problem: Problem, width: float) -> Floats:
    """The image, blurred and displaced, (m, rows, cols): what a halo around its columns is made of.

    Part of a probe is much wider than its peak and often skew; like the peaks' intensity it follows
    the projected crystal. Next to bright columns, and beyond the rim of the particle, it would be taken
    for faint ones. The crystal is taken to be the image itself above its darkest level. Its first
    derivatives displace it.
    """
    above = problem.data - problem.fixed_background
    level = float(np.percentile(above[problem.valid], 5))
    light = np.where(problem.valid, above - level, 0.0)
    return np.array(
        [
            (k * width) ** sum(order) * ndimage.gaussian_filter(light, k * width, order=order, mode="nearest")
            for k in HALO
            for order in ((0, 0), (0, 1), (1, 0))
        ]
    )


def with_halo(problem: Problem, width: float) -> Problem:
    """The problem with a halo, of peaks of a `width` [pixels], as part of its background."""
    return replace(problem, basis=np.concatenate([problem.basis[:1], halo_images(problem, width)]))


def has_halo(problem: Problem) -> bool:
    """Whether a halo is part of the background."""
    return len(problem.basis) > 1


def _padded(background: Floats, problem: Problem) -> Floats:
    """Coefficients with zeros for what has been added to the background, or without what is left out."""
    n = len(problem.basis)
    return np.pad(background[:n], (0, max(n - len(background), 0)))


def gain_of_halo(revision: Revision) -> float:
    """`halo_gain` of a set of columns, also where it does not show in the scores."""
    problem, state = revision.problem, revision.state
    model = model_of(problem, state)
    return halo_gain(problem, state, model, weights_of(problem, revision.law)(model))


def halo_gain(problem: Problem, state: State, model: Floats, weight: Floats) -> float:
    """By how much a halo would lower the weighted sum of squares: the score test of its coefficients.

    What a common scale of the volumes, the width and the background could do in its place is projected
    out of the halo's images. These are of the image itself, noise included: what a blur of standard deviation
    s leaves of a pixel's noise there, 1 / (2 pi s^2), goes with the residual of that pixel and would alone
    pass for a halo in a faint image. So much is taken off for every pixel beside the columns, beneath which
    their fit has taken the noise up.
    """
    by_width = np.zeros((1, *model.shape))
    group = np.zeros(len(state.x), dtype=np.int64)
    reach = reach_of(state.width, *state.tail)
    add_shared_derivatives(by_width, *place_of(state), group, 1, *state.tail, reach)
    used = weight > 0
    root = np.sqrt(weight[used])
    others = np.stack([by_width[0][used], model[used], np.ones(len(root))], axis=1) * root[:, None]
    width = float(state.width[0])
    halo = np.stack([part[used] * root for part in halo_images(problem, width)], axis=1)
    halo -= others @ np.linalg.lstsq(others.T @ others, others.T @ halo, rcond=None)[0]
    residual = halo.T @ ((problem.data - model)[used] * root)
    near = np.zeros(model.shape, dtype=bool)
    mark_near(near, state.x, state.y, BENEATH * width)
    own = 1 / (2 * np.pi * (np.array(HALO) * width) ** 2)
    residual[:: len(residual) // len(HALO)] -= np.count_nonzero(used & ~near) * own  # derivatives have none
    return float(residual @ np.linalg.lstsq(halo.T @ halo, residual, rcond=None)[0])


def peak_scores(residual: Floats, weight: Floats, width: float) -> Floats:
    """Significance of a peak on its own surroundings at every pixel of a residual image.

    The residual in standard deviations, filtered with the difference of Gaussians of `width` and
    twice that [pixels], in units of the filter's noise: level differences and slopes give nothing.
    """
    u = residual * np.sqrt(weight)
    fine, coarse = (gaussian_blur(u, k * width, reach=3.0) for k in (1, 2))
    return np.asarray((fine - coarse) * np.sqrt(4 * np.pi * width**2 / DIFFERENCE_SQUARE))


def spread_of(scores: Floats, model: Floats, problem: Problem, state: State) -> tuple[Floats, Floats]:
    """Robust standard deviation, at least 1, of the scores by model intensity: bin edges and values.

    What the model misses is larger where the image is bright; it must not be taken for columns.
    """
    near = np.zeros(model.shape, dtype=bool)
    mark_near(near, state.x, state.y, 3 * problem.width_start)
    near &= problem.valid
    bright = model[near]
    if not len(bright):  # all columns are where nothing was recorded
        return np.zeros(N_LEVELS - 1), np.ones(N_LEVELS)
    levels = np.quantile(bright, np.linspace(0, 1, N_LEVELS + 1)[1:-1])
    which = np.searchsorted(levels, bright)
    size = np.abs(scores[near])
    spread = [1.4826 * np.median(size[which == k]) if (which == k).any() else 1.0 for k in range(N_LEVELS)]
    return levels, np.maximum(1.0, spread)
