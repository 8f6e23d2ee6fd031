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

import numpy as np
from numpy.typing import NDArray

from ..images.image import ZoneAxisImage
from ..results import ColumnFit
from .background import background_name
from .covariance import own_covariance
from .fit import make_problem, noise_law, weights_of
from .fit_input import Choice
from .joint import TINY, State, model_of, normal_equations
from .normal_equations import solve_bordered

Floats = NDArray[np.float64]

KNOWN = 0.2  # relative error of a width up to which one step tells it
BOUND = 0.5  # of the logarithm of a width about the median: more is not a column's
CLIP = 3.0  # standard deviations from which on a width counts as that many
ROUNDS = 6  # of the regression, in which its spread settles
THICKNESS = 2  # highest power of the cross-section by which widths may differ, as channelling makes them


def undistorted(fit: ColumnFit, magnification: NDArray[np.float64]) -> ColumnFit:
    """The fit with the cross-sections that columns have where the image is not magnified.

    Positions, heights and widths stay as the image shows them.

    Parameters
    ----------
    fit : ColumnFit
        Of n columns.
    magnification : (n,) float
        M of the area around each of them.

    Examples
    --------
    >>> import numpy as np
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 9.0], [4.0, 4.0], [1.0, 1.1], shape=(40, 70), pixel_size=0.2)
    >>> fit = stemcount.fit_columns(image, [(5.0, 4.0), (9.0, 4.0)])
    >>> undistorted(fit, np.array([1.0, 1.1])).cross_section.round(2).tolist()
    [1.0, 1.0]
    """
    volume = fit.volume
    return replace(
        fit,
        cross_section=volume / magnification,
        cross_section_std=fit.cross_section_std * fit.magnification / magnification,
        magnification=magnification,
    )


def beyond_noise(fit: ColumnFit, magnification: NDArray[np.float64]) -> bool:
    """Whether the magnification changes the cross-section of any column by more than its noise."""
    return bool(np.any(np.abs(magnification - 1) * fit.volume > fit.noise_std))


def scan_or_crystal(image: ZoneAxisImage, fit: ColumnFit, magnification: NDArray[np.float64]) -> float:
    """ln of how much more likely the widths of the peaks are if the scan enlarged them than if it did not.

    With the exponent q of `growth_of_peaks` and its error s it is (q^2 - (1 - q)^2) / 2 s^2. Neither makes
    q less than 0 or more than 1: by how much it is beyond them, widths differ for other reasons, as of a tilt
    or a defocus that changes over the image, and that is an error, too.

    Parameters
    ----------
    image : ZoneAxisImage
    fit : ColumnFit
        Of n columns, with the light of a halo left where it falls.
    magnification : (n,) float
        M of the area around each of them.

    Returns
    -------
    float
        Positive if they grow with the image; 0 where too few widths are known.
    """
    exponent, error = growth_of_peaks(image, fit, magnification)
    beyond = exponent - np.clip(exponent, 0.0, 1.0)
    return float((2 * exponent - 1) / (2 * (error**2 + beyond**2))) if np.isfinite(error) else 0.0


def growth_of_peaks(
    image: ZoneAxisImage, fit: ColumnFit, magnification: NDArray[np.float64]
) -> tuple[float, float]:
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
    choice = Choice("gaussian", "per_column", background_name(fit.background), "poisson", 0.0, 1)
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
