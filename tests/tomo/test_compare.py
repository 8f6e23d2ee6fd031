"""compare_sites: the answer must not depend on the frame, and must count real differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tomo
from tomo.compare import cubic_operations


def ball(radius):
    grid = np.argwhere(np.ones((2 * radius + 1,) * 3)) - radius
    return grid[(grid.sum(axis=1) % 2 == 0) & ((grid**2).sum(axis=1) <= radius**2)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 47), st.tuples(*[st.integers(-9, 9)] * 3), st.integers(0, 5), st.integers(0, 5))
def test_known_differences_are_counted_in_any_frame(operation, shift, n_missed, n_false):
    true = ball(6)
    outside = ball(7)[(ball(7) ** 2).sum(axis=1) > 36]
    found = np.vstack([true[n_missed:], outside[:n_false]])
    moved = found @ cubic_operations()[operation].T + np.array(shift)
    result = tomo.compare_sites(moved, true)
    assert (result.missed, result.false) == (n_missed, n_false)
    back = {tuple(site) for site in result.to_true_frame(moved)}
    assert len(back & {tuple(site) for site in true}) == len(true) - n_missed


def test_group_has_48_distinct_orthogonal_operations():
    operations = cubic_operations()
    assert len({tuple(o.ravel()) for o in operations}) == 48
    assert all(np.array_equal(o @ o.T, np.eye(3)) for o in operations)


def test_empty_is_refused():
    with pytest.raises(tomo.InputError, match="at least one atom"):
        tomo.compare_sites(np.empty((0, 3), int), [[0, 0, 0]])
