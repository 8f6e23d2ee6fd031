"""Every mistake of a user: exit code 2 and one sentence that names the file and the field."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli.app import main

PROJECT = """
[crystal]
structure = "fcc"
species = ["Au"]
a = 4.08

[[image]]
file = "au_001.hspy"
zone_axis = [0, 0, 1]

[[image]]
file = "au_110.hspy"
zone_axis = [1, 1, 0]
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Images of a small particle, by the names that the project calls them."""
    folder = tmp_path_factory.mktemp("images")
    sites = tomo.phantoms.random_particle(150, "rough", seed=3)
    for name, axis in (("au_001", (0, 0, 1)), ("au_110", (1, 1, 0))):
        image, _ = stemcount.simulate_crystal(2.04 * sites, axis, dose=1e5, angle=15.0, seed=1, name=name)
        stemcount.save_image(image, folder / f"{name}.hspy")
    return folder


@pytest.fixture
def folder(images, tmp_path):
    shutil.copytree(images, tmp_path, dirs_exist_ok=True)
    (tmp_path / "project.toml").write_text(PROJECT)
    return tmp_path


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """The command line in this process, without figures: exit code and what it says on stderr."""
    monkeypatch.setattr("stemcount.cli.run.save_figure", lambda folder, name, make: folder / f"{name}.png")

    def call(*arguments):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["stemcount", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, capsys.readouterr().err

    return call


def refused(done, *words):
    """Exit code 2 and one sentence that holds all the words, without a traceback."""
    code, said = done
    sentence = said.strip().splitlines()[-1]
    assert code == 2, said
    assert "Traceback" not in said
    assert "stemcount: " in sentence
    for word in words:
        assert word in sentence, sentence


def edit(folder, old, new):
    path = folder / "project.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def save(folder, data, name="au_001.hspy", pixel_size=0.2):
    image = stemcount.ZoneAxisImage(np.zeros(data.shape[-2:]), pixel_size, (0, 0, 1), name="au_001")
    object.__setattr__(image, "data", data)  # past the checks, as another program would write it
    stemcount.save_image(image, folder / name)


def test_missing_image(folder, run):
    (folder / "au_110.hspy").unlink()
    refused(run("run", "project.toml", "--out", "deep/out"), "au_110.hspy", "no such")
    assert not (folder / "deep").exists(), "a folder that holds nothing is left"


def test_unreadable_format(folder, run):
    (folder / "au_110.hspy").write_bytes(b"this is no image")
    refused(run("run", "project.toml", "--out", "out"), "au_110.hspy")


def test_unknown_format(folder, run):
    (folder / "au_110.abc").write_bytes(b"this is no image")
    edit(folder, "au_110.hspy", "au_110.abc")
    refused(run("run", "project.toml", "--out", "out"), "au_110.abc")


def test_no_calibration(folder, run):
    import imageio.v3

    image = stemcount.load_image(folder / "au_110.hspy")
    imageio.v3.imwrite(folder / "au_110.tif", image.data.astype(np.float32))
    edit(folder, "au_110.hspy", "au_110.tif")
    refused(run("run", "project.toml", "--out", "out"), "au_110", "pixel_size")


def test_stack_where_an_image_is_wanted(folder, run):
    import hyperspy.api as hs

    hs.signals.Signal2D(np.ones((3, 20, 20))).save(folder / "au_001.hspy", overwrite=True)
    refused(run("run", "project.toml", "--out", "out"), "au_001", "(3, 20, 20)")


def test_nan_pixels(folder, run):
    data = stemcount.load_image(folder / "au_001.hspy").data.copy()
    data[3, 4] = np.nan
    save(folder, data)
    refused(run("run", "project.toml", "--out", "out"), "au_001", "NaN")


def test_image_without_columns(folder, run):
    noise = np.random.default_rng(0).normal(0.01, 0.001, (172, 172))
    save(folder, noise)
    refused(run("run", "project.toml", "--out", "out"), "au_001", "columns")


def test_wrong_zone_axis(folder, run):
    edit(folder, "[1, 1, 0]", "[1, 1, 1]")
    done = run("run", "project.toml", "--out", "out")
    refused(done, "au_110", "[1 1 1]")
    assert (folder / "out" / "au_001" / "columns.csv").exists(), "the finished image is lost"


def test_lattice_parameter_off(folder, run):
    edit(folder, "a = 4.08", "a = 5.3")
    refused(run("run", "project.toml", "--out", "out"), "au_001", "5.3")


def test_unknown_key(folder, run):
    edit(folder, "[1, 1, 0]", "[1, 1, 0]\nbakground = 3")
    refused(run("run", "project.toml", "--out", "out"), "project.toml", "bakground")


def test_missing_project(run):
    refused(run("run", "nothing.toml"), "nothing.toml", "no such")


def test_output_folder_not_writable(folder, run):
    (folder / "file").touch()
    refused(run("run", "project.toml", "--out", "file/out"), "file/out", "cannot write")


def test_views_of_two_particles(folder, run):
    image = stemcount.load_image(folder / "au_110.hspy")
    cols = image.data.shape[1]
    data = image.data.copy()
    data[:, : cols // 2] = np.median(data[:, :10])  # half of the particle is gone
    other = stemcount.ZoneAxisImage(data, image.pixel_size, (1, 1, 0), dose=image.dose, name="au_110")
    stemcount.save_image(other, folder / "au_110.hspy")
    refused(run("run", "project.toml", "--out", "out"), "au_001", "au_110")


def test_unknown_export_format(run):
    refused(run("export", "out", "--format", "docx"), "docx", "xyz")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fit au_110.hspy --peak gauss", ["--peak", "'gaussian' or 'tailed'", "'gauss'"]),
        ("fit au_110.hspy --background foo", ["--background", "foo"]),
        ("fit au_110.hspy --out au_001.hspy/a.csv", ["--out", "au_001.hspy", "cannot write"]),
        ("count au_110.csv --library-scale free", ["--library-scale", "--library"]),
        (
            "count au_110.csv --max-components 100000 --out new/counts.csv",
            ["au_110.csv: --max-components: ", "500"],
        ),
        ("simulate au.xyz --a 0 --zone-axis 1,1,0", ["lattice parameter", "0.0"]),
        ("simulate au.xyz --a 4 --zone-axis 1,1,0 --zone-axis -2,-2,0", ["--zone-axis -2,-2,0", "along"]),
        ("simulate au.xyz --a 4 --zone-axis 1,1,0 --dose inf", ["dose", "inf"]),
        ("simulate none.xyz --a 4 --zone-axis 1,1,0", ["none.xyz", "no such structure file"]),
        ("simulate au_110.csv --a 4 --zone-axis 1,1,0", ["au_110.csv", "not an XYZ file"]),
        ("simulate empty.xyz --a 4 --zone-axis 1,1,0", ["empty.xyz", "holds no atoms"]),
        ("reconstruct au_110.csv --zone-axis 1,1,0 --counts sharp --species Au --a 4", ["--counts sharp"]),
        ("reconstruct au_110.csv --zone-axis 1,1,0 --method guess --species Au --a 4", ["--method guess"]),
        ("reconstruct au_110.csv --zone-axis 1,1,0 --zone-axis 1,0,0 --species Au --a 4", ["1 table but 2"]),
        ("plan --zone-axis 1,0,0 --class-width inf", ["--class-width", "inf"]),
        ("plan --zone-axis 1,0,0", ["give either --count-error or --class-width"]),
        ("plan --zone-axis 1,0,0 --count-error 0.1 --kind x", ["stemcount: --kind: expected one of"]),
        (
            "library Al --a 4 --zone-axis 1,0,0 --semi-convergence 20 --detector 9,5",
            ["stemcount: --detector: expected"],
        ),
        ("run .", ["is a folder", "TOML"]),
        ("run au_110.hspy", ["UTF-8", "TOML"]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_an_option_that_is_wrong_is_named(folder, run, arguments, words):
    (folder / "au.xyz").write_text("2\n\nAu 0 0 0\nAu 2 2 0\n")
    (folder / "empty.xyz").write_text("0\n\n")
    (folder / "au_110.csv").write_text("cross_section\n1\n2\n3\n")
    refused(run(*arguments.split()), *words)
    assert not (folder / "new").exists()


PACKAGES = Path(stemcount.__file__).parents[1]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            RuntimeError("the program is wrong"),
            "unexpected RuntimeError: the program is wrong (--debug shows where)",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/atoms.xyz"),
            "out/atoms.xyz: No space left on device.",
        ),
        (
            AttributeError("Can't get attribute 'Gone' on <module 'tomo.annealing.moves'>"),
            "the compiled code beside the program is that of another version; delete the files *.nbi in"
            f" {PACKAGES / 'stemcount'} and {PACKAGES / 'tomo'} (folders __pycache__), and run again.",
        ),
    ],
    ids=["the program is wrong", "a full disc", "compiled code of another version"],
)
def test_what_is_not_the_users_mistake_has_another_code(run, monkeypatch, error, sentence):
    def fail(*_):
        raise error

    monkeypatch.setattr("stemcount.cli.commands.look.view_path", fail)
    assert run("view", "out") == (1, f"stemcount: {sentence}\n")


def test_what_cannot_be_viewed_is_told_before_a_window_opens(run, folder):
    pytest.importorskip("napari")
    (folder / "empty").mkdir()
    (folder / "atoms.xyz").write_text("0\n\n")
    (folder / "columns.csv").write_text("x,y\n")
    refused(run("view", "empty"), "empty", "not a result folder")
    refused(run("view", "nothing"), "nothing", "no such")
    refused(run("view", "au_001.hspy", "au_110.hspy"), "au_001.hspy", "expected a result", "one at a time")
    refused(run("view", "empty", "nothing"), "empty", "expected a result")
    refused(run("view", "atoms.xyz"), "atoms.xyz", "drop it into a napari window")
    refused(run("view", "columns.csv"), "columns.csv", "is a table, no image")


def test_ctrl_c_that_compiled_code_makes_an_error_of(run, monkeypatch):
    def fail(*_):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise SystemError("CPUDispatcher returned a result with an exception set")

    monkeypatch.setattr("stemcount.cli.commands.look.view_path", fail)
    monkeypatch.setattr("stemcount.cli.interrupt._asked_to_stop", threading.Event())
    assert run("view", "out") == (1, "stemcount: stopped.\n")


def test_debug_shows_the_traceback(folder):
    command = [sys.executable, "-m", "stemcount", "run", "nothing.toml", "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("with [crystal] and [[image]].\n")
    assert done.returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="HOME is where POSIX looks")
def test_a_home_that_cannot_be_written_to_is_named(folder):
    """As in a container; not the image is wrong, of which hyperspy has not read anything yet."""
    command = [sys.executable, "-m", "stemcount", "fit", "au_001.hspy"]
    home = {**os.environ, "HOME": "/dev/null/home"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, env=home)
    refused((done.returncode, done.stderr), "settings", "set HOME")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("run project.toml --rnus 3", ["--rnus", "run --help"]),
        ("run project.toml --seed -1", ["--seed", "expected a number greater than or equal to 0"]),
        ("run", ["PROJECT.toml", "run --help"]),
        ("fit au_001.hspy au_110.hspy", ["au_110.hspy", "fit --help"]),
        ("reconstruckt", ["reconstruckt"]),
    ],
)
def test_wrong_option_is_a_users_mistake(run, arguments, words):
    refused(run(*arguments.split()), *words)


def test_version(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["stemcount", "--version"])
    with contextlib.suppress(SystemExit):
        main()
    assert capsys.readouterr() == (f"{stemcount.__version__}\n", "")


def test_help_answers_at_once():
    """In half a second of the processor's time: how long others keep it busy is none of help's."""
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-m", "stemcount", "--help"], capture_output=True, check=True)
        after = os.times()
        used = after.children_user - before.children_user, after.children_system - before.children_system
        seconds.append(sum(used))
    assert min(seconds) < 0.5


def test_ctrl_c_while_the_program_is_loaded():
    code = (
        "import sys, stemcount.cli\n"
        "class Pressed:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'stemcount.cli.app':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "stemcount.cli.main()\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "stemcount: stopped.\n")
