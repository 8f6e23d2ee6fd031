"""Atomic columns of an image, found without a threshold to tune."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .complete import revise
from .errors import InputError
from .image import ZoneAxisImage
from .load import ImageLike, as_image
from .noise import estimate_noise
from .scale import contrast_by_scale, laplacian_of_gaussian, peak_scale, spectrum

Floats = NDArray[np.float64]

FINER = 0.8  # of the image's own scale: resolves close columns at a small price in noise
SIGNIFICANT = 3.5  # standard deviations of the noise
FAINTEST = 0.005  # of the brightest blobs: below lies rounding, not columns


def blob_maxima(data: Floats, scale: float) -> tuple[Floats, Floats, Floats]:
    """Local maxima of the scale-normalised Laplacian of Gaussian.

    Returns
    -------
    (n,) float, (n,) float, (n,) float
        x and y [pixels], refined between the pixels, and the response [image units].
    """
    transform, k2, shape = spectrum(data)
    size = (data.shape[0], data.shape[1])
    response = laplacian_of_gaussian(transform, k2, shape, scale, size)
    top = ndimage.maximum_filter(response, size=3, mode="nearest")
    i, j = np.nonzero((response == top) & (response > 0))
    padded = np.pad(response, 1, mode="edge")
    centre = padded[i + 1, j + 1]
    shifts = []
    for before, after in ((padded[i + 1, j], padded[i + 1, j + 2]), (padded[i, j + 1], padded[i + 2, j + 1])):
        bend = before - 2 * centre + after
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where(bend < 0, 0.5 * (before - after) / bend, 0.0)
        shifts.append(np.clip(shift, -0.5, 0.5))
    return j + shifts[0], i + shifts[1], centre


def find_columns(image: ImageLike) -> Floats:
    """Find the atomic columns of an image.

    Candidates are the local maxima of the Laplacian of Gaussian at the scale at which the image
    itself has most contrast (see `stemcount.scale`). A joint fit then measures how significant each
    one is against noise and misfit, and adds what the residual and the lattice show to be missing;
    see `stemcount.complete`. Nothing has to be set, and the intensities may be in any unit.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D

    Returns
    -------
    (n, 2) float
        Positions x, y [A].

    Raises
    ------
    InputError
        If there is no column.

    Examples
    --------
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 7.9], [5.0, 5.1], [1.0, 2.0], shape=(60, 70),
    ...                                    pixel_size=0.2, dose=1e4, seed=0)
    >>> stemcount.find_columns(image).round(1)
    array([[5. , 5. ],
           [7.9, 5.1]])
    """
    image = as_image(image)
    points = candidates(image)
    if len(points):
        points = revise(image, points)
    if len(points) == 0:
        raise InputError(
            f"{image.name}: no atomic columns were found; expected bright peaks above the noise."
        )
    return points


def candidates(image: ZoneAxisImage) -> Floats:
    """Blobs of the image that stand out of its noise, columns or not: (n, 2) float [A]."""
    data = image.data if image.valid is None else np.where(image.valid, image.data, np.median(image.data))
    scale = FINER * peak_scale(data)
    x, y, response = blob_maxima(data, scale)
    if len(x) == 0 or np.ptp(data) == 0:
        return np.zeros((0, 2))
    _, noise = contrast_by_scale(data)
    smooth = ndimage.gaussian_filter(data, scale)
    valid = np.ones(data.shape, dtype=bool) if image.valid is None else image.valid
    law = estimate_noise(data, smooth, valid)
    local = law.variance(ndimage.gaussian_filter(data, 2 * scale))
    local *= min(noise / float(local.mean()), 1.0)  # where pixels are coarse, columns look like noise
    i = np.clip(np.rint(y).astype(int), 0, data.shape[0] - 1)
    j = np.clip(np.rint(x).astype(int), 0, data.shape[1] - 1)
    keep = response > SIGNIFICANT * np.sqrt(local[i, j] / (2 * np.pi * scale**2))
    keep &= response > FAINTEST * np.percentile(response, 99)
    px = image.pixel_size
    return np.column_stack([x[keep] * px + image.offset[0], y[keep] * px + image.offset[1]])
