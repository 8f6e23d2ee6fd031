"""Core-shell particles with every atom known: one lattice, a faceted core with planted islands, a shell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from .arrays import Floats, Ints
from .crystal import Crystal
from .errors import InputError, check_choice, check_kind, check_number, check_whole
from .grid import NEIGHBOUR_VECTORS, SiteIndex, triple
from .neighbours import bonds
from .observables.surface import FACET_NORMALS, UNIT_NORMALS, resting_places
from .phantoms import MOST_ATOMS, one_piece, polyhedron

SHAPES = ("dot", "rod")
CONTACT = 1.2  # a core and a shell atom of unlike grids that replace each other are farther apart [a/2]
MIN_ROOM = 6  # places that a facet must offer for an island to be planted on it


@dataclass(frozen=True, eq=False)
class PlantedLayer:
    """An incomplete layer put on a facet of the core.

    Attributes
    ----------
    normal : tuple of 3 int
        Outward normal of the facet.
    sites : (m, 3) int
        Atoms of the layer [a/2].
    room : int
        Places of the layer: sites whose neighbours on the inner side are all occupied and that lie within
        the planes of the other facets.
    """

    normal: tuple[int, int, int]
    sites: Ints
    room: int

    def __repr__(self) -> str:
        return f"<PlantedLayer {self.normal}: {len(self.sites)} atoms on {self.room} places>"

    @property
    def occupancy(self) -> float:
        """Share of the places that hold an atom."""
        return len(self.sites) / self.room


@dataclass(frozen=True, eq=False)
class CoreShellParticle:
    """Every atom of a particle, sublattice by sublattice.

    Attributes
    ----------
    crystal : Crystal
    sites : tuple of (n, 3) int
        Atoms of each of the crystal's sublattices on its own grid [a/2]; the target's come first.
    planted : tuple of PlantedLayer
        Incomplete layers on the core's facets.
    """

    crystal: Crystal
    sites: tuple[Ints, ...]
    planted: tuple[PlantedLayer, ...] = ()

    def __repr__(self) -> str:
        parts = zip(self.crystal.sublattices, self.sites, strict=True)
        return f"<CoreShellParticle: {', '.join(f'{len(own)} {part.species}' for part, own in parts)}>"

    @property
    def species(self) -> list[str]:
        """Symbol of every atom, in the order of `positions`."""
        pairs = zip(self.crystal.sublattices, self.sites, strict=True)
        return [lattice.species for lattice, sites in pairs for _ in sites]

    @property
    def positions(self) -> Floats:
        """Atoms (n, 3) in the crystal's cubic axes [A]."""
        pairs = zip(self.crystal.sublattices, self.sites, strict=True)
        return self.crystal.a / 2 * np.concatenate([sites + np.array(s.offset) for s, sites in pairs])


def core_shell_particle(
    crystal: Crystal,
    n_core: int = 300,
    shell: float = 8.0,
    *,
    shape: str = "dot",
    aspect: float = 2.0,
    islands: int = 2,
    seed: int = 0,
) -> CoreShellParticle:
    """A random particle of one or two phases on a common lattice, known atom by atom.

    The core is a polyhedron of {111}, {100} and {110} facets at random distances with incomplete layers
    planted on some of them. The shell's facets lie about ``shell`` farther out, each at its own distance,
    so that the core is not in the middle. Sublattices that both phases have go on through the whole
    particle; those of the shell alone stop where an atom of the core would be in the way.

    Parameters
    ----------
    crystal : Crystal
        From `tomo.core_shell`; a crystal of one phase is all core.
    n_core : int
        Wanted number of atoms on the target's sublattice, at least 50; met within some percent.
    shell : float
        Thickness of the shell [A].
    shape : str
        "dot", or "rod": the shell is longer along [001], and the core nearer to one of its ends.
    aspect : float
        Length of a rod over that of the dot.
    islands : int
        How many incomplete layers to plant; fewer if the facets are too small.
    seed : int

    Returns
    -------
    CoreShellParticle

    Raises
    ------
    InputError
        If a number or the shape is not one of those described.

    Examples
    --------
    >>> from tomo import core_shell, rock_salt, zinc_blende
    >>> crystal = core_shell(rock_salt("Pb", "Se", 6.1), zinc_blende("Cd", "Se", 6.1), target="Pb")
    >>> particle = core_shell_particle(crystal, n_core=200, shell=6.0)
    >>> len(particle.positions) == len(particle.species), len(particle.planted)
    (True, 2)
    """
    check_kind("crystal", crystal, Crystal)
    check_whole("n_core", n_core, 50, MOST_ATOMS)
    check_number("shell", shell)
    check_number("aspect", aspect)
    check_whole("islands", islands, 0)
    check_whole("seed", seed, 0)
    check_choice("shape", shape, SHAPES)
    if not (shell > 0 and aspect >= 1):
        raise InputError(
            f"core_shell_particle: expected shell > 0 A and aspect >= 1, got {shell!r} and {aspect!r}."
        )
    rng = np.random.default_rng(seed)
    base = one_piece(polyhedron(n_core, rng))
    planted = _plant(base, islands, rng)
    core = _sorted(np.concatenate([base, *(layer.sites for layer in planted)]))
    filled: dict[int, Ints] = {0: core}
    inner = set(crystal.phases[0])
    outer = set(crystal.phases[1]) if len(crystal.phases) > 1 else set()
    distances = _outline(core, 2 * shell / crystal.a, aspect if shape == "rod" else 1.0, rng)
    for k in sorted(inner | outer):
        if k == 0:
            continue
        parts = []
        if k in inner:
            parts.append((core[:, None] + bonds(crystal, 0, k)).reshape(-1, 3))  # all bonded to the target
        if k in outer:
            parts.append(_inside(crystal, k, distances))
        filled[k] = _sorted(np.unique(np.concatenate(parts), axis=0))
    for k in sorted(outer - inner):
        filled[k] = _without_conflicts(crystal, k, filled, sorted(inner - outer))
    kept = _prune(crystal, filled, inner, outer) if outer else filled
    return CoreShellParticle(crystal, tuple(kept[k] for k in range(len(crystal.sublattices))), planted)


def _sorted(sites: Ints) -> Ints:
    return sites[np.lexsort(sites.T[::-1])]


def _plant(sites: Ints, n_layers: int, rng: np.random.Generator) -> tuple[PlantedLayer, ...]:
    """Compact patches of 25-75 % of the places on facets drawn at random, none beside another."""
    planted: list[PlantedLayer] = []
    for number in rng.permutation(len(FACET_NORMALS)):
        if len(planted) == n_layers:
            break
        normal = FACET_NORMALS[number]
        places = _places_on(sites, normal)
        if len(places) < MIN_ROOM:
            continue
        size = max(3, round(rng.uniform(0.25, 0.75) * len(places)))
        start = places[rng.integers(len(places))]
        patch = places[np.argsort(((places - start) ** 2).sum(axis=1), kind="stable")[:size]]
        taken = np.concatenate([layer.sites for layer in planted]) if planted else np.zeros((0, 3), np.int64)
        if len(taken) and cKDTree(taken).query(patch)[0].min() <= 2.0:
            continue
        planted.append(PlantedLayer(triple(normal), patch, len(places)))
    return tuple(planted)


def _places_on(sites: Ints, normal: Ints) -> Ints:
    """Sites of the empty layer on the outermost one of a normal that the neighbouring facets would leave it.

    All neighbours below are occupied, and no place sticks out of the planes of the other facets.
    """
    rise = NEIGHBOUR_VECTORS @ normal
    around = resting_places(sites, normal)
    around = around[around @ normal == (sites @ normal).max() + rise[rise > 0].min()]
    others = FACET_NORMALS[np.any(normal != FACET_NORMALS, axis=1)]
    return around[np.all(around @ others.T <= (sites @ others.T).max(axis=0), axis=1)]


def _outline(core: Ints, thickness: float, aspect: float, rng: np.random.Generator) -> Floats:
    """Distance of the shell's facets from the origin along the unit normals of `FACET_NORMALS` [a/2]."""
    distance = (core @ UNIT_NORMALS.T).max(axis=0) + thickness * rng.uniform(0.8, 1.2, size=len(UNIT_NORMALS))
    # A rod is the dot swept along [001]: every facet moves out by the sweep's length along its normal.
    length = (aspect - 1) * (np.ptp(core[:, 2]) + 2 * thickness)
    share = rng.uniform(0.6, 0.9)
    return np.asarray(
        distance + length * np.maximum(share * UNIT_NORMALS[:, 2], -(1 - share) * UNIT_NORMALS[:, 2])
    )


def _inside(crystal: Crystal, k: int, distances: Floats) -> Ints:
    """Sites of sublattice k within the shell's facets."""
    offset = np.array(crystal.sublattices[k].offset)
    reach = [
        np.ceil(distances[(axis == UNIT_NORMALS).all(axis=1)][0] + 1)
        for axis in np.vstack([np.eye(3), -np.eye(3)])
    ]
    grid = np.stack(
        np.meshgrid(*(np.arange(-reach[i + 3], reach[i] + 1) for i in range(3)), indexing="ij"), axis=-1
    )
    sites = grid.reshape(-1, 3).astype(np.int64)
    sites = sites[sites.sum(axis=1) % 2 == 0]
    return sites[np.all((sites + offset) @ UNIT_NORMALS.T <= distances + 1e-9, axis=1)]


def _places(crystal: Crystal, k: int, sites: Ints) -> Floats:
    return np.asarray(sites + np.array(crystal.sublattices[k].offset))


def _without_conflicts(crystal: Crystal, k: int, filled: dict[int, Ints], core_only: list[int]) -> Ints:
    """Sites of a sublattice of the shell that no atom of the core occupies or is too close to."""
    own = crystal.sublattices[k].offset
    same = [j for j in core_only if crystal.sublattices[j].offset == own]
    sites = filled[k]
    for j in same or core_only:
        nearest = cKDTree(_places(crystal, j, filled[j])).query(_places(crystal, k, sites))[0]
        sites = sites[nearest > (0.1 if same else CONTACT)]
    return sites


def _prune(crystal: Crystal, filled: dict[int, Ints], inner: set[int], outer: set[int]) -> dict[int, Ints]:
    """Take off atoms of the shell that dangle: fewer than three bonds, or two where both phases have them.

    What touches the target stays.
    """
    kept = dict(filled)
    for _ in range(3):
        for k in sorted(outer):
            offset = crystal.sublattices[k].offset
            partners = [j for j in outer if crystal.sublattices[j].offset != offset]
            if not partners or len(kept[k]) == 0:
                continue
            number = sum(_partners(crystal, k, j, kept) for j in partners)
            stays = number >= (2 if k in inner else 3)
            if k in inner:
                stays |= _partners(crystal, k, 0, kept) > 0
            kept[k] = kept[k][stays]
    return kept


def _partners(crystal: Crystal, k: int, j: int, filled: dict[int, Ints]) -> Ints:
    """Number of atoms of sublattice j that each atom of sublattice k is bonded to."""
    steps, sites = bonds(crystal, k, j), filled[k]
    if len(filled[j]) == 0 or len(steps) == 0:
        return np.zeros(len(sites), dtype=np.int64)
    at = SiteIndex(filled[j])
    return np.sum([at(sites + step) >= 0 for step in steps], axis=0, dtype=np.int64)
