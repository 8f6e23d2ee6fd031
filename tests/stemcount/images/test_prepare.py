"""Preparation: intensity scale and regions against known answers."""

import numpy as np
import pytest

from stemcount import (
    InputError,
    ZoneAxisImage,
    normalise,
    region_of_interest,
    simulate_columns,
)


def particle(shift=(0.0, 0.0), seed=None, dose=None):
    x, y = (v.ravel() * 2.5 + 6 for v in np.meshgrid(np.arange(5), np.arange(4)))
    volume = np.linspace(0.1, 0.9, 20)
    return simulate_columns(
        x + shift[0], y + shift[1], volume, shape=(110, 120), pixel_size=0.2, dose=dose, seed=seed
    )


def test_normalise_with_levels_and_with_a_map():
    raw = ZoneAxisImage(particle().data * 500 + 20, 0.2)
    by_level = normalise(raw, 20.0, 520.0)
    np.testing.assert_allclose(by_level.data, particle().data, atol=1e-12)
    detector = np.full((40, 40), 20.0)
    detector[10:30, 10:30] = 520.0
    np.testing.assert_allclose(normalise(raw, 20.0, detector).data, by_level.data, atol=1e-12)
    with pytest.raises(InputError, match="above the vacuum"):
        normalise(raw, 20.0, 10.0)
    for levels, what in ((("a", 1.0), "vacuum"), ((0.0, "a"), "detector"), ((0.0, np.ones(3)), "2D map")):
        with pytest.raises(InputError, match=what):
            normalise(raw, *levels)


def test_region_keeps_coordinates():
    image = particle()
    part = region_of_interest(image, 4.0, 12.0, 5.0, 9.0)
    i, j = np.unravel_index(np.argmax(part.data), part.data.shape)
    x, y = part.offset[0] + 0.2 * j, part.offset[1] + 0.2 * i
    assert image.data[round(y / 0.2), round(x / 0.2)] == part.data[i, j]
    with pytest.raises(InputError, match="no pixel"):
        region_of_interest(image, 100.0, 110.0, 0.0, 5.0)
