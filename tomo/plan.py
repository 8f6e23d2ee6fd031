"""Will these views do? The share of wrong atoms to expect, from random particles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, Ints
from .compare import compare_sites
from .ensemble import reconstruct
from .errors import MOST_RUNS, InputError, check_choice, check_list, check_number, check_whole
from .grid import SiteIndex, grid_vector
from .phantoms import KINDS, random_particle, soft_views_of, views_of


@dataclass(frozen=True, eq=False)
class Plan:
    """What reconstructions of random particles got wrong; n particles.

    Attributes
    ----------
    atoms, missed, false : (n,) int
        Atoms of each particle, those that were not found, and those found that are not there.
    expected_wrong : (n,) float
        Wrong atoms that the reconstruction itself foretells, its ``diagnostics["expected_wrong"]``. An
        honest one agrees with missed + false on average.
    """

    atoms: Ints
    missed: Ints
    false: Ints
    expected_wrong: Floats

    def __repr__(self) -> str:
        return (
            f"<Plan: {len(self.atoms)} particles, {100 * self.mean:.2f} % of the atoms wrong,"
            f" {100 * self.spread:.2f} % from particle to particle>"
        )

    @property
    def wrong_share(self) -> Floats:
        """(missed + false) / atoms of each particle, (n,)."""
        return (self.missed + self.false) / self.atoms

    @property
    def mean(self) -> float:
        """Mean share of wrong atoms."""
        return float(self.wrong_share.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the share of wrong atoms from particle to particle; 0 for one."""
        return float(self.wrong_share.std(ddof=1)) if len(self.atoms) > 1 else 0.0


def plan_experiment(
    n_atoms: int,
    zone_axes: Sequence[ArrayLike],
    *,
    count_error: float | None = None,
    class_width: float | None = None,
    kind: str = "rough",
    particles: int = 5,
    method: str = "sample",
    runs: int = 8,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Plan:
    """Share of wrong atoms to expect of a planned experiment.

    Random particles are imaged along the zone axes with random errors, and reconstructed.

    Parameters
    ----------
    n_atoms : int
        Atoms of the particle, about.
    zone_axes : sequence of (3,) int
        Viewing directions [uvw].
    count_error : float, optional
        Share of the columns whose count is off by one. Give this or ``class_width``.
    class_width : float, optional
        Standard deviation of the cross-sections of columns with equal counts, as a share of what one
        atom adds: count probabilities are used then.
    kind : str
        Kind of particle, see `tomo.phantoms.random_particle`.
    particles : int
        Number of particles.
    method, runs
        As in `tomo.reconstruct`.
    seed : int
        Of the particles, the errors and the reconstructions.
    workers : int, optional
        As in `tomo.reconstruct`.
    progress : callable, optional
        Called with the share of the work that is done.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        If not exactly one kind of error is given, or an argument is out of its range.

    Examples
    --------
    >>> plan = plan_experiment(200, [(1, 0, 0), (0, 1, 0), (1, 1, 0)], count_error=0.0, particles=2)
    >>> plan.mean < 0.02
    True
    """
    if (count_error is None) == (class_width is None):
        raise InputError("plan: give either count_error or class_width.")
    for name, value in (("count_error", count_error), ("class_width", class_width)):
        if value is not None:
            check_number(name, value, 0)
    if class_width is not None and not class_width > 0:
        raise InputError(f"class_width: expected more than 0 steps of one atom, got {class_width!r}.")
    check_choice("kind", kind, KINDS)
    check_whole("particles", particles, 1, MOST_RUNS)
    check_whole("seed", seed, 0)
    check_list("zone_axes", zone_axes)
    if len(zone_axes) == 0:
        raise InputError("zone_axes: expected at least one viewing direction.")
    for first, second in combinations(zone_axes, 2):
        if not np.cross(grid_vector(first), grid_vector(second)).any():
            raise InputError(f"zone_axes: {first} and {second} are along one line; expected different ones.")
    rows: list[tuple[int, int, int]] = []
    doubts: list[float] = []
    for i, child in enumerate(np.random.SeedSequence(seed).generate_state(particles)):
        atoms = random_particle(n_atoms, kind, seed=int(child))
        if class_width is None:
            views = views_of(atoms, zone_axes, float(count_error or 0.0), seed=int(child))
        else:
            views = soft_views_of(atoms, zone_axes, class_width, seed=int(child))
        # The views are of one particle: however bad their counts, the answer is a share, no refusal.
        result = reconstruct(views, runs=runs, method=method, seed=seed, workers=workers, strict=False)
        found = result.occupied()
        if len(zone_axes) == 1 and len(found):
            # a single view leaves open where the crystal lies along the beam, and which end is nearer
            found = compare_sites(found, atoms).to_true_frame(found)
        right = int((SiteIndex(atoms)(found) >= 0).sum())
        rows.append((len(atoms), len(atoms) - right, len(found) - right))
        doubts.append(result.diagnostics["expected_wrong"])
        if progress is not None:
            progress((i + 1) / particles)
    atoms_each, missed, false = np.array(rows, dtype=np.int64).T
    return Plan(atoms_each, missed, false, np.array(doubts))
