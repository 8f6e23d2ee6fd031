"""What the images say about one species while the others' atoms are known: state, views, forbidden sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import tomo
from stemcount.arrays import Floats, Ints
from stemcount.counting.composition import Composition
from tomo.energy.edge_weight import worth_of_kinds
from tomo.energy.layout import layout_of
from tomo.grid import SiteIndex
from tomo.neighbours import TOO_NEAR, bonds, conflicting, filled_around, near_filled, vectors_within

from ..project_file.crystals import brightness

EXTRA = 3  # atoms more than the thickest column seems to hold that are considered
#: Core atoms more in a column than the state has, and how likely, while both of a grid are counted.
CORE_STEPS = ((0, 0.5), (-1, 0.25), (1, 0.25))
AS_IT_IS = ((0, 1.0),)
HELD = 0.3  # atoms of the core that a column must seem to hold for that
IMPOSSIBLE = 60.0  # log units; no count is less likely, so that one bad column cannot decide alone


@dataclass(frozen=True, eq=False)
class TypedView:
    """One image's columns in the common frame, with what was measured of them.

    Attributes
    ----------
    columns : tomo.TypedColumns
    cross_section, std : (n,) float
        Measured, with the fit's error.
    """

    columns: tomo.TypedColumns
    cross_section: Floats
    std: Floats

    @property
    def bright(self) -> Floats:
        """Relative intensity (n_sublattices,) of an atom of each species."""
        return brightness(self.columns.crystal)


@dataclass(frozen=True, eq=False)
class Settled:
    """Atoms of every species, and what columns scatter.

    Attributes
    ----------
    counts, doubt : tuple of (n, n_sublattices) float
        For each view, expected atoms in each column and their variance.
    compositions : tuple of tuple of Composition
        For each view, one for each of its column types.
    results : dict of int to tomo.Reconstruction
        The reconstruction of each sublattice.
    evidence : float
        Log-likelihood of all intensities.
    bonds : int
        With how many atoms of other species each atom is bonded, at least, if these are found before it.
    by_bonds : bool
        Whether what an atom is worth by these bonds is learned from the atoms in `results`.
    free_core : bool
        Whether columns may hold an atom of the core more or less while both species of a grid are counted.
    warnings : tuple of str
    """

    counts: tuple[Floats, ...]
    doubt: tuple[Floats, ...]
    compositions: tuple[tuple[Composition, ...], ...]
    results: dict[int, tomo.Reconstruction]
    evidence: float
    bonds: int = 1
    by_bonds: bool = False
    free_core: bool = False
    warnings: tuple[str, ...] = ()


def grids(crystal: tomo.Crystal) -> list[tuple[int, ...]]:
    """Sublattices that share a grid, for each grid; a core's species before a shell's."""
    found: dict[tuple[float, ...], list[int]] = {}
    for k, sublattice in enumerate(crystal.sublattices):
        found.setdefault(tuple(sublattice.offset), []).append(k)
    return [tuple(sorted(group, key=lambda k: k not in crystal.phases[0])) for group in found.values()]


def species_views(views: Sequence[TypedView], state: Settled, group: tuple[int, ...]) -> list[tomo.View]:
    """What every view says about one species, or about two on one grid together.

    The other species' atoms are as the state has them, but on the same grid an atom more of one species is
    an atom less of the other: the number of both stays. While both are counted together, a column may hold
    an atom of the core more or less, if the state says so: five atoms of it may look like four and two of the
    shell's, and neither their number nor that of both would change as long as the other is held.

    `group` is one sublattice; or both that share a grid, to count their atoms together.
    """
    crystal = views[0].columns.crystal
    grid = next(g for g in grids(crystal) if group[0] in g)
    kmax = int(max(np.ceil(c[:, list(grid)].sum(axis=1).max()) for c in state.counts)) + EXTRA
    soft = []
    for view, counts, doubt, of_view in zip(
        views, state.counts, state.doubt, state.compositions, strict=True
    ):
        held = view.columns.holding(group[0])
        table = np.zeros((len(held), kmax + 1))
        for number, kind in enumerate(view.columns.types):
            if group[0] not in kind.sublattices:
                continue
            members = list(kind.sublattices)
            here = view.columns.column_type[held] == number
            rows = held[here]
            unsure = doubt[rows].copy()
            unsure[:, list(grid)] = 0.0
            measured = view.cross_section[rows], view.std[rows]
            cases = []
            for step, share in CORE_STEPS if state.free_core and len(group) > 1 else AS_IT_IS:
                supposed = _suppositions(_core_stepped(counts[rows], grid[0], step), group, grid, kmax)
                atoms = supposed[:, :, members], unsure[:, members]
                cases.append(of_view[number].log_likelihood(*measured, *atoms) + np.log(share))
            table[here] = np.logaddexp.reduce(cases, axis=0)
        table -= table.max(axis=1, keepdims=True)
        soft.append(
            tomo.View(
                view.columns.zone_axis,
                view.columns.own_sites(group[0]),
                log_likelihood=np.maximum(table, -IMPOSSIBLE),
                name=view.columns.name,
            )
        )
    return soft


def _core_stepped(counts: Floats, core: int, step: int) -> Floats:
    """Atoms (n, m) of every species, with so many more of the core's in the columns that hold any."""
    stepped = counts.copy()
    held = stepped[:, core] > HELD
    stepped[held, core] = np.maximum(stepped[held, core] + step, 0.0)
    return stepped


def _suppositions(counts: Floats, group: tuple[int, ...], grid: tuple[int, ...], kmax: int) -> Floats:
    """Atoms (n, kmax + 1, m) of every species in columns (n, m), if a group has 0, 1, ... kmax of them."""
    supposed = np.repeat(counts[:, None], kmax + 1, axis=1)
    k = np.arange(kmax + 1)
    if len(grid) == 1:
        supposed[:, :, grid[0]] = k
        return supposed
    core, shell = grid
    if len(group) > 1:
        # more or fewer atoms in all are more or fewer of the shell's, as long as there are any
        supposed[:, :, core] = np.minimum(k, counts[:, core, None])
        supposed[:, :, shell] = k - supposed[:, :, core]
    else:
        one = group[0]
        other = shell if one == core else core
        supposed[:, :, one] = k
        supposed[:, :, other] = np.maximum(counts[:, list(grid)].sum(axis=1)[:, None] - k, 0.0)
    return supposed


def excluded(
    crystal: tomo.Crystal,
    s: int,
    soft: Sequence[tomo.View],
    results: dict[int, tomo.Reconstruction],
    least: int = 1,
) -> Ints:
    """Sites (m, 3) where a species cannot be: too near to another one, or with fewer than the least bonds."""
    sites = tomo.build_problem(soft, strict=False).sites.astype(np.int64)
    out = np.zeros(len(sites), dtype=bool)
    for other, result in results.items():
        if conflicting(crystal, s, other):
            steps = vectors_within(crystal, s, other, TOO_NEAR)
            out |= near_filled(sites, steps, result.occupied())
    number = _bonds_made(crystal, s, sites, results)
    if number is not None:
        out |= number < least
    return sites[out]


def _bonds_made(
    crystal: tomo.Crystal, s: int, sites: Ints, results: dict[int, tomo.Reconstruction]
) -> Ints | None:
    """Bonds with atoms of other species at sites (n, 3) of a species, (n,); None where not all are known."""
    partners = [o for o in range(len(crystal.sublattices)) if len(bonds(crystal, s, o))]
    if not partners or not all(o in results for o in partners):
        return None
    made = [filled_around(sites, bonds(crystal, s, o), results[o].occupied()) for o in partners]
    return np.asarray(np.sum(made, axis=0))


def bond_worth(
    crystal: tomo.Crystal,
    s: int,
    soft: Sequence[tomo.View],
    taken: Ints,
    results: dict[int, tomo.Reconstruction],
    atoms: Ints,
) -> tuple[Ints, Floats] | None:
    """Sites (m, 3), and what an atom at each is worth by its bonds with other species, (m,) [nats].

    It is learned from the atoms (n, 3) of an earlier crystal: where nearly all places of two bonds and more
    are filled and few of those of one, an atom that hangs by one bond has to explain more than another. None
    where the species' partners are not known yet.
    """
    problem = tomo.build_problem(soft, strict=False, excluded_sites=taken)
    sites = problem.sites.astype(np.int64)
    number = _bonds_made(crystal, s, sites, results)
    if number is None or not len(atoms):
        return None
    there, layout = SiteIndex(atoms)(sites) >= 0, layout_of(problem)
    filled = np.append(there, False).astype(np.int64)
    around = np.stack([filled[layout.neighbours].sum(axis=1), filled[layout.second].sum(axis=1)], axis=1)
    return sites, worth_of_kinds(there, around, layout.degree, number, layout.opened)[number]
