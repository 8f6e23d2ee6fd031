"""Columns found and fitted in one go."""

from dataclasses import replace

import numpy as np
import pytest

import stemcount
from stemcount.finding import fitted
from stemcount.finding.find import FoundColumns
from stemcount.fitting.beneath import slope_left_out
from stemcount.fitting.magnified import undistorted
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
    monkeypatch.setattr(fitted, "found_columns", lambda image, basis: FoundColumns(seeds, added, None))
    fit = fitted.find_and_fit_columns(image)
    alone = stemcount.fit_columns(image, place)
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
    monkeypatch.setattr(fitted, "found_columns", lambda image, basis: found)
    fit = fitted.find_and_fit_columns(image)
    np.testing.assert_array_equal(fit.light, found.light)
    np.testing.assert_allclose(fit.cross_section, true, atol=0.2 * true.mean())
    level = background_image(image, fit)
    np.testing.assert_allclose(level, 0.01 + film, atol=0.003)
    assert slope_left_out(image, fit) is False
    told = fitted.find_and_fit_columns(image, background="constant")  # by the user
    assert np.ndim(told.light) == 0
    again = undistorted(image, fit, np.ones(81))
    np.testing.assert_allclose(again.cross_section, true, atol=0.2 * true.mean())


@pytest.mark.parametrize(("height", "taken"), [(0.0, False), (0.02, False), (1.0, True)])
def test_columns_are_fitted_on_the_light_between_them_where_it_pays_for_its_numbers(
    monkeypatch, height, taken
):
    """Light that finding gives for true is asked for again: in the image it is, or is not."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(4.0, 26.0, 2.6), np.arange(4.0, 26.0, 2.6)))
    image = stemcount.simulate_columns(
        x, y, np.full(len(x), 1.0), shape=(150, 150), pixel_size=0.2, dose=2e3, seed=1
    )
    rows, cols = np.indices(image.data.shape) * image.pixel_size
    bump = np.exp(-((cols - 15) ** 2 + (rows - 12) ** 2) / (2 * 4.0**2))
    image = replace(image, data=image.data + height * 0.4 * bump)
    light = np.asarray(max(height, 0.1) * 0.4 * bump)
    points = np.column_stack([x, y])
    found = FoundColumns(points, np.zeros(len(x), bool), light)
    monkeypatch.setattr(fitted, "found_columns", lambda image, basis: found)
    fit = fitted.find_and_fit_columns(image)
    assert np.any(fit.light) == taken
