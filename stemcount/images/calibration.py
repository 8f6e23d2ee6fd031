"""Pixel size and place of an image from the calibration of its file, whatever the unit."""

from __future__ import annotations

import math
import re
import unicodedata
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import InputError, is_number

SQUARE = 0.005  # relative difference of the pixel's edges that still counts as square
# Pixels of an image of columns of atoms [A]; others come from wrong calibrations.
PLAUSIBLE = (1e-3, 3.0)
UNCALIBRATED = {"", "px", "pix", "pixel", "pixels", "[]"}  # what files write for a unit that nobody set
ANGSTROM = re.compile(r"A|(?i:å|[aå]ng(str([oö]ms?)?)?\.?)")  # A alone pint reads as ampere
IMAGEJ_UNIT = re.compile(r"^ImageJ=.*^unit=(\S+)$", re.DOTALL | re.MULTILINE)
ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})")  # a letter as ImageJ writes it that is not ASCII's
TIFF_UNITS = {2: 2.54e8, 3: 1e8}  # of the resolution in a TIFF: inch and centimetre [A]


def image_axes(signal: Any) -> list[Any]:
    """The axes (y, x) that are longer than one pixel, in the order of the array."""
    axes = sorted(signal.axes_manager._axes, key=lambda axis: axis.index_in_array)
    return [axis for axis in axes if axis.size > 1]


def calibration(signal: Any, label: str, pixel_size: float | None) -> tuple[float, tuple[float, float]]:
    """Pixel size and offset (x, y) [A] of a signal that holds one image; a given size is stronger than it."""
    if pixel_size is not None:
        given = positive(pixel_size, label, "pixel_size")
        if not PLAUSIBLE[0] <= given <= PLAUSIBLE[1]:
            raise InputError(
                f"{label}: pixel_size = {given:g} A cannot show columns of atoms; expected the edge of a"
                " pixel in A, such as 0.2 for 0.02 nm or 20 pm."
            )
        return given, (0.0, 0.0)
    if (printed := _tiff_pixel(signal)) is not None:
        return printed, (0.0, 0.0)
    sizes, offsets = [], []
    for axis, what in zip(image_axes(signal), ("y", "x"), strict=True):
        if not hasattr(axis, "scale"):
            raise InputError(f"{label}: the pixels along its {what} axis are not evenly spaced; resample it.")
        factor = length_of_unit(_unit(axis, signal), label, what)
        sizes.append(abs(float(axis.scale)) * factor)
        offsets.append(float(axis.offset) * factor)
    if not all(math.isfinite(s) and s > 0 for s in sizes):
        raise InputError(f"{label}: its pixel size {sizes} A is not a positive number; give pixel_size in A.")
    if abs(sizes[0] - sizes[1]) > SQUARE * max(sizes):
        raise InputError(
            f"{label}: its pixels are {sizes[1]:.5g} A wide and {sizes[0]:.5g} A high; expected square pixels"
            " (resample the image first, or give pixel_size in A if they are square in truth)."
        )
    if not PLAUSIBLE[0] <= sizes[0] <= PLAUSIBLE[1]:
        raise InputError(
            f"{label}: its calibration says pixels of {sizes[0]:.4g} A, which cannot show columns of atoms;"
            " give pixel_size in A if the calibration is wrong."
        )
    return float(np.mean(sizes)), (offsets[1], offsets[0])


def _unit(axis: Any, signal: Any) -> str:
    """Unit of an axis; a TIFF from ImageJ, of which hyperspy reads the scale alone, has it in its text."""
    units = str(axis.units or "")
    if units and "undefined" not in units.lower():
        return units
    found = IMAGEJ_UNIT.search(str(signal.original_metadata.get_item("ImageDescription", "")))
    return ESCAPED.sub(lambda code: chr(int(code[1], 16)), found[1]) if found else ""


def _tiff_pixel(signal: Any) -> float | None:
    """Pixel size [A] by the resolution of a TIFF that says nothing else of it; None if it is a print's.

    Programs of microscopes write the specimen's there, others some hundred dots to the inch, which no image
    of columns can have.
    """
    told = signal.original_metadata
    unit = TIFF_UNITS.get(int(told.get_item("ResolutionUnit", 0) or 0))
    if unit is None or any(_unit(axis, signal) for axis in image_axes(signal)):
        return None
    sizes = []
    for tag in ("XResolution", "YResolution"):
        dots, units = told.get_item(tag, (0, 0))
        sizes.append(unit * units / dots if dots else math.inf)
    square = abs(sizes[0] - sizes[1]) <= SQUARE * max(sizes)
    return sizes[0] if square and PLAUSIBLE[0] <= sizes[0] <= PLAUSIBLE[1] else None


def length_of_unit(units: Any, label: str, axis: str) -> float:
    """Length of the unit of an axis [A]."""
    text = unicodedata.normalize("NFKC", str(units or "")).strip()  # one code for Å, one for the mu of µm
    if text.lower() in UNCALIBRATED or "undefined" in text.lower():
        raise InputError(f"{label}: its {axis} axis has no calibration; give pixel_size in A.")
    if ANGSTROM.fullmatch(text):
        return 1.0
    import pint

    registry: Any = pint.get_application_registry()
    text = text.replace("\u03bc", "u")
    for written in (text, text.lower()):  # some programs write NM
        with suppress(Exception):
            return float((registry.parse_expression(written) * 1.0).to("angstrom").magnitude)
    raise InputError(
        f"{label}: its {axis} axis is in {units!s}, which is not a length; expected an image in real"
        " space calibrated in nm, A, pm, um or m, or give pixel_size in A."
    )


def positive(value: Any, label: str, field: str) -> float:
    """The value as a number above zero."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (is_number(number) and number > 0):
        raise InputError(f"{label}: {field} must be a positive number, got {value!r}.")
    return number
