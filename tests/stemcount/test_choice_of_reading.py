"""Which of several probable readings of one image is taken."""

import numpy as np
import pytest

import stemcount
from stemcount.counting import _choose


def reading(top: int, log_posterior: float) -> stemcount.Hypothesis:
    """Columns of 1 to `top` atoms, the thickest with a cross-section of 15."""
    ones = np.ones(top + 1)
    mean = 15.0 / top * np.arange(top + 1)
    return stemcount.Hypothesis(mean, 0.1 * ones, ones / (top + 1), 0, top, log_posterior)


def test_of_readings_that_are_nearly_tied_the_one_in_their_midst_is_chosen() -> None:
    """The most probable one counts up to three atoms fewer than the others, which are close together."""
    values = np.arange(0.5, 15.5, 0.1)
    chosen, certain, other = _choose(values, [reading(12, 0.0), reading(15, -0.2), reading(14, -0.3)], None)
    assert (chosen.n_components, other.n_components) == (14, 12)
    assert certain == pytest.approx(np.exp(-0.3) / (1 + np.exp(-0.2) + np.exp(-0.3)), rel=1e-6)


def test_the_most_probable_reading_is_chosen_where_it_outweighs_all_others() -> None:
    values = np.arange(0.5, 15.5, 0.1)
    chosen, certain, _ = _choose(values, [reading(12, 0.0), reading(15, -4.0), reading(14, -4.0)], None)
    assert chosen.n_components == 12
    assert certain > 0.95
