"""A fit in which the wide tails of the columns belong to the columns.

A column within others lies in their tails, and a fit gives it a part of that light: cross-sections then grow
with the columns around them, and columns of equally many atoms differ. Here the image is modelled by
background and columns of volume V with the profile of `stemcount.fitting.halo`, which leaves each column its
own light wherever it falls. What all columns share, the share and the radius of the halo, the image knows
well; that its light is of this form it does not say. Contamination is no halo, nor is what a thick crystal
spreads (docs/benchmarks/tried.md), so whoever takes this fit in place of the one without a halo should ask
which of the two sets of cross-sections falls into classes the more clearly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Floats
from ..images.load import ImageLike, as_image
from ..results import ColumnFit
from .fit import SLIGHT, first_state, make_problem, make_result, noise_law, run_stages, weights_of
from .fit import typical_spacing as spacing_of
from .fit_input import choice_of
from .halo import add_halo, halo_gain, halo_helps, settle, share_of
from .joint import Problem, State, model_of, solve

RADII = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)  # spacings; narrower ones are a matter of the peaks
FIRST = 2  # of these, where the search begins
MOST = 0.5  # share beyond which columns are less than what is around them, which then is no part of them
HELD = 0.05  # spacings: how closely columns are held to where they were fitted without this halo


def fit_with_halo(image: ImageLike, fit: ColumnFit, **settings: Any) -> ColumnFit | None:
    """The columns of a fit with the light of their wide tails, fitted again with a halo.

    `settings` are those of `fit_columns` that `fit` was made with. Its cross-sections are V, tails and all,
    its `halo` share and radius [A]. None where the image shows no halo of 12 to 50 % of the columns' light,
    where the peaks are not plain Gaussians (they may have tails of their own), and where the background is
    not fitted.

    Examples
    --------
    >>> import stemcount
    >>> x, y = (g.ravel() * 2.5 + 12.0 for g in np.mgrid[0:6, 0:6])
    >>> settings = {"shape": (180, 180), "pixel_size": 0.2, "dose": 1e5, "seed": 0}
    >>> image = stemcount.simulate_columns(x, y, np.full(36, 0.1), tail=(0.3, 6.0), **settings)
    >>> fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    >>> again = fit_with_halo(image, fit)
    >>> bool(np.ptp(again.cross_section) < 0.6 * np.ptp(fit.cross_section)), round(again.halo[0], 1)
    (True, 0.3)
    """
    image = as_image(image)
    points = np.column_stack([fit.x, fit.y])
    choice = choice_of(fit, settings)
    if choice.peak != "gaussian" or not isinstance(choice.background, str) or len(fit) < 2:
        return None
    free = make_problem(image, points, fit.column_type, choice)
    spacing = spacing_of(free.x0, free.y0, np.inf)
    problem = replace(free, pull=HELD * spacing)
    start = replace(first_state(problem), volume=fit.cross_section / image.pixel_size**2)
    weigh = weights_of(problem, noise_law(problem, start, image, choice.likelihood))
    before = problem, solve(problem, start, weigh, choice.max_iterations, tolerance=1e-2)
    weigh = weights_of(problem, noise_law(*before, image, choice.likelihood))
    weight = weigh(model_of(*before))
    if halo_gain(*before, weight, RADII[FIRST] * spacing) < np.log(np.count_nonzero(weight)):
        return None
    radius, after = _best_radius(*before, weight, spacing, choice.max_iterations)
    if not SLIGHT <= share_of(*after) <= MOST or not halo_helps(before, after, weight, radius):
        return None
    found, state, _ = run_stages(*after, noise_law(*after, image, choice.likelihood), image, choice)
    share = share_of(found, state)
    if not SLIGHT <= share <= MOST:
        return None
    held = replace(found, x0=free.x0, y0=free.y0, pull=free.pull)
    law = noise_law(found, state, image, choice.likelihood)
    core = make_result(image, held, state, law, choice, fit.column_type)
    return replace(
        core,
        cross_section=core.cross_section / (1 - share),
        cross_section_std=core.cross_section_std / (1 - share),
        background=core.background[:-1],
        flags=fit.flags,
        halo=(share, radius * image.pixel_size),
    )


def _best_radius(
    problem: Problem, state: State, weight: Floats, spacing: float, max_iterations: int
) -> tuple[float, tuple[Problem, State]]:
    """The radius [pixels] with which a halo explains an image best, and that fit."""

    def tried(which: int) -> tuple[float, float, tuple[Problem, State]]:
        radius = RADII[which] * spacing
        after = settle(*add_halo(problem, state, radius), lambda _: weight, max_iterations, tolerance=1e-2)
        left = float(np.sum((problem.data - model_of(*after)) ** 2 * weight))
        return left, radius, after

    best, at = tried(FIRST), FIRST
    for step in (-1, 1):
        while 0 <= at + step < len(RADII):
            other = tried(at + step)
            if other[0] >= best[0]:
                break
            best, at = other, at + step
        if at < FIRST:
            break
    return best[1], best[2]
