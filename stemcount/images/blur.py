"""Gaussian blur of an image, the filter that finding and fitting use most.

Scipy's takes about four times as long: 57 ms against 15 for a width of 3 pixels on 2,000 x 2,000 of them
(`benchmarks/fitting.py blurring`).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..kernels import jit

Floats = NDArray[np.floating]
Float = TypeVar("Float", np.float32, np.float64)

# 4 pi width^2 times the sum of (g1 - g2)^2, g2 twice as wide as g1, each of unit sum: 1 + 1/4 - 4/5. White
# noise of variance 1 has, filtered with their difference, this over 4 pi width^2.
DIFFERENCE_SQUARE = 0.45


@jit
def _blur(image: Floats, taps: Floats, mirrored: bool, out: Floats) -> None:
    """Each row from those around it, then along itself while it is at hand; loops over rows are fast."""
    rows, cols = image.shape
    half = len(taps) - 1
    line = np.zeros(half + cols + half, dtype=image.dtype)
    middle = line[half : half + cols]
    for i in range(rows):
        here = image[i]
        for j in range(cols):
            middle[j] = taps[0] * here[j]
        for k in range(1, half + 1):
            for place in (i - k, i + k):
                if mirrored:
                    place = place % (2 * rows)
                    place = min(place, 2 * rows - 1 - place)
                if 0 <= place < rows:
                    other = image[place]
                    for j in range(cols):
                        middle[j] += taps[k] * other[j]
        if mirrored:
            for k in range(half):
                place = k % (2 * cols)
                line[half - 1 - k] = middle[min(place, 2 * cols - 1 - place)]
                line[half + cols + k] = middle[max(cols - 1 - place, place - cols)]
        blurred = out[i]
        for j in range(cols):
            blurred[j] = taps[0] * middle[j]
        for k in range(1, half + 1):
            left, right = line[half - k : half - k + cols], line[half + k : half + k + cols]
            for j in range(cols):
                blurred[j] += taps[k] * (left[j] + right[j])


def gaussian_blur(
    image: NDArray[Float], width: float, reach: float = 4.0, edge: str = "mirrored"
) -> NDArray[Float]:
    """An image filtered with a Gaussian of unit sum and a `width` [pixels], cut off after `reach` widths.

    It has the precision of the image, 32 or 64 bits. Beyond its edges is its mirror image, or with `edge`
    "dark" zero.

    Examples
    --------
    >>> point = np.zeros((9, 9))
    >>> point[4, 4] = 1.0
    >>> blurred = gaussian_blur(point, 1.0)
    >>> float(blurred.sum().round(6)), float((blurred[4, 5] / blurred[4, 4]).round(6))
    (1.0, 0.606531)
    """
    taps = np.exp(-0.5 * (np.arange(int(reach * width + 0.5) + 1) / width) ** 2)
    taps /= taps[0] + 2 * taps[1:].sum()
    # made here: numpy asks the system for large pages where an array is large, Numba does not
    out = np.empty(image.shape, dtype=image.dtype)
    _blur(np.ascontiguousarray(image), taps.astype(image.dtype), edge == "mirrored", out)
    return out
