"""Uneven backgrounds are seen beside the columns, and give no columns and no intensity to columns."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

import stemcount
from stemcount import ZoneAxisImage, find_columns, fit_columns, simulate_crystal
from stemcount.finding.fitted import find_and_fit_columns
from stemcount.fitting.background import background_basis
from stemcount.images import uneven
from stemcount.images.uneven import background_kind, may_be_columns, polynomial_beside, slow_background
from tomo.phantoms import KINDS, random_particle

V1 = 0.04
DOSE = 1e5


def rough_ball(radius=10.0, a=4.08):
    h = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), -1).reshape(-1, 3)
    h = h[h.sum(axis=1) % 2 == 0] * a / 2
    edge = np.random.default_rng(3).uniform(-2, 2, len(h))
    return h[np.linalg.norm(h - [0.3, 0.2, 0.1], axis=1) < radius + edge]


def particle_on(shape_of_background, seed=0, unit=1.0):
    """A particle, 2 V1 wide and about 0.1 high in its peaks, with a background of u, v from -1 to 1."""
    image, truth = simulate_crystal(
        rough_ball(), (0, 0, 1), pixel_size=0.18, width=0.55, atom_cross_section=V1, background=0.02, angle=12
    )
    v, u = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.data.shape), indexing="ij")
    scale = DOSE * image.pixel_size**2
    mean = image.data + shape_of_background(u, v)
    data = np.random.default_rng(seed).poisson(mean * scale) / scale
    place = np.column_stack([truth["x"], truth["y"]])
    image = replace(image, data=unit * data, dose=DOSE if unit == 1 else None)
    return image, place, np.asarray(truth["cross_section"])


def even(u, v):
    return 0 * u


def slope(u, v):
    return 0.02 * (1 + u) - 0.01 * v


def corner(u, v):
    return 0.06 * np.exp(-((u - 0.8) ** 2 + (v + 0.7) ** 2)) + 0.03 * u + 0.03


def steep(u, v):
    return 0.2 * np.exp(-((u + 0.5) ** 2 + (v - 0.9) ** 2) / 1.2)


@pytest.mark.parametrize(
    ("background", "kind"), [(even, "constant"), (slope, "plane"), (corner, "smooth"), (steep, "smooth")]
)
@pytest.mark.parametrize("unit", [1.0, 3e4])
def test_background_that_an_image_asks_for(background, kind, unit):
    image, place, _ = particle_on(background, 1, unit)
    assert background_kind(image, place)[0] == kind


@pytest.mark.parametrize("background", [corner, steep])
def test_slopes_are_no_columns(background):
    image, place, _ = particle_on(background)
    found = find_columns(image)
    assert (cKDTree(found).query(place)[0] > 0.7).sum() == 0
    assert (cKDTree(place).query(found)[0] > 0.7).sum() <= 2  # as many as on an even background


@pytest.mark.parametrize("background", [slope, corner, steep])
def test_columns_are_not_given_the_slope(background):
    image, place, true = particle_on(background)
    chosen = fit_columns(image, place)
    constant = fit_columns(image, place, background="constant")
    assert chosen.residual_sum_of_squares < constant.residual_sum_of_squares / 1.2
    error, before = (np.sqrt(np.mean((fit.cross_section - true) ** 2)) for fit in (chosen, constant))
    assert error < 0.3 * V1
    assert error < before / 3


def slight(u, v):
    return 0.002 * u - 0.001 * v


def test_a_slight_slope_is_fitted_where_pixels_all_around_show_it():
    image, place, true = particle_on(slight)
    assert image.slow_background[0] == 0
    assert background_kind(image, place)[0] == "plane"
    chosen, constant = fit_columns(image, place), fit_columns(image, place, background="constant")
    error, before = (np.sqrt(np.mean((fit.cross_section - true) ** 2)) for fit in (chosen, constant))
    assert error < 0.6 * before
    cut = int((np.median(place[:, 0]) - image.offset[0]) / image.pixel_size)
    half = replace(image, data=image.data[:, :cut], valid=None)
    assert background_kind(half, place[place[:, 0] < half.extent[1]]) == ("constant", False)


def test_a_slight_bowl_is_no_slope():
    image, place, _ = particle_on(lambda u, v: 0.002 * (u**2 + v**2))
    assert background_kind(image, place)[0] == "constant"


@pytest.mark.parametrize("pixels", [0, 1, 2, None])
def test_pixels_in_a_line_show_no_slope(pixels, monkeypatch):
    """Nothing is known of how it slopes across the line; nor are a few pixels a line."""
    image, place, _ = particle_on(slight)

    def seen(image, *_):
        quiet = np.zeros(image.data.shape, dtype=bool)
        quiet[-1, :pixels] = True
        return quiet

    monkeypatch.setattr(uneven, "quiet_pixels", seen)
    assert uneven.slopes_around(image, place) is None


@pytest.mark.parametrize(("background", "expected"), [(even, 1), (corner, 2)])
def test_only_an_uneven_background_is_looked_at_again_when_columns_are_known(
    monkeypatch, background, expected
):
    image, _, _ = particle_on(background)
    looks, look = [], uneven.uneven_background
    monkeypatch.setattr(uneven, "uneven_background", lambda *known: looks.append(1) or look(*known))
    fit = find_and_fit_columns(image)
    assert len(looks) == expected
    assert (len(fit.background) > 1) == (expected > 1)


def cut_close(margin, seed):
    """A particle along [100] at 5e3 e/A^2 in an image with little else, and its columns."""
    image, truth = simulate_crystal(
        random_particle(350, KINDS[seed % 4], seed=seed) * 2.04, (1, 0, 0), pixel_size=0.2, dose=5e3,
        seed=seed, width=0.6, atom_cross_section=0.03, background=0.02, border=margin, angle=seed,
    )  # fmt: skip
    return image, np.column_stack([truth["x"], truth["y"]])


@pytest.mark.parametrize(("margin", "seed"), [(0.5, 105), (1.5, 101), (3.0, 109)])
def test_faint_columns_at_the_rim_are_no_background(margin, seed):
    image, place = cut_close(margin, seed)
    assert image.slow_background[0] > 0  # none of them shows by itself
    assert may_be_columns(image, image.slow_background[1])
    found = find_columns(image)
    assert len(found) == len(place)
    assert cKDTree(found).query(place)[0].max() < 0.7
    assert background_kind(image, found)[0] == "constant"


@pytest.mark.parametrize("background", [slope, corner])
def test_noise_alone_is_no_columns(background):
    image, _, _ = particle_on(background)
    assert not may_be_columns(image, image.slow_background[1])


def test_what_is_named_is_not_chosen_anew():
    image, place, _ = particle_on(corner)
    assert len(stemcount.fit_columns(image, place, background="plane").background) == 3
    assert stemcount.fit_columns(image, place, background=0.0).background.tolist() == [0.0]


def test_even_backgrounds_change_nothing():
    image, place, _ = particle_on(even)
    assert not slow_background(image)[1].any()
    chosen, constant = fit_columns(image, place), fit_columns(image, place, background="constant")
    np.testing.assert_array_equal(chosen.cross_section, constant.cross_section)


@pytest.mark.parametrize(("dose", "pixel_size", "seed"), [(5e3, 0.2, 5000), (2e4, 0.1, 5010)])
def test_particle_whose_columns_overlap_is_no_background(dose, pixel_size, seed):
    # fcc [111], columns 1.67 A apart, peaks of rho 0.6 A: nearly a plateau with an outline
    image, _ = simulate_crystal(
        random_particle(600, KINDS[seed % 3], seed=seed) * 2.04, (1, 1, 1), pixel_size=pixel_size, dose=dose,
        seed=seed, width=0.6, atom_cross_section=0.03, background=0.004,
        angle=float(np.random.default_rng(seed).uniform(0, 90)),
    )  # fmt: skip
    assert not slow_background(image)[1].any()


def test_polynomial_is_that_of_the_background():
    images = background_basis((90, 110), 2)
    true = np.array([5.0, 0.6, -0.4, 0.3, 0.2, -0.5])
    data = np.tensordot(true, images, axes=1) + np.random.default_rng(0).normal(0, 0.05, (90, 110))
    found = polynomial_beside(data, np.full(data.shape, 0.05**2), np.ones(data.shape, dtype=bool), 2.0)
    assert found.shape == (3, 3)
    order = [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]
    np.testing.assert_allclose([found[i, j] for i, j in order], true, atol=0.01)


def test_image_full_of_columns_says_nothing_of_its_background():
    x = np.arange(100) * 0.2
    crystal = 1 + np.cos(2 * np.pi * x / 2.0)[:, None] * np.cos(2 * np.pi * x / 2.0)
    noisy = crystal + np.linspace(0, 1, 100) + np.random.default_rng(0).normal(0, 0.02, (100, 100))
    assert background_kind(ZoneAxisImage(noisy, 0.2), np.array([[2.0, 2.0]]))[0] == "constant"
