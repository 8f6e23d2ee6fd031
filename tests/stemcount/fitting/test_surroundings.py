"""What varies beside a particle is measured there and drawn again."""

import numpy as np
import pytest
from scipy import ndimage

from stemcount.fitting.surroundings import distance_to_columns, structure_beside

SHAPE, WIDTH, PIXEL = (180, 200), 3.0, 0.2


def beside(residual):
    """Structure about a particle of one column in the middle that hides a disc of 3.5 A."""
    distance = distance_to_columns(SHAPE, np.array([100.0]), np.array([90.0]))
    return structure_beside(residual, np.ones(SHAPE, bool), np.ones((1, *SHAPE)), distance, WIDTH, PIXEL)


def noise(seed):
    return np.random.default_rng(seed).normal(size=SHAPE)


def test_distance_to_the_nearest_column():
    distance = distance_to_columns((5, 9), np.array([1.0, 7.0]), np.array([2.0, 2.0]))
    assert distance[2].tolist() == [1, 0, 1, 2, 3, 2, 1, 0, 1]
    assert distance[4, 1] == 2


def test_white_noise_has_no_structure():
    assert all(beside(noise(seed)) is None for seed in range(6))


def test_too_little_room_tells_nothing():
    x, y = (axis.ravel() * 10.0 for axis in np.meshgrid(np.arange(20), np.arange(18)))
    distance = distance_to_columns(SHAPE, x, y)
    cloud = ndimage.gaussian_filter(noise(0), 4.0)
    assert structure_beside(cloud, np.ones(SHAPE, bool), np.ones((1, *SHAPE)), distance, WIDTH, PIXEL) is None


@pytest.mark.parametrize("size", [2.0, 5.0])
def test_draws_vary_as_the_surroundings_do(size):
    cloud = ndimage.gaussian_filter(noise(0), size)
    cloud /= cloud.std()
    structure = beside(cloud + 0.5 * noise(1))
    draws = [structure.draw(seed) for seed in range(8)]
    assert draws[0].shape == SHAPE
    np.testing.assert_array_equal(draws[0], structure.draw(0))
    assert np.std(draws) == pytest.approx(1.0, abs=0.15)
    step = int(size)  # cov(r) = exp(-r^2 / 4 size^2)
    along = np.mean([np.mean(d[:, step:] * d[:, :-step]) for d in draws]) / np.var(draws)
    assert along == pytest.approx(np.exp(-(step**2) / (4 * size**2)), abs=0.15)


def test_levels_of_rows_vary_across_rows_alone():
    draw = beside(noise(2) * 0.2 + np.random.default_rng(3).normal(size=(SHAPE[0], 1))).draw(0)
    assert np.mean(np.diff(draw, axis=1) ** 2) < 0.3 * np.mean(np.diff(draw, axis=0) ** 2)
