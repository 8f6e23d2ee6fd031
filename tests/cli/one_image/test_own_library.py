"""A run that knows its microscope counts with libraries that it simulates."""

import numpy as np
import pytest

import stemcount
from stemcount.cli.one_image import measured
from stemcount.cli.one_image.columns import GivenImage, counting_settings
from stemcount.cli.one_image.own_library import own_library
from stemcount.cli.project_file.project import load_project

MICROSCOPE = "[microscope]\nvoltage = 200\nsemi_convergence = 20\ndetector = [50, 120]\n"


@pytest.fixture
def aluminium(gold):
    return gold.replace('"Au"', '"Al"').replace("4.08", "4.05").replace("[1, 1, 0]", "[0, 1, 0]")


@pytest.fixture
def asked(monkeypatch):
    """What libraries are asked for; one is given whose increments bend."""
    seen = []

    def simulate(species, a, zone_axis, n_atoms, **settings):
        seen.append((species, zone_axis, n_atoms, settings["voltage"], settings["detector"]))
        return 0.03 * np.arange(1.0, n_atoms + 1)[:, None] ** [1.3, 1.29, 1.31, 1.3]

    monkeypatch.setattr(stemcount, "simulate_library", simulate)
    return seen


def test_thick_columns_alone_are_counted_by_the_library(tmp_path, aluminium, project_file, asked):
    """No column of fewer than seven atoms tells where the counts begin; how V(k) bends does."""
    i, j = (axis.ravel() for axis in np.meshgrid(np.arange(12), np.arange(12)))
    true = 7 + np.random.default_rng(3).integers(0, 6, len(i))
    x, y = 5 + 2.025 * i, 5 + 2.025 * j
    image = stemcount.simulate_columns(
        x, y, 0.027 * true**1.3, shape=(216, 216), pixel_size=0.15, width=0.5, dose=3e4, seed=0
    )
    exact = {}
    for text in ("", MICROSCOPE):
        project = load_project(project_file(aluminium + text))
        given = GivenImage(project.image[0], image, None, counting_settings(project, 0))
        fit, counts, _ = measured.measured_image(project, given, tmp_path / "stages")
        column = np.hypot(fit.x[:, None] - x, fit.y[:, None] - y).argmin(axis=1)
        exact[text] = np.mean(counts.count == true[column])
        again = list(measured.measured_image(project, given, tmp_path / "stages"))
        assert np.array_equal(again[1].probability, counts.probability)
    assert exact[MICROSCOPE] > 0.95 > exact[""]
    assert len(asked) == 1  # and is kept
    assert asked[0][:2] == ("Al", (1, 0, 0))
    assert asked[0][3:] == (200, (50, 120))


def test_views_along_axes_of_one_kind_share_a_library(tmp_path, aluminium, project_file, asked):
    project = load_project(project_file(aluminium + MICROSCOPE))
    counts = stemcount.count_atoms(np.repeat([1.0, 2.0, 3.0], 20) + 1e-3 * np.arange(60))
    first, second = (own_library(project, axis, counts, tmp_path) for axis in [(1, -1, 0), (0, 1, 1)])
    assert np.array_equal(first, second)
    assert first.shape[1] == 4
    assert len(asked) == 1
