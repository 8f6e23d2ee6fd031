"""Runs from views along one axis: the crystal may slide along the beam, and be mirrored."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..grid import SiteIndex, grid_vector
from ..problem import Problem

Runs = TypeVar("Runs", NDArray[np.bool_], NDArray[np.floating])


def aligned(problem: Problem, runs: Runs, onto: NDArray[Any] | None = None) -> Runs:
    """The runs moved along the beam, and mirrored where that helps, onto one of them, by default the first.

    Counts and edges are the same for a crystal moved by whole grid steps along the beam, and for
    one mirrored at a plane across it where that plane is a symmetry of the grid. ``runs`` are the
    occupancies (runs, S), or their probabilities, of a problem with views along one axis only.
    """
    t = grid_vector(problem.views[0].zone_axis)
    index = SiteIndex(problem.sites)
    length = int(t @ t)
    onto = runs[0] if onto is None else onto
    if not onto.any():
        return runs
    depth = onto @ (problem.sites @ t) / onto.sum()
    out = []
    for run in runs:
        there = run > 0
        if not there.any() or np.array_equal(run, onto):
            out.append(run)
            continue
        sites, value = problem.sites[there].astype(np.int64), run[there]
        images = [sites]
        along = 2 * (sites @ t)
        if (along % length == 0).all():
            images.append(sites - (along // length)[:, None] * t)
        best, most = run, -1.0
        for image in images:
            # Shifts that bring the centres of mass within a few steps of each other.
            middle = round(float((depth - value @ (image @ t) / value.sum()) / length))
            for shift in range(middle - 3, middle + 4):
                rows = index(image + shift * t)
                inside = rows >= 0
                if (value[~inside] >= 0.5).any():
                    continue
                common = float(onto[rows[inside]] @ value[inside].astype(float))
                if common > most:
                    moved = np.zeros_like(run)
                    moved[rows[inside]] = value[inside]
                    best, most = moved, common
        out.append(best)
    return np.array(out)
