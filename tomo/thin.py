"""Starts for crystals of a few layers that two views see obliquely, told by their widths and volume.

Each view shows how the crystal spreads across its beam: second moments of the counts. Of the six moments of
the crystal, C, two views along t and u fix five. C + x (t u' + u t') is left, which is how the section that
holds both beams leans. But the number of atoms gives the volume, and with it the determinant, a quadratic of
x: a sheet is far below its maximum, in one of two places. In one it lies as it does, in the other it leans
the opposite way. A compact start does not lead to a sheet: its lines hold one or two atoms each, and no few
of them can be moved while the others stay right. Nor does a hot one, which draws it to a ball.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Bools, Floats
from .grid import grid_vector
from .problem import Problem
from .start import fitted_to_counts, fullest_sites

#: Variance of the room of one atom [(a/2)^2], by which moments of places fall short; its volume [(a/2)^3].
_ROOM, _ATOM = 0.125, 2.0
#: Volume of a body over the root of the determinant of its moments: a brick has 42, a disc 44, a ball 47.
_BODY = 43.0
#: A sheet is thinner than this [a/2], four layers {111}, and than this share of its next width.
_THIN, _FLAT = 4.6, 0.6
#: A crystal whose least width is more than this share of its largest is compact.
_COMPACT_FROM = 0.5
#: The six symmetric matrices with one or two entries.
_SYMMETRIC = np.array(
    [np.sign(np.outer(e, f) + np.outer(f, e)) for e, f in combinations_with_replacement(np.eye(3), 2)]
)
#: First weights fall off as a Gaussian with these moments less the room of an atom, but at least this
#: [(a/2)^2], over this number.
_SHARP, _COMPACT = 0.04, 4.0
_NOTHING, _RANK = 1e-200, 1e-8


def thin_starts(problem: Problem) -> list[Bools]:
    """Occupancies (S,) bool of the sheets that widths and volume allow, two at most.

    There are none of thicker crystals, of those that views cut, and among the sites of several species.
    """
    if problem.slides or problem.worth is not None or problem.opened is not None:
        return []
    if any(view.unseen_sites is not None for view in problem.views):
        return []
    centre, shapes = _shapes(problem)
    away = problem.sites - centre
    starts = []
    for shape in shapes:
        variances, axes = np.linalg.eigh(shape)
        # the middle of the sheet, and of its edge, is filled first: counts then spread the atoms as they must
        squared = ((away @ axes) ** 2 / np.maximum(variances - _ROOM, _SHARP)).sum(axis=1)
        share = np.maximum(np.exp(-_COMPACT / 2 * (squared - squared.min())), _NOTHING)
        share = fitted_to_counts(problem, share)
        starts.append(fullest_sites(share, float(share.sum())))
    return starts


def is_sheet(sites: NDArray[np.integer[Any]]) -> bool:
    """Whether a crystal (n, 3) is as thin and flat as one of these starts."""
    if len(sites) == 0:
        return False
    return _is_sheet(np.cov(sites.T, bias=True) + _ROOM * np.eye(3))


def _shapes(problem: Problem) -> tuple[Floats, list[Floats]]:
    """Centre of mass (3,) and the second moments (3, 3) of the sheets that the counts may be of [a/2]."""
    rows, means, terms, spreads, totals = [], [], [], [], []
    for view in problem.views:
        across = np.linalg.svd(grid_vector(view.zone_axis)[None].astype(float))[2][1:]
        atoms = view.best_counts.clip(0)
        places = view.column_sites @ across.T
        totals.append(max(int(atoms.sum()), 1))
        mean = atoms @ places / totals[-1]
        spread = (atoms[:, None] * (places - mean)).T @ (places - mean) / totals[-1]
        rows.append(across)
        means.append(mean)
        for i, j in ((0, 0), (0, 1), (1, 1)):
            terms.append(np.einsum("a,kab,b->k", across[i], _SYMMETRIC, across[j]))
            spreads.append(spread[i, j])
    centre = np.linalg.lstsq(np.concatenate(rows), np.concatenate(means), rcond=None)[0]
    moments, _, rank, _ = np.linalg.lstsq(np.array(terms), np.array(spreads), rcond=_RANK)
    shape = np.tensordot(moments, _SYMMETRIC, 1) + _ROOM * np.eye(3)
    shapes = [shape]
    if rank < len(_SYMMETRIC):
        way = np.tensordot(np.linalg.svd(np.array(terms))[2][-1], _SYMMETRIC, 1)
        volume = _ATOM * float(np.mean(totals)) / _BODY
        shapes = [shape + x * way for x in _leans(shape, way, volume**2)]
    if any(_is_compact(s) for s in shapes):
        return centre, []
    return centre, [s for s in shapes if _is_sheet(s)]


def _leans(shape: Floats, way: Floats, wanted: float) -> list[float]:
    """Where the determinant of shape + x way is the one wanted, if its maximum is above that."""
    at = [float(np.linalg.det(shape + x * way)) for x in (-1.0, 0.0, 1.0)]
    bend, slope = (at[0] + at[2]) / 2 - at[1], (at[2] - at[0]) / 2
    left = slope**2 - 4 * bend * (at[1] - wanted)
    if bend >= 0 or left <= 0:
        return []
    return [float((-slope + sign * np.sqrt(left)) / (2 * bend)) for sign in (1, -1)]


def _widths(shape: Floats) -> Floats:
    """Widths (3,) of the brick of these moments [a/2], the least first."""
    return np.asarray(np.sqrt(12 * np.maximum(np.linalg.eigvalsh(shape), 0)))


def _is_compact(shape: Floats) -> bool:
    width = _widths(shape)
    return bool(width[0] > _COMPACT_FROM * width[2])


def _is_sheet(shape: Floats) -> bool:
    width = _widths(shape)
    return bool(0 < width[0] < min(_THIN, _FLAT * width[1]))
