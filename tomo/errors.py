"""What goes wrong through no fault of the program."""

import numpy as np


class InputError(ValueError):
    """A user's mistake: one sentence that names the file or field and what was expected.

    The command line prints it and exits with code 2.
    """


def check_whole(name: str, value: object, low: int) -> None:
    """Raise an InputError unless the value is an integer of at least ``low``."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise InputError(f"{name}: expected an integer of at least {low}, got {value!r}.")


def check_number(name: str, value: object, low: float = -np.inf) -> None:
    """Raise an InputError unless the value is a finite number of at least ``low``."""
    if not isinstance(value, int | float | np.number) or not low <= value < np.inf or value == -np.inf:
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
