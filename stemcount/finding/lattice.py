"""Translations of the projected lattice, from column positions alone, and which columns obey them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_ORIGINS = 400  # columns whose surroundings are looked at
RANGE = 4.2  # spacings within which translations are sought
BINS_PER_SPACING = 10
COMMON = 0.3  # of the commonest difference: how common a translation has to be to be looked at
TRUE = 0.85  # of the share of columns with a partner, in two directions at least, that makes a translation
FEWEST = 12  # columns below which no lattice is sought
SHARE = 0.5  # of the columns that must have a partner for the lattice to count
TOLERANCE = 0.2  # of the shortest translation
WINDOW = 2  # lattice vectors in either direction over which the lattice is taken to be even
NEAR = 0.35  # of the shortest translation, within which a column stands where another one expects one
STIFF = 1.0  # columns that it takes to tell a strain
ENOUGH = 2.0  # columns that it takes to expect another one


def lattice_translations(points: Floats) -> Floats:
    """Shortest translations (k, 2) that carry many columns, at points (n, 2), onto other columns.

    Differences between columns of different kinds (a dumbbell's two halves) occur for only part of the
    columns and are less common than the lattice's own translations. These are k = 6 vectors t, each with its
    -t, of a reduced basis a, b and their sum or difference; k = 0 when the points show no lattice.
    """
    empty = np.zeros((0, 2))
    if len(points) < FEWEST:
        return empty
    tree = cKDTree(points)
    spacing = float(np.median(tree.query(points, k=2)[0][:, 1]))
    some = points[:: max(len(points) // MOST_ORIGINS, 1)]
    step = spacing / BINS_PER_SPACING
    half = round(RANGE * spacing / step)
    partners = tree.query_ball_point(some, RANGE * spacing)
    origin = np.repeat(np.arange(len(some)), [len(p) for p in partners])
    difference = points[np.concatenate([np.asarray(p, dtype=int) for p in partners])] - some[origin]
    difference = np.concatenate([difference, -difference])
    index = np.rint(difference / step).astype(int) + half
    inside = ((index >= 0) & (index <= 2 * half)).all(axis=1)
    size = 2 * half + 1
    votes = np.bincount(index[inside, 0] * size + index[inside, 1], minlength=size * size)
    smooth = ndimage.gaussian_filter(votes.reshape(size, size).astype(float), 1.2)
    radius = np.hypot(*(np.indices(smooth.shape) - half)) * step
    smooth[radius < 0.5 * spacing] = 0.0
    top = (smooth == ndimage.maximum_filter(smooth, size=5)) & (smooth > COMMON * smooth.max())
    peaks = (np.argwhere(top) - half) * step
    # the others are their negatives
    peaks = peaks[(peaks[:, 1] > 0) | ((peaks[:, 1] == 0) & (peaks[:, 0] > 0))]
    peaks = peaks[np.argsort(np.hypot(*peaks.T), kind="stable")]
    vectors, shares = [], []
    along_x, near = difference[:, 0].copy(), 0.2 * spacing
    for peak in peaks:
        beside = difference[np.abs(along_x - peak[0]) < near]  # few: the square root of all takes long
        close = beside[np.hypot(*(beside - peak).T) < near]
        if len(close) == 0:
            continue
        vector = close.mean(axis=0)
        distance = tree.query(some + vector)[0]
        within = max(int(np.count_nonzero(distance < 1.3 * spacing)), 1)  # does not leave the particle
        vectors += [vector, -vector]
        shares += 2 * [np.count_nonzero(distance < 0.2 * spacing) / within]
    if len(vectors) < 4 or max(shares) < SHARE:
        return empty
    direction, share = np.array(vectors), np.array(shares)
    other = _independent(direction, direction[np.argmax(share)])
    # slips of the scan spoil one direction and leave the other
    return translations_of(direction[share > TRUE * np.max(share, initial=SHARE, where=other)])


def _independent(vectors: Floats, a: Floats) -> NDArray[np.bool_]:
    """Which vectors are not nearly parallel to one of them."""
    area = np.abs(a[0] * vectors[:, 1] - a[1] * vectors[:, 0])
    return np.asarray(area > 0.3 * np.hypot(*vectors.T) * np.hypot(*a))


def translations_of(vectors: Floats) -> Floats:
    """a, b, the shorter of a + b and a - b, and their negatives, from candidates sorted by length."""
    if len(vectors) == 0:
        return np.zeros((0, 2))
    a = vectors[0]
    independent = np.flatnonzero(_independent(vectors, a))
    if len(independent) == 0:
        return np.zeros((0, 2))
    b = vectors[independent[0]]
    b = b - a * np.rint(a @ b / (a @ a))
    third = a + b if np.hypot(*(a + b)) < np.hypot(*(a - b)) else a - b
    return np.array([a, -a, b, -b, third, -third])


def points_within(basis: Floats, origin: Floats, low: ArrayLike, high: ArrayLike) -> Floats:
    """The points (n, 2) of a lattice in a rectangle with corners `low` and `high`, edges included.

    The lattice has the two columns of `basis` as vectors and `origin` as one of its points.

    Examples
    --------
    >>> points_within(2.0 * np.eye(2), np.ones(2), (0, 0), (4, 2)).tolist()
    [[1.0, 1.0], [3.0, 1.0]]
    """
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    corners = np.array([(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])])
    rim = np.linalg.solve(basis, (corners - origin).T)
    ranges = [np.arange(np.ceil(r.min()), np.floor(r.max()) + 1) for r in rim]
    index = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 2)
    points = index @ basis.T + origin
    return np.asarray(points[((points >= low) & (points <= high)).all(axis=1)])


def rotation(angle: float) -> Floats:
    """The (2, 2) matrix that turns vectors from x towards y by an angle [radian]."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def shortest(vectors: Floats) -> float:
    """Length of the shortest of some vectors (k, 2)."""
    return float(np.hypot(*vectors.T).min())


def support(points: Floats, among: Floats, translations: Floats) -> Ints:
    """How many of the translations (k, 2) lead from each point (n, 2) to one `among` some columns, (n,)."""
    if len(translations) == 0 or len(among) == 0 or len(points) == 0:
        return np.zeros(len(points), dtype=np.int64)
    tolerance = TOLERANCE * shortest(translations)
    tree = cKDTree(among)
    found = [np.isfinite(tree.query(points + t, distance_upper_bound=tolerance)[0]) for t in translations]
    return np.sum(found, axis=0).astype(np.int64)


def expected_places(points: Floats, translations: Floats) -> Floats:
    """Where the lattice around each column wants it to be, (n, 2).

    The columns q that stand at a column's place plus a lattice vector, q = p + B n with integer n up to
    `WINDOW`, are fitted by q = c + (B + E) n: c is the expected place, E the local strain, which a ridge
    keeps small where there are few columns. A column counts the more, the more of the translations (as of
    `lattice_translations`) lead from it to others: those at the rim say little. No column takes part in what
    is expected of itself; its place is its own where too few others say anything.
    """
    if len(translations) == 0 or len(points) < FEWEST:
        return points
    basis = translations[[0, 2]].T
    near = NEAR * shortest(translations)
    trust = (support(points, points, translations) / len(translations)) ** 2
    tree = cKDTree(points)
    steps = np.arange(-WINDOW, WINDOW + 1)
    matrix, right = np.zeros((len(points), 3, 3)), np.zeros((len(points), 3, 2))
    matrix[:, [1, 2], [1, 2]] = STIFF
    # one more that nothing is known of: the tree's answer where it finds none
    partner, weight = np.append(points, np.zeros((1, 2)), axis=0), np.append(trust, 0.0)
    for n in ((i, j) for i in steps for j in steps if (i, j) != (0, 0)):
        shift, design = basis @ n, np.array([1.0, *n])
        which = tree.query(points + shift, distance_upper_bound=near)[1]
        trusted = weight[which][:, None, None]
        matrix += trusted * np.outer(design, design)
        right += trusted * design[:, None] * (partner[which] - shift)[:, None]
    known = matrix[:, 0, 0] > ENOUGH
    places = points.copy()
    places[known] = np.linalg.solve(matrix[known], right[known])[:, 0]
    return places


def empty_sites(columns: Floats, translations: Floats, distance: float) -> Floats:
    """Where translations of columns lead to but none is nearer than a distance, once for each place, (m, 2).

    Means of the places that at least two columns predict.
    """
    if len(translations) == 0:
        return np.zeros((0, 2))
    places = (columns[:, None, :] + translations).reshape(-1, 2)
    places = places[cKDTree(columns).query(places)[0] > distance]
    if len(places) == 0:
        return places
    tolerance = TOLERANCE * shortest(translations)
    groups = cKDTree(places).query_ball_point(places, tolerance)
    taken = np.zeros(len(places), dtype=bool)
    means = []
    for i in sorted(range(len(places)), key=lambda k: -len(groups[k])):
        members = [k for k in groups[i] if not taken[k]]
        if taken[i] or len(members) < 2:
            continue
        taken[groups[i]] = True
        means.append(places[members].mean(axis=0))
    return np.array(means).reshape(-1, 2)
