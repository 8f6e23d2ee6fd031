"""How thick a particle must be along each beam, told by the widths that its views show.

Every view shows how the atoms spread sideways. Spreads seen along enough directions make up the
particle's whole tensor of second moments, and this says how far the atoms spread along each beam. But a
column of n atoms, if it has no gaps, spreads by what n alone determines; so the scale of the counts
is fixed, whatever the shape:

    W_v = sum n (n^2 - 1) d^2 / (12 sum n)   <=   B_v = 1 / (t . T^-1 . t),

with d the distance of atoms along the beam, t the direction of the beam and T the tensor. B_v is what is
left of the spread along the beam when the middles of the columns lie in a plane (the Schur complement of
the sideways part); the two are equal for every ellipsoid and cylinder, and differ by a few per cent for
faceted, stepped and rough particles. Counts too high by a factor s raise W_v by s^2.

Two views leave one number of the tensor open: how the particle is elongated between them. Its prior is
that the particle is about as thick as wide; and whatever it is, the particle cannot be thicker than
a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Bools, Floats, Ints
from .counted_lines import CountedLines
from .placement import Candidate, pair_sums
from .planes import shared_planes

# ln(B / W) of right counts, mean of the views. Random faceted, stepped and rough particles and rods of 300
# to 4,000 atoms: 0.01-0.07; an experimental particle of 8,451 atoms: 0.02. Miscounts and columns that
# were not found add to either side, deep notches to the upper one.
SLACK, SLACK_BELOW, SLACK_ABOVE = 0.035, 0.04, 0.06
# Of particles with notches, holes or lobes: without it the right scale of 25 hollow and of 25 notched ones is
# 2.5 log units less probable; 25 whole ones gain 0.01.
ODD_SHARE, ODD_SLACK = 0.1, 0.2
WIDTH_ERROR = 0.015  # relative, of the covariances that a view shows: columns missed, curve V(k) bent
# Elongation, ln(length / width), within planes: Student's t in the plane of (elongation, direction), so
# that it may be large, but then seldom stays hidden from both views.
ELONGATION, FREEDOM = 0.15, 3
GRID = np.linspace(-6.0, 6.0, 481)  # of the open number, atanh of a correlation
FEW_ATOMS = 20.0  # below, moments mean nothing
LEAST = 0.05  # variance of atoms along any direction [(a/2)^2]; that of a sheet would be 0, which has no ln


@dataclass(frozen=True)
class Depth:
    """What the widths of the views say of the counts of each.

    Attributes
    ----------
    views : tuple of int
        Those that take part.
    slack : tuple of (n_readings,) float
        For each of them and each of its readings, its share of ln(B / W), the part that is open left out.
    elongation : tuple of (m,) float
        ln of the factor on B for each value that the open number may have, and the ln of its probability;
        one value, 0, if nothing is open.
    doubt : float
        Standard deviation of ln B from errors of the widths, which grow where the beams lie close together.
    """

    views: tuple[int, ...]
    slack: tuple[Floats, ...]
    elongation: tuple[Floats, Floats]
    doubt: float = 0.0

    def log_likelihood(self, combos: Ints) -> Floats:
        """Log likelihood of combinations (m, n_views) of readings, a reading for every view in each row."""
        slack = sum(
            (s[combos[:, v]] for v, s in zip(self.views, self.slack, strict=True)), np.zeros(len(combos))
        )
        table = np.linspace(slack.min() - 1e-6, slack.max() + 1e-6, 2000)
        factor, log_prior = self.elongation
        terms = log_slack_density(table[:, None] + factor, self.doubt) + log_prior
        best = terms.max(axis=1)
        return np.interp(slack, table, best + np.log(np.exp(terms - best[:, None]).sum(axis=1)))


def log_slack_density(slack: Floats, doubt: float = 0.0) -> Floats:
    """ln of the probability density of ln(B / W) for right counts, up to a constant; `doubt` is that of ln B.

    Examples
    --------
    >>> right, half, thrice = log_slack_density(np.array([0.04, 0.04 + 2 * np.log(2), -2 * np.log(3)]))
    >>> bool(right > half + 5 > thrice + 5)
    True
    """
    off = np.asarray(slack) - SLACK
    low, high, odd_high = (np.hypot(spread, doubt) for spread in (SLACK_BELOW, SLACK_ABOVE, ODD_SLACK))
    # nothing can be thicker than the widths allow; only errors of the counts make it seem so
    below = -0.5 * (off / low) ** 2 / np.sqrt(1 + (off / low / 6) ** 2)
    odd = ODD_SHARE * high / odd_high
    above = np.logaddexp(
        np.log(1 - ODD_SHARE) - 0.5 * (off / high) ** 2, np.log(odd) - 0.5 * (off / odd_high) ** 2
    )
    return np.asarray(np.where(off < 0, below + np.log(1 - ODD_SHARE + odd), above))


def depth_of(read: list[list[CountedLines]], candidate: Candidate) -> Depth | None:
    """What the widths of views placed as the candidate says tell of the counts of each under each reading.

    None for one view, or if the views cut the particle so that no plane is seen whole by two.
    """
    if len(read) < 2:
        return None
    first = [readings[0] for readings in read]
    sites = [view.zone.sites(candidate.lines_of(v, view)) for v, view in enumerate(first)]
    if len(read) > 2 and all(view.inside is None for view in first):
        known = _depths_in_space(first, sites)
        if known is not None:
            return _closed(tuple(range(len(read))), read, known)
    return _planar(read, first, sites, candidate)


def _unit(vector: ArrayLike) -> Floats:
    v = np.asarray(vector, dtype=float)
    return np.asarray(v / np.linalg.norm(v))


_Depths = tuple[Floats, float]  # B of each view, and the deviation of their mean ln


def _depths_in_space(views: list[CountedLines], sites: list[Ints]) -> _Depths | None:
    """B of three or more views from the covariance that each shows; None if they leave the tensor open."""
    rows, values, sizes = [], [], []
    for view, at in zip(views, sites, strict=True):
        across = np.linalg.svd(_unit(view.zone_axis)[None])[2][1:]
        covariance = np.cov((at @ across.T).T, aweights=np.maximum(view.atoms, 1e-9), bias=True)
        for i, j in ((0, 0), (0, 1), (1, 1)):
            outer = np.outer(across[i], across[j])
            both = outer + outer.T
            rows.append([*np.diag(outer), both[0, 1], both[0, 2], both[1, 2]])
            values.append(covariance[i, j])
            sizes.append(np.sqrt(covariance[i, i] * covariance[j, j]))
    design = np.array(rows)
    if np.linalg.matrix_rank(design, tol=1e-3) < 6:
        return None
    beams = np.array([_unit(view.zone_axis) for view in views])

    def depths(covariances: Floats) -> Floats | None:
        xx, yy, zz, xy, xz, yz = np.linalg.lstsq(design, covariances, rcond=None)[0]
        tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        if np.linalg.eigvalsh(tensor)[0] < LEAST:
            return None
        return np.asarray(1 / np.einsum("vi,ij,vj->v", beams, np.linalg.inv(tensor), beams))

    return _with_doubt(depths, np.array(values), np.array(sizes))


def _with_doubt(depths: Callable[[Floats], Floats | None], values: Floats, sizes: Floats) -> _Depths | None:
    """B at the values, and what errors of the values do to the mean ln B, in quadrature."""
    known = depths(values)
    if known is None:
        return None
    doubt = 0.0
    for k in range(len(values)):
        moved = depths(values + WIDTH_ERROR * sizes * (np.arange(len(values)) == k))
        doubt += 1.0 if moved is None else float(np.mean(np.log(moved / known))) ** 2
    return known, float(np.sqrt(doubt))


def _closed(group: tuple[int, ...], read: list[list[CountedLines]], known: _Depths) -> Depth:
    """Nothing open: the tensor is known. `read` are the readings of the views of the group."""
    slack = tuple(
        (np.log(b) - np.log(within_columns(readings))) / len(group)
        for b, readings in zip(known[0], read, strict=True)
    )
    return Depth(group, slack, (np.zeros(1), np.zeros(1)), known[1])


def within_columns(readings: list[CountedLines]) -> Floats:
    """Mean square distance of atoms from the middle of their column, columns without gaps [(a/2)^2].

    For each of one view's `readings`.

    Examples
    --------
    >>> lines = np.array([[0, 0], [1, 0]])
    >>> view = CountedLines((1, 0, 0), lines, np.array([3.0, 3.0]), np.zeros(2), None, (0,))
    >>> float(within_columns([view])[0])  # atoms at -2, 0, 2
    2.6666666666666665
    """
    step = float(np.sum(np.square(readings[0].zone.t)))
    out = []
    for view in readings:
        n = view.atoms
        out.append(float((n * np.maximum(n**2 - 1, 0.0)).sum()) * step / 12 / max(float(n.sum()), 1e-9))
    return np.maximum(np.array(out), LEAST)


def _planar(
    read: list[list[CountedLines]],
    first: list[CountedLines],
    sites: list[Ints],
    candidate: Candidate,
) -> Depth | None:
    """Views that share a set of planes, by the spreads within the planes that all of them see whole."""
    groups: dict[tuple[int, int, int], tuple[int, ...]] = {}
    for v, w in combinations(range(len(read)), 2):
        normal = shared_planes(first[v].zone_axis, first[w].zone_axis).normal
        key = max(normal, (-normal[0], -normal[1], -normal[2]))
        groups[key] = tuple(sorted({*groups.get(key, ()), v, w}))
    best: tuple[int, float] = (0, FEW_ATOMS)
    chosen: tuple[Ints, tuple[int, ...], list[Bools]] | None = None
    for key, group in groups.items():
        across_planes = np.array(key)
        seen = _whole_planes(first, candidate, group, across_planes)
        use = [
            np.ones(len(at), bool) if seen is None else np.isin(at @ across_planes, seen)
            for at in (sites[v] for v in group)
        ]
        held = min(float(first[v].atoms[u].sum()) for v, u in zip(group, use, strict=True))
        if held > FEW_ATOMS and (len(group), held) > best:
            best, chosen = (len(group), held), (across_planes, group, use)
    if chosen is None:
        return None
    plane_normal, group, use = chosen
    read = [[_only(view, u) for view in read[v]] for v, u in zip(group, use, strict=True)]
    sites = [sites[v][u] for v, u in zip(group, use, strict=True)]
    across = [_unit(np.cross(plane_normal, readings[0].zone_axis)) for readings in read]
    spreads = [
        np.array([_spread(view.atoms, at, a, plane_normal) for view in readings])
        for readings, at, a in zip(read, sites, across, strict=True)
    ]
    thin = _thinness(read, sites, plane_normal)
    if len(group) == 2:
        return _open(group, read, across, spreads, thin)
    # in-plane tensor (xx, xy, yy) in the frame of the first view
    x, y = across[0], _unit(np.cross(plane_normal, across[0]))
    place = np.array([(a @ x, a @ y) for a in across])
    design = np.column_stack([place[:, 0] ** 2, 2 * place[:, 0] * place[:, 1], place[:, 1] ** 2])

    def depths(widths: Floats) -> Floats | None:
        xx, xy, yy = np.linalg.lstsq(design, widths, rcond=None)[0]
        determinant = xx * yy - xy**2
        return None if xx <= 0 or determinant < 0.05 * xx * yy else np.asarray(determinant / widths)

    widths = np.array([s[0] for s in spreads])
    known = _with_doubt(depths, widths, widths)
    if known is None:
        return _open(group[:2], read[:2], across[:2], spreads[:2], thin)
    return _closed(group, read, known)


def _only(view: CountedLines, use: Bools) -> CountedLines:
    """The view with some of its lines (n,) alone."""
    return replace(view, lines=view.lines[use], atoms=view.atoms[use], variance=view.variance[use])


def _whole_planes(
    views: list[CountedLines], candidate: Candidate, group: tuple[int, ...], normal: Ints
) -> Ints | None:
    """n . (h, k, l) of the planes that all views of the group see whole; None if nothing is cut."""
    if all(views[v].inside is None for v in group):
        return None
    whole: set[int] | None = None
    v = group[0]
    for w in group[1:]:
        planes = shared_planes(views[v].zone_axis, views[w].zone_axis)
        sums = pair_sums(views, candidate, v, w)
        start = int((planes.of_first @ np.array(candidate.shifts[v]))[0])
        factor = planes.divisor * (1 if tuple(normal) == planes.normal else -1)
        partly = set(sums.plane[~sums.seen].tolist())
        here = {(p + start) * factor for p in sums.plane.tolist() if p not in partly}
        whole = here if whole is None else whole & here
    return np.array(sorted(whole or ()), dtype=np.int64)


def _spread(atoms: Floats, sites: Ints, across: Floats, normal: Ints) -> float:
    """Variance of the atoms along `across` within planes, all planes together [(a/2)^2]."""
    plane = sites @ normal
    plane = plane - plane.min()
    place = sites @ across
    total = np.bincount(plane, atoms)
    middle = np.bincount(plane, atoms * place) / np.maximum(total, 1e-9)
    spread = float((atoms * (place - middle[plane]) ** 2).sum()) / max(float(total.sum()), 1e-9)
    return max(spread, LEAST)


def _thinness(read: list[list[CountedLines]], sites: list[Ints], normal: Ints) -> float:
    """Variance of the atoms along the planes' normal, which every view shows [(a/2)^2]."""
    heights = np.concatenate(sites) @ _unit(normal)
    weights = np.concatenate([np.maximum(readings[0].atoms, 1e-9) for readings in read])
    return max(float(np.cov(heights, aweights=weights)), LEAST)


def _open(
    group: tuple[int, ...],
    read: list[list[CountedLines]],
    across: list[Floats],
    spreads: list[Floats],
    thin: float,
) -> Depth:
    """Two views: the correlation rho of the particle's extents along the two directions across is open.

    det T = A B (1 - rho^2) / sin^2 for spreads A and B along directions at an angle; for a particle as long
    as wide rho = cos. Stretching it by a factor f between the two moves atanh(rho) by ln f. Where a particle
    is thinner across the planes than it looks within them, it may as well be a needle, as thin within them:
    else the scale of a rod seen askew is ruled out (15 rods, ln P of the right one -1.6 on average; -3.1).
    """
    cosine = float(across[0] @ across[1])
    sine2 = 1 - cosine**2
    a, b = float(spreads[0][0]), float(spreads[1][0])
    rho = np.tanh(GRID)
    # tensor in the frame of the first direction, for every rho
    xy = (rho * np.sqrt(a * b) - cosine * a) / np.sqrt(sine2)
    yy = (b - cosine**2 * a - 2 * cosine * np.sqrt(sine2) * xy) / sine2
    elongation = ((a - yy) ** 2 + 4 * xy**2) / (a + yy) ** 2
    prior = _student((GRID - GRID[np.argmin(elongation)]) / ELONGATION)
    if thin < min(a, b):
        smallest = (a + yy) / 2 * (1 - np.sqrt(elongation))
        prior = (prior + _student(0.5 * np.log(np.maximum(smallest, 1e-9) / thin) / ELONGATION)) / 2
    factor = np.log1p(-(rho**2)) - np.log(sine2)
    # B along the first beam is det T / A, and W does not change with the tensor
    slack = tuple(
        0.5 * (np.log(spread) - np.log(within_columns(readings)))
        for spread, readings in zip(spreads, read, strict=True)
    )
    return Depth(group, slack, (factor, np.log(prior)))


def _student(scaled: Floats) -> Floats:
    """Student's t on the grid, as probabilities."""
    density = (1 + scaled**2 / FREEDOM) ** (-0.5 * (FREEDOM + 2))
    return np.asarray(density / density.sum())
