"""A known lattice found in an image by its Fourier transform, where columns are too faint to be found alone.

All columns add up in a spot of the transform: with N columns it stands sqrt(N) higher above the noise than
one column does in the image. The lattice is known but for its rotation, scale and place; smooth distortions
must be so slight that columns at the rim are not displaced by half a spacing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.optimize import minimize

from ..errors import InputError, as_numbers, check_kind, check_number
from ..fitting.peaks import nearest_pixels
from ..images.image import ZoneAxisImage, check_contrast
from ..images.load import ImageLike, as_image
from .lattice import points_within, rotation

Floats = NDArray[np.float64]

SPOTS = 4  # reciprocal vectors that are added up, at most
FARTHEST = 1.8  # of the shortest one
FINEST = 0.45  # periods to a pixel that pixels can show
STEP = 0.2  # of a spot's size: first step of a search for its place
SCALE_TOLERANCE, SCALE_STEPS = 0.1, 15
CLEAR = 12.0  # power of both first spots over the noise: among thousands of trials never by chance
DIRECTIONS = 90  # of a frequency that a spot is compared with
BESIDE = 0.25, 0.45  # of a spot's frequency: where a crystal of four columns or more has no power
SMOOTHED = 0.6  # of the shortest spacing: smooths columns away
MEDIAN = float(np.log(2.0))  # of the power of noise, whose mean is 1: it is distributed exponentially
DARKEST, BRIGHTEST = 0.02, 0.998  # quantiles of a smoothed image; a particle may be a fiftieth of it
INSIDE = 0.18  # of the way from vacuum to particle, in the smoothed image


@dataclass(frozen=True, eq=False)
class FourierLattice:
    """A lattice in an image.

    Attributes
    ----------
    basis : (2, 2) float
        Its two vectors as columns [A].
    origin : (2,) float
        One of its points [A].
    power : float
        Power of the weaker one of its first two spots over that of the noise, or of the outline of something
        smooth, at the same frequency.
    """

    basis: Floats
    origin: Floats
    power: float


def fourier_lattice(image: ImageLike, basis: ArrayLike) -> FourierLattice:
    """Find a lattice of known shape in the power spectrum of an image.

    The power at the lattice's shortest reciprocal vectors g, relative to the noise, is added up for
    all rotations and for scales within 10 %; the best trial is refined, shear included, and the phases
    of its spots give the place: the transform of peaks at r0 is proportional to exp(-2 pi i g . r0).

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    basis : (2, 2) float
        The two vectors of the expected lattice as columns, in any orientation [A].

    Returns
    -------
    FourierLattice

    Raises
    ------
    InputError
        If no orientation stands out of the noise.

    Examples
    --------
    >>> import stemcount
    >>> x, y = (g.ravel() * 2.0 + 5.0 for g in np.mgrid[0:12, 0:12])
    >>> image = stemcount.simulate_columns(x, y, 0.0 * x + 0.1, shape=(160, 160), pixel_size=0.2,
    ...                                    background=0.02, dose=300, seed=0)
    >>> found = fourier_lattice(image, 2.0 * np.eye(2))
    >>> bool(abs((found.origin - 5.0) / 2.0 - np.rint((found.origin - 5.0) / 2.0)).max() < 0.05)
    True
    """
    image = as_image(image)
    check_contrast(image)
    expected = as_numbers("basis", basis)
    if expected.shape != (2, 2) or not abs(np.linalg.det(expected)) > 1e-9:
        raise InputError(f"basis: expected two independent vectors in A, shape (2, 2), got {basis!r}.")
    reciprocal = _short_reciprocal(expected, image.pixel_size)
    width = float(np.linalg.norm(expected, axis=0).max()) / image.pixel_size
    data = _flattened(image.data, image.valid, width) * _light(image, width)
    angle, scale = _best_trial(data, image.pixel_size, reciprocal)
    start = rotation(angle) / scale
    noise = _noise_power(data)

    def power_of(turn: Floats) -> float:
        return float(np.sum(np.abs(transform_at(data, image.pixel_size, reciprocal @ turn.T)) ** 2)) / noise

    step = STEP / (image.pixel_size * max(data.shape) * float(np.linalg.norm(reciprocal, axis=1).max()))
    turn = strongest(power_of, start, step)
    turned = reciprocal @ turn.T
    values = transform_at(data, image.pixel_size, turned)
    level = [
        max(noise, outline_power(data, image.pixel_size, g), edge_power(data, image.pixel_size, g))
        for g in turned[:2]
    ]
    power = float(np.min(np.abs(values[:2]) ** 2 / level))  # another lattice may share one spot
    if power < CLEAR:
        raise InputError(
            f"{image.name}: no lattice of {np.linalg.norm(expected[:, 0]):.2f} x"
            f" {np.linalg.norm(expected[:, 1]):.2f} A stands out of the noise of its Fourier transform (power"
            f" {power:.1f}, expected {CLEAR:g} or more)."
        )
    found = np.linalg.inv(turn).T @ expected
    centre = image.pixel_size * (np.array(data.shape[::-1]) - 1) / 2
    return FourierLattice(found, lattice_place(values, turned, found) + centre + image.offset, power)


def lattice_seeds(image: ImageLike, lattice: FourierLattice, level: float | None = None) -> Floats:
    """Points of a lattice inside the particle, as start positions of a fit (n, 2) [A].

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    lattice : FourierLattice
    level : float, optional
        The particle is where the image, smoothed over a column, is brighter than this; by default than 18 %
        of the way from its darkest to its brightest parts [image units].

    Returns
    -------
    (n, 2) float

    Raises
    ------
    InputError
        If `image` is no image, `lattice` does not come from `fourier_lattice`, or `level` no number.

    Examples
    --------
    >>> import stemcount
    >>> x, y = (g.ravel() * 2.0 + 9.0 for g in np.mgrid[0:6, 0:6])
    >>> image = stemcount.simulate_columns(x, y, 0.0 * x + 0.1, shape=(140, 140), pixel_size=0.2,
    ...                                    dose=1e4, seed=0)
    >>> 36 <= len(lattice_seeds(image, fourier_lattice(image, 2.0 * np.eye(2)))) <= 64
    True
    """
    image = as_image(image)
    check_kind("lattice", lattice, FourierLattice, "one of fourier_lattice")
    if level is not None:
        check_number("level", level)
    spacing = float(np.linalg.norm(lattice.basis, axis=0).min())
    smooth = ndimage.gaussian_filter(image.data, SMOOTHED * spacing / image.pixel_size)
    if level is None:
        low, high = np.quantile(smooth, [DARKEST, BRIGHTEST])
        level = low + INSIDE * (high - low)
    left, right, top, bottom = image.extent
    points = points_within(lattice.basis, lattice.origin, (left, top), (right, bottom))
    x, y = ((points - image.offset) / image.pixel_size).T
    at = nearest_pixels(x, y, smooth.shape)
    return np.asarray(points[(smooth[at] > level) & image.used[at]])


def _short_reciprocal(basis: Floats, pixel_size: float) -> Floats:
    """The shortest reciprocal vectors (m, 2) of one half plane that the pixels can show [1/A]."""
    index = np.array([(p, q) for p in range(-2, 3) for q in range(-2, 3) if (p, q) > (0, 0)])
    vectors = index @ np.linalg.inv(basis)
    length = np.linalg.norm(vectors, axis=1)
    use = (length < FARTHEST * length.min()) & (length < FINEST / pixel_size)
    order = np.argsort(length[use], kind="stable")[:SPOTS]
    if len(order) < 2:
        raise InputError(
            f"pixels of {pixel_size:g} A are too coarse for a lattice with spacings of"
            f" {1 / length.min():.2f} A."
        )
    return np.asarray(vectors[use][order])


def _flattened(data: Floats, valid: NDArray[np.bool_] | None, width: float) -> Floats:
    """The image without what varies more slowly than the lattice, zero where it is not valid."""
    used = np.ones(data.shape) if valid is None else valid.astype(float)
    weight = ndimage.gaussian_filter(used, width)
    slow = ndimage.gaussian_filter(np.where(used > 0, data, 0.0), width) / np.maximum(weight, 1e-9)
    return np.asarray((data - slow) * used)


def _light(image: ZoneAxisImage, width: float) -> Floats:
    """How much light there is around every pixel, 0 to 1, nowhere changing within a spacing.

    The waves of columns are as high as these are bright, so where there is no light only noise is added up;
    in a wide field that is most of it.
    """
    smooth = ndimage.gaussian_filter(image.filled, width)
    low, high = np.quantile(smooth[image.used], [DARKEST, BRIGHTEST])
    return np.asarray(np.clip((smooth - low) / max(high - low, np.finfo(float).tiny), 0.0, 1.0) ** 2)


def _best_trial(data: Floats, pixel_size: float, reciprocal: Floats) -> tuple[float, float]:
    """Rotation [radian] and scale at which the spots are strongest, from the power spectrum."""
    shape = tuple(2 * n for n in data.shape)
    power = np.abs(np.fft.fft2(data, shape)) ** 2
    extent = max(data.shape) * pixel_size
    step = 0.3 / (extent * float(np.linalg.norm(reciprocal, axis=1).max()))
    scales = np.linspace(1 - SCALE_TOLERANCE, 1 + SCALE_TOLERANCE, SCALE_STEPS)
    best = (-np.inf, 0.0, 1.0)
    for angle in np.arange(0, np.pi, step):
        turned = reciprocal @ rotation(angle).T
        for scale in scales:
            cols, rows = (turned / scale * pixel_size * np.array(shape)[::-1]).T
            values = ndimage.map_coordinates(power, [rows, cols], order=1, mode="grid-wrap")
            score = float(np.log1p(values / power.mean()).sum())  # one strong spot must not decide
            if score > best[0]:
                best = (score, float(angle), float(scale))
    return best[1], best[2]


def transform_at(data: Floats, pixel_size: float, reciprocal: Floats) -> NDArray[np.complex128]:
    """Fourier transform at any vectors (m, 2) [1/A], origin in the middle of the image."""
    rows, cols = ((np.arange(n) - (n - 1) / 2) * pixel_size for n in data.shape)
    along = np.exp(-2j * np.pi * np.outer(reciprocal[:, 0], cols))
    down = np.exp(-2j * np.pi * np.outer(reciprocal[:, 1], rows))
    return np.asarray(((down @ data) * along).sum(axis=1))


def outline_power(data: Floats, pixel_size: float, vector: Floats) -> float:
    """Mean power at a frequency, from the median over all directions: of noise, and of what has an outline.

    A blurred disc has power at any frequency, but in all directions.
    """
    angle = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    c, s = np.cos(angle), np.sin(angle)
    around = np.column_stack([c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]])
    return float(np.median(np.abs(transform_at(data, pixel_size, around)) ** 2) / MEDIAN)


def edge_power(data: Floats, pixel_size: float, vector: Floats) -> float:
    """Mean power beside a frequency in its own direction, from the medians on either side of it.

    A straight edge has power at all frequencies of one direction, a lattice at its spots.
    """
    beside = np.linspace(*BESIDE, DIRECTIONS // 2)
    medians = [
        np.median(np.abs(transform_at(data, pixel_size, (1 + side * beside)[:, None] * vector)) ** 2)
        for side in (-1, 1)
    ]
    return float(np.sqrt(np.prod(medians)) / MEDIAN)


def strongest(power: Callable[[Floats], float], start: Floats, step: float) -> Floats:
    """The (2, 2) matrix near `start`, in steps of a fraction of a spot's size, that gives most power."""
    simplex = np.concatenate([np.zeros((1, 4)), np.eye(4)])
    best = minimize(
        lambda change: -power(start + step * change.reshape(2, 2)),
        simplex[0],
        method="Nelder-Mead",
        options={"xatol": 1e-2, "fatol": 1e-2, "maxfev": 300, "initial_simplex": simplex},
    )
    return np.asarray(start + step * best.x.reshape(2, 2))


def _noise_power(data: Floats) -> float:
    """Mean power of white noise as strong as the differences between neighbouring pixels."""
    step = np.diff(data, axis=1)
    used = (data[:, 1:] != 0) & (data[:, :-1] != 0)
    return float(np.mean(step[used] ** 2) / 2 * np.count_nonzero(data))


def lattice_place(values: NDArray[np.complex128], reciprocal: Floats, basis: Floats) -> Floats:
    """Point of the lattice where the waves of all spots are brightest together [A]."""
    part = np.linspace(0, 1, 40, endpoint=False)
    grid = np.stack(np.meshgrid(part, part), axis=-1).reshape(-1, 2) @ basis.T
    values = values / np.abs(values).max()

    def brightness(points: Floats) -> Floats:
        return np.asarray(np.real(np.exp(2j * np.pi * points @ reciprocal.T) @ values))

    start = grid[int(np.argmax(brightness(grid)))]
    return np.asarray(minimize(lambda r: -float(brightness(r)), start, method="Nelder-Mead").x)
