"""Images from any file that hyperspy reads, with pixel size and units from their calibration."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from ..errors import InputError
from .calibration import calibration, positive
from .files import close_signals, read_signals
from .image import ZoneAxisImage, checked_zone_axis
from .padding import padding
from .stray import stray_pixels

if TYPE_CHECKING:
    from hyperspy.signals import Signal2D

ImageLike: TypeAlias = "ZoneAxisImage | Signal2D"

NUMBERS = "biuf"  # kinds of real numbers among numpy's data types
SOME = 8  # data sets of a file that a message describes
AVERAGE = "; average the stack first, in Python: stemcount.average_series(stemcount.load_series(file))"

DETECTOR = "HAADF"  # whose image is taken of a file that holds those of several


def load_image(
    path: Any,
    zone_axis: Sequence[int] | None = None,
    pixel_size: float | None = None,
    name: str | None = None,
    *,
    signal: str | int | None = None,
) -> ZoneAxisImage:
    """Load one zone-axis image with its calibration.

    Parameters
    ----------
    path : str, path or hyperspy Signal2D
        File of any format that hyperspy reads (dm3, dm4, emd, ser, mrc, tif, hspy, ...), or a
        signal that is loaded already.
    zone_axis : 3 int, optional
        Viewing direction [uvw]; taken from the file's metadata (``stemcount.zone_axis``) when it
        is there and not given.
    pixel_size : float, optional
        Edge of a pixel [A]; needed for files without calibration, and stronger than theirs.
    name : str, optional
        What the image is called in messages and results; the file's stem by default.
    signal : str or int, optional
        Which image of a file that holds several, one for each detector: its title in the file, such as
        ``"HAADF"``, or its number among the images, from 1. By default the only one whose title has the word
        HAADF in it.

    Returns
    -------
    ZoneAxisImage
        Its `dose` is that of the metadata (``stemcount.dose`` [1/A^2]) when there is one. Borders that were
        filled in with one value and single pixels that no column can have made are not `valid`.

    Raises
    ------
    InputError
        If the file is missing or unreadable, holds no image, or several of which `signal` names none,
        has no calibration in a unit of length, pixels that are not square, or values that are not finite
        numbers.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> loaded = hs.signals.Signal2D(np.ones((4, 5)))
    >>> load_image(loaded, pixel_size=0.5).extent
    (-0.25, 2.25, -0.25, 1.75)
    """
    if isinstance(path, str | Path):
        signals, label = read_signals(Path(path)), str(path)
        name = Path(path).stem if name is None else name
        try:
            return _calibrated(_one_image(signals, signal, label), label, zone_axis, pixel_size, name)
        finally:
            close_signals(signals)
    label = str(name or "signal")
    if not hasattr(path, "axes_manager"):
        raise InputError(f"{label}: expected a file name or a hyperspy signal, got {type(path).__name__}.")
    name = _title(path) or "image" if name is None else name
    return _calibrated(_chosen([path], signal, label), label, zone_axis, pixel_size, name)


def load_images(path: Path | str) -> list[ZoneAxisImage]:
    """Load all images of a file, such as those of several detectors, to look at them.

    Parameters
    ----------
    path : path
        File of any format that hyperspy reads.

    Returns
    -------
    list of ZoneAxisImage
        Called as the file, and with their titles where there are several.

    Raises
    ------
    InputError
        As `load_image` does.

    Examples
    --------
    >>> import tempfile, stemcount
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stemcount.save_image(ZoneAxisImage(np.ones((4, 5)), 0.2), f"{folder}/particle.hspy")
    ...     [image.name for image in load_images(f"{folder}/particle.hspy")]
    ['particle']
    """
    path = Path(path)
    signals = read_signals(path)
    try:
        images = _images_among(signals, str(path))
        several = len(images) > 1
        names = [f"{path.stem} {_title(s)}".strip() if several else path.stem for s in images]
        return [_calibrated(s, str(path), None, None, n) for s, n in zip(images, names, strict=True)]
    finally:
        close_signals(signals)


def load_series(
    path: Path | str,
    zone_axis: Sequence[int] | None = None,
    pixel_size: float | None = None,
    *,
    signal: str | int | None = None,
) -> Sequence[ZoneAxisImage]:
    """Load the frames of a file that holds a series of images of one area.

    Parameters
    ----------
    path : path
        File of any format that hyperspy reads.
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
    path = Path(path)
    signals = read_signals(path)
    try:
        series = [s for s in signals if _is_series(s)]
        if not series:
            raise InputError(
                f"{path}: holds no series; expected images in the shape (frames, rows, columns)."
            )
        own = _of_detector(series)
        wanted = _chosen(own if signal is None and len(own) == 1 else series, signal, str(path))
    except InputError:
        close_signals(signals)
        raise
    frames = Frames(wanted, path, zone_axis, pixel_size)
    weakref.finalize(frames, close_signals, [wanted])
    return frames


@dataclass(frozen=True, eq=False)
class Frames(Sequence[ZoneAxisImage]):
    """The frames of a series, each of which is made when it is asked for; see `load_series`."""

    signal: Any
    path: Path
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
        name = f"{self.path.stem}_{k + 1}"
        return _calibrated(self.signal.inav[k], str(self.path), self.zone_axis, self.pixel_size, name)


def _calibrated(
    signal: Any, label: str, zone_axis: Sequence[int] | None, pixel_size: float | None, name: str
) -> ZoneAxisImage:
    """A hyperspy signal as an image, with what its metadata say and what is given instead."""
    data = _plain_image(signal, label)
    size, offset = calibration(signal, label, pixel_size)
    if zone_axis is None:
        zone_axis = signal.metadata.get_item("stemcount.zone_axis", None)
    dose = signal.metadata.get_item("stemcount.dose", None)
    return ZoneAxisImage(
        data,
        pixel_size=size,
        valid=usable_pixels(data, size),
        zone_axis=checked_zone_axis(zone_axis, label),
        offset=offset,
        dose=None if dose is None else positive(dose, label, "stemcount.dose"),
        name=name,
    )


def usable_pixels(data: np.ndarray, pixel_size: float) -> np.ndarray | None:
    """Pixels that show the sample: no filled border, spike or dead pixel; None for all of them.

    Parameters
    ----------
    data : (rows, cols) array of float
    pixel_size : float
        [A]

    Returns
    -------
    (rows, cols) bool or None
    """
    recorded = ~padding(data)
    usable = recorded & ~stray_pixels(data, pixel_size, recorded)
    return None if usable.all() else usable


def as_image(image: ImageLike) -> ZoneAxisImage:
    """The image itself, or the one that a hyperspy signal holds.

    Every function that takes an image calls this first, so that a calibrated `Signal2D` will do.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
        A signal needs a calibration in a unit of length; see `load_image` to give a pixel size.

    Returns
    -------
    ZoneAxisImage

    Raises
    ------
    InputError
        If it is neither, or the signal is no calibrated image.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> signal = hs.signals.Signal2D(np.ones((4, 5)))
    >>> for axis in signal.axes_manager.signal_axes:
    ...     axis.scale, axis.units = 0.02, "nm"
    >>> as_image(signal).pixel_size
    0.2
    """
    if isinstance(image, ZoneAxisImage):
        return image
    if not hasattr(image, "axes_manager"):
        raise InputError(
            f"image: expected a ZoneAxisImage or a hyperspy Signal2D, got {type(image).__name__};"
            " an array becomes one with ZoneAxisImage(array, pixel_size), a file with load_image(path)."
        )
    return load_image(image)


def _images_among(signals: Sequence[Any], label: str) -> Sequence[Any]:
    """The plain images among the data sets of a file: next to spectra, stacks or Fourier transforms.

    A file of one data set has that one, whatever it is.
    """
    if len(signals) == 1:
        return signals
    images = [s for s in signals if _is_image(s)]
    if not signals:
        raise InputError(f"{label}: holds no image; expected one.")
    if not images:
        what = ", ".join(_what_it_is(s, s.data.shape) for s in signals[:SOME])
        advice = AVERAGE if any(_is_series(s) for s in signals) else ""
        raise InputError(
            f"{label}: holds {len(signals)} data sets, none of them an image ({what}); expected one"
            f" image{advice}."
        )
    return images


def _one_image(signals: Sequence[Any], wanted: str | int | None, label: str) -> Any:
    """The image of a file that is wanted; by default that of the detector which the program is for.

    Where the file has that as a series and images of something else, such as maps of elements, it is the
    series, of which the user is told to make an image.
    """
    if wanted is None and len(signals) > 1:
        own = _of_detector(filter(_is_image, signals)) or _of_detector(filter(_is_series, signals))
        if len(own) == 1:
            return own[0]
    return _chosen(_images_among(signals, label), wanted, label)


def _of_detector(signals: Iterable[Any]) -> list[Any]:
    """Those of the detector which the program is for, by their titles."""
    return [s for s in signals if DETECTOR in _title(s).upper()]


def _chosen(images: Sequence[Any], wanted: str | int | None, label: str) -> Any:
    """The one image, or the one of that title or of that number from 1."""
    if wanted is None:
        chosen = list(images)
    elif isinstance(wanted, int):
        chosen = list(images[wanted - 1 : wanted]) if wanted > 0 else []
    else:
        chosen = [s for s in images if _title(s).lower() == wanted.strip().lower()]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(f"{n} {_title(s) or _untitled(s)!r}" for n, s in enumerate(images[:SOME], start=1))
    more = ", ..." if len(images) > SOME else ""
    told = "" if wanted is None else f", and signal = {wanted!r} names {'several' if chosen else 'none'}"
    raise InputError(
        f"{label}: holds {len(images)} image{'s' if len(images) > 1 else ''} ({there}{more}){told}; expected"
        " one: choose it with signal, by its title or its number."
    )


def _title(signal: Any) -> str:
    """What a file calls one of its data sets."""
    return str(signal.metadata.get_item("General.title", "") or "").strip()


def _untitled(signal: Any) -> str:
    """What a data set without a title is told by."""
    return "untitled, " + " x ".join(map(str, signal.data.shape))


def _is_image(signal: Any) -> bool:
    return signal.axes_manager.signal_dimension == 2 and _is_plain(signal.data)


def _is_series(signal: Any) -> bool:
    manager = signal.axes_manager
    return manager.navigation_dimension == 1 and manager.signal_dimension == 2 and _is_plain(signal.data[0])


def _is_plain(data: Any) -> bool:
    """Two axes, and one real number a pixel."""
    return sum(s > 1 for s in data.shape) == 2 and _grey(data).dtype.kind in NUMBERS


def _grey(data: Any) -> Any:
    """One number a pixel of a grey picture that was saved with colours, all alike; other data as they are."""
    if (data.dtype.names or ())[:3] != ("R", "G", "B"):
        return data
    same = np.array_equal(data["R"], data["G"]) and np.array_equal(data["R"], data["B"])
    return data["R"] if same else data


def _plain_image(signal: Any, label: str) -> np.ndarray:
    """The one 2D array of a signal, as float."""
    shape = tuple(signal.data.shape)
    squeezed = tuple(s for s in shape if s > 1)
    if len(squeezed) != 2 or signal.axes_manager.signal_dimension == 1:
        advice = AVERAGE if len(shape) == 3 and signal.axes_manager.signal_dimension == 2 else ""
        raise InputError(f"{label}: holds {_what_it_is(signal, shape)}; expected one 2D image{advice}.")
    if not _is_plain(signal.data):
        what = "a picture in colours" if signal.data.dtype.names else f"{signal.data.dtype} pixels"
        raise InputError(
            f"{label}: holds {what}; expected real numbers, one per pixel, as the microscope's own file has"
            " them."
        )
    data = np.asarray(_grey(signal.data), dtype=float).reshape(squeezed)
    bad = int(np.count_nonzero(~np.isfinite(data)))
    if bad:
        raise InputError(f"{label}: {bad} pixels are NaN or infinite; replace or mask them first.")
    return data


def _what_it_is(signal: Any, shape: tuple[int, ...]) -> str:
    """What data that are no image seem to be, and what to do with them."""
    if signal.axes_manager.signal_dimension == 1:
        return f"spectra of shape {shape}"
    if len(shape) > 3:
        return f"a scan of diffraction patterns or other images of shape {shape}"
    if len(shape) == 3:
        return f"a stack of shape {shape}"
    return f"data of shape {shape}"
