"""Derivatives of peaks against differences of the images that they make."""

import numpy as np
import pytest

from stemcount.fitting.peaks import add_peaks, add_shared_derivatives, reach_of


def columns():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 41, 9), rng.uniform(-1, 31, 9)  # some beyond the edges
    return x, y, rng.uniform(1, 5, 9), rng.uniform(2, 3, 9), np.arange(9) % 2


def image_of(x, y, volume, width, fraction, ratio):
    image = np.zeros((30, 40))
    add_peaks(image, x, y, volume, width, fraction, ratio)
    return image


@pytest.mark.parametrize(("n_groups", "tail"), [(2, (0.0, 1.0)), (2, (0.2, 1.7)), (0, (0.2, 1.7))])
def test_shared_derivatives(n_groups, tail):
    x, y, volume, width, group = columns()
    tailed = tail[0] > 0
    images = np.zeros((n_groups + 2 * tailed, 30, 40))
    reach = reach_of(width, *tail)
    add_shared_derivatives(images, x, y, volume, width, group, n_groups, *tail, reach)
    step = 1e-4
    ends = [[(width + sign * step * (group == g), *tail) for sign in (1, -1)] for g in range(n_groups)]
    if tailed:
        ends.append([(width, tail[0] + sign * step, tail[1]) for sign in (1, -1)])
        ends.append([(width, tail[0], tail[1] + sign * step) for sign in (1, -1)])
    for image, both in zip(images, ends, strict=True):
        more, less = (image_of(x, y, volume, *end) for end in both)
        np.testing.assert_allclose(image, (more - less) / (2 * step), atol=1e-4)  # peaks are cut off


@pytest.mark.parametrize(
    ("x", "y"), [(-30.0, 15.0), (70.0, 15.0), (20.0, -25.0), (20.0, 55.0), (-30.0, -25.0)]
)
def test_columns_far_outside_the_image_add_nothing(x, y):
    column = (np.array([x]), np.array([y]), np.array([5.0]), np.array([2.0]))
    assert not image_of(*column, 0.2, 1.7).any()
    images = np.zeros((3, 30, 40))
    add_shared_derivatives(images, *column, np.array([0]), 1, 0.2, 1.7, reach_of(column[3], 0.2, 1.7))
    assert not images.any()


def test_reach_of_many_and_with_tails():
    np.testing.assert_allclose(reach_of(np.array([1.0, 2.0]), 0.0, 1.0), [5, 10])
    np.testing.assert_allclose(reach_of(np.array([1.0, 2.0]), 0.1, 2.0), [8, 16])
