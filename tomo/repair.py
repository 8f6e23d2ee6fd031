"""One piece, no holes: imposed on a finished occupancy, never while it is hot.

Refusing moves that disconnect the crystal while it is hot makes it tangle. So the annealing is free,
and what little is left at its end is repaired: fragments go, enclosed vacancies are filled, and a
short cold annealing whose moves keep both properties wins back the counts.
"""

from __future__ import annotations

import numpy as np

from .arrays import Bools, Ints
from .energy.layout import Layout
from .grid import connected_parts


def fragments(layout: Layout, occupied: Bools, below: float = np.inf) -> Bools:
    """Atoms, (S,) bool, that nearest-neighbour steps do not connect to the largest part of an occupancy (S,);
    only parts of less than ``below`` times the largest."""
    if not occupied.any():
        return np.zeros_like(occupied)
    label = _parts(layout, occupied)
    sizes = np.bincount(label[occupied], minlength=label.max() + 1)
    small = sizes < below * sizes.max()
    small[np.argmax(sizes)] = False
    return np.asarray(occupied & small[label])


def holes(layout: Layout, occupied: Bools) -> Bools:
    """Vacant sites, (S,) bool, from which no way over vacant neighbours leads out of the crystal.

    Sites outside the candidates count as outside, those that no view shows too.
    """
    vacant = ~occupied
    label = _parts(layout, vacant)
    open_sites = vacant & (layout.neighbours == len(vacant)).any(axis=1)
    is_open = np.zeros(label.max(initial=0) + 1, dtype=bool)
    is_open[label[open_sites]] = True
    return np.asarray(vacant & ~is_open[label])


def without_flaws(layout: Layout, occupied: Bools, fill: bool = True) -> Bools:
    """The occupancy without fragments and, where ``fill``, with its holes filled, (S,) bool."""
    repaired = occupied & ~fragments(layout, occupied)
    if fill:
        repaired = repaired | holes(layout, repaired)
    return np.asarray(repaired)


def _parts(layout: Layout, members: Bools) -> Ints:
    """Number of the connected part of every site among ``members`` (others: parts of their own)."""
    rows = np.flatnonzero(members)
    around = layout.neighbours[rows]
    linked = np.append(members, False)[around]
    i, j = np.repeat(rows, 12)[linked.ravel()], around[linked]
    return connected_parts(i, j, len(members))
