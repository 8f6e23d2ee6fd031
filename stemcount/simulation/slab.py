"""Slabs of an fcc crystal, periodic across the beam, that multislice sends its waves through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SMALLEST_BOX = 10.0  # width over which atoms move independently [A]


@dataclass(frozen=True, eq=False)
class Slab:
    """A slab of an fcc crystal, periodic across the beam; all its columns hold the same number of atoms.

    Attributes
    ----------
    positions : (n, 2) float
        Atoms at rest, seen along the beam [A].
    layer : (n,) int
        Layer of each atom, counted along the beam.
    size : (2,) float
        Edges of the periodic box [A].
    column_area : float
        Area of the cell of one column [A^2].
    layer_spacing : float
        [A]
    layers_per_atom : int
        Layers from one atom of a column to its next.
    """

    positions: Floats
    layer: Integers
    size: Floats
    column_area: float
    layer_spacing: float
    layers_per_atom: int


def fcc_slab(a: float, zone_axis: tuple[int, int, int], n_atoms: int) -> Slab:
    """Slab of columns of `n_atoms` atoms along a zone axis, at least `SMALLEST_BOX` wide.

    Examples
    --------
    >>> slab = fcc_slab(4.08, (1, 0, 0), 5)
    >>> len(slab.positions), slab.size.round(2).tolist(), round(slab.column_area, 2)
    (160, [11.54, 11.54], 4.16)
    """
    edges = orthogonal_cell(zone_axis)
    lengths = np.linalg.norm(edges, axis=1) * a / 2
    span = np.abs(edges).sum()
    grid = np.stack(np.meshgrid(*[np.arange(-span, span + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    along = grid @ edges.T
    square = (edges**2).sum(axis=1)
    inside = (grid.sum(axis=1) % 2 == 0) & np.all((along >= 0) & (along < square), axis=1)
    depths, layer = np.unique(along[inside, 2], return_inverse=True)
    repeats = np.append(np.ceil(SMALLEST_BOX / lengths[:2]).astype(int), n_atoms)
    shifts = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = (along[inside] / square + shifts)[..., :2] * lengths[:2]
    return Slab(
        positions=sites.reshape(-1, 2),
        layer=(layer + shifts[..., 2] * len(depths)).ravel(),
        size=repeats[:2] * lengths[:2],
        column_area=float(a**3 / 4 / lengths[2]),
        layer_spacing=float(lengths[2] / len(depths)),
        layers_per_atom=len(depths),
    )


def orthogonal_cell(zone_axis: tuple[int, int, int]) -> Integers:
    """Box of the fcc lattice with an edge along the zone axis: edges (3, 3) [a/2], the last along it.

    Examples
    --------
    >>> orthogonal_cell((1, 0, 0)).tolist()
    [[0, -1, -1], [0, 1, -1], [2, 0, 0]]
    """
    axis = np.asarray(zone_axis)
    if axis.shape != (3,) or not np.issubdtype(axis.dtype, np.integer) or not axis.any():
        raise InputError(f"zone_axis: expected three integers, not all zero, got {zone_axis!r}.")
    beam = _lattice_vector(axis)
    reach = np.arange(-2 * np.abs(beam).max(), 2 * np.abs(beam).max() + 1)
    grid = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    across = grid[(grid @ beam == 0) & (grid.sum(axis=1) % 2 == 0) & grid.any(axis=1)]
    right = across[np.argmin((across**2).sum(axis=1))]
    return np.array([right, _lattice_vector(np.cross(beam, right)), beam])


def _lattice_vector(direction: Integers) -> Integers:
    """Shortest vector of the fcc lattice along a direction [a/2]: its indices have an even sum."""
    shortest = direction // np.gcd.reduce(direction)
    return shortest if shortest.sum() % 2 == 0 else 2 * shortest
