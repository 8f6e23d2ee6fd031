"""Columns that stand off their line, but in a hole of the lattice.

Where columns overlap, a fit may place one of them nearly half a spacing beside its line. Taken for
spurious it would leave a line without atoms amid full ones; but a line that is missing there and a
peak that belongs to nothing beside it are one column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..zone import Zone

ENCLOSED = 4  # of the six lines around it must hold a column; beyond a straight rim two or three do


def six_steps(geometry: Zone) -> NDArray[np.int64]:
    """Steps (6, 2) from a line to those around it: along both edges of the cell and its short diagonal.

    The diagonals of a square net are equally long; of these it is (1, -1).

    Examples
    --------
    >>> import tomo
    >>> six_steps(tomo.zone_geometry((1, 1, 1))).tolist()
    [[1, 0], [0, 1], [1, -1], [-1, 0], [0, -1], [-1, 1]]
    """
    lengths = np.linalg.norm(geometry.positions([(1, 1), (1, -1)], 1.0), axis=1)
    three = np.array([(1, 0), (0, 1), (1, 1) if lengths[0] < lengths[1] else (1, -1)])
    return np.concatenate([three, -three])


def in_holes(lines: NDArray[np.int64], near: NDArray[np.bool_], geometry: Zone) -> NDArray[np.bool_]:
    """Columns (n,) far from their line that nevertheless belong to it: it is free, and others enclose it.

    `lines` (n, 2) is the nearest line of each column, `near` (n,) says which are on it. Columns that fill a
    hole enclose others in turn.
    """
    around = six_steps(geometry).tolist()
    names = [(int(i), int(j)) for i, j in lines]
    held = {names[n] for n in np.flatnonzero(near)}
    waiting = [n for n in np.flatnonzero(~near).tolist() if names[n] not in held]
    filling: NDArray[np.bool_] = np.zeros(len(lines), dtype=bool)
    while True:
        neighbours = {n: sum((names[n][0] + i, names[n][1] + j) in held for i, j in around) for n in waiting}
        enclosed = [n for n in waiting if neighbours[n] >= ENCLOSED]
        if not enclosed:
            return filling
        filling[enclosed] = True
        held.update(names[n] for n in enclosed)
        waiting = [n for n in waiting if not filling[n]]
