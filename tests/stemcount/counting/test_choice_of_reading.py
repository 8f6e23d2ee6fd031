"""Which of several probable readings of one image is taken."""

import numpy as np
import pytest

import stemcount
from stemcount.counting.count import _decide


def reading(top: int, log_posterior: float) -> stemcount.Hypothesis:
    """Columns of 1 to `top` atoms, the thickest with a cross-section of 15."""
    ones = np.ones(top + 1)
    mean = 15.0 / top * np.arange(top + 1)
    return stemcount.Hypothesis(mean, 0.1 * ones, ones / (top + 1), 0, top, log_posterior)


VALUES = np.arange(0.5, 15.5, 0.1)


def test_of_readings_that_are_nearly_tied_the_one_in_their_midst_is_chosen() -> None:
    """The most probable one counts up to three atoms fewer than the others, which are close together."""
    counts = _decide(VALUES, [reading(12, 0.0), reading(15, -0.2), reading(14, -0.3)], None)
    share = np.exp(-0.3) / (1 + np.exp(-0.2) + np.exp(-0.3))
    assert (counts.n_components, counts.verdict) == (14, "undecidable")
    assert f"only {share:.0%}" in counts.reason
    total = stemcount.counts_from_hypothesis(VALUES, reading(12, 0.0)).count.sum()
    assert f"1 to 12 atoms ({total} in all) is 1.3 times as probable" in counts.reason


def test_the_most_probable_reading_is_chosen_where_it_outweighs_all_others() -> None:
    counts = _decide(VALUES, [reading(12, 0.0), reading(15, -4.0), reading(14, -4.0)], None)
    assert (counts.n_components, counts.verdict) == (12, "decided")


def test_what_is_decided_by_evidence_taken_literally_may_not_be_by_a_share_of_it() -> None:
    readings = [reading(12, 0.0), reading(15, -10.0)]
    assert _decide(VALUES, readings, None).verdict == "decided"
    counts = _decide(VALUES, readings, None, power=0.1)
    assert (counts.n_components, counts.verdict) == (12, "undecidable")
    assert "only 73% of the probability" in counts.reason


def test_probabilities_are_averaged_over_the_readings() -> None:
    """15.0 is a column of 15 atoms or, a third as probable, of 12; nothing lies between."""
    counts = _decide(np.array([5.0, 15.0]), [reading(15, np.log(3)), reading(12, 0.0)], None)
    assert counts.probability.sum(axis=1) == pytest.approx(1.0)
    assert counts.probability[1, [15, 12]] == pytest.approx([0.75, 0.25], abs=0.01)


def test_numbers_beyond_the_chosen_reading_are_in_the_last_entry() -> None:
    counts = _decide(np.array([5.0, 15.0]), [reading(12, np.log(3)), reading(15, 0.0)], None)
    assert counts.probability.shape == counts.log_likelihood.shape == (2, 13)
    assert counts.probability.sum(axis=1) == pytest.approx(1.0)
    assert counts.probability[1, 12] == pytest.approx(1.0, abs=0.01)
