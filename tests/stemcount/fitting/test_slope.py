"""A background that slopes under columns which leave no room to see it beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stemcount import fit_columns, simulate_columns
from stemcount.fitting import fit as fitting
from stemcount.fitting import slope
from stemcount.fitting.fit import make_problem
from stemcount.fitting.fit_input import Choice

PX, SPACING, WIDTH, DOSE = 0.2, 2.2, 0.55, 2e4
HEIGHT = 1.0 / (2 * np.pi * WIDTH**2)  # of the brightest column


def crystal(volume, margin=3.0, tail=None, slope=(0.0, 0.0), seed=1):
    """Image of a square crystal of 81 columns, places [A] and volumes; a slope in heights over the image."""
    x, y = (g.ravel() * SPACING + margin for g in np.meshgrid(np.arange(9), np.arange(9)))
    n = int(np.ceil((8 * SPACING + 2 * margin) / PX))
    v, u = np.mgrid[-0.5 : 0.5 : n * 1j, -0.5 : 0.5 : n * 1j]
    background = HEIGHT * (0.8 + slope[0] * u + slope[1] * v)
    settings = {} if tail is None else {"tail": tail}
    true = volume(x, y)
    image = simulate_columns(
        x,
        y,
        true,
        shape=(n, n),
        pixel_size=PX,
        width=WIDTH,
        dose=DOSE,
        background=background,
        seed=seed,
        **settings,
    )
    return image, np.column_stack([x, y]), true


def random_atoms(x, y):
    return np.random.default_rng(5).integers(1, 8, len(x)) / 7


def wedge(x, y):
    return (1 + np.round(6 * (x - x.min()) / np.ptp(x))) / 7


@pytest.mark.parametrize("volume", [random_atoms, wedge])
@pytest.mark.parametrize("tilt", [(0.7, 0.0), (-0.2, 0.3)])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_slope_that_only_the_light_between_columns_shows_is_fitted(volume, tilt, seed):
    image, place, true = crystal(volume, slope=tilt, seed=seed)
    fit = fit_columns(image, place)
    constant = fit_columns(image, place, background="constant")
    assert len(fit.background) == 3
    np.testing.assert_allclose(fit.background[1:] / (HEIGHT / 2), tilt, atol=0.05)
    error, before = (np.sqrt(np.mean((f.cross_section - true) ** 2)) for f in (fit, constant))
    assert error < before / 2


@pytest.mark.parametrize("volume", [random_atoms, wedge])
@pytest.mark.parametrize("tail", [None, (0.2, 4.0), (0.3, 7.0)])
@pytest.mark.parametrize("margin", [3.0, -1.0])
def test_tails_of_a_wedge_are_no_slope(volume, tail, margin):
    """Nor are those of columns that the edges of the image leave out."""
    image, place, _ = crystal(volume, margin, tail)
    inside = (place > 0).all(axis=1) & (place < image.extent[1]).all(axis=1)
    assert len(fit_columns(image, place[inside]).background) == 1


def test_the_question_is_not_asked_where_the_background_is_given(monkeypatch):
    image, place, _ = crystal(random_atoms, slope=(0.7, 0.0))
    monkeypatch.setattr(fitting, "with_slope", lambda *_: pytest.fail("asked"))
    for background in ("constant", "plane", 0.1):
        fit_columns(image, place, background=background)


def test_nor_where_pixels_beside_the_columns_show_it(monkeypatch):
    image, place, _ = crystal(random_atoms, margin=8.0)
    monkeypatch.setattr(fitting, "with_slope", lambda *_: pytest.fail("asked"))
    fit_columns(image, place)


@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_any_unit_and_no_dose(unit):
    image, place, true = crystal(random_atoms, slope=(0.4, 0.2))
    fit = fit_columns(replace(image, data=unit * image.data, dose=None), place)
    assert len(fit.background) == 3
    assert np.sqrt(np.mean((fit.cross_section / unit - true) ** 2)) < 0.05


def test_one_column_shows_no_slope():
    image = simulate_columns([3.0], [3.0], [1.0], shape=(30, 30), pixel_size=PX, dose=DOSE, seed=0)
    assert len(fit_columns(image, [[3.0, 3.0]]).background) == 1


def test_pixels_inside_are_told_from_the_edges_of_what_was_recorded():
    image, place, _ = crystal(random_atoms)
    valid = np.ones(image.data.shape, dtype=bool)
    valid[:, :7] = False
    valid[40, 50] = False  # a dead pixel is no edge
    problem = make_problem(replace(image, valid=valid), place, np.zeros(81, dtype=np.int64), Choice())
    inside = slope.recorded_inside(problem, 5.0)
    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert (rows[0], rows[-1]) == (5, len(valid) - 6)
    assert (cols[0], cols[-1]) == (12, len(valid) - 6)
    assert inside[40, 50]


@pytest.mark.parametrize("seed", [15, 33])
def test_a_halo_that_would_hold_far_more_light_than_the_columns_does_not_stand_for_a_slope(seed):
    """By chance columns may have such light that one much wider than they lie would be the same."""
    rng = np.random.default_rng(seed)
    x, y = (g.ravel() * 2.0 + 4 + rng.normal(0, 0.04, 49) for g in np.meshgrid(np.arange(7), np.arange(7)))
    true = rng.integers(1, 15, 49) / 20
    background = 0.1 + 0.02 * np.linspace(0, 1, 100)
    image = simulate_columns(
        x,
        y,
        true,
        shape=(100, 100),
        pixel_size=PX,
        dose=DOSE,
        background=background * np.ones((100, 1)),
        seed=0,
    )
    fit = fit_columns(image, np.column_stack([x, y]))
    assert len(fit.background) == 3
    assert np.sqrt(np.mean((fit.cross_section - true) ** 2)) < 0.01
