"""Directions and their names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewers.geometry import direction_name, oblique_direction, view_rotation

directions = st.tuples(*[st.integers(-4, 4)] * 3).filter(any)


@given(directions)
def test_view_rotation_is_proper_and_looks_along_the_direction(direction):
    rotation = view_rotation(direction)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(rotation @ direction / np.linalg.norm(direction), (0, 0, 1), atol=1e-12)


def test_up_points_up_on_the_screen():
    assert (view_rotation((1, 1, 0)) @ (0, 0, 1))[1] == pytest.approx(-1.0)
    assert (view_rotation((0, 0, 1), up=(1, 0, 0)) @ (1, 0, 0))[1] == pytest.approx(-1.0)


def test_oblique_direction_is_close_but_not_equal():
    cosine = oblique_direction((1, 1, 0)) @ np.array([1, 1, 0]) / np.sqrt(2)
    assert 0.85 < cosine < 0.95


def test_direction_names_put_bars_over_negative_indices():
    assert direction_name((1, -1, 0)) == "[11\u03040]"
    assert direction_name((12, 0, 1)) == "[12 0 1]"
