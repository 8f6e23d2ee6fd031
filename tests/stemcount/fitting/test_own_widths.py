"""How much the widths of an image differ is learned from the image."""

from dataclasses import replace

import numpy as np
import pytest

from stemcount import fit_columns, simulate_columns
from stemcount.fitting.fit import first_state, make_problem, noise_law, weights_of
from stemcount.fitting.fit_input import Choice
from stemcount.fitting.joint import solve
from stemcount.fitting.own_widths import learn_widths


def fitted(spread, seed, n=9, spacing=2.0, types=1, **options):
    """Fit and true widths of n x n columns whose widths scatter by `spread` about that of their type."""
    rng = np.random.default_rng(seed)
    x, y = (v.ravel() * spacing + 5 for v in np.meshgrid(np.arange(n), np.arange(n)))
    kind = np.arange(n * n) % types
    width = (0.6 - 0.1 * kind) * rng.normal(1, spread, n * n)
    image = simulate_columns(
        x, y, rng.integers(2, 15, n * n) * 0.03, width=width, background=0.01, seed=seed,
        dose=1e5, shape=(int((y.max() + 5) / 0.2), int((x.max() + 5) / 0.2)), pixel_size=0.2,
    )  # fmt: skip
    return fit_columns(image, np.column_stack([x, y]), column_type=kind, **options), width


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_widths_stay_equal(seed):
    fit, _ = fitted(0.0, seed)
    assert fit.width.std() < 0.004 * 0.6
    assert fit.width.mean() == pytest.approx(0.6, rel=0.01)


@pytest.mark.parametrize("spread", [0.03, 0.06])
def test_scatter_is_found(spread):
    for seed in range(2):
        fit, width = fitted(spread, seed)
        assert fit.width.std() == pytest.approx(width.std(), rel=0.25)
        assert np.corrcoef(fit.width, width)[0, 1] > 0.8


def test_each_type_scatters_about_its_own_mean():
    fit, width = fitted(0.02, 3, types=2)
    for kind in (0, 1):
        of = fit.column_type == kind
        assert fit.width[of].mean() == pytest.approx(width[of].mean(), rel=0.01)


def test_a_type_without_intensity_keeps_its_width():
    rng = np.random.default_rng(0)
    x, y = (v.ravel() * 2.5 + 5 for v in np.meshgrid(np.arange(5), np.arange(5)))
    kind = (np.arange(25) >= 20).astype(int)
    image = simulate_columns(
        x, y, np.where(kind == 0, rng.integers(2, 9, 25) * 0.03, 0.0), dose=1e4, seed=0, background=0.01,
        shape=(100, 100), pixel_size=0.2,
    )  # fmt: skip
    fit = fit_columns(image, np.column_stack([x, y]), column_type=kind)
    assert np.isfinite(fit.cross_section).all()
    assert np.isfinite(fit.cross_section_std).all()
    assert (fit.cross_section[kind == 1] < 5 * fit.cross_section_std[kind == 1]).all()


def test_what_the_model_misses_of_all_columns_changes_no_pull():
    """Variances are four times as large for a misfit that all columns share: the deviation of the pull is
    twice as large, and beside the image it is as strong as before."""
    x, y = (v.ravel() * 2.0 + 5 for v in np.meshgrid(np.arange(6), np.arange(6)))
    width = 0.6 * np.random.default_rng(0).normal(1, 0.05, 36)
    image = simulate_columns(
        x, y, np.full(36, 0.2), width=width, dose=1e5, seed=0, shape=(100, 100), pixel_size=0.2
    )
    choice = Choice(widths="per_column", background="constant")
    problem = make_problem(image, np.column_stack([x, y]), np.zeros(36, dtype=np.int64), choice)
    state = first_state(problem)
    law = replace(noise_law(problem, state, image, "poisson"), inflation=1.0)
    state = solve(problem, state, weights_of(problem, law), 25)
    own = replace(problem, n_groups=0, group_width=state.width.copy())
    once, fourfold = (
        learn_widths(own, state, weights_of(problem, replace(law, inflation=factor)), factor)
        for factor in (1.0, 4.0)
    )
    assert once.width_spread * 0.2 == pytest.approx(0.05 * 0.6, rel=0.35)
    assert fourfold.width_spread == pytest.approx(2 * once.width_spread, rel=1e-3)
    assert fourfold.group_width == pytest.approx(once.group_width, rel=1e-3)
