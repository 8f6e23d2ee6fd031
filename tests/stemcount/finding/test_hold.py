"""Columns placed on a lattice as a whole are held to it as strongly as the image says."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

import stemcount
from stemcount.finding.fitted import find_and_fit_columns, fit_on_lattice
from stemcount.finding.hold import LOOSEST, beside, overlap_on_lattice, pull_of, site_indices, smooth_places

SPACING = 1.6
BASIS = SPACING * np.array([[1.0, 0.5], [0.0, np.sqrt(0.75)]])


def sites(bent=0.0):
    """A triangular lattice of 12 x 12 columns, its rows bent by so much at their ends [A]."""
    i, j = (v.ravel().astype(float) for v in np.mgrid[0:12, 0:12])
    x, y = SPACING * (i + 0.5 * (j % 2)) + 6, SPACING * np.sqrt(0.75) * j + 6
    return np.column_stack([x, y + bent * ((x - x.mean()) / np.ptp(x) * 2) ** 2])


def image_of(places, dose, spacing_in_widths=2.1):
    volume = 0.1 * np.random.default_rng(1).integers(2, 6, len(places))
    return stemcount.simulate_columns(
        *places.T,
        volume,
        shape=(140, 170),
        pixel_size=0.2,
        width=SPACING / spacing_in_widths,
        background=0.02,
        dose=dose,
        seed=3,
    ), volume


def errors(fit, places, volume):
    """Rms of places [A] and of cross-sections, over the mean."""
    aside = np.hypot(fit.x - places[:, 0], fit.y - places[:, 1])
    return np.sqrt(np.mean(aside**2)), np.sqrt(np.mean((fit.cross_section - volume) ** 2)) / volume.mean()


def test_close_columns_are_measured_better():
    places = sites(bent=0.5)
    image, volume = image_of(places, 1e4)
    seeds = places + np.random.default_rng(0).normal(0, 0.1, places.shape)
    free = errors(stemcount.fit_columns(image, seeds), places, volume)
    held = errors(fit_on_lattice(image, seeds), places, volume)
    assert held[0] < 0.5 * free[0]
    assert held[1] < 0.8 * free[1]


def test_columns_beside_the_lattice_stay_there():
    """What the image shows clearly outweighs the lattice."""
    places = sites() + np.random.default_rng(2).normal(0, 0.08, (144, 2))
    image, volume = image_of(places, 1e6, 3.0)
    fit = fit_on_lattice(image, sites())
    assert errors(fit, places, volume)[0] < 0.02


def test_pull_is_what_columns_scatter_by():
    places = sites()
    scattered = places + np.random.default_rng(2).normal(0, 0.06, places.shape)
    image, _ = image_of(scattered, 1e6, 3.0)
    pull = LOOSEST * SPACING
    fit = stemcount.fit_columns(image, places, pull=pull)
    assert pull_of(fit, places, pull, SPACING) == pytest.approx(0.06, rel=0.1)


def test_smooth_places():
    bent = sites(0.5)
    index, closest = site_indices(bent)
    assert closest == pytest.approx(SPACING, rel=0.05)
    assert len(np.unique(index, axis=0)) == len(bent)
    np.testing.assert_allclose(smooth_places(bent, index, np.ones(len(bent))), bent, atol=0.03)


def test_no_lattice():
    points = np.random.default_rng(0).uniform(6, 25, (10, 2))
    assert site_indices(points) is None
    image, _ = image_of(points, 1e5)
    fit, free = (f(image, points) for f in (fit_on_lattice, stemcount.fit_columns))
    np.testing.assert_array_equal(fit.x, free.x)


def test_close_columns_found_one_by_one_are_held_where_the_crystal_is_known():
    places = sites()
    image, _ = image_of(places, 1e4, 2.5)
    free, held = (find_and_fit_columns(image, basis) for basis in (None, BASIS))
    assert len(held) == len(places)
    assert not held.flags.all()
    rms = [np.sqrt(np.mean(cKDTree(places).query(np.column_stack([f.x, f.y]))[0] ** 2)) for f in (free, held)]
    assert rms[1] < 0.6 * rms[0]


def test_only_columns_that_overlap_on_the_lattice_expected_are_held():
    places, twin = sites(), sites()
    turn = np.array([[np.cos(0.35), -np.sin(0.35)], [np.sin(0.35), np.cos(0.35)]])
    twin[72:] = (twin[72:] - twin[72:].mean(axis=0)) @ turn.T + twin[72:].mean(axis=0)
    fit = stemcount.fit_columns(image_of(places, None, 2.5)[0], places)
    turned = BASIS @ [[0.0, -1.0], [1.0, 0.0]]
    assert overlap_on_lattice(fit, places, turned)
    assert not overlap_on_lattice(fit, places, SPACING * np.diag([1.0, 1.3]))
    assert not overlap_on_lattice(fit, twin, BASIS)
    apart = stemcount.fit_columns(image_of(places, None, 3.5)[0], places)
    assert not overlap_on_lattice(apart, places, BASIS)


def test_a_column_beside_its_place_stays_there():
    places = sites()
    places[70] += [0.6, 0.2]
    image, _ = image_of(places, 1e4, 2.5)
    fit = fit_on_lattice(image, places)
    assert np.hypot(fit.x[70] - places[70, 0], fit.y[70] - places[70, 1]) < 0.3


def test_of_two_columns_at_one_site_the_nearer_is_held():
    index = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    points = np.array([[0.1, 0.0], [2.3, 0.0], [2.1, 0.0], [4.9, 0.0]])
    assert beside(points, 2.0 * index, index, 2.0).tolist() == [False, True, False, True]
