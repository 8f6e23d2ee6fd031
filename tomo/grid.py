"""The fcc grid: its neighbours, and which sites lie in line along a zone axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .arrays import Ints
from .errors import InputError, are_whole

#: The 12 nearest neighbours of an fcc site [a/2].
NEIGHBOUR_VECTORS: Ints = np.array(
    [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if abs(i) + abs(j) + abs(k) == 2]
)

#: Its 6 second neighbours, one lattice parameter away [a/2].
SECOND_VECTORS: Ints = np.array([(-2, 0, 0), (0, -2, 0), (0, 0, -2), (0, 0, 2), (0, 2, 0), (2, 0, 0)])

#: Largest component of a zone axis.
LARGEST_INDEX = 1000
#: Components of a site's cross product with a zone axis stay below this.
FARTHEST = 1 << 20


def grid_vector(zone_axis: ArrayLike) -> Ints:
    """Shortest vector (3,) between grid sites along a zone axis [a/2].

    It is [uvw] without common factor, doubled where its sum is odd. InputError if the zone axis is not three
    integers, is zero, or one of them exceeds 1000.

    Examples
    --------
    >>> grid_vector((1, 0, 0)).tolist(), grid_vector((2, 2, 0)).tolist()
    ([2, 0, 0], [1, 1, 0])
    """
    try:
        axis = np.asarray(zone_axis, dtype=float)
    except (TypeError, ValueError):
        axis = np.zeros(0)  # words, or lists within lists
    if axis.shape != (3,) or not are_whole(axis):
        raise InputError(f"zone axis: expected three integers [u, v, w], got {zone_axis!r}.")
    if not axis.any():
        raise InputError("zone axis: [0 0 0] is no direction.")
    if np.abs(axis).max() > LARGEST_INDEX:
        raise InputError(f"zone axis: expected integers up to {LARGEST_INDEX}, got {zone_axis!r}.")
    whole = axis.astype(np.int64)
    reduced = whole // np.gcd.reduce(whole)
    return reduced if reduced.sum() % 2 == 0 else 2 * reduced


def triple(vector: Ints) -> tuple[int, int, int]:
    """Three whole numbers, such as Miller indices, as a tuple that can be told, compared and hashed."""
    return int(vector[0]), int(vector[1]), int(vector[2])


def whole_sites(sites: ArrayLike) -> Ints:
    """Sites [a/2] as an (n, 3) array of int64, all of one fcc grid; none at all, of any shape, are (0, 3).

    InputError if they are no whole numbers, such as positions in A or with NaN, or h + k + l is even for some
    and odd for others: those are not on one fcc grid.

    Examples
    --------
    >>> whole_sites([(1.0, 1.0, 0.0), (2, 0, 0)]).tolist()
    [[1, 1, 0], [2, 0, 0]]
    """
    try:
        given = np.ma.filled(sites, np.iinfo(np.int64).min) if np.ma.is_masked(sites) else np.asarray(sites)
    except ValueError as error:  # rows of different length
        raise InputError(f"sites: expected an (n, 3) array of grid indices ({error}).") from error
    if given.size == 0:
        return np.zeros((0, 3), dtype=np.int64)
    if given.ndim != 2 or given.shape[1] != 3 or given.dtype.kind not in "iuf":
        raise InputError(
            f"sites: expected an (n, 3) array of grid indices (h, k, l), got one of {given.dtype} of shape"
            f" {given.shape}."
        )
    far = ~np.all((np.abs(given) < FARTHEST) & (given == np.round(given)), axis=1)
    if far.any():
        first = int(np.argmax(far))
        raise InputError(
            f"sites: row {first}, {tuple(given[first].tolist())}, is not a grid site; expected three integers"
            " (h, k, l), the position in units of a/2."
        )
    grid = given.astype(np.int64)
    other = (grid.sum(axis=1) - grid[0].sum()) % 2 != 0
    if other.any():
        row = int(np.argmax(other))
        raise InputError(
            f"sites: row {row}, {tuple(grid[row].tolist())}, is not on the fcc grid of row 0; h + k + l must"
            " be even for all or odd for all."
        )
    return grid


def line_keys(sites: ArrayLike, zone_axis: ArrayLike) -> Ints:
    """Number (n,) that is equal for sites (n, 3) on the same grid line along a zone axis, and only for those.

    Two sites s and s' are on one line along t when s x t = s' x t; the three components, which must be below
    `FARTHEST`, are packed into one integer.

    Examples
    --------
    >>> keys = line_keys([(0, 0, 0), (2, 2, 0), (1, 0, 1)], (1, 1, 0))
    >>> bool(keys[0] == keys[1]), bool(keys[0] == keys[2])
    (True, False)
    """
    cross = np.cross(np.asarray(sites, dtype=np.int64).reshape(-1, 3), grid_vector(zone_axis))
    packed = cross + FARTHEST
    return (packed[:, 0] << 42) | (packed[:, 1] << 21) | packed[:, 2]


def rows_of(keys: Ints, wanted: Ints) -> Ints:
    """Row of each wanted key (m,) among distinct keys (n,), such as `line_keys`; -1 where it is none of them.

    Examples
    --------
    >>> rows_of(np.array([7, 3, 5]), np.array([5, 6])).tolist()
    [2, -1]
    """
    if not len(keys):
        return np.full(len(wanted), -1)
    order = np.argsort(keys)
    at = order[np.searchsorted(keys[order], wanted).clip(max=len(keys) - 1)]
    return np.where(keys[at] == wanted, at, -1)


class SiteIndex:
    """Look-up from grid sites to their row in a list of distinct sites (n, 3) [a/2].

    InputError if the box around the sites is too large.
    """

    #: A box of so many sites takes a GB.
    LARGEST = 250_000_000

    def __init__(self, sites: ArrayLike) -> None:
        grid = np.asarray(sites, dtype=np.int64).reshape(-1, 3)
        self._low = grid.min(axis=0) if len(grid) else np.zeros(3, np.int64)
        high = grid.max(axis=0) if len(grid) else np.zeros(3, np.int64)
        self._shape = high - self._low + 1
        # One cell for each site and its odd twin: h is halved, because h + k + l is even.
        self._cells = ((self._shape[0] + 1) // 2, self._shape[1], self._shape[2])
        if np.prod(self._cells, dtype=float) > self.LARGEST:
            size = " x ".join(str(n) for n in self._shape)
            raise InputError(
                f"sites: the box around them measures {size} half lattice parameters, which is more than "
                "fits into memory; check the counts and that all sites belong to one crystal."
            )
        self._row = np.full(self._cells, -1, dtype=np.int32)
        local = grid - self._low
        self._row[local[:, 0] // 2, local[:, 1], local[:, 2]] = np.arange(len(grid))

    def __call__(self, sites: ArrayLike) -> NDArray[np.int32]:
        """Row of each of ``sites`` ((m, 3) int), -1 for those not in the list."""
        local = np.asarray(sites, dtype=np.int64).reshape(-1, 3) - self._low
        inside = np.all((local >= 0) & (local < self._shape), axis=1)
        rows = np.full(len(local), -1, dtype=np.int32)
        cell = local[inside]
        rows[inside] = self._row[cell[:, 0] // 2, cell[:, 1], cell[:, 2]]
        return rows


def neighbour_table(sites: ArrayLike) -> NDArray[np.int32]:
    """Rows (n, 12) of the 12 nearest neighbours of distinct sites (n, 3).

    In the order of `NEIGHBOUR_VECTORS`; -1 where the neighbour is not in ``sites``.

    Examples
    --------
    >>> (neighbour_table([(0, 0, 0), (1, 1, 0)]) >= 0).sum(axis=1).tolist()
    [1, 1]
    """
    grid = np.asarray(sites, dtype=np.int64).reshape(-1, 3)
    index = SiteIndex(grid)
    return np.stack([index(grid + step) for step in NEIGHBOUR_VECTORS], axis=1)


def contacts(sites: ArrayLike) -> tuple[Ints, NDArray[np.int32]]:
    """Rows of the sites (n, 3) of every pair of nearest neighbours among them, each pair both ways round."""
    table = neighbour_table(sites)
    row, step = np.nonzero(table >= 0)
    return row, table[row, step]


def connected_parts(first: ArrayLike, second: ArrayLike, n: int) -> Ints:
    """Number of the connected part that each of n nodes belongs to, (n,), where pairs of nodes are linked.

    Examples
    --------
    >>> connected_parts([0, 2], [1, 0], 4).tolist()
    [0, 0, 0, 1]
    """
    links = coo_matrix((np.ones(np.size(first), dtype=np.int8), (first, second)), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)
