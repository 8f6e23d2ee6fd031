"""What each view says against what the reconstructed crystal shows along its zone axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Bools, Floats, Ints
from .errors import InputError, as_numbers, check_kind
from .grid import line_keys, rows_of, whole_sites
from .placing.planes import shared_planes
from .view import View

#: Share of the counted atoms up to which a result holds so few that the user is told.
_FEW = 2 / 3


def reproject(sites: ArrayLike, view: View, weights: ArrayLike | None = None) -> Floats:
    """Number of atoms that a crystal shows in each column of a view.

    Parameters
    ----------
    sites : (n, 3) int
        Grid sites [a/2].
    view : View
    weights : (n,) float, optional
        Expected number of atoms on each site (its certainty); 1 by default.

    Returns
    -------
    (view.n_columns,) float

    Raises
    ------
    InputError
        If the sites are not whole numbers on one fcc grid, `view` is no view, or there is not one weight a
        site.

    Examples
    --------
    >>> view = View((1, 1, 0), [(0, 0, 0), (1, -1, 0)], counts=[3, 2])
    >>> reproject([(1, 1, 0), (2, 2, 0), (5, 3, 0)], view).tolist()
    [2.0, 1.0]
    """
    check_kind("view", view, View)
    grid = whole_sites(sites)
    amount = np.ones(len(grid)) if weights is None else as_numbers("weights", weights)
    if amount.shape != (len(grid),):
        raise InputError(f"weights: expected {len(grid)} values, one a site, got shape {amount.shape}.")
    rows = rows_of(line_keys(view.column_sites, view.zone_axis), line_keys(grid, view.zone_axis))
    found = rows >= 0
    return np.bincount(rows[found], amount[found], minlength=view.n_columns).astype(float)


@dataclass(frozen=True, eq=False)
class ViewAgreement:
    """Counts of one view against the reprojection of the crystal.

    Attributes
    ----------
    view : View
    counts : (n,) int
        What the view says (the most likely count of soft ones); -1 where nothing is known.
    reprojected : (n,) float
        Atoms of the crystal in each column.
    outside : int
        Atoms on lines that the view shows without a column.
    """

    view: View
    counts: Ints
    reprojected: Floats
    outside: int

    def __repr__(self) -> str:
        differing, columns = len(self.disagreeing), np.count_nonzero(self.view.found)
        return f"<ViewAgreement {self.view.name}: {differing} of {columns} columns differ>"

    @property
    def known(self) -> Bools:
        """(n,) bool: columns that the view found and counted."""
        return (self.counts >= 0) & self.view.found

    @property
    def disagreeing(self) -> Ints:
        """Columns whose count differs from the reprojection, the largest differences first."""
        off = np.where(self.known, np.abs(self.reprojected - self.counts), 0.0)
        order = np.argsort(-off, kind="stable")
        return order[off[order] > 0]

    def summary(self) -> dict[str, object]:
        """Plain numbers for a report."""
        known = self.known
        off = (self.reprojected - self.counts)[known]
        return {
            "view": self.view.name,
            "zone_axis": list(self.view.zone_axis),
            "columns": int(known.sum()),
            "counted_atoms": int(self.counts[known].sum()),
            "reprojected_atoms": float(self.reprojected[known].sum()),
            "atoms_outside": self.outside,
            "columns_equal": int((off == 0).sum()),
            "columns_off_by_one": int((np.abs(off) == 1).sum()),
            "mean_difference": float(off.mean()) if len(off) else 0.0,
            "rms_difference": float(np.sqrt((off**2).mean())) if len(off) else 0.0,
            "disagreeing_columns": [int(c) for c in self.disagreeing],
        }


def few_atoms(atoms: int, views: Sequence[ViewAgreement]) -> tuple[str, ...]:
    """The warning that a result holds none of the atoms, or far fewer than every view counts."""
    sums = [(int(v.counts[v.known].sum()), float(v.reprojected[v.known].sum())) for v in views]
    sums = [(counted, shown) for counted, shown in sums if counted]
    if atoms and not (sums and all(shown <= _FEW * counted for counted, shown in sums)):
        return ()
    least = min((counted for counted, _ in sums), default=0)
    return (
        f"atoms: {atoms or 'none'} of about {least} counted come out with a certainty of 0.5; to the others"
        " the edges weigh more than the counts, as where atoms have no nearest neighbours.",
    )


@dataclass(frozen=True, eq=False)
class PlaneAgreement:
    """Atoms in the planes that two views share: both beams run within these planes.

    Attributes
    ----------
    first, second : View
    normal : tuple of 3 int
        Normal of the planes (h, k, l).
    plane : (m,) int
        normal . (h, k, l) of each plane, m planes.
    first_sum, second_sum : (m,) int
        Atoms counted in either view.
    reprojected : (m,) int
        Atoms of the crystal.
    complete : (m,) bool
        Whether both views know the counts of all their columns there.
    """

    first: View
    second: View
    normal: tuple[int, int, int]
    plane: Ints
    first_sum: Ints
    second_sum: Ints
    reprojected: Ints
    complete: Bools

    def __repr__(self) -> str:
        names = f"{self.first.name} {self.second.name}"
        atoms = f"{int(self.first_sum.sum())} and {int(self.second_sum.sum())}"
        return f"<PlaneAgreement {names}: {len(self.plane)} planes {self.normal} of {atoms} atoms>"

    def summary(self) -> dict[str, object]:
        """Plain numbers for a report."""
        off = (self.first_sum - self.second_sum)[self.complete]
        return {
            "views": [self.first.name, self.second.name],
            "normal": list(self.normal),
            "planes": len(self.plane),
            "complete_planes": len(off),
            "mean_difference": float(off.mean()) if len(off) else 0.0,
            "rms_difference": float(np.sqrt((off**2.0).mean())) if len(off) else 0.0,
        }


def view_agreement(sites: Ints, view: View) -> ViewAgreement:
    """Counts of a view against the columns of a crystal with atoms on ``sites`` ((n, 3) int)."""
    known = view.column_sites[view.found]
    if view.unseen_sites is not None:
        known = np.concatenate([known, view.unseen_sites])
    inside = np.isin(line_keys(sites, view.zone_axis), line_keys(known, view.zone_axis))
    return ViewAgreement(view, view.best_counts, reproject(sites, view), int((~inside).sum()))


def plane_agreements(sites: Ints, views: Sequence[View]) -> list[PlaneAgreement]:
    """Plane sums of every pair of views whose zone axes differ, against a crystal's."""
    pairs = combinations(views, 2)
    return [_planes(sites, a, b) for a, b in pairs if np.any(np.cross(a.zone_axis, b.zone_axis))]


def _planes(sites: Ints, first: View, second: View) -> PlaneAgreement:
    normal = shared_planes(first.zone_axis, second.zone_axis).normal
    heights = [view.column_sites @ np.array(normal) for view in (first, second)]
    plane = np.unique(np.concatenate(heights))
    incomplete: list[Ints] = []
    sums = []
    for view, height in zip((first, second), heights, strict=True):
        counts = view.best_counts
        incomplete.append(height[counts < 0])
        if view.unseen_sites is not None:
            incomplete.append(view.unseen_sites @ np.array(normal))
        known = counts >= 0
        at = np.searchsorted(plane, height[known])
        sums.append(np.bincount(at, counts[known], minlength=len(plane)).astype(np.int64))
    own = sites @ np.array(normal)
    inside = np.isin(own, plane)
    reprojected = np.bincount(np.searchsorted(plane, own[inside]), minlength=len(plane))
    complete = ~np.isin(plane, np.concatenate(incomplete))
    return PlaneAgreement(first, second, normal, plane, sums[0], sums[1], reprojected, complete)
