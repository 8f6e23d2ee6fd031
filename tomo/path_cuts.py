"""What every line of atoms adds to the edges: rows that tighten the integer program of `tomo.exact`.

Without its integers the program smears the atoms of a line over all of its candidates, half an atom
on each, which makes hardly an edge; whole atoms cannot do that. Take a path of neighbours that
goes on for ever in both directions and passes all sites of a line: along the line itself where they are
neighbours of each other, or zigzag between it and a parallel one. If the line holds an atom, the
path goes from vacuum to an atom and back, and so has two unlike pairs at least:

    sum over the path's pairs of y_ij >= 2 (1 - z_l0).

This cuts off nothing that is whole (a valid inequality; Wolsey 1998, Integer Programming, ch. 8), and
with two views, where the linear program alone lies far below the optimum, nearly closes the gap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .arrays import Ints
from .grid import grid_vector
from .problem import Problem

#: Members of paths: number of the path, site, and the two steps (rows of a neighbour table) along the path.
_Members = tuple[Ints, Ints, int, int]


def path_entries(
    problem: Problem, view: int, neighbours: NDArray[np.int32], steps: Ints
) -> list[tuple[Ints, Ints, Ints]]:
    """The paths through every line of a view along one shell of neighbours.

    The shell is `Problem.neighbours` or `Problem.second_neighbours`, (S, n), with the steps (n, 3) to them.
    For every kind of path one gets the unlike pairs that may be on it, (m,) int each: the line whose path it
    is, a site, and its neighbour, -1 for vacuum. Lines whose path leaves the field of view have none.
    """
    period = grid_vector(problem.views[view].zone_axis)
    number = {tuple(step): k for k, step in enumerate(steps.tolist())}
    sites = np.flatnonzero(problem.line[view] >= 0)
    lines = problem.line[view, sites].astype(np.int64)
    paths: list[list[_Members]] = []
    for step, there in number.items():
        other = number.get(tuple((np.array(step) - period).tolist()))
        if step == tuple(period.tolist()):
            paths.append([(lines, sites, there, number[_back(step)])])
        elif other is not None:
            # Sites of the parallel line belong to the path too, and may have vacuum on this one.
            beside = np.concatenate([neighbours[sites, there], neighbours[sites, other]]).astype(np.int64)
            pairs = np.stack([np.tile(lines, 2), beside])[:, beside >= 0]
            on, at = np.unique(pairs, axis=1)
            back = number[_back(step)], number[_back(steps[other].tolist())]
            paths.append([(lines, sites, there, other), (on, at, *back)])
    return [_pairs(members, neighbours) for members in paths]


def _back(step: tuple[int, ...] | list[int]) -> tuple[int, ...]:
    return tuple(-x for x in step)


def _pairs(members: list[_Members], neighbours: NDArray[np.int32]) -> tuple[Ints, Ints, Ints]:
    """Line, site and neighbour of every pair on the paths; lines whose path meets unknown sites have none."""
    line = np.concatenate([m[0] for m in members for _ in range(2)])
    site = np.concatenate([m[1] for m in members for _ in range(2)])
    other = np.concatenate([neighbours[m[1], k] for m in members for k in m[2:]]).astype(np.int64)
    whole = ~np.isin(line, line[other == -2])
    return line[whole], site[whole], other[whole]
