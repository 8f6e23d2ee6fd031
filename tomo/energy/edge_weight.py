"""The price of an edge and the worth of an atom, estimated from occupancies instead of asked for.

With P(s) ~ exp(-w edges(s) - v second_edges(s) + m atoms(s)), the state of a site given its
neighbours is a coin: with the fields f = occupied - vacant nearest neighbours and g = the same of
second neighbours, occupying it makes f edges and g second edges less, and

    P(occupied | f, g) = 1 / (1 + exp(-w f - v g - m)).

The pseudo-likelihood is the product over all sites (Besag 1975, The Statistician 24, 179); its
maximum over w, v and m is consistent and needs no normalisation. It is a logistic regression on f
and g, for which the numbers of occupied and vacant sites at every pair are sufficient. The worth of
an atom is what lets flat facets meet in sharp edges: there 6 of 12 neighbours are occupied, where
edges alone would toss the coin fairly. Second neighbours tell facets apart that first ones cannot.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from ..arrays import Bools, Floats, Ints
from ..grid import NEIGHBOUR_VECTORS, SECOND_VECTORS, SiteIndex
from .prior import Prior

#: Range of edge weights that is considered [nats per edge].
EDGE_WEIGHT_RANGE = (0.05, 3.0)
#: Random particles of a hundred atoms and more have 0.5 to 1.6 on average, rough ones too. A crystal that
#: follows errors of the counts has less, and with less it follows them further. But a surface of single
#: atoms and pits has less, too: were it held to more, its right counts would pass for wrong. So below the
#: least usual weight it is normal in advance with this deviation. What right counts say of many sites
#: outweighs that; what follows a few errors does not.
LEAST_USUAL, BELOW_SPREAD = 0.5, 0.05
#: The most that an atom may be worth by itself [nats]. Rough, stepped and faceted particles, rods, and plates
#: of three layers and more have 0.8 to 3.5. Where few kinds of sites occur, as in a plate of two layers, the
#: best is up to 7; but soft counts rule out no column that holds some atoms too many for good, and for 7 nats
#: an atom the plate is filled to a ball.
MOST_WORTH = 4.0
#: Sites assumed in advance at the weight 0.5, so that a crystal without one flaw keeps a finite weight.
PRIOR_SITES, PRIOR_WEIGHT, PRIOR_FIELDS = 2.0, 0.5, np.array([-6, -2, 2, 6])
#: The weight of second neighbours is normal about 0 with this deviation in advance, and never negative.
SECOND_SPREAD = 0.25
#: Standard deviation of what sites of one kind are worth about none [nats].
KIND_SPREAD = 2.0
_NEWTON_STEPS = 50
#: The estimate is settled when a step changes no value by more than this [nats].
_SETTLED = 1e-9
#: A step must gain this share of what the slope promises, but for rounding errors of the likelihood.
_GAIN, _ROUNDING = 1e-4, 1e-14
#: Fields -12..12 of nearest and -6..6 of second neighbours, as `edge_statistics` counts them.
STATISTICS_SHAPE = (25, 13, 2)
_VECTORS = (NEIGHBOUR_VECTORS, SECOND_VECTORS)
_FIRST, _SECOND = (f.ravel().astype(float) for f in np.mgrid[-12:13, -6:7])


def edge_statistics(
    occupied: Bools,
    around: Ints,
    degree: NDArray[np.int8],
    site_worth: Floats | None = None,
    opened: Bools | None = None,
) -> Floats:
    """Sites by local fields and state, sufficient for the edge weights, (25, 13, 2).

    The numbers of vacant and occupied sites with 2 around - degree = -12 ... 12 of nearest and -6 ... 6 of
    second neighbours, where `around` and `degree` (S, 2) are the occupied and all neighbours of each site,
    nearest and second ones. Sites whose nearest neighbours are all vacant or all occupied are left out: bulk
    and vacuum say nothing about the surface. `opened` (S,) is as in `Problem`. With what an atom at each site
    is worth by itself, `site_worth` (S,), they are (K, 25, 13, 2) for K different worths in increasing order.
    """
    filled = around[:, 0] == degree[:, 0]
    surface = (around[:, 0] > 0) & (~filled if opened is None else ~filled | opened)
    field = (2 * around - degree)[surface].astype(np.int64) + np.array([12, 6])
    cell = (13 * field[:, 0] + field[:, 1]) * 2 + occupied[surface]
    shape: tuple[int, ...] = STATISTICS_SHAPE
    if site_worth is not None and len(site_worth):
        values, kind = np.unique(site_worth, return_inverse=True)
        cell, shape = cell + int(np.prod(shape)) * kind[surface], (len(values), *shape)
    return np.bincount(cell, minlength=np.prod(shape)).reshape(shape).astype(float)


def prior_from_statistics(
    statistics: Floats,
    edge_weight: float | None = None,
    chemical_potential: float | None = None,
    second_weight: float | None = None,
    site_worth: Floats | None = None,
) -> Prior:
    """Edge weights and chemical potential of the largest pseudo-likelihood, but for those given [nats].

    Statistics of several occupancies may be added up; the `site_worth` of `edge_statistics` is taken as
    known.

    Examples
    --------
    >>> counts = np.zeros((25, 13, 2))
    >>> counts[12 + 6, 6], counts[12 - 6, 6] = (5, 95), (95, 5)   # 9 and 3 of 12 neighbours occupied
    >>> prior = prior_from_statistics(counts)
    >>> bool(0.3 < prior.edge_weight < 0.6), abs(round(prior.chemical_potential, 2))
    (True, 0.0)
    """
    pull = np.zeros(STATISTICS_SHAPE)
    probability = expit(PRIOR_WEIGHT * PRIOR_FIELDS)
    pull[12 + PRIOR_FIELDS, 6] = PRIOR_SITES * np.stack([1 - probability, probability], axis=1)
    known = np.zeros(1) if site_worth is None else np.unique(site_worth)
    seen = (statistics + pull / len(known)).reshape(-1, 2)
    offset = np.repeat(known, _FIRST.size)
    given = (edge_weight, chemical_potential, second_weight)
    free = np.array([value is None for value in given])
    value = np.array([d if g is None else g for d, g in zip((PRIOR_WEIGHT, 0.0, 0.0), given, strict=True)])
    low, high = np.array([EDGE_WEIGHT_RANGE, (-np.inf, MOST_WORTH), (0.0, EDGE_WEIGHT_RANGE[1])]).T
    stiffness = np.array([0.0, 0.0, SECOND_SPREAD**-2])
    terms = np.tile(np.stack([_FIRST, np.ones_like(_FIRST), _SECOND]), len(known))
    if free.any():
        value = _most_likely(value, seen, terms, offset, stiffness, free, low, high)
    return Prior(*(float(v) for v in value))


def worth_of_kinds(
    occupied: Bools,
    around: Ints,
    degree: NDArray[np.int8],
    kind: Ints,
    opened: Bools | None = None,
) -> Floats:
    """What an atom is worth on sites of each kind beside what edges and the mean site make it worth.

    Where another species' atoms are known, how many of them a site is bonded with says more of it than its
    neighbours on its own grid: nearly all places of several bonds may be filled, and few of those of one. The
    pseudo-likelihood has a term u, (K,) [nats], for each kind 0 ... K - 1 of sites (S,) then:

        P(occupied | f, g, kind) = 1 / (1 + exp(-w f - v g - m - u_kind)).

    All else is as in `edge_statistics`.

    Examples
    --------
    >>> around, kind = np.tile([6, 3], (40, 1)), np.repeat([0, 1], 20)
    >>> occupied = np.arange(40) >= 20  # all sites of the second kind, none of the first
    >>> worth = worth_of_kinds(occupied, around, np.full((40, 2), [12, 6]), kind)
    >>> bool(worth[0] < -2 and worth[1] > 2)
    True
    """
    kinds = np.arange(kind.max() + 1)
    seen = np.zeros((len(kinds), *STATISTICS_SHAPE))
    for k in kinds:
        mine = kind == k
        at = None if opened is None else opened[mine]
        seen[k] = edge_statistics(occupied[mine], around[mine], degree[mine], opened=at)
    common = np.tile(np.stack([_FIRST, np.ones_like(_FIRST), _SECOND]), len(kinds))
    terms = np.concatenate([common, np.repeat(np.eye(len(kinds)), _FIRST.size, axis=1)])
    # a worth that all kinds share is one with the mean, and kinds may tell all atoms apart without any edge:
    # edge weight and mean are drawn to 0 so weakly that they matter only then
    stiffness = np.concatenate([[1.0, 0.1, SECOND_SPREAD**-2], np.full(len(kinds), KIND_SPREAD**-2)])
    low, high = np.full((2, len(terms)), [[-np.inf], [np.inf]])
    (low[0], high[0]), (low[2], high[2]) = EDGE_WEIGHT_RANGE, (0.0, EDGE_WEIGHT_RANGE[1])
    start = np.zeros(len(terms))
    start[0] = PRIOR_WEIGHT
    free = np.ones(len(terms), dtype=bool)
    return _most_likely(start, seen.reshape(-1, 2), terms, np.zeros(1), stiffness, free, low, high)[3:]


def _most_likely(
    value: Floats,
    seen: Floats,
    terms: Floats,
    offset: Floats,
    stiffness: Floats,
    free: Bools,
    low: Floats,
    high: Floats,
) -> Floats:
    """Values (n,) of the largest likelihood of numbers of vacant and occupied sites (m, 2): Newton's method.

    ``terms`` (n, m) and ``offset`` give the log odds; values are drawn to 0 by their stiffness (n,) and kept
    within limits; those that are not free stay. The first one is the edge weight, which is drawn to the usual
    ones from below. The likelihood is concave: values at a limit that it pushes them against are held there,
    and the step of all others is shortened, its path bent at the limits, until it gains (Bertsekas 1982, SIAM
    J. Control Optim. 20, 221).
    """
    total = seen.sum(axis=1)
    low, high = np.where(free, (low, high), value)

    def likelihood(at: Floats) -> float:
        odds, lack = at @ terms + offset, max(LEAST_USUAL - at[0], 0.0) / BELOW_SPREAD
        vacant, occupied = seen.T
        gained = occupied @ log_expit(odds) + vacant @ log_expit(-odds)
        return float(gained - (stiffness @ at**2 + lack**2) / 2)

    reached = likelihood(value)
    for _ in range(_NEWTON_STEPS):
        p = expit(value @ terms + offset)
        slope = terms @ (seen[:, 1] - total * p) - stiffness * value
        curvature = (terms * (total * p * (1 - p))) @ terms.T + np.diag(stiffness)
        if value[0] < LEAST_USUAL:
            slope[0] += (LEAST_USUAL - value[0]) / BELOW_SPREAD**2
            curvature[0, 0] += BELOW_SPREAD**-2
        moving = free & ~((value <= low) & (slope < 0)) & ~((value >= high) & (slope > 0))
        if not moving.any():
            break
        step = np.zeros(len(value))
        # the pull keeps the curvature positive
        step[moving] = np.linalg.solve(curvature[np.ix_(moving, moving)], slope[moving])
        step /= max(1.0, np.abs(step).max())
        while True:
            change = np.clip(value + step, low, high) - value
            found = likelihood(value + change)
            # what rounding may hide is no loss
            if found >= reached + _GAIN * slope @ change - _ROUNDING * abs(reached):
                break
            step /= 2
        value, reached = value + change, found
        if np.abs(change).max() < _SETTLED:
            break
    return value


def surface_log_likelihood(sites: Ints) -> float:
    """ln of the largest pseudo-likelihood of a crystal's atoms (n, 3): how orderly its surface is.

    Examples
    --------
    >>> from tomo.phantoms import random_particle
    >>> faceted, rough = (random_particle(300, kind, seed=1) for kind in ("faceted", "rough"))
    >>> surface_log_likelihood(faceted) > surface_log_likelihood(rough)
    True
    """
    near = (sites[:, None] + NEIGHBOUR_VECTORS).reshape(-1, 3)
    listed = np.unique(np.concatenate([sites, near]), axis=0)
    row = SiteIndex(sites)
    around = [sum((row(listed + step) >= 0).astype(np.int64) for step in v) for v in _VECTORS]
    degree = np.broadcast_to(np.array([len(v) for v in _VECTORS], dtype=np.int8), (len(listed), 2))
    statistics = edge_statistics(row(listed) >= 0, np.stack(around, axis=1), degree)
    prior = prior_from_statistics(statistics)
    field = prior.edge_weight * _FIRST + prior.second_weight * _SECOND + prior.chemical_potential
    vacant, occupied = statistics.reshape(-1, 2).T
    return float(occupied @ log_expit(field) + vacant @ log_expit(-field))
