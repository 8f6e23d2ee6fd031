"""Which planes of a cut view are seen whole."""

import numpy as np

from tomo.placing.placement import _complete_rows

PLACES = np.stack(np.meshgrid(np.arange(-4, 5), np.arange(-9, 6), indexing="ij"), axis=-1).reshape(-1, 2)


def rows_of(ends):
    """Columns from place -8 to the end of each row, in a field of view that reaches from -9 to 5."""
    return np.array([(row, place) for row, end in ends.items() for place in range(-8, end + 1)])


def test_empty_rows_beyond_one_that_is_cut_are_not_seen_whole():
    complete = _complete_rows(rows_of({-1: 2, 0: 4, 1: 5}), PLACES, -4, 5)
    assert complete.tolist() == [True] * 5 + [False] * 4


def test_empty_rows_beside_rows_that_end_in_the_image_are_empty():
    complete = _complete_rows(rows_of({-1: 2, 0: 5, 1: 2}), PLACES, -4, 5)
    assert complete.tolist() == [True] * 4 + [False] + [True] * 4


def test_empty_rows_are_what_is_known_where_all_others_are_cut():
    complete = _complete_rows(rows_of({-1: 5, 0: 5, 1: 5}), PLACES, -4, 5)
    assert complete.tolist() == [True] * 3 + [False] * 3 + [True] * 3
