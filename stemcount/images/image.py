"""The zone-axis image: pixels, pixel size and what is known of the experiment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

from ..arrays import Bools, Floats
from ..errors import InputError, as_numbers, check_kind
from .calibration import positive
from .scale import peak_scale

AROUND = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])  # a pixel's neighbours
FINEST_PIXEL = 1e-3  # A; on finer ones a column would not fit into memory
FEWEST_PIXELS = 6  # rows and columns of an image: that a smooth background can be told from peaks
LARGEST_INDEX = 1e9  # of a zone axis: beyond 2^53 a float is another integer
PLATEAU = 10  # pixels at exactly the highest value that make a plateau


@dataclass(frozen=True, eq=False)
class ZoneAxisImage:
    """One HAADF-STEM image along a zone axis.

    The centre of pixel (row i, column j) lies at x = j * pixel_size + offset[0] and
    y = i * pixel_size + offset[1]; x points right and y down.

    Parameters
    ----------
    data : (rows, cols) array of float
        Intensity, in fractions of the incident beam or in arbitrary units; masked pixels are not valid.
    pixel_size : float
        Edge of a pixel [A].
    zone_axis : tuple of 3 int, optional
        Viewing direction [uvw]; electrons travel along +[uvw].
    offset : tuple of 2 float
        Position (x, y) of the first pixel's centre [A].
    dose : float, optional
        Incident electrons per area [1/A^2], if `data` is in fractions of the incident beam.
    valid : (rows, cols) array of bool, optional
        Pixels that may be used; None for all of them.
    name : str
        What the image is called in tables, messages and result folders.
    drift : (n,) array of float, optional
        Of an average of n frames: how far each of them was shifted against the first [A].

    Raises
    ------
    InputError
        If the data are not a finite 2D array, pixel size or dose are not positive numbers, offset or drift
        are not finite numbers, or the zone axis is not three integers.

    Examples
    --------
    >>> image = ZoneAxisImage(np.ones((4, 5)), pixel_size=0.2, zone_axis=(1, 1, 0))
    >>> tuple(round(edge, 3) for edge in image.extent)
    (-0.1, 0.9, -0.1, 0.7)
    """

    data: Floats
    pixel_size: float
    zone_axis: tuple[int, int, int] | None = None
    offset: tuple[float, float] = (0.0, 0.0)
    dose: float | None = None
    valid: Bools | None = None
    name: str = "image"
    drift: Floats | None = None

    def __post_init__(self) -> None:
        check_kind("name", self.name, str, "text")
        given = self.data if hasattr(self.data, "dtype") else as_numbers(self.name, self.data)
        if np.iscomplexobj(given):
            raise InputError(f"{self.name}: the values are complex; expected the intensities of an image.")
        data = np.ascontiguousarray(as_numbers(self.name, np.ma.getdata(given)))
        if data.ndim != 2:
            raise InputError(
                f"{self.name}: expected a 2D image, got an array of shape {np.shape(given)};"
                " choose one frame of a stack or average it first."
            )
        if self.valid is not None:
            mask = (
                self.valid if hasattr(self.valid, "dtype") else as_numbers(f"{self.name}: valid", self.valid)
            )
            if mask.shape != data.shape:
                raise InputError(
                    f"{self.name}: valid has shape {mask.shape}, the image has shape {data.shape}."
                )
            if np.asarray(self.valid).dtype != bool:
                raise InputError(f"{self.name}: valid must be an array of True and False.")
        if np.ma.is_masked(self.data):
            shown = ~np.ma.getmaskarray(self.data)
            object.__setattr__(self, "valid", shown if self.valid is None else shown & self.valid)
        used = data if self.valid is None else data[self.valid]
        if used.size == 0:
            raise InputError(
                f"{self.name}: no pixel may be used; expected an image with pixels that are valid."
            )
        bad = int(np.count_nonzero(~np.isfinite(used)))
        if bad:
            raise InputError(f"{self.name}: {bad} pixels are NaN or infinite; mask or replace them first.")
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "pixel_size", positive(self.pixel_size, self.name, "pixel_size [A]"))
        if self.pixel_size < FINEST_PIXEL:
            raise InputError(
                f"{self.name}: pixels of {self.pixel_size:g} A are finer than those of any microscope; is"
                " pixel_size given in nm or m? Expected A."
            )
        object.__setattr__(
            self, "offset", tuple(_finite(self.offset, 2, f"{self.name}: offset [A]").tolist())
        )
        if self.drift is not None:
            object.__setattr__(self, "drift", _finite(self.drift, None, f"{self.name}: drift [A]"))
        object.__setattr__(self, "zone_axis", checked_zone_axis(self.zone_axis, self.name))
        if self.dose is not None:
            object.__setattr__(self, "dose", positive(self.dose, self.name, "dose"))

    def __repr__(self) -> str:
        rows, cols = self.data.shape
        return (
            f"<ZoneAxisImage {self.name}, zone axis {self.zone_axis}: "
            f"{rows} x {cols} pixels of {self.pixel_size:g} A>"
        )

    @property
    def used(self) -> Bools:
        """Pixels that may be used (rows, cols); their data are finite."""
        return np.ones(self.data.shape, dtype=bool) if self.valid is None else self.valid

    @cached_property
    def ceiling(self) -> float:
        """Value at which a detector or file was cut that could not go higher; infinite if none was.

        In an image that is not saturated high values are rare and the highest the rarest. Where at least
        ten pixels share the highest value and at most half as many the next lower one, they were cut.
        """
        values = self.data[self.used]
        highest = values.max()
        below = values[values < highest]
        if len(below) == 0 or not np.ptp(below) > 0:
            return np.inf
        share, next_share = int(np.sum(values == highest)), int(np.sum(below == below.max()))
        return float(highest) if share >= max(PLATEAU, 2 * next_share) else np.inf

    @property
    def recorded(self) -> Bools:
        """Pixels of the area that is used (rows, cols): with the single ones inside that are not."""
        return self.used if self.used.all() else self.used | self._surrounded[0]

    @property
    def filled(self) -> Floats:
        """The data, with values like theirs in place of the pixels that may not be used (rows, cols).

        Single pixels have the mean of their neighbours, others the image's median.
        """
        used = self.used
        if used.all():
            return self.data
        single, around = self._surrounded
        return np.where(used, self.data, np.where(single, around, np.median(self.data[used])))

    @cached_property
    def _surrounded(self) -> tuple[Bools, Floats]:
        """Unused pixels with more used neighbours than not, and the means of all pixels' used neighbours."""
        used = np.pad(self.used, 1).astype(float)
        light = np.pad(np.where(self.used, self.data, 0.0), 1)
        number, total = (ndimage.convolve(values, AROUND)[1:-1, 1:-1] for values in (used, light))
        return ~self.used & (number > AROUND.sum() / 2), total / np.maximum(number, 1.0)

    @cached_property
    def peak_scale(self) -> float:
        """Scale of the finest contrast, about as wide as columns [pixels]; see `stemcount.images.scale`."""
        return peak_scale(self.filled, self.pixel_size)

    @cached_property
    def slow_background(self) -> tuple[int, Floats]:
        """Degree and background (rows, cols) [image units] of an uneven image (`stemcount.images.uneven`)."""
        from .uneven import slow_background

        return slow_background(self)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Edges (left, right, top, bottom) of the image [A]: half a pixel beyond the outer centres."""
        rows, cols = self.data.shape
        x0, y0 = (self.offset[0] - self.pixel_size / 2, self.offset[1] - self.pixel_size / 2)
        return x0, x0 + cols * self.pixel_size, y0, y0 + rows * self.pixel_size


def check_contrast(image: ZoneAxisImage) -> None:
    """Raise InputError if an image has too few pixels to show columns, or all have one value."""
    check_size(image)
    if not np.ptp(image.data[image.used]) > 0:
        raise InputError(f"{image.name}: all pixels have the same value; expected an image of columns.")


def check_size(image: ZoneAxisImage) -> None:
    """Raise InputError if an image has too few pixels to show columns."""
    rows, cols = image.data.shape
    if min(rows, cols) < FEWEST_PIXELS:
        raise InputError(
            f"{image.name}: {rows} x {cols} pixels are too few to show columns; expected at least"
            f" {FEWEST_PIXELS} in each direction."
        )


def checked_zone_axis(value: Any, label: str) -> tuple[int, int, int] | None:
    """Three integers as they are given in any sequence of numbers; None stays None.

    InputError if it is anything else; the sentence begins with the label.
    """
    if value is None:
        return None
    try:
        numbers = [] if isinstance(value, str) else [float(v) for v in value]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    whole = all(v.is_integer() and abs(v) < LARGEST_INDEX for v in numbers)
    if len(numbers) != 3 or not whole or not any(numbers):
        raise InputError(f"{label}: zone_axis must be three integers, not all zero, got {value!r}.")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _finite(value: Any, length: int | None, label: str) -> Floats:
    """So many finite numbers; None for any number of them."""
    numbers = as_numbers(label, value)
    if numbers.ndim != 1 or length not in (None, len(numbers)) or not np.isfinite(numbers).all():
        raise InputError(f"{label}: expected {length or 'a list of'} finite numbers, got {value!r}.")
    return numbers
