"""A tilted crystal displaces its columns with their depth; nothing else does."""

import numpy as np
import pytest

import tomo
from tomo.phantoms import column_counts, random_particle

GOLD = tomo.fcc("Au", a=4.08)
AXIS = (1, 1, 0)


def seen(sites, tilt=0.0, direction=0.0, distortion=0.0, seed=0):
    """Indexed columns of a particle, each where its upper atom is, and one grid site on each."""
    columns, _ = column_counts(sites, AXIS)
    zone = tomo.zone_geometry(AXIS)
    depth = sites @ np.array(AXIS) / np.sqrt(2) * GOLD.a / 2
    lines, names = zone.lines(sites), zone.lines(columns)
    top = np.array([depth[(lines == name).all(axis=1)].min() for name in names])
    place = zone.positions(names, GOLD.a)
    turned = np.tan(np.radians(tilt)) * top[:, None] * [np.cos(direction), np.sin(direction)]
    bent = distortion * (place / 10) ** 2
    noise = np.random.default_rng(seed).normal(0, 0.03, place.shape)
    x, y = (place + turned + bent + noise).T
    return tomo.index_columns(x, y, AXIS, GOLD), columns


@pytest.fixture(scope="module")
def sites():
    return random_particle(700, "rough", seed=3)


@pytest.mark.parametrize("direction", [0.3, 2.0])
def test_tilt_and_its_direction(sites, direction):
    found = tomo.tilt_of(*seen(sites, tilt=0.8, direction=direction), sites)
    assert found.chi_square > 30
    assert found.angle == pytest.approx(0.8, abs=0.2)
    assert abs((found.direction - np.degrees(direction) + 90) % 180 - 90) < 15


def test_the_inverse_of_the_crystal_says_the_same(sites):
    indexing, columns = seen(sites, tilt=0.8)
    there, inverse = tomo.tilt_of(indexing, columns, sites), tomo.tilt_of(indexing, -columns, -sites)
    assert inverse.angle == pytest.approx(there.angle)
    assert inverse.direction == pytest.approx(there.direction)


@pytest.mark.parametrize("distortion", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_an_upright_crystal_in_a_distorted_image_is_not_called_tilted(sites, seed, distortion):
    assert tomo.tilt_of(*seen(sites, distortion=distortion, seed=seed), sites).chi_square < 20


def test_few_columns_say_nothing(sites):
    indexing, columns = seen(sites)
    few = sites[sites @ np.array(AXIS) == 0][:20]
    assert tomo.tilt_of(indexing, columns, few) is None


def test_a_flat_layer_does_not_tell_a_tilt_from_a_slope_of_its_lattice():
    layer = np.argwhere(np.ones((1, 16, 16), dtype=bool))
    layer = layer[layer.sum(axis=1) % 2 == 0]
    indexing, columns = seen(layer)
    assert indexing.counted.sum() > 40
    assert tomo.tilt_of(indexing, columns, layer) is None
