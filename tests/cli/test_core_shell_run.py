"""Crystals of several species from project file to result folder, on images made here."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli.commands.demo import run_demo
from stemcount.cli.pipeline import run_project

AXES = ((1, 1, 0), (1, 0, 0), (0, 1, 0))
PBSE_IN_CDSE = """
[crystal]
structure = "core_shell"
a = 6.15
core = { structure = "rock_salt", species = ["Pb", "Se"] }
shell = { structure = "zinc_blende", species = ["Cd", "Se"] }
"""
CDSE_IN_CDS = """
[crystal]
structure = "core_shell"
a = 5.95
core = { structure = "zinc_blende", species = ["Cd", "Se"] }
shell = { structure = "zinc_blende", species = ["Cd", "S"] }
target = "Se"
"""
ONE_PHASE = '\n[crystal]\nstructure = "{}"\nspecies = ["{}", "{}"]\na = {}\n'


def write_project(folder, crystal, particle, seed=1):
    """Images of a particle along AXES in random rotations, and a project file."""
    rng = np.random.default_rng(seed)
    text = crystal
    for number, axis in enumerate(AXES):
        image, _ = stemcount.simulate_compound(
            particle.species,
            particle.positions,
            axis,
            seed=seed + number,
            pixel_size=0.22,
            tail=(0.1, 1.9),
            angle=float(rng.uniform(0, 360)),
            name=f"view_{number}",
        )
        stemcount.save_image(image, folder / f"view_{number}.hspy")
        text += f'\n[[image]]\nfile = "view_{number}.hspy"\nzone_axis = {list(axis)}\n'
    path = folder / "project.toml"
    path.write_text(text + "\n[reconstruction]\nruns = 3\n")
    return path


def wrong_by_species(result, particle):
    """Missed and false atoms of each species over the true ones, where the target's match best."""
    match = tomo.compare_sites(result.occupied(), particle.sites[0])
    found = [result.occupied(), *(c.occupied() + np.array(c.offset) for c in result.companions)]
    wrong = {}
    for lattice, sites, have in zip(particle.crystal.sublattices, particle.sites, found, strict=True):
        places = have @ match.operation.T + match.shift, sites + np.array(lattice.offset)
        one, two = ({tuple(p) for p in np.rint(4 * xyz).astype(int).tolist()} for xyz in places)
        wrong[lattice.species] = len(one ^ two) / len(two)
    return wrong


@pytest.fixture(scope="module")
def core_shell(tmp_path_factory):
    """A small PbSe core in a CdSe shell, and its result folder."""
    folder = tmp_path_factory.mktemp("core_shell")
    crystal = tomo.core_shell(tomo.rock_salt("Pb", "Se", 6.15), tomo.zinc_blende("Cd", "Se", 6.15), "Pb")
    particle = tomo.core_shell_particle(crystal, 80, 6.0, islands=1, seed=5)
    project = write_project(folder, PBSE_IN_CDSE, particle)
    shares = []
    result = run_project(project, folder / "out", progress=shares.append)
    assert shares == sorted(shares), "the species share one progress"
    assert shares[-1] == pytest.approx(1.0)
    return particle, result, folder / "out"


def test_core_and_shell_are_found(core_shell):
    particle, result, _ = core_shell
    wrong = wrong_by_species(result, particle)
    assert wrong["Pb"] <= 0.03
    assert wrong["Cd"] <= 0.10
    assert wrong["Se"] <= 0.10


def test_the_result_folder_tells_of_the_core(core_shell):
    particle, _, out = core_shell
    summary = json.loads((out / "summary.json").read_text())
    core = summary["core"]
    assert core["species"] == "Pb"
    assert core["atoms"] == pytest.approx(len(particle.sites[0]), abs=3)
    assert np.isfinite(core["offset_from_centre_of_crystal_A"]).all()
    assert {"111", "100", "110"} == set(core["shell_thickness_A"])
    families = {facet["family"] for facet in summary["facets"]}
    assert families <= {"111", "100", "110"}
    assert all(0 <= layer["completeness"] <= 1 for f in summary["facets"] for layer in f["layers"])
    assert len(summary["profiles"]) == len(summary["facets"])
    assert set(summary["profiles"][0]["share"]) == {"Pb / (Pb + Cd)"}
    for interface in summary["interfaces"]:
        selenium = interface["shifts"].get("Se")
        assert selenium is None or abs(selenium["lateral_A"]) < 0.1
    assert summary["crystal"]["core"] == {"structure": "rock_salt", "species": ["Pb", "Se"]}
    assert "species" not in summary["crystal"]


def test_wrong_atoms_of_every_species_are_told_by_chains(core_shell):
    particle, result, out = core_shell
    told = json.loads((out / "summary.json").read_text())["atoms"]
    expected = {name: of["expected_wrong_atoms"] for name, of in told["species"].items()}
    assert expected["Pb"] == told["expected_wrong_atoms"], "the total and its species are told alike"
    wrong = wrong_by_species(result, particle)
    for name, sites in zip(("Pb", "Se", "Cd"), particle.sites, strict=True):
        assert abs(expected[name] - wrong[name] * len(sites)) < 0.1 * len(sites)


def test_the_report_shows_species_and_facets(core_shell):
    _, _, out = core_shell
    for name in ("species", "facets", "profiles"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 5000
    page = (out / "report.html").read_text()
    assert "PbSe/CdSe particle from 3 views" in page
    assert "Facets of the Pb crystal" in page


def test_the_atoms_leave_with_their_species(core_shell):
    _, result, out = core_shell
    rows = [line.split() for line in (out / "atoms.xyz").read_text().splitlines()[2:]]
    assert {row[0] for row in rows} == {"Pb", "Se", "Cd"}
    again = tomo.load_reconstruction(out)
    assert [c.species for c in again.companions] == [c.species for c in result.companions]
    assert len(rows) == len(again.atoms()[0])


def test_the_target_alone_is_counted_as_if_nothing_else_stood_in_its_columns(core_shell, tmp_path):
    particle, _, out = core_shell
    project = out.parent / "target.toml"
    text = (out.parent / "project.toml").read_text()
    project.write_text(f'{text}species = "target"\ncounts = "hard"\n')
    shutil.copytree(out / "stages", tmp_path / "out" / "stages")  # the images are measured alike
    result = run_project(project, tmp_path / "out", progress=False, figures=False)
    assert result.companions == ()
    assert all(view.counts is not None for view in result.views)
    assert tomo.compare_sites(result.occupied(), particle.sites[0]).wrong_fraction <= 0.03
    assert set(json.loads((tmp_path / "out" / "summary.json").read_text())["atoms"]["species"]) == {"Pb"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "crystal"),
    [
        (ONE_PHASE.format("rock_salt", "Pb", "Se", 6.1), tomo.rock_salt("Pb", "Se", 6.1)),
        (ONE_PHASE.format("zinc_blende", "Cd", "Se", 6.05), tomo.zinc_blende("Cd", "Se", 6.05)),
        (ONE_PHASE.format("zinc_blende", "Cd", "Te", 6.48), tomo.zinc_blende("Cd", "Te", 6.48)),
        (
            CDSE_IN_CDS,
            tomo.core_shell(tomo.zinc_blende("Cd", "Se", 5.95), tomo.zinc_blende("Cd", "S", 5.95), "Se"),
        ),
    ],
    ids=["rock salt", "zinc blende", "alike", "equal structure"],
)
def test_other_crystals_take_the_same_way(tmp_path, text, crystal):
    particle = tomo.core_shell_particle(crystal, 150, 6.0, seed=7)
    result = run_project(
        write_project(tmp_path, text, particle), tmp_path / "out", progress=False, figures=False
    )
    wrong = wrong_by_species(result, particle)
    assert wrong[crystal.species] <= 0.03
    assert max(wrong.values()) <= 0.15
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert ("interfaces" in summary) == (len(crystal.phases) > 1)


@pytest.mark.slow
def test_the_core_shell_demo(tmp_path, capsys):
    comparison = run_demo(tmp_path / "out", sample="core-shell")
    assert comparison.wrong_fraction <= 0.03
    said = capsys.readouterr().out
    assert "Truth: 281 Pb atoms" in said
    assert "Truth: 347 Cd atoms" in said
    with (tmp_path / "out" / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["species"] for row in rows} == {"Pb", "Se", "Cd"}
    assert sum(row["status"] != "false" for row in rows) == 281 + 875 + 347
    assert next(iter((tmp_path / "out").glob("core.*"))).stat().st_size > 10000


@pytest.mark.parametrize(
    ("a", "axes", "words"),
    [
        ("4.08", AXES[:2], r'gold_0: .* holds Se; .*structure = "fcc"'),
        ("6.10", AXES, r'gold_0: \d+ of \d+ columns lie on no line .* Pb/Se/Cd with a = 6\.1 A.*"fcc"'),
        pytest.param(
            "6.10",
            AXES[1:],
            r'Pb \(target\): .* no atom of it beside Se and Cd; .*"fcc"',
            marks=pytest.mark.slow,
        ),
    ],
    ids=["its own a", "another lattice", "the same lattice"],
)
def test_images_of_a_metal_are_refused(tmp_path, a, axes, words):
    """A project of a core-shell crystal whose images show gold; from [100] alone it might be zinc blende."""
    gold = tomo.phantoms.random_particle(120, "rough", seed=4)
    text = PBSE_IN_CDSE.replace("6.15", a)
    for number, axis in enumerate(axes):
        image, _ = stemcount.simulate_crystal(2.04 * gold, axis, seed=number, name=f"gold_{number}")
        stemcount.save_image(image, tmp_path / f"gold_{number}.hspy")
        text += f'\n[[image]]\nfile = "gold_{number}.hspy"\nzone_axis = {list(axis)}\n'
    (tmp_path / "project.toml").write_text(text)
    with pytest.raises(stemcount.InputError, match=words):
        run_project(tmp_path / "project.toml", tmp_path / "out", progress=False)


def test_a_sample_that_does_not_exist(tmp_path):
    with pytest.raises(stemcount.InputError, match="no sample 'silver'; expected one of gold, core-shell"):
        run_demo(tmp_path, sample="silver")


def test_a_refusal_tells_what_is_wrong_with_the_images(tmp_path, monkeypatch):
    image = stemcount.ZoneAxisImage(np.eye(9), 0.2, (1, 1, 0))
    stemcount.save_image(image, tmp_path / "one.hspy")
    project = tmp_path / "project.toml"
    project.write_text(PBSE_IN_CDSE + '\n[[image]]\nfile = "one.hspy"\nzone_axis = [1, 1, 0]\n')
    seen = SimpleNamespace(image=image, fit=None, warnings=("one: there is a film.",))

    def refuse(*_):
        raise stemcount.InputError("they contradict each other.")

    monkeypatch.setattr("stemcount.cli.core_shell.typed_image", lambda *_: seen)
    monkeypatch.setattr("stemcount.cli.core_shell.settle_views", refuse)
    with pytest.raises(stemcount.InputError):
        run_project(project, tmp_path / "out", progress=False)
    said = (tmp_path / "out" / "refused.txt").read_text()
    assert said == "they contradict each other.\nwarning: one: there is a film.\n"
