"""Missing and spurious columns: what the residual of a joint fit and the lattice say of the set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from .fit import (
    TAIL_START,
    Choice,
    first_state,
    fit_columns,
    make_problem,
    noise_law,
    typical_spacing,
    weights_of,
)
from .image import ZoneAxisImage
from .joint import Problem, State, model_of, place_of, solve
from .lattice import empty_sites, lattice_translations, support
from .load import ImageLike, as_image
from .noise import NoiseLaw
from .normal_equations import diagonal_blocks, local_blocks
from .peaks import mark_near, peak_height
from .results import ColumnFit, FitFlag

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Significances, in standard deviations, that a column needs with so much support from the lattice:
# what fits the lattice in several directions needs less of its own.
NEEDED = {0: 5.0, 1: 4.0, 2: 3.2, 3: 2.7}
PLAIN, PLAIN_NEEDED = 0.25, 2.0  # of the typical volume: what is as bright as that is no artefact
ALONE = 6.0  # significance of a column in an image without a lattice
LENIENCE = 0.8  # of that, while the set is still changing
DYNAMIC_RANGE = 200.0  # brightest to faintest column: more than any particle has atoms in a column
MISFIT = 1.5  # scatter of the scores above which the peaks are given tails
STRONG = 6.0  # significance from which a column supports others
RESIDUAL_PEAK = 5.0  # significance of a new peak in the residual
TRACE = 2.5  # significance of the residual at an empty lattice site that makes it worth a trial
OWN_SCORE = 0.9  # of a peak's volume over error: its share in the difference of Gaussians, 0.6 / sqrt(0.45)
APART = 2.0  # widths that a new column must be from any other
TWINS = 1.5  # widths within which two columns are one
N_LEVELS = 12
ROUNDS = 4


@dataclass(frozen=True)
class _Revision:
    """A set of columns, the fit that judged it [pixels] and what that fit leaves."""

    points: Floats  # [A]
    significance: Floats
    state: State
    problem: Problem
    scores: Floats  # of the residual, in units of their spread at the pixel's intensity


def _judge(image: ZoneAxisImage, points: Floats, last: _Revision | None = None) -> _Revision:
    """Fit the columns with a common width and measure how significant each of them is.

    A column is as significant as the less convincing of two measures: its volume over its error,
    and how much of a peak remains at its place when it alone is taken out of the model. Both count
    in units of what the scores scatter where the *other* columns and the background are as bright.
    """
    choice = Choice(widths="common", max_iterations=4)
    problem = make_problem(image, points, np.zeros(len(points), dtype=np.int64), choice)
    state = first_state(problem)
    if last is not None:
        width = np.full(len(points), last.state.width[0])
        state = replace(state, width=width, background=last.state.background)
    law = noise_law(problem, state, image, "least_squares")
    steps = 4 if last is None else 2
    state = solve(problem, state, weights_of(problem, law), steps, tolerance=0.1)
    law = replace(noise_law(problem, state, image, "poisson"), inflation=1.0)
    state = solve(problem, state, weights_of(problem, law), steps + 1, tolerance=0.03)
    model, weight, scores = _scores(problem, state, law)
    tailed = last is not None and last.problem.tailed
    if tailed or np.mean(_spread(scores, model, problem, state)[1]) > MISFIT:
        # not noise but the peaks' shape dominates the residual
        problem, state = replace(problem, tailed=True), replace(state, tail=TAIL_START)
        state = solve(problem, state, weights_of(problem, law), 5, tolerance=0.03)
        model, weight, scores = _scores(problem, state, law)
    blocks = diagonal_blocks(local_blocks(weight, *place_of(state), 3))
    blocks[:, range(3), range(3)] *= 1 + 1e-9
    blocks[:, range(2), range(2)] += 1 / problem.pull**2
    error = np.sqrt(np.linalg.inv(blocks)[:, 2, 2])
    i = np.clip(np.rint(state.y).astype(int), 0, model.shape[0] - 1)
    j = np.clip(np.rint(state.x).astype(int), 0, model.shape[1] - 1)
    top = peak_height(state.volume, state.width, state.tail)
    levels, spread = _spread(scores, model, problem, state)
    own = spread[np.searchsorted(levels, np.maximum(model[i, j] - top, model.min()))]
    # what the column's own peak adds to the score, its weights those of the present model
    peak = scores[i, j] + OWN_SCORE * state.volume / error
    significance = np.minimum(state.volume / error, peak) / own
    fitted = np.column_stack([state.x, state.y]) * image.pixel_size + image.offset
    return _Revision(fitted, significance, state, problem, scores / spread[np.searchsorted(levels, model)])


def _scores(problem: Problem, state: State, law: NoiseLaw) -> tuple[Floats, Floats, Floats]:
    """Model, weights and `peak_scores` of what the model leaves."""
    model = model_of(problem, state)
    weight = weights_of(problem, law)(model)
    residual = np.where(problem.valid, problem.data - model, 0.0)
    return model, weight, peak_scores(residual, weight, float(state.width[0]))


def peak_scores(residual: Floats, weight: Floats, width: float) -> Floats:
    """Significance of a peak on its own surroundings at every pixel of a residual image.

    The residual in standard deviations, filtered with the difference of Gaussians of `width` and
    twice that [pixels], in units of the filter's noise: level differences and slopes give nothing.
    """
    u = residual * np.sqrt(weight)
    fine, coarse = (ndimage.gaussian_filter(u, k * width, truncate=3.0) for k in (1, 2))
    # integral of (g1 - g2)^2 = (1 + 1/4 - 4/5) / (4 pi width^2)
    return np.asarray((fine - coarse) * np.sqrt(4 * np.pi * width**2 / 0.45))


def _spread(scores: Floats, model: Floats, problem: Problem, state: State) -> tuple[Floats, Floats]:
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


def _new_peaks(image: ZoneAxisImage, revision: _Revision) -> Floats:
    """Places in the residual that look like columns which are not in the set [A]."""
    state, scores = revision.state, revision.scores
    width = float(state.width[0])
    size = 2 * int(np.ceil(width)) + 1
    top = (scores == ndimage.maximum_filter(scores, size=size)) & (scores > RESIDUAL_PEAK)
    i, j = np.nonzero(top & revision.problem.valid)
    if len(i) == 0:
        return np.zeros((0, 2))
    far = cKDTree(np.column_stack([state.x, state.y])).query(np.column_stack([j, i]))[0] > APART * width
    return np.column_stack([j, i])[far] * image.pixel_size + image.offset


def _likely_sites(image: ZoneAxisImage, revision: _Revision, keep: NDArray[np.bool_]) -> Floats:
    """Empty sites of the lattice where the residual holds at least a trace of a peak [A]."""
    points = revision.points[keep]
    strong = points[revision.significance[keep] > STRONG]
    width = float(revision.state.width[0]) * image.pixel_size
    distance = max(0.5 * typical_spacing(points[:, 0], points[:, 1], APART * width), APART * width)
    sites = empty_sites(points, lattice_translations(strong), distance)
    if len(sites) == 0:
        return sites
    sites = sites[_inside(image, sites, 0.0)]
    best = ndimage.maximum_filter(revision.scores, size=2 * int(np.ceil(revision.state.width[0])) + 1)
    i, j = np.rint((sites[:, ::-1] - image.offset[::-1]) / image.pixel_size).astype(int).T
    return sites[best[i, j] > TRACE]


def _keep(revision: _Revision, strictness: float) -> NDArray[np.bool_]:
    """Columns that are significant enough, given the support that the lattice gives them."""
    points, significance = revision.points, revision.significance
    volume = revision.state.volume
    bright_enough = volume > np.percentile(volume, 99) / DYNAMIC_RANGE
    typical = volume[significance > NEEDED[3]]
    plain = (volume > PLAIN * np.median(typical)) & (significance > PLAIN_NEEDED) if len(typical) else False
    translations = lattice_translations(points[significance > STRONG])
    if len(translations) == 0:
        return np.asarray(bright_enough & (significance > ALONE))
    backing = support(points, points[significance > NEEDED[3]], translations)
    needed = np.array([NEEDED[k] for k in range(4)])[np.minimum(backing, 3)]
    return np.asarray(bright_enough & (plain | (significance > needed * strictness)))


def _inside(image: ZoneAxisImage, points: Floats, width: float) -> NDArray[np.bool_]:
    """Points on the used pixels or within a width [A] of them: a column cut by the edge still shows."""
    rows, cols = image.data.shape
    pad = int(np.ceil(width / image.pixel_size)) + 1
    valid = np.ones((rows, cols), dtype=bool) if image.valid is None else image.valid
    distance = ndimage.distance_transform_edt(~np.pad(valid, pad))
    i, j = np.rint((points[:, ::-1] - image.offset[::-1]) / image.pixel_size).astype(int).T + pad
    known = (i >= 0) & (i < rows + 2 * pad) & (j >= 0) & (j < cols + 2 * pad)
    known[known] = distance[i[known], j[known]] * image.pixel_size <= width
    return np.asarray(known)


def _without_twins(points: Floats, significance: Floats, distance: float) -> NDArray[np.bool_]:
    """Mask that drops the weaker of any two columns closer than `distance`."""
    keep = np.ones(len(points), dtype=bool)
    for a, b in cKDTree(points).query_pairs(distance, output_type="ndarray"):
        if keep[a] and keep[b]:
            keep[a if significance[a] < significance[b] else b] = False
    return keep


def revise(image: ZoneAxisImage, points: Floats, rounds: int = ROUNDS) -> Floats:
    """Add columns that the residual and the lattice ask for and drop those without significance.

    Parameters
    ----------
    image : ZoneAxisImage
    points : (n, 2) float
        Columns to begin with [A].
    rounds : int
        Largest number of fits.

    Returns
    -------
    (m, 2) float
        Positions [A], fitted with a common width; empty if no column is significant.
    """
    before = np.zeros((0, 2))
    revision = _judge(image, points)
    for k in range(rounds):
        width = float(revision.state.width[0]) * image.pixel_size
        keep = _without_twins(revision.points, revision.significance, TWINS * width)
        last = k == rounds - 1
        keep &= _keep(revision, 1.0 if last else LENIENCE) & _inside(image, revision.points, width)
        points = revision.points[keep]
        if len(points) == 0 or last:
            break
        new, sites = _new_peaks(image, revision), _likely_sites(image, revision, keep)
        if len(sites) and len(new):
            new = new[cKDTree(sites).query(new)[0] > APART * width]
        if len(new) + len(sites) == 0 and keep.all():
            points = points[_keep(revision, 1.0)]
            break
        if _same(points, before):
            points = revision.points[keep & _keep(revision, 1.0)]
            break
        before = points
        trial = np.concatenate([points, new, sites])
        revision = _judge(image, trial, revision)
    return points


def _same(a: Floats, b: Floats) -> bool:
    """Whether two sets hold the same columns, to a fraction of a spacing."""
    return len(a) == len(b) and bool(np.all(cKDTree(b).query(a)[0] < 0.3))


def complete_columns(image: ImageLike, fit: ColumnFit, **options: Any) -> ColumnFit:
    """Add the columns that a fit left out, drop those that are none, and fit again.

    New columns come from two sources: peaks in the residual well above what noise and misfit leave
    at that intensity, and sites that the lattice of the strong columns predicts. All are fitted
    together; columns stay if their cross-section is significant, where agreement with the lattice
    lowers the bar.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    fit : ColumnFit
        A first fit.
    **options
        For the final `fit_columns`.

    Returns
    -------
    ColumnFit
        With `FitFlag.ADDED` on the columns at places where `fit` had none.

    Examples
    --------
    >>> import stemcount
    >>> x, y = np.meshgrid(np.arange(5.0, 20, 2.5), np.arange(5.0, 20, 2.5))
    >>> image = stemcount.simulate_columns(x.ravel(), y.ravel(), np.ones(36), shape=(120, 120),
    ...                                    pixel_size=0.2, dose=1e4, seed=1)
    >>> seeds = np.column_stack([x.ravel(), y.ravel()])[1:]
    >>> len(complete_columns(image, stemcount.fit_columns(image, seeds)))
    36
    """
    image = as_image(image)
    first = np.column_stack([fit.x, fit.y])
    points = revise(image, first)
    if len(points) == 0:
        return fit
    result = fit_columns(image, points, **options)
    spacing = typical_spacing(fit.x, fit.y, 1.0)
    distance = cKDTree(first).query(points)[0]
    flags = result.flags | np.where(distance > 0.4 * spacing, int(FitFlag.ADDED), 0)
    return replace(result, flags=flags)
