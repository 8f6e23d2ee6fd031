"""Atoms as files for other programs: structures, tables, meshes, scenes, a web page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import tomo
from stemcount import InputError

from .atom_figures import oblique_view
from .atom_table import atom_table, display_colours, sphere_diameters
from .geometry import view_rotation
from .mesh import atom_mesh
from .options import check_number, check_path, check_result, written
from .web import write_page

if TYPE_CHECKING:
    from tomo.result import Reconstruction

VACUUM = 10.0
"""Empty space around the particle in a CIF's cell [A]."""


def export(
    result: Reconstruction, path: str | Path, format: str | None = None, *, threshold: float | None = None
) -> Path:
    """Write the atoms of a reconstruction for another program.

    Parameters
    ----------
    result : tomo.Reconstruction
        Made with a crystal, so that positions are in A.
    path : str or Path
        File to write; its folder is made where there is none.
    format : str, optional
        One of `EXPORT_FORMATS`; by default the ending of `path`.
    threshold : float, optional
        Sites of at least this certainty are written; by default 0.5, and all sites for formats that
        hold occupancies (cif, csv, html).

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the format is unknown, the crystal is not known, or the file cannot be written.

    Examples
    --------
    >>> export(result, "atoms.cif").name
    'atoms.cif'
    """
    check_result(result)
    path = check_path(path)
    name = str(path.suffix.lstrip(".") if format is None else format).lower()
    if name not in EXPORT_FORMATS:
        raise InputError(f"{path}: format {name!r} is unknown; expected one of {', '.join(EXPORT_FORMATS)}.")
    if result.crystal is None:
        raise InputError(f"{path}: the reconstruction names no crystal, so its positions in A are unknown.")
    if threshold is None:
        threshold = 0.0 if name in ("cif", "csv", "html") else 0.5
    threshold = check_number("threshold", threshold, 0, 1)
    if name == "xyz":
        return tomo.write_xyz(result, path, threshold)
    if name == "html":
        return write_page(result, path, threshold=threshold)
    with written(path, "file") as unfinished:
        WRITERS[name](result, unfinished, threshold)
    return path


def _write_csv(result: Reconstruction, path: Path, threshold: float) -> None:
    """All sites: own grid indices, positions, certainty, occupied neighbours, share of runs, species."""
    table = atom_table(result)
    near = table.neighbours(table.certainty >= 0.5)
    share = table.runs.mean(axis=0) if len(table.runs) else table.certainty
    lines = ["h,k,l,x_A,y_A,z_A,certainty,coordination,share_of_runs,species"]
    for i in np.flatnonzero(table.certainty >= threshold):
        index = ",".join(str(v) for v in table.index[i].tolist())
        place = ",".join(f"{v:.4f}" for v in table.positions[i])
        numbers = f"{table.certainty[i]:.6g},{near[i]},{share[i]:.6g}"
        lines.append(f"{index},{place},{numbers},{table.species[i]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_cif(result: Reconstruction, path: Path, threshold: float) -> None:
    """One particle in a cubic cell with empty space around it; occupancy = certainty, space group P1."""
    table = atom_table(result)
    chosen = (table.certainty >= threshold) & (table.certainty > 0)
    xyz, species, certainties = table.positions[chosen], table.species[chosen], table.certainty[chosen]
    low = xyz.min(axis=0, initial=np.inf) if len(xyz) else np.zeros(3)
    cell = (xyz.max(axis=0) - low if len(xyz) else np.zeros(3)) + VACUUM
    fractions = (xyz - low + VACUUM / 2) / cell
    formula = [
        f"{name}{round(float(certainties[species == name].sum()))}" for name in sorted(set(species.tolist()))
    ]
    lines = [
        "# atoms of one nanocrystal; the occupancy of a site is the probability that it holds an atom",
        "data_particle",
        f"_chemical_formula_sum '{' '.join(formula)}'",
        *(f"_cell_length_{axis} {length:.5f}" for axis, length in zip("abc", cell, strict=True)),
        *(f"_cell_angle_{angle} 90" for angle in ("alpha", "beta", "gamma")),
        "_space_group_name_H-M_alt 'P 1'",
        "_space_group_IT_number 1",
        "loop_",
        "_space_group_symop_operation_xyz",
        "'x, y, z'",
        "loop_",
        "_atom_site_label",
        "_atom_site_type_symbol",
        "_atom_site_fract_x",
        "_atom_site_fract_y",
        "_atom_site_fract_z",
        "_atom_site_occupancy",
    ]
    rows = zip(species, fractions, certainties, strict=True)
    for number, (name, place, certainty) in enumerate(rows, start=1):
        place_text = " ".join(f"{v:.6f}" for v in place)
        lines.append(f"{name}{number} {name} {place_text} {certainty:.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_pdb(result: Reconstruction, path: Path, threshold: float) -> None:
    """Protein Data Bank format for programs that read nothing newer; occupancy = certainty."""
    lines = ["REMARK   1 OCCUPANCY IS THE PROBABILITY THAT THE SITE HOLDS AN ATOM"]
    rows = zip(*result.atoms(threshold), strict=True)
    for number, (name, (x, y, z), certainty) in enumerate(rows, start=1):
        label = name.upper()
        lines.append(  # serial and residue numbers start again where their columns are full
            f"HETATM{number % 100000:5d} {label:>2s}   {label:>3s} A{number % 10000:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}{certainty:6.2f}{100 * (1 - certainty):6.2f}          {label:>2s}"
        )
    path.write_text("\n".join([*lines, "END"]) + "\n", encoding="ascii")


def _write_ply(result: Reconstruction, path: Path, threshold: float) -> None:
    """Mesh of spheres with vertex colours, binary Stanford PLY; lengths in A."""
    mesh = atom_mesh(result, threshold)
    fields = [(f"n{a}" if kind == "normal" else a, "<f4") for kind in ("place", "normal") for a in "xyz"]
    fields += [(name, "u1") for name in ("red", "green", "blue")]
    vertices = np.zeros(len(mesh.vertices), dtype=fields)
    for names, values in (
        ("x y z", mesh.vertices),
        ("nx ny nz", mesh.normals),
        ("red green blue", mesh.colours),
    ):
        for column, field in enumerate(names.split()):
            vertices[field] = values[:, column]
    faces = np.zeros(len(mesh.faces), dtype=[("n", "u1"), ("v", "<u4", 3)])
    faces["n"] = 3
    faces["v"] = mesh.faces
    header = ["ply", "format binary_little_endian 1.0", "comment lengths in A, colour by certainty"]
    header += [f"element vertex {len(vertices)}"]
    header += [f"property {'float' if kind == '<f4' else 'uchar'} {field}" for field, kind in fields]
    header += [f"element face {len(faces)}", "property list uchar uint vertex_indices", "end_header", ""]
    path.write_bytes("\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes())


def _write_glb(result: Reconstruction, path: Path, threshold: float) -> None:
    """Mesh of spheres with vertex colours, binary glTF 2.0; one unit is one A, z of the crystal is up."""
    mesh = atom_mesh(result, threshold)
    upright = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)  # glTF's y is up
    vertices, normals = mesh.vertices @ upright.T, mesh.normals @ upright.T
    linear = np.round(255 * (mesh.colours / 255.0) ** 2.2).astype(np.uint8)  # vertex colours are linear
    colours = np.column_stack([linear, np.full(len(linear), 255, np.uint8)])
    blocks = [np.ascontiguousarray(part).tobytes() for part in (vertices, normals, colours, mesh.faces)]
    starts = np.concatenate([[0], np.cumsum([len(block) for block in blocks])]).tolist()
    views = [
        {"buffer": 0, "byteOffset": start, "byteLength": len(block), "target": 34963 if i == 3 else 34962}
        for i, (start, block) in enumerate(zip(starts, blocks, strict=False))
    ]
    count = len(vertices)
    box = {"min": vertices.min(axis=0).tolist(), "max": vertices.max(axis=0).tolist()} if count else {}
    scene = {
        "asset": {"version": "2.0", "generator": "stemcount"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "atoms"}],
        "meshes": [
            {"primitives": [
                {"attributes": {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}, "indices": 3, "material": 0}
            ]}
        ],
        "materials": [{"pbrMetallicRoughness": {"metallicFactor": 0.1, "roughnessFactor": 0.5}}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3", **box},
            {"bufferView": 1, "componentType": 5126, "count": count, "type": "VEC3"},
            {"bufferView": 2, "componentType": 5121, "normalized": True, "count": count, "type": "VEC4"},
            {"bufferView": 3, "componentType": 5125, "count": mesh.faces.size, "type": "SCALAR"},
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": starts[-1]}],
    }  # fmt: skip
    text = json.dumps(scene).encode("utf-8")
    text += b" " * (-len(text) % 4)
    binary = b"".join(blocks)
    total = 12 + 8 + len(text) + 8 + len(binary)
    parts = [b"glTF", (2).to_bytes(4, "little"), total.to_bytes(4, "little")]
    for kind, chunk in ((b"JSON", text), (b"BIN\0", binary)):
        parts += [len(chunk).to_bytes(4, "little"), kind, chunk]
    path.write_bytes(b"".join(parts))


def _write_pov(result: Reconstruction, path: Path, threshold: float) -> None:
    """Scene for POV-Ray, whose axes are x right, y up, z into the page: the image frame, y turned over."""
    table = atom_table(result)
    chosen = table.certainty >= threshold
    xyz = table.positions[chosen] @ view_rotation(oblique_view(result)).T * (1, -1, 1)
    if len(xyz):
        xyz -= (xyz.min(axis=0) + xyz.max(axis=0)) / 2
    radii = sphere_diameters(result, table)[chosen] / 2
    reach = float(np.linalg.norm(xyz, axis=1).max(initial=1.0)) + float(radii.max(initial=1.0))
    lines = [
        "// atoms by certainty, or species; lengths in A.  povray +W1200 +H1200 +A0.1 this_file",
        "#version 3.7;",
        "global_settings { assumed_gamma 1.0 }",
        "background { color rgb 1 }",
        f"camera {{ orthographic location <0, 0, {-3 * reach:.3f}> look_at <0, 0, 0>",
        f"  right x*{2.1 * reach:.3f}*image_width/image_height up y*{2.1 * reach:.3f} }}",
        f"light_source {{ <{-2 * reach:.3f}, {3 * reach:.3f}, {-4 * reach:.3f}> color rgb 1.1 }}",
        f"light_source {{ <{3 * reach:.3f}, 0, {-3 * reach:.3f}> color rgb 0.35 shadowless }}",
        "#declare Finish = finish { ambient 0.12 diffuse 0.75 specular 0.35 roughness 0.02 }",
        "#macro Atom(X, Y, Z, S, R, G, B) sphere { <X, Y, Z>, S",
        "  texture { pigment { color srgb <R, G, B> } finish { Finish } } } #end",
    ]
    colours = display_colours(result, table)[chosen]
    for row in np.column_stack([xyz, radii, colours]):
        lines.append("Atom(" + ", ".join(f"{v:.3f}" for v in row) + ")")
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


EXPORT_FORMATS = {
    "xyz": "extended XYZ with certainty (OVITO, ASE)",
    "cif": "CIF with certainty as occupancy (VESTA, CrystalMaker)",
    "pdb": "PDB for programs that read nothing newer",
    "csv": "table of all sites",
    "ply": "mesh of spheres, Stanford PLY (Blender, MeshLab)",
    "glb": "mesh of spheres, binary glTF (Blender, slides, browsers)",
    "pov": "POV-Ray scene",
    "html": "web page with the atoms in 3D, works offline",
}
"""What `export` writes: format and what it is for."""

WRITERS: dict[str, Callable[[Reconstruction, Path, float], None]] = {
    "cif": _write_cif,
    "pdb": _write_pdb,
    "csv": _write_csv,
    "ply": _write_ply,
    "glb": _write_glb,
    "pov": _write_pov,
}
"""How a format is written; pages and XYZ files have functions of their own."""
