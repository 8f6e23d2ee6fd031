"""recount: class means learned from known counts, whatever the reading it starts from."""

import numpy as np
import pytest

from stemcount import InputError, count_atoms, counts_from_hypothesis, recount
from stemcount.results import Hypothesis


def columns(seed, n=200, width=0.12, largest=9):
    """Columns of 1..largest atoms on a bent curve, with class width growing as the root of the mean."""
    rng = np.random.default_rng(seed)
    k = rng.integers(1, largest + 1, n)
    curve = np.arange(largest + 1) ** 0.9
    std = np.full(n, 0.05)
    values = curve[k] + rng.normal(size=n) * np.sqrt(width**2 * curve[k] / largest + std**2)
    return values, std, k, curve


def wrong_start(values, factor):
    """Counts under a reading whose scale is off."""
    mean = np.arange(15) * factor
    width = np.full(15, 0.2)
    return counts_from_hypothesis(values, Hypothesis(mean, width, np.full(15, 1 / 15), 0, 14, 0.0))


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.3])
def test_known_counts_mend_a_wrong_scale(factor):
    values, std, k, curve = columns(0)
    again = recount(wrong_start(values, factor), values, std, k)
    assert np.max(np.abs(again.chosen.mean[: len(curve)] - curve)) < 0.1
    assert np.mean(again.count == k) > 0.98
    assert (again.offset, again.n_components) == (0, 9)


def test_classes_are_as_wide_as_their_columns_scatter():
    values, _, k, curve = columns(6, n=4000)
    beyond = np.sqrt(0.12**2 * curve / 9 + 0.05**2)  # all of the scatter, as no error of the fit is stated
    again = recount(wrong_start(values, 0.9), values, np.zeros(4000), k)
    assert again.chosen.width[5:10] == pytest.approx(beyond[5:], rel=0.1)
    told = recount(wrong_start(values, 0.9), values, np.full(4000, 0.05), k)
    assert told.chosen.width[5:10] == pytest.approx(np.sqrt(beyond[5:] ** 2 - 0.05**2), rel=0.15)


def test_some_wrong_counts_do_not_spoil_the_curve():
    values, std, k, curve = columns(1, n=400)
    noisy = k + np.random.default_rng(2).choice([-1, 0, 1], size=len(k), p=[0.08, 0.84, 0.08])
    again = recount(count_atoms(values, cross_section_std=std), values, std, np.maximum(noisy, 0))
    assert np.max(np.abs(again.chosen.mean[1:10] - curve[1:])) < 0.2
    assert np.mean(again.count == k) > 0.93


def test_columns_of_unknown_count_are_counted_but_teach_nothing():
    values, std, k, _ = columns(3)
    hidden = np.where(np.arange(len(k)) % 2 == 0, -1, k)
    again = recount(wrong_start(values, 0.8), values, std, hidden)
    assert np.mean(again.count[hidden < 0] == k[hidden < 0]) > 0.95


def test_probabilities_are_probabilities():
    values, std, k, _ = columns(4)
    again = recount(wrong_start(values, 1.1), values, std, k)
    np.testing.assert_allclose(again.probability.sum(axis=1), 1)
    assert np.all(np.diff(again.chosen.mean) >= 0)
    assert again.chosen.mean[0] == 0


def test_unusable_input_is_refused():
    values, std, k, _ = columns(5)
    start = wrong_start(values, 1.0)
    with pytest.raises(InputError, match="as many of each"):
        recount(start, values, std, k[:-1])
    with pytest.raises(InputError, match="at least three"):
        recount(start, values, std, np.zeros(len(k), int))
