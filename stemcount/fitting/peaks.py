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
from numpy.typing import NDArray

from ..arrays import Bools, Floats, Ints
from ..kernels import jit

REACH = 5.0  # widths of a Gaussian after which it is taken as zero: exp(-12.5) = 4e-6
TAIL_REACH = 4.0  # the same for the tail's Gaussian: exp(-8) = 3e-4, and it is mostly ten times lower


def peak_height(volume: Floats, width: Floats, tail: tuple[float, float]) -> Floats:
    """Height V p(0) of peaks above the background [image units]; V / (2 pi rho^2) for a Gaussian, (n,).

    `volume` is V, that under the whole peak [image units x A^2], `width` rho [A]; `tail` are the fraction f
    of the volume in the tail and the ratio t of the tail's width to rho.

    Examples
    --------
    >>> bool(np.isclose(peak_height(2 * np.pi, 1.0, (0.0, 1.0)), 1.0))
    True
    """
    fraction, ratio = tail
    return volume * ((1 - fraction) + fraction / ratio**2) / (2 * np.pi * np.square(width))


def nearest_pixels(x: Floats, y: Floats, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column (n,) of the pixel of an image (rows, cols) nearest to each of the points x, y (n,)."""
    rows, cols = shape
    return np.rint(y).astype(np.intp).clip(0, rows - 1), np.rint(x).astype(np.intp).clip(0, cols - 1)


def reach_of(width: Floats, fraction: float, ratio: float) -> Floats:
    """Radius beyond which peaks are taken as zero [pixels]."""
    return width * max(REACH, TAIL_REACH * ratio if fraction > 0 else 0.0)


@jit
def window(centre: float, reach: float, size: int) -> tuple[int, int]:
    """First and one-past-last pixel within `reach` of `centre`, clipped to the image.

    For a centre far outside it the two are equal: an end below 0 would count from the image's other edge.
    """
    first = min(max(math.ceil(centre - reach), 0), size)
    last = min(math.floor(centre + reach) + 1, size)
    return first, max(first, last)


@jit
def mark_near(mask: Bools, x: Floats, y: Floats, radius: float) -> None:
    """Set `mask` to True within `radius` of the columns, in place."""
    for n in range(len(x)):
        j0, j1 = window(x[n], radius, mask.shape[1])
        i0, i1 = window(y[n], radius, mask.shape[0])
        for i in range(i0, i1):
            for j in range(j0, j1):
                if (i - y[n]) ** 2 + (j - x[n]) ** 2 <= radius * radius:
                    mask[i, j] = True


@jit
def _gauss(centre: float, width: float, first: int, last: int, out: Floats) -> None:
    for j in range(first, last):
        d = (j - centre) / width
        out[j - first] = math.exp(-0.5 * d * d) / (width * math.sqrt(2 * math.pi))


@jit
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
                height = volume[n] * share * gy[i - i0]
                row = image[i, j0:j1]
                for j in range(len(row)):
                    row[j] += height * gx[j]


@jit
def add_shared_derivatives(
    images: Floats,
    x: Floats,
    y: Floats,
    volume: Floats,
    width: Floats,
    group: Ints,
    n_groups: int,
    fraction: float,
    ratio: float,
    reach: Floats,
) -> None:
    """Add to `images` the derivatives by the width of each group, then by tail fraction and ratio.

    A Gaussian G(r; s) grows with its width s by G (r^2 / s^2 - 2) / s.
    """
    rows, cols = images.shape[1:]
    tailed = images.shape[0] > n_groups
    gx, gy, square = np.empty(cols), np.empty(rows), np.empty(cols)
    for n in range(len(x)):
        j0, j1 = window(x[n], reach[n], cols)
        i0, i1 = window(y[n], reach[n], rows)
        for part in range(2 if fraction > 0.0 else 1):
            w = width[n] * ratio if part else width[n]
            share = fraction if part else 1.0 - fraction
            _gauss(x[n], w, j0, j1, gx)
            _gauss(y[n], w, i0, i1, gy)
            for j in range(j0, j1):
                square[j - j0] = ((j - x[n]) / w) ** 2 - 2.0
            for i in range(i0, i1):
                height = volume[n] * gy[i - i0]
                down = ((i - y[n]) / w) ** 2
                if n_groups > 0:
                    by_width = images[group[n], i, j0:j1]
                    for j in range(len(by_width)):
                        by_width[j] += share / width[n] * height * gx[j] * (square[j] + down)
                if tailed:
                    by_fraction, by_ratio = images[n_groups, i, j0:j1], images[n_groups + 1, i, j0:j1]
                    for j in range(len(by_fraction)):
                        by_fraction[j] += (height if part else -height) * gx[j]
                        if part:
                            by_ratio[j] += share / ratio * height * gx[j] * (square[j] + down)
