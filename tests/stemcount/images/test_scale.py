"""The width of an image's peaks from its own contrast."""

import numpy as np
import pytest
from scipy import ndimage

import stemcount
from stemcount.images.scale import peak_scale


@pytest.mark.parametrize("dose", [1e4, 3e3])
def test_the_noise_of_an_image_that_was_turned_is_not_taken_for_its_peaks(dose):
    """Interpolation leaves noise whose contrast is finest near one pixel: with much of it beside the particle
    the fit began there, with peaks a sixth as wide as the columns; at a low dose it hides the columns."""
    x, y = (22 + 2.2 * grid.ravel() for grid in np.meshgrid(np.arange(4), np.arange(4)))
    light = {"width": 0.5, "background": 0.004, "dose": dose, "seed": 1}
    recorded = stemcount.simulate_columns(x, y, np.full(16, 0.1), shape=(450, 450), pixel_size=0.1, **light)
    turned = ndimage.rotate(recorded.data, 7.0, order=1, reshape=False, mode="nearest")
    for data in (recorded.data, turned):
        image = stemcount.ZoneAxisImage(data, 0.1)
        assert 0.4 < 0.1 * image.peak_scale < 0.6


@pytest.mark.parametrize("width", [2.0, 5.0])
def test_a_lone_peak_answers_at_root_two_times_its_width(width):
    """The mean square s^4 / (s^2 + width^2)^3 of its filtered image is largest at s^2 = 2 width^2."""
    i, j = np.indices((300, 300)) - 150
    assert peak_scale(np.exp(-(i**2 + j**2) / (2 * width**2)), 0.2) == pytest.approx(
        np.sqrt(2) * width, rel=0.01
    )


@pytest.mark.parametrize("period", [12.0, 25.0])
def test_waves_answer_at_their_period_over_root_two_pi(period):
    """The mean square s^4 k^4 exp(-s^2 k^2) of a wave's filtered image is largest at s k = root 2."""
    i, j = np.indices((300, 300))
    waves = np.cos(2 * np.pi * i / period) + np.cos(2 * np.pi * j / period)
    assert peak_scale(waves, 0.2) == pytest.approx(period / (np.sqrt(2) * np.pi), rel=0.02)
