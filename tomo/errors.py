"""What goes wrong through no fault of the program."""

import os
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .arrays import Bools, Floats, Ints

#: No quantity here is larger; sums and squares of larger ones may be no numbers, nor whole ones integers.
_LARGEST = 1e18
#: Runs, chains or particles that one call may ask for.
MOST_RUNS = 1_000_000


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
        raise InputError(f"{name}: expected an integer of at most {high:,}, got {value!r}.")


def is_number(value: object, low: float = -np.inf) -> bool:
    """Whether it is a number of at least ``low``, of a size that one can calculate with."""
    known = isinstance(value, int | float | np.integer | np.floating)
    return known and bool(max(low, -_LARGEST) <= value <= _LARGEST)  # type: ignore[operator]


def check_number(name: str, value: object, low: float = -np.inf) -> None:
    """Raise an InputError unless the value is a number of at least ``low``, and of at most 1e18 in size."""
    if not is_number(value, low):
        least = "" if low == -np.inf else f" of at least {low:g}"
        raise InputError(f"{name}: expected a number{least}, got {value!r}.")


def check_progress(value: object) -> None:
    """Raise an InputError unless the value asks for a bar or none, or can be called."""
    if not (value is None or isinstance(value, bool | np.bool_) or callable(value)):
        raise InputError(f"progress: expected True, False or a function to call, got {value!r}.")


def check_switch(name: str, value: object) -> None:
    """Raise an InputError unless the value is True or False; the word "no" would pass for True."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name}: expected True or False, got {value!r}.")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise an InputError unless the value is one of some words."""
    if not isinstance(value, str) or value not in choices:  # arrays have no truth value
        raise InputError(f"{name}: expected one of {', '.join(choices)}, got {value!r}.")


def check_kind(name: str, value: object, kind: type) -> None:
    """Raise an InputError unless the value is of a class."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise InputError(f"{name}: expected {article} {kind.__name__}, got {type(value).__name__}.")


def check_kinds(name: str, values: object, kind: type) -> None:
    """Raise an InputError unless the values are a sequence, each of a class."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InputError(f"{name}: expected a list of {kind.__name__}, got {type(values).__name__}.")
    for number, value in enumerate(values):
        check_kind(f"{name}[{number}]", value, kind)


def check_list(name: str, values: object) -> None:
    """Raise an InputError unless the values are a list of some kind, such as one entry for each view."""
    several = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
    if not several or getattr(values, "ndim", 1) == 0:
        raise InputError(f"{name}: expected a list, got {values!r}.")


def check_path(path: object) -> None:
    """Raise an InputError unless it is the name of a file or folder."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path: expected the name of a file or folder, got {path!r}.")


def as_numbers(name: str, values: object) -> Floats:
    """Values as an array of float; InputError if they are no real numbers or rows of different length.

    Examples
    --------
    >>> as_numbers("weights", [1, 2])
    array([1., 2.])
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected an array of numbers ({error}).") from error


def as_points(name: str, values: object, axes: int = 3) -> Floats:
    """Finite values as an array (n, axes) of float; none at all, of any shape, are (0, axes).

    InputError if they are none.

    Examples
    --------
    >>> as_points("others", []).shape
    (0, 3)
    """
    points = as_numbers(name, values)
    if points.size == 0:
        return np.zeros((0, axes))
    if points.ndim != 2 or points.shape[1] != axes or not np.isfinite(points).all():
        raise InputError(f"{name}: expected finite numbers of shape (n, {axes}), got shape {points.shape}.")
    return points


def as_switches(name: str, values: object, n: int, one: str) -> Bools:
    """True or False n times, ``one`` for each of something, as an array (n,), or an InputError.

    Examples
    --------
    >>> as_switches("unfound", [True, False], 2, "one a column")
    array([ True, False])
    """
    try:
        switches = np.array(values)
        got = f"{switches.dtype} of shape {switches.shape}"
    except ValueError:
        switches, got = np.empty(0), "rows of different length"
    if switches.dtype != bool or switches.shape != (n,):
        raise InputError(f"{name}: expected {n} times True or False, {one}, got {got}.")
    return switches


def are_whole(values: NDArray) -> bool:
    """Whether all values are finite and without a fraction."""
    return bool(np.all(np.isfinite(values) & (values == np.round(values))))


def as_indices(name: str, values: object) -> Ints:
    """Three whole numbers that are a direction or the normal of a plane, or an InputError.

    Examples
    --------
    >>> as_indices("normal", [1.0, 1.0, 0.0])
    array([1, 1, 0])
    """
    indices = as_numbers(name, values)
    if indices.shape != (3,) or not are_whole(indices) or not indices.any():
        raise InputError(f"{name}: expected three integers, not all 0, got {values!r}.")
    return indices.astype(np.int64)
