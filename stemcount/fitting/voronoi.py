"""Cross-sections by integrating the image over the cell of each column: all that is nearest to it.

The cells are those of Voronoi, the cross-sections what E et al. (Ultramicroscopy 133 (2013) 109) count from.

The border between the cells of columns 1 and 2 at r_1 and r_2 is where

    h(r) = (|r - r_2|^2 - |r - r_1|^2) / (2 |r_2 - r_1|)

changes its sign; |h| is the distance from it. A pixel that the border crosses belongs to both cells
in parts, else cross-sections would jump by rows of pixels when a column moves by its own error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix, diags
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints
from ..errors import InputError, is_number
from ..images.image import ZoneAxisImage, check_size
from ..images.load import ImageLike, as_image
from ..images.noise import estimate_noise
from ..results import ColumnFit
from .covariance import pair_correlation
from .fit import CLOSEST, typical_spacing
from .fit_input import check_places
from .model import background_image, model_image
from .normal_equations import local_blocks

MEETING = 4  # cells that can meet in one pixel
REGULAR = 1e-3  # of the information on each place, added to it: columns at one place have correlations too


@dataclass(frozen=True, eq=False)
class CellIntegrals:
    """Image integrated over nearest-column cells.

    Attributes
    ----------
    cross_section : (n,) float
        Sum of the cell's pixels less the background x pixel area [image units x A^2].
    cross_section_std : (n,) float
        Its standard deviation from the noise of the pixels and, for a fit, the borders that move with
        the errors of the positions [image units x A^2].
    area : (n,) float
        Area of the cell [A^2].
    """

    cross_section: Floats
    cross_section_std: Floats
    area: Floats

    def __repr__(self) -> str:
        return f"<CellIntegrals: {len(self.area)} columns>"


@dataclass(frozen=True)
class Cells:
    """Which cells each pixel belongs to.

    Attributes
    ----------
    share : (columns, pixels) sparse float
        Part of each pixel in each cell.
    pixel, first, second : (m,) int
        Pixels on borders, and the columns on both sides; a pixel in a corner has several borders.
    part : (m,) float
        Part of the pixel in either of the two cells.
    normal : (m, 2) float
        Direction from the first column to the second.
    """

    share: csr_matrix
    pixel: Ints
    first: Ints
    second: Ints
    part: Floats
    normal: Floats


def pixel_centres(image: ZoneAxisImage) -> Floats:
    """Positions x, y of all pixels, row by row, (rows * cols, 2) [A]."""
    rows, cols = image.data.shape
    px = image.pixel_size
    x, y = np.meshgrid(np.arange(cols) * px + image.offset[0], np.arange(rows) * px + image.offset[1])
    return np.column_stack([x.ravel(), y.ravel()])


def nearest_column(image: ZoneAxisImage, x: Floats, y: Floats, radius: float) -> Ints:
    """Index (rows, cols) of each pixel's nearest column, -1 beyond `radius` [A] and in unused pixels."""
    _, index = cKDTree(np.column_stack([x, y])).query(pixel_centres(image), distance_upper_bound=radius)
    index = np.where(index == len(x), -1, index).reshape(image.data.shape).astype(np.int64)
    if image.valid is not None:
        index[~image.valid] = -1
    return index


def divide_into_cells(image: ZoneAxisImage, x: Floats, y: Floats, radius: float) -> Cells:
    """Parts of all pixels in the cells, which reach to `radius` [A] at most; see `Cells`.

    Where several borders cross a pixel, its parts are taken as the products of its parts on this side
    of each.
    """
    columns, px = np.column_stack([x, y]), image.pixel_size
    points, tree = pixel_centres(image), cKDTree(columns)

    def nearest(places: Floats, k: int) -> tuple[Floats, Ints]:
        distance, index = tree.query(places, k=k)
        return distance.reshape(len(places), k), index.reshape(len(places), k)

    distance, near = nearest(points, min(len(x), 2))
    inside = np.clip(0.5 + (radius - distance[:, 0]) / px, 0.0, 1.0)
    if image.valid is not None:
        inside = np.where(image.valid.ravel(), inside, 0.0)
    apart = np.hypot(*(columns[near[:, -1]] - columns[near[:, 0]]).T)
    # |h| < pixel / 2, which never holds for a column alone
    crossed = (distance[:, -1] ** 2 - distance[:, 0] ** 2 < apart * px) & (inside > 0)
    whole, pixel = np.flatnonzero((inside > 0) & ~crossed), np.flatnonzero(crossed)
    owner = near[whole, 0]

    distance, near = nearest(points[pixel], min(len(x), MEETING))
    a, b = np.triu_indices(near.shape[1], 1)
    step = columns[near[:, b]] - columns[near[:, a]]
    length = np.maximum(np.hypot(step[..., 0], step[..., 1]), np.finfo(float).tiny)
    side = np.clip(0.5 + (distance[:, b] ** 2 - distance[:, a] ** 2) / (2 * length * px), 0.0, 1.0)
    part = np.ones(near.shape)
    for k in range(len(a)):
        part[:, a[k]] *= side[:, k]
        part[:, b[k]] *= 1 - side[:, k]
    part *= (inside[pixel] / part.sum(axis=1))[:, None]

    values = np.concatenate([inside[whole], part.ravel()])
    places = np.append(owner, near), np.append(whole, np.repeat(pixel, near.shape[1]))
    on, which = np.nonzero(side < 1)
    return Cells(
        share=csr_matrix((values, places), shape=(len(x), len(points))),
        pixel=pixel[on],
        first=near[on, a[which]],
        second=near[on, b[which]],
        part=part[on, a[which]] + part[on, b[which]],
        normal=step[on, which] / length[on, which, None],
    )


def border_variance(cells: Cells, density: Floats, fit: ColumnFit, correlation: csr_matrix) -> Floats:
    """Variance (n,) of the cross-sections from borders that move with the errors of the fitted positions.

    A shift of either column by s along the normal moves the border by s / 2, and with it the intensity on the
    border from one cell to the other. Errors of the positions are taken as independent of the pixels' noise,
    but not of each other: neighbours that overlap err together, and the border between them moves the more.

    `density` (pixels,) is the intensity less background times the pixel's size, so that on a border per
    length of shift [image units x A]; `correlation` (2 n, 2 n) is of the errors of x and y of column 0, x and
    y of column 1, ... of the `fit` whose positions made the cells.
    """
    n = len(fit)
    flow = (0.5 * (density[cells.pixel] * cells.part)[:, None] * cells.normal).ravel()
    first, second = ((2 * of[:, None] + np.arange(2)).ravel() for of in (cells.first, cells.second))
    # gain of a cell from the shift of its own column and of its neighbour's; entries at one place add up
    cell = np.repeat(np.concatenate([cells.first, cells.first, cells.second, cells.second]), 2)
    place = cell, np.concatenate([first, second, first, second])
    gain = csr_matrix((np.concatenate([flow, flow, -flow, -flow]), place), shape=(n, 2 * n))
    gain = gain @ diags(np.column_stack([fit.x_std, fit.y_std]).ravel())
    return np.asarray((gain @ correlation).multiply(gain).sum(axis=1)).ravel()


def position_correlation(image: ZoneAxisImage, fit: ColumnFit, weight: Floats) -> csr_matrix:
    """Correlations (2 n, 2 n) of the errors of x and y; `weight` is 1 / variance of the pixels."""
    px = image.pixel_size
    x, y = (fit.x - image.offset[0]) / px, (fit.y - image.offset[1]) / px
    # of a column without volume, the place must be as uncertain as that of others, not unknown
    volume = np.maximum(fit.volume, fit.cross_section_std * fit.magnification) / px**2
    tail = fit.peak[1][0], fit.peak[1][1]
    local = local_blocks(weight, x, y, volume, fit.width / px, tail, kinds=3)
    local += REGULAR * diags(local.diagonal())
    own = np.arange(3 * len(fit)).reshape(-1, 3)[:, :2].ravel()
    return pair_correlation(local.tobsr((3, 3))).tocsr()[own][:, own]


def cell_radius(x: Floats, y: Floats) -> float:
    """How far the cell of a column reaches [A]: 1.5 times the median distance of nearest neighbours."""
    return 1.5 * max(typical_spacing(x, y, np.inf), CLOSEST)


def integrate_cells(
    image: ImageLike,
    columns: ColumnFit | ArrayLike,
    *,
    radius: float | None = None,
    background: float | None = None,
) -> CellIntegrals:
    """Integrate the image over the cell of each column: all that is nearer to it than to others.

    V_n = sum over the cell of (I - B) x pixel area, pixels on a border counting in parts. The sum
    needs no model of the peak, but gives what leaks over a cell's border to the neighbour.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    columns : ColumnFit or (n, 2) array of float
        A fit, whose positions and background are used, or positions x, y [A].
    radius : float, optional
        Cells reach no further from their column [A]; by default 1.5 times the median distance of
        nearest neighbours, which bounds the cells at the particle's edge.
    background : float, optional
        Background to subtract [image units]; by default the fit's, or for mere positions the
        median of the pixels in no cell (0 if there are none).

    Returns
    -------
    CellIntegrals

    Raises
    ------
    InputError
        If the positions are not finite or not of shape (n, 2), the radius is not positive, or the image has
        fewer than six pixels in a direction.

    Examples
    --------
    >>> image = ZoneAxisImage(np.ones((6, 6)), pixel_size=1.0)
    >>> integrate_cells(image, [[1.0, 2.0], [4.0, 2.0]], radius=9.0, background=0.0).cross_section
    array([18., 18.])
    """
    image = as_image(image)
    check_size(image)
    if isinstance(columns, ColumnFit):
        fit, (x, y) = columns, (columns.x, columns.y)
    else:
        fit, (x, y) = None, check_places(image, columns, "column").T
    radius = cell_radius(x, y) if radius is None else radius
    if not (isinstance(radius, int | float | np.number) and radius > 0):
        raise InputError(f"radius: expected a positive distance in A, got {radius!r}.")
    if background is not None and not is_number(background):
        raise InputError(f"background: expected a number in the image's units, got {background!r}.")
    cells = divide_into_cells(image, x, y, radius)
    data = np.where(np.isfinite(image.data), image.data, 0.0)
    if background is not None:
        level: Floats = np.full(data.shape, float(background))
    elif fit is not None:
        level = background_image(image, fit)
    else:
        outside = data[image.used & (cells.share.sum(axis=0) == 0).reshape(data.shape)]
        level = np.full(data.shape, float(np.median(outside)) if len(outside) else 0.0)
    expected = model_image(image, fit) if fit is not None else data
    noise = _noise_variance(image, data, expected, level if fit is None else expected, level)
    area = image.pixel_size**2
    variance = cells.share.power(2) @ noise.ravel() * area**2
    if fit is not None:
        trust = np.where(image.used & (noise > 0), 1 / np.maximum(noise, np.finfo(float).tiny), 0.0)
        density = (expected - level).ravel() * image.pixel_size
        moved = border_variance(cells, density, fit, position_correlation(image, fit, trust))
        variance = fit.misfit * variance + moved
    return CellIntegrals(
        cross_section=cells.share @ (data - level).ravel() * area,
        cross_section_std=np.sqrt(variance),
        area=np.asarray(cells.share.sum(axis=1)).ravel() * area,
    )


def _noise_variance(
    image: ZoneAxisImage, data: Floats, expected: Floats, smooth: Floats, level: Floats
) -> Floats:
    """Variance of the pixels, from the dose or from the scatter of the data about a `smooth` image."""
    if image.dose is not None:
        return np.maximum(expected, 0) / (image.dose * image.pixel_size**2)
    return estimate_noise(data, smooth, image.used).variance(np.maximum(expected, level))
