"""Cross-sections of columns of several species."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemcount import InputError
from stemcount.counting.composition import Composition, first_composition, fit_composition

BRIGHT = [4.5, 1.0]


def mixed_columns(seed: int, spread: float = 0.0, n: int = 120):
    rng = np.random.default_rng(seed)
    counts = np.column_stack([rng.integers(0, 6, n), rng.integers(2, 8, n)])
    true = Composition(0.0, np.array([0.0125, 0.0020]), np.array([3e-4, 5e-5]), 1.0, spread)
    values = true.predict(counts)
    return counts, values * (1 + spread * rng.standard_normal(n)), true


class TestPerfect:
    def test_the_law_is_found_from_a_start_that_is_off(self):
        counts, values, true = mixed_columns(0)
        found = fit_composition(values, np.full(len(values), 1e-4), counts, BRIGHT, 0.0024)
        assert found.predict(counts) == pytest.approx(true.predict(counts), rel=0.01)

    def test_an_empty_column_scatters_nothing(self):
        found = Composition(0.001, np.array([0.01]), np.array([0.0]), 1.0, 0.05)
        assert found.predict([[0]])[0] == 0.0

    @pytest.mark.parametrize("species", [0, 1])
    def test_the_likeliest_count_is_the_true_one(self, species: int):
        counts, values, true = mixed_columns(1)
        supposed = np.repeat(counts[:, None], 10, axis=1)
        supposed[:, :, species] = np.arange(10)
        table = true.log_likelihood(values, np.full(len(values), 1e-4), supposed, np.zeros(counts.shape))
        assert table.argmax(axis=1).tolist() == counts[:, species].tolist()


class TestNoisy:
    def test_the_spread_is_found(self):
        counts, values, _ = mixed_columns(2, spread=0.05, n=400)
        found = fit_composition(values, np.full(len(values), 1e-5), counts, BRIGHT, 0.0021)
        assert found.spread == pytest.approx(0.05, rel=0.2)

    def test_single_wrong_counts_hardly_matter(self):
        counts, values, true = mixed_columns(3, spread=0.03)
        wrong = counts.copy()
        wrong[::12, 0] += 2
        found = fit_composition(values, np.full(len(values), 1e-4), wrong, BRIGHT, 0.0021)
        assert found.linear[0] == pytest.approx(true.linear[0], rel=0.1)

    def test_a_doubt_about_the_others_widens_the_likelihood(self):
        counts, values, true = mixed_columns(4)
        supposed = np.repeat(counts[:, None], 8, axis=1)
        supposed[:, :, 1] = np.arange(8)
        std = np.full(len(values), 1e-4)
        sure = true.log_likelihood(values, std, supposed, np.zeros(counts.shape))
        doubtful = true.log_likelihood(values, std, supposed, np.tile([0.5, 0.0], (len(counts), 1)))
        assert np.ptp(doubtful, axis=1).max() < np.ptp(sure, axis=1).max()

    def test_the_truth_has_more_evidence_than_counts_that_are_off(self):
        counts, values, true = mixed_columns(5, spread=0.03)
        std = np.full(len(values), 1e-4)
        assert true.evidence(values, std, counts) > true.evidence(values, std, counts + np.array([1, 0]))


class TestDegenerate:
    def test_without_columns_brightness_is_all_that_is_known(self):
        found = fit_composition([], [], np.zeros((0, 2)), BRIGHT, 0.002)
        assert found.linear == pytest.approx([0.009, 0.002])

    def test_a_species_that_does_not_occur_keeps_its_brightness(self):
        counts = np.column_stack([np.zeros(20), np.arange(1, 21) % 5 + 1])
        found = fit_composition(0.002 * counts[:, 1], np.full(20, 1e-5), counts, BRIGHT, 0.002)
        assert found.linear[0] == pytest.approx(0.009, rel=0.01)

    def test_arrays_that_do_not_belong_together_are_refused(self):
        with pytest.raises(InputError, match="do not belong together"):
            fit_composition([1.0, 2.0], [0.1], [[1, 1]], BRIGHT, 0.002)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 5))
def test_the_unit_of_the_intensities_does_not_matter(unit: float, seed: int):
    counts, values, _ = mixed_columns(seed, spread=0.02, n=40)
    std = np.full(len(values), 1e-4)
    one = fit_composition(values, std, counts, BRIGHT, 0.0021)
    other = fit_composition(values * unit, std * unit, counts, BRIGHT, 0.0021 * unit)
    assert other.predict(counts) == pytest.approx(unit * one.predict(counts), rel=0.02)
    assert first_composition(unit, BRIGHT).linear == pytest.approx(unit * np.array(BRIGHT))


def test_variances_are_those_of_the_error_and_of_a_relative_spread() -> None:
    """(a std)^2 + (w V)^2 with a = 2, std = 0.5, w = 0.1."""
    found = Composition(0.0, np.array([1.0]), np.array([0.0]), noise=2.0, spread=0.1)
    assert found.variance([3.0, 6.0], [0.5, 0.5]) == pytest.approx([1 + 0.09, 1 + 0.36])
