"""The result folder of a crystal of several sublattices: tables, summary, structure and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import tomo
from stemcount.arrays import Floats

from ..all_views.species_views import Settled, TypedView
from ..one_image.typed_images import TypedImage
from ..run import Run
from . import outputs
from .core_shell_outputs import PRESENT, CoreShellFindings, measured_columns
from .tables import FIT_COLUMNS

VISIBLE = 3.0  # standard deviations above zero that make a column worth a line in the table


def write_typed_results(
    run: Run,
    images: Sequence[TypedImage],
    views: Sequence[TypedView],
    state: Settled | None,
    result: tomo.Reconstruction,
) -> None:
    """Write the result folder; `state` is None where the target was reconstructed alone."""
    found, measured = {}, []
    for image, view in zip(images, views, strict=True):
        atoms = atoms_of_columns(view, result)
        outputs.write_columns(run.out / image.image.name, image.image, typed_table(image, view, atoms))
        found[image.image.name] = image_summary(image, view, atoms)
        measured.append(measured_columns(image, view, atoms))
    findings = CoreShellFindings(result, measured)
    figures = (*findings.figures(), *(outputs.fit_figure(image.image, image.fit) for image in images))
    compositions = [] if state is None else composition_summary(views, state)
    outputs.write_result(run, result, found, figures, compositions=compositions, **findings.summary())


def atoms_of_columns(view: TypedView, result: tomo.Reconstruction) -> Floats:
    """Expected atoms (n, n_sublattices) in each column of a view."""
    crystal = view.columns.crystal
    found = np.zeros((len(view.columns), len(crystal.sublattices)))
    for s, part in enumerate(result.parts):
        rows = view.columns.holding(s)
        shown = tomo.View(view.columns.zone_axis, view.columns.own_sites(s), counts=np.zeros(len(rows), int))
        found[rows, s] = tomo.reproject(part.sites, shown, part.certainty)
    return found


def typed_table(image: TypedImage, view: TypedView, atoms: Floats) -> dict[str, Any]:
    """columns.csv of an image: the usual columns, and the type and the atoms of each species.

    h, k, l name one site on the column's line in the frame of the target's grid; on the lines of other grids
    they are halves or odd. `atoms` (n, n_sublattices) are those of `atoms_of_columns`.
    """
    fit, crystal = image.fit, view.columns.crystal
    shown = (atoms.sum(axis=1) > PRESENT) | (fit.cross_section > VISIBLE * fit.cross_section_std)
    names = [kind.name for kind in view.columns.types]
    sites = np.zeros((len(view.columns), 3))
    for s in range(len(crystal.sublattices)):
        sites[view.columns.holding(s)] = view.columns.own_sites(s) + np.array(crystal.sublattices[s].offset)
    table: dict[str, Any] = {name: getattr(fit, name)[shown] for name in FIT_COLUMNS}
    count = np.rint(atoms[:, 0])
    table["count"] = count[shown].astype(int)
    table["count_probability"] = 1 - np.minimum(np.abs(atoms[:, 0] - count)[shown], 1)
    for axis, letter in enumerate("hkl"):
        table[letter] = sites[shown, axis]
    table["type"] = np.array([names[t] for t in view.columns.column_type[shown]], dtype=object)
    for s, sublattice in enumerate(crystal.sublattices):
        table[f"atoms_{sublattice.species}"] = atoms[shown, s]
    return table


def image_summary(image: TypedImage, view: TypedView, atoms: Floats) -> dict[str, Any]:
    """What was found in one image, in plain numbers with their units in the names."""
    crystal = view.columns.crystal
    held = atoms.sum(axis=1) > PRESENT
    types = view.columns.types
    return {
        "zone_axis": list(view.columns.zone_axis),
        "pixel_size_A": image.image.pixel_size,
        **outputs.exposure_summary(image.image),
        "columns": int(held.sum()),
        "columns_of_type": {
            kind.name: int(np.count_nonzero(held & (view.columns.column_type == number)))
            for number, kind in enumerate(types)
        },
        "types_probability": image.probability,
        "column_flags": outputs.flag_counts(image.fit.flags[held]),
        "peak": image.fit.peak[0],
        "residual_sum_of_squares": image.fit.residual_sum_of_squares,
        "lattice": outputs.lattice_summary(image.indexing),
        **image.faults.summary(),
        "atoms_expected": {
            s.species: float(total) for s, total in zip(crystal.sublattices, atoms.sum(axis=0), strict=True)
        },
    }


def composition_summary(views: Sequence[TypedView], state: Settled) -> list[dict[str, Any]]:
    """What one atom of each species adds to a column's cross-section, for each view and column type."""
    rows = []
    for view, of_view in zip(views, state.compositions, strict=True):
        for kind, found in zip(view.columns.types, of_view, strict=True):
            species = [view.columns.crystal.sublattices[s].species for s in kind.sublattices]
            rows.append(
                {
                    "view": view.columns.name,
                    "type": kind.name,
                    "constant": found.constant,
                    "cross_section_of_an_atom": dict(zip(species, found.linear.tolist(), strict=True)),
                    "bend": dict(zip(species, found.bend.tolist(), strict=True)),
                    "relative_spread": found.spread,
                }
            )
    return rows
