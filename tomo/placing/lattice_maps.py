"""What an indexed image tells besides the columns' names: missing columns, the lattice's distortion."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..errors import check_kind
from ..zone import column_shifts, six_steps
from .indexing import ENCLOSED, Indexing


def missing_columns(indexing: Indexing) -> tuple[Floats, Ints, Ints]:
    """Places among the columns where the lattice has a line but no column was found.

    Four of the six lines of the same type around a place must have a column.

    Parameters
    ----------
    indexing : Indexing
        From `index_columns`.

    Returns
    -------
    positions : (m, 2) float
        Where the columns should be [A].
    lines : (m, 2) int
        Their lines.
    column_type : (m,) int
        Their types.

    Raises
    ------
    InputError
        If `indexing` does not come from `index_columns`.

    Examples
    --------
    >>> import numpy as np
    >>> import tomo
    >>> i, j = np.divmod(np.delete(np.arange(64), 27), 8)
    >>> view = tomo.index_columns(2.04 * i, 2.04 * j, (0, 0, 1), tomo.fcc("Au", a=4.08))
    >>> missing_columns(view)[0].round(2).tolist()
    [[6.12, 6.12]]
    """
    check_kind("indexing", indexing, Indexing)
    steps = six_steps(indexing.zone)
    places, kinds = [], []
    for number in np.unique(indexing.column_type):
        lines = indexing.lines[indexing.keep & (indexing.column_type == number)]
        around = (lines[:, None] + steps).reshape(-1, 2)
        candidates, votes = np.unique(around, axis=0, return_counts=True)
        known = {tuple(line) for line in lines.tolist()}
        absent = np.array([tuple(c) not in known for c in candidates.tolist()], dtype=bool)
        found = candidates[absent & (votes >= ENCLOSED)]
        places.append(found)
        kinds.append(np.full(len(found), number, dtype=np.int64))
    lines, kind = np.concatenate(places), np.concatenate(kinds)
    shifts = column_shifts(indexing.zone_axis, indexing.crystal)
    return indexing.line_positions(lines + shifts[kind]), lines, kind


def strain_map(indexing: Indexing) -> dict[str, Floats]:
    """Distortion of the lattice at every column, relative to its mean over the image.

    J is the derivative of the smooth map from ideal to image positions and M its mean (`matrix`); the
    strain is the symmetric part of J M^-1 - 1 and the rotation its antisymmetric part. It holds what the
    scan did as well as what the crystal did.

    Parameters
    ----------
    indexing : Indexing
        Of n columns.

    Returns
    -------
    dict of (n,) float
        "exx", "eyy", "exy" (fractions, image axes) and "rotation" [deg].

    Raises
    ------
    InputError
        If `indexing` does not come from `index_columns`.

    Examples
    --------
    >>> import numpy as np
    >>> import tomo
    >>> i, j = np.divmod(np.arange(100), 10)
    >>> view = tomo.index_columns(2.0 * i + 0.01 * i**2, 2.04 * j, (0, 0, 1), tomo.fcc("Au", a=4.08))
    >>> strain = strain_map(view)["exx"]
    >>> bool(strain[i == 9].mean() > 0.03 > -0.03 > strain[i == 0].mean())
    True
    """
    check_kind("indexing", indexing, Indexing)
    gradient = indexing.field.jacobian(indexing.ideal) @ np.linalg.inv(indexing.matrix) - np.eye(2)
    return {
        "exx": gradient[:, 0, 0],
        "eyy": gradient[:, 1, 1],
        "exy": (gradient[:, 0, 1] + gradient[:, 1, 0]) / 2,
        "rotation": np.degrees((gradient[:, 1, 0] - gradient[:, 0, 1]) / 2),
    }


def magnification(indexing: Indexing, lines: ArrayLike | None = None) -> Floats:
    """How many times as large as in the mean of the image an area is shown, at columns or lines.

    |det J| / |det M| with the derivatives J and M of `strain_map`.

    Parameters
    ----------
    indexing : Indexing
        Of n columns.
    lines : (m, 2) int, optional
        Lines to tell it at, in place of the columns.

    Returns
    -------
    (n,) or (m,) float

    Raises
    ------
    InputError
        If `indexing` does not come from `index_columns`.

    Examples
    --------
    >>> import numpy as np
    >>> import tomo
    >>> i, j = np.divmod(np.arange(100), 10)
    >>> view = tomo.index_columns(2.0 * i + 0.01 * i**2, 2.04 * j, (0, 0, 1), tomo.fcc("Au", a=4.08))
    >>> larger = magnification(view)
    >>> bool(larger[i == 9].mean() > 1.03 > 0.97 > larger[i == 0].mean())
    True
    """
    check_kind("indexing", indexing, Indexing)
    places = indexing.ideal if lines is None else indexing.zone.positions(lines, indexing.crystal.a)
    return np.abs(np.linalg.det(indexing.field.jacobian(places)) / np.linalg.det(indexing.matrix))
