"""A series of frames of one area becomes one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from .errors import InputError
from .image import ZoneAxisImage
from .load import ImageLike, as_image

Floats = NDArray[np.float64]


def frame_shift(reference: Floats, frame: Floats) -> tuple[float, float]:
    """Shift (x, y) [pixels] that carries `reference` onto `frame`, to a fraction of a pixel.

    Maximum of the cross-correlation of the two frames less their means, refined by a parabola.
    """
    shape = tuple(fft.next_fast_len(2 * s, real=True) for s in reference.shape)
    a, b = (fft.rfft2(v - v.mean(), shape) for v in (reference, frame))
    correlation = fft.irfft2(np.conj(a) * b, shape)
    peak = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    shifts = []
    for axis in (1, 0):
        index = [int(p) for p in peak]
        values = []
        for step in (-1, 0, 1):
            at = index.copy()
            at[axis] = (at[axis] + step) % shape[axis]
            values.append(float(correlation[tuple(at)]))
        bend = values[0] - 2 * values[1] + values[2]
        part = 0.5 * (values[0] - values[2]) / bend if bend < 0 else 0.0
        whole = index[axis] - shape[axis] if index[axis] > shape[axis] // 2 else index[axis]
        shifts.append(whole + part)
    return shifts[0], shifts[1]


def average_series(frames: Sequence[ImageLike], register: bool = True) -> ZoneAxisImage:
    """Average of repeated images of the same area, shifted onto the first one.

    Parameters
    ----------
    frames : sequence of ZoneAxisImage or hyperspy Signal2D
        Of one shape and pixel size.
    register : bool
        Whether to measure and undo the frames' rigid shifts; False for a series that is registered.

    Returns
    -------
    ZoneAxisImage
        Mean of the frames in the first one's coordinates. Pixels that some frame did not reach are
        not `valid`; the dose is the sum of the frames' doses.

    Raises
    ------
    InputError
        If there is no frame, or shapes or pixel sizes differ.

    Examples
    --------
    >>> frame = ZoneAxisImage(np.ones((8, 8)), 0.2, dose=100.0)
    >>> average_series([frame, frame], register=False).dose
    200.0
    """
    if len(frames) == 0:
        raise InputError("a series to be averaged must hold at least one frame.")
    images = [as_image(frame) for frame in frames]
    first = images[0]
    for k, frame in enumerate(images):
        if frame.data.shape != first.data.shape or not np.isclose(frame.pixel_size, first.pixel_size):
            raise InputError(
                f"{frame.name}: frame {k} has shape {frame.data.shape} and pixels of {frame.pixel_size:g} A,"
                f" the first has {first.data.shape} and {first.pixel_size:g} A."
            )
    total, reached = np.zeros(first.data.shape), np.ones(first.data.shape, dtype=bool)
    for frame in images:
        valid = np.ones(first.data.shape) if frame.valid is None else frame.valid.astype(float)
        shift = (0.0, 0.0)
        if register and frame is not first:
            x, y = frame_shift(first.filled, frame.filled)
            shift = (-y, -x)
        if shift == (0.0, 0.0):
            total += frame.filled
            reached &= valid > 0.5
        else:
            total += ndimage.shift(frame.filled, shift, order=3, mode="nearest")
            reached &= ndimage.shift(valid, shift, order=1, mode="constant", cval=0.0) > 0.999
    doses = [f.dose for f in images]
    dose = float(sum(d for d in doses if d is not None)) if None not in doses else None
    return replace(first, data=total / len(images), valid=None if reached.all() else reached, dose=dose)
