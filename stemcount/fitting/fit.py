"""Joint fit of all columns of an image: positions, cross-sections, widths and background at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints
from ..images.image import ZoneAxisImage
from ..images.load import ImageLike, as_image
from ..images.noise import NoiseLaw, estimate_noise, residual_inflation
from ..images.uneven import background_kind
from ..results import ColumnFit
from .background import DEGREES, background_basis
from .covariance import column_covariance
from .doubtful import flags_of
from .fit_input import Choice, check_image, check_level, check_seeds, check_types
from .halo import add_halo, halo_gain, halo_helps, settle, share_of
from .joint import TINY, Problem, State, model_of, normal_equations, solve
from .misfit import answers_to_surroundings, excess, misfit
from .own_widths import learn_widths, neighbour_scatter
from .peaks import mark_near, nearest_pixels, peak_height
from .shape_error import answer_to_tails
from .slope import with_slope

Weigh = Callable[[Floats], Floats]

TAIL_START = (0.15, 1.6)
UNLIKE_OTHERS = 0.4  # relative difference of a type's width from that of all columns: more than any species'
TYPES_DIFFER = 0.15  # relative standard deviation of the widths of types about the latter
PULL = 0.15  # default pull: how far columns are from their start, in units of the spacing
CLOSEST = 0.8  # no two columns of a crystal are closer [A]
WORSE = 1.2  # growth of the scatter of neighbours at which own widths are given up, for very many columns
CHANCE = 2.0  # over the root of their number: how much more it may grow, as it does by chance
HALO = 3.0  # spacings: radius of a halo; a narrower one is a matter of the peaks
PINNED = 1e-3  # spacings: how closely columns that a halo helped to place are held there
SLIGHT = 0.12  # share of the halo up to which it is what a Gaussian misses of the peaks of a perfect probe
LIKE_NEIGHBOURS = 1.3  # 1.4826 of a median difference, less the error of the neighbours' median itself


def fit_columns(
    image: ImageLike,
    seeds: ArrayLike,
    *,
    peak: str = "gaussian",
    widths: str = "per_column",
    background: str | float | Floats = "automatic",
    column_type: ArrayLike | None = None,
    likelihood: str = "poisson",
    pull: float | None = None,
    max_iterations: int = 25,
) -> ColumnFit:
    """Fit all columns of an image together.

    The image is modelled as background + sum of peaks V_n p(r - r_n), see `stemcount.fitting.peaks` for p.
    All parameters are fitted jointly by Gauss-Newton with Levenberg-Marquardt damping on
    block-sparse normal equations, so overlapping columns share the intensity between them as the
    maximum of the likelihood demands (Van Aert et al., Ultramicroscopy 109 (2009) 1236; De Backer
    et al., Ultramicroscopy 171 (2016) 104).

    Where the image shows a halo around its columns (`stemcount.fitting.halo`) they are placed with it in
    the model, which otherwise draws those at the rim outward; then all else is fitted at these places. The
    halo's light stays where it falls, in the cross-sections of the columns there and in the background. A run
    fits again with it given back to the columns it comes from (`stemcount.fitting.given_back`), and takes
    that where it can be counted more clearly; of a thick crystal it leaves each column only what stands out
    above its neighbours, which is less certain.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    seeds : (n, 2) array of float
        Start positions x, y [A], e.g. from `find_columns`.
    peak : {"gaussian", "tailed"}
        Gaussian, or Gaussian plus a wider Gaussian whose share and width ratio all columns have in
        common. On multislice images the Gaussian with widths of their own counts best.
    widths : {"per_column", "common", "per_type"}
        Every column its own width, pulled to the common one as strongly as the image's own spread
        of widths says (on an image with one width this becomes the fit with a common width), and
        given up for a common one where it makes the cross-sections of neighbours scatter more, as
        on coarse pixels with scan jitter; one width for all; one for each value of `column_type`,
        pulled to that of all columns where one is more than 40 % off it.
    background : {"automatic", "constant", "plane", "smooth"}, float or (rows, cols) array of float
        Polynomial of degree 0, 1 or 5 that is fitted along, a known level [image units], or light that is
        known but for a constant, as that between the columns (`stemcount.finding.between`); by default the
        least that the pixels beside the columns ask for (`stemcount.images.uneven`), and a plane where there
        are too few of these, but the light between the columns slopes (`stemcount.fitting.slope`).
    column_type : (n,) array of int, optional
        Type of each column; widths are common to (or pulled within) a type.
    likelihood : {"poisson", "least_squares"}
        Weights 1 / variance, with a variance that grows linearly with the intensity and is taken
        from the dose or else from the image's own pixel-to-pixel noise; or equal weights.
    pull : float, optional
        Standard deviation of the columns' distances from their start positions [A], as a Gaussian
        prior: it holds columns too weak to say where they are and vanishes beside the data of
        others. By default 0.15 times the median distance of nearest neighbours; 0 for none.
    max_iterations : int
        Largest number of Gauss-Newton steps in each stage.

    Returns
    -------
    ColumnFit
        In the order of `seeds`. Standard deviations are the Cramer-Rao bound of the weights used, times
        what the residual and the surroundings show beyond the noise of the pixels
        (`stemcount.fitting.misfit`); where a pull decides, they are what it leaves open. Heights are never
        negative. For doubtful columns see `FitFlag`.

    Raises
    ------
    InputError
        If seeds are not finite positions within the image, or an option does not exist.

    Examples
    --------
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 7.9], [5.0, 5.1], [1.0, 2.0], shape=(60, 70), pixel_size=0.2)
    >>> fit = stemcount.fit_columns(image, [[5.1, 4.9], [8.0, 5.0]])
    >>> fit.cross_section.round(3)
    array([1., 2.])
    """
    image = as_image(image)
    check_image(image)
    points = check_seeds(image, seeds)
    seen = True
    if isinstance(background, str) and background == "automatic":
        background, seen = background_kind(image, points)
    choice = Choice(peak, widths, background, likelihood, pull, max_iterations)
    choice.check()
    check_level(image, background)
    types = check_types(column_type, len(points))
    problem = make_problem(image, points, types, choice)
    problem, state, law = run_fit(problem, image, choice, seen)
    return make_result(image, problem, state, law, choice, types)


def typical_spacing(x: Floats, y: Floats, default: float) -> float:
    """Median distance of a column to its nearest neighbour, `default` if there is only one column."""
    if len(x) < 2:
        return default
    points = np.column_stack([x, y])
    return float(np.median(cKDTree(points).query(points, k=2)[0][:, 1]))


def make_problem(image: ZoneAxisImage, points: Floats, types: Ints, choice: Choice) -> Problem:
    """The joint fit's problem in pixels, with one width for each type to begin with."""
    px = image.pixel_size
    data = np.where(image.used, image.data, 0.0)
    valid = image.used & (image.data < image.ceiling)  # what was cut off says nothing of its column
    x0, y0 = np.ascontiguousarray(((points - image.offset) / px).T)
    shape = (data.shape[0], data.shape[1])
    fixed: Floats | float
    if isinstance(choice.background, str):
        degree, fixed = DEGREES[choice.background], 0.0
    elif isinstance(choice.background, np.ndarray):
        degree, fixed = 0, choice.background.astype(float)
    else:
        degree, fixed = -1, float(choice.background)
    scale = image.peak_scale
    # seeds that share a column must not make the peaks narrow
    spacing = max(typical_spacing(x0, y0, 4 * scale), CLOSEST / px)
    group = np.unique(types, return_inverse=True)[1].astype(np.int64)
    if choice.widths == "common":
        group = np.zeros(len(x0), dtype=np.int64)
    width = min(scale, 0.5 * spacing)
    return Problem(
        data=data,
        valid=valid,
        x0=x0,
        y0=y0,
        pull=PULL * spacing if choice.pull is None else choice.pull / px,
        group=group,
        n_groups=int(group.max()) + 1,
        group_width=np.full(len(x0), width),
        width_spread=0.0,
        tailed=False,
        basis=background_basis(shape, degree),
        fixed_background=fixed,
        width_start=width,
    )


def first_state(problem: Problem) -> State:
    """Heights from the pixels at the start positions above a low level of the image."""
    n, m = len(problem.x0), len(problem.basis)
    background = np.zeros(m)
    above = problem.data - problem.fixed_background
    level = 0.0
    if m:
        level = background[0] = float(np.percentile(above[problem.valid], 5))
    at = nearest_pixels(problem.x0, problem.y0, above.shape)
    width = np.full(n, problem.width_start)
    volume = 0.5 * np.maximum(above[at] - level, 0.0) * 2 * np.pi * width**2
    return State(problem.x0.copy(), problem.y0.copy(), volume, width, (0.0, 1.0), background)


def noise_law(problem: Problem, state: State, image: ZoneAxisImage, likelihood: str) -> NoiseLaw:
    """Variance of a pixel: from the dose, or from the image itself, with what the model misses on top."""
    model = model_of(problem, state)
    residual = problem.data - model
    residual[~problem.valid] = 0.0
    if likelihood == "least_squares":
        variance = max(float(np.mean(residual[problem.valid] ** 2)), float(np.finfo(float).tiny))
        law = NoiseLaw(variance, 0.0, variance)
    elif image.dose is not None:
        law = NoiseLaw.from_dose(image.dose, image.pixel_size, model[problem.valid])
    else:
        law = estimate_noise(problem.data, model, problem.valid)
    width = float(np.median(state.width))
    near = np.zeros(model.shape, dtype=bool)
    mark_near(near, state.x, state.y, 3 * width)
    factor = residual_inflation(residual, weights_of(problem, law)(model), width, near & problem.valid)
    return replace(law, inflation=factor)


def weights_of(problem: Problem, law: NoiseLaw) -> Weigh:
    """Weights 1 / variance of a model image, 0 for pixels that are not used."""

    def weigh(model: Floats) -> Floats:
        weight = law.variance(model)
        np.divide(1, weight, out=weight)
        weight[~problem.valid] = 0.0
        return weight

    return weigh


def run_fit(
    problem: Problem, image: ZoneAxisImage, choice: Choice, seen: bool
) -> tuple[Problem, State, NoiseLaw]:
    """All stages of a fit, from rough to final.

    Where the background is not `seen` beside the columns it may turn out to slope.
    """

    def weigh_now() -> tuple[NoiseLaw, Weigh]:
        law = noise_law(problem, state, image, choice.likelihood)
        return law, weights_of(problem, law)

    most = choice.max_iterations
    state = first_state(problem)
    state = solve(problem, state, weigh_now()[1], min(6, most), tolerance=1e-1)
    law, weigh = weigh_now()
    state = solve(problem, state, weigh, most, tolerance=1e-2)
    if choice.peak == "tailed":
        problem, state = replace(problem, tailed=True), replace(state, tail=TAIL_START)
        state = solve(problem, state, weigh, most, tolerance=1e-2)
    usual = np.full(len(state.width), np.average(state.width, weights=np.maximum(state.volume, TINY)))
    unlike = np.any(np.abs(state.width / usual - 1) > UNLIKE_OTHERS)
    if problem.n_groups > 1 and choice.widths == "per_type" and unlike:
        # columns of a type without light become as broad as whatever is dim there
        problem = replace(problem, group_width=usual, width_spread=TYPES_DIFFER * float(usual[0]))
        state = solve(problem, replace(state, width=usual), weigh, most, tolerance=1e-2)
    if not seen:
        spacing = typical_spacing(problem.x0, problem.y0, np.inf)
        law, weigh = weigh_now()
        problem, state = with_slope(problem, state, weigh, law.inflation, spacing, most)
    free, before = problem, state
    law, weigh = weigh_now()
    problem, state = _placed_with_halo(problem, state, weigh, most)
    if state is not before:
        law, _ = weigh_now()
    problem, state, law = run_stages(problem, state, law, image, choice)
    return _held_as(free, problem), state, law


def run_stages(
    problem: Problem, state: State, law: NoiseLaw, image: ZoneAxisImage, choice: Choice
) -> tuple[Problem, State, NoiseLaw]:
    """The last stages of a fit, with a halo if the problem has one: own widths, if they help, else common."""
    most = choice.max_iterations

    def law_now() -> NoiseLaw:
        return noise_law(problem, state, image, choice.likelihood)

    if choice.widths == "per_column":
        common = problem, state
        problem = replace(problem, n_groups=0, group_width=state.width.copy())
        for tolerance in (1e-2, 1e-4):  # what the model missed at first may be what common widths missed
            weigh = weights_of(problem, law)
            problem = learn_widths(problem, state, weigh, law.inflation)
            problem, state = settle(problem, state, weigh, most, tolerance)
            law = law_now()
        allowed = WORSE + CHANCE / np.sqrt(len(state.x))
        if neighbour_scatter(state, problem.group) <= allowed * neighbour_scatter(common[1], problem.group):
            return problem, state, law
        problem, state = common
        law = law_now()
    problem, state = settle(problem, state, weights_of(problem, law), most, 1e-4)
    return problem, state, law


def _placed_with_halo(
    problem: Problem, state: State, weigh: Weigh, max_iterations: int
) -> tuple[Problem, State]:
    """The problem with its columns held where a fit with a halo puts them, if the image shows one.

    Beside a background that is not fitted a halo would stand for what is wrong with the background.
    """
    weight = weigh(model_of(problem, state))
    spacing = typical_spacing(problem.x0, problem.y0, np.inf)
    enough = np.log(np.count_nonzero(weight))
    fitted = len(problem.basis) > 0 and np.isfinite(spacing)
    if not fitted or halo_gain(problem, state, weight, HALO * spacing) < enough:
        return problem, state
    before = problem, solve(problem, state, weigh, max_iterations, tolerance=1e-2)
    # without a halo columns at the rim may have been drawn outward
    start = replace(before[1], x=problem.x0, y=problem.y0)
    after = settle(*add_halo(problem, start, HALO * spacing), weigh, max_iterations, tolerance=1e-2)
    if share_of(*after) < SLIGHT or not halo_helps(before, after, weight, HALO * spacing):
        return problem, state
    x, y = after[1].x, after[1].y
    return replace(problem, x0=x, y0=y, pull=PINNED * spacing), replace(state, x=x, y=y)


def _held_as(before: Problem, problem: Problem) -> Problem:
    """The problem with the pull of `before`, which error bars and flags refer to."""
    return replace(problem, x0=before.x0, y0=before.y0, pull=before.pull)


def make_result(
    image: ZoneAxisImage, problem: Problem, s: State, law: NoiseLaw, choice: Choice, types: Ints
) -> ColumnFit:
    """Convert to A, add error bars and flags."""
    px = image.pixel_size
    model = model_of(problem, s)
    weight = weights_of(problem, law)(model)
    system, _, _, curvature = normal_equations(problem, s, weight, model)
    noise = law if choice.likelihood == "poisson" else noise_law(problem, s, image, "poisson")
    variance = noise.variance(model)
    meat = system
    if choice.likelihood != "poisson":
        meat = normal_equations(problem, s, weight**2 * variance, model)[0]
    covariance, _ = column_covariance(system, meat, curvature.ravel(), np.zeros(problem.n_shared))
    alone = np.maximum(np.diagonal(covariance, axis1=1, axis2=2)[:, :3], TINY)
    alike = np.maximum(
        excess(answers_to_surroundings(problem, s, model, system, curvature, weight, px), alone),
        excess(answer_to_tails(problem, s, model, weight), alone),
    )
    around = misfit(problem, s, model, system, curvature, weight, variance)
    inflation = np.maximum(around[:, None], 1 + alike)
    inflation = _like_neighbours(inflation, alone[:, 2], s, problem.group)
    std = np.sqrt(inflation * alone)
    residual = np.where(problem.valid, problem.data - model, 0.0)
    return ColumnFit(
        x=s.x * px + image.offset[0],
        y=s.y * px + image.offset[1],
        height=peak_height(s.volume, s.width, s.tail),
        width=s.width * px,
        cross_section=s.volume * px**2,
        cross_section_std=std[:, 2] * px**2,
        background=s.background if len(s.background) else np.array([problem.fixed_background]),
        residual_sum_of_squares=float(np.sum(residual**2)),
        flags=flags_of(problem, s, residual**2 * weight, image.recorded),
        peak=(choice.peak, s.tail),
        x_std=std[:, 0] * px,
        y_std=std[:, 1] * px,
        column_type=types,
        misfit=inflation[:, 2],
        light=problem.fixed_background if isinstance(problem.fixed_background, np.ndarray) else 0.0,
    )


def _like_neighbours(inflation: Floats, alone: Floats, s: State, group: Ints) -> Floats:
    """Factors (n, 3) of variances, less if cross-sections would then err more than neighbours differ.

    Neighbours differ by their errors and by their atoms: no more than they differ can be error. `alone` (n,)
    are the variances of the cross-sections by the noise alone.
    """
    most = LIKE_NEIGHBOURS * neighbour_scatter(s, group) * float(np.median(s.volume))
    typical = float(np.median(np.sqrt(inflation[:, 2] * alone)))
    if not typical > most > 0:
        return inflation
    return np.maximum(inflation * (most / typical) ** 2, 1.0)
