"""A view: what one image says about the atoms on each grid line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Bools, Floats, Ints
from .errors import InputError, as_switches, check_kind
from .grid import FARTHEST, grid_vector, line_keys

FARTHEST_INDEX = 1e5  # of a site, in half lattice parameters: twenty micrometres of gold


@dataclass(frozen=True, eq=False)
class View:
    """Counts of one image on the crystal grid, in the frame common to all views.

    Parameters
    ----------
    zone_axis : tuple of 3 int
        Viewing direction [uvw].
    column_sites : (n, 3) int
        Any one grid site (h, k, l), h + k + l even, on each column's line.
    counts : (n,) int, optional
        Atoms in each column; -1 where nothing is known.
    log_likelihood : (n, kmax + 1) float, optional
        Soft counts instead: ln P(V | k atoms); a row of equal values says nothing.
    unseen_sites : (m, 3) int, optional
        One grid site on each line that the image does not show. All other lines that no
        column names hold no atoms.
    unfound : (n,) bool, optional
        Columns that were not found, but whose light was measured all the same: one that turns out empty is
        nothing odd, as it is of the others. With soft counts only.
    weight : float
        Factor on this view's log-likelihood.
    name : str
        What the view is called in messages; "[uvw]" when not given.

    Raises
    ------
    InputError
        If shapes do not match, sites are off the grid, two columns share a line, or counts
        are negative, fractional or NaN; it names the view and the column.

    Examples
    --------
    >>> view = View((1, 1, 0), [(0, 0, 0), (1, -1, 0)], counts=[3, 2])
    >>> view.name, view.counts.tolist()
    ('[110]', [3, 2])
    """

    zone_axis: tuple[int, int, int]
    column_sites: Ints
    counts: Ints | None = None
    log_likelihood: Floats | None = None
    unseen_sites: Ints | None = None
    weight: float = 1.0
    name: str = ""
    unfound: Bools | None = None

    def __post_init__(self) -> None:
        grid_vector(self.zone_axis)
        axis = tuple(int(c) for c in self.zone_axis)
        between = "" if all(0 <= c < 10 for c in axis) else " "
        if self.name is not None:
            check_kind("name", self.name, str)
        name = " ".join((self.name or "").split()) or f"[{between.join(map(str, axis))}]"  # one line
        _set(self, "zone_axis", axis)
        _set(self, "name", name)
        if not (isinstance(self.weight, int | float | np.number) and 0 < self.weight < np.inf):
            raise InputError(f"view {name}: weight must be a positive number, got {self.weight!r}.")
        _set(self, "weight", float(self.weight))
        sites = grid_sites(self.column_sites, f"view {name}", "column")
        if len(sites) == 0:
            raise InputError(f"view {name}: column_sites is empty; a view needs at least one column.")
        _check_near(name, axis, sites)
        _set(self, "column_sites", sites)
        keys = line_keys(sites, axis)
        _check_one_column_a_line(name, keys)
        if self.unseen_sites is not None:
            unseen = grid_sites(self.unseen_sites, f"view {name}", "unseen site")
            _check_near(name, axis, unseen)
            _set(self, "unseen_sites", unseen)
            both = np.flatnonzero(np.isin(keys, line_keys(unseen, axis)))
            if len(both):
                raise InputError(f"view {name}: the line of column {both[0]} is also listed in unseen_sites.")
        if (self.counts is None) == (self.log_likelihood is None):
            raise InputError(f"view {name}: give either counts or log_likelihood.")
        if self.counts is not None:
            _set(self, "counts", _checked_counts(name, self.counts, len(sites)))
        else:
            _set(self, "log_likelihood", _checked_log_likelihood(name, self.log_likelihood, len(sites)))
        if self.unfound is not None:
            _set(self, "unfound", self._checked_unfound())

    def _checked_unfound(self) -> Bools:
        if self.log_likelihood is None:
            raise InputError(f"view {self.name}: unfound needs log_likelihood, not counts.")
        return as_switches(f"view {self.name}: unfound", self.unfound, self.n_columns, "one a column")

    def __repr__(self) -> str:
        atoms = int(np.maximum(self.best_counts, 0).sum())
        columns = np.count_nonzero(self.found)
        return f"<View {self.name}, zone axis {self.zone_axis}: {columns} columns, {atoms} atoms>"

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.column_sites)

    @property
    def found(self) -> Bools:
        """(n,) bool: columns that the image shows; False on those that are `unfound`."""
        return np.ones(self.n_columns, dtype=bool) if self.unfound is None else ~self.unfound

    @property
    def best_counts(self) -> Ints:
        """(n,) int: the counts, or the most likely ones of soft counts; -1 where nothing is known."""
        if self.counts is not None:
            return self.counts
        assert self.log_likelihood is not None
        flat = np.ptp(self.log_likelihood, axis=1) == 0
        return np.where(flat, -1, self.log_likelihood.argmax(axis=1))


def _set(view: View, field: str, value: Any) -> None:
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    object.__setattr__(view, field, value)


def _numbers(values: Any, what: str) -> Floats:
    """Copy as float; masked values become NaN."""
    try:
        return np.array(np.ma.filled(np.ma.asarray(values, dtype=float), np.nan))
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} must be an array of numbers ({error}).") from error


def grid_sites(sites: Any, owner: str, what: str) -> Ints:
    """Copy of sites (n, 3) as int64; InputError that names the first that is no site of the fcc grid.

    `owner` and `what` are whose sites they are, and what one of them is called.
    """
    grid = _numbers(sites, f"{owner}: {what} sites")
    if grid.size == 0:
        return np.zeros((0, 3), dtype=np.int64)
    if grid.ndim != 2 or grid.shape[1] != 3:
        raise InputError(f"{owner}: {what} sites must be an (n, 3) array of grid indices, got {grid.shape}.")
    whole = np.asarray(np.isfinite(grid).all(axis=1))
    whole[whole] = (grid[whole] == np.round(grid[whole])).all(axis=1)
    far = np.flatnonzero(whole & (np.abs(grid) >= FARTHEST_INDEX).any(axis=1))
    if len(far):
        raise InputError(
            f"{owner}, {what} {far[0]}: a grid index of {np.abs(grid[far[0]]).max():.0f} is farther from the"
            f" origin than any crystal reaches; expected less than {FARTHEST_INDEX:.0f}."
        )
    bad = np.flatnonzero(~whole)
    if len(bad):
        raise InputError(
            f"{owner}, {what} {bad[0]}: {tuple(grid[bad[0]].tolist())} is not a grid site; "
            "expected three integers (h, k, l)."
        )
    out = grid.astype(np.int64)
    odd = np.flatnonzero(out.sum(axis=1) % 2)
    if len(odd):
        raise InputError(
            f"{owner}, {what} {odd[0]}: {tuple(out[odd[0]].tolist())} is not on the fcc grid; "
            "h + k + l must be even."
        )
    return out


def _check_near(name: str, axis: tuple[int, ...], sites: Ints) -> None:
    """Lines are told apart by the cross product of a site with the zone axis, which must be small."""
    cross = np.cross(sites.astype(float), np.array(grid_vector(axis), dtype=float)).reshape(-1, 3)
    far = np.flatnonzero((np.abs(cross) >= FARTHEST).any(axis=1))
    if len(far):
        raise InputError(
            f"view {name}: site {tuple(sites[far[0]].tolist())} is too far from the origin for this "
            "zone axis."
        )


def _check_one_column_a_line(name: str, keys: Ints) -> None:
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(np.diff(keys[order]) == 0)
    if len(same):
        first, second = sorted((int(order[same[0]]), int(order[same[0] + 1])))
        raise InputError(f"view {name}: columns {first} and {second} lie on the same grid line.")


def _checked_counts(name: str, counts: Any, n: int) -> Ints:
    values = _numbers(counts, f"view {name}: counts")
    if values.shape != (n,):
        raise InputError(f"view {name}: counts has shape {values.shape}, expected ({n},), one a column.")
    bad = np.flatnonzero(~np.isfinite(values) | (values != np.round(values)) | (values < -1) | (values > 1e6))
    if len(bad):
        raise InputError(
            f"view {name}, column {bad[0]}: count {values[bad[0]]:g} is not a number of atoms; "
            "expected an integer >= 0, or -1 where nothing is known."
        )
    return values.astype(np.int64)


def _checked_log_likelihood(name: str, log_likelihood: Any, n: int) -> Floats:
    values = _numbers(log_likelihood, f"view {name}: log_likelihood")
    if values.ndim != 2 or values.shape[0] != n or values.shape[1] < 1:
        raise InputError(
            f"view {name}: log_likelihood has shape {values.shape}, expected ({n}, kmax + 1), "
            "one row a column."
        )
    bad = np.flatnonzero(
        (np.isnan(values) | (values == np.inf)).any(axis=1) | np.isneginf(values).all(axis=1)
    )
    if len(bad):
        raise InputError(
            f"view {name}, column {bad[0]}: log_likelihood must be finite (or -inf for impossible counts, "
            "not for all of them)."
        )
    if values.shape[1] > 2 and (values >= 0).all() and np.allclose(values.sum(axis=1), 1):
        raise InputError(
            f"view {name}: every row of log_likelihood sums to 1, so these are probabilities; "
            "give their logarithm."
        )
    return values
