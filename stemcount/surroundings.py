"""What varies beside the particle also lies under it: speckle of a support film, correlated noise.

A fit takes nearly all of it up, so that its residual shows little, while beside the columns it is seen whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, special

from .blur import gaussian_blur
from .noise import matched_significance, white_noise

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

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
    power : (padded rows, padded cols // 2 + 1) float
        Its spectrum: the Fourier transform of the covariance [image units^2].
    padded : tuple of 2 int
        Size of the periodic images that it belongs to.
    shape : tuple of 2 int
        Size of the image.
    """

    power: Floats
    padded: tuple[int, int]
    shape: tuple[int, int]

    def draw(self, seed: int) -> Floats:
        """One such image (rows, cols)."""
        white = np.random.default_rng(seed).standard_normal(self.padded)
        image = fft.irfft2(np.sqrt(self.power) * fft.rfft2(white), self.padded)
        return np.asarray(image[: self.shape[0], : self.shape[1]])


def distance_to_columns(shape: tuple[int, ...], x: Floats, y: Floats) -> Floats:
    """Distance of every pixel (rows, cols) from the nearest of the columns at x and y (n,) [pixels]."""
    away = np.ones(shape, dtype=bool)
    i, j = np.rint(y).astype(int), np.rint(x).astype(int)
    away[i.clip(0, shape[0] - 1), j.clip(0, shape[1] - 1)] = False
    return np.asarray(ndimage.distance_transform_edt(away))


def without_slow(values: Floats, slow: list[Floats], distance: Floats) -> Floats:
    """What neither slow images nor the tails of the peaks explain of the pixels beside a particle.

    Parameters
    ----------
    values : (m,) float
        Of these pixels.
    slow : list of (m,) float
    distance : (m,) float
        From the nearest column [A].
    """
    tail = np.exp(-(distance - BESIDE) / FALL_OFF)
    design = np.column_stack([*slow, tail, tail**2])
    return np.asarray(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])


def structure_beside(
    residual: Floats, valid: Mask, basis: Floats, distance: Floats, width: float, pixel: float
) -> Structure | None:
    """How the image varies beside the particle, beyond white noise and what the fit's background follows.

    The covariance of pixels at a distance r is the sum of the products of all such pairs,

        C(r) = F^-1 |F (m e)|^2 / sum m^2,

    e the residual and m a mask that goes smoothly to zero at the particle; it takes C to zero where there are
    few pairs, as a spectrum without negative parts needs. C is not the same along and across the scan.
    White noise, which is all in C(0), is taken off, and what is left goes to zero beyond a few widths.

    Parameters
    ----------
    residual : (rows, cols) float
        Image less model [image units].
    valid : (rows, cols) bool
    basis : (b, rows, cols) float
        Images of which the fit's background consists.
    distance : (rows, cols) float
        From the nearest column [pixels].
    width : float
        Of the peaks [pixels].
    pixel : float
        [A]

    Returns
    -------
    Structure, or None if noise alone explains what is seen, or too little is.
    """
    beside = valid & (distance * pixel > BESIDE)
    if np.count_nonzero(beside) * pixel**2 < LEAST_AREA:
        return None
    seen = np.zeros(residual.shape)
    slow = [np.ones(np.count_nonzero(beside)), *(image[beside] for image in basis)]
    seen[beside] = without_slow(residual[beside], slow, distance[beside] * pixel)
    square, used = white_noise(seen, beside)
    noise = float(np.mean(square[used])) if used.any() else 0.0
    whole = beside & (gaussian_blur(beside.astype(float), width, edge="dark") > INSIDE)
    if not noise > 0 or not whole.any():
        return None
    z = matched_significance(seen, beside / noise, width)[whole]
    independent = len(z) / (2 * np.pi * width**2)
    if special.chdtrc(independent, independent * float(np.mean(z**2))) > SURE:
        return None
    rows, cols = residual.shape
    room = int(np.ceil(FAR * MEMORY * width))
    padded = fft.next_fast_len(rows + room, real=True), fft.next_fast_len(cols + room, real=True)
    mask = np.where(beside, gaussian_blur(beside.astype(float), width, edge="dark"), 0.0) ** 2
    covariance = fft.irfft2(np.abs(fft.rfft2(mask * seen, padded)) ** 2, padded) / np.sum(mask**2)
    covariance[0, 0] -= noise
    down, right = (np.fft.fftfreq(n, 1 / n) for n in padded)
    covariance *= np.exp(-(down[:, None] ** 2 + right**2) / (2 * (MEMORY * width) ** 2))
    return Structure(np.maximum(fft.rfft2(covariance).real, 0.0), padded, (rows, cols))
