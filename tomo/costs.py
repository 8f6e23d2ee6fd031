"""What a finished reconstruction weighed against what, for proofs and for energies of other crystals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from .energy.count_error import SUMMARY, CountModel, count_table
from .energy.prior import Prior
from .errors import InputError
from .problem import Problem, build_problem
from .result import Reconstruction


def costs_of(
    result: Reconstruction,
    excluded_sites: ArrayLike | None = None,
    site_worth: tuple[ArrayLike, ArrayLike] | None = None,
) -> tuple[Problem, Prior]:
    """The problem that the runs of a result solved, with the costs they used.

    The energy of any crystal under these costs is ``problem.energy(problem.occupancy(sites), *costs)``,
    and ``solve_exact(problem, **costs._asdict())`` proves how low it can be.

    Parameters
    ----------
    result : Reconstruction
        From `tomo.reconstruct`, loaded or not.
    excluded_sites : (m, 3) int, optional
    site_worth : ((m, 3) int, (m,) float), optional
        As given to `tomo.reconstruct`; the result does not hold them.

    Returns
    -------
    problem : Problem
        With the costs of the counts that were estimated.
    costs : Prior
        Edge weight, worth of an atom and weight of second neighbours [nats].

    Raises
    ------
    InputError
        If the result does not hold its costs.

    Examples
    --------
    >>> import tomo
    >>> particle = tomo.phantoms.random_particle(200, seed=1)
    >>> axes = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
    >>> result = tomo.reconstruct(tomo.phantoms.views_of(particle, axes, 0.2), runs=2)
    >>> problem, costs = costs_of(result)
    >>> best = tomo.solve_exact(problem, **costs._asdict())
    >>> best.proven, abs(float(result.energy.min()) - best.energy) < 1e-6
    (True, True)
    """
    if not isinstance(result, Reconstruction):
        raise InputError(f"result: expected one of tomo.reconstruct, got {type(result).__name__}.")
    found = result.diagnostics
    if missing := [name for name in (*SUMMARY, *Prior._fields) if name not in found]:
        raise InputError(
            f"result: it does not hold its costs ({missing[0]}); expected that of tomo.reconstruct, as this "
            "version makes it, of one species."
        )
    problem = build_problem(result.views, strict=False, excluded_sites=excluded_sites, site_worth=site_worth)
    costs = Prior(*(found[name] for name in Prior._fields))
    return replace(problem, table=count_table(problem, count_model_of(result))), costs


def count_model_of(result: Reconstruction) -> CountModel:
    """What a result with costs (see `costs_of`) believed of the counts of each view."""
    error, large, scale, empty = (result.diagnostics[name] for name in SUMMARY)
    return CountModel(np.array(error), large, np.array(scale), np.array(empty))
