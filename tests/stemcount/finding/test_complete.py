"""Columns added to a set and dropped from it."""

import numpy as np
from scipy.spatial import cKDTree

import stemcount
from stemcount.finding import complete
from stemcount.finding.significance import judge


def test_columns_that_were_dropped_by_mistake_are_given_back(monkeypatch):
    """Their neighbours would move into their light, be dropped next, and half of a faint image with them."""
    x, y = np.meshgrid(np.arange(5.0, 25, 2.5), np.arange(5.0, 25, 2.5))
    points = np.column_stack([x.ravel(), y.ravel()])
    image = stemcount.simulate_columns(
        *points.T, np.ones(64), shape=(150, 150), pixel_size=0.2, dose=1e3, seed=1
    )
    right, mistaken = complete._bad, []

    def wrong_once(image, revision, strictness, translations):
        drop = right(image, revision, strictness, translations)
        if len(mistaken) == 1:  # after the first round, in which nothing is dropped
            drop = drop | (np.hypot(*(revision.points - [13.75, 13.75]).T) < 2)
        mistaken.append(int(drop.sum()))
        return drop

    monkeypatch.setattr(complete, "_bad", wrong_once)
    found = complete._filled(image, judge(image, points), None)
    assert mistaken[1] >= 4
    assert len(found.points) == 64
    assert cKDTree(found.points).query(points)[0].max() < 0.3
