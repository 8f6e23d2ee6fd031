"""Atoms of a crystal's other species: which of them surround the core, and how each species looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from tomo.result import Reconstruction

SPECIES_COLOURS = ("#c8502d", "#e6c34a", "#5b8fc7", "#7aa974")
"""Of the counted species and its companions, in their order; told apart by colour-blind eyes."""
SHELL_COLOUR = (0.80, 0.82, 0.85)
SHELL_SIZE = 0.62
"""Radius of the companions' spheres relative to the counted species'."""
TOUCHING = 0.6
"""A companion this close to an atom of the core belongs to it: bonds are at most a/2 long [a]."""


def species_names(result: Reconstruction) -> list[str]:
    """The counted species and its companions, each once."""
    first = [result.crystal.species] if result.crystal is not None else ["atoms"]
    return list(dict.fromkeys([*first, *(part.species for part in result.companions)]))


def species_colours(result: Reconstruction) -> dict[str, NDArray[np.float64]]:
    """Red, green, blue of each species."""
    names = species_names(result)
    return {name: np.array(to_rgb(SPECIES_COLOURS[k % len(SPECIES_COLOURS)])) for k, name in enumerate(names)}


def shell_positions(result: Reconstruction, threshold: float = 0.5) -> NDArray[np.float64]:
    """Companions that surround the core (n, 3), in the crystal's axes [A]; those bonded to it are left out.

    Atoms are sites of at least the certainty `threshold`.
    """
    if result.crystal is None or not result.companions:
        return np.zeros((0, 3))
    a = result.crystal.a
    around = np.concatenate([a / 2 * part.places[part.certainty >= threshold] for part in result.companions])
    core = a / 2 * result.occupied(threshold)
    if len(core) == 0 or len(around) == 0:
        return around
    return np.asarray(around[cKDTree(core).query(around)[0] > TOUCHING * a])
