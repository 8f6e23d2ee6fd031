"""From an image to its fitted columns."""

import json
from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

import stemcount
import tomo
from stemcount import InputError
from stemcount.cli import one_species
from stemcount.cli.commands.stages import fit_stage
from stemcount.cli.one_image import columns
from stemcount.cli.one_image.columns import fit_undistorted
from stemcount.cli.pipeline import run_images, run_project
from stemcount.cli.project_file.project import FitSection, load_project
from stemcount.cli.result_folder import outputs
from stemcount.cli.result_folder.tables import read_table
from stemcount.finding.find import FoundColumns
from stemcount.fitting.beneath import slope_left_out
from stemcount.fitting.halo import halo_of
from stemcount.fitting.model import background_image
from stemcount.results import FitFlag


def test_columns_to_which_the_fit_leaves_no_light_are_none(monkeypatch):
    x, y = (4.0 + 2.2 * axis.ravel() for axis in np.meshgrid(np.arange(6.0), np.arange(5.0)))
    atoms = 1.0 + np.arange(30) % 4
    image = stemcount.simulate_columns(
        x, y, 0.03 * atoms, shape=(110, 120), pixel_size=0.16, width=0.6, background=0.02, dose=2e4, seed=1
    )
    place = np.column_stack([x, y])
    seeds = np.concatenate([[[2.6, 2.7]], place])  # the first stands beside a corner of the particle
    added = np.zeros(31, dtype=bool)
    added[[0, 5]] = True
    monkeypatch.setattr(columns, "found_columns", lambda image, basis: FoundColumns(seeds, added, None))
    fit = columns.find_and_fit_image(image, FitSection())
    alone = columns.fit_image(image, place, FitSection())
    np.testing.assert_allclose(fit.cross_section, alone.cross_section, rtol=0.01)
    assert np.flatnonzero(fit.flags & FitFlag.ADDED).tolist() == [4]
    assert len(fit) == 30  # single atoms among them


def test_columns_found_on_light_are_fitted_on_it(monkeypatch):
    x, y = (8.0 + 2.2 * axis.ravel() for axis in np.meshgrid(np.arange(9.0), np.arange(9.0)))
    true = 0.03 * (2.0 + np.arange(81) % 5)
    across = 0.18 * np.arange(190)
    film = np.broadcast_to(0.12 / (1 + np.exp(-(across - 17) / 0.4)), (190, 190))
    image = stemcount.simulate_columns(
        x, y, true, shape=(190, 190), pixel_size=0.18, width=0.5, background=0.01 + film, dose=2e4, seed=3
    )
    found = FoundColumns(np.column_stack([x, y]), np.zeros(81, dtype=bool), film - film.mean())
    monkeypatch.setattr(columns, "found_columns", lambda image, basis: found)
    fit = columns.find_and_fit_image(image, FitSection())
    np.testing.assert_array_equal(fit.light, found.light)
    np.testing.assert_allclose(fit.cross_section, true, atol=0.2 * true.mean())
    level = background_image(image, fit)
    np.testing.assert_allclose(level, 0.01 + film, atol=0.003)
    assert slope_left_out(image, fit) is False
    told = columns.find_and_fit_image(image, FitSection(background="constant"))  # by the user
    assert np.ndim(told.light) == 0
    again = fit_undistorted(image, fit, FitSection(), np.ones(81))
    np.testing.assert_allclose(again.cross_section, true, atol=0.2 * true.mean())


@pytest.mark.parametrize("inverted", [1, 2])
def test_a_project_of_bright_field_images_is_told_so(tmp_path, inverted):
    """The light between dark columns forms their lattice as well, and must not be taken for faint ones."""
    sites = tomo.phantoms.random_particle(200, kind="rough", seed=4242)
    entries = []
    for number, axis in enumerate([(1, 1, 0), (0, 0, 1)]):
        image, _ = stemcount.simulate_crystal(
            sites * 1.96, axis, pixel_size=0.18, dose=6e4, seed=number, width=0.5, angle=17.0
        )
        data = 1 - image.data if number < inverted else image.data
        stemcount.save_image(stemcount.ZoneAxisImage(data, 0.18), tmp_path / f"{number}.hspy")
        entries.append(f'[[image]]\nfile = "{number}.hspy"\nzone_axis = {list(axis)}\n')
    (tmp_path / "p.toml").write_text(
        '[crystal]\nstructure = "fcc"\nspecies = ["Pt"]\na = 3.92\n' + "".join(entries)
    )
    with pytest.raises(
        stemcount.InputError, match=r"^0: no atomic columns .* dark on bright, as in bright field"
    ):
        run_project(tmp_path / "p.toml", tmp_path / "out", progress=False, figures=False)


@pytest.mark.parametrize("flip", ["x", "y", "xy"])
def test_what_may_not_be_used_is_flipped_with_the_image(flip, tmp_path):
    data = np.random.default_rng(0).normal(5.0, 0.3, (40, 50))
    data[5, 7] = 100.0
    stemcount.save_image(stemcount.ZoneAxisImage(data, 0.2), tmp_path / "image.hspy")
    (tmp_path / "p.toml").write_text(
        '[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = 4.08\n'
        f'[[image]]\nfile = "image.hspy"\nzone_axis = [1, 0, 0]\nflip = "{flip}"\n'
    )
    project = load_project(tmp_path / "p.toml")
    image = columns.load_project_image(project, project.image[0])
    assert image.data[~image.used].tolist() == [100.0]


def drifting_particle(path, number=8, dose=5e3):
    """A series of frames in a file, and its x, y, cross-sections and drift [A]."""
    x, y = (6.0 + 2.5 * axis.ravel() for axis in np.meshgrid(np.arange(9.0), np.arange(8.0)))
    volume = 0.05 * (1 + np.arange(len(x)) % 5)
    drift = np.linspace(0, 1, number)[:, None] * [1.3, -0.7]
    frames = [
        stemcount.simulate_columns(
            x + dx, y + dy, volume, shape=(150, 160), pixel_size=0.2, dose=dose, seed=seed
        ).data
        for seed, (dx, dy) in enumerate(drift)
    ]
    signal = hs.signals.Signal2D(np.array(frames))
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.2, "Å"
    signal.save(path)
    return x, y, volume, drift


def test_a_project_averages_a_series(tmp_path):
    """Its dose is that of a frame; the noise of the average is that of all of them together."""
    x, y, volume, drift = drifting_particle(tmp_path / "series.hspy")
    (tmp_path / "p.toml").write_text(
        '[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = 4.08\n'
        '[[image]]\nfile = "series.hspy"\nzone_axis = [1, 0, 0]\naverage = true\ndose = 5e3\n'
    )
    project = load_project(tmp_path / "p.toml")
    image = columns.load_project_image(project, project.image[0])
    assert (image.name, image.zone_axis, image.dose) == ("series", (1, 0, 0), 4e4)
    np.testing.assert_allclose(image.drift, np.hypot(*drift.T), atol=0.03)
    told = outputs.exposure_summary(image)
    assert told == {"frames": 8, "largest_drift_A": image.drift.max(), "dose_per_A2": 4e4}
    fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    assert np.std(fit.x - x) < 0.02
    off = (fit.cross_section - volume) / fit.cross_section_std
    assert 0.7 < np.sqrt(np.mean(off**2)) < 1.4


def test_the_command_fits_an_average(tmp_path):
    x = drifting_particle(tmp_path / "series.hspy", number=3, dose=2e4)[0]
    with pytest.raises(stemcount.InputError, match=r"holds a stack .*average = true"):
        fit_stage(tmp_path / "series.hspy", tmp_path / "c.csv", None, None, False, None, None, None)
    fit_stage(tmp_path / "series.hspy", tmp_path / "c.csv", None, None, True, None, None, None)
    assert len(read_table(tmp_path / "c.csv", ("x",))["x"]) == len(x)


def test_the_dose_of_a_plain_image():
    image = stemcount.ZoneAxisImage(np.ones((4, 5)), 0.2, dose=1e4)
    assert outputs.exposure_summary(image) == {"frames": 1, "largest_drift_A": 0.0, "dose_per_A2": 1e4}


GOLD = {"structure": "fcc", "species": ["Au"], "a": 4.08}
PIXEL = 0.18


@pytest.fixture
def with_tails():
    """A particle and two images of it, 30 % of whose columns' light is in tails 3 A wide."""
    sites = tomo.phantoms.random_particle(150, kind="rough", seed=7)
    images = []
    for n, axis in enumerate([(1, 1, 0), (1, 0, 0)]):
        image, _ = stemcount.simulate_crystal(
            sites * 4.08 / 2, axis, pixel_size=PIXEL, width=0.5, atom_cross_section=0.04, name=f"v{n}"
        )
        light = 0.02 + 0.7 * image.data + 0.3 * halo_of(image.data, 3.0 / PIXEL)
        electrons = np.random.default_rng(n).poisson(np.maximum(5e4 * PIXEL**2 * light, 0.0))
        images.append(replace(image, data=electrons / (5e4 * PIXEL**2)))
    return sites, images


def test_a_run_counts_columns_with_the_light_of_their_tails(with_tails, tmp_path, monkeypatch):
    sites, images = with_tails
    searched = []
    monkeypatch.setattr(
        one_species, "with_rim", lambda view, *others: searched.append(others[4].name) or view
    )
    result = run_images(images, GOLD, tmp_path / "out", reconstruction={"workers": 1})
    assert tomo.compare_sites(result.occupied(0.5), sites).wrong_fraction < 0.02
    told = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["images"]
    taken = [name for name in told if told[name]["halo_share"]]
    assert taken
    assert not set(searched) & set(taken)  # what lies beside these columns is their own light
    for name in taken:
        assert told[name]["halo_share"] == pytest.approx(0.3, abs=0.05)
        assert told[name]["halo_radius_A"] == pytest.approx(3.0, rel=0.4)
        said = [warning for warning in result.warnings if f"{name}: " in warning]
        assert sum("tails of the probe" in warning for warning in said) == 1

    monkeypatch.setattr(columns, "count_image", None)  # a run that goes on counts nothing again
    monkeypatch.setattr(one_species, "fit_with_tails", None)
    again = run_images(images, GOLD, tmp_path / "out", reconstruction={"workers": 2})
    assert np.array_equal(again.sites, result.sites)
    assert np.array_equal(again.certainty, result.certainty)
    assert again.warnings == result.warnings


def test_columns_that_a_library_counts_keep_the_light_that_falls_on_them(with_tails, tmp_path):
    image = with_tails[1][0]
    (tmp_path / "p.toml").write_text(
        '[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = 4.08\n'
        '[[image]]\nfile = "v0.hspy"\nname = "v0"\nzone_axis = [1, 1, 0]\n'
    )
    (tmp_path / "v0.hspy").touch()
    project = load_project(tmp_path / "p.toml")
    for counting, share in (({}, 0.3), ({"library": 0.04 * np.arange(1.0, 13.0) ** 0.9}, 0.0)):
        given = columns.GivenImage(project.image[0], image, None, counting)
        fit = next(one_species._measured(project, given, tmp_path / "stages"))
        assert fit.halo[0] == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("of_the_scan", [True, False])
def test_a_distortion_is_the_scan_s_where_peaks_and_classes_tell(tmp_path, of_the_scan):
    """Rows are 7 % farther apart on one side: of a scan that sways, peaks are enlarged with them."""
    (tmp_path / "p.toml").write_text(
        '[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = 4.08\n'
        '[[image]]\nfile = "v0.hspy"\nname = "v0"\nzone_axis = [0, 0, 1]\n'
    )
    (tmp_path / "v0.hspy").touch()
    project = load_project(tmp_path / "p.toml")
    i, j = (axis.ravel() for axis in np.meshgrid(np.arange(10.0), np.arange(14.0)))
    y = 10 + 2.04 * (j + 0.0025 * j**2)
    atoms = 6 + np.random.default_rng(0).integers(0, 7, len(i))
    larger = 1 + 0.005 * j if of_the_scan else np.ones(len(j))
    volume, width = 0.02 * atoms * larger, 0.5 * np.sqrt(larger)
    image = stemcount.simulate_columns(
        10 + 2.04 * i, y, volume, shape=(330, 250), pixel_size=0.15, width=width, dose=2e5, seed=0
    )
    given = columns.GivenImage(project.image[0], replace(image, name="v0"), None, {})
    fit, counts, stage = one_species._measured(project, given, tmp_path / "stages")
    distance = np.hypot(fit.x[:, None] - 10 - 2.04 * i, fit.y[:, None] - y)
    truth = atoms[distance.argmin(axis=1)]
    assert np.mean(counts.count == truth) > 0.97
    assert (np.ptp(fit.magnification) > 0.05) == of_the_scan
    _, caption, _ = outputs.strain_figure(stage.image, fit, stage.indexing)
    assert ("cross-sections were divided by its magnification, 0.9" in caption) == of_the_scan
    assert len(stage.indexing) == len(i)


def test_a_pixel_size_that_leaves_one_column_in_the_image_is_named():
    image = stemcount.simulate_columns(
        [2.0], [2.0], [1.0], shape=(80, 80), pixel_size=0.05, dose=1e5, seed=0, zone_axis=(1, 1, 0)
    )
    with pytest.raises(InputError, match=r"simulated: 1 column found in its 4 x 4 A.*pixel size, 0.05"):
        run_images([image], GOLD)


def test_levels_of_the_detector_may_be_images_of_it(tmp_path):
    x, y = (4.0 + 2.2 * axis.ravel() for axis in np.meshgrid(np.arange(6.0), np.arange(5.0)))
    truth = stemcount.simulate_columns(x, y, np.full(30, 0.1), shape=(110, 120), pixel_size=0.16)
    stemcount.save_image(replace(truth, data=truth.data * 500 + 20), tmp_path / "raw.hspy")
    scan = np.full((40, 40), 20.0)
    scan[10:30, 10:30] = 520.0
    (tmp_path / "levels").mkdir()
    hs.signals.Signal2D(scan).save(tmp_path / "levels" / "scan.hspy")
    hs.signals.Signal2D(np.full((8, 9), 20.0)).save(tmp_path / "levels" / "dark.hspy")
    text = (
        '[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = 4.08\n[[image]]\nfile = "raw.hspy"\n'
        "zone_axis = [1, 0, 0]\ndetector = { vacuum = %s, beam = %s }\n"
    )
    for vacuum, beam in (("20", '"levels/scan.hspy"'), ("'levels\\dark.hspy'", "520.0")):
        (tmp_path / "p.toml").write_text(text % (vacuum, beam))
        project = load_project(tmp_path / "p.toml")
        image = columns.load_project_image(project, project.image[0])
        np.testing.assert_allclose(image.data, truth.data, atol=1e-7)  # single precision
    (tmp_path / "p.toml").write_text(text % ("20", '"scan.hspy"'))
    project = load_project(tmp_path / "p.toml")
    with pytest.raises(InputError, match=r"raw: detector: .*scan\.hspy: no such file"):
        columns.load_project_image(project, project.image[0])
