"""From an image to its fitted columns."""

import numpy as np
import pytest

import stemcount
from stemcount.cli import columns
from stemcount.cli.project import FitSection, load_project
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
    monkeypatch.setattr(columns, "found_columns", lambda image, basis: (seeds, added))
    fit = columns.find_and_fit_image(image, FitSection(), None)
    alone = columns.fit_image(image, place, FitSection(), None)
    np.testing.assert_allclose(fit.cross_section, alone.cross_section, rtol=0.01)
    assert np.flatnonzero(fit.flags & FitFlag.ADDED).tolist() == [4]
    assert len(fit) == 30  # single atoms among them


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
