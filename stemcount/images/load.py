"""Images from any file that hyperspy reads, with pixel size and units from their calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..arrays import Floats
from ..errors import InputError, check_path
from .calibration import calibration, positive
from .data_sets import choose, images_among, one_image, plain_image, title_of
from .files import close_signals, read_signals
from .image import ZoneAxisImage, checked_zone_axis
from .padding import padding
from .stray import stray_pixels

if TYPE_CHECKING:
    from hyperspy.signals import Signal2D

ImageLike: TypeAlias = "ZoneAxisImage | Signal2D"


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
        filled in with one value and single pixels that no column can have made are not `valid`; of a file of
        `save_image` those are not that were not when it was saved.

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
            return calibrated_image(one_image(signals, signal, label), label, zone_axis, pixel_size, name)
        finally:
            close_signals(signals)
    label = str(name or "signal")
    if not hasattr(path, "axes_manager"):
        raise InputError(f"{label}: expected a file name or a hyperspy signal, got {type(path).__name__}.")
    name = title_of(path) or "image" if name is None else name
    return calibrated_image(choose([path], signal, label), label, zone_axis, pixel_size, name)


def load_pixels(path: Path) -> Floats:
    """Pixels (rows, cols) of the image of a file, calibrated or not; InputError as of `load_image`."""
    signals = read_signals(path)
    try:
        return plain_image(one_image(signals, None, str(path)), str(path))
    finally:
        close_signals(signals)


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
    check_path(path)
    path = Path(path)
    signals = read_signals(path)
    try:
        images = images_among(signals, str(path))
        several = len(images) > 1
        names = [f"{path.stem} {title_of(s)}".strip() if several else path.stem for s in images]
        return [calibrated_image(s, str(path), None, None, n) for s, n in zip(images, names, strict=True)]
    finally:
        close_signals(signals)


def calibrated_image(
    signal: Any, label: str, zone_axis: Sequence[int] | None, pixel_size: float | None, name: str
) -> ZoneAxisImage:
    """A hyperspy signal as an image, with what its metadata say and what is given instead."""
    data = plain_image(signal, label)
    size, offset = calibration(signal, label, pixel_size)
    if zone_axis is None:
        zone_axis = signal.metadata.get_item("stemcount.zone_axis", None)
    dose = signal.metadata.get_item("stemcount.dose", None)
    saved = saved_mask(signal, data)
    return ZoneAxisImage(
        data,
        pixel_size=size,
        valid=usable_pixels(data, size) if saved is None else saved,
        zone_axis=checked_zone_axis(zone_axis, label),
        offset=offset,
        dose=None if dose is None else positive(dose, label, "stemcount.dose"),
        name=name,
    )


def masked_pixels(data: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
    """Pixels that may not be used, as metadata hold them: places in the flat image, and values there."""
    place = np.flatnonzero(~valid)
    return {"place": place, "value": data.ravel()[place]}


def saved_mask(signal: Any, data: np.ndarray) -> np.ndarray | None:
    """Valid pixels (rows, cols) as `masked_pixels` told them; None where the file says nothing of them.

    Nor where other values lie there: the image was cropped, turned or changed since.
    """
    place = signal.metadata.get_item("stemcount.not_valid.place", None)
    value = signal.metadata.get_item("stemcount.not_valid.value", None)
    if place is None or value is None:
        return None
    place = np.asarray(place).reshape(-1)
    if place.dtype.kind not in "iu" or not np.all((place >= 0) & (place < data.size)):
        return None
    if not np.array_equal(data.ravel()[place], np.asarray(value, float).reshape(-1), equal_nan=True):
        return None
    valid = np.ones(data.shape, bool)
    valid.ravel()[place] = False
    return valid


def usable_pixels(data: np.ndarray, pixel_size: float) -> np.ndarray | None:
    """Pixels that show the sample: no filled border, spike or dead pixel; None for all of them."""
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
