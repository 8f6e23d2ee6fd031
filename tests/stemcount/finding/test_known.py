"""Columns of a known crystal are found where no spot of their lattice shows, and only these."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

import stemcount
import tomo
from stemcount.cli.one_image.faint import find_and_fit
from stemcount.finding.crowded import on_known_lattice
from stemcount.finding.find import found_columns, search
from stemcount.finding.known import known_lattice, light_within, same_shape, sight, symmetry
from stemcount.finding.scene import make_scene
from stemcount.finding.spectrum import lattices_in_spectrum

PALLADIUM = tomo.fcc("Pd", a=3.89)
AXES = ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2), (3, 1, 0))


def expected(axis, scale=1.0):
    return tomo.zone_geometry(axis).plane_basis * scale * PALLADIUM.a / 2


def particle(seed, deformation=((1.0, 0.0), (0.0, 1.0)), axis=(1, 1, 1), width=0.72):
    """A particle along [111], whose columns are 1.59 A apart, and their places."""
    sites = tomo.phantoms.random_particle(300, "stepped", seed=40 + seed) * PALLADIUM.a / 2
    shown = {"pixel_size": 0.2, "width": width, "background": 0.02, "seed": seed, "dose": 2e4}
    image, truth = stemcount.simulate_crystal(
        sites, axis, angle=20.0 + 33.0 * seed, atom_cross_section=0.04, **shown
    )
    true = np.column_stack([truth["x"], truth["y"]])
    true = (true - true.mean(axis=0)) @ np.array(deformation).T + true.mean(axis=0)
    image = stemcount.simulate_columns(*true.T, truth["cross_section"], shape=image.data.shape, **shown)
    return stemcount.ZoneAxisImage(image.data, 0.2), true


def scene_of(image):
    return make_scene(image, 0.45 / image.pixel_size, np.zeros(image.data.shape))


def wrong(found, true):
    """Share of the columns that are missed or false."""
    missed, false = cKDTree(found).query(true)[0] > 0.56, cKDTree(true).query(found)[0] > 0.56
    return (missed.sum() + false.sum()) / len(true)


def test_columns_whose_spots_are_in_the_noise():
    """2.2 widths apart, sheared by 2 %, the pixel size stated 5 % off: none is found alone."""
    image, true = particle(0, [[1.02, 0.02], [0.0, 0.99]])
    assert (
        max((each.power for each in lattices_in_spectrum(*scene_of(image).modulation(), 5.0)), default=0) < 12
    )
    alone = search(image)
    assert alone is None or wrong(alone.points, true) > 0.8
    of_image = found_columns(image, expected((1, 1, 1), 1.05))
    found, added = of_image.points, of_image.added
    assert wrong(found, true) < 0.03
    assert added.all()


def test_a_run_places_them_and_says_so():
    image, true = particle(2)
    fit, placed = find_and_fit(image, (1, 1, 1), {}, PALLADIUM)
    assert placed
    assert wrong(np.column_stack([fit.x, fit.y]), true) < 0.03
    indexing = tomo.index_columns(fit.x, fit.y, (1, 1, 1), PALLADIUM)
    assert indexing.keep.mean() > 0.97


@pytest.mark.parametrize("axis", [(1, 1, 1), (3, 1, 0)])
def test_another_zone_axis_does_not_explain_them(axis):
    """Of [310] the rows show, which other lattices have, too."""
    image, _ = particle(0, axis=axis, width=0.72 if axis == (1, 1, 1) else 0.44)
    scene = scene_of(image)
    clear = {}
    for other in {axis, (1, 1, 0), (1, 1, 2)}:
        lattice = known_lattice(scene, expected(other) / image.pixel_size)
        clear[other] = -np.inf if lattice is None else lattice.clear
    assert clear.pop(axis) > 20
    assert max(clear.values()) < 6


@pytest.mark.parametrize(("radius", "blur"), [(6.0, 0.5), (9.0, 1.0)])
def test_light_without_columns(radius, blur):
    y, x = np.mgrid[-15:15:0.2, -15:15:0.2]
    level = 0.02 + 0.2 * ndimage.gaussian_filter((np.hypot(x, y) < radius).astype(float), blur / 0.2)
    data = np.random.default_rng(0).poisson(level * 800) / 800
    scene = scene_of(stemcount.ZoneAxisImage(data, 0.2))
    for axis in AXES[1:3]:
        lattice = known_lattice(scene, expected(axis) / 0.2)
        assert lattice is None or lattice.clear < 12


@pytest.mark.parametrize("columns", [0, 1])
def test_too_few_columns(columns):
    data = np.random.default_rng(0).normal(0.01, 0.001, (100, 100))
    i, j = np.indices(data.shape)
    data += 0.1 * columns * np.exp(-((i - 50) ** 2 + (j - 50) ** 2) / 20)
    found = known_lattice(scene_of(stemcount.ZoneAxisImage(data, 0.2)), expected((1, 1, 1)) / 0.2)
    assert found is None or (columns and found.clear < 5)


def test_columns_that_form_the_lattice_are_left_as_they_are():
    image, _ = particle(1, width=0.6)
    best = search(image)
    assert best.crowded
    assert on_known_lattice(image, scene_of(image), best, expected((1, 1, 1), 0.96)) is best
    np.testing.assert_array_equal(found_columns(image, expected((1, 1, 1))).points, best.points)


def test_a_matrix_for_many_origins():
    """Exact for the first origin, and near it for the others."""
    image, _ = particle(0)
    basis = expected((1, 1, 1)) / 0.2
    view = sight(scene_of(image), basis, 3.6, 150)
    places = np.array([[80.0, 80.0], [81.0, 79.5], [79.5, 80.5]])
    together = view.evidence(basis, places)
    alone = np.array([view.evidence(basis, place[None])[0] for place in places])
    assert together[0] == pytest.approx(alone[0], rel=1e-9)
    np.testing.assert_allclose(together, alone, rtol=0.02)


def test_shapes_of_lattices():
    turned = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    for axis in AXES:
        basis = expected(axis)
        other = basis @ np.array([[1, 3], [0, 1]])
        assert same_shape(1.04 * turned @ other, basis)
        assert [same_shape(basis, expected(each)) for each in AXES].count(True) == 1
        assert all(
            abs(np.linalg.det(finer)) < 0.51 * abs(np.linalg.det(basis)) for finer in light_within(basis)
        )
    degrees = np.degrees([symmetry(expected(axis)) for axis in AXES[:3]])
    np.testing.assert_allclose(degrees, [90, 180, 60])
