"""R-hat and effective sample sizes against values worked out by hand."""

import numpy as np
import pytest

from tomo.sampling.diagnostics import convergence_of, split_r_hat


def test_r_hat_of_two_short_traces_is_as_by_hand():
    """Halves (0, 2), (1, 3), twice: W = 2, B / n = 1 / 3, n = 2."""
    assert split_r_hat(np.array([[0.0, 2.0, 0.0, 2.0], [1.0, 3.0, 1.0, 3.0]])) == pytest.approx(
        np.sqrt(1 / 2 + 1 / 6)
    )


def test_chains_that_drift_alike_have_not_converged():
    """Halves (0, 1), (10, 11), twice: W = 1 / 2, B / n = 100 / 3. Whole traces would agree."""
    assert split_r_hat(np.array([[0.0, 1.0, 10.0, 11.0]] * 2)) == pytest.approx(np.sqrt(1 / 2 + 200 / 3))


def test_a_site_on_which_rounds_differ_is_as_by_hand():
    """Certainties 0.4 and 0.6 of two rounds: s^2 / c (1 - c) = 0.02 / 0.25."""
    found = convergence_of(np.array([[0.4, 1.0], [0.6, 1.0]], dtype=np.float32), np.zeros((2, 100)))
    assert found.undecided == 1
    assert found.site_r_hat == pytest.approx(1 / np.sqrt(1 - 0.08), rel=1e-5)
    assert found.effective_sample_size == pytest.approx(2 / 0.08, rel=1e-5)


def test_independent_draws_are_worth_their_number():
    draws = np.random.default_rng(0).random((16, 50, 400)) < 0.3
    found = convergence_of(draws.mean(axis=1).astype(np.float32), np.zeros((16, 50)))
    assert found.effective_sample_size == pytest.approx(16 * 50, rel=0.15)
    assert found.disagreeing == 0


def test_rounds_in_two_modes_disagree_about_every_site():
    means = np.repeat([[0.0], [1.0]], 4, axis=0) * np.ones(20)
    found = convergence_of(means.astype(np.float32), np.zeros((8, 100)))
    assert (found.undecided, found.disagreeing) == (20, 20)
    assert found.effective_sample_size == pytest.approx(8, rel=0.01)  # a draw a round
    assert any("disagree about 20 of 20" in warning for warning in found.warnings())
