"""The shape of a column's peak, and the kernels that add peaks to an image.

A column of volume V (its cross-section) at (x0, y0) adds V p(r) to the image, where p has
unit volume:

    p(r) = (1 - f) G(r; rho) + f G(r; t rho),     G(r; s) = exp(-r^2 / 2 s^2) / (2 pi s^2)

"gaussian" is f = 0. "tailed" is the Gaussian plus a wider Gaussian that holds the fraction f of
the volume; f and t are shared by all columns of an image. Peaks are *sampled* at the pixel
centres, not integrated over the pixels: that is what a focused scanning probe does. For an image
whose pixels integrate, the fitted width grows to sqrt(rho^2 + pixel^2 / 12) and the volume stays
right, so no convention has to be chosen.

Inside these kernels lengths are in pixels and volumes in image units x pixel^2.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REACH = 5.0  # widths of a Gaussian after which it is taken as zero: exp(-12.5) = 4e-6
TAIL_REACH = 4.0  # the same for the tail's Gaussian, which is at least ten times lower


def peak_height(volume: Floats, width: Floats, tail: tuple[float, float] = (0.0, 1.0)) -> Floats:
    """Height of peaks above the background.

    Parameters
    ----------
    volume : (n,) float
        Volume under the whole peak [image units x A^2].
    width : (n,) float
        rho [A].
    tail : tuple of 2 float
        Fraction f of the volume in the tail and ratio t of the tail's width to rho.

    Returns
    -------
    (n,) float
        V p(0) [image units]; V / (2 pi rho^2) for a Gaussian.

    Examples
    --------
    >>> bool(np.isclose(peak_height(2 * np.pi, 1.0), 1.0))
    True
    """
    fraction, ratio = tail
    return volume * ((1 - fraction) + fraction / ratio**2) / (2 * np.pi * np.square(width))


@njit(cache=True, nogil=True)
def reach_of(width: float, fraction: float, ratio: float) -> float:
    """Radius beyond which a peak is taken as zero [pixels]."""
    if fraction > 0.0:
        return max(REACH * width, TAIL_REACH * ratio * width)
    return REACH * width


@njit(cache=True, nogil=True)
def window(centre: float, reach: float, size: int) -> tuple[int, int]:
    """First and one-past-last pixel within `reach` of `centre`, clipped to the image."""
    first = math.ceil(centre - reach)
    last = math.floor(centre + reach) + 1
    return max(first, 0), min(last, size)


@njit(cache=True, nogil=True)
def mark_near(mask: NDArray[np.bool_], x: Floats, y: Floats, radius: float) -> None:
    """Set `mask` to True within `radius` of the columns, in place."""
    for n in range(len(x)):
        j0, j1 = window(x[n], radius, mask.shape[1])
        i0, i1 = window(y[n], radius, mask.shape[0])
        for i in range(i0, i1):
            for j in range(j0, j1):
                if (i - y[n]) ** 2 + (j - x[n]) ** 2 <= radius * radius:
                    mask[i, j] = True


@njit(cache=True, nogil=True)
def _gauss(centre: float, width: float, first: int, last: int, out: Floats) -> None:
    for j in range(first, last):
        d = (j - centre) / width
        out[j - first] = math.exp(-0.5 * d * d) / (width * math.sqrt(2 * math.pi))


@njit(cache=True, nogil=True, fastmath=True)
def add_peaks(
    image: Floats, x: Floats, y: Floats, volume: Floats, width: Floats, fraction: float, ratio: float
) -> None:
    """Add the peaks of all columns to `image`, in place."""
    rows, cols = image.shape
    size = rows + cols
    gx, gy = np.empty(size), np.empty(size)
    for n in range(len(x)):
        for part in range(2):
            share = 1.0 - fraction if part == 0 else fraction
            if share == 0.0:
                continue
            w = width[n] if part == 0 else width[n] * ratio
            reach = (REACH if part == 0 else TAIL_REACH) * w
            j0, j1 = window(x[n], reach, cols)
            i0, i1 = window(y[n], reach, rows)
            _gauss(x[n], w, j0, j1, gx)
            _gauss(y[n], w, i0, i1, gy)
            for i in range(i0, i1):
                a = volume[n] * share * gy[i - i0]
                for j in range(j0, j1):
                    image[i, j] += a * gx[j - j0]


@njit(cache=True, nogil=True, fastmath=True, inline="always")  # see `inner_products`
def fill_basis(
    basis: Floats,
    x: float,
    y: float,
    volume: float,
    width: float,
    fraction: float,
    ratio: float,
    i0: int,
    i1: int,
    j0: int,
    j1: int,
) -> None:
    """Derivatives of one peak over the pixels [i0, i1) x [j0, j1), row by row.

    Rows of `basis`: by x, y, volume, width, tail fraction, tail ratio; only as many as it has.
    """
    kinds = basis.shape[0]
    nj = j1 - j0
    cx, tx = np.empty(nj), np.zeros(nj)
    wt = width * ratio
    _gauss(x, width, j0, j1, cx)
    if fraction > 0.0:
        _gauss(x, wt, j0, j1, tx)
    core = 1.0 - fraction
    cw = 1.0 / (width * width)
    tw = 1.0 / (wt * wt)
    root = 1.0 / math.sqrt(2 * math.pi)
    p = 0
    for i in range(i0, i1):
        dy = i - y
        cy = root / width * math.exp(-0.5 * dy * dy * cw)
        ty = root / wt * math.exp(-0.5 * dy * dy * tw) if fraction > 0.0 else 0.0
        for j in range(nj):
            dx = j + j0 - x
            r2 = dx * dx + dy * dy
            c = cy * cx[j]
            t = ty * tx[j]
            slope = volume * (core * c * cw + fraction * t * tw)
            basis[0, p] = slope * dx
            basis[1, p] = slope * dy
            basis[2, p] = core * c + fraction * t
            if kinds > 3:
                basis[3, p] = volume * (core * c * (r2 * cw - 2.0) + fraction * t * (r2 * tw - 2.0)) / width
            if kinds > 4:
                basis[4, p] = volume * (t - c)
                basis[5, p] = volume * fraction * t * (r2 * tw - 2.0) / ratio
            p += 1


@njit(cache=True, nogil=True)
def add_shared_derivatives(
    images: Floats,
    x: Floats,
    y: Floats,
    volume: Floats,
    width: Floats,
    group: NDArray[np.int64],
    n_groups: int,
    fraction: float,
    ratio: float,
) -> None:
    """Add to `images` the derivatives by the width of each group, then by tail fraction and ratio."""
    rows, cols = images.shape[1:]
    tail = images.shape[0] > n_groups
    buffer = np.empty((6 if tail else 4, 0))
    for n in range(len(x)):
        reach = reach_of(width[n], fraction, ratio)
        j0, j1 = window(x[n], reach, cols)
        i0, i1 = window(y[n], reach, rows)
        if i1 <= i0 or j1 <= j0:
            continue
        size = (i1 - i0) * (j1 - j0)
        if buffer.shape[1] < size:
            buffer = np.empty((buffer.shape[0], size))
        fill_basis(buffer, x[n], y[n], volume[n], width[n], fraction, ratio, i0, i1, j0, j1)
        p = 0
        for i in range(i0, i1):
            for j in range(j0, j1):
                if n_groups > 0:
                    images[group[n], i, j] += buffer[3, p]
                if tail:
                    images[n_groups, i, j] += buffer[4, p]
                    images[n_groups + 1, i, j] += buffer[5, p]
                p += 1
