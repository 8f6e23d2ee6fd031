"""Registration: bringing the indexed views of one particle into one crystal frame.

Every view names its lines up to a whole shift and a proper rotation that maps its projected grid to
itself. All rotations and shifts are scored by the atoms in planes that views share (`tomo.agreement`)
and by the centre of mass; a beam of the best candidates is carried from view to view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .agreement import COUNTED
from .crystal import Crystal
from .errors import InputError
from .indexing import Indexing
from .placement import Candidate, CountedLines, centred, place_views
from .support import rank_by_room
from .zone import zone_geometry

COUNT_VARIANCE = 0.3  # of a column's count where no probabilities are given


@dataclass(frozen=True)
class Registration:
    """Views of one particle in one frame.

    Attributes
    ----------
    column_sites : tuple of (n, 3) int
        For each view, one grid site (h, k, l) on each column's line, in the common frame.
    used : tuple of (n,) bool
        For each view, the columns that are on a line of the counted sublattice.
    candidates : tuple of Candidate
        The chosen one first; equivalent ones (the inverted crystal, a common shift) left out.
    margin : float
        Score of the chosen candidate minus that of the runner-up [log units].
    orientation : tuple of (2, 2) int
        For each view, the matrix that turned its line names.
    shift : tuple of tuple of 2 int
        For each view, the shift of its turned line names.
    verdict : str
        "consistent" or "biased".
    warnings : tuple of str
        What deserves attention, one sentence each.
    """

    indexings: tuple[Indexing, ...]
    column_sites: tuple[NDArray[np.int64], ...]
    used: tuple[NDArray[np.bool_], ...]
    candidates: tuple[Candidate, ...]
    margin: float
    orientation: tuple[NDArray[np.int64], ...]
    shift: tuple[tuple[int, int], ...]
    verdict: str
    warnings: tuple[str, ...]


def register_views(
    indexings: Sequence[Indexing],
    expected_counts: Sequence[ArrayLike],
    crystal: Crystal,
    *,
    count_probabilities: Sequence[ArrayLike | None] | None = None,
    fields_of_view: Sequence[tuple[float, float, float, float] | None] | None = None,
) -> Registration:
    """Bring indexed views of one particle into one frame.

    Parameters
    ----------
    indexings : sequence of Indexing
        One for each view.
    expected_counts : sequence of (n,) float
        Expected number of atoms of the counted sublattice in each column of each view.
    crystal : Crystal
        The crystal.
    count_probabilities : sequence of (n, kmax + 1) float, optional
        P(k atoms) of each column; gives the errors of the plane sums.
    fields_of_view : sequence of (left, right, top, bottom), optional
        Edges of each image [A] where it may cut the particle; None where it does not.

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        If the views cannot be of the same particle.
    """
    views = counted_lines(indexings, expected_counts, count_probabilities, fields_of_view)
    candidates = [centred(c, views) for c in rank_by_room(views, place_views(views, COUNTED))]
    best = candidates[0]
    margin = best.score - candidates[1].score if len(candidates) > 1 else np.inf
    orientation = tuple(
        zone_geometry(v.zone_axis).plane_rotations()[r] for v, r in zip(views, best.rotations, strict=True)
    )
    sites = tuple(
        zone_geometry(x.zone_axis).sites(x.lines @ turn.T + np.array(shift))
        for x, turn, shift in zip(indexings, orientation, best.shifts, strict=True)
    )
    return Registration(
        indexings=tuple(indexings),
        column_sites=sites,
        used=tuple(x.counted for x in indexings),
        candidates=tuple(candidates),
        margin=float(margin),
        orientation=orientation,
        shift=best.shifts,
        verdict="consistent",
        warnings=(),
    )


def counted_lines(
    indexings: Sequence[Indexing],
    expected_counts: Sequence[ArrayLike],
    count_probabilities: Sequence[ArrayLike | None] | None,
    fields_of_view: Sequence[tuple[float, float, float, float] | None] | None,
) -> list[CountedLines]:
    views = []
    for number, (indexing, counts) in enumerate(zip(indexings, expected_counts, strict=True)):
        atoms = np.asarray(counts, dtype=float)
        if atoms.shape != (len(indexing),):
            raise InputError(
                f"view {indexing.name or number}: {len(indexing)} columns but counts of shape {atoms.shape}."
            )
        variance = np.full(len(atoms), COUNT_VARIANCE)
        table = None if count_probabilities is None else count_probabilities[number]
        if table is not None:
            p = np.asarray(table, dtype=float)
            k = np.arange(p.shape[1])
            variance = p @ k**2 - (p @ k) ** 2 + 0.05
        use = indexing.counted & np.isfinite(atoms)
        field = None if fields_of_view is None else fields_of_view[number]
        inside = None if field is None else lines_inside(indexing, field)
        views.append(CountedLines(indexing.zone_axis, indexing.lines[use], atoms[use], variance[use], inside))
    return views


def lines_inside(indexing: Indexing, field: tuple[float, float, float, float]) -> NDArray[np.int64]:
    """Lines (m, 2) whose columns the image shows in full: inside its edges by half a column spacing."""
    left, right, top, bottom = field
    corners = np.array([(x, y) for x in (left, right) for y in (top, bottom)])
    basis = indexing.matrix @ indexing.zone.plane_basis * indexing.crystal.a / 2
    rim = np.linalg.solve(basis, (corners - indexing.offset).T).T
    low, high = np.floor(rim.min(axis=0)).astype(int) - 2, np.ceil(rim.max(axis=0)).astype(int) + 3
    grid = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
    lines = np.stack(grid, axis=-1).reshape(-1, 2)
    x, y = indexing.line_positions(lines).T
    margin = 0.4 * indexing.scale * np.sqrt(indexing.zone.cell_area(indexing.crystal.a))
    inside = (x > left + margin) & (x < right - margin) & (y > top + margin) & (y < bottom - margin)
    return np.asarray(lines[inside])
