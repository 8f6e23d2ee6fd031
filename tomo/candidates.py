"""Sites that may hold atoms: those on a column, or on a line that is not seen, in every view."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from .arrays import Ints
from .errors import InputError
from .grid import SiteIndex, grid_vector, line_keys
from .view import View

#: Most candidate sites of a single view.
_LARGEST_SLAB = 10_000_000


def allowed_keys(view: View) -> tuple[Ints, Ints]:
    """One site and the key of each line that may hold atoms: named columns and unseen lines."""
    sites = view.column_sites
    if view.unseen_sites is not None:
        sites = np.concatenate([sites, view.unseen_sites])
    keys, first = np.unique(line_keys(sites, view.zone_axis), return_index=True)
    return sites[first], keys


def candidates(views: tuple[View, ...]) -> Ints:
    """Sites on an allowed line of every view and on a named column of at least one, sorted."""
    pairs = combinations(range(len(views)), 2)
    crossing = [(i, j) for i, j in pairs if np.any(common_normal(views[i], views[j]))]
    if crossing:
        work = [sum(len(allowed_keys(views[i])[0]) for i in pair) for pair in crossing]
        i, j = crossing[int(np.argmin(work))]
        sites = _intersections(views[i], views[j])
    else:
        sites = _slab(views[0])
    named = np.zeros(len(sites), dtype=bool)
    for view in views:
        keys = line_keys(sites, view.zone_axis)
        inside = np.isin(keys, allowed_keys(view)[1])
        named |= np.isin(keys, line_keys(view.column_sites, view.zone_axis))
        sites, named = sites[inside], named[inside]
    sites = sites[named]
    return sites[np.lexsort(sites.T[::-1])]


def common_normal(a: View, b: View) -> Ints:
    """Direction (3,) perpendicular to both zone axes; 0 where they are one."""
    return np.cross(grid_vector(a.zone_axis), grid_vector(b.zone_axis))


def _intersections(a: View, b: View) -> Ints:
    """Grid sites where an allowed line of one view crosses one of the other."""
    ta, tb = grid_vector(a.zone_axis), grid_vector(b.zone_axis)
    normal = np.cross(ta, tb)
    p, q = allowed_keys(a)[0], allowed_keys(b)[0]
    plane_p, plane_q = p @ normal, q @ normal
    p, q = p[np.argsort(plane_p, kind="stable")], q[np.argsort(plane_q, kind="stable")]
    plane_p, plane_q = np.sort(plane_p), np.sort(plane_q)
    low = np.searchsorted(plane_q, plane_p, "left")
    size = np.searchsorted(plane_q, plane_p, "right") - low
    i = np.repeat(np.arange(len(p)), size)
    j = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(low, size)
    # p + x ta = q + y tb: the cross product with tb, along the normal, leaves x.
    square = int(normal @ normal)
    scaled = np.cross(q[j] - p[i], tb) @ normal
    sites = p[i] + (scaled // square)[:, None] * ta
    sites = sites[scaled % square == 0]
    # The crossing must also be whole grid steps of tb away from q.
    return sites[np.isin(line_keys(sites, b.zone_axis), allowed_keys(b)[1])]


def _slab(view: View) -> Ints:
    """Sites of the columns of a single view, centred on the plane through its middle.

    One view leaves the position along the beam open; columns are given room for half as many
    atoms again as the longest one holds.
    """
    t = grid_vector(view.zone_axis)
    centre = np.median(view.column_sites, axis=0)
    offset = np.round((view.column_sites - centre) @ t / (t @ t)).astype(np.int64)
    start = view.column_sites - offset[:, None] * t
    tallest = int(view.best_counts.argmax())
    half = int(np.ceil(0.75 * max(int(view.best_counts[tallest]), 1))) + 2
    box = np.ptp(start, axis=0) + 2 * half * np.abs(t) + 1
    if len(start) * (2 * half + 1) > _LARGEST_SLAB or np.prod(box, dtype=float) / 2 > SiteIndex.LARGEST:
        raise InputError(
            f"view {view.name}, column {tallest}: {view.best_counts[tallest]} atoms were counted; with one "
            f"view all {len(start)} columns are given that much room, which makes too many sites."
        )
    steps = np.arange(-half, half + 1)
    return (start[:, None, :] + steps[None, :, None] * t).reshape(-1, 3)
