"""Runs from views along one axis: the crystal may slide along the beam, and be mirrored."""

from __future__ import annotations

import numpy as np

from ..arrays import Bools
from ..grid import SiteIndex, grid_vector
from ..problem import Problem


def aligned(problem: Problem, runs: Bools) -> Bools:
    """The runs moved along the beam, and mirrored where that helps, onto the first one.

    Counts and edges are the same for a crystal moved by whole grid steps along the beam, and for
    one mirrored at a plane across it where that plane is a symmetry of the grid. ``runs`` are the
    occupancies (runs, S) of a problem with views along one axis only.
    """
    t = grid_vector(problem.views[0].zone_axis)
    index = SiteIndex(problem.sites)
    length = int(t @ t)
    out = [runs[0]]
    for run in runs[1:]:
        if not (run.any() and runs[0].any()):
            out.append(run)
            continue
        sites = problem.sites[run].astype(np.int64)
        images = [sites]
        along = 2 * (sites @ t)
        if (along % length == 0).all():
            images.append(sites - (along // length)[:, None] * t)
        best, most = run, -1
        for image in images:
            # Shifts that bring the centres of mass within a few steps of each other.
            middle = round(float((problem.sites[runs[0]].mean(axis=0) - image.mean(axis=0)) @ t / length))
            for shift in range(middle - 3, middle + 4):
                rows = index(image + shift * t)
                if (rows < 0).any():
                    continue
                common = int(runs[0][rows].sum())
                if common > most:
                    moved = np.zeros(problem.n_sites, dtype=bool)
                    moved[rows] = True
                    best, most = moved, common
        out.append(best)
    return np.array(out)
