"""Facets of a crystal, layer by layer, and the islands on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..grid import SiteIndex, connected_parts, contacts, triple, whole_sites
from .estimate import certainty_of
from .surface import FACET_NORMALS, facet_atoms, layer_step, resting_places

COMPLETE = 0.8  # share of its places that a layer must fill to be the facet's floor
MIN_EXPOSED = 3  # atoms in a flat surface, unless islands cover it
MIN_FACET = 4  # atoms of the floor; fewer are no facet
MIN_PLACES = 6  # places of a layer in which atoms are an island
MIN_ISLAND = 2  # atoms of an island
SEEN = 0.5  # expected atoms that a layer must hold to be listed


@dataclass(frozen=True, eq=False)
class FacetLayer:
    """One atomic layer of a facet.

    Attributes
    ----------
    index : int
        n . (h, k, l) of its sites, n the facet's normal.
    room : int
        Its places, occupied or not; see `facets`.
    occupied : int
        Places whose certainty is at least 0.5.
    atoms, atoms_std : float
        Expected number of atoms on the places, and its standard deviation for independent sites.
    """

    index: int
    room: int
    occupied: int
    atoms: float
    atoms_std: float

    @property
    def completeness(self) -> float:
        """Share of the places that are occupied (expected); NaN where there are none."""
        return self.atoms / self.room if self.room else float("nan")

    @property
    def completeness_std(self) -> float:
        """Standard deviation of the completeness."""
        return self.atoms_std / self.room if self.room else float("nan")


@dataclass(frozen=True, eq=False)
class Island:
    """A connected patch of atoms in an incomplete layer.

    Attributes
    ----------
    normal : tuple of 3 int
        Outward normal of the facet that it lies on.
    index : int
        n . (h, k, l) of its sites.
    sites : (m, 3) int
    certainty : (m,) float
    room : int
        Places of the whole layer.
    """

    normal: tuple[int, int, int]
    index: int
    sites: Ints
    certainty: Floats
    room: int


@dataclass(frozen=True, eq=False)
class Facet:
    """A flat face of a crystal.

    Attributes
    ----------
    normal : tuple of 3 int
        Outward normal, one of `FACET_NORMALS`.
    family : str
        "111", "100" or "110".
    exposed : int
        Atoms that lie in the flat surface: no neighbour missing but those of the outer side.
    area : float
        Area of the floor, all its atoms counted [(a/2)^2].
    layers : tuple of FacetLayer
        The floor, the outermost layer that is nearly complete, and all layers above it that hold atoms.
    islands : tuple of Island
        On this facet, the largest first.
    """

    normal: tuple[int, int, int]
    family: str
    exposed: int
    area: float
    layers: tuple[FacetLayer, ...]
    islands: tuple[Island, ...]


def facets(sites: ArrayLike, certainty: ArrayLike | None = None) -> tuple[Facet, ...]:
    """The {111}, {100} and {110} facets of a crystal, how complete their layers are, and the islands on them.

    A layer's places are the sites that rest on occupied ones (all neighbours on the inner side are occupied)
    and do not stick out of the crystal's other facets: where a neighbouring facet cuts a layer, the layer
    is not incomplete. The outermost layer that fills at least 80 % of its places is the facet's floor.
    Patches of connected atoms in the layers above it are islands; an atom belongs to the largest patch that
    it can be part of.

    Parameters
    ----------
    sites : (n, 3) int
        Sites [a/2], such as ``result.sites``.
    certainty : (n,) float, optional
        Of every site; 1 if not given. Sites of at least 0.5 carry the next layer.

    Returns
    -------
    tuple of Facet
        The largest floor first.

    Raises
    ------
    InputError
        If there is not one certainty for each site.

    Examples
    --------
    >>> cube = [(h, k, l) for h in range(9) for k in range(9) for l in range(9) if (h + k + l) % 2 == 0]
    >>> found = facets([*cube, (3, 4, 9), (4, 5, 9), (4, 3, 9)])
    >>> [(f.family, [(layer.room, layer.atoms) for layer in f.layers]) for f in found if f.islands]
    [('100', [(25, 25.0), (24, 3.0)])]
    """
    grid = whole_sites(sites)
    c = certainty_of(grid, certainty)
    atoms = grid[c >= 0.5]
    if len(atoms) < MIN_FACET:
        return ()
    exposed = np.bincount(facet_atoms(atoms) + 1, minlength=len(FACET_NORMALS) + 1)[1:]
    outline = (atoms @ FACET_NORMALS.T).max(axis=0)
    sides = [_side(grid, c, atoms, number, outline) for number in range(len(FACET_NORMALS))]
    islands = _largest_first([patch for side in sides if side for patch in side.patches()])
    listed = []
    for number, side in enumerate(sides):
        own = tuple(island for island in islands if side and island.normal == side.normal)
        if side and (own or exposed[number] >= MIN_EXPOSED):
            floor = c[grid @ FACET_NORMALS[number] == side.layers[0].index].sum()
            area = float(floor) * area_per_site(side.normal)
            family = "".join(str(i) for i in sorted(np.abs(side.normal), reverse=True))
            listed.append(Facet(side.normal, family, int(exposed[number]), area, side.layers, own))
    return tuple(sorted(listed, key=lambda facet: -facet.area))


@dataclass(frozen=True, eq=False)
class _Side:
    """The floor of one facet and what lies above it: layers, places and the certainty of their atoms."""

    normal: tuple[int, int, int]
    layers: tuple[FacetLayer, ...]
    places: Ints
    held: Floats

    def patches(self) -> list[Island]:
        """Connected patches of atoms in the incomplete layers."""
        found: list[Island] = []
        for layer in self.layers[1:]:
            if layer.room < MIN_PLACES or layer.occupied >= COMPLETE * layer.room:
                continue
            here = (self.places @ np.array(self.normal) == layer.index) & (self.held >= 0.5)
            sites, certainty = self.places[here], self.held[here]
            if len(sites) < MIN_ISLAND:
                continue
            label = _connected(sites, np.array(self.normal))
            found += [
                Island(self.normal, layer.index, sites[label == k], certainty[label == k], layer.room)
                for k in np.flatnonzero(np.bincount(label) >= MIN_ISLAND)
            ]
        return found


def _side(grid: Ints, certainty: Floats, atoms: Ints, number: int, outline: Ints) -> _Side | None:
    """Floor and layers of one facet, given the planes of all facets; None where there is no floor."""
    normal = FACET_NORMALS[number]
    places = places_above(atoms, normal)
    others = np.arange(len(FACET_NORMALS)) != number
    inside = np.all(places @ FACET_NORMALS[others].T <= outline[others], axis=1)
    at = SiteIndex(grid)(places)
    held = np.where(at >= 0, np.append(certainty, 0.0)[at], 0.0)
    places, held = places[inside | (held >= 0.5)], held[inside | (held >= 0.5)]
    layers = _layers(places @ normal, held)
    floor = _floor(layers, places, held, normal)
    if floor is None:
        return None
    kept = [layers[floor], *(layer for layer in layers[floor + 1 :] if layer.atoms >= SEEN)]
    return _Side(triple(normal), tuple(kept), places, held)


def places_above(atoms: Ints, normal: Ints) -> Ints:
    """Sites on the outer half of a crystal whose neighbours on the inner side are all occupied, (m, 3).

    They are occupied or vacant; the normal (3,) points to the outer side.

    Examples
    --------
    >>> floor = [(0, 0, 0), (1, 1, 0), (1, -1, 0), (2, 0, 0)]
    >>> places_above(np.array(floor), np.array([0, 0, 1])).tolist()
    [[1, 0, 1]]
    """
    places = resting_places(atoms, normal)
    return np.asarray(places[places @ normal > np.median(atoms @ normal)])


def area_per_site(normal: ArrayLike) -> float:
    """Area that a site takes up in a layer with that normal [(a/2)^2].

    Two half lattice parameters cubed is a site's volume; a layer's area per site is this over the
    distance between layers.

    Examples
    --------
    >>> area_per_site((1, 0, 0)), round(area_per_site((1, 1, 1)), 3)
    (2.0, 1.732)
    """
    return float(2 * np.linalg.norm(normal) / layer_step(normal))


def _layers(level: Ints, held: Floats) -> list[FacetLayer]:
    """The layers of one facet from inside out."""
    index, layer = np.unique(level, return_inverse=True)
    room = np.bincount(layer, minlength=len(index))
    occupied = np.bincount(layer, weights=held >= 0.5, minlength=len(index))
    atoms = np.bincount(layer, weights=held, minlength=len(index))
    variance = np.bincount(layer, weights=held * (1 - held), minlength=len(index))
    return [
        FacetLayer(int(i), int(r), int(o), float(n), float(np.sqrt(v)))
        for i, r, o, n, v in zip(index, room, occupied, atoms, variance, strict=True)
    ]


def _floor(layers: list[FacetLayer], places: Ints, held: Floats, normal: Ints) -> int | None:
    """Which layer is the outermost that is nearly complete; None if it is too small for a facet."""
    complete = [k for k, layer in enumerate(layers) if layer.occupied >= COMPLETE * layer.room]
    for k in reversed(complete):
        sites = places[(places @ normal == layers[k].index) & (held >= 0.5)]
        if len(sites) < MIN_FACET:
            continue
        # The edge of two {111} facets is a single row of what would be a {110} facet.
        if np.abs(normal).sum() == 2 and len(np.unique(sites[:, normal == 0])) < 2:
            continue
        return k
    return None


def _connected(sites: Ints, normal: Ints) -> Ints:
    """Number of the patch that each site of one layer belongs to.

    Sites of a {110} layer touch along rows only; neighbouring rows, one lattice parameter apart, count as
    connected too.
    """
    first, second = contacts(sites)
    if np.abs(normal).sum() == 2:
        beside = SiteIndex(sites)(sites + 2 * (normal == 0).astype(np.int64))
        rows = np.flatnonzero(beside >= 0)
        first, second = np.append(first, rows), np.append(second, beside[rows])
    return connected_parts(first, second, len(sites))


def _largest_first(patches: list[Island]) -> list[Island]:
    """Give every atom to the largest patch that claims it; what is left of the others must still be one."""
    taken: set[tuple[int, ...]] = set()
    islands: list[Island] = []
    for patch in sorted(patches, key=lambda p: (-len(p.sites), p.normal)):
        sites = [tuple(s) for s in patch.sites.tolist()]
        if sum(site in taken for site in sites) * 2 > len(sites):
            continue
        taken |= set(sites)
        islands.append(patch)
    return islands
