"""The candidate sites of every species of a crystal in one table, as the viewers and exports need them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomo.grid import neighbour_table

from .atom_figures import certainty_colours, lattice_parameter
from .species import SHELL_SIZE, species_colours

if TYPE_CHECKING:
    from tomo.result import Reconstruction


@dataclass(frozen=True, eq=False)
class AtomTable:
    """Sites of all species; those of the counted species come first, in the order of the result.

    Attributes
    ----------
    positions : (n, 3) float
        In the crystal's axes [A].
    sites : (n, 3) float
        The same in units of a/2: whole numbers on the counted sublattice, shifted by their offset on others.
    index : (n, 3) int
        Site (h, k, l) on the sublattice's own grid.
    sublattice : (n,) int
        0 for the counted species, k for the result's k-th companion.
    species : (n,) array of str
    certainty : (n,) float
    runs : (r, n) bool
        Occupancy in every run; where only the certainty of a companion is known, its sites of at least 0.5.
    """

    positions: NDArray[np.float64]
    sites: NDArray[np.float64]
    index: NDArray[np.int64]
    sublattice: NDArray[np.int64]
    species: NDArray[np.str_]
    certainty: NDArray[np.float64]
    runs: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.certainty)

    def neighbours(self, occupied: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Occupied nearest neighbours of each site on its own sublattice, 0 to 12."""
        return np.asarray(np.append(occupied, False)[self._near].sum(axis=1))

    @cached_property
    def _near(self) -> NDArray[np.int64]:
        """Rows of the 12 nearest neighbours of each site, -1 where there is none."""
        near = np.full((len(self), 12), -1)
        for part in np.unique(self.sublattice):
            own = np.flatnonzero(self.sublattice == part)
            near[own] = np.append(own, -1)[neighbour_table(self.index[own])]
        return near


def atom_table(result: Reconstruction, companions: bool = True) -> AtomTable:
    """The sites of a result, with those of its companions unless these are left out.

    Examples
    --------
    >>> table = atom_table(result)
    >>> len(table) == len(result.sites), set(table.species.tolist())
    (True, {'Au'})
    """
    parts, count = result.parts if companions else result.parts[:1], len(result.runs)
    sizes = [len(part.sites) for part in parts]
    runs = [p.runs if len(p.runs) == count else np.tile(p.certainty >= 0.5, (count, 1)) for p in parts]
    occupancies = [np.asarray(r, bool).reshape(count, size) for r, size in zip(runs, sizes, strict=True)]
    index = np.concatenate([np.asarray(part.sites, np.int64).reshape(-1, 3) for part in parts])
    offset = np.repeat([part.offset for part in parts], sizes, axis=0)
    return AtomTable(
        positions=lattice_parameter(result) / 2 * (index + offset),
        sites=index + offset,
        index=index,
        sublattice=np.repeat(np.arange(len(parts)), sizes),
        species=np.repeat(np.array([part.species for part in parts], dtype=str), sizes),
        certainty=np.concatenate([np.asarray(part.certainty, float) for part in parts]),
        runs=np.concatenate(occupancies, axis=1),
    )


def sphere_diameters(result: Reconstruction, table: AtomTable) -> NDArray[np.float64]:
    """Diameters [A] at which nearest neighbours touch; with other species about, all are smaller."""
    touching = lattice_parameter(result) / np.sqrt(2)
    if not result.companions:
        return np.full(len(table), touching)
    return touching * np.where(table.sublattice == 0, 0.8, SHELL_SIZE)


def species_rgba(result: Reconstruction, table: AtomTable) -> NDArray[np.float64]:
    """Colour of the species of each site, (n, 4)."""
    rgba = np.ones((len(table), 4))
    for name, colour in species_colours(result).items():
        rgba[table.species == name, :3] = colour
    return rgba


def display_colours(result: Reconstruction, table: AtomTable) -> NDArray[np.float64]:
    """Red, green, blue of each site: by species where there are several, else by certainty; (n, 3)."""
    if result.companions:
        return species_rgba(result, table)[:, :3]
    return certainty_colours(table.certainty)
