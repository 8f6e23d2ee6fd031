"""Which planes of a cut view are seen whole, and how well two views agree for every shift."""

import numpy as np
import pytest

from tomo import agreement_log_likelihood, zone_geometry
from tomo.phantoms import column_counts, random_particle
from tomo.placing.agreement import COUNTED, UNSETTLED
from tomo.placing.counted_lines import CountedLines
from tomo.placing.planes import shared_planes
from tomo.placing.rows import _complete_rows, row_sums, shift_table, shifted_sums

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


def counted(axis, cut):
    """A rough particle of 300 atoms along a zone axis; `cut` leaves only what lies well within its rim."""
    columns, atoms = column_counts(random_particle(300, "rough", seed=4), axis)
    lines = zone_geometry(axis).lines(columns)
    inside = None
    if cut:
        low, high = lines.min(axis=0) + 1, lines.max(axis=0)
        shown = (lines >= low).all(axis=1)
        lines, atoms = lines[shown], atoms[shown]
        grid = np.meshgrid(*(np.arange(*ends) for ends in zip(low, high + 2, strict=True)), indexing="ij")
        inside = np.stack(grid, axis=-1).reshape(-1, 2)
    return CountedLines(axis, lines, atoms + 0.3, np.full(len(atoms), 0.2), inside, (0,))


@pytest.mark.parametrize("cut", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("axes", [((0, 0, 1), (1, 1, 0)), ((1, 0, 0), (0, 1, 0)), ((1, 1, 1), (2, 1, 0))])
def test_all_shifts_at_once_score_as_each_alone(axes, cut):
    planes = shared_planes(*axes)
    first, second = (
        row_sums(counted(axis, is_cut), change, planes.classes)
        for axis, is_cut, change in zip(axes, cut, (planes.of_first, planes.of_second), strict=True)
    )
    for prior in (COUNTED, UNSETTLED):
        table = shift_table(first, second, planes, prior)
        assert table.scores.shape == (len(first.atoms) + len(second.atoms) - 1, planes.classes)
        for k, c in np.ndindex(table.scores.shape):
            alone = shifted_sums(first, second, planes, table.lowest + k, c)
            assert table.scores[k, c] == pytest.approx(agreement_log_likelihood(alone, prior), abs=1e-9)
