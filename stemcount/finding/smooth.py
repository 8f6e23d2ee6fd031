"""What is no set of columns: peaks too wide, and what a smooth area without columns looks like."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from .lattice import SHARE, lattice_translations, support
from .significance import Revision

WIDEST_PEAK = 1.5  # rms radius [A]: what is wider is a particle's outline or a support, not a column
SPARROW = 2.0  # widths: Gaussians that are closer have one maximum in common
DENSE = SPARROW * 2 / 3**0.5  # widths: spacing of a triangular lattice with rows as close as that
SURROUNDED = 3  # neighbours that a peak inside an area has at least
CLUSTER = 20  # columns: so few may have an atom each, seen along [111]
EVEN = 0.5 / 8**0.5  # relative scatter of the columns' volumes: half of a sphere's


def too_wide(revision: Revision, pixel_size: float) -> bool:
    """Whether the peaks, with their tails, are wider than columns, `WIDEST_PEAK`."""
    return revision.extent * pixel_size > WIDEST_PEAK


def smooth_area(revision: Revision) -> bool:
    """Whether the peaks are what a smooth area without columns looks like.

    Two Gaussians closer than twice their width add up to a single maximum (Sparrow, Astrophys. J. 44 (1916)
    76), and many of them to any smooth area whose outline is no sharper than they are. So they are no columns
    if most have neighbours that close on several sides, unless a lattice speaks for them: that of a crystal,
    whose thickness varies (that of a sphere by 1 / sqrt(8) of its mean), or that of an even film, where most
    columns have every neighbour that it leads to. A few, in a cluster of single atoms, need no lattice if
    they are no closer than two widths.
    """
    points, volume = np.column_stack([revision.state.x, revision.state.y]), revision.state.volume
    if len(points) <= SURROUNDED:
        return False
    apart = np.median(cKDTree(points).query(points, k=SURROUNDED + 1)[0][:, -1])
    if apart > (SPARROW if len(points) < CLUSTER else DENSE) * revision.width:
        return False
    translations = lattice_translations(points)
    if len(translations) == 0:
        return True
    complete = support(points, points, translations) == len(translations)
    return bool(np.std(volume) < EVEN * np.mean(volume) and np.mean(complete) < SHARE)
