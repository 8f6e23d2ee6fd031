"""About how wide the peaks of an image are, from its own contrast."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from ..arrays import Floats
from ..fitting.background import SMOOTH_DEGREE

SCALES = np.geomspace(0.6, 16.0, 34)  # standard deviations tried [pixels]
CORNER = (0.9 * np.pi) ** 2 * 2 * 0.81  # k^2 above which a spectrum shows noise alone [(radian / pixel)^2]
RINGS = 4000  # of k^2 in which the spectrum is summed up: fine enough for the widest scale
# Times noise / (scale^2 sqrt(pixels)): contrast that may be left of white noise when its mean is taken off.
# Its standard deviation is 0.35 noise / (scale sqrt(pixels)).
UNCERTAIN = 16.0
NARROWEST = 0.18  # A: no column is finer; columns 0.8 A apart answer there


def spectrum(data: Floats) -> tuple[Floats, Floats, tuple[int, int]]:
    """Fourier transform of the padded image less its mean, and k^2 [(radian / pixel)^2]."""
    shape = (
        fft.next_fast_len(data.shape[0] + 64, real=True),
        fft.next_fast_len(data.shape[1] + 64, real=True),
    )
    border = np.concatenate([data[0], data[-1], data[:, 0], data[:, -1]])
    transform = fft.rfft2(data - np.median(border), shape)
    ky = 2 * np.pi * fft.fftfreq(shape[0])[:, None]
    kx = 2 * np.pi * fft.rfftfreq(shape[1])[None, :]
    return transform, kx**2 + ky**2, shape


def contrast_by_scale(data: Floats) -> tuple[Floats, float]:
    """Mean square of the scale-normalised Laplacian of Gaussian at each scale, noise subtracted.

    The Laplacian times the square of the scale (Lindeberg, Int. J. Comput. Vis. 30 (1998) 79), in Fourier
    space s^2 k^2 exp(-s^2 k^2 / 2). Returned are the mean squares at `SCALES` and the variance of the white
    noise, from the corners of the spectrum [image units^2].
    """
    transform, k2, shape = spectrum(data)
    power = np.abs(transform) ** 2 / data.size
    corner = k2 > CORNER
    noise = float(power[corner].mean()) if corner.any() else 0.0
    # rfft holds half the plane: its inner columns stand for two
    twice = np.full(power.shape[1], 2.0)
    twice[0] = 1.0
    if shape[1] % 2 == 0:
        twice[-1] = 1.0
    bins = np.linspace(0, float(k2.max()) * 1.0001, RINGS)
    which = np.digitize(k2.ravel(), bins) - 1
    radial = np.bincount(which, ((power - noise) * twice).ravel(), len(bins))
    centre = np.bincount(which, (k2 * twice).ravel(), len(bins)) / np.maximum(
        np.bincount(which, np.broadcast_to(twice, power.shape).ravel(), len(bins)), 1
    )
    s2 = SCALES[:, None] ** 2
    energy = (radial * (s2 * centre) ** 2 * np.exp(-s2 * centre)).sum(axis=1) / (shape[0] * shape[1])
    return energy, noise


def peak_scale(data: Floats, pixel_size: float) -> float:
    """Scale s at which the image's finest contrast answers strongest [pixels], see `contrast_by_scale`.

    A lone Gaussian of width rho answers by s^4 / (s^2 + rho^2)^3, most at s = sqrt(2) rho. A lattice whose
    planes are d apart is a wave, which answers by s^4 k^4 exp(-s^2 k^2) with k = 2 pi / d, most at
    s = d / (sqrt(2) pi) = 0.225 d: that is about the width of the columns of a crystal. Noise
    has been subtracted, so the first maximum from the fine end is that of the columns; larger ones
    belong to the particle as a whole. A steep background, which ends at the image's edges, can outshine it;
    it is then taken off first. The noise of an image that was turned, shifted or enlarged by interpolation
    is not white: what is left of it has a maximum near one pixel, on small pixels finer than columns.
    """
    least = min(NARROWEST / pixel_size, SCALES[-1])
    scale = _first_maximum(data, least)
    if scale is None:
        scale = _first_maximum(data - _trend(data), least)
    if scale is not None:
        return scale
    possible = least <= SCALES
    return float(SCALES[possible][np.argmax(contrast_by_scale(data)[0][possible])])


def _first_maximum(data: Floats, least: float) -> float | None:
    """Scale of the first maximum of the contrast from `least` on [pixels]; None if there is none.

    Where there is one below, the noise is not white: contrast as interpolation leaves it is then taken off.
    """
    energy, noise = contrast_by_scale(data)
    uncertain = UNCERTAIN * noise * SCALES**-2 / np.sqrt(data.size)
    tops = _maxima(energy, uncertain)
    if len(tops) and SCALES[tops[0]] < least:
        left = _interpolated_noise()
        level = energy[tops[0]] / left[tops[0]]
        energy = energy - level * left
        tops = _maxima(energy, uncertain * max(level / max(noise, 1e-300), 1.0))
    tops = tops[SCALES[tops] >= least]
    if not len(tops):
        return None
    i = tops[0]
    return float(SCALES[i] * (SCALES[1] / SCALES[0]) ** parabola_top(*energy[i - 1 : i + 2]))


def _maxima(energy: Floats, uncertain: Floats) -> NDArray[np.intp]:
    """Scales, by number, at which the contrast is certain and largest among its neighbours."""
    here = energy[1:-1]
    return 1 + np.flatnonzero((here > uncertain[1:-1]) & (here >= energy[:-2]) & (here >= energy[2:]))


def _interpolated_noise() -> Floats:
    """What noise of unit variance leaves of contrast at `SCALES` when it was interpolated linearly.

    Between two pixels, f of the way, its spectrum becomes 1 - 2 f (1 - f) (1 - cos k), (2 + cos k) / 3 in the
    mean over f; what it has in the corners of the spectrum has been taken off.
    """
    k = 2 * np.pi * fft.fftfreq(128)
    k2 = k[:, None] ** 2 + k**2
    spectrum = np.outer(2 + np.cos(k), 2 + np.cos(k)) / 9
    spectrum -= spectrum[k2 > CORNER].mean()
    s2 = SCALES[:, None, None] ** 2
    return np.asarray((spectrum * (s2 * k2) ** 2 * np.exp(-s2 * k2)).mean(axis=(1, 2)))


def parabola_top(before: ArrayLike, here: ArrayLike, after: ArrayLike) -> Floats:
    """How far from the middle one the parabola through three values at equal steps is highest [steps].

    0 where it has no maximum.

    Examples
    --------
    >>> parabola_top([0.0, 1.0], [2.0, 1.0], [1.0, 1.0]).round(3)
    array([0.167, 0.   ])
    """
    before, here, after = (np.asarray(values, dtype=float) for values in (before, here, after))
    bend = before - 2 * here + after
    return np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, 1.0), 0.0)


def _trend(data: Floats) -> Floats:
    """Smooth polynomial closest to an image: that of `background_basis`, without an image for each term."""
    terms = [(d - i, i) for d in range(SMOOTH_DEGREE + 1) for i in range(d + 1)]
    a, b = np.transpose([(i, j) for i, j in terms if i < data.shape[0] and j < data.shape[1]])
    down, across = (legendre.legvander(np.linspace(-1, 1, n), SMOOTH_DEGREE) for n in data.shape)
    overlap = (down.T @ down)[np.ix_(a, a)] * (across.T @ across)[np.ix_(b, b)]
    weights = np.zeros((SMOOTH_DEGREE + 1, SMOOTH_DEGREE + 1))
    weights[a, b] = np.linalg.solve(overlap, (down.T @ data @ across)[a, b])
    return np.asarray(down @ weights @ across.T)
