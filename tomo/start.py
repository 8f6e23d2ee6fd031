"""A first guess of the crystal: compact, with the counts."""

from __future__ import annotations

import numpy as np

from .arrays import Bools, Floats, Ints
from .grid import grid_vector
from .problem import Problem

#: Rounds of fitting, and decay of the first weights with the squared distance over its mean.
_ROUNDS, _COMPACT = 20, 4.0


def start_occupancy(problem: Problem) -> Bools:
    """Sites that hold most where the counts are spread over compact weights.

    Iterative proportional fitting (Deming & Stephan 1940, Ann. Math. Statist. 11, 427) scales an
    occupancy 0..1 to the counts of one view after the other; it keeps what the counts leave open as it
    was at first. Two views leave open how the section of the crystal leans: one that leans the wrong
    way is a trap from which no annealing leads out, because all of its planes would have to turn
    over at once. So the first weights fall with the distance from the centre of mass, in every plane
    of its own where all views lie in one set of planes. The largest values are taken, as many as
    there are atoms: (S,) bool.
    """
    spread = fitted_to_counts(problem, np.full(problem.n_sites, 0.5))
    plane = _planes(problem)
    mass = np.maximum(np.bincount(plane, spread), 1e-9)
    centre = np.stack(
        [np.bincount(plane, spread * problem.sites[:, axis]) / mass for axis in range(3)], axis=1
    )
    distance = ((problem.sites - centre[plane]) ** 2).sum(axis=1)
    mean = np.maximum(np.bincount(plane, spread * distance) / mass, 1.0)
    share = fitted_to_counts(problem, np.exp(-_COMPACT * distance / mean[plane]))
    return fullest_sites(share, float(spread.sum()))


def centred_columns(problem: Problem) -> Bools:
    """The counted number of atoms in the middle of every line of a single view, (S,) bool."""
    view = problem.views[0]
    along = problem.sites @ grid_vector(view.zone_axis)
    distance = np.abs(along - np.median(along))
    order = np.lexsort((distance, problem.line[0]))
    line = problem.line[0][order]
    rank = np.arange(len(line)) - np.searchsorted(line, line)
    wanted = np.append(view.best_counts[problem.line_column], 0)
    occupied = np.zeros(problem.n_sites, bool)
    occupied[order] = rank < wanted[line]
    return occupied


def fullest_sites(share: Floats, atoms: float) -> Bools:
    """The sites of the largest shares (S,), as many as there are atoms."""
    occupied = np.zeros(len(share), dtype=bool)
    occupied[np.argsort(-share, kind="stable")[: max(round(atoms), 1)]] = True
    return occupied


def fitted_to_counts(problem: Problem, share: Floats) -> Floats:
    """Shares (S,) in 0..1, scaled in place to the counts of one view after the other."""
    best = [view.best_counts for view in problem.views]
    counts = np.array(
        [best[v][c] for v, c in zip(problem.line_view, problem.line_column, strict=True)], dtype=float
    )
    known = [np.flatnonzero(line >= 0) for line in problem.line]
    for _ in range(_ROUNDS):
        for rows, line in zip(known, problem.line, strict=True):
            lines = line[rows]
            total = np.bincount(lines, share[rows], minlength=problem.n_lines)
            ratio = counts / np.maximum(total, 1e-300)
            share[rows] = np.minimum(share[rows] * ratio[lines], 1.0)
    return share


def _planes(problem: Problem) -> Ints:
    """Plane of every site where all beams run within one set of planes, else 0."""
    axes = np.array([view.zone_axis for view in problem.views])
    normals = np.cross(axes[0], axes)
    normal = normals[np.argmax(np.abs(normals).sum(axis=1))]
    if not normal.any() or (axes @ normal).any():
        return np.zeros(problem.n_sites, dtype=np.int64)
    height = problem.sites.astype(np.int64) @ normal
    return height - height.min()
