"""What the joint fit is given, and what is wrong with it in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..errors import InputError, as_numbers, check_whole, is_number
from ..images.image import ZoneAxisImage, check_contrast
from ..results import ColumnFit
from .background import DEGREES, background_name

PEAKS = ("gaussian", "tailed")
WIDTHS = ("common", "per_type", "per_column")
LIKELIHOODS = ("poisson", "least_squares")


@dataclass(frozen=True)
class Choice:
    """What a fit is to do; see `fit_columns`, which also takes "automatic" for the background."""

    peak: str = "gaussian"
    widths: str = "per_column"
    background: str | float | Floats = "constant"
    likelihood: str = "poisson"
    pull: float | None = None
    max_iterations: int = 25

    def check(self) -> None:
        """Raise an `InputError` that names the option that does not exist."""
        for value, known, what in (
            (self.peak, PEAKS, "peak"),
            (self.widths, WIDTHS, "widths"),
            (self.likelihood, LIKELIHOODS, "likelihood"),
        ):
            if not isinstance(value, str) or value not in known:
                raise InputError(f"{what} must be one of {', '.join(known)}, got {value!r}.")
        if isinstance(self.background, str) and self.background not in DEGREES:
            words = ", ".join(["automatic", *DEGREES])
            raise InputError(f"background must be one of {words} or a number, got {self.background!r}.")
        if not isinstance(self.background, str | np.ndarray) and not is_number(self.background):
            raise InputError(f"background must be a finite number, got {self.background!r}.")
        if self.pull is not None and not is_number(self.pull, 0):
            raise InputError(f"pull must be a distance in A, 0 for none, got {self.pull!r}.")
        check_whole("max_iterations", self.max_iterations, 1)


def choice_of(fit: ColumnFit, settings: dict[str, Any]) -> Choice:
    """How to fit the same columns again: the settings of `fit_columns`, with the background it found."""
    if settings.get("background", "automatic") == "automatic":
        settings = settings | {"background": background_again(fit)}
    return Choice(**{name: settings[name] for name in settings if name != "column_type"})


def background_again(fit: ColumnFit) -> str | Floats:
    """The background of a fit, as `fit_columns` takes it."""
    return fit.light if isinstance(fit.light, np.ndarray) else background_name(fit.background)


def on_light(fit: ColumnFit) -> dict[str, Any]:
    """What `fit_columns` is told of the light beneath the columns of a fit, if any is known."""
    return {"background": fit.light} if isinstance(fit.light, np.ndarray) else {}


def check_image(image: ZoneAxisImage) -> None:
    """Raise an `InputError` for an image that cannot show columns."""
    check_contrast(image)
    if image.dose is not None and not image.data[image.used].mean() > 0:
        raise InputError(
            f"{image.name}: its mean is not positive, so with a dose given its pixels cannot be fractions of"
            " the incident beam."
        )


def check_level(image: ZoneAxisImage, background: str | float | Floats) -> None:
    """Raise an `InputError` for a known background that leaves no columns, or has less than no light."""
    if isinstance(background, str):
        return
    if isinstance(background, np.ndarray):
        numbers = background.dtype.kind in "fiu"
        if background.shape != image.data.shape or not numbers or not np.isfinite(background).all():
            raise InputError(
                f"{image.name}: a background of pixels must have the shape of the image, {image.data.shape},"
                f" and finite values, got shape {background.shape}."
            )
        return
    highest = float(image.data[image.used].max())
    if background >= highest:
        raise InputError(
            f"{image.name}: background {background:g} is as bright as the brightest pixel, {highest:.4g};"
            " expected the level beside the columns, in the units of the image."
        )
    if image.dose is not None and background <= -highest:
        raise InputError(
            f"{image.name}: background {background:g} is further below zero than any pixel above it"
            f" ({highest:.4g}); with a dose the image is in fractions of the beam, and so is the background."
        )


def check_places(image: ZoneAxisImage, places: ArrayLike, one: str) -> Floats:
    """Positions as an (n, 2) array [A], or an `InputError` that says which `one` is wrong."""
    points = as_numbers(f"{image.name}: {one}s", places)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise InputError(f"{image.name}: {one}s must have shape (n, 2), x and y in A, got {points.shape}.")
    if not np.isfinite(points).all():
        bad = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise InputError(f"{image.name}: {one} {bad} is not finite; every column needs an x and a y in A.")
    return points


def check_seeds(image: ZoneAxisImage, seeds: ArrayLike) -> Floats:
    """Start positions as an (n, 2) array [A], or an `InputError` that says what is wrong with them."""
    points = check_places(image, seeds, "seed")
    left, right, top, bottom = image.extent
    margin = 0.05 * max(right - left, bottom - top)
    low, high = np.array([left, top]) - margin, np.array([right, bottom]) + margin
    outside = np.flatnonzero(((points < low) | (points > high)).any(axis=1))
    if len(outside):
        bad = int(outside[0])
        raise InputError(
            f"{image.name}: seed {bad} at ({points[bad, 0]:.2f}, {points[bad, 1]:.2f}) A lies outside the"
            f" image ({left:.1f} to {right:.1f}, {top:.1f} to {bottom:.1f} A); seeds are x, y in A."
        )
    return points


def check_types(column_type: ArrayLike | None, n: int) -> Ints:
    """Types as an (n,) array of int, all 0 when there are none."""
    if column_type is None:
        return np.zeros(n, dtype=np.int64)
    wanted = f"column_type must be {n} integers, one for each seed"
    try:
        types = as_numbers("column_type", column_type)
    except InputError as error:
        raise InputError(f"{wanted}; {error}") from error
    if types.shape != (n,) or not np.array_equal(types, np.round(types)):
        raise InputError(f"{wanted}, got {types.size} of shape {types.shape}.")
    return types.astype(np.int64)
