"""Which fitted columns are doubtful, and why: their `FitFlag` values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..arrays import Bools, Floats, Ints
from ..images.blur import gaussian_blur
from ..results import FitFlag
from .joint import OWN_WIDTH_BOUNDS, TINY, WIDTH_BOUNDS, Problem, State
from .peaks import nearest_pixels

EDGE_REACH = 2.0  # widths from an unused pixel within which a column is flagged AT_EDGE
OVERLAP_REACH = 2.0  # widths between two columns within which both are flagged OVERLAP
FAR = 2.5  # standard deviations of the pull beyond which a column is flagged MOVED
DOUBTFUL = 5.0  # robust standard deviations of the residual's size beyond which RESIDUAL is flagged


def flags_of(problem: Problem, s: State, squares: Floats, recorded: Bools) -> Ints:
    """Sum of `FitFlag` values of each column; `squares` are the weighted squared residuals."""
    flags = np.zeros(len(s.x), dtype=np.int64)
    at = nearest_pixels(s.x, s.y, recorded.shape)
    flags[_room(recorded, at) - 0.5 < EDGE_REACH * s.width] |= FitFlag.AT_EDGE
    if len(s.x) > 1:
        points = np.column_stack([s.x, s.y])
        nearest = cKDTree(points).query(points, k=2)[0][:, 1]
        flags[nearest < OVERLAP_REACH * s.width] |= FitFlag.OVERLAP
    if problem.n_groups == 0:
        low, high = (b * problem.group_width for b in OWN_WIDTH_BOUNDS)
    else:
        low, high = (np.full(len(s.x), b * problem.width_start) for b in WIDTH_BOUNDS)
    bound = (s.volume <= 0) | (s.width <= low * 1.001) | (s.width >= high * 0.999)
    flags[bound] |= FitFlag.AT_BOUND
    if problem.pull > 0:
        distance = np.hypot(s.x - problem.x0, s.y - problem.y0)
        flags[distance > FAR * problem.pull] |= FitFlag.MOVED
    # mean weighted square within 1.5 widths, against the image's other columns
    smooth = gaussian_blur(squares, float(np.median(s.width)))
    local = np.log(np.maximum(smooth[at], TINY))
    spread = 1.4826 * float(np.median(np.abs(local - np.median(local))))
    pixels = 4 * np.pi * float(np.median(s.width)) ** 2  # that the Gaussian averages over
    spread = max(spread, float(np.sqrt(2 / max(pixels, 1.0))))
    flags[local > np.median(local) + DOUBTFUL * spread] |= FitFlag.RESIDUAL
    return flags


def _room(recorded: Bools, at: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Floats:
    """Distance of some pixels from the nearest one that was not recorded, inside the image or beside it."""
    (rows, cols), (i, j) = recorded.shape, at
    if recorded.all():
        return np.minimum.reduce([i + 1.0, j + 1.0, rows - i, cols - j])
    return np.asarray(ndimage.distance_transform_edt(np.pad(recorded, 1))[i + 1, j + 1])
