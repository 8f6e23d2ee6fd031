"""Images before they are fitted: intensity scale, region of interest, drift and scan shear."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Floats
from ..errors import InputError, as_numbers, check_kind, check_number
from ..finding.lattice import lattice_translations
from .image import ZoneAxisImage
from .load import ImageLike, as_image, load_pixels

if TYPE_CHECKING:
    from hyperspy.signals import Signal2D

Level: TypeAlias = "float | NDArray[Any] | Signal2D | str | Path"

FEWEST_FOR_DISTORTION = 20  # columns


def normalise(image: ImageLike, vacuum: Level, detector: Level, active: float = 0.5) -> ZoneAxisImage:
    """Intensities in fractions of the incident beam.

    I = (raw - vacuum) / (detector - vacuum), where `detector` is the reading with the whole beam on
    the detector: the mean over the active part of a detector scan (LeBeau and Stemmer,
    Ultramicroscopy 108 (2008) 1653).

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    vacuum : float, 2D array, hyperspy Signal2D, str or path
        Reading without a beam on the detector [image units], or an image, or a file of one, whose mean it is.
    detector : float, 2D array, hyperspy Signal2D, str or path
        Reading with the beam on the detector, or a map of it, or a file of one: an image of the detector
        recorded by scanning the beam over it [image units].
    active : float
        With a map: pixels above this fraction of its range belong to the detector.

    Returns
    -------
    ZoneAxisImage

    Raises
    ------
    InputError
        If the levels are no numbers, a file of them cannot be read, or the detector's is not above the
        vacuum's.

    Examples
    --------
    >>> raw = ZoneAxisImage(np.full((4, 4), 30.0), 0.2)
    >>> float(normalise(raw, vacuum=10.0, detector=110.0).data[0, 0])
    0.2
    """
    image = as_image(image)
    level = _level(f"{image.name}: detector", detector)
    dark = _level(f"{image.name}: vacuum", vacuum)
    vacuum = float(dark.mean())
    check_number(f"{image.name}: active", active, 0)
    if level.ndim == 2:
        edge = vacuum + active * (np.percentile(level, 99.5) - vacuum)
        if not (level > max(edge, vacuum)).any():
            raise InputError(
                f"{image.name}: no pixel of the detector map, of {level.min():g} to {level.max():g}, is above"
                f" the vacuum's {vacuum:g} by more than {active:g} of the map's range; expected the detector"
                " and what surrounds it, in the image's units."
            )
        full = float(level[level > edge].mean())
    else:
        full = float(level)
    if not (np.isfinite(full) and np.isfinite(vacuum) and full > vacuum):
        raise InputError(
            f"{image.name}: the detector's level {full:g} must be above the vacuum's {vacuum:g}, both in the"
            " image's units."
        )
    return replace(image, data=(image.data - vacuum) / (full - vacuum))


def _level(label: str, given: Level) -> Floats:
    """A detector's reading, or a map of it from an array, a signal or a file, which needs no calibration."""
    if isinstance(given, str | Path):
        try:
            return load_pixels(Path(given))
        except InputError as error:
            raise InputError(f"{label}: {error}") from error
    level = as_numbers(label, given)
    if level.ndim not in (0, 2):
        raise InputError(f"{label}: expected a number or a 2D map, got an array of shape {level.shape}.")
    if level.ndim == 2 and not (level.size and np.isfinite(level).all()):
        raise InputError(f"{label}: the map is empty or has values that are not finite.")
    return level


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
    edges = as_numbers("region of interest", (left, right, top, bottom))
    if edges.shape != (4,) or not np.isfinite(edges).all():
        raise InputError(
            f"{image.name}: the edges of a region must be finite, got {left} to {right}, {top} to {bottom} A."
        )
    left, right, top, bottom = edges.tolist()
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


@dataclass(frozen=True, eq=False)
class ScanDistortion:
    """Linear distortion of an image, measured on its lattice.

    Attributes
    ----------
    matrix : (2, 2) float
        Measured lattice vector = matrix @ ideal lattice vector, after a rotation of the ideal lattice.
    angle : float
        Rotation of the ideal lattice in the image, from x towards y [degrees].
    shear, stretch : float
        matrix = [[1 + stretch_x, shear], [0, 1 + stretch_y]]: the slow scan's drift along x per
        distance along y, and the difference stretch_x - stretch_y.
    scale : float
        Mean of both axes' scales: pixel size in the file over true pixel size.
    """

    matrix: Floats
    angle: float
    shear: float
    stretch: float
    scale: float


def scan_distortion(points: ArrayLike, ideal: ArrayLike) -> ScanDistortion:
    """Drift and scan shear of an image from its column positions and the lattice that they should form.

    Drift during the scan shears and stretches the lattice: x gains with y, and y is scaled. The
    measured primitive vectors M are those of the ideal lattice L, turned, then multiplied by an upper
    triangular matrix (rows are scanned fast, along x): M = T R(angle) L, a QR-like decomposition
    with one solution for each way to pair the vectors; the one nearest to no distortion is taken.

    Parameters
    ----------
    points : (n, 2) array of float
        Column positions x, y [A], n >= 20.
    ideal : (2, 2) array of float
        Rows are two primitive vectors of the projected lattice [A], in any orientation.

    Returns
    -------
    ScanDistortion

    Raises
    ------
    InputError
        If there are too few columns or they show no lattice.

    Examples
    --------
    >>> x, y = np.meshgrid(np.arange(8) * 2.0, np.arange(8) * 2.0)
    >>> sheared = np.column_stack([(x + 0.03 * y).ravel(), y.ravel()])
    >>> round(scan_distortion(sheared, [[2.0, 0.0], [0.0, 2.0]]).shear, 3)
    0.03
    """
    places = as_numbers("points", points)
    if places.ndim != 2 or places.shape[1] != 2 or len(places) < FEWEST_FOR_DISTORTION:
        raise InputError(
            f"a distortion needs at least {FEWEST_FOR_DISTORTION} column positions, got shape {places.shape}."
        )
    if not np.isfinite(places).all():
        raise InputError("points: expected finite x, y in A of every column.")
    vectors = lattice_translations(places)
    lattice = as_numbers("ideal", ideal)
    if lattice.shape != (2, 2) or abs(np.linalg.det(lattice)) < 1e-9:
        raise InputError("ideal must be two independent vectors of the projected lattice, shape (2, 2).")
    if len(vectors) == 0:
        raise InputError("the columns show no lattice, so that no distortion can be measured.")
    measured = vectors[[0, 2]].T
    best: tuple[float, Floats, float] | None = None
    for pair in _bases(lattice):
        # measured = T R pair: with A = measured pair^-1 = T R, A A' = T T' gives T, then R = T^-1 A
        a = measured @ np.linalg.inv(pair)
        if np.linalg.det(a) <= 0:
            continue
        product = a @ a.T
        t22 = np.sqrt(product[1, 1])
        t12 = product[0, 1] / t22
        t = np.array([[np.sqrt(max(product[0, 0] - t12**2, 0.0)), t12], [0.0, t22]])
        r = np.linalg.solve(t, a)
        mean = (t[0, 0] + t[1, 1]) / 2
        size = abs(t12) + abs(t[0, 0] - t[1, 1]) + abs(mean - 1)
        if best is None or size < best[0] - 1e-9:
            best = (float(size), t, float(np.degrees(np.arctan2(r[1, 0], r[0, 0]))))
    assert best is not None  # one of two mirror-image pairs has a positive determinant
    _, t, angle = best
    scale = (t[0, 0] + t[1, 1]) / 2
    return ScanDistortion(t, angle, float(t[0, 1]), float(t[0, 0] - t[1, 1]), float(scale))


def _bases(lattice: Floats) -> list[Floats]:
    """Bases (columns are vectors) of short vectors that span the lattice of the rows of `lattice`."""
    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    steps += [(2, 1), (1, 2), (-2, 1), (-1, 2), (2, -1), (1, -2), (-2, -1), (-1, -2)]
    return [
        np.column_stack([np.array(p) @ lattice, np.array(q) @ lattice])
        for p in steps
        for q in steps
        if abs(p[0] * q[1] - p[1] * q[0]) == 1
    ]


def straighten(points: ArrayLike, distortion: ScanDistortion) -> Floats:
    """Column positions without the distortion, the lattice's rotation left as it is.

    Parameters
    ----------
    points : (n, 2) array of float
        [A]
    distortion : ScanDistortion

    Returns
    -------
    (n, 2) float
        [A]

    Raises
    ------
    InputError
        If the points are not (n, 2) numbers, or the distortion does not come from `scan_distortion`.

    Examples
    --------
    >>> none = ScanDistortion(np.eye(2), 0.0, 0.0, 0.0, 1.0)
    >>> straighten([[1.0, 2.0]], none)
    array([[1., 2.]])
    """
    check_kind("distortion", distortion, ScanDistortion, "one of scan_distortion")
    places = as_numbers("points", points)
    if places.ndim != 2 or places.shape[1] != 2:
        raise InputError(f"points: expected x and y of each column in A, got shape {places.shape}.")
    return places @ np.linalg.inv(distortion.matrix).T
