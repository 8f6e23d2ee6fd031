"""Files for other programs: they open, and hold the same atoms."""

import base64
import csv
import dataclasses
import json
import re

import numpy as np
import pytest

import viewers
from stemcount import InputError
from viewers.mesh import atom_mesh, unit_sphere

ase_io = pytest.importorskip("ase.io")


def expected_positions(result, threshold=0.5):
    return result.crystal.a / 2 * result.occupied(threshold)


def same_set(one, two, tolerance):
    assert len(one) == len(two)
    one = np.asarray(one) - np.mean(one, axis=0)
    two = np.asarray(two) - np.mean(two, axis=0)
    order = [np.lexsort(np.round(part / tolerance / 10).T) for part in (one, two)]
    np.testing.assert_allclose(one[order[0]], two[order[1]], atol=tolerance)


@pytest.mark.parametrize("format", ["xyz", "pdb"])
def test_ase_reads_the_atoms(result, tmp_path, format):
    atoms = ase_io.read(viewers.export(result, tmp_path / f"atoms.{format}"))
    assert set(atoms.get_chemical_symbols()) == {"Au"}
    same_set(atoms.positions, expected_positions(result), 2e-3)


def test_ase_reads_the_occupancies_of_a_cif(result, tmp_path):
    atoms = ase_io.read(viewers.export(result, tmp_path / "atoms.cif"))
    same_set(atoms.positions, expected_positions(result, 1e-9), 2e-3)
    occupancy = [site["Au"] for site in atoms.info["occupancy"].values()]
    np.testing.assert_allclose(sorted(occupancy), np.sort(result.certainty), atol=1e-4)
    assert atoms.positions.min() > 1  # nothing touches its periodic image
    assert (atoms.cell.lengths() - atoms.positions.max(axis=0)).min() > 1


def test_pdb_columns_are_where_the_format_wants_them(result, tmp_path):
    lines = viewers.export(result, tmp_path / "atoms.pdb").read_text().splitlines()
    atom = next(line for line in lines if line.startswith("HETATM"))
    assert float(atom[30:38]) == pytest.approx(expected_positions(result)[0, 0], abs=1e-3)
    assert atom[76:78] == "AU"
    assert float(atom[54:60]) == pytest.approx(result.certainty[result.certainty >= 0.5][0], abs=0.006)


def test_csv_holds_every_site(result, tmp_path):
    with viewers.export(result, tmp_path / "atoms.csv").open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_array_equal([[int(r[k]) for k in "hkl"] for r in rows], result.sites)
    np.testing.assert_allclose([float(r["certainty"]) for r in rows], result.certainty, atol=1e-6)


def test_spheres_are_closed_and_face_outwards():
    vertices, faces = unit_sphere(1)
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1)
    corners = vertices[faces]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.all(np.sum(outward * corners.mean(axis=1), axis=1) > 0)
    volume = np.sum(np.linalg.det(corners)) / 6
    assert 0.85 < volume / (4 / 3 * np.pi) < 1
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert set(np.unique(edges, axis=0, return_counts=True)[1]) == {2}


def test_ply_holds_the_mesh(result, tmp_path):
    mesh = atom_mesh(result)
    content = viewers.export(result, tmp_path / "atoms.ply").read_bytes()
    header, body = content.split(b"end_header\n", 1)
    assert f"element vertex {len(mesh.vertices)}".encode() in header
    assert len(body) == 27 * len(mesh.vertices) + 13 * len(mesh.faces)
    np.testing.assert_array_equal(np.frombuffer(body, "<f4", 3), mesh.vertices[0])


def test_glb_chunks_and_accessors_fit(result, tmp_path):
    content = viewers.export(result, tmp_path / "atoms.glb").read_bytes()
    assert content[:4] == b"glTF"
    assert int.from_bytes(content[8:12], "little") == len(content)
    length = int.from_bytes(content[12:16], "little")
    scene = json.loads(content[20 : 20 + length])
    binary = content[28 + length :]
    assert scene["buffers"][0]["byteLength"] == len(binary)
    size = {5126: 4, 5121: 1, 5125: 4}
    width = {"VEC3": 3, "VEC4": 4, "SCALAR": 1}
    for accessor in scene["accessors"]:
        view = scene["bufferViews"][accessor["bufferView"]]
        assert (
            view["byteLength"]
            == accessor["count"] * size[accessor["componentType"]] * width[accessor["type"]]
        )
        assert view["byteOffset"] % 4 == 0
    box = scene["accessors"][0]
    places = np.frombuffer(binary, "<f4", 3 * box["count"]).reshape(-1, 3)
    np.testing.assert_allclose(places.min(axis=0), box["min"], atol=1e-5)
    up = expected_positions(result)[:, 2].max() + result.crystal.a / np.sqrt(8)
    assert places[:, 1].max() == pytest.approx(up, rel=0.05)  # z of the crystal is up


def test_pov_has_one_sphere_for_each_atom(result, tmp_path):
    text = viewers.export(result, tmp_path / "atoms.pov").read_text()
    assert text.count("\nAtom(") == len(result.occupied())
    assert text.count("{") == text.count("}")


def test_threshold_and_format_argument(result, tmp_path):
    path = viewers.export(result, tmp_path / "structure.txt", "xyz", threshold=0.9)
    assert int(path.read_text().split()[0]) == np.sum(result.certainty >= 0.9)


def test_a_page_holds_the_sites_that_it_was_asked_for(result, tmp_path):
    for threshold in (None, 0.9):
        page = viewers.export(result, tmp_path / "atoms.html", threshold=threshold).read_text()
        data = json.loads(re.search(r'type="application/json">(.*?)</script>', page)[1])
        certainty = np.frombuffer(base64.b64decode(data["certainty"]), "<f4")
        kept = result.certainty >= (threshold or 0.0)
        np.testing.assert_allclose(certainty, result.certainty[kept], rtol=1e-6)
        sites = np.frombuffer(base64.b64decode(data["sites"]), "<i2").reshape(-1, 3)
        np.testing.assert_array_equal(sites, result.sites[kept])
        assert f"<h1>Au: {np.sum(result.certainty >= (threshold or 0.5))} atoms</h1>" in page


def test_mistakes_are_named(result, tmp_path):
    with pytest.raises(InputError, match="expected one of xyz, cif"):
        viewers.export(result, tmp_path / "atoms.docx")
    (tmp_path / "nowhere").touch()
    with pytest.raises(InputError, match="nowhere"):
        viewers.export(result, tmp_path / "nowhere" / "atoms.csv")
    with pytest.raises(InputError, match="no crystal"):
        viewers.export(dataclasses.replace(result, crystal=None), tmp_path / "atoms.xyz")


@pytest.mark.parametrize("format", ["xyz", "cif", "pdb", "csv", "ply", "glb", "pov", "html"])
def test_a_crystal_without_atoms_is_written_too(result, tmp_path, format):
    nothing = dataclasses.replace(
        result, sites=result.sites[:0], certainty=result.certainty[:0], runs=result.runs[:, :0]
    )
    assert viewers.export(nothing, tmp_path / f"empty.{format}").stat().st_size > 20


def test_ase_reads_the_extended_columns_of_xyz(result, tmp_path):
    """As OVITO wants them: species and pos first, other properties by name, key=value pairs, no cell."""
    path = viewers.export(result, tmp_path / "atoms.xyz")
    comment = path.read_text().splitlines()[1]
    assert comment.startswith("Properties=species:S:1:pos:R:3:certainty:R:1 ")
    atoms = ase_io.read(path, format="extxyz")
    sure = result.certainty >= 0.5
    np.testing.assert_allclose(atoms.arrays["certainty"], result.certainty[sure], atol=1e-6)
    assert not atoms.pbc.any()
    assert atoms.cell.rank == 0
    assert atoms.info["a"] == pytest.approx(result.crystal.a)


class TestSeveralSpecies:
    def test_ase_reads_every_species(self, core_shell_result, tmp_path):
        symbols, positions, certainty = core_shell_result.atoms(0.5)
        for format in ("xyz", "pdb"):
            atoms = ase_io.read(viewers.export(core_shell_result, tmp_path / f"atoms.{format}"))
            assert atoms.get_chemical_symbols() == symbols
            np.testing.assert_allclose(atoms.positions, positions, atol=2e-3)
        np.testing.assert_allclose(
            ase_io.read(tmp_path / "atoms.xyz").arrays["certainty"], certainty, atol=1e-6
        )

    def test_a_cif_holds_the_occupancies_of_all(self, core_shell_result, tmp_path):
        path = viewers.export(core_shell_result, tmp_path / "atoms.cif")
        atoms = ase_io.read(path)
        symbols, _, certainty = core_shell_result.atoms(1e-9)
        assert sorted(atoms.get_chemical_symbols()) == sorted(symbols)
        occupancy = [next(iter(site.values())) for site in atoms.info["occupancy"].values()]
        np.testing.assert_allclose(sorted(occupancy), np.sort(certainty), atol=1e-4)
        assert "_chemical_formula_sum 'Cd" in path.read_text()

    def test_the_table_names_the_species(self, core_shell_result, tmp_path):
        with viewers.export(core_shell_result, tmp_path / "atoms.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["species"] for row in rows] == core_shell_result.atoms(0.0)[0]
        half = core_shell_result.crystal.a / 2
        cadmium = next(row for row in rows if row["species"] == "Cd")
        offset = next(c.offset for c in core_shell_result.companions if c.species == "Cd")
        for index, place, shift in zip("hkl", ("x_A", "y_A", "z_A"), offset, strict=True):
            assert float(cadmium[place]) == pytest.approx(half * (int(cadmium[index]) + shift), abs=1e-3)

    def test_scenes_show_each_species_in_its_colour_and_size(self, core_shell_result, tmp_path):
        mesh = atom_mesh(core_shell_result)
        assert len(np.unique(mesh.colours, axis=0)) == 3
        text = viewers.export(core_shell_result, tmp_path / "atoms.pov").read_text()
        lines = [line for line in text.splitlines() if line.startswith("Atom(")]
        assert len(lines) == len(core_shell_result.atoms()[0])
        radii = {line.split(",")[3] for line in lines}
        assert len(radii) == 2
        for format in ("ply", "glb", "html"):
            assert viewers.export(core_shell_result, tmp_path / f"atoms.{format}").stat().st_size > 1000
