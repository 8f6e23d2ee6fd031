"""How many atoms one placing of the views puts elsewhere than another one.

Views of a symmetric particle can be placed in several ways that hold the same atoms: moved or inverted as a
whole, the second crystal is the first one.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Ints
from .counted_lines import CountedLines
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
    moved = [None if lines is None else sign * lines + move for lines in second]
    everything = np.concatenate([lines for lines in (*first, *moved) if lines is not None])
    low = everything.min(axis=0)
    maps, seen = [], np.ones(np.ptp(everything, axis=0) + 1, dtype=bool)
    for lines, field in (first, moved):
        held = np.zeros(seen.shape)
        held[tuple((lines - low).T)] = atoms
        maps.append(held)
        if field is not None:
            inside = np.zeros(seen.shape, dtype=bool)
            inside[tuple((field - low).T)] = True
            seen &= inside
    one, other = maps
    return float(np.abs(one - other)[seen].sum() / max((one + other)[seen].sum(), 1e-9))
