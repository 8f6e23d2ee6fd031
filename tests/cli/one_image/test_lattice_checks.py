"""Images in which no columns are resolved are refused with what they may be."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import tomo
from stemcount import InputError, fit_columns, simulate_columns
from stemcount.cli.one_image.lattice_checks import resolution_warnings

A, PIXEL, DOSE = 4.08, 0.2, 2e4
GRID = np.stack(np.meshgrid(np.arange(10), np.arange(10)), axis=-1).reshape(-1, 2)
PLACES = 6.0 + A / 2 * GRID
VOLUMES = 0.03 * np.random.default_rng(1).integers(3, 9, len(PLACES))


def warned(data, width):
    """What is said of an image of these columns with the intensities `data`."""
    image = simulate_columns(*PLACES.T, VOLUMES, shape=(150, 150), pixel_size=PIXEL, width=width, name="view")
    scale = DOSE * PIXEL**2
    data = image.data if data is None else data(image.data)
    image = replace(image, data=np.random.default_rng(2).poisson(data * scale) / scale, dose=DOSE)
    fit = fit_columns(image, PLACES)
    return resolution_warnings(image, fit, tomo.index_columns(*PLACES.T, (0, 0, 1), tomo.fcc("Au", a=A)))


@pytest.mark.parametrize("width", [0.5, 0.75, 0.9])
def test_columns_are_not_doubted(width):
    assert warned(None, width) == []


def test_smooth_light_is_refused():
    def blotches(data):
        texture = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=data.shape), 0.8 / PIXEL)
        return ndimage.gaussian_filter(data, 5) * np.maximum(1 + 0.4 * texture / texture.std(), 0)

    with pytest.raises(InputError, match="view: no columns are resolved: what was taken for 100 columns"):
        warned(blotches, 0.8)
