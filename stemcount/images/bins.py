"""Images in bins of several pixels, and back: finer pixels than the peaks need only cost time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..arrays import Floats
from .image import ZoneAxisImage


def binned_image(image: ZoneAxisImage, factor: int) -> ZoneAxisImage:
    """Means of square bins of so many pixels."""
    rows, cols = (size // factor for size in image.data.shape)

    def parts(array: NDArray) -> NDArray:
        return array[: rows * factor, : cols * factor].reshape(rows, factor, cols, factor)

    shift = (factor - 1) / 2 * image.pixel_size
    return replace(
        image,
        data=parts(image.data).mean(axis=(1, 3)),
        pixel_size=image.pixel_size * factor,
        offset=(image.offset[0] + shift, image.offset[1] + shift),
        valid=None if image.valid is None else np.asarray(parts(image.valid).all(axis=(1, 3))),
    )


def at_pixels(binned: Floats, image: ZoneAxisImage) -> Floats:
    """Values in the bins of `binned_image` at every pixel (rows, cols), linear between their centres."""
    factor = image.data.shape[0] // binned.shape[0]
    if factor == 1:
        return binned
    places = (np.indices(image.data.shape) - (factor - 1) / 2) / factor
    return np.asarray(ndimage.map_coordinates(binned, places, order=1, mode="nearest"))
