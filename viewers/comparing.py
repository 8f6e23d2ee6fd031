"""Atoms of which a reconstruction and another one, or a known structure, hold only one each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgba
from numpy.typing import ArrayLike, NDArray

import tomo
from stemcount import InputError

from .atom_figures import sphere_radius
from .display import LayerData, sphere_look
from .style import ACCENT, BLUE

if TYPE_CHECKING:
    from napari.layers import Points

    from tomo.result import Reconstruction

COMMON_COLOUR = "#b9bec6"
COMMON_SIZE = 0.35
"""Of atoms that both hold, relative to those of one alone, which are seen between them."""
FINE = 4
"""Steps of a/2: sublattices lie at quarters of a."""


@dataclass(frozen=True, eq=False)
class Differences:
    """Atoms of two crystals in the frame of the first.

    Attributes
    ----------
    positions : (n, 3) float
        In the first one's axes [A].
    species : (n,) array of str
    here, there : (n,) bool
        Whether the first and the other one hold the atom.
    """

    positions: NDArray[np.float64]
    species: NDArray[np.str_]
    here: NDArray[np.bool_]
    there: NDArray[np.bool_]

    def in_words(self, other: str) -> str:
        """How many atoms both hold, and how many one alone, with the colours that show them."""
        both, here, there = (int(np.sum(part)) for part in self.parts())
        return f"grey, small: {both} in both\nred: {here} only here\nblue: {there} only in {other}"

    def parts(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Atoms of both, of the first alone, of the other alone."""
        return self.here & self.there, self.here & ~self.there, self.there & ~self.here


def differences(
    result: Reconstruction, species: ArrayLike, positions: ArrayLike, threshold: float = 0.5
) -> Differences:
    """Lay other atoms onto those of a result, where they agree best, and tell which of them both hold.

    Images with unknown rotations fix a crystal only up to the symmetry of its lattice; so all 48 operations
    of the cube and all shifts are tried, for the counted species (`tomo.compare_sites`).

    The others have `species` (n,) and `positions` (n, 3) along the cubic axes [A]; those of a result whose
    crystal is not known count as the same whatever they are. The result's atoms are its sites of at least
    the certainty `threshold`. InputError if either holds no atom of the counted species, or the others lie
    on no common fcc grid.
    """
    half = sphere_radius(result) * np.sqrt(2)  # a/2
    own_names, own = _atoms_of(result, threshold)
    names, places = np.asarray(species, dtype=str), np.asarray(positions, float).reshape(-1, 3) / half
    counted = own_names[0] if len(own_names) else ""
    if result.crystal is not None:
        counted = result.crystal.species
    else:
        names = np.full(len(names), counted, dtype=names.dtype)
    first = names == counted
    if not first.any() or not np.any(own_names == counted):
        raise InputError(f"nothing to compare: one of the two holds no {counted or 'atom'}.")
    places = places - places[first][0]  # a site of the counted species' grid
    found = tomo.compare_sites(np.rint(places[first]), np.rint(own[own_names == counted]))
    return _joined(half, (own_names, own), (names, places @ found.operation.T + found.shift))


def _atoms_of(result: Reconstruction, threshold: float) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Species and places [a/2] of a result's atoms."""
    if result.crystal is None:
        sites = result.occupied(threshold)
        return np.full(len(sites), "X"), np.asarray(sites, float)
    symbols, positions, _ = result.atoms(threshold)
    return np.array(symbols, dtype=str), positions / (result.crystal.a / 2)


def _joined(half: float, *sets: tuple[NDArray[np.str_], NDArray[np.float64]]) -> Differences:
    """Atoms of two sets (species, places [a/2]), each once."""
    names = np.concatenate([species for species, _ in sets])
    kinds, kind = np.unique(names, return_inverse=True)
    places = np.rint(FINE * np.concatenate([places for _, places in sets])).astype(np.int64)
    atoms, which = np.unique(np.column_stack([kind, places]), axis=0, return_inverse=True)
    which = which.reshape(-1)
    held = np.zeros((2, len(atoms)), bool)
    own = len(sets[0][0])
    held[0, which[:own]] = held[1, which[own:]] = True
    return Differences(half / FINE * atoms[:, 1:], kinds[atoms[:, 0]], held[0], held[1])


def difference_layer_data(result: Reconstruction, found: Differences) -> LayerData:
    """Differences as napari takes them: small grey atoms of both, red and blue ones of one alone."""
    colours = np.empty((len(found.here), 4))
    size = np.full(len(colours), 1.6 * sphere_radius(result))
    both, here, there = found.parts()
    for part, colour in ((both, COMMON_COLOUR), (here, ACCENT), (there, BLUE)):
        colours[part] = to_rgba(colour)
    size[both] *= COMMON_SIZE
    held = np.select([both, here], ["both", "only here"], "only there")
    properties: dict[str, Any] = {
        "name": "differences",
        "features": {"species": found.species, "held by": held},
        "face_color": colours,
        "size": size,
        **sphere_look(result.crystal is not None),
    }
    return found.positions, properties, "points"


def atoms_of_layer(layer: Points) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Species and positions [A] of a layer of atoms: of all of a reconstruction, or of a structure file."""
    if "reconstruction" in layer.metadata:
        result = layer.metadata["reconstruction"]
        if result.crystal is None:
            raise InputError(f"{layer.name}: its lattice parameter is not known.")
        symbols, positions, _ = result.atoms(layer.metadata.get("threshold", 0.5))
        return np.array(symbols, dtype=str), positions
    return np.asarray(layer.features["species"], dtype=str), np.asarray(layer.data, float)


def others_to_compare(layers: Any, own: Points) -> list[Points]:
    """Layers of atoms in a window besides one of them: other reconstructions, structure files."""
    return [
        layer
        for layer in layers
        if layer.unique_id != own.unique_id
        and layer.ndim == 3
        and ("reconstruction" in layer.metadata or layer.metadata.get("structure"))
    ]
