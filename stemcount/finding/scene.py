"""An image with its noise, its background and the width of its peaks: what columns are looked for in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..images.blur import gaussian_blur
from ..images.image import ZoneAxisImage
from ..images.noise import estimate_noise
from ..images.scale import contrast_by_scale

Floats = NDArray[np.float64]

FLAT = 3.0  # widths over which an image is evened out


@dataclass(frozen=True)
class Scene:
    """An image as the deconvolution takes it.

    Attributes
    ----------
    data : (rows, cols) float
    valid : (rows, cols) bool
        Pixels that are used.
    zero : float
        Intensity at which the noise would vanish: what lies above it is counted.
    background : float
        Level beside the columns, above the slow part.
    slow : (rows, cols) float
        Uneven part of the background.
    variance : (rows, cols) float
        Of the noise [image units^2].
    scale : float
        Width that peaks are expected to have, rather too small than too large [pixels].
    """

    data: Floats
    valid: NDArray[np.bool_]
    zero: float
    background: float
    slow: Floats
    variance: Floats
    scale: float

    def modulation(self) -> tuple[Floats, float]:
        """What varies within a few widths, weighted as shows a lattice best, and the power of its noise.

        The image less itself, smoothed. A lattice modulates it as strongly as the crystal is bright, so the
        matched filter weighs each pixel with the light above the background over the noise's variance
        (Turin, IRE Trans. Inf. Theory 6 (1960) 311).
        """
        above = np.where(self.valid, self.data - self.slow, 0.0)
        smooth = gaussian_blur(above, FLAT * self.scale)
        light = np.where(self.valid, np.maximum(smooth - self.background, 0.0), 0.0)
        weight = light / self.variance
        weight /= max(float(weight.max()), np.finfo(float).tiny)
        return (above - smooth) * weight, float(np.sum(self.variance * weight**2))

    def binned(self, factor: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Data, valid share, variance and background of square bins of so many pixels."""
        share = _bin_means(self.valid.astype(float), factor)
        some = np.maximum(share, 1e-9)
        data = _bin_means(np.where(self.valid, self.data, 0.0), factor) / some
        variance = _bin_means(self.variance, factor) / (some * factor**2)
        return data, share, variance, self.background + _bin_means(self.slow, factor)


def _bin_means(image: Floats, factor: int) -> Floats:
    rows, cols = (size // factor for size in image.shape)
    cut = image[: rows * factor, : cols * factor]
    return np.asarray(cut.reshape(rows, factor, cols, factor).mean(axis=(1, 3)))


def make_scene(image: ZoneAxisImage, scale: float, slow: Floats) -> Scene:
    """The image with its noise, slow background and darkest level, for peaks of a width `scale` [pixels]."""
    valid = image.used
    data = image.filled
    smooth = gaussian_blur(data, scale)
    law = estimate_noise(data, smooth, valid)
    variance = law.variance(gaussian_blur(data, 2 * scale))
    _, noise = contrast_by_scale(data)
    variance *= min(noise / float(variance.mean()), 1.0)  # where pixels are coarse, columns look like noise
    scatter = float(np.sqrt(variance[valid].min() / (4 * np.pi))) / scale
    above = smooth - slow
    low, high = lowest_level(above[valid], scatter), float(above[valid].max())
    zero = low - (high - low)
    if law.slope > 0:
        zero = min(max(zero, -law.constant / law.slope), low)
    return Scene(data, valid, zero, low, slow, variance, scale)


def lowest_level(values: Floats, scatter: float) -> float:
    """Level of the darkest pixels, which scatter about it: the vacuum's, or that between the columns."""
    level = float(np.percentile(values, 5))
    for _ in range(10):
        level = float(np.median(values[values < level + 2 * scatter]))
    return level
