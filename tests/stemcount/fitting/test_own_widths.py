"""How much the widths of an image differ is learned from the image."""

import numpy as np
import pytest

from stemcount import fit_columns, simulate_columns


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
