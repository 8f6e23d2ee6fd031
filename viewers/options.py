"""What users may ask of pictures, movies and files: each check gives a clean value or one clear sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb

from stemcount import InputError
from stemcount.whole_file import whole_file

if TYPE_CHECKING:
    from tomo.result import Reconstruction

LARGEST_INDEX = 99
"""Of planes that can be written; there is no use for higher ones, and sliders count only so far."""
SMALLEST, LARGEST = 64, 4096
"""Edges of a picture [pixels]; the largest takes 4 GB to draw."""


def check_result(result: Any) -> Reconstruction:
    """A reconstruction, or an `InputError` that says how to get one."""
    import tomo

    if not isinstance(result, tomo.Reconstruction):
        raise InputError(
            f"result: expected a tomo.Reconstruction, got {type(result).__name__}; a result folder is read by"
            " tomo.load_reconstruction(folder)."
        )
    return result


def check_path(path: Any, endings: Sequence[str] | None = None) -> Path:
    """A path to write to, with one of some endings if these are given.

    Examples
    --------
    >>> check_path("atoms.png", (".png",)).suffix
    '.png'
    """
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise InputError(f"path: expected the name of a file to write, got {path!r}.")
    found = Path(path)
    if endings is not None and found.suffix.lower() not in endings:
        offered = ", ".join(endings[:-1]) + f" or {endings[-1]}"
        raise InputError(f"{found}: its name must end in {offered}.")
    return found


@contextmanager
def written(path: str | Path, what: str) -> Iterator[Path]:
    """`whole_file`, and an `InputError` that says what could not be written."""
    try:
        with whole_file(path) as unfinished:
            yield unfinished
    except OSError as error:
        raise InputError(f"{path}: the {what} cannot be written ({error.strerror or error}).") from error


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """A number between two bounds, these included.

    Examples
    --------
    >>> check_number("threshold", 0.5, 0, 1)
    0.5
    """
    number = _as_floats(value, 1)
    if number is None or not low <= number[0] <= high:
        raise InputError(f"{name} must be a number between {low:g} and {high:g}, got {value!r}.")
    return number[0]


def check_whole(name: str, value: Any, low: int) -> int:
    """A whole number that is large enough.

    Examples
    --------
    >>> check_whole("frames", 24, 2)
    24
    """
    number = _as_floats(value, 1)
    if number is None or number[0] != round(number[0]) or number[0] < low:
        raise InputError(f"{name} must be a whole number of at least {low}, got {value!r}.")
    return int(number[0])


def check_size(size: Any) -> tuple[int, int]:
    """Width and height of a picture [pixels].

    Examples
    --------
    >>> check_size([800, 600.0])
    (800, 600)
    """
    numbers = _as_floats(size, 2)
    if numbers is None or not all(SMALLEST <= v <= LARGEST and v == round(v) for v in numbers):
        raise InputError(
            f"size must be (width, height), whole numbers between {SMALLEST} and {LARGEST} pixels,"
            f" got {size!r}."
        )
    return int(numbers[0]), int(numbers[1])


def check_indices(name: str, value: Any) -> tuple[int, int, int]:
    """Three whole numbers, not all zero: planes (hkl) or a direction [uvw].

    Examples
    --------
    >>> check_indices("normal", [1, 1, 0])
    (1, 1, 0)
    """
    numbers = _as_floats(value, 3)
    if numbers is None or any(v != round(v) for v in numbers) or not any(numbers):
        raise InputError(f"{name} must be three whole numbers, not all zero, got {value!r}.")
    h, k, l = (int(v) for v in numbers)  # noqa: E741
    return h, k, l


def written_indices(text: str) -> tuple[int, int, int] | None:
    """Three whole numbers, not all zero, as a person writes them; None where they are not (yet) written.

    Examples
    --------
    >>> written_indices("(1, -1, 0)"), written_indices("1 1"), written_indices("1 1 100")
    ((1, -1, 0), None, None)
    """
    for mark in "(),":
        text = text.replace(mark, " ")
    try:
        h, k, l = (int(word) for word in text.split())  # noqa: E741
    except ValueError:
        return None
    return (h, k, l) if 0 < max(abs(h), abs(k), abs(l)) <= LARGEST_INDEX else None


def check_colour(value: Any) -> tuple[float, float, float]:
    """A background's red, green, blue, 0..1, from such numbers or anything that matplotlib calls a colour.

    Examples
    --------
    >>> check_colour("white")
    (1.0, 1.0, 1.0)
    """
    try:
        red, green, blue = to_rgb(tuple(value) if isinstance(value, list | np.ndarray) else value)
    except (TypeError, ValueError):
        raise InputError(
            "background must be a colour: red, green, blue between 0 and 1, or a name such as 'white';"
            f" got {value!r}."
        ) from None
    return float(red), float(green), float(blue)


def _as_floats(value: Any, count: int) -> list[float] | None:
    """That many finite numbers, or None; text and truth values are no numbers."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    if array.dtype.kind not in "iuf" or array.shape != ((count,) if count > 1 else ()):
        return None
    return [float(v) for v in array.reshape(-1)] if np.isfinite(array).all() else None
