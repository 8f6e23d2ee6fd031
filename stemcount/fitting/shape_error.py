"""What tails that the model's peaks lack do to the cross-sections.

Light of a column that its peak does not hold goes to its neighbours and to the background, and most of what
is missing between the columns the fit takes from there as well: the residual tells less than this moves. But
all columns have the same tails, so that very few numbers describe them, and an image knows these well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import Floats
from .joint import Problem, State, normal_equations, place_of
from .normal_equations import solve_bordered
from .peaks import add_peaks

WIDER = (1.4, 2.0, 4.0)  # widths of the tails that are tried together, relative to the peaks'


def answer_to_tails(problem: Problem, s: State, model: Floats, weight: Floats) -> Floats:
    """What x, y [pixels] and V [pixels^2] do (n, 3, 1) if the model gets the tails that the image shows.

    A share t_k of every peak is spread to the k-th of some larger widths, model + sum_k t_k E_k with

        E_k = sum_n V_n [p(r - r_n; w_k rho_n) - p(r - r_n; rho_n)],

    and all parameters are fitted again, in one step, with the `weight` (rows, cols) of the fit, `model` being
    the image that it predicts. A factor that this changes all cross-sections by is left out: it is no error
    of one column. All is 0 where the tails gain no more likelihood than the Bayesian information criterion
    asks for.
    """
    n, first, last = len(s.x), len(problem.basis), len(problem.basis) + len(WIDER)
    tails = np.zeros((len(WIDER), *model.shape))
    peaks = np.zeros(model.shape)
    add_peaks(peaks, *place_of(s), *s.tail)
    for image, ratio in zip(tails, WIDER, strict=True):
        add_peaks(image, s.x, s.y, s.volume, ratio * s.width, *s.tail)
    longer = replace(problem, basis=np.concatenate([problem.basis, tails - peaks]))
    start = replace(s, background=np.concatenate([s.background, np.zeros(len(WIDER))]))
    system, gradient, shared_gradient, curvature = normal_equations(longer, start, weight, model)
    # the fit is at its optimum, or was placed away from it on purpose: only the tails pull
    pull = np.zeros(len(shared_gradient))
    pull[first:last] = shared_gradient[first:last]
    nothing = np.zeros(len(pull))
    step, shares = solve_bordered(system, np.zeros(gradient.size), pull, curvature.ravel(), nothing)
    if pull @ shares < len(WIDER) * np.log(np.count_nonzero(weight)):
        return np.zeros((n, 3, 1))
    change = step.reshape(n, problem.kinds)[:, :3]
    change[:, 2] -= s.volume * (s.volume @ change[:, 2]) / (s.volume @ s.volume)
    return change[:, :, None]
