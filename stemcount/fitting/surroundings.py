"""What varies beside the particle also lies under it: speckle of a support film, correlated noise.

A fit takes nearly all of it up, so that its residual shows little, while beside the columns it is seen whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, special

from ..arrays import Bools, Floats
from ..images.blur import gaussian_blur
from ..images.noise import matched_significance, white_noise
from .peaks import nearest_pixels

BESIDE = 3.5  # A from the nearest column, from where an image shows no particle any more
LEAST_AREA = 100.0  # beside the particle [A^2]
FALL_OFF = 1.0  # A in which what is left of the peaks' tails decays
INSIDE = 0.7  # of a peak's filter that lies beside the particle, at least
SURE = 1e-4  # chance of noise alone below which there is structure
MEMORY = 4.0  # peak widths within which pixels are taken to vary together
FAR = 4.0  # times that, from where they certainly do not


@dataclass(frozen=True)
class Structure:
    """Random images with the covariance of what an image shows beside its particle.

    Attributes
    ----------
    amplitude : (padded rows, padded cols // 2 + 1) float
        The root of its spectrum, which is the Fourier transform of the covariance [image units].
    padded : tuple of 2 int
        Size of the periodic images that it belongs to.
    shape : tuple of 2 int
        Size of the image.
    """

    amplitude: Floats
    padded: tuple[int, int]
    shape: tuple[int, int]

    def draw(self, seed: int) -> Floats:
        """One such image (rows, cols)."""
        white = np.random.default_rng(seed).standard_normal(self.padded)
        spectrum = fft.rfft2(white)
        spectrum *= self.amplitude
        image = fft.irfft2(spectrum, self.padded, overwrite_x=True)
        return np.asarray(image[: self.shape[0], : self.shape[1]])


def distance_to_columns(shape: tuple[int, ...], x: Floats, y: Floats) -> Floats:
    """Distance of every pixel (rows, cols) from the nearest of the columns at x and y (n,) [pixels]."""
    away = np.ones(shape, dtype=bool)
    away[nearest_pixels(x, y, shape)] = False
    return np.asarray(ndimage.distance_transform_edt(away))


@dataclass(frozen=True)
class Beside:
    """What an image shows beside its particle once all that is slow there is taken off.

    Attributes
    ----------
    where : (rows, cols) bool
        The pixels beside the particle.
    values : (rows, cols) float
        What is left of the image there; zero elsewhere [image units].
    noise : float
        Variance of the part of it that is independent from pixel to pixel [image units^2].
    share : (rows, cols) float
        Of a peak's filter at each of these pixels that lies beside the particle; zero elsewhere.
    """

    where: Bools
    values: Floats
    noise: float
    share: Floats

    def significance(self, values: Floats, width: float) -> Floats:
        """Such values filtered with a peak of `width` [pixels], in deviations of the noise.

        At the m pixels where enough of the filter lies beside the particle.
        """
        return matched_significance(values, self.where / self.noise, width)[self.share > INSIDE]


def beside_particle(
    image: Floats, valid: Bools, slow: Iterable[Floats], distance: Floats, width: float, pixel: float
) -> Beside | None:
    """The pixels beside the particle, less what slow images and the tails of the peaks explain of them.

    `distance` (rows, cols) is that from the nearest column and `width` that of the peaks [pixels], `pixel`
    the size of one [A]. None if it is less than 100 A^2 that are 3.5 A from all columns, or shows no noise.
    """
    where = valid & (distance * pixel > BESIDE)
    if np.count_nonzero(where) * pixel**2 < LEAST_AREA:
        return None
    tail = np.exp(-(distance[where] * pixel - BESIDE) / FALL_OFF)
    design = np.column_stack([*(one[where] for one in slow), tail, tail**2])
    values = np.zeros(image.shape)
    values[where] = image[where] - design @ np.linalg.lstsq(design, image[where], rcond=None)[0]
    square, used = white_noise(values, where)
    noise = float(np.mean(square[used])) if used.any() else 0.0
    if not noise > 0:
        return None
    share = np.where(where, gaussian_blur(where.astype(float), width, edge="dark"), 0.0)
    return Beside(where, values, noise, share)


def chance_of_excess(excess: float, pixels: int, width: float) -> float:
    """Probability that noise alone reaches a mean square significance of `excess` over so many pixels.

    Squares are correlated over the area of the filter, 2 pi rho^2 with rho = `width` [pixels].
    """
    independent = pixels / (2 * np.pi * width**2)
    return float(special.chdtrc(independent, independent * excess))


def structure_beside(
    residual: Floats, valid: Bools, basis: Floats, distance: Floats, width: float, pixel: float
) -> Structure | None:
    """How the image varies beside the particle, beyond white noise and what the fit's background follows.

    The covariance of pixels at a distance r is the sum of the products of all such pairs,

        C(r) = F^-1 |F (m e)|^2 / sum m^2,

    e the residual and m a mask that goes smoothly to zero at the particle; it takes C to zero where there are
    few pairs, as a spectrum without negative parts needs. C is not the same along and across the scan. White
    noise, which is all in C(0), is taken off, and what is left goes to zero beyond a few widths.

    The fit's background consists of the images of `basis` (b, rows, cols); the others are as of
    `beside_particle`. None if noise alone explains what is seen, or too little is.
    """
    beside = beside_particle(residual, valid, [np.ones(residual.shape), *basis], distance, width, pixel)
    if beside is None:
        return None
    z = beside.significance(beside.values, width)
    if not len(z) or chance_of_excess(float(np.mean(z**2)), len(z), width) > SURE:
        return None
    rows, cols = residual.shape
    room = int(np.ceil(FAR * MEMORY * width))
    padded = fft.next_fast_len(rows + room, real=True), fft.next_fast_len(cols + room, real=True)
    mask = beside.share**2
    covariance = fft.irfft2(np.abs(fft.rfft2(mask * beside.values, padded)) ** 2, padded) / np.sum(mask**2)
    covariance[0, 0] -= beside.noise
    down, right = (np.fft.fftfreq(n, 1 / n) for n in padded)
    covariance *= np.exp(-(down[:, None] ** 2 + right**2) / (2 * (MEMORY * width) ** 2))
    return Structure(np.sqrt(np.maximum(fft.rfft2(covariance).real, 0.0)), padded, (rows, cols))
