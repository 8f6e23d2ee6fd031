"""A core inside a crystal: its size, its place, the shell around it, and what changes across a facet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints
from ..errors import InputError, as_indices, as_points, check_number
from ..grid import triple
from .estimate import certainty_of
from .surface import UNIT_NORMALS, layer_step

BESIDE = 1.1
"""Lateral distance to the nearest atom of a facet within which an atom is above or below it [a/2]."""


@dataclass(frozen=True, eq=False)
class CoreGeometry:
    """Size of a core and its place in the crystal.

    Attributes
    ----------
    atoms, atoms_std : float
        Expected number of atoms of the target, and its standard deviation for independent sites.
    volume : float
        Of their sites, 2 (a/2)^3 each [(a/2)^3].
    extent : (3,) float
        Length along the cubic axes, from atom to atom [a/2].
    axes : (3, 3) float
        Rows: directions of the principal axes, the longest first.
    lengths : (3,) float
        Full lengths along them of the ellipsoid with the same second moments [a/2].
    centre, centre_std : (3,) float
        Centre of mass [a/2], and its standard deviation for independent sites.
    offset : (3,) float
        Centre of the core from that of the whole crystal [a/2].
    shell_thickness : (26,) float
        Distance from the core's outermost atoms to the crystal's along `FACET_NORMALS` [a/2].
    """

    atoms: float
    atoms_std: float
    volume: float
    extent: Floats
    axes: Floats
    lengths: Floats
    centre: Floats
    centre_std: Floats
    offset: Floats
    shell_thickness: Floats

    @property
    def diameter(self) -> float:
        """Diameter of the sphere of equal volume [a/2]."""
        return float((6 * self.volume / np.pi) ** (1 / 3))


def core_geometry(
    sites: ArrayLike, others: ArrayLike, certainty: ArrayLike | None = None, *, threshold: float = 0.5
) -> CoreGeometry:
    """Size of a core, where it lies in the crystal, and how thick the shell is on every side.

    Parameters
    ----------
    sites : (n, 3) int
        Sites of the target [a/2].
    others : (m, 3) float
        The crystal's other atoms, of all species, in the same frame [a/2].
    certainty : (n,) float, optional
        Of every site; 1 if not given.
    threshold : float
        Sites of at least this certainty bound the core.

    Returns
    -------
    CoreGeometry

    Raises
    ------
    InputError
        If no site is certain enough, or there is not one certainty for each site.

    Examples
    --------
    >>> found = core_geometry([(0, 0, 0), (1, 1, 0), (2, 0, 0)], [(-3.0, 0, 0), (5.0, 0, 0)])
    >>> found.centre.round(2).tolist(), found.extent.tolist()
    ([1.0, 0.33, 0.0], [2.0, 1.0, 0.0])
    """
    grid = as_points("sites", sites)
    check_number("threshold", threshold)
    c = certainty_of(grid, certainty)
    core = grid[c >= threshold]
    if len(core) == 0:
        raise InputError(f"core_geometry: no site has a certainty of at least {threshold:g}.")
    crystal = np.concatenate([core, as_points("others", others)])
    total = float(c.sum())
    centre = c @ grid / total
    away = grid - centre
    variance = c * (1 - c)
    moments, vectors = np.linalg.eigh((away * c[:, None]).T @ away / total)
    # A solid ellipsoid of half axis r has the second moment r^2 / 5 along it.
    lengths = 2 * np.sqrt(5 * np.clip(moments[::-1], 0, None))
    return CoreGeometry(
        atoms=total,
        atoms_std=float(np.sqrt(variance.sum())),
        volume=2 * total,
        extent=np.ptp(core, axis=0),
        axes=np.ascontiguousarray(vectors[:, ::-1].T),
        lengths=lengths,
        centre=centre,
        centre_std=np.sqrt(variance @ away**2) / total,
        offset=centre - crystal.mean(axis=0),
        shell_thickness=(crystal @ UNIT_NORMALS.T).max(axis=0) - (core @ UNIT_NORMALS.T).max(axis=0),
    )


@dataclass(frozen=True, eq=False)
class CompositionProfile:
    """Atoms of each species, layer by layer across a facet.

    Attributes
    ----------
    normal : tuple of 3 int
        Outward normal of the facet.
    height : (m,) float
        Distance of each layer's middle from the facet's floor, along the normal, inside negative [a/2].
    species : tuple of str
    atoms, atoms_std : (species, m) float
        Expected numbers in front of and behind the facet, and their standard deviations for independent
        sites.
    """

    normal: tuple[int, int, int]
    height: Floats
    species: tuple[str, ...]
    atoms: Floats
    atoms_std: Floats

    def share(self, first: str, second: str) -> Floats:
        """Atoms of ``first`` over those of ``first`` and ``second``, (m,); NaN where there are none."""
        one, two = (self.atoms[self.species.index(name)] for name in (first, second))
        with np.errstate(invalid="ignore"):
            return np.asarray(one / (one + two))


def composition_profile(
    positions: Mapping[str, ArrayLike],
    floor: ArrayLike,
    normal: ArrayLike,
    certainty: Mapping[str, ArrayLike] | None = None,
) -> CompositionProfile:
    """How the composition changes across a facet, from the core to the shell.

    Atoms count that lie in front of the facet or behind it: whose distance, seen along the normal, to
    the nearest atom of the facet is below 1.1 a/2. They are collected in layers as thick as those of the
    target's grid, with one of its layers in the middle of each.

    Parameters
    ----------
    positions : mapping of str to (n, 3) float
        Atoms of each species in one frame [a/2].
    floor : (k, 3) int
        Atoms of the target that make the facet's floor, all in one layer.
    normal : (3,) int
        Outward normal of the facet.
    certainty : mapping of str to (n,) float, optional
        Of every atom; 1 if not given.

    Returns
    -------
    CompositionProfile

    Raises
    ------
    InputError
        If the floor is empty or not in one layer.

    Examples
    --------
    >>> lead, selenium = [(0, 0, 0), (0, 0, -2)], [(0, 0, -1), (0, 0, 1)]
    >>> found = composition_profile({"Pb": lead, "Se": selenium}, [(0, 0, 0)], (0, 0, 1))
    >>> found.height.tolist(), found.atoms.tolist()
    ([-2.0, -1.0, 0.0, 1.0], [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    """
    axis = as_indices("normal", normal)
    base = as_points("floor", floor)
    for name, given in (
        ("positions", positions),
        ("certainty", positions if certainty is None else certainty),
    ):
        if not isinstance(given, Mapping) or not given:
            kind = type(given).__name__ if not isinstance(given, Mapping) else "an empty one"
            raise InputError(f"{name}: expected a mapping of chemical symbols to arrays, got {kind}.")
    level = np.unique(base @ axis)
    if len(level) != 1:
        raise InputError(f"floor: expected atoms of one layer, got {len(level)} layers.")
    length = float(np.linalg.norm(axis))
    thickness = layer_step(axis) / length
    beside = cKDTree(_lateral(base, axis))
    layer: dict[str, Ints] = {}
    weight: dict[str, Floats] = {}
    for name, atoms in positions.items():
        xyz = as_points(f"positions of {name}", atoms)
        if certainty is not None and name not in certainty:
            raise InputError(f"certainty: none of {name}; expected one for every species of the positions.")
        c = certainty_of(xyz, None if certainty is None else certainty[name])
        near = beside.query(_lateral(xyz, axis))[0] < BESIDE
        layer[name] = np.floor(((xyz[near] @ axis - level[0]) / length) / thickness + 0.5).astype(np.int64)
        weight[name] = c[near]
    every = np.concatenate(list(layer.values()))
    index = np.arange(every.min(), every.max() + 1) if len(every) else np.zeros(1, np.int64)
    sums = np.zeros((2, len(positions), len(index)))
    for row, name in enumerate(positions):
        np.add.at(sums[0, row], layer[name] - index[0], weight[name])
        np.add.at(sums[1, row], layer[name] - index[0], weight[name] * (1 - weight[name]))
    return CompositionProfile(
        triple(axis), np.asarray(index * thickness), tuple(positions), sums[0], np.sqrt(sums[1])
    )


def _lateral(xyz: Floats, axis: Ints) -> Floats:
    """Positions projected onto the plane perpendicular to an axis."""
    unit = axis / np.linalg.norm(axis)
    return np.asarray(xyz - np.outer(xyz @ unit, unit))
