"""Random particles with known atoms, and the views that images of them would give.

``KINDS`` holds the kinds of `random_particle`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Ints
from .errors import InputError, check_choice, check_kind, check_number, check_whole
from .grid import NEIGHBOUR_VECTORS, SiteIndex, connected_parts, contacts, neighbour_table, whole_sites
from .phantom_views import column_counts, harden, indexed_columns, soft_views_of, views_of

__all__ = [
    "KINDS",
    "add_islands",
    "add_steps",
    "add_vacancies",
    "column_counts",
    "cut_notch",
    "harden",
    "indexed_columns",
    "one_piece",
    "peel",
    "polyhedron",
    "random_particle",
    "soft_views_of",
    "views_of",
]

_100 = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1)])
_110 = np.array([(1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)])
_111 = np.array([(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)])
_NORMALS = np.concatenate([s * f / np.linalg.norm(f[0]) for f in (_100, _111, _110) for s in (1, -1)])
_FAMILY = np.repeat([0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 6, 6])

#: Depth of a notch as a share of the smallest half axis.
_NOTCH = 0.25
#: Atoms up to which a particle is grown here: the box around it takes some GB.
MOST_ATOMS = 3_000_000
#: Kinds of `random_particle`.
KINDS = ("faceted", "stepped", "rough", "rod")


def random_particle(n_atoms: int = 1000, kind: str = "rough", seed: int = 0) -> Ints:
    """A random twin-free fcc particle, in one piece.

    Parameters
    ----------
    n_atoms : int
        Wanted number of atoms, at least 20. Steps, peeling and notch take some away: a twentieth of 1,000,
        a tenth of 300, a third of 50.
    kind : str
        "faceted": a polyhedron of {100}, {111} and {110} facets at random distances.
        "stepped": the same with incomplete top layers (terraces) and a notch.
        "rough": stepped, then peeled at its corners and covered with islands and adatoms.
        "rod": four times as long along [001] as wide, with terraces, islands and a notch.
    seed : int

    Returns
    -------
    (n, 3) int
        Sites (h, k, l), h + k + l even, sorted [a/2].

    Raises
    ------
    InputError
        If the kind is unknown or the particle too small.

    Examples
    --------
    >>> sites = random_particle(500, "faceted", seed=1)
    >>> sites.shape[1], bool((sites.sum(axis=1) % 2 == 0).all())
    (3, True)
    """
    check_choice("kind", kind, KINDS)
    check_whole("n_atoms", n_atoms, 20, MOST_ATOMS)
    check_whole("seed", seed, 0)
    rng = np.random.default_rng(seed)
    sites = polyhedron(n_atoms, rng, aspect=4.0 if kind == "rod" else 1.0)
    if kind != "faceted":
        sites = cut_notch(add_steps(sites, rng, 4), rng)
        if kind == "rough":
            sites = peel(sites, rng, 0.3)
        sites = add_islands(sites, rng, 0.06 if kind == "rough" else 0.02)
    sites = one_piece(sites)
    return sites[np.lexsort(sites.T[::-1])]


def polyhedron(n_atoms: int, rng: np.random.Generator, aspect: float = 1.0) -> Ints:
    """Sites inside random {100}, {111} and {110} facets around a random centre.

    Parameters
    ----------
    n_atoms : int
        Wanted number of atoms.
    rng : numpy.random.Generator
    aspect : float
        Elongation along [001].

    Returns
    -------
    (n, 3) int

    Raises
    ------
    InputError
        If `n_atoms` or `aspect` is not positive.

    Examples
    --------
    >>> len(polyhedron(300, np.random.default_rng(1))) >= 300
    True
    """
    check_whole("n_atoms", n_atoms, 1, MOST_ATOMS)
    check_kind("rng", rng, np.random.Generator)
    check_number("aspect", aspect)
    if not aspect > 0:
        raise InputError(f"aspect: expected an elongation above 0, got {aspect!r}.")
    # Wulff distances of the three families about those of a metal, each facet on its own.
    family = np.array([1.0, rng.uniform(0.85, 1.1), rng.uniform(0.95, 1.15)])
    distance = family[_FAMILY] * rng.uniform(0.88, 1.12, size=len(_NORMALS))
    stretch = np.array([1.0, 1.0, aspect])
    centre = rng.uniform(-0.5, 0.5, size=3)
    # Two sites fill a volume of 4 cubic half lattice parameters.
    size = np.ceil(1.6 * (2 * n_atoms / aspect) ** (1 / 3)).astype(int) + 2
    half = np.ceil(size * stretch).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[grid.sum(axis=1) % 2 == 0]
    local = (grid - centre) / stretch
    scale = np.zeros(len(grid))
    for normal, d in zip(_NORMALS, distance, strict=True):
        np.maximum(scale, local @ normal / d, out=scale)
    return grid[scale <= np.partition(scale, n_atoms - 1)[n_atoms - 1]]


def add_steps(sites: ArrayLike, rng: np.random.Generator, n_steps: int) -> Ints:
    """Remove the part of a facet's top layer that lies beyond a random straight step.

    Parameters
    ----------
    sites : (n, 3) int
    rng : numpy.random.Generator
    n_steps : int
        How many facets, drawn with replacement, lose part of a layer.

    Returns
    -------
    (m, 3) int

    Raises
    ------
    InputError
        If there are no sites, or they are not on one fcc grid, or `n_steps` is negative.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sites = random_particle(300, "faceted", seed=1)
    >>> len(add_steps(sites, rng, 4)) < len(sites)
    True
    """
    check_kind("rng", rng, np.random.Generator)
    check_whole("n_steps", n_steps, 0, MOST_ATOMS)
    grid = _as_grid(sites)
    for normal in _NORMALS[rng.integers(len(_NORMALS), size=n_steps)]:
        height = grid @ normal
        top = height > height.max() - 1e-6
        along = grid @ np.cross(normal, rng.normal(size=3))
        beyond = along > np.quantile(along[top], rng.uniform(0.1, 0.8))
        if (top & beyond).sum() < len(grid) // 2:
            grid = grid[~(top & beyond)]
    return grid


def cut_notch(sites: ArrayLike, rng: np.random.Generator) -> Ints:
    """Remove a straight groove with a round bottom from the surface.

    It is as deep as half as wide: a quarter of the particle's smallest half axis.

    Parameters
    ----------
    sites : (n, 3) int
    rng : numpy.random.Generator

    Returns
    -------
    (m, 3) int

    Raises
    ------
    InputError
        If there are no sites, or they are not on one fcc grid.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sites = random_particle(300, "faceted", seed=1)
    >>> len(cut_notch(sites, rng)) < len(sites)
    True
    """
    check_kind("rng", rng, np.random.Generator)
    grid = _as_grid(sites)
    if len(grid) == 1:  # has no surface to be cut into
        return grid
    # A solid ellipsoid of half axis r has the second moment r^2 / 5 along it.
    radius = _NOTCH * np.sqrt(5 * np.linalg.eigvalsh(np.cov(grid.T))[0])
    start = grid[rng.integers(len(grid))]
    outward = start - grid.mean(axis=0) + rng.normal(size=3)
    outward /= np.linalg.norm(outward)
    start = grid[np.argmax(grid @ outward)]
    direction = np.cross(outward, rng.normal(size=3))
    direction /= np.linalg.norm(direction)
    distance = np.linalg.norm(np.cross(grid - start, direction), axis=1)
    return grid[distance > radius]


def peel(sites: ArrayLike, rng: np.random.Generator, fraction: float) -> Ints:
    """Remove a random share of the atoms that have at most six neighbours.

    Parameters
    ----------
    sites : (n, 3) int
    rng : numpy.random.Generator
    fraction : float
        Share of these atoms that goes.

    Returns
    -------
    (m, 3) int

    Raises
    ------
    InputError
        If there are no sites, or they are not on one fcc grid, or `fraction` is negative.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sites = random_particle(300, "faceted", seed=1)
    >>> len(peel(sites, rng, 0.3)) < len(sites)
    True
    """
    check_kind("rng", rng, np.random.Generator)
    check_number("fraction", fraction, 0)
    grid = _as_grid(sites)
    coordination = (neighbour_table(grid) >= 0).sum(axis=1)
    return grid[~((coordination <= 6) & (rng.random(len(grid)) < fraction))]


def add_islands(sites: ArrayLike, rng: np.random.Generator, fraction: float) -> Ints:
    """Grow islands of 1-12 atoms on the surface.

    Parameters
    ----------
    sites : (n, 3) int
    rng : numpy.random.Generator
    fraction : float
        Atoms to add, as a share of the surface atoms (those with less than 12 neighbours).

    Returns
    -------
    (m, 3) int

    Raises
    ------
    InputError
        If there are no sites, or they are not on one fcc grid, or `fraction` is negative.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sites = random_particle(300, "faceted", seed=1)
    >>> len(add_islands(sites, rng, 0.1)) > len(sites)
    True
    """
    check_kind("rng", rng, np.random.Generator)
    check_number("fraction", fraction, 0)
    grid = _as_grid(sites)
    wanted = round(fraction * int(((neighbour_table(grid) >= 0).sum(axis=1) < 12).sum()))
    places = _places(grid)
    beside = neighbour_table(places)
    filled = np.zeros(len(places), dtype=bool)
    for start in rng.permutation(len(places)):
        size = min(wanted - int(filled.sum()), int(rng.integers(1, 13)))
        if size <= 0:
            break
        island, edge = {int(start)}, [int(start)]
        while len(island) < size and edge:
            here = edge.pop(rng.integers(len(edge)))
            ring = [int(n) for n in rng.permutation(beside[here]) if n >= 0 and int(n) not in island]
            edge += ring[: size - len(island)]
            island.update(ring[: size - len(island)])
        filled[list(island)] = True
    return np.concatenate([grid, places[filled]])


def _places(sites: Ints) -> Ints:
    """Vacant sites that touch at least three atoms."""
    around = (sites[:, None, :] + NEIGHBOUR_VECTORS).reshape(-1, 3)
    place, contacts = np.unique(around, axis=0, return_counts=True)
    return place[(contacts >= 3) & (SiteIndex(sites)(place) < 0)]


def add_vacancies(sites: ArrayLike, rng: np.random.Generator, n_vacancies: int) -> Ints:
    """Remove atoms at random from those whose 12 neighbours are all there.

    Parameters
    ----------
    sites : (n, 3) int
    rng : numpy.random.Generator
    n_vacancies : int
        At most the number of such atoms.

    Returns
    -------
    (m, 3) int

    Raises
    ------
    InputError
        If there are no sites, or they are not on one fcc grid, or `n_vacancies` is negative.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sites = random_particle(300, "faceted", seed=1)
    >>> len(sites) - len(add_vacancies(sites, rng, 3))
    3
    """
    check_kind("rng", rng, np.random.Generator)
    check_whole("n_vacancies", n_vacancies, 0)
    grid = _as_grid(sites)
    inner = np.flatnonzero((neighbour_table(grid) >= 0).all(axis=1))
    gone = rng.choice(inner, size=min(n_vacancies, len(inner)), replace=False)
    return np.delete(grid, gone, axis=0)


def one_piece(sites: ArrayLike) -> Ints:
    """The largest set of sites connected by nearest-neighbour steps.

    Parameters
    ----------
    sites : (n, 3) int

    Returns
    -------
    (m, 3) int

    Raises
    ------
    InputError
        If there are no sites, or they are not on one fcc grid.

    Examples
    --------
    >>> one_piece([(0, 0, 0), (1, 1, 0), (6, 0, 0)]).tolist()
    [[0, 0, 0], [1, 1, 0]]
    """
    grid = _as_grid(sites)
    label = connected_parts(*contacts(grid), len(grid))
    return grid[label == np.bincount(label).argmax()]


def _as_grid(sites: ArrayLike) -> Ints:
    grid = whole_sites(sites)
    if not len(grid):
        raise InputError("sites: there are none; expected at least one.")
    return grid
