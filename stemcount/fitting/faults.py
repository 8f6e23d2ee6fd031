"""What can be wrong with an image and still let columns be found: a saturated detector, a tilted crystal, a
support film, light that spreads beyond the columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..arrays import Floats
from ..errors import InputError, as_numbers
from ..images.blur import gaussian_blur
from ..images.image import ZoneAxisImage
from ..images.load import ImageLike, as_image
from ..results import ColumnFit, FitFlag, check_fit
from .background import SMOOTH_DEGREE, background_basis
from .halo import halo_of
from .model import background_image, model_image
from .surroundings import BESIDE, INSIDE, Beside, beside_particle, chance_of_excess, distance_to_columns

REACH = 2.2  # radius around a column in which its shape is looked at, in peak widths
FEW = 60  # columns below which a few thick ones decide, and nothing is said
SLOW = 6  # polynomials, up to the second degree, that a slow background consists of at least
TILE = 6.0  # peak widths; sides of the squares in which structure is looked at one by one
SQUARES = 8  # from which on it is told whether it is everywhere
COARSE = 4.0  # peak widths from which a local mean is taken off: what varies more slowly is no structure

GLOW = 4.5  # A: radius of the halo by which light around a particle is measured
DIRECTIONS = 8  # in which it is measured one by one
LEAST_PIXELS = 100  # of a direction
ERRORS = 2.0  # standard deviations by which a direction may show less than it seems to
SURELY = 5.0  # standard deviations of its noise above which a covariance of pixels is one


@dataclass(frozen=True)
class Elongation:
    """How columns are drawn out in one direction.

    Attributes
    ----------
    growth : float
        Difference of the relative quadrupole moments of the thickest column and one of no thickness; 0 for
        round peaks, e / 2 for variances rho^2 (1 + e) along and rho^2 (1 - e) across: a quarter of their
        relative difference.
    angle : float
        Direction of the elongation that grows, from x (right) towards y (down), 0 to 180 [deg].
    chi_square : float
        Square of the growth in its standard deviations; 2 degrees of freedom, so 14 or more by chance in one
        image of a thousand.
    """

    growth: float
    angle: float
    chi_square: float


@dataclass(frozen=True)
class BackgroundStructure:
    """What an image shows beside the particle.

    Attributes
    ----------
    level : float
        Mean intensity [image units].
    amplitude : float
        Root mean square of the structure at the scale of the columns, noise taken off [image units].
    excess : float
        Variance at that scale in units of what the noise from pixel to pixel makes there; 1 for noise alone.
    chance : float
        Probability that noise alone reaches this excess.
    beyond : float
        Correlation of pixels three apart over that of neighbours, noise taken off. Speckle is no finer than
        the columns and keeps most of it; where an image was turned or enlarged, next to none is left. 1 where
        neighbours do not vary together more than noise may.
    middle : float
        Median of the excess over squares of six peak widths: much less than `excess` where the structure lies
        in one place; the same where there are fewer than eight of them.
    place : tuple of 2 float
        x, y of the square in which there is most [A].
    """

    level: float
    amplitude: float
    excess: float
    chance: float
    beyond: float
    middle: float
    place: tuple[float, float]


def saturated_share(image: ImageLike) -> float:
    """Share of the pixels that stand at the highest value of a detector or file that could not go higher.

    See `ZoneAxisImage.ceiling`. What is fitted are the other pixels.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    InputError
        If `image` is no image.

    Examples
    --------
    >>> import numpy as np
    >>> data = np.random.default_rng(0).normal(size=(50, 50))
    >>> saturated_share(ZoneAxisImage(data, 0.2)), saturated_share(ZoneAxisImage(np.minimum(data, 2.0), 0.2))
    (0.0, 0.0204)
    """
    image = as_image(image)
    return float(np.mean(image.data[image.used] >= image.ceiling))


def drawn_share(image: ZoneAxisImage, fit: ColumnFit) -> float:
    """Share of the pixels that stand at the highest value beside the particle, as those of a scale bar do.

    They are at least as far from all columns as `background_structure` looks; no column saturates there.
    """
    cut = image.data >= image.ceiling
    if not cut.any():  # nearly always; distances in a large image take seconds
        return 0.0
    beside = _distance(image, fit) * image.pixel_size > BESIDE
    return float(np.mean((beside & cut)[image.used]))


def glow(image: ImageLike, fit: ColumnFit) -> float | None:
    """Light around the particle that falls off over several A, as of a halo around all columns.

    The wide tails of a probe and contamination that reaches beyond the particle look alike from there. Both
    lie under the columns, too, and a fit gives them a part of it, the more the more neighbours they have.

    Beside the particle, in each of eight directions from its middle, the image is fitted by a constant and by
    the peaks blurred with exp(-r^2 / 2 R^2) / (2 pi R^2), R = 4.5 A; what lies in one place, and slopes, show
    in some of the directions only.

    Returned is the volume of the halo over that of the columns, twice its error less: the median over the
    directions, or None if fewer than half of them show enough. InputError if `image` is no image or `fit` no
    fit.

    Examples
    --------
    >>> import stemcount
    >>> x, y = (g.ravel() * 2.5 + 12.0 for g in np.mgrid[0:6, 0:6])
    >>> settings = {"shape": (180, 180), "pixel_size": 0.2, "dose": 1e5, "seed": 0}
    >>> for tail in ((0.0, 1.0), (0.3, 6.0)):
    ...     image = stemcount.simulate_columns(x, y, np.full(36, 0.1), tail=tail, **settings)
    ...     fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    ...     print(glow(image, fit) > 0.15)
    False
    True
    """
    image = as_image(image)
    check_fit(fit)
    beside = image.used & (image.data < image.ceiling) & (_distance(image, fit) * image.pixel_size > BESIDE)
    rows, cols = np.nonzero(beside)
    if len(rows) < LEAST_PIXELS:
        return None
    halo = halo_of(model_image(image, fit) - background_image(image, fit), GLOW / image.pixel_size)[beside]
    light = (image.data - fit.light)[beside]
    x, y = cols * image.pixel_size + image.offset[0], rows * image.pixel_size + image.offset[1]
    angle = np.arctan2(y - fit.y.mean(), x - fit.x.mean())
    direction = np.floor((angle / (2 * np.pi) + 0.5) * DIRECTIONS).astype(int) % DIRECTIONS
    found = []
    for which in range(DIRECTIONS):
        here = direction == which
        n = int(np.count_nonzero(here))
        change = halo[here] - halo[here].mean() if n else halo[here]
        square = float(change @ change)
        if n < LEAST_PIXELS or not square > 0:
            continue
        slope = float(change @ light[here]) / square
        left = light[here] - light[here].mean() - slope * change
        found.append(slope - ERRORS * float(np.sqrt(left @ left / (n - 2) / square)))
    return float(np.median(found)) if len(found) >= DIRECTIONS / 2 else None


def _distance(image: ZoneAxisImage, fit: ColumnFit, others: Floats | None = None) -> Floats:
    """Distance of each pixel (rows, cols) from the nearest column, or other place (n, 2) [pixels]."""
    places = np.column_stack([fit.x, fit.y])
    if others is not None:
        places = np.concatenate([places, others])
    x, y = ((places - np.asarray(image.offset)) / image.pixel_size).T
    return distance_to_columns(image.data.shape, x, y)


def elongation(image: ImageLike, fit: ColumnFit) -> Elongation | None:
    """Elongation of the columns that grows with their thickness, the mark of a tilted crystal.

    The atoms of a column of length L tilted by t against the beam spread over L sin t in the image, while
    drift, vibration and astigmatism draw all columns out alike. The quadrupole moment of the residual at each
    column, relative to the column's height, is fitted by a straight line in its cross-section.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    fit : ColumnFit
        Round peaks, as `fit_columns` makes them.

    Returns
    -------
    Elongation, or None if the image shows fewer than sixty columns in full.

    Raises
    ------
    InputError
        If `image` is no image or `fit` no fit.

    Examples
    --------
    >>> import stemcount
    >>> x, y = (g.ravel() * 2.5 + 4.0 for g in np.mgrid[0:8, 0:8])
    >>> v = 0.1 + 0.03 * (np.arange(64) % 7)
    >>> image = stemcount.simulate_columns(x, y, v, dose=1e4, seed=0, shape=(130, 130), pixel_size=0.2)
    >>> fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    >>> bool(elongation(image, fit).chi_square < 14)
    True
    """
    image = as_image(image)
    check_fit(fit)
    moments = _moments(image, fit)
    use = np.isfinite(moments).all(axis=1) & ((fit.flags & FitFlag.AT_EDGE) == 0) & (fit.height > 0)
    if np.count_nonzero(use) < FEW or not np.ptp(fit.cross_section[use]) > 0:
        return None
    height = fit.height[use]
    thickness = fit.cross_section[use] / fit.cross_section[use].max()
    design = np.column_stack([np.ones(len(height)), thickness]) * height[:, None]  # moments weigh as heights
    inverse = np.linalg.inv(design.T @ design)
    slopes: list[float] = []
    chi_square = 0.0
    for moment in moments[use].T:
        solution = inverse @ (design.T @ moment)
        variance = float(np.sum((moment - design @ solution) ** 2)) / (len(height) - 2)
        slopes.append(float(solution[1]))
        chi_square += slopes[-1] ** 2 / max(float(inverse[1, 1]) * variance, 1e-300)
    growth = float(np.hypot(slopes[0], slopes[1]))
    return Elongation(growth, float(np.degrees(np.arctan2(slopes[1], slopes[0])) / 2 % 180), chi_square)


def background_structure(
    image: ImageLike, fit: ColumnFit, faint: Floats | None = None
) -> BackgroundStructure | None:
    """Structure beside the particle: the speckle of a support film, contamination, other particles.

    Counted electrons are independent from pixel to pixel. What else varies at the scale of the columns, once
    a slow background, the tails of the particle's peaks and the mean over a Gaussian of s = 4 rho are taken
    off, is structure of the specimen (or the image was smoothed). The image is filtered with a peak of the
    columns' width; z is then normal under noise alone, with the variance that the mean leaves,

        1 - 2 / (1 + s^2 / 2 rho^2) + 1 / (1 + s^2 / rho^2),

    its squares correlated over an area of 2 pi rho^2.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    fit : ColumnFit
        Its columns and background; only positions, widths and the number of coefficients are used.
    faint : (n, 2) float, optional
        Where faint columns of the particle may be beside those of the fit, x and y [A].

    Returns
    -------
    BackgroundStructure, or None if less than 100 A^2 are 3.5 A from all columns, or show no noise.

    Raises
    ------
    InputError
        If `image` is no image or `fit` no fit.

    Examples
    --------
    >>> import stemcount
    >>> x, y = (g.ravel() * 2.5 + 8.0 for g in np.mgrid[0:5, 0:5])
    >>> speckle = np.kron(np.random.default_rng(0).uniform(0.001, 0.003, (32, 32)), np.ones((4, 4)))
    >>> settings = {"shape": (128, 128), "pixel_size": 0.2, "dose": 1e5, "seed": 0}
    >>> for background in (0.002, speckle):
    ...     image = stemcount.simulate_columns(x, y, np.full(25, 0.1), background=background, **settings)
    ...     fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    ...     print(background_structure(image, fit).chance < 1e-4)
    False
    True
    """
    image = as_image(image)
    check_fit(fit)
    pixel, width = image.pixel_size, float(np.median(fit.width)) / image.pixel_size
    if faint is not None:
        faint = as_numbers("faint", faint)
        if faint.ndim != 2 or faint.shape[1] != 2:
            raise InputError(f"faint: expected positions of shape (n, 2), got shape {faint.shape}.")
    distance = _distance(image, fit, faint)
    smooth = background_basis(image.data.shape, SMOOTH_DEGREE)[: max(len(fit.background), SLOW)]
    cut = image.data >= image.ceiling
    # without what is drawn in, and its edges
    shown = image.used & ~ndimage.binary_dilation(cut) if cut.any() else image.used
    beside = beside_particle(image.data - fit.light, shown, smooth, distance, width, pixel)
    if beside is None:
        return None
    values = beside.values - _local_mean(beside, COARSE * width)
    z = beside.significance(values, width)
    if not len(z):
        return None
    squares = z**2 / (1 - 2 / (1 + COARSE**2 / 2) + 1 / (1 + COARSE**2))
    excess = float(np.mean(squares))
    # a peak's filter averages white noise over 4 pi rho^2
    amplitude = np.sqrt(max(excess - 1, 0) * beside.noise / (4 * np.pi * width**2))
    level = float(np.mean(image.data[beside.where]))
    chance = chance_of_excess(excess, len(z), width)
    middle, (j, i) = _tiles(beside, squares, width)
    place = image.offset[0] + j * pixel, image.offset[1] + i * pixel
    return BackgroundStructure(
        level, float(amplitude), excess, chance, _beyond(values, beside), middle, place
    )


def _beyond(values: Floats, beside: Beside) -> float:
    """Covariance of pixels three apart over that of neighbours, along and across; at most 1, which is also
    said where noise alone makes as much of the latter as there is."""
    near, far = (
        sum(
            float(np.mean((one * other)[a & b]))
            for one, other, a, b in (
                (values[:-k], values[k:], beside.where[:-k], beside.where[k:]),
                (values[:, :-k], values[:, k:], beside.where[:, :-k], beside.where[:, k:]),
            )
            if (a & b).any()
        )
        for k in (1, 3)
    )
    # products of independent pixels scatter by their variance; two directions
    chance = beside.noise * float(np.sqrt(2 / np.count_nonzero(beside.where)))
    return float(np.clip(far / near, 0.0, 1.0)) if near > SURELY * chance else 1.0


def _tiles(beside: Beside, squares: Floats, width: float) -> tuple[float, tuple[float, float]]:
    """Median over the squares of an image of the mean of `squares`, given at the pixels that `Beside` judges,
    and column and row of the middle of the one in which they add up to most [pixels]."""
    side = max(round(TILE * width), 1)
    i, j = np.nonzero(beside.share > INSIDE)
    across = beside.where.shape[1] // side + 1
    which = (i // side) * across + j // side
    pixels, total = np.bincount(which), np.bincount(which, squares)
    full = pixels >= pixels.max() / 2
    each = total[full] / pixels[full]
    middle = float(np.median(each) if len(each) >= SQUARES else np.mean(squares))
    row, col = divmod(int(np.argmax(total)), across)
    return middle, ((col + 0.5) * side, (row + 0.5) * side)


def _local_mean(beside: Beside, width: float) -> Floats:
    """Mean of the values beside the particle over a Gaussian of `width` [pixels]; zero elsewhere."""
    total = gaussian_blur(beside.values, width, edge="dark")
    share = gaussian_blur(beside.where.astype(float), width, edge="dark")
    return np.where(beside.where, total / np.maximum(share, 1e-300), 0.0)


def _moments(image: ZoneAxisImage, fit: ColumnFit) -> Floats:
    """Quadrupole moments (n, 2) of the residual at each column, along x and along the diagonal [intensity].

    Least-squares amplitudes of (dx^2 - dy^2) g / rho^2 and 2 dx dy g / rho^2, g the peak.
    """
    residual = image.data - model_image(image, fit)
    rows, cols = residual.shape
    pixel, width = image.pixel_size, float(np.median(fit.width))
    reach = int(np.ceil(REACH * width / pixel))
    step = np.arange(-reach, reach + 1) * pixel
    found = np.full((len(fit), 2), np.nan)
    for n, (x, y) in enumerate(zip(fit.x - image.offset[0], fit.y - image.offset[1], strict=True)):
        j, i = round(x / pixel), round(y / pixel)
        if not (reach <= i < rows - reach and reach <= j < cols - reach):
            continue
        patch = residual[i - reach : i + reach + 1, j - reach : j + reach + 1]
        dx, dy = (step + j * pixel - x)[None, :] / width, (step + i * pixel - y)[:, None] / width
        peak = np.exp(-0.5 * (dx**2 + dy**2))
        for k, shape in enumerate(((dx**2 - dy**2) * peak, 2 * dx * dy * peak)):
            found[n, k] = float((patch * shape).sum() / (shape**2).sum())
    return found
