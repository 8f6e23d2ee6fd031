"""Backgrounds of few coefficients: which one says what, in which direction."""

import numpy as np
import pytest

import stemcount
from stemcount.fitting.background import background_basis, background_from_coefficients


def test_the_second_coefficient_rises_to_the_right_and_the_third_downwards():
    right = background_from_coefficients(np.array([2.0, 1.0, 0.0]), (3, 5))
    down = background_from_coefficients(np.array([2.0, 0.0, 1.0]), (3, 5))
    assert right.tolist() == [[1.0, 1.5, 2.0, 2.5, 3.0]] * 3
    assert down.tolist() == [[1.0] * 5, [2.0] * 5, [3.0] * 5]


def test_terms_of_the_second_degree_are_legendre_polynomials_of_u_then_v():
    u, v = np.linspace(-1, 1, 7), np.linspace(-1, 1, 4)[:, None]
    expected = ((3 * u**2 - 1) / 2 + 0 * v, u * v, (3 * v**2 - 1) / 2 + 0 * u)
    np.testing.assert_allclose(background_basis((4, 7), 2)[3:], expected, atol=1e-12)


def test_a_fit_finds_the_slopes_of_a_plane():
    v, u = np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 70), indexing="ij")
    plane = 0.3 + 0.1 * u - 0.05 * v
    image = stemcount.simulate_columns(
        [5.0, 7.9], [5.0, 5.1], [1.0, 2.0], shape=(60, 70), pixel_size=0.2, background=plane
    )
    fit = stemcount.fit_columns(image, [(5.0, 5.0), (7.9, 5.1)], background="plane")
    assert fit.background == pytest.approx([0.3, 0.1, -0.05], abs=1e-3)
    np.testing.assert_allclose(stemcount.background_image(image, fit), plane, atol=1e-3)
