"""Columns closer than their peaks are wide: deconvolution with positivity shows them apart.

The image is taken as a background plus a density of sources u >= 0, each of which shows as a
Gaussian of one width. u is found by the iteration of Richardson (J. Opt. Soc. Am. 62 (1972) 55) and
Lucy (Astron. J. 79 (1974) 745), which is expectation maximisation for counted electrons: it can
resolve sources that have no maximum of their own in the image, because u cannot be negative. Steps
are extrapolated along the last one (Biggs and Andrews, Appl. Opt. 36 (1997) 1766), which saves most
of the iterations. The maxima of u are candidates, to be judged by a joint fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..images.blur import gaussian_blur
from ..images.scale import parabola_top
from .scene import Scene

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

FINEST = 1.7  # pixels to a width: images are binned as long as there are more than twice as many
BLUR = 0.35  # of a width: what the sources are smoothed by before their maxima are taken
ROUND = 10  # iterations between two looks at the misfit
DARKEST = 1e-4  # of the brightest pixel: the least background, which keeps ratios finite
SIGNIFICANT = 2.5  # standard deviations of the noise that a lone source must have to be a candidate
REACH = 3.5  # widths after which a Gaussian is cut off


def _blur(image: Floats32, width: float) -> Floats32:
    """The image filtered with a Gaussian, zero beyond its edges."""
    return gaussian_blur(image, width, REACH, "dark")


def sources(
    data: Floats,
    share: Floats,
    variance: Floats,
    width: float,
    background: Floats,
    iterations: int,
    fit: float,
) -> Floats32:
    """Density of sources whose Gaussians, with the background, make up the image.

    Parameters
    ----------
    data : (rows, cols) float
        Intensity above the level at which its noise would vanish [image units].
    share : (rows, cols) float
        Weight of each pixel, 0 for those that are not used.
    variance : (rows, cols) float
        Of the noise [image units^2].
    width : float
        Of the Gaussians [pixels].
    background : (rows, cols) float
        On the scale of `data`.
    iterations : int
        Largest number.
    fit : float
        Mean squared misfit, in units of the noise's variance, at which the iteration ends.

    Returns
    -------
    (rows, cols) float
        Volume of the sources in each pixel [image units x pixel^2].
    """
    unit = max(float(np.max(data)), float(np.finfo(np.float32).tiny))
    image = (np.maximum(data / unit, 0) * (share > 0)).astype(np.float32)
    weight = share.astype(np.float32)
    merit = (share * unit**2 / np.maximum(variance, 1e-300) / max(share.sum(), 1.0)).astype(np.float32)
    level = np.maximum(background / unit, DARKEST).astype(np.float32)
    norm = np.maximum(_blur(weight, width), np.float32(0.05))
    point = np.maximum(_blur(weight * np.maximum(image - level, 0), width) / norm, np.float32(DARKEST))
    before, step = point, np.zeros_like(point)
    now, counted = point, weight * image
    for k in range(iterations):
        model = _blur(point, width)
        model += level
        if k % ROUND == ROUND - 1 and float(np.vdot(merit, (image - model) ** 2)) < fit:
            break
        np.divide(counted, model, out=model)
        now = _blur(model, width)
        now *= point
        now /= norm
        new_step = now - point
        size = float(np.vdot(step, step))
        momentum = np.clip(float(np.vdot(new_step, step)) / size, 0.0, 0.95) if size > 0 else 0.0
        point = now - before
        point *= np.float32(momentum)
        point += now
        np.maximum(point, np.float32(1e-9), out=point)
        before, step = now, new_step
    return now * np.float32(unit)


def resolved_peaks(scene: Scene, width: float, iterations: int, fit: float = 1.0) -> Floats:
    """Candidates for columns, maxima x, y (n, 2) [pixels] of the deconvolved image.

    For peaks of a `width` [pixels], rather too small than too large. The more `iterations`, the closer the
    columns that are resolved; `fit` ends them as in `sources`.
    """
    factor = max(int(width / FINEST), 1)
    data, share, variance, level = scene.binned(factor)
    w = width / factor
    density = sources(data - scene.zero, share, variance, w, level - scene.zero, iterations, fit)
    smooth, wide = _blur(density, BLUR * w), _blur(density, 2 * BLUR * w)
    volume = wide * np.float32(2 * np.pi * (2 * BLUR * w) ** 2)
    error = np.sqrt(4 * np.pi * variance) * w  # of the volume of a lone peak in white noise
    top = (smooth == ndimage.maximum_filter(smooth, size=3)) & (volume > SIGNIFICANT * error) & (share > 0)
    i, j = np.nonzero(top)
    padded = np.pad(smooth, 1, mode="edge").astype(float)
    here = padded[i + 1, j + 1]
    across = parabola_top(padded[i + 1, j], here, padded[i + 1, j + 2])
    down = parabola_top(padded[i, j + 1], here, padded[i + 2, j + 1])
    middle = (factor - 1) / 2  # of a bin, counted from its first pixel's centre
    shift = np.column_stack([across, down]).clip(-0.5, 0.5)
    return (np.column_stack([j, i]) + shift) * factor + middle
