"""Tails that the model lacks move light between columns, and the error bars know how much."""

import numpy as np
import pytest

from stemcount import ZoneAxisImage, fit_columns, simulate_columns
from stemcount.fitting.fit import make_problem, run_fit, weights_of
from stemcount.fitting.fit_input import Choice
from stemcount.fitting.joint import model_of
from stemcount.fitting.misfit import excess
from stemcount.fitting.shape_error import answer_to_tails

PX = 0.2
N = 7
WIDTH = 0.6


def scene(seed, share, ratio, spacing=2.4, dose=1e5):
    """Image of peaks with a share in tails `ratio` times as wide; places and cross-sections of columns."""
    rng = np.random.default_rng(seed)
    x, y = (v.ravel() * spacing + 5 for v in np.meshgrid(np.arange(N), np.arange(N)))
    volume = rng.integers(2, 15, N * N) * 0.03
    size = int((x.max() + 5) / PX)
    image = np.full((size, size), 0.01)
    for part, width in ((1 - share, WIDTH), (share, ratio * WIDTH)):
        image += simulate_columns(x, y, part * volume, width=width, shape=(size, size), pixel_size=PX).data
    electrons = dose * PX**2
    return rng.poisson(image * electrons) / electrons, np.column_stack([x, y]), volume


def answer(data, start):
    """What the tails do to a fit of an image, and the cross-sections of the fit [A^2]."""
    image, choice = ZoneAxisImage(data, PX), Choice()
    problem = make_problem(image, start, np.zeros(len(start), dtype=np.int64), choice)
    problem, state, law = run_fit(problem, image, choice, seen=True)
    model = model_of(problem, state)
    change = answer_to_tails(problem, state, model, weights_of(problem, law)(model))
    return change[:, 2, 0] * PX**2, state.volume * PX**2


@pytest.mark.parametrize(
    ("share", "ratio", "spacing"), [(0.2, 2.0, 2.4), (0.15, 2.5, 2.0), (0.05, 3.0, 2.4), (0.3, 4.0, 2.4)]
)
def test_tails_are_in_the_error_bars(share, ratio, spacing):
    scores = []
    for seed in range(4):
        data, start, volume = scene(seed, share, ratio, spacing)
        fit = fit_columns(ZoneAxisImage(data, PX), start)
        weight = 1 / fit.cross_section_std**2
        common = np.sum(weight * volume * fit.cross_section) / np.sum(weight * volume**2)
        scores.append((fit.cross_section - common * volume) / fit.cross_section_std)
    assert 0.75 < np.std(scores) < 1.2


def test_the_answer_is_the_error():
    data, start, volume = scene(5, 0.2, 3.0)
    change, found = answer(data, start)
    error = found - volume * (volume @ found) / (volume @ volume)
    assert np.corrcoef(-change, error)[0, 1] > 0.9
    assert np.std(error + change) < 0.6 * np.std(error)


def test_peaks_as_the_model_has_them_have_no_tails():
    for seed in range(4):
        change, _ = answer(*scene(seed, 0.0, 2.0)[:2])
        np.testing.assert_array_equal(change, 0.0)


def test_what_all_columns_lose_alike_is_no_error_of_one():
    """Columns so far apart that no tail reaches another."""
    data, start, volume = scene(0, 0.2, 2.0, spacing=8.0)
    change, found = answer(data, start)
    assert 0 < np.std(change) < 0.02 * np.std(found)
    assert np.mean(found) < 0.95 * np.mean(volume)


def test_excess_of_places_is_relative_and_of_cross_sections_absolute():
    alone = np.array([[1.0, 4.0, 1.0], [4.0, 1.0, 16.0]])
    changes = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 5.0]])[:, :, None]
    np.testing.assert_allclose(excess(changes, alone), [[1.0, 1.0, 17.0], [1.0, 1.0, 17 / 16]])
