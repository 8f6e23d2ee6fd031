"""Which data set of a file is the image, and what the others are: spectra, stacks, pictures in colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .files import seems_damaged

NUMBERS = "biuf"  # kinds of real numbers among numpy's data types
SOME = 8  # data sets of a file that a message describes
AVERAGE = (
    "; average = true in the project file, or --average on the command line, makes one image of a stack, as"
    " in Python stemcount.average_series(stemcount.load_series(file))"
)
DETECTOR = "HAADF"  # whose image is taken of a file that holds those of several


def images_among(signals: Sequence[Any], label: str) -> Sequence[Any]:
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
        advice = AVERAGE if any(is_series(s) for s in signals) else ""
        raise InputError(
            f"{label}: holds {len(signals)} data sets, none of them an image ({what}); expected one"
            f" image{advice}."
        )
    return images


def one_image(signals: Sequence[Any], wanted: str | int | None, label: str) -> Any:
    """The image of a file that is wanted; by default that of the detector which the program is for.

    Where the file has that as a series and images of something else, such as maps of elements, it is the
    series, of which the user is told to make an image.
    """
    if wanted is None and len(signals) > 1:
        own = of_detector(filter(_is_image, signals)) or of_detector(filter(is_series, signals))
        if len(own) == 1:
            return own[0]
    return choose(images_among(signals, label), wanted, label)


def of_detector(signals: Iterable[Any]) -> list[Any]:
    """Those of the detector which the program is for, by their titles."""
    return [s for s in signals if DETECTOR in title_of(s).upper()]


def choose(images: Sequence[Any], wanted: str | int | None, label: str) -> Any:
    """The one image, or the one of that title or of that number from 1."""
    if wanted is None:
        chosen = list(images)
    elif isinstance(wanted, int):
        chosen = list(images[wanted - 1 : wanted]) if wanted > 0 else []
    elif not isinstance(wanted, str):
        raise InputError(f"{label}: signal must be the title of an image or its number, got {wanted!r}.")
    else:
        chosen = [s for s in images if title_of(s).lower() == wanted.strip().lower()]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(f"{n} {title_of(s) or _untitled(s)!r}" for n, s in enumerate(images[:SOME], start=1))
    more = ", ..." if len(images) > SOME else ""
    told = "" if wanted is None else f", and signal = {wanted!r} names {'several' if chosen else 'none'}"
    raise InputError(
        f"{label}: holds {len(images)} image{'s' if len(images) > 1 else ''} ({there}{more}){told}; expected"
        " one: choose it with signal, by its title or its number."
    )


def title_of(signal: Any) -> str:
    """What a file calls one of its data sets."""
    return str(signal.metadata.get_item("General.title", "") or "").strip()


def _untitled(signal: Any) -> str:
    """What a data set without a title is told by."""
    return "untitled, " + " x ".join(map(str, signal.data.shape))


def _is_image(signal: Any) -> bool:
    return signal.axes_manager.signal_dimension == 2 and _is_plain(signal.data)


def is_series(signal: Any) -> bool:
    manager = signal.axes_manager
    return manager.navigation_dimension == 1 and manager.signal_dimension == 2 and _is_plain(signal.data[0])


def _is_plain(data: Any) -> bool:
    """Two axes, and one real number a pixel."""
    return sum(s > 1 for s in data.shape) == 2 and _grey(data).dtype.kind in NUMBERS


def _grey(data: Any) -> Any:
    """One number a pixel of a grey picture that was saved with colours, all alike; other data as they are."""
    if (data.dtype.names or ())[:3] != ("R", "G", "B"):
        return data
    data = _read(data)
    same = np.array_equal(data["R"], data["G"]) and np.array_equal(data["R"], data["B"])
    return data["R"] if same else data


def _read(data: Any) -> Any:
    """Data that are still in their file, read here: the workers of a cluster need not see it."""
    return data.compute(scheduler="threads") if hasattr(data, "compute") else data


def plain_image(signal: Any, label: str) -> np.ndarray:
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
    try:
        data = np.asarray(_grey(_read(signal.data)), dtype=float).reshape(squeezed)
    except OSError as error:  # data left in the file, of which only the head was read before
        raise InputError(seems_damaged(label, str(error))) from error
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
