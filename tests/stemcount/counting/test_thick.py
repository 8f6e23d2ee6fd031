"""Readings of columns that are all long."""

import numpy as np
import pytest

from stemcount import InputError, counts_from_hypothesis, thick_readings


@pytest.fixture(scope="module")
def sections():
    rng = np.random.default_rng(3)
    atoms = rng.integers(90, 103, 300)
    step = 0.04 * 0.93 * 96 ** (0.93 - 1)
    return atoms, 0.04 * atoms**0.93 + rng.normal(0, 0.15 * step, 300)


def test_right_reading_is_among_them(sections):
    atoms, values = sections
    readings = thick_readings(values, 98, 106)
    assert max(np.mean(counts_from_hypothesis(values, r).count == atoms) for r in readings) > 0.98


def test_wrong_spacing_is_improbable(sections):
    _, values = sections
    right, coarse = (thick_readings(values, k, k)[0].log_posterior for k in (102, 60))
    assert right > coarse + 20


def test_order_and_range(sections):
    readings = thick_readings(sections[1], 100, 104)
    posterior = [r.log_posterior for r in readings]
    assert len(readings) == 5
    assert posterior == sorted(posterior, reverse=True)
    with pytest.raises(InputError, match="least <= most"):
        thick_readings(sections[1], 5, 4)
