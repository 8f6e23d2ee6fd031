"""Counts of several views brought to agree where none of them can tell its own class means.

Where the classes of a view overlap, its cross-sections leave the curve V(k) open by some per cent, and the
views count different numbers of atoms in the same planes. Every view's counts are corrected by

    n' = n - a n - b - c n (1 - n / n_max),

three numbers a view under Gaussian priors: those with which the planes that the views share agree best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from .agreement import COUNTED, common_shift, robust_fit, thickness, variance_of_planes
from .counted_lines import LEAST_VARIANCE, CountedLines
from .placement import Candidate, pair_sums

BLURRED = 0.8  # atoms; views that count more surely tell their class means themselves
UNEQUAL = 0.06  # relative difference of totals from where even such views are not believed
BEND = 0.15  # relative error of thin columns against the thickest if the curve V(k) is not known
TERMS = 3


@dataclass(frozen=True)
class CountCorrection:
    """What to take off the counts of one view.

    Attributes
    ----------
    scale : float
        Relative.
    shift : float
        The same for every column [atoms].
    bend : float
        Relative, for thin columns; none for those of `most` atoms.
    most : float
        Atoms of the thickest column.
    """

    scale: float = 0.0
    shift: float = 0.0
    bend: float = 0.0
    most: float = 1.0

    def __call__(self, counts: ArrayLike) -> Floats:
        """Corrected counts.

        Examples
        --------
        >>> CountCorrection(scale=0.1)([0.0, 10.0]).tolist()
        [0.0, 9.0]
        """
        n = np.asarray(counts, dtype=float)
        return np.asarray(n - self.scale * n - self.shift - self.bend * n * (1 - n / self.most))


def corrected(view: CountedLines, correction: CountCorrection) -> CountedLines:
    """The view with corrected counts; a column that is there keeps an atom."""
    return replace(view, atoms=np.maximum(correction(view.atoms), np.minimum(view.atoms, 1.0)))


def _blur(view: CountedLines) -> float:
    """How far columns of neighbouring counts overlap, 0..1; only so far the curve's shape is in doubt."""
    return min(1.0, float(np.sqrt(max(float(view.variance.mean()) - LEAST_VARIANCE, 0.0))))


def bent(view: CountedLines) -> CountedLines:
    """What the counts change by if the curve of the class means is bent by one standard deviation."""
    thin = 1 - view.atoms / max(float(view.atoms.max()), 1.0)
    change = _blur(view) * BEND * view.atoms * thin
    return replace(view, atoms=change)


def reconcile(views: list[CountedLines], candidate: Candidate) -> tuple[CountCorrection, ...]:
    """Corrections with which the planes that the views share hold the same number of atoms in each.

    Least squares over all pairs of views and the planes that both see, with errors that follow Student's t
    (as in `tolerant_log_likelihood`) and, beside the corrections, an error of each pair that slopes from
    plane to plane. Nothing is taken off where every view counts surely, to 0.8 atoms (median of its columns),
    and all agree within 6 % in the atoms that they share.
    """
    pairs = list(combinations(range(len(views)), 2))
    sure = all(np.median(view.variance) < BLURRED**2 for view in views)
    if not pairs or (sure and all(_inequality(views, candidate, *pair) < UNEQUAL for pair in pairs)):
        return (CountCorrection(),) * len(views)
    bends = [bent(view) for view in views]
    rows: list[Floats] = []
    values: list[Floats] = []
    variances: list[Floats] = []
    for number, (v, w) in enumerate(pairs):
        sums, bend = (pair_sums(of, candidate, v, w) for of in (views, bends))
        # where one view has no column, no error of cross-sections can be the reason
        use = sums.seen & sums.in_both
        mean = (sums.first + sums.second)[use] / 2
        block = np.zeros((int(use.sum()), TERMS * len(views) + len(pairs)))
        of_first = _terms(sums.first, sums.first_columns, bend.first)
        of_second = _terms(sums.second, sums.second_columns, bend.second)
        block[:, TERMS * v : TERMS * v + TERMS] = of_first[use]
        block[:, TERMS * w : TERMS * w + TERMS] = -of_second[use]
        if use.any():
            middle, half = float(np.mean(sums.plane[use])), max(float(np.ptp(sums.plane[use])) / 2, 1.0)
            block[:, TERMS * len(views) + number] = COUNTED.slope * mean * (sums.plane[use] - middle) / half
        rows.append(block)
        values.append(sums.difference[use])
        variances.append(variance_of_planes(sums, COUNTED)[use])
    solution, *_ = robust_fit(np.concatenate(rows), np.concatenate(values), np.concatenate(variances))
    found = []
    for u, view in enumerate(views):
        a, b, c = solution[TERMS * u : TERMS * u + TERMS]
        size = COUNTED.per_column * thickness(view.atoms, np.ones(len(view.atoms)))
        found.append(
            CountCorrection(
                float(a * COUNTED.scale),
                float(b * size),
                float(c * _blur(view) * BEND),
                max(float(view.atoms.max()), 1.0),
            )
        )
    return tuple(found)


def _terms(atoms: Floats, columns: Floats, bending: Floats) -> Floats:
    """What one standard deviation of scale, shift and bend takes off the sums of a view's planes, (m, 3)."""
    return np.column_stack([COUNTED.scale * atoms, common_shift(atoms, columns, COUNTED), bending])


def _inequality(views: list[CountedLines], candidate: Candidate, v: int, w: int) -> float:
    """Relative difference of the atoms that two views count in the planes that both see."""
    sums = pair_sums(views, candidate, v, w)
    first, second = float(sums.first[sums.seen].sum()), float(sums.second[sums.seen].sum())
    return 2 * abs(first - second) / max(first + second, 1.0)
