"""The plane beneath columns at known places, where only the light between these shows that there is one."""

from __future__ import annotations

import numpy as np

from ..arrays import Floats
from ..images.image import ZoneAxisImage
from ..images.uneven import SLIGHT, contrast_above, slopes_around
from ..results import ColumnFit, FitFlag
from .fit import first_state, make_problem, noise_law, typical_spacing, weights_of
from .fit_input import Choice
from .joint import background_of, solve
from .slope import with_slope

STEPS = 10  # of Gauss-Newton, at most
ROUGH = 0.1  # of a width and of a volume: where the fit on an even background may end

CLEAR = 10.0  # times the usual evidence, worth a word: wedges along [111] that an edge cuts have up to five


def plane_beneath(image: ZoneAxisImage, points: Floats, cut: float = 1.0) -> Floats | None:
    """Background (rows, cols) [image units] of an image that slopes beneath columns at `points` (n, 2) [A].

    None where pixels beside the columns show the background, where nothing shows a slope
    (`stemcount.fitting.slope`) and where it is too slight to matter. Unlike a fit this also looks where the
    image cuts the crystal, for `cut` times the evidence. Among the points may be false columns: fitted
    together with a plane, those that stand on the slope lose most of their light to it.
    """
    if slopes_around(image, points) is not None:
        return None
    problem = make_problem(image, points, np.zeros(len(points), dtype=np.int64), Choice(widths="common"))
    state = first_state(problem)
    rough = weights_of(problem, noise_law(problem, state, image, "least_squares"))
    state = solve(problem, state, rough, STEPS, tolerance=ROUGH)
    law = noise_law(problem, state, image, "poisson")
    spacing = typical_spacing(problem.x0, problem.y0, np.inf)
    weigh = weights_of(problem, law)
    problem, state = with_slope(problem, state, weigh, law.inflation, spacing, STEPS, cut)
    plane = background_of(problem, state)
    return plane if np.ptp(plane) > SLIGHT * contrast_above(image, plane) else None


def slope_left_out(image: ZoneAxisImage, fit: ColumnFit) -> bool:
    """Whether the light between columns slopes beneath a fit on an even background.

    A fit keeps that where an edge cuts the crystal: tails of columns beyond it can look like a slope.
    """
    if (
        len(fit.background) > 1
        or isinstance(fit.light, np.ndarray)
        or not (fit.flags & FitFlag.AT_EDGE).any()
    ):
        return False
    return plane_beneath(image, np.column_stack([fit.x, fit.y]), CLEAR) is not None
