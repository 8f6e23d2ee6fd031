"""The blur against scipy's Gaussian filter."""

import numpy as np
import pytest
from scipy import ndimage

from stemcount.images.blur import gaussian_blur


@pytest.mark.parametrize("shape", [(40, 57), (3, 90), (5, 4), (1, 1)])
@pytest.mark.parametrize(("edge", "mode"), [("mirrored", "reflect"), ("dark", "constant")])
def test_equal_to_scipy(shape, edge, mode):
    image = np.random.default_rng(0).normal(size=shape)
    for width, reach in ((0.6, 4.0), (3.3, 3.0), (7.0, 4.0)):  # longer than the smallest images
        expected = ndimage.gaussian_filter(image, width, truncate=reach, mode=mode)
        np.testing.assert_allclose(gaussian_blur(image, width, reach, edge), expected, atol=1e-14)


def test_32_bits_stay_32_bits():
    image = np.random.default_rng(1).random((30, 31)).astype(np.float32)
    blurred = gaussian_blur(image, 2.0)
    assert blurred.dtype == np.float32
    np.testing.assert_allclose(blurred, ndimage.gaussian_filter(image.astype(float), 2.0), atol=1e-6)
