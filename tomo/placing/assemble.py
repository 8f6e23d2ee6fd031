"""From registered images to the views that a reconstruction takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Ints
from ..errors import InputError, check_kind, check_list
from ..grid import line_keys
from ..view import View
from ..zone import zone_geometry
from .planes import shared_planes
from .registration import Field, Registration, lines_inside


def make_views(
    registration: Registration,
    *,
    counts: Sequence[ArrayLike] | None = None,
    log_likelihoods: Sequence[ArrayLike] | None = None,
    fields_of_view: Sequence[Field | None] | None = None,
) -> list[View]:
    """Views in the common frame, with the lines that an image does not show marked unseen.

    Parameters
    ----------
    registration : Registration
        From `register_views`.
    counts : sequence of (n,) int, optional
        Atoms in every column of every view (columns that are not used may hold anything).
    log_likelihoods : sequence of (n, kmax + 1) float, optional
        Soft counts instead.
    fields_of_view : sequence of (left, right, top, bottom), optional
        Edges of each image [A] where it may cut the particle, as given to `register_views`.

    Returns
    -------
    list of View

    Raises
    ------
    InputError
        If neither or both of counts and log-likelihoods are given, or their number is wrong.

    Examples
    --------
    >>> import tomo
    >>> crystal = tomo.fcc("Au", a=4.08)
    >>> sites = tomo.phantoms.random_particle(400, "rough", seed=2)
    >>> shown = [tomo.phantoms.indexed_columns(sites, axis, crystal) for axis in [(0, 0, 1), (1, 1, 0)]]
    >>> indexings, counts = zip(*shown, strict=True)
    >>> registration = tomo.register_views(indexings, counts)
    >>> views = make_views(registration, counts=counts)
    >>> [view.zone_axis for view in views], int(views[0].counts.sum()) == len(sites)
    ([(0, 0, 1), (1, 1, 0)], True)
    """
    check_kind("registration", registration, Registration)
    if (counts is None) == (log_likelihoods is None):
        raise InputError("make_views: give either counts or log_likelihoods, one entry for each view.")
    tables = counts if counts is not None else log_likelihoods
    assert tables is not None
    check_list("counts" if counts is not None else "log_likelihoods", tables)
    if len(tables) != len(registration.indexings):
        raise InputError(
            f"make_views: {len(registration.indexings)} views but {len(tables)} lists of counts."
        )
    unseen = unseen_sites(registration, fields_of_view)
    views = []
    for number, (indexing, table) in enumerate(zip(registration.indexings, tables, strict=True)):
        use = registration.used[number]
        values = np.asarray(table)
        if values.shape[:1] != use.shape:
            raise InputError(f"view {indexing.name}: {len(use)} columns but counts of shape {values.shape}.")
        values = values[use]
        views.append(
            View(
                zone_axis=indexing.zone_axis,
                column_sites=registration.column_sites[number][use],
                counts=values if counts is not None else None,
                log_likelihood=None if counts is not None else values,
                unseen_sites=_with_dropped(unseen[number], registration, number),
                name=indexing.name,
            )
        )
    return views


def _with_dropped(unseen: Ints | None, registration: Registration, view: int) -> Ints | None:
    """Unseen sites, and those of columns that stand off a line which no other has: it need not be empty."""
    indexing, use = registration.indexings[view], registration.used[view]
    if indexing.column_type.any():
        return unseen  # of several types, the column may be one of another
    sites = registration.column_sites[view]
    lines = line_keys(sites, indexing.zone_axis)
    sites = sites[~use & ~np.isin(lines, lines[use])]
    if not len(sites):
        return unseen
    return sites if unseen is None else np.unique(np.concatenate([unseen, sites]), axis=0)


def unseen_sites(
    registration: Registration,
    fields_of_view: Sequence[Field | None] | None = None,
) -> list[Ints | None]:
    """One grid site on each line outside a view's field of view that could hold atoms.

    Those are the lines in planes where another view has columns, within the particle's width as this
    view shows it in the nearest plane that it does show.

    Parameters
    ----------
    registration : Registration
        From `register_views`.
    fields_of_view : sequence of (left, right, top, bottom) or None, optional
        Edges of each image [A] where it may cut the particle; None for images that show all of it.

    Returns
    -------
    list of (m, 3) int or None
        None for views that are not cut.

    Raises
    ------
    InputError
        If there is not one field of view, or None, for each view.

    Examples
    --------
    >>> import tomo
    >>> crystal = tomo.fcc("Au", a=4.08)
    >>> sites = tomo.phantoms.random_particle(400, "rough", seed=2)
    >>> shown = [tomo.phantoms.indexed_columns(sites, axis, crystal) for axis in [(0, 0, 1), (1, 1, 0)]]
    >>> indexings, counts = zip(*shown, strict=True)
    >>> registration = tomo.register_views(indexings, counts)
    >>> unseen_sites(registration)  # both images show the whole particle
    [None, None]
    >>> x, y = indexings[1].x, indexings[1].y
    >>> left, right, top, bottom = x.min() - 1, x.max() - 6, y.min() - 1, y.max() + 1
    >>> cut = unseen_sites(registration, [None, (left, right, top, bottom)])
    >>> cut[0] is None, len(cut[1]) > 0
    (True, True)
    """
    check_kind("registration", registration, Registration)
    views = len(registration.indexings)
    if fields_of_view is not None:
        check_list("fields_of_view", fields_of_view)
        if len(fields_of_view) != views:
            raise InputError(f"fields_of_view: expected one entry for each of {views} views, or None.")
    found: list[Ints | None] = []
    for v, indexing in enumerate(registration.indexings):
        field = None if fields_of_view is None else fields_of_view[v]
        if field is None:
            found.append(None)
            continue
        zone = indexing.zone
        inside = registration.candidates[0].placed(v, zone, lines_inside(indexing, field))
        named = zone.lines(registration.column_sites[v][registration.used[v]])
        known = {tuple(line) for line in (*inside.tolist(), *named.tolist())}
        unseen: set[tuple[int, int]] = set()
        for u, other in enumerate(registration.indexings):
            if u == v or not np.cross(other.zone_axis, indexing.zone_axis).any():
                continue
            sites = registration.column_sites[u][registration.used[u]]
            unseen |= _lines_in_planes(named, sites, indexing.zone_axis, other.zone_axis) - known
        lines = np.array(sorted(unseen), dtype=np.int64).reshape(-1, 2)
        found.append(zone.sites(lines))
    return found


def _lines_in_planes(
    named: Ints,
    other_sites: Ints,
    zone_axis: tuple[int, int, int],
    other_axis: tuple[int, int, int],
) -> set[tuple[int, int]]:
    """Lines of a view in all planes where another view has columns, as wide as the nearest named row."""
    planes = shared_planes(zone_axis, other_axis)
    place = named @ planes.of_first.T
    rows = np.unique(place[:, 0])
    width = {int(m): place[place[:, 0] == m, 1] for m in rows}
    wanted = np.unique(zone_geometry(zone_axis).lines(other_sites) @ planes.of_first[0])
    back = np.rint(np.linalg.inv(planes.of_first.astype(float))).astype(np.int64)
    lines: set[tuple[int, int]] = set()
    # rows are skewed against each other: place f of row m lies at f + skew * m along the row
    step, along_row = (zone_geometry(zone_axis).plane_basis @ back).T
    skew = float(step @ along_row / (along_row @ along_row))
    for m in wanted.tolist():
        # the widest of the nearest rows: a single one may be ragged
        nearest = rows[np.argsort(np.abs(rows - m), kind="stable")[:3]]
        low = min(width[int(k)].min() + skew * k for k in nearest) - skew * m
        high = max(width[int(k)].max() + skew * k for k in nearest) - skew * m
        along = np.arange(int(np.floor(low)) - 2, int(np.ceil(high)) + 3)
        cells = np.column_stack([np.full(len(along), m), along]) @ back.T
        lines |= {(int(i), int(j)) for i, j in cells}
    return lines
