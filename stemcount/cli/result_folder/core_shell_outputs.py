"""What a result folder says of a core in its shell: size, place, facets, islands, profiles and interfaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import tomo
from stemcount.arrays import Floats, Ints
from stemcount.results import FitFlag
from tomo.observables import (
    FACET_NORMALS,
    CompositionProfile,
    Facet,
    Interface,
    ViewColumns,
    composition_profile,
    core_geometry,
    facets,
    interfaces,
)
from tomo.observables.interfaces import followed_pairs

from ..all_views.species_views import TypedView
from ..one_image.typed_images import PULL, TypedImage
from .outputs import Drawn

PRESENT = 0.5  # atoms that a column must hold to count as one
WELL_SHOWN = 0.75  # share of a displacement that the fit must show


def measured_columns(image: TypedImage, view: TypedView, atoms: Floats) -> ViewColumns:
    """The columns of one image whose positions were measured well enough to show a shift.

    A column of width rho, whose volume V is known to std(V), has its place known to s = rho std(V) / V.
    The fit pulls it to its place on the lattice as if it had been measured there to p, so that it shows
    only the share p^2 / (p^2 + s^2) of a displacement: what is missing is put back, and columns that show
    less than three quarters are left out.

    `view` holds the columns of the image in the common frame, `atoms` (n, s) the expected atoms of each
    sublattice in each of them.
    """
    fit, columns = image.fit, view.columns
    basis = columns.zone.basis[:, :2]
    place = np.column_stack([image.columns.x, image.columns.y])
    with np.errstate(divide="ignore", invalid="ignore"):
        error = fit.width * fit.cross_section_std / fit.cross_section
        shown = PULL**2 / (PULL**2 + error**2)
    good = (atoms.sum(axis=1) > PRESENT) & (fit.cross_section > 0) & (shown > WELL_SHOWN)
    good &= (fit.flags & FitFlag.AT_EDGE) == 0
    xy = place[good] + (np.column_stack([fit.x, fit.y]) - place)[good] / shown[good, None]
    return ViewColumns(columns.name, columns.zone_axis, xy, (columns.places @ basis.T)[good], atoms[good])


class CoreShellFindings:
    """Everything that a result folder says of the target's crystal inside the whole, from a result with a
    crystal and the `measured_columns` of each image."""

    def __init__(self, result: tomo.Reconstruction, columns: Sequence[ViewColumns]) -> None:
        assert result.crystal is not None
        self.result = result
        self.crystal = result.crystal
        self.atoms = result.occupied()
        self.facets: tuple[Facet, ...] = facets(result.sites, result.certainty)
        self.two_phases = len(self.crystal.phases) > 1 and bool(result.companions)
        self.profiles: list[CompositionProfile] = self._profiles() if result.companions else []
        self.interfaces: list[Interface] = (
            interfaces(self.atoms, self.facets, columns, self.crystal) if self.two_phases else []
        )

    def _profiles(self) -> list[CompositionProfile]:
        positions = {part.species: part.places for part in self.result.parts}
        certainty = {part.species: part.certainty for part in self.result.parts}
        return [
            composition_profile(positions, self._floor(facet), facet.normal, certainty)
            for facet in self.facets
        ]

    def _floor(self, facet: Facet) -> Ints:
        level = self.atoms @ np.array(facet.normal)
        return np.asarray(self.atoms[level == facet.layers[0].index])

    def summary(self) -> dict[str, Any]:
        """Plain numbers with their units in the names, for summary.json and the report."""
        found: dict[str, Any] = {}
        if len(self.atoms):
            found["core"] = self._core()
        found["facets"] = [self._facet(facet) for facet in self.facets]
        if self.profiles:
            found["profiles"] = [self._profile(profile) for profile in self.profiles]
        if self.two_phases:
            found["interfaces"] = [_interface(item) for item in self.interfaces]
        return found

    def _core(self) -> dict[str, Any]:
        """Size of the target's crystal; where there is a shell, its place in it too."""
        half = self.crystal.a / 2
        parts = [part.occupied() + np.array(part.offset) for part in self.result.companions]
        others = np.concatenate(parts) if parts else np.zeros((0, 3))
        core = core_geometry(self.result.sites, others, self.result.certainty)
        found: dict[str, Any] = {
            "species": self.crystal.species,
            "atoms": core.atoms,
            "atoms_std": core.atoms_std,
            "diameter_of_equal_sphere_A": core.diameter * half,
            "extent_along_axes_A": (core.extent * half).tolist(),
            "lengths_of_ellipsoid_A": (core.lengths * half).tolist(),
            "directions_of_ellipsoid": np.round(core.axes, 3).tolist(),
        }
        if self.two_phases:
            found["offset_from_centre_of_crystal_A"] = (core.offset * half).tolist()
            found["offset_std_A"] = (core.centre_std * half).tolist()
            thickness = core.shell_thickness * half
            found["shell_thickness_A"] = {
                name: {
                    "mean": float(values.mean()),
                    "least": float(values.min()),
                    "most": float(values.max()),
                }
                for name, values in _by_family(thickness).items()
            }
        return found

    def _facet(self, facet: Facet) -> dict[str, Any]:
        """One facet's layers, their heights above the centre of the target's crystal, and its islands."""
        axis = np.array(facet.normal) / np.linalg.norm(facet.normal)
        middle = float(np.average(self.result.sites @ axis, weights=self.result.certainty))
        length = float(np.linalg.norm(facet.normal))
        return {
            "normal": list(facet.normal),
            "family": facet.family,
            "exposed_atoms": facet.exposed,
            "area_A2": facet.area * (self.crystal.a / 2) ** 2,
            "layers": [
                {
                    "height_above_centre_A": (layer.index / length - middle) * self.crystal.a / 2,
                    "places": layer.room,
                    "atoms": layer.atoms,
                    "completeness": layer.completeness,
                    "completeness_std": layer.completeness_std,
                }
                for layer in facet.layers
            ],
            "islands": [
                {
                    "atoms": len(island.sites),
                    "expected_atoms": float(island.certainty.sum()),
                    "least_certainty": float(island.certainty.min()),
                }
                for island in facet.islands
            ],
        }

    def _profile(self, profile: CompositionProfile) -> dict[str, Any]:
        """Across one facet: heights, atoms of each species, and the core's share of what replaces it."""
        found: dict[str, Any] = {
            "normal": list(profile.normal),
            "height_A": (profile.height * self.crystal.a / 2).tolist(),
            "atoms": dict(zip(profile.species, profile.atoms.tolist(), strict=True)),
        }
        if self.two_phases:
            names = [sublattice.species for sublattice in self.crystal.sublattices]
            pairs = [(names[a], names[b]) for _, a, b in followed_pairs(self.crystal) if a != b]
            found["share"] = {
                f"{one} / ({one} + {two})": [
                    None if np.isnan(s) else float(s) for s in profile.share(one, two)
                ]
                for one, two in pairs
            }
        return found

    def figures(self) -> Iterator[Drawn]:
        """Name, caption and maker of each figure."""
        import viewers

        result = self.result
        if result.companions:
            yield (
                "species",
                "The atoms by species: whole, cut open through the middle of the core, and the core alone by"
                " certainty in the faint outline of its shell.",
                lambda: viewers.figure_species(result),
            )
        if self.facets:
            yield (
                "facets",
                f"Facets of the {self.crystal.species} crystal and how complete the layers on them are;"
                " the bars give the standard deviation from the certainty of the atoms.",
                lambda: viewers.figure_facets(result, self.facets),
            )
        if self.profiles:
            yield (
                "profiles",
                "Atoms of each species in layers parallel to the largest facets of the core, from its inside"
                " outwards; the dashed line is the interface.",
                lambda: viewers.figure_profiles(self.profiles, self.crystal.a),
            )
        if self.interfaces:
            yield (
                "interfaces",
                "Lateral shift of the sublattices at the {111} interfaces that stand edge-on in an image,"
                " relative to the core's lattice, continued.",
                lambda: viewers.figure_interfaces(self.interfaces),
            )


def _by_family(values: Floats) -> dict[str, Floats]:
    """Values by facet normal, collected by family."""
    order = np.abs(FACET_NORMALS).sum(axis=1)
    return {name: values[order == number] for name, number in (("111", 3), ("100", 1), ("110", 2))}


def _interface(item: Interface) -> dict[str, Any]:
    return {
        "normal": list(item.normal),
        "view": item.view,
        "continuous": list(item.continuous),
        "shifts": {
            name: {
                "lateral_A": shift.lateral,
                "lateral_std_A": shift.lateral_std,
                "normal_A": shift.normal,
                "normal_std_A": shift.normal_std,
                "columns": shift.shell_columns,
            }
            for name, shift in item.shifts.items()
        },
    }
