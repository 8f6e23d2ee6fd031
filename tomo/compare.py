"""How two crystals on the same grid, or two placings of views, differ, whatever frame each has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, Ints
from .errors import InputError
from .grid import whole_sites
from .zone import zone_geometry

PLACED = 0.9  # share of a view's columns that have to be on their true lines


@dataclass(frozen=True, eq=False)
class Comparison:
    """Sites of a reconstruction against the true ones.

    Attributes
    ----------
    missed, false : int
        True atoms that were not found; found atoms that are not there.
    n_true : int
        Number of true atoms.
    operation : (3, 3) int
        Point-group operation that takes the found sites to the true frame.
    shift : (3,) int
        Grid vector [a/2] added after it.
    """

    missed: int
    false: int
    n_true: int
    operation: Ints
    shift: Ints

    def __repr__(self) -> str:
        return f"<Comparison: {self.missed} missed and {self.false} false of {self.n_true} atoms>"

    @property
    def wrong_fraction(self) -> float:
        """(missed + false) / true atoms."""
        return (self.missed + self.false) / self.n_true

    def to_true_frame(self, sites: ArrayLike) -> Ints:
        """Found sites (n, 3) in the frame of the true ones."""
        return np.asarray(np.asarray(sites, dtype=np.int64) @ self.operation.T + self.shift)


def cubic_operations() -> Ints:
    """The 48 operations of the point group m-3m, (48, 3, 3) int.

    Examples
    --------
    >>> cubic_operations().shape
    (48, 3, 3)
    """
    identity = np.eye(3, dtype=np.int64)
    return np.array(
        [
            identity[list(p)] * np.array(s)[:, None]
            for p in permutations(range(3))
            for s in product((1, -1), repeat=3)
        ]
    )


def compare_sites(found: ArrayLike, true: ArrayLike) -> Comparison:
    """Best match of two sets of grid sites over all 48 cubic operations and grid shifts.

    Images taken with unknown rotations fix a crystal only up to the symmetry of its lattice, so a
    reconstruction and the truth are compared in the frame in which they agree best.

    Parameters
    ----------
    found, true : (n, 3), (m, 3) int
        Grid sites (h, k, l) [a/2].

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If either set is empty, or not of whole numbers on one fcc grid.

    Examples
    --------
    >>> compare_sites([[0, 0, 0], [1, 1, 0]], [[2, 0, 0], [2, 1, 1]]).wrong_fraction
    0.0
    """
    found, true = whole_sites(found), whole_sites(true)
    if not len(found) or not len(true):
        raise InputError("compare_sites: both sets of sites must hold at least one atom.")
    best: tuple[int, Ints, Ints] | None = None
    box = _histogram(true)
    for operation in cubic_operations():
        turned = found @ operation.T
        common, shift = _best_overlap(turned, true, box)
        if best is None or common > best[0]:
            best = common, operation, shift
    assert best is not None
    common, operation, shift = best
    return Comparison(len(true) - common, len(found) - common, len(true), operation, shift)


def same_placing(
    found: Sequence[Ints],
    true: Sequence[Ints],
    zone_axes: Sequence[tuple[int, int, int]],
) -> bool:
    """Whether views lie as they should, up to an inversion and a shift of the crystal as a whole.

    `found` and `true` are, for each of two or more views, a site (n, 3) on the line on which each column was
    put, and on its true one.

    Examples
    --------
    >>> true = [np.argwhere(np.ones((3, 3, 1))) * [2, 2, 0], np.argwhere(np.ones((1, 3, 3))) * [0, 2, 2]]
    >>> moved = [sites + [1, 2, 1] for sites in true]
    >>> same_placing(moved, true, [(0, 0, 1), (1, 0, 0)])
    True
    >>> moved[1] = moved[1] + [0, 2, 0]  # y is seen in both
    >>> same_placing(moved, true, [(0, 0, 1), (1, 0, 0)])
    False
    """
    zones = [zone_geometry(axis) for axis in zone_axes]
    onto_lines = np.concatenate([zone.onto_lines for zone in zones])
    for sign in (1, -1):
        gaps = []
        for ours, theirs, zone in zip(found, true, zones, strict=True):
            gap, number = np.unique(zone.lines(ours) - zone.lines(sign * theirs), axis=0, return_counts=True)
            if number.max() < PLACED * len(ours):
                break
            gaps.append(gap[number.argmax()])
        else:
            moved = np.concatenate(gaps)
            shift = np.rint(np.linalg.lstsq(onto_lines, moved, rcond=None)[0])  # the only one: axes differ
            if shift.sum() % 2 == 0 and np.allclose(onto_lines @ shift, moved):
                return True
    return False


def _histogram(sites: Ints) -> Floats:
    """Occupancy (0 or 1) in the smallest box that holds the sites."""
    low = sites.min(axis=0)
    box = np.zeros(sites.max(axis=0) - low + 1)
    box[tuple((sites - low).T)] = 1
    return box


def _best_overlap(moved: Ints, true: Ints, true_box: Floats) -> tuple[int, Ints]:
    """Largest number of common sites over all shifts, by cross-correlation of the two boxes."""
    from scipy.fft import irfftn, next_fast_len, rfftn

    moved_box = _histogram(moved)
    full = np.add(moved_box.shape, true_box.shape) - 1
    shape = tuple(next_fast_len(int(n), real=True) for n in full)
    overlap = irfftn(rfftn(true_box, shape) * np.conj(rfftn(moved_box, shape)), shape)
    peak = np.array(np.unravel_index(np.argmax(overlap), shape))
    peak = np.where(peak >= np.array(true_box.shape), peak - np.array(shape), peak)
    shift = peak + true.min(axis=0) - moved.min(axis=0)
    return int(np.rint(overlap.max())), shift
