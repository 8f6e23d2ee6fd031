"""A series of frames of one area: its file, and the one image that it becomes."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ..arrays import Floats
from ..errors import InputError, check_kind, check_path
from .data_sets import choose, is_series, of_detector, title_of
from .files import close_signals, read_signals
from .image import ZoneAxisImage
from .load import ImageLike, as_image, calibrated_image
from .scale import parabola_top

if TYPE_CHECKING:
    from hyperspy.signals import Signal2D

Spectrum = NDArray[np.complex64]


def load_series(
    path: Any,
    zone_axis: Sequence[int] | None = None,
    pixel_size: float | None = None,
    *,
    signal: str | int | None = None,
) -> Sequence[ZoneAxisImage]:
    """Load the frames of a file that holds a series of images of one area.

    Parameters
    ----------
    path : str, path or hyperspy Signal2D
        File of any format that hyperspy reads, or a stack of images that is loaded already.
    zone_axis, pixel_size
        As for `load_image`.
    signal : str or int, optional
        Which series of a file that holds several, one for each detector: its title or its number, from 1. By
        default the only one whose title has the word HAADF in it.

    Returns
    -------
    sequence of ZoneAxisImage
        Called as the file, with their numbers from 1. Each is made when it is asked for, so that those of a
        long series need not be held in memory together.

    Raises
    ------
    InputError
        If the file holds no series, or several of which `signal` names none; and as `load_image` does.

    Examples
    --------
    >>> import hyperspy.api as hs, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     hs.signals.Signal2D(np.ones((3, 8, 9))).save(f"{folder}/series.hspy")
    ...     frames = load_series(f"{folder}/series.hspy", pixel_size=0.2)
    >>> [frame.name for frame in frames]
    ['series_1', 'series_2', 'series_3']
    """
    if hasattr(path, "axes_manager"):
        title = title_of(path)
        return Frames(
            _series([path], signal, title or "signal"), title or "frame", "signal", zone_axis, pixel_size
        )
    check_path(path)
    path = Path(path)
    signals = read_signals(path)
    try:
        wanted = _series(signals, signal, str(path))
    except InputError:
        close_signals(signals)
        raise
    frames = Frames(wanted, path.stem, str(path), zone_axis, pixel_size)
    weakref.finalize(frames, close_signals, [wanted])
    return frames


def _series(signals: Sequence[Any], wanted: str | int | None, label: str) -> Any:
    """The series among the data sets of a file that is wanted; by default that of HAADF."""
    series = [s for s in signals if is_series(s)]
    if not series:
        raise InputError(f"{label}: holds no series; expected images in the shape (frames, rows, columns).")
    own = of_detector(series)
    return choose(own if wanted is None and len(own) == 1 else series, wanted, label)


@dataclass(frozen=True, eq=False)
class Frames(Sequence[ZoneAxisImage]):
    """The frames of a series, each of which is made when it is asked for; see `load_series`."""

    signal: Any
    name: str
    label: str
    zone_axis: Sequence[int] | None
    pixel_size: float | None

    def __len__(self) -> int:
        return len(self.signal.data)

    @overload
    def __getitem__(self, key: int) -> ZoneAxisImage: ...
    @overload
    def __getitem__(self, key: slice) -> list[ZoneAxisImage]: ...
    def __getitem__(self, key: int | slice) -> ZoneAxisImage | list[ZoneAxisImage]:
        if isinstance(key, slice):
            return [self[k] for k in range(*key.indices(len(self)))]
        k = range(len(self))[key]
        name = f"{self.name}_{k + 1}"
        return calibrated_image(self.signal.inav[k], self.label, self.zone_axis, self.pixel_size, name)


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
    place = peak[axis] - size if peak[axis] > size // 2 else peak[axis]
    return place + float(parabola_top(before, here, after))


def average_series(frames: Sequence[ImageLike] | Signal2D, register: bool = True) -> ZoneAxisImage:
    """Average of repeated images of the same area, shifted onto the first one.

    Parameters
    ----------
    frames : sequence of ZoneAxisImage or hyperspy Signal2D
        Of one shape and pixel size; each is asked for once. A Signal2D that holds a stack of images will do:
        its frames are those of `load_series`, which also takes a pixel size where it has no calibration.
    register : bool
        Whether to measure and undo the frames' rigid shifts; False for a series that is registered.

    Returns
    -------
    ZoneAxisImage
        Mean of the frames in the first one's coordinates, with their `drift`. Pixels that some frame did not
        reach are not `valid`; the dose is the sum of the frames' doses.

    Raises
    ------
    InputError
        If there is no frame, or shapes or pixel sizes differ, or a signal holds no stack.

    Examples
    --------
    >>> frame = ZoneAxisImage(np.ones((8, 8)), 0.2, dose=100.0)
    >>> average_series([frame, frame], register=False).dose
    200.0
    """
    if hasattr(frames, "axes_manager"):
        frames = load_series(frames)
    if not isinstance(frames, Sequence):
        raise InputError(
            "frames: expected a list of images, or a hyperspy Signal2D of shape (frames, rows, columns), got"
            f" {type(frames).__name__}."
        )
    if len(frames) == 0:
        raise InputError("a series to be averaged must hold at least one frame.")
    first = as_image(frames[0])
    check_kind("register", register, bool, "True or False")
    total, reached = np.zeros(first.data.shape), np.ones(first.data.shape, dtype=bool)
    reference: Spectrum | None = None
    doses, drift = [], np.zeros(len(frames))
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
            drift[k] = np.hypot(x, y) * first.pixel_size
            data = ndimage.shift(data, (-y, -x), order=3, mode="nearest")
            used = ndimage.shift(used.astype(np.float32), (-y, -x), order=1, cval=0.0) > 0.999
        total += data
        reached &= used
    dose = float(sum(d for d in doses if d is not None)) if None not in doses else None
    valid = None if reached.all() else reached
    return replace(first, data=total / len(frames), valid=valid, dose=dose, drift=drift)
