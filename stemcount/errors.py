"""What goes wrong through no fault of the program."""

import os
import re

import numpy as np

from .arrays import Floats

#: No quantity here is larger; sums and squares of larger ones may be no numbers, nor whole ones integers.
_LARGEST = 1e18


class InputError(ValueError):
    """A user's mistake: one sentence that names the file or field and what was expected.

    The command line prints it and exits with code 2.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(re.sub(r"\s*\n\s*", " ", sentence))  # arrays are printed on several lines


def check_whole(name: str, value: object, low: int, high: int | None = None) -> None:
    """Raise an InputError unless the value is an integer of at least ``low`` and at most ``high``."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise InputError(f"{name}: expected an integer of at least {low}, got {value!r}.")
    if high is not None and value > high:
        raise InputError(f"{name}: expected an integer of at most {high}, got {value!r}.")


def is_number(value: object, low: float = -np.inf) -> bool:
    """Whether it is a number of at least ``low``, of a size that one can calculate with."""
    known = isinstance(value, int | float | np.integer | np.floating)
    return known and bool(max(low, -_LARGEST) <= value <= _LARGEST)  # type: ignore[operator]


def check_number(name: str, value: object, low: float = -np.inf) -> None:
    """Raise an InputError unless the value is a number of at least ``low``, and of at most 1e18 in size."""
    if not is_number(value, low):
        least = "" if low == -np.inf else f" of at least {low:g}"
        raise InputError(f"{name}: expected a number{least}, got {value!r}.")


def check_kind(name: str, value: object, kind: type, expected: str) -> None:
    """Raise an InputError unless the value is of a class, in words: what is ``expected``."""
    if not isinstance(value, kind):
        raise InputError(f"{name}: expected {expected}, got {type(value).__name__}.")


def check_path(path: object) -> None:
    """Raise an InputError unless it is the name of a file or folder."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path: expected the name of a file, got {path!r}.")


def check_dose(dose: object) -> None:
    """Raise an InputError unless there is no dose, or a positive number."""
    if dose is not None and not (isinstance(dose, int | float | np.number) and 0 < dose < np.inf):
        raise InputError(f"dose: expected a positive number of electrons per A^2, got {dose!r}.")


def as_numbers(name: str, values: object) -> Floats:
    """Values as an array of float; masked ones become NaN, so that none is taken for a measurement.

    Raises
    ------
    InputError
        If they are no real numbers, or rows of different length.

    Examples
    --------
    >>> as_numbers("heights", np.ma.array([1, 2], mask=[False, True]))
    array([ 1., nan])
    """
    if np.ma.isMaskedArray(values):
        values = values.astype(float).filled(np.nan)  # type: ignore[attr-defined]
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise ValueError("they are complex")
        return array.astype(float, copy=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected an array of numbers ({error}).") from error
