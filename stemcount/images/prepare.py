"""Images before they are fitted: intensity scale and region of interest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, as_numbers, check_number
from .image import ZoneAxisImage
from .load import ImageLike, as_image


def normalise(
    image: ImageLike, vacuum: float, detector: float | NDArray, active: float = 0.5
) -> ZoneAxisImage:
    """Intensities in fractions of the incident beam.

    I = (raw - vacuum) / (detector - vacuum), where `detector` is the reading with the whole beam on
    the detector: the mean over the active part of a detector scan (LeBeau and Stemmer,
    Ultramicroscopy 108 (2008) 1653).

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    vacuum : float
        Reading without a beam on the detector [image units].
    detector : float or 2D array
        Reading with the beam on the detector, or a map of it: an image of the detector recorded by
        scanning the beam over it [image units].
    active : float
        With a map: pixels above this fraction of its range belong to the detector.

    Returns
    -------
    ZoneAxisImage

    Raises
    ------
    InputError
        If the levels are no numbers, or the detector's is not above the vacuum's.

    Examples
    --------
    >>> raw = ZoneAxisImage(np.full((4, 4), 30.0), 0.2)
    >>> float(normalise(raw, vacuum=10.0, detector=110.0).data[0, 0])
    0.2
    """
    image = as_image(image)
    level = as_numbers(f"{image.name}: detector", detector)
    if level.ndim not in (0, 2) or np.ndim(vacuum) != 0:
        raise InputError(
            f"{image.name}: vacuum must be a number, and detector one or a 2D map, got shapes"
            f" {np.shape(vacuum)} and {level.shape}."
        )
    vacuum = float(as_numbers(f"{image.name}: vacuum", vacuum))
    check_number(f"{image.name}: active", active, 0)
    if level.ndim == 2:
        if not level.size or not np.isfinite(level).all():
            raise InputError(f"{image.name}: the detector map is empty or has values that are not finite.")
        edge = vacuum + active * (np.percentile(level, 99.5) - vacuum)
        full = float(level[level > edge].mean()) if (level > edge).any() else float("nan")
    else:
        full = float(level)
    if not (np.isfinite(full) and np.isfinite(vacuum) and full > vacuum):
        raise InputError(
            f"{image.name}: the detector's level {full:g} must be above the vacuum's {vacuum:g}, both in the"
            " image's units."
        )
    return replace(image, data=(image.data - vacuum) / (full - vacuum))


def region_of_interest(
    image: ImageLike, left: float, right: float, top: float, bottom: float
) -> ZoneAxisImage:
    """The part of an image between four edges; positions keep their meaning.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    left, right, top, bottom : float
        Edges [A]; pixels whose centres lie between them stay.

    Returns
    -------
    ZoneAxisImage
        With the `offset` of its first pixel.

    Raises
    ------
    InputError
        If no pixel lies between the edges.

    Examples
    --------
    >>> part = region_of_interest(ZoneAxisImage(np.ones((10, 10)), 0.5), 1.0, 3.0, 0.0, 2.0)
    >>> part.data.shape, part.offset
    ((5, 5), (1.0, 0.0))
    """
    image = as_image(image)
    if not np.isfinite(as_numbers("region of interest", (left, right, top, bottom))).all():
        raise InputError(
            f"{image.name}: the edges of a region must be finite, got {left} to {right}, {top} to {bottom} A."
        )
    rows, cols = image.data.shape
    px, (x0, y0) = image.pixel_size, image.offset
    slack = 1e-9 * px
    j0, j1 = max(int(np.ceil((left - x0 - slack) / px)), 0), min(int((right - x0 + slack) // px) + 1, cols)
    i0, i1 = max(int(np.ceil((top - y0 - slack) / px)), 0), min(int((bottom - y0 + slack) // px) + 1, rows)
    if j1 <= j0 or i1 <= i0:
        raise InputError(
            f"{image.name}: the region {left:g} to {right:g}, {top:g} to {bottom:g} A holds no pixel;"
            " the image reaches from {:.4g} to {:.4g} and from {:.4g} to {:.4g} A.".format(*image.extent)
        )
    return replace(
        image,
        data=image.data[i0:i1, j0:j1],
        valid=None if image.valid is None else image.valid[i0:i1, j0:j1],
        offset=(x0 + j0 * px, y0 + i0 * px),
    )
