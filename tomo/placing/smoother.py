"""Whether the crystal of two views would be far smoother if one of them were seen otherwise.

Two images that contradict each other often have a crystal that holds the counts of both: they share a single
set of planes, and an image that is mirrored, or that lies along another axis of its family, may agree in
these. What gives it away is the surface: the crystal of two such images is ragged. So the energy that a
reconstruction minimises, misfit of the counts and edges, is compared with that of the crystals which the same
images have along other pairs of axes. (The mirrored image along [uvw] is the one along -[uvw].)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Ints
from ..costs import count_model_of
from ..energy.count_error import CountModel, count_table
from ..ensemble import reconstruct
from ..errors import InputError, check_kind, check_kinds, check_number
from ..grid import neighbour_table
from ..problem import build_problem
from ..view import View
from .agreement import COUNTED
from .alternatives import SCANS_AND_AXES, rotations, turned
from .counted_lines import CountedLines
from .indexing import names_of
from .placement import Candidate, place_views
from .registration import Registration, counted_lines
from .support import misfit_of, rank_by_room

MOST_COLUMNS = 3000  # of both views; beyond, the reconstructions would take minutes
RUNS = 2  # of each reconstruction
SMOOTHER = 0.05  # share of the energy of the edges; searches for one crystal differ by up to 0.02
HELD = 0.2  # share of what is gained in edges that the counts may lose
MISFIT = 0.05  # chi-square a column by which the room of another pair of axes may be worse

Axes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class SmootherCrystal:
    """The crystal that two images have along other axes, where it is much smoother.

    Attributes
    ----------
    sites : (n, 3) int
        Its atoms, in a frame of their own [a/2].
    warning : str
        What is to be checked, in one sentence.
    """

    sites: Ints
    warning: str


def smoother_crystal(
    registration: Registration,
    expected_counts: Sequence[ArrayLike],
    views: Sequence[View],
    edge_weight: float,
    *,
    count_probabilities: Sequence[ArrayLike | None] | None = None,
    seed: int = 0,
    workers: int | None = None,
    vacancies: bool | None = None,
) -> SmootherCrystal | None:
    """The much smoother crystal that two views, each of the whole particle, have along other axes, if any.

    Parameters
    ----------
    registration : Registration
        Of two views; of another number nothing is said.
    expected_counts : sequence of (n,) float
        Expected number of atoms in each column of each view.
    views : sequence of View
        From `make_views`, of the same registration.
    edge_weight : float
        Cost of an edge in the reconstruction of the crystal.
    count_probabilities : optional
        As for `register_views`.
    seed, workers, vacancies : optional
        Of the reconstructions, as for `reconstruct`.

    Returns
    -------
    SmootherCrystal or None

    Raises
    ------
    InputError
        If the views are not those of the registration, or there are not as many expected counts as columns.

    Examples
    --------
    >>> import tomo
    >>> crystal = tomo.fcc("Au", a=4.08)
    >>> sites = tomo.phantoms.random_particle(150, "rough", seed=2)
    >>> shown = [tomo.phantoms.indexed_columns(sites, axis, crystal) for axis in [(1, 0, 0), (1, 1, 0)]]
    >>> indexings, counts = zip(*shown, strict=True)
    >>> registration = tomo.register_views(indexings, counts)
    >>> smoother_crystal(registration, counts, tomo.make_views(registration, counts=counts), 0.4) is None
    True
    """
    check_kind("registration", registration, Registration)
    check_kinds("views", views, View)
    if len(views) != len(registration.indexings):
        raise InputError(f"views: expected {len(registration.indexings)}, as registered, got {len(views)}.")
    check_number("edge_weight", edge_weight, 0)
    lines = counted_lines(registration.indexings, expected_counts, count_probabilities)
    if len(lines) != 2 or sum(len(view.lines) for view in lines) > MOST_COLUMNS:
        return None
    how = {"edge_weight": edge_weight, "seed": seed, "workers": workers, "vacancies": vacancies}
    # placed as they were in the end: plane sums alone may prefer another place
    own = _crystal_of(lines, registration.candidates[0], views, np.inf, how)
    gain, best, along = 0.0, own, None
    for axes, changed in _other_axes(lines):
        placed = rank_by_room(changed, place_views(changed, COUNTED))[0]
        most = own.misfit + MISFIT
        other = _crystal_of(changed, placed, views, most, how, own.counts)
        held = other.loss - own.loss < HELD * (own.edges - other.edges)  # a small crystal is smooth, too
        if held and len(other.sites) and (own.energy - other.energy, axes) > (gain, along or ()):
            gain, best, along = own.energy - other.energy, other, axes
    if along is None or gain <= SMOOTHER * own.edges:
        return None
    names = names_of(registration.indexings)
    way = _told((lines[0].zone_axis, lines[1].zone_axis), along, names)
    warning = (
        f"{', '.join(names)}: a much smoother crystal explains both images {way} ({gain:.0f} log units"
        f" better): {SCANS_AND_AXES} before you trust the result."
    )
    return SmootherCrystal(best.sites, warning)


@dataclass(frozen=True)
class _Smoothness:
    """The least energy of a crystal of some views, the part of it that is edges, the misfit a column of the
    counts to the room they have, its atoms, and what was believed of the counts."""

    energy: float
    edges: float
    misfit: float
    sites: Ints
    counts: CountModel | None = None

    @property
    def loss(self) -> float:
        """The part of the energy that is due to counts which the crystal does not hold."""
        return self.energy - self.edges


def _crystal_of(
    lines: list[CountedLines],
    candidate: Candidate,
    views: Sequence[View],
    most: float,
    how: dict[str, Any],
    believed: CountModel | None = None,
) -> _Smoothness:
    """The views placed and reconstructed as `how` says; of infinite energy where their misfit exceeds `most`.

    What is `believed` of the counts must be the same for crystals that are compared: where no crystal holds
    them, they are found to be worth nothing, and then an empty one costs next to nothing.
    """
    misfit = misfit_of(lines, candidate) or 0.0
    if misfit > most:
        return _Smoothness(np.inf, 0.0, misfit, np.empty((0, 3), dtype=np.int64))
    placed = []
    for v, (counted, view) in enumerate(zip(lines, views, strict=True)):
        sites = counted.zone.sites(candidate.lines_of(v, counted))
        placed.append(replace(view, zone_axis=counted.zone_axis, column_sites=sites, unseen_sites=None))
    result = reconstruct(placed, RUNS, strict=False, **how)
    if believed is None:
        believed = count_model_of(result)
    problem = build_problem(result.views, strict=False)
    problem = replace(problem, table=count_table(problem, believed))
    crystals = [result.sites[run] for run in result.runs]
    edge_weight = how["edge_weight"]
    energies = [problem.energy(problem.occupancy(sites), edge_weight) for sites in crystals]
    best = int(np.argmin(energies))
    edges = np.count_nonzero(neighbour_table(crystals[best]) < 0)
    return _Smoothness(energies[best], float(edge_weight * edges), misfit, crystals[best], believed)


def _told(declared: Axes, axes: Axes, names: list[str]) -> str:
    """In words, how the images would be seen."""
    (first, second), reverse = declared, tuple(tuple(-c for c in axis) for axis in declared)
    if _class(axes) in (_class((first, reverse[1])), _class((reverse[0], second))):
        return f"if one of them is mirrored ({names[1]}, for instance)"
    if _class(axes) == _class(reverse):
        return "if both are mirrored"
    told = [f"{name} is along [{' '.join(map(str, axis))}]" for name, axis in zip(names, axes, strict=True)]
    return "if " + " and ".join(told)


def _other_axes(views: list[CountedLines]) -> list[tuple[Axes, list[CountedLines]]]:
    """The same images along all other pairs of directions of their families, of those that a rotation of the
    crystal makes the same only one."""
    own = [view.zone_axis for view in views]
    seen = {_class(tuple(own))}
    ways = []
    for turns in product(_onto_its_line(own[0]), rotations()):
        axes = tuple(tuple(int(c) for c in turn @ axis) for turn, axis in zip(turns, own, strict=True))
        if _class(axes) in seen or not np.cross(axes[0], axes[1]).any():
            continue
        seen.add(_class(axes))
        ways.append((axes, [turned(*item) for item in zip(views, turns, strict=True)]))
    return ways


def _onto_its_line(axis: Sequence[int]) -> list[np.ndarray]:
    """The identity and, where there is one, a proper operation that takes an axis to its opposite."""
    turns = rotations()
    opposite = np.flatnonzero((turns @ np.array(axis) == -np.array(axis)).all(axis=1))
    return [np.eye(3, dtype=np.int64), *turns[opposite[:1]]]


def _class(axes: Axes) -> Axes:
    """What pairs of directions have in common that a rotation of the crystal takes into each other."""
    both = np.array(axes).T
    return min(tuple(map(tuple, turned_both.T.tolist())) for turned_both in rotations() @ both)
