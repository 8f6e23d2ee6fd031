"""Columns of another particle do not become the first one's where they lie on its lines by chance."""

import numpy as np

from tomo import fcc, index_columns
from tomo.placing.detached import detached

GOLD = fcc("Au", a=4.08)


def square(rows, cols):
    return 2.04 * np.stack(np.meshgrid(np.arange(cols), np.arange(rows)), -1).reshape(-1, 2).astype(float)


def test_two_columns_of_another_particle():
    points = np.vstack([square(8, 8), [[-15, -15], [-17, -14.2], [-15.6, -17]]])
    points[64:66] = np.rint(points[64:66] / 2.04) * 2.04  # two of them lie on lines of the first
    indexing = index_columns(points[:, 0], points[:, 1], (0, 0, 1), GOLD)
    assert indexing.keep.tolist() == 64 * [True] + 3 * [False]


def test_a_column_in_contact_and_one_behind_a_missed_one_are_attached():
    points = np.vstack([square(8, 8), [[16.32, 4.08], [-4.08, 4.08]]])
    assert not detached(points, np.ones(66, dtype=bool), 4.08).any()


def test_the_lattice_may_go_on_in_another_piece():
    points = np.vstack([square(8, 8), square(3, 3) + np.array([15 * 2.04, 0])])
    assert not detached(points, np.ones(73, dtype=bool), 4.08).any()
    near = np.ones(73, dtype=bool)
    near[67:] = False  # but not where most of its columns stand aside
    assert detached(points, near, 4.08).nonzero()[0].tolist() == list(range(64, 73))
