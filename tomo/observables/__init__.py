"""What can be computed from a reconstructed crystal.

Functions take grid sites (n, 3) int in half lattice parameters; `Estimate` carries a value and
its standard deviation from the certainty of the atoms.
"""

from .coordination import coordination_numbers, expected_coordination
from .estimate import Estimate, number_of_atoms, over_runs
from .facets import Facet, FacetLayer, Island, facets
from .layers import Layers, layers
from .surface import FACET_NORMALS, facet_atoms, facet_family, surface_atoms

__all__ = [
    "FACET_NORMALS",
    "Estimate",
    "Facet",
    "FacetLayer",
    "Island",
    "Layers",
    "coordination_numbers",
    "expected_coordination",
    "facet_atoms",
    "facet_family",
    "facets",
    "layers",
    "number_of_atoms",
    "over_runs",
    "surface_atoms",
]
