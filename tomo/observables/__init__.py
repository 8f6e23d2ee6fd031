"""What can be computed from a reconstructed crystal.

Functions take grid sites (n, 3) int in half lattice parameters; `Estimate` carries a value and
its standard deviation from the certainty of the atoms. ``FACET_NORMALS``, (26, 3) int, holds the outward
normals of the 8 {111}, 6 {100} and 12 {110} facets.
"""

from .coordination import coordination_numbers, expected_coordination
from .core import CompositionProfile, CoreGeometry, composition_profile, core_geometry
from .estimate import Estimate, number_of_atoms, over_runs
from .facets import Facet, FacetLayer, Island, facets
from .interfaces import Interface, SublatticeShift, ViewColumns, interfaces, sublattice_shift
from .layers import Layers, layers
from .surface import FACET_NORMALS, facet_atoms, facet_family, surface_atoms

__all__ = [
    "FACET_NORMALS",
    "CompositionProfile",
    "CoreGeometry",
    "Estimate",
    "Facet",
    "FacetLayer",
    "Interface",
    "Island",
    "Layers",
    "SublatticeShift",
    "ViewColumns",
    "composition_profile",
    "coordination_numbers",
    "core_geometry",
    "expected_coordination",
    "facet_atoms",
    "facet_family",
    "facets",
    "interfaces",
    "layers",
    "number_of_atoms",
    "over_runs",
    "sublattice_shift",
    "surface_atoms",
]
