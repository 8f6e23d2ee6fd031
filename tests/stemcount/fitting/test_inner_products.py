"""The moments against plain sums over the pixels."""

import numpy as np
import pytest

from stemcount.fitting.inner_products import image_products, pair_products
from stemcount.fitting.normal_equations import overlapping_pairs


def derivatives(x, y, volume, width, tail, reach, shape, kinds):
    """(n, kinds, rows, cols): every column's derivatives, zero beyond its window."""
    images = np.zeros((len(x), kinds, *shape))
    v, u = (place - centre[:, None, None] for place, centre in zip(np.indices(shape), (y, x), strict=True))
    volume, width = volume[:, None, None], width[:, None, None]
    for share, part in ((1 - tail[0], width), (tail[0], tail[1] * width)):
        square = (u**2 + v**2) / part**2
        peak = share * np.exp(-square / 2) / (2 * np.pi * part**2)
        by = (
            volume * peak * u / part**2,
            volume * peak * v / part**2,
            peak,
            volume * peak * (square - 2) / width,
        )
        images += np.stack(by[:kinds], axis=1)
    within = (np.abs(u) <= reach[:, None, None]) & (np.abs(v) <= reach[:, None, None])
    return images * within[:, None]


@pytest.mark.parametrize("kinds", [3, 4])
@pytest.mark.parametrize("tail", [(0.0, 1.0), (0.2, 2.3)])
def test_equal_plain_sums(kinds, tail):
    rng = np.random.default_rng(kinds)
    n, shape = 12, (31, 40)
    x, y = rng.uniform(-2, 42, n), rng.uniform(-2, 33, n)  # some beyond the edges
    volume, width = rng.uniform(0, 5, n), rng.uniform(1.5, 3, n)
    weight, images = rng.uniform(0.5, 2, shape), rng.normal(size=(3, *shape))
    reach = 4 * width
    plain = derivatives(x, y, volume, width, tail, reach, shape, kinds)

    products = np.empty((n, kinds, 3))
    image_products(images, x, y, volume, width, *tail, reach, products)
    np.testing.assert_allclose(products, np.einsum("nkij,sij->nks", plain, images), atol=1e-11)

    start, neighbour = overlapping_pairs(x, y, 15.0)
    blocks = np.empty((len(neighbour), kinds, kinds))
    pair_products(start, neighbour, blocks, weight, x, y, volume, width, *tail, reach)
    expected = np.einsum("nkij,ij,mqij->nmkq", plain, weight, plain)
    first = np.repeat(np.arange(n), np.diff(start))
    np.testing.assert_allclose(blocks, expected[first, neighbour], atol=1e-11 * np.abs(expected).max())


def test_column_outside_the_image_has_none():
    one = np.ones(1)
    products = np.full((1, 3, 1), np.nan)
    image_products(np.ones((1, 9, 9)), 100 * one, one, one, one, 0.0, 1.0, 4 * one, products)
    assert not products.any()
