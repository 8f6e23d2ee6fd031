"""Atomic layers along any direction, and how complete each of them is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..errors import as_indices
from ..grid import SiteIndex, triple, whole_sites
from .estimate import certainty_of
from .surface import layer_step, resting_places


@dataclass(frozen=True, eq=False)
class Layers:
    """Layers of a crystal along [hkl], from one end to the other.

    Attributes
    ----------
    direction : tuple of 3 int
        [hkl] without common factor.
    index : (n,) int
        h x + k y + l z of the layer's sites (x, y, z).
    height : (n,) float
        Position along [hkl] [a/2].
    atoms, atoms_std : (n,) float
        Expected number of atoms, and its standard deviation for independent sites.
    room : (n,) int
        Sites of the layer that rest on occupied sites: all their neighbours on the side of the
        crystal's middle are occupied.
    completeness : (n,) float
        Share of these that are occupied (expected); NaN where there are none.
    """

    direction: tuple[int, int, int]
    index: Ints
    height: Floats
    atoms: Floats
    atoms_std: Floats
    room: Ints
    completeness: Floats


def layers(sites: ArrayLike, direction: ArrayLike, certainty: ArrayLike | None = None) -> Layers:
    """Layer by layer: atoms, and how complete the layer is on what carries it.

    Parameters
    ----------
    sites : (n, 3) int
        Sites [a/2], such as ``result.sites``.
    direction : (3,) int
        [hkl].
    certainty : (n,) float, optional
        Of every site; 1 if not given. Sites of at least 0.5 carry the next layer.

    Returns
    -------
    Layers

    Raises
    ------
    InputError
        If the direction is not three integers, or there is not one certainty for each site.

    Examples
    --------
    >>> cube = [(h, k, l) for h in range(7) for k in range(7) for l in range(7) if (h + k + l) % 2 == 0]
    >>> found = layers([s for s in cube if s != (3, 3, 6)], (0, 0, 1))
    >>> found.atoms.astype(int).tolist(), float(found.completeness[-1].round(2)), int(found.room[-1])
    ([25, 24, 25, 24, 25, 24, 24], 0.92, 13)
    """
    indices = as_indices("direction", direction)
    axis = triple(indices // np.gcd.reduce(indices))
    grid = whole_sites(sites)
    c = certainty_of(grid, certainty)
    if len(grid) == 0:
        empty = np.zeros(0)
        return Layers(axis, empty.astype(np.int64), empty, empty, empty, empty.astype(np.int64), empty)
    level = grid @ np.array(axis)
    spacing = layer_step(axis)
    index = np.arange(level.min(), level.max() + 1, spacing)
    layer = (level - index[0]) // spacing
    size = len(index)
    atoms = np.bincount(layer, weights=c, minlength=size).astype(float)
    variance = np.bincount(layer, weights=c * (1 - c), minlength=size)
    room, held = _supported(grid, c, axis, index)
    with np.errstate(invalid="ignore"):
        completeness = held / room
    height = index / np.linalg.norm(axis)
    return Layers(axis, index, height, atoms, np.sqrt(variance), room, completeness)


def _supported(
    grid: Ints,
    certainty: Floats,
    direction: tuple[int, int, int],
    index: Ints,
) -> tuple[Ints, Floats]:
    """Per layer the sites whose neighbours towards the middle are all occupied, and the atoms on them."""
    axis, spacing = np.array(direction), layer_step(direction)
    atoms = grid[certainty >= 0.5]
    room = np.zeros(len(index), np.int64)
    held = np.zeros(len(index))
    if len(atoms) == 0:
        return room, held
    middle = np.median(atoms @ axis)
    known = SiteIndex(grid)
    for sign in (1, -1):
        sites = resting_places(atoms, sign * axis)
        side = sign * (sites @ axis - middle)
        # The middle layer itself belongs to the upper side.
        sites = sites[(side > 0) | ((side == 0) & (sign == 1))]
        layer = (sites @ axis - index[0]) // spacing
        inside = (layer >= 0) & (layer < len(index))
        sites, layer = sites[inside], layer[inside]
        row = known(sites)
        room += np.bincount(layer, minlength=len(index))
        held += np.bincount(layer, weights=np.where(row >= 0, certainty[row], 0.0), minlength=len(index))
    return room, held
