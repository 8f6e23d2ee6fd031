"""Images with a known answer: Gaussian columns or a whole crystal, with the noise of counted electrons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..errors import InputError, as_numbers, check_dose, check_number, check_whole
from ..fitting.peaks import add_peaks
from ..images.calibration import positive
from ..images.image import ZoneAxisImage, checked_zone_axis

Floats = NDArray[np.float64]

MOST_ELECTRONS = 1e18  # in a pixel, of which numpy draws a Poisson number
_FAR = 1e6  # no atom is that far away [A]
SAME_COLUMN = 0.3  # atoms closer than this in projection belong to one column [A]


def simulate_columns(
    x: ArrayLike,
    y: ArrayLike,
    cross_section: ArrayLike,
    *,
    shape: tuple[int, int],
    pixel_size: float,
    width: ArrayLike = 0.6,
    tail: tuple[float, float] = (0.0, 1.0),
    background: ArrayLike = 0.0,
    dose: float | None = None,
    seed: int | None = None,
    zone_axis: tuple[int, int, int] | None = None,
    name: str = "simulated",
) -> ZoneAxisImage:
    """Image of columns with known positions and cross-sections.

    Each column is the peak of `stemcount.fitting.peaks`, sampled at the pixel centres. With a dose, every
    pixel counts electrons: Poisson(I x dose x pixel area) / (dose x pixel area).

    Parameters
    ----------
    x, y : (n,) array of float
        Centres [A]; the first pixel's centre is (0, 0).
    cross_section : (n,) array of float
        Volumes under the peaks [A^2, for an image in fractions of the incident beam].
    shape : tuple of 2 int
        Rows and columns of the image.
    pixel_size : float
        [A]
    width : float or (n,) array of float
        rho [A].
    tail : tuple of 2 float
        Fraction of the volume in a wider Gaussian, and its width relative to rho.
    background : float or (rows, cols) array of float
        Added to the peaks [fractions of the incident beam].
    dose : float, optional
        Incident electrons per area [1/A^2]; None for no noise.
    seed : int, optional
        Of the noise.
    zone_axis, name
        Passed on to the image.

    Returns
    -------
    ZoneAxisImage

    Raises
    ------
    InputError
        If the columns' arrays differ in length or are not finite, dose, widths or pixel size are not
        positive, or an expected intensity is negative.

    Examples
    --------
    >>> image = simulate_columns([1.0], [1.0], [0.5], shape=(11, 11), pixel_size=0.2, width=0.3)
    >>> round(float(image.data.sum()) * 0.2**2, 2)
    0.5
    """
    xs, ys, volumes = (
        np.atleast_1d(as_numbers(what, v))
        for what, v in (("x", x), ("y", y), ("cross_section", cross_section))
    )
    if not (xs.shape == ys.shape == volumes.shape and xs.ndim == 1):
        raise InputError(
            f"x, y and cross_section must have one value a column, got {len(xs)}, {len(ys)}, {len(volumes)}."
        )
    if not np.isfinite([xs, ys, volumes]).all():
        raise InputError("x, y and cross_section must be finite, one value a column.")
    pixel_size = positive(pixel_size, name, "pixel_size [A]")
    if as_numbers("shape", shape).shape != (2,):
        raise InputError(f"shape: expected rows and columns, got {shape!r}.")
    for side in shape:
        check_whole("shape", side, 1)
    if seed is not None:
        check_whole("seed", seed, 0)
    data = _spread("background", background, tuple(shape)).copy()
    widths = _spread("width", width, xs.shape)
    if not (widths > 0).all():
        raise InputError(f"width: expected rho above 0 in A, got {widths.min():g}.")
    share, ratio = _tail(tail)
    add_peaks(
        data,
        xs / pixel_size,
        ys / pixel_size,
        volumes / pixel_size**2,
        widths / pixel_size,
        share,
        ratio,
    )
    if dose is not None:
        check_dose(dose)
        if data.min() < 0:
            raise InputError("the expected intensity is negative somewhere; counted electrons cannot be.")
        scale = dose * pixel_size**2
        if not data.max() * scale < MOST_ELECTRONS:
            raise InputError(
                f"dose: {dose:g} electrons per A^2 are more than can be counted; None is for no noise."
            )
        data = np.random.default_rng(seed).poisson(data * scale) / scale
    return ZoneAxisImage(data, pixel_size, zone_axis=zone_axis, dose=dose, name=name)


def _tail(tail: tuple[float, float]) -> tuple[float, float]:
    """Share of the wider Gaussian, and its relative width."""
    numbers = as_numbers("tail", tail)
    if numbers.shape != (2,) or not (0 <= numbers[0] <= 1 and 0 < numbers[1] < np.inf):
        raise InputError(f"tail: expected a share of 0..1 and a relative width above 0, got {tail!r}.")
    return float(numbers[0]), float(numbers[1])


def _spread(what: str, values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """One value for all, or one for each, as an array of that shape."""
    numbers = as_numbers(what, values)
    if not np.isfinite(numbers).all():
        raise InputError(f"{what}: expected finite numbers.")
    try:
        return np.broadcast_to(numbers, shape)
    except ValueError as error:
        raise InputError(f"{what}: expected one number or {shape} of them, got {numbers.shape}.") from error


def view_rotation(zone_axis: Sequence[int], angle: float = 0.0) -> Floats:
    """Proper rotation from the crystal's cubic axes to the image's: x right, y down, beam into the page.

    Parameters
    ----------
    zone_axis : 3 int
        [uvw]; R @ uvw / |uvw| = (0, 0, 1).
    angle : float
        Turns the crystal in the image, from x towards y [degrees].

    Returns
    -------
    (3, 3) float

    Raises
    ------
    InputError
        If the zone axis is no direction.

    Examples
    --------
    >>> view_rotation((1, 0, 0)) @ [1, 0, 0]
    array([0., 0., 1.])
    """
    beam = np.array(_known_axis(zone_axis), dtype=float)
    beam = beam / np.linalg.norm(beam)
    # the image's x axis: the cubic axis that is most nearly perpendicular to the beam
    start = np.eye(3)[int(np.argmin(np.abs(beam)))]
    right = start - beam * (start @ beam)
    right /= np.linalg.norm(right)
    rotation = np.array([right, np.cross(beam, right), beam])
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ rotation + 0.0


def _known_axis(zone_axis: Sequence[int]) -> tuple[int, int, int]:
    """A zone axis that must be given."""
    axis = checked_zone_axis(zone_axis, "simulation")
    if axis is None:
        raise InputError("simulation: zone_axis must be three integers, not all zero, got None.")
    return axis


def simulate_crystal(
    positions: ArrayLike,
    zone_axis: tuple[int, int, int],
    *,
    pixel_size: float = 0.2,
    dose: float | None = 1e5,
    seed: int | None = 0,
    width: float = 0.6,
    atom_cross_section: ArrayLike = 0.03,
    channelling: float = 0.9,
    background: float = 0.0,
    border: float = 5.0,
    angle: float = 0.0,
    name: str = "simulated",
) -> tuple[ZoneAxisImage, dict[str, NDArray]]:
    """Image of a crystal along a zone axis, and its true columns.

    Atoms that coincide in projection form a column. A column of k equal atoms has the
    cross-section v1 k^g: in proportion to k for g = 1, bending as channelling makes it for g < 1.
    This stands for multislice where speed matters more than scattering physics.

    Parameters
    ----------
    positions : (n, 3) array of float
        Atoms in the crystal's cubic axes [A].
    zone_axis : tuple of 3 int
        Viewing direction [uvw].
    pixel_size : float
        [A]
    dose : float, optional
        Electrons per area [1/A^2]; None for no noise.
    seed : int, optional
        Of the noise.
    width : float
        rho of the peaks [A].
    atom_cross_section : float or (n,) array of float
        v1 of each atom [A^2]; a column of unlike atoms takes the mean of its atoms' v1.
    channelling : float
        Exponent g.
    background : float
        [fractions of the incident beam]
    border : float
        Empty margin around the crystal [A].
    angle : float
        Rotation of the crystal in the image, from x towards y [degrees].
    name : str

    Returns
    -------
    image : ZoneAxisImage
    truth : dict of arrays
        ``x``, ``y`` [A], ``count``, ``cross_section`` [A^2] of each column; ``column`` (n,), the
        column of each atom; ``rotation`` (3, 3) and ``offset`` (3,) [A] with
        xyz_image = rotation @ xyz_crystal + offset.

    Raises
    ------
    InputError
        If positions are not (n, 3) finite numbers, the zone axis is not three integers, or another argument
        is out of its range.

    Examples
    --------
    >>> image, truth = simulate_crystal([[0, 0, 0], [0, 0, 4.08], [2.04, 2.04, 0]], (0, 0, 1), dose=None)
    >>> truth["count"]
    array([2, 1])
    """
    atoms = atom_positions(positions)
    each = _spread("atom_cross_section", atom_cross_section, (len(atoms),))
    check_number("channelling", channelling)
    scene = projected_columns(atoms, zone_axis, angle, border)
    x, y, count = scene.x, scene.y, np.bincount(scene.column)
    v1 = np.bincount(scene.column, each) / count
    volume = v1 * count.astype(float) ** channelling
    image = simulate_columns(
        x,
        y,
        volume,
        shape=scene.shape(pixel_size, border),
        pixel_size=pixel_size,
        width=width,
        background=background,
        dose=dose,
        seed=seed,
        zone_axis=zone_axis,
        name=name,
    )
    truth: dict[str, NDArray] = {
        "x": x,
        "y": y,
        "count": count,
        "cross_section": volume,
        "column": scene.column,
        "rotation": scene.rotation,
        "offset": scene.offset,
    }
    return image, truth


@dataclass(frozen=True, eq=False)
class ProjectedColumns:
    """Atoms in the frame of an image, and the columns that they form.

    Attributes
    ----------
    column : (n,) int
        Column of each atom.
    depth : (n,) float
        Of each atom along the beam [A].
    x, y : (m,) float
        Columns [A].
    rotation : (3, 3) float
    offset : (3,) float
        xyz_image = rotation @ xyz_crystal + offset [A].
    """

    column: NDArray[np.int64]
    depth: Floats
    x: Floats
    y: Floats
    rotation: Floats
    offset: Floats

    def shape(self, pixel_size: float, border: float) -> tuple[int, int]:
        """Rows and columns of pixels that show everything, and the border around it."""
        pixel_size = positive(pixel_size, "image", "pixel_size [A]")
        cols, rows = (int(np.ceil((v.max() + border) / pixel_size)) + 1 for v in (self.x, self.y))
        return rows, cols


def atom_positions(positions: ArrayLike) -> Floats:
    """The positions as an (n, 3) array [A]; InputError if they are none."""
    atoms = as_numbers("positions", positions)
    if atoms.ndim != 2 or atoms.shape[1] != 3 or len(atoms) == 0 or not (np.abs(atoms) < _FAR).all():
        raise InputError(f"positions must be (n, 3) finite coordinates in A, got shape {atoms.shape}.")
    return atoms


def projected_columns(
    atoms: Floats, zone_axis: tuple[int, int, int], angle: float, border: float
) -> ProjectedColumns:
    """Atoms (n, 3) [A] seen along a zone axis, `border` [A] from the image's edges."""
    check_number("angle", angle)
    check_number("border", border)
    rotation = view_rotation(zone_axis, angle)
    turned = atoms @ rotation.T
    offset = border - turned.min(axis=0)
    placed = turned + offset
    column = columns_of(placed[:, :2])
    count = np.bincount(column)
    x, y = (np.bincount(column, placed[:, k]) / count for k in (0, 1))
    return ProjectedColumns(column, placed[:, 2], x, y, rotation, offset)


def columns_of(projected: Floats) -> NDArray[np.int64]:
    """Number of the column of each atom, in the order in which columns first occur.

    Examples
    --------
    >>> columns_of(np.array([[5.0, 1.0], [0.0, 0.0], [5.1, 1.0]]))
    array([0, 1, 0])
    """
    n = len(projected)
    pairs = cKDTree(projected).query_pairs(SAME_COLUMN, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    label = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return np.asarray(rank[inverse], dtype=np.int64)
