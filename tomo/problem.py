"""The reconstruction problem: which sites may hold atoms and what each line's count costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Bools, Floats, Ints
from .candidates import allowed_keys, candidates, common_normal
from .errors import InputError, as_switches, check_switch
from .grid import NEIGHBOUR_VECTORS, SECOND_VECTORS, SiteIndex, line_keys, rows_of
from .view import View, grid_sites
from .view_checks import check_distinct, check_lengths, check_totals

#: Share of wrong hard counts (+-1) that is assumed where nothing better is known.
DEFAULT_COUNT_ERROR = 0.2


@dataclass(frozen=True, eq=False)
class Problem:
    """Candidate sites, their neighbours and lines, and the cost of every count on every line.

    The energy of an occupancy s is ``sum_l table_l[count_l(s)] + edge_weight * n_edges(s) +
    second_weight * n_second_edges(s) - chemical_potential * n_atoms(s) - sum of the worth of its sites``, in
    units of minus the log-likelihood; the three numbers are passed separately.

    Attributes
    ----------
    views : tuple of View
    sites : (S, 3) int32
        Candidate sites [a/2]: on a named column or an unseen line in every view, and on a named
        column in at least one.
    neighbours : (S, 12) int32
        Rows of the nearest neighbours; -1: not a candidate, hence vacant; -2: in a region that
        no view shows, hence unknown and not counted in edges.
    second_neighbours : (S, 6) int32
        The same of the sites one lattice parameter away.
    line : (V, S) int32
        Number of the line of each site in each view; -1 where that view says nothing about it.
    table : (T,) float64
        ``table[table_start[l] + k]`` is the cost of k atoms on line l, k = 0..sites on the line.
    table_start : (L + 1,) int64
    line_view, line_column : (L,) int32
        The view and the column of the view that a line is.
    warnings : tuple of str
        What is odd in the views but within noise.
    worth : (S,) float64 or None
        What an atom at each site is worth beside the chemical potential [nats].
    opened : (S,) bool or None
        Whether a neighbour is excluded: such a site is at the boundary though all its candidates are filled.
    """

    views: tuple[View, ...]
    sites: NDArray[np.int32]
    neighbours: NDArray[np.int32]
    second_neighbours: NDArray[np.int32]
    line: NDArray[np.int32]
    table: Floats
    table_start: Ints
    line_view: NDArray[np.int32]
    line_column: NDArray[np.int32]
    warnings: tuple[str, ...] = ()
    worth: Floats | None = None
    opened: Bools | None = None

    def __repr__(self) -> str:
        views = " ".join(view.name for view in self.views)
        return f"<Problem: {self.n_sites} candidate sites, {self.n_lines} lines, views {views}>"

    @property
    def n_sites(self) -> int:
        """Number of candidate sites."""
        return len(self.sites)

    @property
    def n_lines(self) -> int:
        """Number of lines whose count says something."""
        return len(self.line_view)

    @property
    def slides(self) -> bool:
        """Whether all views are along one axis, so that the crystal may slide along the beam."""
        first = self.views[0]
        return not any(np.any(common_normal(first, view)) for view in self.views)

    def occupancy(self, sites: ArrayLike) -> Bools:
        """Which candidate sites are among these sites (n, 3), (S,) bool.

        Raises
        ------
        InputError
            If a site is no candidate.
        """
        wanted = grid_sites(sites, "crystal", "atom")
        row = SiteIndex(self.sites)(wanted)
        if (row < 0).any():
            stray = tuple(wanted[np.argmin(row)].tolist())
            raise InputError(f"sites: {stray} is no candidate; it lies on no column of one of the views.")
        occupied = np.zeros(self.n_sites, dtype=bool)
        occupied[row] = True
        return occupied

    def line_counts(self, occupied: Bools) -> Ints:
        """Atoms on every line, (L,) int, for an occupancy (S,) bool."""
        one = "one for each candidate site (`Problem.occupancy` makes them from sites)"
        occupied = as_switches("occupied", occupied, self.n_sites, one)
        lines = self.line[:, occupied]
        return np.bincount(lines[lines >= 0], minlength=self.n_lines)

    def misfit(self, occupied: Bools) -> float:
        """Sum of the lines' costs for an occupancy (S,) bool."""
        return float(self.table[self.table_start[:-1] + self.line_counts(occupied)].sum())

    def n_edges(self, occupied: Bools) -> int:
        """Number of nearest-neighbour pairs of one occupied and one vacant site."""
        return self._unlike_pairs(occupied, self.neighbours)

    def n_second_edges(self, occupied: Bools) -> int:
        """The same of second neighbours, one lattice parameter apart."""
        return self._unlike_pairs(occupied, self.second_neighbours)

    def _unlike_pairs(self, occupied: Bools, neighbours: NDArray[np.int32]) -> int:
        padded = np.zeros(self.n_sites + 2, dtype=bool)
        padded[: self.n_sites] = occupied
        around = neighbours[padded[: self.n_sites]]
        return int((~padded[around] & (around != -2)).sum())

    def energy(
        self,
        occupied: Bools,
        edge_weight: float,
        chemical_potential: float = 0.0,
        second_weight: float = 0.0,
    ) -> float:
        """Energy of an occupancy (S,) bool, as defined at the class."""
        energy = self.misfit(occupied) + edge_weight * self.n_edges(occupied)
        energy -= chemical_potential * int(np.count_nonzero(occupied))
        if self.worth is not None:
            energy -= float(self.worth[occupied].sum())
        return energy + second_weight * self.n_second_edges(occupied)


def build_problem(
    views: Sequence[View],
    *,
    count_error: float = DEFAULT_COUNT_ERROR,
    strict: bool = True,
    excluded_sites: ArrayLike | None = None,
    site_worth: tuple[ArrayLike, ArrayLike] | None = None,
) -> Problem:
    """Candidate sites and line costs of a set of views.

    Parameters
    ----------
    views : sequence of View
        One or more, in a common frame.
    count_error : float
        Share p of hard counts that are off by +-1. The cost of k atoms where n were counted is
        ``(k - n)^2 ln(2 (1 - p) / p)``, so that an error of one has its right log-odds.
    strict : bool
        Raise for views that contradict each other beyond noise; else only warn.
    excluded_sites : (m, 3) int, optional
        Sites that hold no atom of this kind, e.g. because another species is too near; pairs of an atom
        with them are no edges.
    site_worth : ((m, 3) int, (m,) float), optional
        Sites, and what an atom at each of them is worth beside the chemical potential [nats].

    Returns
    -------
    Problem

    Raises
    ------
    InputError
        If there are no views or no counts, no site lies on a column of every view, a count exceeds
        the sites on its line, or the views' totals disagree beyond noise.

    Examples
    --------
    >>> a = View((1, 0, 0), [(0, 0, 0), (0, 0, 2)], counts=[1, 1])
    >>> b = View((0, 1, 0), [(0, 0, 0), (4, 0, 2)], counts=[1, 1])
    >>> build_problem([a, b]).sites.tolist()
    [[0, 0, 0], [4, 0, 2]]
    """
    try:
        views = tuple(views)
    except TypeError:
        raise InputError(f"views: expected a list of tomo.View, got {type(views).__name__}.") from None
    if not views:
        raise InputError("views: expected at least one view, got none.")
    for i, view in enumerate(views):
        if not isinstance(view, View):
            raise InputError(f"views: item {i} is {type(view).__name__}, expected a tomo.View.")
    check_switch("strict", strict)
    if not (isinstance(count_error, int | float | np.number) and 0 < count_error < 2 / 3):
        raise InputError(f"count_error: expected a share between 0 and 2/3, got {count_error!r}.")
    sites = candidates(views)
    if excluded_sites is not None:
        excluded_sites = grid_sites(excluded_sites, "excluded_sites", "excluded")
        sites = sites[SiteIndex(excluded_sites)(sites) < 0]
    if len(sites) == 0:
        raise InputError(
            "views: no grid site lies on a column of every view; they are not of one crystal in one frame."
        )
    lines, line_view, line_column = _lines(views, sites)
    if len(line_view) == 0:
        raise InputError("views: no column of any view has a known count.")
    if strict and not any((view.best_counts > 0).any() for view in views):
        raise InputError("views: all counts are 0; there is no atom to place.")
    lengths = np.bincount(lines[lines >= 0], minlength=len(line_view))
    warnings = check_lengths(views, line_view, line_column, lengths, strict)
    warnings += check_totals(views, strict) + check_distinct(views)
    strength = float(np.log(2 * (1 - count_error) / count_error))
    tables = [
        _line_costs(view, line_column[line_view == v], lengths[line_view == v], strength)
        for v, view in enumerate(views)
    ]
    start = np.concatenate([[0], np.cumsum(lengths + 1)]).astype(np.int64)
    return Problem(
        views,
        sites.astype(np.int32),
        _neighbours(views, sites, NEIGHBOUR_VECTORS, excluded_sites),
        _neighbours(views, sites, SECOND_VECTORS, excluded_sites),
        lines,
        np.concatenate(tables),
        start,
        line_view,
        line_column,
        tuple(warnings),
        None if site_worth is None else _worth(sites, site_worth),
        None if excluded_sites is None else _beside(sites, excluded_sites),
    )


def _worth(sites: Ints, site_worth: tuple[ArrayLike, ArrayLike]) -> Floats:
    """What an atom at each site is worth, 0 where nothing is said of it."""
    try:
        places, values = site_worth
        worth = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("site_worth: expected sites (m, 3) and as many numbers, one for each.") from None
    valued = grid_sites(places, "site_worth", "site")
    if worth.shape != (len(valued),) or not np.isfinite(worth).all():
        raise InputError(
            f"site_worth: expected {len(valued)} finite numbers, one for each of its sites; got shape"
            f" {worth.shape}."
        )
    return np.asarray(np.append(worth, 0.0)[SiteIndex(valued)(sites)])


def _lines(
    views: tuple[View, ...], sites: Ints
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Line of each site in each view, and the view and column that each line is."""
    lines = np.full((len(views), len(sites)), -1, dtype=np.int32)
    line_view, line_column, total = [], [], 0
    for v, view in enumerate(views):
        known = np.flatnonzero(view.best_counts >= 0)
        named = line_keys(view.column_sites[known], view.zone_axis)
        rows = rows_of(named, line_keys(sites, view.zone_axis))
        lines[v] = np.where(rows >= 0, total + rows, -1)
        line_view.append(np.full(len(known), v))
        line_column.append(known)
        total += len(known)
    return lines, np.concatenate(line_view).astype(np.int32), np.concatenate(line_column).astype(np.int32)


def _beside(sites: Ints, excluded: Ints) -> Bools:
    """Whether a neighbour of each site is excluded."""
    taken = SiteIndex(excluded)
    return np.any([taken(sites + step) >= 0 for step in NEIGHBOUR_VECTORS], axis=0)


def _neighbours(
    views: tuple[View, ...],
    sites: Ints,
    steps: Ints,
    excluded: ArrayLike | None,
) -> NDArray[np.int32]:
    """Neighbour rows; -1 for sites known to be vacant, -2 for those excluded or that no view shows."""
    index = SiteIndex(sites)
    rows = np.stack([index(sites + step) for step in steps], axis=1)
    if excluded is not None and np.size(excluded):
        taken = SiteIndex(excluded)
        for k, step in enumerate(steps):
            rows[(rows[:, k] == -1) & (taken(sites + step) >= 0), k] = -2
    if all(view.unseen_sites is not None for view in views):
        at = np.argwhere(rows == -1)
        outside = sites[at[:, 0]] + steps[at[:, 1]]
        unknown = np.ones(len(at), dtype=bool)
        for view in views:
            unknown &= np.isin(line_keys(outside, view.zone_axis), allowed_keys(view)[1])
        rows[at[unknown, 0], at[unknown, 1]] = -2
    return rows


def _line_costs(view: View, columns: NDArray[np.int32], lengths: Ints, strength: float) -> Floats:
    """Costs of 0..length atoms on the lines of some columns, one line after another.

    The least of what the view says of a line costs 0; costs grow beyond what it lists.
    """
    line = np.repeat(np.arange(len(columns)), lengths + 1)
    k = np.arange(len(line)) - (np.cumsum(lengths + 1) - lengths - 1)[line]
    if view.counts is not None:
        return np.asarray(view.weight * strength * (k - view.counts[columns][line]) ** 2.0)
    assert view.log_likelihood is not None
    given = -view.weight * view.log_likelihood[columns]
    finite = np.isfinite(given)
    first, last = finite.argmax(axis=1), finite.shape[1] - 1 - finite[:, ::-1].argmax(axis=1)
    filled = given.copy()
    ruled_out_between = np.count_nonzero(finite, axis=1) <= last - first
    for row in np.flatnonzero(ruled_out_between):
        known = np.flatnonzero(finite[row])
        filled[row] = np.interp(np.arange(given.shape[1]), known, given[row, known])
    rows = np.arange(len(columns))
    cost = filled[line, np.clip(k, first[line], last[line])]
    # Beyond the ends: on with the last slope, at least 2 per atom, and growing by 1 per atom.
    for end, inner, beyond in ((last, last - 1, k - last[line]), (first, first + 1, first[line] - k)):
        slope = given[rows, end] - given[rows, np.clip(inner, first, last)]
        step = np.maximum(beyond, 0)
        cost = cost + np.maximum(slope, 2.0 * view.weight)[line] * step + view.weight * step * (step - 1) / 2
    return np.asarray(cost - given.min(axis=1)[line])


def check_problem(problem: object) -> None:
    """Raise an InputError unless it is a problem."""
    if not isinstance(problem, Problem):
        raise InputError(f"problem: expected one of tomo.build_problem, got {type(problem).__name__}.")
