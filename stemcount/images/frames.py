"""A series of frames of one area becomes one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ..errors import InputError
from .image import ZoneAxisImage
from .load import ImageLike, as_image

Floats = NDArray[np.float64]
Spectrum = NDArray[np.complex64]


def transform(frame: Floats) -> Spectrum:
    """Fourier transform of a frame less its mean, for `frame_shift`.

    It is of twice the size, lest what leaves the frame on one side comes in on the other, and of single
    precision, which does for a hundredth of a pixel with half the memory.
    """
    return np.asarray(fft.rfft2((frame - frame.mean()).astype(np.float32), _doubled(frame)))


def frame_shift(reference: Spectrum, frame: Floats) -> tuple[float, float]:
    """Shift (x, y) [pixels] that carries a frame of this `transform` onto `frame`, to a fraction of a pixel.

    Maximum of the cross-correlation of the two frames less their means, refined by a parabola.
    """
    product = transform(frame)
    product *= np.conj(reference)
    correlation = fft.irfft2(product, _doubled(frame), overwrite_x=True)
    peak = [int(p) for p in np.unravel_index(int(np.argmax(correlation)), correlation.shape)]
    return _refined(correlation, peak, axis=1), _refined(correlation, peak, axis=0)


def _doubled(frame: Floats) -> tuple[int, ...]:
    return tuple(fft.next_fast_len(2 * s, real=True) for s in frame.shape)


def _refined(correlation: NDArray[np.float32], peak: list[int], axis: int) -> float:
    """Place of the peak along an axis by the parabola through its neighbours; negative beyond half."""
    size = correlation.shape[axis]
    before, here, after = (
        float(correlation[tuple((p + step) % size if k == axis else p for k, p in enumerate(peak))])
        for step in (-1, 0, 1)
    )
    bend = before - 2 * here + after
    part = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return (peak[axis] - size if peak[axis] > size // 2 else peak[axis]) + part


def average_series(frames: Sequence[ImageLike], register: bool = True) -> ZoneAxisImage:
    """Average of repeated images of the same area, shifted onto the first one.

    Parameters
    ----------
    frames : sequence of ZoneAxisImage or hyperspy Signal2D
        Of one shape and pixel size; each is asked for once.
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
    first = as_image(frames[0])
    total, reached = np.zeros(first.data.shape), np.ones(first.data.shape, dtype=bool)
    reference: Spectrum | None = None
    doses = []
    for k in range(len(frames)):
        frame = first if k == 0 else as_image(frames[k])
        if frame.data.shape != first.data.shape or not np.isclose(frame.pixel_size, first.pixel_size):
            raise InputError(
                f"{frame.name}: frame {k} has shape {frame.data.shape} and pixels of {frame.pixel_size:g} A,"
                f" the first has {first.data.shape} and {first.pixel_size:g} A."
            )
        doses.append(frame.dose)
        data, used = frame.filled, frame.used
        if register and k == 0:
            reference = transform(data)
        elif reference is not None:
            x, y = frame_shift(reference, data)
            data = ndimage.shift(data, (-y, -x), order=3, mode="nearest")
            used = ndimage.shift(used.astype(np.float32), (-y, -x), order=1, cval=0.0) > 0.999
        total += data
        reached &= used
    dose = float(sum(d for d in doses if d is not None)) if None not in doses else None
    return replace(first, data=total / len(frames), valid=None if reached.all() else reached, dose=dose)
