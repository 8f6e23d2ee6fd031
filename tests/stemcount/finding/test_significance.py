"""A halo is told from the noise that its own images hold."""

from dataclasses import replace

import numpy as np
import pytest

import stemcount
from stemcount.finding.complete import HALO_GAIN, _halo, strong_lattice
from stemcount.finding.significance import halo_gain, judge, scores_of


def square(dose, seed, in_tails=0.0):
    """81 columns of 0.01-0.06 A^2 on a background, and a part of their light in tails five times as wide."""
    x, y = (axis.ravel() for axis in np.meshgrid(6 + 2.0 * np.arange(9.0), 6 + 2.0 * np.arange(9.0)))
    volume = 0.01 * np.clip(6 - np.hypot(x - x.mean(), y - y.mean()) / 2, 1, 6)
    image = stemcount.simulate_columns(
        x,
        y,
        volume,
        shape=(140, 140),
        pixel_size=0.2,
        width=0.5,
        tail=(in_tails, 5.0),
        background=0.02,
        dose=dose,
        seed=seed,
    )
    return replace(image, dose=None), np.column_stack([x, y])


def gain(dose, seed, in_tails=0.0):
    image, points = square(dose, seed, in_tails)
    columns = judge(image, points, width=2.5)
    model, weight, _ = scores_of(columns.problem, columns.state, columns.law)
    return halo_gain(columns.problem, columns.state, model, weight)


@pytest.mark.parametrize("dose", [300.0, 1e3, 3e3, 3e4])
def test_noise_asks_for_no_halo_at_any_dose(dose):
    gains = [gain(dose, seed) for seed in range(6)]
    assert max(gains) < HALO_GAIN
    assert 1 < np.mean(gains) < 14  # six parameters: chi-squared of noise is 6 in the mean


@pytest.mark.parametrize("dose", [3e4, 1e5])
def test_a_halo_that_is_there_is_seen_through_the_noise(dose):
    assert gain(dose, 0, in_tails=0.3) > HALO_GAIN


@pytest.mark.parametrize(("dose", "in_tails", "there"), [(3e3, 0.0, False), (1e5, 0.3, True)])
@pytest.mark.parametrize("seed", range(2))
def test_the_light_of_columns_that_are_missing_is_no_halo(dose, in_tails, there, seed):
    image, points = square(dose, seed, in_tails)
    inner = points[(np.abs(points - points.mean(axis=0)) < 7).all(axis=1)]
    columns = judge(image, inner, width=2.5)
    assert columns.halo_gain > HALO_GAIN
    assert _halo(image, columns, strong_lattice(columns)) == there
