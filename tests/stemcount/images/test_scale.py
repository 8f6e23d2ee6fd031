"""The width of an image's peaks from its own contrast."""

import numpy as np
import pytest
from scipy import ndimage

import stemcount


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
