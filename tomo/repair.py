"""One piece, no holes: imposed on a finished occupancy, never while it is hot.

Refusing moves that disconnect the crystal while it is hot makes it tangle. So the annealing is free,
and what little is left at its end is repaired: fragments go, enclosed vacancies are filled, and a
short cold annealing whose moves keep both properties wins back the counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .problem import Problem


def fragments(problem: Problem, occupied: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Atoms that nearest-neighbour steps do not connect to the largest part of the crystal.

    Parameters
    ----------
    problem : Problem
    occupied : (S,) bool

    Returns
    -------
    (S,) bool
    """
    label = _parts(problem, occupied)
    sizes = np.bincount(label[occupied]) if occupied.any() else np.zeros(1)
    return np.asarray(occupied & (label != np.argmax(sizes)))


def holes(problem: Problem, occupied: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Vacant sites from which no nearest-neighbour steps over vacant sites lead out of the crystal.

    Sites outside the candidates count as outside, those that no view shows too.

    Parameters
    ----------
    problem : Problem
    occupied : (S,) bool

    Returns
    -------
    (S,) bool
    """
    vacant = ~occupied
    label = _parts(problem, vacant)
    open_sites = vacant & (problem.neighbours < 0).any(axis=1)
    is_open = np.zeros(label.max(initial=0) + 1, dtype=bool)
    is_open[label[open_sites]] = True
    return np.asarray(vacant & ~is_open[label])


def without_flaws(problem: Problem, occupied: NDArray[np.bool_], fill: bool = True) -> NDArray[np.bool_]:
    """The occupancy without fragments and, where ``fill``, with its holes filled, (S,) bool."""
    repaired = occupied & ~fragments(problem, occupied)
    if fill:
        repaired = repaired | holes(problem, repaired)
    return np.asarray(repaired)


def _parts(problem: Problem, members: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of the connected part of every site among ``members`` (others: parts of their own)."""
    rows = np.flatnonzero(members)
    around = problem.neighbours[rows]
    linked = (around >= 0) & members[around]
    i, j = np.repeat(rows, 12)[linked.ravel()], around[linked]
    graph = coo_matrix((np.ones(len(i), dtype=np.int8), (i, j)), shape=(problem.n_sites,) * 2)
    return np.asarray(connected_components(graph, directed=False)[1])
