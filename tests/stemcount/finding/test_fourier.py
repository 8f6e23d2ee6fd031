"""A lattice that the image hardly shows is found by its Fourier transform; one that is not there is not."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

import stemcount
import tomo
from stemcount.cli.one_image.faint import find_and_fit

SILVER = tomo.fcc("Ag", a=4.09)


def faint(axis, dose, angle, seed=0):
    sites = tomo.phantoms.random_particle(1200, "rough", seed=60 + seed)
    return stemcount.simulate_crystal(
        sites * SILVER.a / 2, axis, pixel_size=0.17, dose=dose, background=0.03, angle=angle, seed=seed
    )


def expected(axis):
    return tomo.zone_geometry(axis).plane_basis * SILVER.a / 2


@pytest.mark.parametrize(("axis", "angle"), [((1, 0, 0), 17.0), ((1, 1, 0), 111.0)])
@pytest.mark.parametrize("scale", [0.96, 1.04])
def test_faint_columns_are_placed(axis, angle, scale):
    image, truth = faint(axis, 200.0, angle)
    lattice = stemcount.fourier_lattice(image, scale * expected(axis))
    seeds = stemcount.lattice_seeds(image, lattice)
    away = cKDTree(seeds).query(np.column_stack([truth["x"], truth["y"]]))[0]
    assert (away < 0.5).mean() > 0.95
    assert len(seeds) < 1.3 * len(away)


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_no_lattice(seed):
    data = np.random.default_rng(seed).poisson(5.0, (150, 170)).astype(float)
    with pytest.raises(stemcount.InputError, match="stands out of the noise"):
        stemcount.fourier_lattice(stemcount.ZoneAxisImage(data, 0.17), expected((1, 0, 0)))


@pytest.mark.parametrize("radius", [5.3, 6.0])
def test_a_disc_has_no_lattice(radius):
    y, x = np.mgrid[-15:15:0.17, -15:15:0.17]
    level = 0.01 + 0.2 * ndimage.gaussian_filter((np.hypot(x, y) < radius).astype(float), 2.0)
    data = np.random.default_rng(0).poisson(level * 1e3).astype(float)
    for axis in ((1, 0, 0), (1, 1, 0), (1, 1, 1)):
        with pytest.raises(stemcount.InputError, match="stands out of the noise"):
            stemcount.fourier_lattice(stemcount.ZoneAxisImage(data, 0.17), expected(axis))


def test_the_unit_of_the_intensities_does_not_matter():
    image, _ = faint((1, 1, 0), 200.0, 111.0)
    small = stemcount.ZoneAxisImage(image.data * 1e-4, image.pixel_size)
    found = [stemcount.fourier_lattice(i, 1.04 * expected((1, 1, 0))) for i in (image, small)]
    np.testing.assert_allclose(found[0].basis, found[1].basis, rtol=1e-6)
    np.testing.assert_allclose(found[0].origin, found[1].origin, atol=1e-4)


def test_another_zone_axis_is_not_taken_for_the_expected_one():
    image, _ = faint((1, 0, 0), 2000.0, 20.0)
    with pytest.raises(stemcount.InputError, match="stands out of the noise"):
        stemcount.fourier_lattice(image, expected((1, 1, 0)))


def test_pixels_that_cannot_show_the_lattice():
    image = stemcount.ZoneAxisImage(np.random.default_rng(0).normal(size=(40, 40)), 1.5)
    with pytest.raises(stemcount.InputError, match="too coarse"):
        stemcount.fourier_lattice(image, expected((1, 1, 0)))


def test_the_last_resort_is_used_where_it_is_needed():
    image, truth = faint((1, 0, 0), 300.0, 45.0)
    fit, by_fourier = find_and_fit(image, (1, 0, 0), {}, SILVER)
    assert by_fourier
    assert 0.8 < len(fit) / len(truth["x"]) < 1.15
    assert tomo.index_columns(fit.x, fit.y, (1, 0, 0), SILVER).keep.mean() > 0.9


def test_the_halves_of_a_twin_are_not_taken_for_one_crystal():
    """Its columns are plain to see: the last resort, with the lattice of one half, is not needed."""
    normal = np.ones(3) / 3**0.5
    sites = tomo.phantoms.random_particle(500, "faceted", seed=3).astype(float)
    sites -= np.rint(sites.mean(axis=0))
    half = sites[sites @ normal < 1e-6]
    below = half[half @ normal < -1e-6]
    twin = np.concatenate([half, below - 2 * (below @ normal)[:, None] * normal])
    image, truth = stemcount.simulate_crystal(
        twin * SILVER.a / 2, (1, -1, 0), pixel_size=0.15, dose=3e4, background=0.01, angle=20.0, seed=0
    )
    fit, by_fourier = find_and_fit(image, (1, -1, 0), {}, SILVER)
    assert not by_fourier
    assert len(fit) == pytest.approx(len(truth["x"]), abs=2)
    with pytest.raises(tomo.InputError, match="Is it a twin"):
        tomo.index_columns(fit.x, fit.y, (1, -1, 0), SILVER, cross_section=fit.cross_section)


def test_a_faint_particle_is_found_in_a_wide_field():
    """Noise beside the particle is not added up."""
    sites = tomo.phantoms.random_particle(150, "rough", seed=63)
    for border in (5.0, 30.0):
        image, truth = stemcount.simulate_crystal(
            sites * SILVER.a / 2,
            (1, 0, 0),
            pixel_size=0.17,
            dose=1500.0,
            background=0.03,
            border=border,
            seed=0,
        )
        seeds = stemcount.lattice_seeds(image, stemcount.fourier_lattice(image, expected((1, 0, 0))))
        away = cKDTree(seeds).query(np.column_stack([truth["x"], truth["y"]]))[0]
        assert (away < 0.5).mean() > 0.9
        assert len(seeds) < 2.5 * len(away)  # those in noise alone are not significant


@pytest.mark.parametrize("corners", [3, 4, 6])
def test_straight_edges_have_no_lattice(corners):
    y, x = np.mgrid[-15:15:0.17, -15:15:0.17]
    sides = 2 * np.pi * np.arange(corners) / corners
    inside = np.max([x * np.cos(t) + y * np.sin(t) for t in sides], axis=0) < 6.0
    level = 0.01 + 0.3 * ndimage.gaussian_filter(inside.astype(float), 2.0)
    data = np.random.default_rng(0).poisson(level * 2e3).astype(float)
    for axis in ((1, 0, 0), (1, 1, 0), (1, 1, 1)):
        with pytest.raises(stemcount.InputError, match="stands out of the noise"):
            stemcount.fourier_lattice(stemcount.ZoneAxisImage(data, 0.17), expected(axis))


def test_columns_that_were_taken_for_one_are_told_apart_by_the_lattice():
    """Three columns blurred into one form a lattice, too, but three times as coarse as that of the axis."""
    metal = tomo.fcc("Pd", a=3.89)
    sites = tomo.phantoms.random_particle(776, "faceted", seed=5)
    image, truth = stemcount.simulate_crystal(
        sites * metal.a / 2, (1, 1, 1), pixel_size=0.1, dose=1e4, width=0.54,
        atom_cross_section=0.008, background=0.005, angle=10.0, seed=0,
    )  # fmt: skip
    fit, _ = find_and_fit(image, (1, 1, 1), {}, metal)
    assert len(fit) == pytest.approx(len(truth["x"]), rel=0.1)
    assert tomo.index_columns(fit.x, fit.y, (1, 1, 1), metal).keep.mean() > 0.9


def test_a_slope_beside_a_faint_particle_makes_no_columns():
    """Before it was known, 41 false columns of 188."""
    image, truth = faint((1, 1, 0), 400.0, 40.0)
    scale = 400.0 * image.pixel_size**2
    slope = np.broadcast_to(np.linspace(0, 0.02, image.data.shape[1]), image.data.shape)
    data = image.data + np.random.default_rng(1).poisson(slope * scale) / scale
    sloping = stemcount.ZoneAxisImage(data, image.pixel_size)
    fit, _ = find_and_fit(sloping, (1, 1, 0), {}, SILVER)
    away = cKDTree(np.column_stack([truth["x"], truth["y"]])).query(np.column_stack([fit.x, fit.y]))[0]
    assert np.count_nonzero(away > 0.7) < 0.08 * len(fit)
    assert len(fit) > 0.9 * len(truth["x"])
