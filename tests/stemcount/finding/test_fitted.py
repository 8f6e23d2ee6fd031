"""Columns found and fitted in one go."""

import numpy as np

import stemcount
from stemcount.finding import fitted
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
    monkeypatch.setattr(fitted, "found_columns", lambda image, basis: (seeds, added))
    fit = fitted.find_and_fit_columns(image)
    alone = stemcount.fit_columns(image, place)
    np.testing.assert_allclose(fit.cross_section, alone.cross_section, rtol=0.01)
    assert np.flatnonzero(fit.flags & FitFlag.ADDED).tolist() == [4]
    assert len(fit) == 30  # single atoms among them
