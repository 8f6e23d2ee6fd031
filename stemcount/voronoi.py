"""Cross-sections by integrating the image over the cell of nearest pixels of each column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .errors import InputError
from .image import ZoneAxisImage
from .load import ImageLike, as_image
from .model import background_image, model_image
from .noise import estimate_noise
from .results import ColumnFit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CellIntegrals:
    """Image integrated over nearest-column cells.

    Attributes
    ----------
    cross_section : (n,) float
        Sum of the cell's pixels less the background x pixel area [image units x A^2].
    cross_section_std : (n,) float
        Its standard deviation from the pixels' noise [image units x A^2].
    area : (n,) float
        Area of the cell [A^2].
    """

    cross_section: Floats
    cross_section_std: Floats
    area: Floats


def nearest_column(image: ZoneAxisImage, x: Floats, y: Floats, radius: float = np.inf) -> NDArray[np.int64]:
    """Index of the nearest column of every pixel, -1 beyond `radius` [A] and in unused pixels.

    Returns
    -------
    (rows, cols) int
    """
    rows, cols = image.data.shape
    px = image.pixel_size
    grid_x, grid_y = np.meshgrid(
        np.arange(cols) * px + image.offset[0], np.arange(rows) * px + image.offset[1]
    )
    points = np.column_stack([grid_x.ravel(), grid_y.ravel()])
    _, index = cKDTree(np.column_stack([x, y])).query(points, distance_upper_bound=radius)
    index = np.where(index == len(x), -1, index).reshape(rows, cols).astype(np.int64)
    if image.valid is not None:
        index[~image.valid] = -1
    return index


def cell_radius(x: Floats, y: Floats) -> float:
    """How far the cell of a column reaches [A]: 1.5 times the median distance of nearest neighbours."""
    points = np.column_stack([x, y])
    return 1.5 * float(np.median(cKDTree(points).query(points, k=2)[0][:, 1])) if len(x) > 1 else np.inf


def integrate_cells(
    image: ImageLike, columns: object, *, radius: float | None = None, background: float | None = None
) -> CellIntegrals:
    """Integrate the image over the cell of each column: the pixels to which it is the nearest.

    V_n = sum over the cell of (I - B) x pixel area. The sum needs no model of the peak, but gives
    what leaks over a cell's border to the neighbour.

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
        If the positions do not have shape (n, 2).

    Examples
    --------
    >>> image = ZoneAxisImage(np.ones((5, 5)), pixel_size=1.0)
    >>> integrate_cells(image, [[1.0, 2.0], [3.0, 2.0]], radius=1.1, background=0.0).cross_section
    array([5., 4.])
    """
    image = as_image(image)
    if isinstance(columns, ColumnFit):
        x, y = columns.x, columns.y
    else:
        points = np.asarray(columns, dtype=float)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
            raise InputError(
                f"{image.name}: columns must have shape (n, 2), x and y in A, got {points.shape}."
            )
        x, y = points.T
    if radius is None:
        radius = cell_radius(x, y)
    cell = nearest_column(image, x, y, radius)
    data = np.where(np.isfinite(image.data), image.data, 0.0)
    if background is not None:
        level: Floats = np.full(data.shape, float(background))
    elif isinstance(columns, ColumnFit):
        level = background_image(image, columns)
    else:
        outside = data[cell < 0] if image.valid is None else data[(cell < 0) & image.valid]
        level = np.full(data.shape, float(np.median(outside)) if len(outside) else 0.0)
    expected = model_image(image, columns) if isinstance(columns, ColumnFit) else data
    valid = np.ones(data.shape, dtype=bool) if image.valid is None else image.valid
    if image.dose is not None:
        variance = np.maximum(expected, 0) / (image.dose * image.pixel_size**2)
    else:
        smooth = expected if isinstance(columns, ColumnFit) else level
        variance = estimate_noise(data, smooth, valid).variance(np.maximum(expected, level))
    used = cell >= 0
    n, area = len(x), image.pixel_size**2

    def total(values: Floats) -> Floats:
        return np.bincount(cell[used], values[used], n).astype(float)

    return CellIntegrals(
        cross_section=total(data - level) * area,
        cross_section_std=np.sqrt(total(variance)) * area,
        area=total(np.ones(data.shape)) * area,
    )
