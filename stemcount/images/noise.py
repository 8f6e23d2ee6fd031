"""Noise of an image: variance of a pixel as a straight line in its expected intensity.

The slope is that of counted electrons, the constant what the detector adds (Foi et al., IEEE Trans. Image
Process. 17 (2008) 1737).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Bools, Floats
from .blur import gaussian_blur

N_BINS = 24
FLOOR = 1e-2  # of the mean variance: the least that a pixel may have


@dataclass(frozen=True)
class NoiseLaw:
    """Variance = inflation x (constant + slope x intensity), the bracket at least `floor` [image units^2].

    `inflation` is what the model misses at the scale of the peaks, see `residual_inflation`.
    """

    constant: float
    slope: float
    floor: float
    inflation: float = 1.0

    def variance(self, model: Floats) -> Floats:
        """Variance of pixels with expected intensity `model`."""
        variance = np.asarray(self.slope * model)  # one array: of a large image each costs more than its sums
        variance += self.constant
        np.maximum(variance, self.floor, out=variance)
        variance *= self.inflation
        return variance

    @classmethod
    def from_dose(cls, dose: float, pixel_size: float, model: Floats) -> NoiseLaw:
        """Counting noise of a beam of `dose` electrons per A^2; intensities are fractions of it.

        `pixel_size` is in A; expected intensities, `model`, set the floor.
        """
        slope = 1 / (dose * pixel_size**2)
        return cls(
            0.0,
            slope,
            FLOOR * slope * max(float(np.mean(np.maximum(model, 0))), float(np.finfo(float).tiny) / slope),
        )


def white_noise(residual: Floats, valid: Bools) -> tuple[Floats, Bools]:
    """Square of each 2 x 2 pixels' mixed second difference / 2, whose mean is the white noise's variance.

    Misfit of the model changes slowly from pixel to pixel and hardly contributes.
    """
    d = np.diff(np.diff(residual, axis=0), axis=1) / 2
    used = valid[:-1, :-1] & valid[1:, :-1] & valid[:-1, 1:] & valid[1:, 1:]
    return d**2, used


def estimate_noise(data: Floats, model: Floats, valid: Bools) -> NoiseLaw:
    """Line through the mean squared pixel-to-pixel differences of bins of equal model intensity."""
    square, used = white_noise(data - model, valid)
    level = (model[:-1, :-1] + model[1:, :-1] + model[:-1, 1:] + model[1:, 1:])[used] / 4
    square = square[used]
    bins = min(N_BINS, max(len(level) // 50, 1))
    edges = np.sort(level)[np.arange(1, bins) * len(level) // bins]
    which = np.searchsorted(edges, level)
    pixels = np.bincount(which)
    some = pixels > 0  # not where all pixels of a bin have one intensity, as in the vacuum of a model
    pixels = pixels[some]
    m, v = (np.bincount(which, values)[some] / pixels for values in (level, square))
    mean = float(square.mean())
    if mean <= 0:
        return NoiseLaw(1.0, 0.0, 1.0)
    floor = FLOOR * mean
    constant, slope = mean, 0.0
    for _ in range(3):
        # a mean of squares scatters in proportion to itself
        weight = np.sqrt(pixels) / np.maximum(constant + slope * m, floor)
        design = np.column_stack([np.ones_like(m), m])
        if np.ptp(m) > 0:
            constant, slope = np.linalg.lstsq(design * weight[:, None], v * weight, rcond=None)[0]
        if slope <= 0:
            constant, slope = mean, 0.0
    return NoiseLaw(float(constant), float(slope), floor)


def matched_significance(
    residual: Floats, weight: Floats, width: float, filtered: Floats | None = None
) -> Floats:
    """Significance of a Gaussian peak of `width` [pixels] at every pixel of a residual image.

    z = sum(w r g) / sqrt(sum(w g^2)): the score statistic of a peak added to the model, of standard
    deviation 1 where the residual is white noise of variance 1 / w. `filtered`, of `filtered_weight`, is the
    same for all residuals with these weights.
    """
    top = gaussian_blur(weight * residual, width, edge="dark")
    # the blurs are divided by the sums of g, 2 pi width^2, and of g^2, pi width^2
    top *= 2 * np.sqrt(np.pi) * width
    top /= filtered_weight(weight, width) if filtered is None else filtered
    return top


def filtered_weight(weight: Floats, width: float) -> Floats:
    """The root of the weights (rows, cols) filtered with the square of a Gaussian of `width` [pixels]."""
    bottom = gaussian_blur(weight, width / np.sqrt(2), edge="dark")
    np.maximum(bottom, 1e-300, out=bottom)
    return np.asarray(np.sqrt(bottom, out=bottom))


def residual_inflation(residual: Floats, weight: Floats, width: float, where: Bools) -> float:
    """Factor, at least 1, by which the residual's variance at the scale of the peaks exceeds the noise law.

    Correlated noise, scan distortion and peaks of another shape than the model's all leave more
    there than the pixel-to-pixel noise predicts; pulls have to know. What the fit took up of it is not
    counted, as error bars do (`stemcount.fitting.misfit`).
    """
    z = matched_significance(residual, weight, width)[where]
    if len(z) == 0:
        return 1.0
    return max(1.0, float(np.median(z**2)) / 0.4549)  # the median of chi-squared with one degree of freedom
