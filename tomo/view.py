"""A view: what one image says about the atoms on each grid line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray



@dataclass(frozen=True)
class View:
    """Counts of one image on the crystal grid, in the frame common to all views.

    Parameters
    ----------
    zone_axis : tuple of 3 int
        Viewing direction [uvw].
    column_sites : (n, 3) int
        Any one grid site (h, k, l), h + k + l even, on each column's line.
    counts : (n,) int, optional
        Atoms in each column; -1 where nothing is known.
    log_likelihood : (n, kmax + 1) float, optional
        Soft counts instead: ln P(V | k atoms); a row of equal values says nothing.
    unseen_sites : (m, 3) int, optional
        One grid site on each line that the image does not show. All other lines that no
        column names hold no atoms.
    weight : float
        Factor on this view's log-likelihood.
    name : str
        What the view is called in messages.

    Raises
    ------
    InputError
        If shapes do not match, sites are off the grid, two columns share a line, or counts
        are negative, fractional or NaN; it names the view and the column.
    """

    zone_axis: tuple[int, int, int]
    column_sites: NDArray[np.int64]
    counts: NDArray[np.int64] | None = None
    log_likelihood: NDArray[np.float64] | None = None
    unseen_sites: NDArray[np.int64] | None = None
    weight: float = 1.0
    name: str = ""
