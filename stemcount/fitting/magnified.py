"""Cross-sections in an image whose scan was distorted: the volumes under its peaks over its magnification.

A scan that drifts or sways while the image is recorded enlarges some of its parts and shrinks others. Peaks
are enlarged with them, not dimmed, so that the volume under the peak of a column of cross-section V is

    M V,    M = |det J| / |det J_mean|,

with J the derivatives of image positions by true ones there. A column of a dozen atoms needs no more than a
few per cent of distortion to seem one atom thicker or thinner.

A crystal that is really strained has the same map, but its columns scatter no more where they are farther
apart. The two differ in the peaks: those of a scan grow with everything else, their widths as rho^2 = M^q
rho_0^2 with q = 1; on a strained crystal they do not, and q = 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Floats
from ..images.image import ZoneAxisImage
from ..results import ColumnFit
from .covariance import own_covariance
from .fit import PINNED, make_problem, noise_law, run_stages, typical_spacing, weights_of
from .fit_input import Choice, background_again, choice_of
from .halo import add_halo, settle, share_of
from .joint import TINY, State, model_of, normal_equations
from .normal_equations import solve_bordered
from .peaks import peak_height

FELT = 0.5  # change of cross-sections, in units of their noise, that adds a tenth to how they scatter
KNOWN = 0.2  # relative error of a width up to which one step tells it
BOUND = 0.5  # of the logarithm of a width about the median: more is not a column's
CLIP = 3.0  # standard deviations from which on a width counts as that many
ROUNDS = 6  # of the regression, in which its spread settles
THICKNESS = 2  # highest power of the cross-section by which widths may differ, as channelling makes them


def undistorted(image: ZoneAxisImage, fit: ColumnFit, magnification: Floats, **settings: Any) -> ColumnFit:
    """The fit with the cross-sections that columns have where the image is not magnified.

    Peaks that are all fitted with one width do not follow a magnification as M: where the background is
    bright, so that all pixels weigh alike, a peak of width sqrt(M) rho has 2 M / (1 + M) times the volume,
    about the root of M. So the image is fitted once more, with the columns held where they are and widths
    that grow as the root of the magnification M (n,) around each; M V then is the volume under the peak.

    `settings` are those of `fit_columns` that the fit was made with. Places and flags are those of `fit`, and
    so are the errors, divided by M. The error of M itself is left out: it adds a hundredth to the variance
    (docs/benchmarks/tried.md).

    Examples
    --------
    >>> import numpy as np
    >>> import stemcount
    >>> larger = np.array([1.0, 1.1])
    >>> size = {"width": 0.6 * np.sqrt(larger), "shape": (40, 70), "pixel_size": 0.2}
    >>> image = stemcount.simulate_columns([5.0, 9.0], [4.0, 4.0], larger, **size)
    >>> fit = stemcount.fit_columns(image, [(5.0, 4.0), (9.0, 4.0)])
    >>> undistorted(image, fit, larger).cross_section.round(3).tolist()
    [1.0, 1.0]
    """
    px, choice, (fraction, ratio) = image.pixel_size, choice_of(fit, settings), fit.peak[1]
    places, bright = np.column_stack([fit.x, fit.y]), np.maximum(fit.volume, TINY)
    problem = make_problem(image, places, fit.column_type, choice)
    spacing = typical_spacing(problem.x0, problem.y0, np.inf)
    problem = replace(problem, tailed=choice.peak == "tailed", pull=PINNED * spacing)
    usual = np.bincount(problem.group, bright * fit.width) / np.bincount(problem.group, bright)
    state = State(
        x=problem.x0,
        y=problem.y0,
        volume=(1 - fit.halo[0]) * fit.volume / px**2,
        width=usual[problem.group] * np.sqrt(magnification) / px,
        tail=(fraction, ratio),
        background=fit.background[: len(problem.basis)],
    )
    law = noise_law(problem, state, image, choice.likelihood)
    if fit.halo[0]:
        weigh, halo = weights_of(problem, law), add_halo(problem, state, fit.halo[1] / px)
        problem, state = settle(*halo, weigh, choice.max_iterations, tolerance=1e-2)
    problem, state, _ = run_stages(problem, state, law, image, choice)
    left = np.where(problem.valid, problem.data - model_of(problem, state), 0.0)
    share, own = share_of(problem, state), len(fit.background)
    return replace(
        fit,
        height=peak_height(state.volume, state.width, state.tail),
        width=state.width * px,
        cross_section=state.volume * px**2 / (1 - share) / magnification,
        cross_section_std=fit.cross_section_std * fit.magnification / magnification,
        background=state.background[:own] if len(problem.basis) else fit.background,
        residual_sum_of_squares=float(np.sum(left**2)),
        peak=(choice.peak, state.tail),
        halo=(share, fit.halo[1]),
        magnification=magnification,
    )


def beyond_noise(fit: ColumnFit, magnification: Floats) -> bool:
    """Whether the magnification changes the cross-sections by more than half their noise (rms).

    Of many columns a few always are beyond it, however little the others change.
    """
    apart = (magnification - 1) * fit.volume / np.maximum(fit.noise_std * fit.magnification, TINY)
    return bool(np.sqrt(np.mean(apart**2)) > FELT)


def scan_or_crystal(image: ZoneAxisImage, fit: ColumnFit, magnification: Floats) -> float:
    """ln of how much more likely the widths of the peaks are if the scan enlarged them than if it did not.

    With the exponent q of `growth_of_peaks` and its error s it is (q^2 - (1 - q)^2) / 2 s^2: positive if they
    grow with the image, 0 where too few widths are known. Neither makes q less than 0 or more than 1: by how
    much it is beyond them, widths differ for other reasons, as of a tilt or a defocus that changes over the
    image, and that is an error, too.

    `magnification` (n,) is M around each column of `fit`, which left the light of a halo where it falls.
    """
    exponent, error = growth_of_peaks(image, fit, magnification)
    beyond = exponent - np.clip(exponent, 0.0, 1.0)
    return float((2 * exponent - 1) / (2 * (error**2 + beyond**2))) if np.isfinite(error) else 0.0


def growth_of_peaks(image: ZoneAxisImage, fit: ColumnFit, magnification: Floats) -> tuple[float, float]:
    """The exponent q with which the squared widths of the peaks grow with the magnification, and its error.

    Regression of ln rho^2 on ln M and a parabola in the cross-section, as columns of other thickness may
    have other widths; their errors are those of the fit and what else they scatter. The error is infinite
    where too few widths are known.
    """
    width, error = _free_widths(image, fit)
    known = (error < KNOWN * width) & (np.abs(np.log(np.maximum(width, TINY) / np.median(width))) < BOUND)
    thickness = fit.cross_section[known] / np.max(fit.cross_section)
    design = np.column_stack(
        [np.log(magnification[known]), *(thickness**power for power in range(THICKNESS + 1))]
    )
    free = len(design) - design.shape[1]
    if free < design.shape[1] or np.linalg.matrix_rank(design) < design.shape[1]:
        return 0.5, np.inf
    measured, target = 2 * np.log(width[known]), 2 * np.log(width[known])
    variance, spread = (2 * error[known] / width[known]) ** 2, 0.0
    for _ in range(ROUNDS):
        weight = 1 / (variance + spread)
        inverse = np.linalg.inv((design.T * weight) @ design)
        predicted = design @ (inverse @ ((design.T * weight) @ target))
        off = np.clip((measured - predicted) * np.sqrt(weight), -CLIP, CLIP)
        target = predicted + off / np.sqrt(weight)
        excess = float(np.sum(off**2)) / free
        spread = max(spread + (excess - 1) * float(np.median(1 / weight)), 0.0)
    exponent = (inverse @ ((design.T * weight) @ target))[0]
    return float(exponent), float(np.sqrt(inverse[0, 0] * max(excess, 1.0)))


def _free_widths(image: ZoneAxisImage, fit: ColumnFit) -> tuple[Floats, Floats]:
    """Width of each column by itself and its error [A]: one step of the joint fit in which none is pulled."""
    px = image.pixel_size
    choice = Choice("gaussian", "per_column", background_again(fit), "poisson", 0.0, 1)
    places = np.column_stack([fit.x, fit.y])
    problem = make_problem(image, places, fit.column_type, choice)
    problem = replace(problem, n_groups=0, group_width=fit.width / px)
    share, ratio = fit.peak[1]
    x, y = np.ascontiguousarray(((places - image.offset) / px).T)
    state = State(x, y, fit.volume / px**2, fit.width / px, (share, ratio), fit.background)
    law = noise_law(problem, state, image, "poisson")
    model = model_of(problem, state)
    system, gradient, shared, curvature = normal_equations(
        problem, state, weights_of(problem, law)(model), model
    )
    step, _ = solve_bordered(system, gradient.ravel(), shared, curvature.ravel(), np.zeros(len(shared)))
    variance = own_covariance(system, system, curvature, np.arange(len(fit)))[:, 3, 3]
    return fit.width + step.reshape(len(fit), -1)[:, 3] * px, np.sqrt(np.maximum(variance, 0.0)) * px
