"""How many atoms one placing of the views puts elsewhere than another one.

Views of a symmetric particle can be placed in several ways that hold the same atoms: moved or inverted as a
whole, the second crystal is the first one.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Ints
from .counted_lines import CountedLines, find_rows
from .placement import Candidate

STEPS = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def displaced_share(views: list[CountedLines], one: Candidate, other: Candidate) -> float:
    """Share of the counted atoms that lie on other lines if the views are placed otherwise, at least.

    Crystals are compared up to a shift and an inversion, which no view tells. Where two placings hold n and
    n' atoms on a line, no fewer than sum |n - n'| / sum (n + n') of a view's atoms differ. That is taken over
    the lines seen in both, of the view that shows most, at the shift and inversion for which it is least.
    It is 0 for crystals that no view tells apart; errors of the counts do not cancel.
    """
    placed = [
        [(c.lines_of(v, view), c.field_of(v, view)) for v, view in enumerate(views)] for c in (one, other)
    ]
    weights = [view.weights / view.weights.sum() for view in views]
    onto_lines = np.concatenate([view.zone.onto_lines for view in views])
    least = 1.0
    for sign in (1, -1):
        gaps = [w @ (a - sign * b) for w, (a, _), (b, _) in zip(weights, *placed, strict=True)]
        middle = np.rint(np.linalg.lstsq(onto_lines, np.concatenate(gaps), rcond=None)[0]).astype(np.int64)
        for shift in middle + STEPS:
            if shift.sum() % 2:
                continue  # no shift of the fcc grid
            shares = [
                _share(view.atoms, first, second, sign, view.zone.lines(shift)[0])
                for view, first, second in zip(views, *placed, strict=True)
            ]
            least = min(least, max(shares))
    return least


Placed = tuple[Ints, Ints | None]  # lines of a view, and all lines in its field


def _share(atoms: Floats, first: Placed, second: Placed, sign: int, move: Ints) -> float:
    """sum |n - n'| / sum (n + n') of one view on the lines seen in both places; the second one may be
    inverted, and is moved."""
    moved, field = (None if lines is None else sign * lines + move for lines in second)
    assert moved is not None
    here, there = np.ones((2, len(atoms)), dtype=bool)
    for inside in (first[1], field):
        if inside is not None:
            here &= find_rows(inside, first[0]) >= 0
            there &= find_rows(inside, moved) >= 0
    row = find_rows(first[0], moved)
    both = there & (row >= 0)
    common = float(np.minimum(atoms[row], atoms)[both].sum())  # |n - n'| = n + n' - 2 min(n, n')
    total = float(atoms[here].sum() + atoms[there].sum())
    return max(total - 2 * common, 0.0) / max(total, 1e-9)
