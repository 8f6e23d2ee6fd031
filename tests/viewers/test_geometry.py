"""Directions, grid lines and neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewers.geometry import (
    coordination,
    direction_name,
    line_keys,
    oblique_direction,
    shared_planes,
    sum_over_columns,
    view_rotation,
)

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


@given(directions, st.lists(st.tuples(*[st.integers(-6, 6)] * 3), min_size=2, max_size=20, unique=True))
def test_two_sites_share_a_key_exactly_if_they_differ_by_a_multiple_of_the_direction(direction, sites):
    keys = line_keys(sites, direction)
    for i, one in enumerate(sites):
        parallel = ~np.any(np.cross(np.subtract(sites, one), direction), axis=1)
        np.testing.assert_array_equal(parallel, (keys == keys[i]).all(axis=1))


def test_sums_over_columns_count_every_atom_once(sites):
    for axis in [(0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 1, 2)]:
        _, first = np.unique(line_keys(sites, axis), axis=0, return_index=True)
        assert sum_over_columns(sites[first], sites, axis).sum() == len(sites)


def test_column_without_atoms_sums_to_zero():
    assert sum_over_columns([(0, 0, 0), (8, 8, 0)], [(0, 0, 2)], (0, 0, 1)).tolist() == [1, 0]
    assert sum_over_columns([(0, 0, 0)], np.zeros((0, 3), int), (0, 0, 1)).tolist() == [0]


def test_coordination_inside_and_on_the_surface(sites):
    near = coordination(sites)
    assert near[np.all(sites == 0, axis=1)] == 12
    assert near.max() == 12
    assert near.min() < 9
    distances = np.sum((sites[:, None] - sites[None]) ** 2, axis=2)
    np.testing.assert_array_equal(near, (distances == 2).sum(axis=1))
    assert coordination(np.zeros((0, 3))).shape == (0,)


def test_shared_planes():
    assert shared_planes((1, 0, 0), (2, 0, 0)) is None
    assert shared_planes((0, 0, 1), (1, 1, 0)).tolist() == [1, -1, 0]


def test_direction_names_put_bars_over_negative_indices():
    assert direction_name((1, -1, 0)) == "[11\u03040]"
    assert direction_name((12, 0, 1)) == "[12 0 1]"
