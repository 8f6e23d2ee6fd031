"""The price of an edge and the worth of an atom, estimated from occupancies instead of asked for.

With P(s) ~ exp(-w edges(s) + m atoms(s)), the state of a site given its neighbours is a coin: of
`degree` neighbours, n of them occupied, occupying it removes n edges and makes degree - n,

    P(occupied | n) = 1 / (1 + exp(-w (2 n - degree) - m)).

The pseudo-likelihood is the product over all sites (Besag 1975, The Statistician 24, 179); its
maximum over w and m is consistent and needs no normalisation. It is a logistic regression on n,
for which the numbers of occupied and vacant sites at every n are sufficient. The worth of an atom
is what lets flat facets meet in sharp edges: there 6 of 12 neighbours are occupied, where edges
alone would toss the coin fairly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .chain import Prior

#: Range of edge weights that is considered [nats per edge].
EDGE_WEIGHT_RANGE = (0.02, 3.0)
#: Sites assumed in advance at the weight 0.5, so that a crystal without one flaw keeps a finite weight.
PRIOR_SITES, PRIOR_WEIGHT, PRIOR_FIELDS = 2.0, 0.5, np.array([-6, -2, 2, 6])
_NEWTON_STEPS = 50


def edge_statistics(
    occupied: NDArray[np.bool_], around: NDArray[np.int64], degree: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sites by local field and state, sufficient for the edge weight.

    Parameters
    ----------
    occupied : (S,) bool
    around, degree : (S,) int
        Occupied neighbours and all neighbours of each site.

    Returns
    -------
    (25, 2) float
        Number of vacant and occupied sites with 2 around - degree = -12 ... 12. Sites whose
        neighbours are all vacant or all occupied are left out: bulk and vacuum say nothing
        about the surface.
    """
    surface = (around > 0) & (around < degree)
    field = (2 * around - degree)[surface] + 12
    return np.bincount(2 * field + occupied[surface], minlength=50).reshape(25, 2).astype(float)


def prior_from_statistics(
    statistics: NDArray[np.float64], edge_weight: float | None = None, chemical_potential: float | None = None
) -> Prior:
    """Edge weight and chemical potential of the largest pseudo-likelihood.

    Parameters
    ----------
    statistics : (25, 2) float
        From `edge_statistics`; those of several occupancies may be added up.
    edge_weight, chemical_potential : float, optional
        Values to keep fixed [nats].

    Examples
    --------
    >>> counts = np.zeros((25, 2))
    >>> counts[12 + 6], counts[12 - 6] = (5, 95), (95, 5)   # 9 and 3 of 12 neighbours occupied
    >>> prior = prior_from_statistics(counts)
    >>> bool(0.3 < prior.edge_weight < 0.6), abs(round(prior.chemical_potential, 2))
    (True, 0.0)
    """
    pull = np.zeros((25, 2))
    probability = expit(PRIOR_WEIGHT * PRIOR_FIELDS)
    pull[12 + PRIOR_FIELDS] = PRIOR_SITES * np.stack([1 - probability, probability], axis=1)
    seen = statistics + pull
    total = seen.sum(axis=1)
    field = np.arange(-12.0, 13.0)
    free = np.array([edge_weight is None, chemical_potential is None])
    low, high = EDGE_WEIGHT_RANGE
    value = np.array([PRIOR_WEIGHT if edge_weight is None else edge_weight, chemical_potential or 0.0])
    terms = np.stack([field, np.ones(25)])[free]
    for _ in range(_NEWTON_STEPS if free.any() else 0):
        p = expit(value[0] * field + value[1])
        slope = terms @ (seen[:, 1] - total * p)
        curvature = (terms * (total * p * (1 - p))) @ terms.T
        # The pull keeps the curvature positive; short steps keep Newton's method from overshooting.
        value[free] += np.clip(np.linalg.solve(curvature, slope), -0.5, 0.5)
        if free[0]:
            value[0] = np.clip(value[0], low, high)
    return Prior(float(value[0]), float(value[1]))
