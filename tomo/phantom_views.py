"""The views that images of a known crystal would give: columns with hard counts or count probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Ints
from .crystal import Crystal
from .errors import InputError, check_kind, check_list, check_whole
from .grid import grid_vector, line_keys, triple, whole_sites
from .placing.indexing import Indexing, index_columns
from .view import View
from .zone import zone_geometry


def column_counts(sites: ArrayLike, zone_axis: ArrayLike) -> tuple[Ints, Ints]:
    """Columns that a crystal shows along a zone axis.

    Parameters
    ----------
    sites : (n, 3) int
        Occupied sites [a/2].
    zone_axis : (3,) int

    Returns
    -------
    column_sites : (m, 3) int
        One occupied site on each column.
    counts : (m,) int
        Its number of atoms.

    Raises
    ------
    InputError
        If the sites are not whole numbers on one fcc grid, or the zone axis is no direction.

    Examples
    --------
    >>> column_counts([(0, 0, 0), (1, 1, 0), (1, 0, 1)], (1, 1, 0))[1].tolist()
    [1, 2]
    """
    grid = whole_sites(sites)
    _, first, counts = np.unique(line_keys(grid, zone_axis), return_index=True, return_counts=True)
    return grid[first], counts


def indexed_columns(sites: ArrayLike, zone_axis: ArrayLike, crystal: Crystal) -> tuple[Indexing, Ints]:
    """What a perfect image along a zone axis shows of a crystal: indexed columns and their counts.

    Parameters
    ----------
    sites : (n, 3) int
        Occupied sites [a/2].
    zone_axis : (3,) int
    crystal : Crystal

    Returns
    -------
    indexing : Indexing
        Columns in the image's own frame, as `tomo.register_views` takes them.
    counts : (m,) int
        Atoms of each.

    Raises
    ------
    InputError
        If the sites are not whole numbers on one fcc grid, or too few to show a lattice.

    Examples
    --------
    >>> import tomo
    >>> particle = tomo.phantoms.random_particle(100, seed=1)
    >>> indexing, counts = indexed_columns(particle, (1, 1, 0), tomo.fcc("Au", a=4.08))
    >>> bool(indexing.keep.all()), int(counts.sum()) == len(particle)
    (True, True)
    """
    check_kind("crystal", crystal, Crystal)
    columns, counts = column_counts(sites, zone_axis)
    zone = zone_geometry(zone_axis)
    x, y = zone.positions(zone.lines(columns), crystal.a).T
    return index_columns(x, y, zone_axis, crystal), counts


def views_of(
    sites: ArrayLike,
    zone_axes: Sequence[ArrayLike],
    error_fraction: float = 0.0,
    seed: int = 0,
) -> list[View]:
    """Views with hard counts, some of them off by one.

    Parameters
    ----------
    sites : (n, 3) int
        Occupied sites [a/2].
    zone_axes : sequence of (3,) int
    error_fraction : float
        Share of the columns whose count is one too high or too low (either as likely; a column
        of one atom that loses it is a column of count 0).
    seed : int

    Returns
    -------
    list of View

    Raises
    ------
    InputError
        If `error_fraction` is no share.

    Examples
    --------
    >>> from tomo.phantoms import random_particle
    >>> views = views_of(random_particle(200, "faceted"), [(1, 0, 0), (1, 1, 0)], 0.2)
    >>> [view.name for view in views]
    ['[100]', '[110]']
    """
    check_list("zone_axes", zone_axes)
    check_whole("seed", seed, 0)
    if not (isinstance(error_fraction, int | float | np.number) and 0 <= error_fraction <= 1):
        raise InputError(f"error_fraction: expected a share between 0 and 1, got {error_fraction!r}.")
    rng = np.random.default_rng(seed)
    views = []
    for axis in zone_axes:
        columns, counts = column_counts(sites, axis)
        wrong = rng.random(len(counts)) < error_fraction
        counts = counts + np.where(wrong, rng.choice([-1, 1], size=len(counts)), 0)
        views.append(View(_axis(axis), columns, counts=counts))
    return views


def soft_views_of(
    sites: ArrayLike,
    zone_axes: Sequence[ArrayLike],
    width: float,
    seed: int = 0,
) -> list[View]:
    """Views with count probabilities, from cross-sections that scatter about their class.

    A column of n atoms has the cross-section n + width x normal noise, in units of the class
    spacing, and the log-likelihood ln P(V | k) = -(V - k)^2 / 2 width^2 + constant.

    Parameters
    ----------
    sites : (n, 3) int
        Occupied sites [a/2].
    zone_axes : sequence of (3,) int
    width : float
        Standard deviation of a class as a share of the class spacing.
    seed : int

    Returns
    -------
    list of View

    Raises
    ------
    InputError
        If the width is not positive.

    Examples
    --------
    >>> view = soft_views_of([(0, 0, 0), (1, 1, 0)], [(1, 1, 0)], width=0.1)[0]
    >>> view.best_counts.tolist()
    [2]
    """
    check_list("zone_axes", zone_axes)
    check_whole("seed", seed, 0)
    if not (isinstance(width, int | float | np.number) and width > 0):
        raise InputError(f"width: expected a positive share of the class spacing, got {width!r}.")
    rng = np.random.default_rng(seed)
    views = []
    for axis in zone_axes:
        columns, counts = column_counts(sites, axis)
        value = counts + width * rng.normal(size=len(counts))
        k = np.arange(counts.max(initial=0) + 4)
        views.append(View(_axis(axis), columns, log_likelihood=-0.5 * ((value[:, None] - k) / width) ** 2))
    return views


def harden(view: View) -> View:
    """The same view with only the most likely count of each column.

    Parameters
    ----------
    view : View

    Returns
    -------
    View
        With ``counts`` in place of ``log_likelihood``.

    Raises
    ------
    InputError
        If `view` is no view.

    Examples
    --------
    >>> soft = soft_views_of([(0, 0, 0), (1, 1, 0)], [(1, 1, 0)], width=0.1)[0]
    >>> harden(soft).counts.tolist()
    [2]
    """
    check_kind("view", view, View)
    return replace(view, counts=view.best_counts, log_likelihood=None, unfound=None)


def _axis(zone_axis: ArrayLike) -> tuple[int, int, int]:
    grid_vector(zone_axis)
    return triple(np.asarray(zone_axis))
