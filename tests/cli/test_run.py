"""The pipeline from images to atoms, on images made here with a known answer."""

import contextlib
import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from errno import ENOSPC
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli import one_species
from stemcount.cli.app import main
from stemcount.cli.pipeline import run_images, run_project
from stemcount.cli.run import Run

A = 3.92  # a Pt-like lattice parameter: not the sample's


def stemcount_command(folder, *arguments):
    """A command in this process, which saves its start; what goes wrong leaves by SystemExit."""
    with contextlib.chdir(folder), mock.patch.object(sys, "argv", ["stemcount", *arguments]):
        main()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Images of a rough particle along three axes, written by `stemcount simulate`."""
    folder = tmp_path_factory.mktemp("particle")
    sites = tomo.phantoms.random_particle(400, kind="rough", seed=5)
    rows = [f"Pt {x:.5f} {y:.5f} {z:.5f}" for x, y, z in sites * A / 2]
    (folder / "pt.xyz").write_text("\n".join([str(len(rows)), "", *rows]) + "\n")
    axes = [item for axis in ("1,0,0", "1,1,0", "0,1,1") for item in ("--zone-axis", axis)]
    stemcount_command(folder, "simulate", "pt.xyz", *axes, "--a", str(A), "--dose", "1e5", "--out", "images")
    return folder / "images" / "project.toml", sites


@pytest.fixture(scope="module")
def stopped(project, tmp_path_factory):
    """A run that got Ctrl-C after the first fit: folder, time stamp of the fit, exit code, what it said."""
    out = tmp_path_factory.mktemp("out")
    command = [sys.executable, "-m", "stemcount", "run", str(project[0]), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    kept = out / "stages" / "image_100_fit.npz"
    deadline = time.monotonic() + 120
    while not kept.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    return out, kept.stat().st_mtime_ns, process.returncode, said


@pytest.fixture(scope="module")
def result_folder(project, stopped):
    """What the run left when it was started again."""
    run_project(project[0], stopped[0], runs=4, progress=False)
    return stopped[0]


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_a_stopped_run_goes_on_where_it_was(stopped, result_folder):
    _, stamp, code, said = stopped
    assert code == 1
    assert "goes on from there" in said
    assert "Traceback" not in said
    assert (result_folder / "stages" / "image_100_fit.npz").stat().st_mtime_ns == stamp


def test_the_particle_is_found(project, result_folder):
    result = tomo.load_reconstruction(result_folder)
    comparison = tomo.compare_sites(result.occupied(0.5), project[1])
    assert comparison.wrong_fraction <= 0.02


def test_the_result_folder_holds_what_the_contract_says(result_folder):
    for name in ("summary.json", "reconstruction.h5", "atoms.xyz", "report.html"):
        assert (result_folder / name).stat().st_size > 0
    header = (result_folder / "image_110" / "columns.csv").read_text().splitlines()[0]
    assert header == "x,y,height,width,cross_section,cross_section_std,count,count_probability,h,k,l"
    header = (result_folder / "image_110" / "lattice.csv").read_text().splitlines()[0]
    assert header.startswith("x,y,on_lattice,doubtful,residual,displacement_x")
    summary = json.loads((result_folder / "summary.json").read_text())
    assert {"atoms", "agreement", "warnings", "versions", "seed", "seconds"} <= summary.keys()
    atoms = (result_folder / "atoms.xyz").read_text().splitlines()
    assert int(atoms[0]) == summary["atoms"]["atoms"] == len(atoms) - 2
    assert "species:S:1:pos:R:3:certainty:R:1" in atoms[1]
    drawn = {path.stem for path in (result_folder / "figures").glob("*.png")}
    of_images = {
        f"image_{zone}_{kind}" for zone in ("100", "110", "011") for kind in ("fit", "histogram", "counts")
    }
    assert drawn >= of_images | {"atoms", "certainty", "reprojections", "plane_sums"}


def test_the_table_lies_on_the_grid_of_the_atoms(result_folder):
    """The columns' grid lines in the tables are those that the atoms occupy."""
    from stemcount.cli.result_folder.tables import read_table

    result = tomo.load_reconstruction(result_folder)
    table = read_table(result_folder / "image_110" / "columns.csv", ("count",))
    named = np.isfinite(table["h"])
    sites = np.column_stack([table[k][named] for k in "hkl"]).astype(int)
    view = tomo.View(zone_axis=(1, 1, 0), column_sites=sites, counts=table["count"][named].astype(int))
    reprojected = tomo.reproject(result.occupied(0.5), view)
    assert np.mean(np.abs(reprojected - table["count"][named]) <= 1) > 0.95


def test_a_second_run_computes_nothing_again(project, result_folder):
    before = (result_folder / "atoms.xyz").read_bytes()
    stages = {p: p.stat().st_mtime_ns for p in (result_folder / "stages").rglob("*") if p.is_file()}
    run_project(project[0], result_folder, runs=4, progress=False, figures=False)
    assert (result_folder / "atoms.xyz").read_bytes() == before
    assert stages == {p: p.stat().st_mtime_ns for p in stages}


def test_images_in_memory_give_what_their_files_give(project, result_folder, tmp_path, capsys, monkeypatch):
    """The same stages, so that nothing is computed again, in silence, with all that there is to say."""
    shutil.copytree(result_folder / "stages", tmp_path / "stages")
    monkeypatch.setattr("stemcount.cli.pipeline.TemporaryDirectory", lambda: contextlib.nullcontext(tmp_path))
    monkeypatch.setattr("stemcount.cli.one_image.measured.find_and_fit", None)
    monkeypatch.setattr("stemcount.cli.one_species.read_together", None)
    zones = {"100": (1, 0, 0), "110": (1, 1, 0), "011": (0, 1, 1)}
    images = [stemcount.load_image(project[0].with_name(f"image_{zone}.hspy"), zones[zone]) for zone in zones]
    pt = {"structure": "fcc", "species": ["Pt"], "a": A}
    result = run_images(images, pt, reconstruction={"runs": 4})
    written = tomo.load_reconstruction(result_folder)
    np.testing.assert_array_equal(result.sites, written.sites)
    np.testing.assert_array_equal(result.certainty, written.certainty)
    assert list(result.warnings) == json.loads((result_folder / "summary.json").read_text())["warnings"]
    assert capsys.readouterr() == ("", "")
    again = pickle.loads(pickle.dumps(result))  # as a worker process hands it back
    np.testing.assert_array_equal(again.runs, result.runs)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"reconstuction": {}}, "unknown key reconstuction"),
        ({"fit": {"peak": "square"}}, r"fit\.peak"),
        ({}, r"image\[1\] \(image_1\)\.zone_axis"),
    ],
)
def test_mistakes_with_images_in_memory_are_named(tables, words):
    unknown = [stemcount.ZoneAxisImage(np.eye(9), 0.2)] * 2
    known = [stemcount.ZoneAxisImage(np.eye(9), 0.2, axis) for axis in ((1, 0, 0), (1, 1, 0))]
    with pytest.raises(stemcount.InputError, match=words):
        run_images(known if tables else unknown, {"structure": "fcc", "species": ["Pt"], "a": A}, **tables)


def test_titles_of_images_in_memory_may_hold_anything():
    images = [
        stemcount.ZoneAxisImage(np.eye(9), 0.2, axis, name="HAADF 5 Mx/1") for axis in ((1, 0, 0), (1, 1, 0))
    ]
    with pytest.raises(stemcount.InputError, match=r"^HAADF 5 Mx_1_1: "):  # of its columns, not of its name
        run_images(images, {"structure": "fcc", "species": ["Pt"], "a": A})


RESULTS = ("atoms.xyz", "reconstruction.h5", "report.html", "summary.json")


def write_result(folder, text):
    for name in RESULTS:
        (folder / name).write_text(text)


def results_of(folder):
    """What the result files of a folder hold."""
    return {(folder / name).read_text() for name in RESULTS if (folder / name).exists()}


@pytest.mark.parametrize("ending", [stemcount.InputError("no columns"), KeyboardInterrupt()])
def test_an_earlier_result_is_kept_aside_by_a_refused_or_stopped_run(
    project, tmp_path, monkeypatch, ending, capsys
):
    def end(*_):
        (tmp_path / "reconstruction.h5").write_text("half")
        raise ending

    write_result(tmp_path, "first")
    with pytest.raises(stemcount.InputError, match="no such project"):
        run_project(tmp_path / "no.toml", tmp_path, progress=False)
    assert results_of(tmp_path) == {"first"}, "moved for a typing mistake"
    monkeypatch.setattr("stemcount.cli.pipeline.run_one_species", end)
    for _ in range(2):  # what the first of them leaves half written is no result
        with pytest.raises(type(ending)) as raised:
            run_project(project[0], tmp_path)
        assert results_of(tmp_path) == {"half"}
        assert results_of(tmp_path / "earlier") == {"first"}
        assert raised.value.__notes__[-1] in capsys.readouterr().err
        assert str(tmp_path / "earlier") in raised.value.__notes__[-1]


@pytest.mark.parametrize("error", [stemcount.InputError, tomo.InputError])
def test_a_refused_run_leaves_the_sentence_why(project, tmp_path, monkeypatch, error):
    def refuse(*_):
        raise error("no columns")

    monkeypatch.setattr("stemcount.cli.pipeline.run_one_species", refuse)
    with pytest.raises(error):
        run_project(project[0], tmp_path, progress=False)
    assert (tmp_path / "refused.txt").read_text() == "no columns\n"
    monkeypatch.setattr("stemcount.cli.pipeline.run_one_species", lambda *_: None)
    run_project(project[0], tmp_path, progress=False)
    assert not (tmp_path / "refused.txt").exists()


def test_a_refusal_tells_what_is_wrong_with_the_images(project, tmp_path, monkeypatch, capsys):
    image = stemcount.ZoneAxisImage(np.eye(9), 0.2, (1, 0, 0), name="a")
    faults = SimpleNamespace(drawn_out=stemcount.Elongation(0.05, 10.0, 20.0))
    stage = SimpleNamespace(
        image=image, fit=None, counts=None, warnings=("a: there is a film.",), faults=faults
    )

    def refuse(*_):
        with one_species._images_blamed(Run(None, None), [stage]):
            raise tomo.InputError("they contradict each other.")

    monkeypatch.setattr("stemcount.cli.pipeline.run_one_species", refuse)
    with pytest.raises(tomo.InputError):
        run_project(project[0], tmp_path)
    assert "warning: a: there is a film.\n" in capsys.readouterr().err
    why, film, tilt = (tmp_path / "refused.txt").read_text().splitlines()
    assert (why, film) == ("they contradict each other.", "warning: a: there is a film.")
    assert "probably tilted" in tilt


def test_an_image_is_saved_before_it_is_measured_but_not_beside_another_ones_table(tmp_path):
    from stemcount.cli.result_folder.outputs import save_new_image

    image = stemcount.ZoneAxisImage(np.eye(9), 0.2, (1, 0, 0))
    save_new_image(tmp_path / "new", image)
    assert stemcount.load_image(tmp_path / "new" / "image.hspy").data.shape == (9, 9)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "columns.csv").touch()
    save_new_image(tmp_path / "old", image)
    assert not (tmp_path / "old" / "image.hspy").exists()


def test_a_full_disc_is_told_with_the_folder(project, tmp_path, monkeypatch):
    def write(*_):
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr("stemcount.cli.pipeline.run_one_species", write)
    with pytest.raises(OSError, match="No space") as raised:
        run_project(project[0], tmp_path)
    assert raised.value.filename == str(tmp_path)


def test_an_earlier_result_goes_once_there_is_a_new_one(project, tmp_path, monkeypatch):
    def work(*_):
        assert results_of(tmp_path) == set()
        assert results_of(tmp_path / "earlier") == {"second"}
        write_result(tmp_path, "third")

    (tmp_path / "earlier").mkdir()
    write_result(tmp_path / "earlier", "first")
    write_result(tmp_path, "second")
    monkeypatch.setattr("stemcount.cli.pipeline.run_one_species", work)
    run_project(project[0], tmp_path, progress=False)
    assert results_of(tmp_path) == {"third"}
    assert not (tmp_path / "earlier").exists()


def test_an_image_called_earlier_keeps_its_folder(project, tmp_path, monkeypatch):
    monkeypatch.setattr("stemcount.cli.pipeline.run_one_species", lambda *_: None)
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "columns.csv").touch()
    write_result(tmp_path, "first")
    run_project(project[0], tmp_path, progress=False)
    assert [path.name for path in (tmp_path / "earlier").iterdir()] == ["columns.csv"]


def test_an_unchanged_rerun_gives_the_same_result(project, result_folder, tmp_path):
    again = shutil.copytree(result_folder, tmp_path / "again")
    run_project(project[0], again, runs=4, progress=False, figures=False)
    assert (again / "atoms.xyz").read_bytes() == (result_folder / "atoms.xyz").read_bytes()
    assert not (again / "earlier").exists()


def test_what_was_set_aside_can_be_looked_at(result_folder, tmp_path):
    from stemcount.cli.result_folder.outputs import set_result_aside
    from viewers.result_folder import folder_layers

    folder = shutil.copytree(result_folder, tmp_path / "folder")
    aside = set_result_aside(folder)
    shutil.copy(aside / "reconstruction.h5", folder)
    assert len(folder_layers(folder)) == len(folder_layers(result_folder))
    assert len(folder_layers(aside)) == 1


@pytest.mark.parametrize("line", ['[counting]\nlibrary = "no.csv"', 'columns = "no.csv"'])
def test_a_missing_table_is_told_before_any_work(project, tmp_path, monkeypatch, line):
    path = project[0].with_name("missing.toml")
    path.write_text(f"{project[0].read_text()}\n{line}\n")
    monkeypatch.setattr("stemcount.cli.one_image.measured.find_and_fit", None)
    with pytest.raises(stemcount.InputError, match=r"no\.csv"):
        run_project(path, tmp_path, progress=False)


def test_same_seed_same_bits_whatever_the_workers(project, result_folder, tmp_path):
    """Images one after the other or side by side; what is told of them has one order, too."""
    told = []
    run_project(
        project[0],
        tmp_path,
        runs=4,
        workers=1,
        progress=False,
        on_stage=lambda name, _: told.append(name),
        figures=False,
    )
    images = [f"image_{zone}" for zone in ("100", "110", "011")]
    for name in ("atoms.xyz", *(f"{image}/columns.csv" for image in images)):
        assert (tmp_path / name).read_bytes() == (result_folder / name).read_bytes()
    stages = [f"{image}: {stage}" for image in images for stage in ("columns", "counts")]
    assert told == [*stages, "joint", "reconstruction"]
    summary, other = (
        json.loads((folder / "summary.json").read_text()) for folder in (tmp_path, result_folder)
    )
    assert list(summary["seconds"]) == list(other["seconds"])
    assert summary["warnings"] == other["warnings"]


def reconstructed(folder, tables):
    """What `stemcount reconstruct` makes of the tables of the three views."""
    views = [item for axis in ("100", "110", "011") for item in ("--zone-axis", axis)]
    crystal = ["--species", "Pt", "--a", str(A)]
    stemcount_command(folder, "reconstruct", *tables, *views, *crystal, "--out", "atoms", "--runs", "3")
    return tomo.load_reconstruction(folder / "atoms")


def test_stages_alone_reach_the_same_particle(project, tmp_path):
    images = project[0].parent
    curve = [0.03 * k**0.9 for k in range(1, 20)]  # of `simulate_crystal`
    (tmp_path / "library.csv").write_text("\n".join(["cross_section", *map(str, curve)]))
    tables = []
    for name in ("image_100", "image_110", "image_011"):
        stemcount_command(tmp_path, "fit", str(images / f"{name}.hspy"), "--out", f"{name}.csv")
        stemcount_command(
            tmp_path, "count", f"{name}.csv", "--library", "library.csv", "--out", f"{name}_counts.csv"
        )
        tables.append(f"{name}_counts.csv")
    result = reconstructed(tmp_path, tables)
    assert tomo.compare_sites(result.occupied(0.5), project[1]).wrong_fraction <= 0.02


def test_reconstruct_from_a_result_folders_tables(project, result_folder, tmp_path):
    tables = [str(result_folder / name / "columns.csv") for name in ("image_100", "image_110", "image_011")]
    result = reconstructed(tmp_path, tables)
    assert tomo.compare_sites(result.occupied(0.5), project[1]).wrong_fraction <= 0.05


def test_export_writes_every_format(result_folder, tmp_path):
    import viewers

    for name in viewers.EXPORT_FORMATS:
        stemcount_command(tmp_path, "export", str(result_folder), "--format", name, "--out", f"atoms.{name}")
        assert (tmp_path / f"atoms.{name}").stat().st_size > 100
    stemcount_command(tmp_path, "export", str(result_folder), "--format", "CIF", "--out", "new/atoms.cif")
    assert (tmp_path / "new" / "atoms.cif").read_text() == (tmp_path / "atoms.cif").read_text()


def test_settings_on_the_command_line_win(project):
    from stemcount.cli.pipeline import with_settings
    from stemcount.cli.project_file.project import load_project

    changed = with_settings(load_project(project[0]), runs=3, method="sample", seed=None)
    assert (changed.reconstruction.runs, changed.reconstruction.method, changed.reconstruction.seed) == (
        3,
        "sample",
        0,
    )
    with pytest.raises(stemcount.InputError, match="--method: expected 'anneal' or 'sample'; got 'guess'"):
        with_settings(load_project(project[0]), method="guess")


def test_what_the_user_fixes_is_kept(project, result_folder, tmp_path):
    """Orientations and places given in the project: atoms come out where they are, not turned or moved."""
    path, sites = project
    positions = sites * A / 2
    text = path.read_text().split("[[image]]")[0]
    for axis, direction in (((1, 0, 0), (0, 0, 1)), ((1, 1, 0), (0, 0, 1)), ((0, 1, 1), (1, 0, 0))):
        rotation = stemcount.simulation.simulate.view_rotation(axis)
        x, y = (rotation @ direction)[:2]
        place = (rotation @ positions[0] + 5.0 - (positions @ rotation.T).min(axis=0))[:2]
        name = "image_" + "".join(map(str, axis))
        text += f'[[image]]\nfile = "{path.parent / name}.hspy"\nzone_axis = {list(axis)}\n'
        text += f"fixed = {{ direction = {list(direction)}, angle = {np.degrees(np.arctan2(y, x)) + 5:.2f},"
        text += f" site = {sites[0].tolist()}, position = {place.tolist()} }}\n"
    (tmp_path / "fixed.toml").write_text(text)
    shutil.copytree(result_folder / "stages", tmp_path / "out" / "stages")
    result = run_project(tmp_path / "fixed.toml", tmp_path / "out", runs=2, progress=False, figures=False)
    found = {tuple(site) for site in result.occupied(0.5).tolist()}
    assert len(found ^ {tuple(site) for site in sites.tolist()}) <= 0.02 * len(sites)
    assert not (tmp_path / "out" / "figures").exists()


def test_flip_roi_and_start_positions(project, tmp_path):
    """An image that was scanned backwards, cut and given start positions gives the same columns."""
    from stemcount.cli.one_image.columns import given_positions, load_project_image
    from stemcount.cli.project_file.project import load_project

    source = project[0].parent / "image_110.hspy"
    image = stemcount.load_image(source)
    mirrored = stemcount.ZoneAxisImage(image.data[:, ::-1], image.pixel_size, (1, 1, 0), name="m")
    stemcount.save_image(mirrored, tmp_path / "m.hspy")
    (tmp_path / "start.csv").write_text("x,y\n5.0,6.0\n")
    text = Path(project[0]).read_text().split("[[image]]")[0]
    left, right, top, bottom = image.extent
    text += '[[image]]\nfile = "m.hspy"\nzone_axis = [1, 1, 0]\nflip = "x"\ncolumns = "start.csv"\n'
    text += f"roi = [{left + 1}, {right - 1}, {top}, {bottom}]\ndose = 2e4\n"
    (tmp_path / "p.toml").write_text(text)
    loaded = load_project(tmp_path / "p.toml")
    cut = load_project_image(loaded, loaded.image[0])
    assert cut.dose == 2e4
    assert cut.extent[0] >= left + 0.99
    assert cut.extent[1] <= right - 0.99
    first = round((cut.offset[0] - image.offset[0]) / image.pixel_size)
    np.testing.assert_allclose(cut.data, image.data[:, first : first + cut.data.shape[1]], rtol=1e-6)
    np.testing.assert_array_equal(given_positions(loaded, loaded.image[0]), [[5.0, 6.0]])
