"""Columns added to a set and dropped from it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

import stemcount
from stemcount.finding import complete
from stemcount.finding.significance import judge, spread_of
from stemcount.fitting.fit import first_state, make_problem
from stemcount.fitting.fit_input import Choice


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


def test_peaks_that_come_and_go_keep_no_site_empty_and_are_judged_before_they_stay(monkeypatch):
    """A halo shows peaks in the residual in every round, each of which is refused in the next."""
    x, y = np.meshgrid(np.arange(5.0, 25, 2.5), np.arange(5.0, 25, 2.5))
    points = np.column_stack([x.ravel(), y.ravel()])
    image = stemcount.simulate_columns(
        *points.T, np.ones(64), shape=(180, 180), pixel_size=0.2, dose=1e3, seed=1
    )
    elsewhere = np.column_stack([np.linspace(1, 34, 40), np.full(40, 33.0)])
    rounds = iter(range(40))
    monkeypatch.setattr(complete, "_new_peaks", lambda *_, **__: elsewhere[next(rounds)][None])
    found = complete._filled(image, judge(image, np.delete(points, 27, axis=0)), None)
    assert next(rounds) > 5
    assert len(found.points) == 64
    assert cKDTree(found.points).query(points)[0].max() < 0.3


@pytest.mark.parametrize("seed", [2, 3, 5])
def test_a_lattice_of_faint_columns_needs_none_that_is_significant_by_itself(seed):
    x, y = (axis.ravel() for axis in np.meshgrid(5 + 1.8 * np.arange(9.0), 5 + 1.8 * np.arange(9.0)))
    volume = 0.003 * np.clip(6 - np.hypot(x - x.mean(), y - y.mean()) / 1.6, 1, 6) ** 0.9
    image = stemcount.simulate_columns(
        x, y, volume, shape=(122, 122), pixel_size=0.2, dose=5e3, seed=seed, width=0.5
    )
    found = stemcount.find_columns(replace(image, dose=None))
    assert len(found) == 81
    assert cKDTree(found).query(np.column_stack([x, y]))[0].max() < 0.6


def test_columns_where_nothing_was_recorded_leave_no_scores():
    image = stemcount.simulate_columns([4.0], [4.0], [1.0], shape=(60, 60), pixel_size=0.2)
    valid = np.indices(image.data.shape)[0] >= 50
    hidden = replace(image, valid=valid, data=np.arange(3600.0).reshape(60, 60))
    problem = make_problem(hidden, np.array([(4.0, 4.0)]), np.zeros(1, dtype=np.int64), Choice())
    levels, spread = spread_of(hidden.data, hidden.data, problem, first_state(problem))
    assert len(levels) == len(spread) - 1
    np.testing.assert_array_equal(spread, 1.0)


def test_an_option_that_fitting_has_not_is_named():
    image = stemcount.simulate_columns([5.0, 8.0], [5.0, 5.0], [1.0, 1.0], shape=(50, 65), pixel_size=0.2)
    fit = stemcount.fit_columns(image, [[5.0, 5.0], [8.0, 5.0]])
    with pytest.raises(stemcount.InputError, match="width: no option of fit_columns; expected one of peak"):
        stemcount.complete_columns(image, fit, width="common")
