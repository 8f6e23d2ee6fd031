"""Columns in an image that cannot be of the particle: those of another one that peeps into it.

Atoms in contact are a / sqrt(2) apart, and no farther in projection, so the columns of a particle in one
piece form a chain with links no longer than that. Where another particle shows, some of its columns lie on
the first one's lines by chance; taken for its own, they shift its centre of mass and ask for atoms that no
other view has room for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..grid import connected_parts

LINKS = 2.0  # contacts that a gap may be wide: a column between may have been missed
ENOUGH, SHARE = 6, 0.7  # columns on lines, and of all, from which a piece has this lattice and not by chance


def detached(points: NDArray[np.float64], near: NDArray[np.bool_], a: float) -> NDArray[np.bool_]:
    """Columns of pieces apart from the largest, unless the lattice goes on in them.

    An image that cuts a particle can show it in several pieces, and then nearly all of their columns are on
    lines. `points` (n, 2) are the columns in the image [A], `near` (n,) those on a line, and `a` is the
    lattice parameter [A].

    Examples
    --------
    >>> square = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0)), -1).reshape(-1, 2) * 2.04
    >>> detached(np.vstack([square, [[20, 20]]]), np.ones(10, dtype=bool), 4.08).nonzero()[0]
    array([9])
    """
    pairs = cKDTree(points).query_pairs(LINKS * a / np.sqrt(2), output_type="ndarray")
    piece = connected_parts(pairs[:, 0], pairs[:, 1], len(points))
    size = np.bincount(piece)
    on_lines = np.bincount(piece[near], minlength=len(size))
    part = (on_lines >= ENOUGH) & (on_lines >= SHARE * size)
    part[on_lines.argmax()] = True
    return np.asarray(~part[piece])
