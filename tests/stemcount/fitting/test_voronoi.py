"""Integration over nearest-column cells: borders within pixels, and error bars that count their motion."""

import numpy as np
import pytest

from stemcount import InputError, ZoneAxisImage, fit_columns, integrate_cells, simulate_columns


def test_a_border_within_a_pixel_divides_it():
    image = ZoneAxisImage(np.ones((6, 10)), pixel_size=1.0)
    for shift in (0.0, 0.3, 1.7):  # border at x = 4 + shift, the image's left edge at -0.5
        cells = integrate_cells(image, [[2 + shift, 2.5], [6 + shift, 2.5]], radius=50.0, background=0.0)
        np.testing.assert_allclose(cells.cross_section, [6 * (4.5 + shift), 6 * (5.5 - shift)])
        np.testing.assert_allclose(cells.area, cells.cross_section)


def test_cells_divide_all_pixels_that_are_used():
    rng = np.random.default_rng(0)
    valid = rng.random((30, 40)) < 0.9
    image = ZoneAxisImage(rng.random((30, 40)), pixel_size=0.3, valid=valid)
    cells = integrate_cells(image, rng.uniform(0, 9, (15, 2)), radius=50.0, background=0.0)
    assert cells.area.sum() == pytest.approx(0.09 * valid.sum())
    assert cells.cross_section.sum() == pytest.approx(0.09 * image.data[valid].sum())


@pytest.mark.parametrize(("spacing", "pixel_size"), [(1.6, 0.2), (2.0, 0.4), (3.0, 0.2)])
def test_error_bars_count_the_motion_of_borders(spacing, pixel_size):
    """Borders along rows of pixels are the worst: hard ones made errors four times the error bars."""
    rng = np.random.default_rng(1)
    x, y = (v.ravel() * spacing + 5 for v in np.meshgrid(np.arange(6), np.arange(6)))
    volume = rng.integers(2, 15, 36) * 0.03
    shape = (int((y.max() + 5) / pixel_size), int((x.max() + 5) / pixel_size))
    kind = {"shape": shape, "pixel_size": pixel_size}
    true = integrate_cells(simulate_columns(x, y, volume, **kind), np.column_stack([x, y]), background=0.0)
    scores = []
    for seed in range(8):
        image = simulate_columns(x, y, volume, dose=2e4, seed=seed, background=0.01, **kind)
        cells = integrate_cells(image, fit_columns(image, np.column_stack([x, y]), widths="common"))
        scores.append((cells.cross_section - true.cross_section) / cells.cross_section_std)
    assert 0.88 < np.std(scores) < 1.12


def test_error_bars_count_that_close_columns_move_together():
    """[110] dumbbells 1.4 A apart: the errors of the two places have a correlation of 0.6."""
    rng = np.random.default_rng(1)
    x, y = (v.ravel() * 3.9 + 5 for v in np.meshgrid(np.arange(6), np.arange(6)))
    x, y = np.tile(x, 2), np.concatenate([y, y + 1.4])
    volume = rng.integers(2, 15, 72) * 0.03
    kind = {"shape": (155, 148), "pixel_size": 0.2}
    true = integrate_cells(simulate_columns(x, y, volume, **kind), np.column_stack([x, y]), background=0.0)
    scores = []
    for seed in range(12):
        image = simulate_columns(x, y, volume, dose=2e4, seed=seed, background=0.01, **kind)
        cells = integrate_cells(image, fit_columns(image, np.column_stack([x, y]), widths="common"))
        scores.append((cells.cross_section - true.cross_section) / cells.cross_section_std)
    assert 0.94 < np.std(scores) < 1.04  # 1.07 where the errors are taken as independent


def test_columns_at_one_place_have_error_bars():
    image = simulate_columns([5.0], [5.0], [1.0], shape=(50, 50), pixel_size=0.2, dose=1e5, seed=0)
    cells = integrate_cells(image, fit_columns(image, [[5.0, 5.0], [5.0, 5.0]]), radius=4.0)
    assert np.isfinite(cells.cross_section_std).all()
    assert cells.cross_section.sum() == pytest.approx(1.0, rel=0.05)


def test_one_column_has_the_whole_disc():
    image = ZoneAxisImage(np.ones((41, 41)), pixel_size=0.1)
    cells = integrate_cells(image, [[2.0, 2.0]], radius=1.5, background=0.0)
    np.testing.assert_allclose(cells.area, np.pi * 1.5**2, rtol=2e-3)


def test_a_radius_or_a_place_that_cannot_be_is_named():
    image = ZoneAxisImage(np.ones((6, 10)), pixel_size=1.0)
    for radius in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="radius: expected a positive distance"):
            integrate_cells(image, [[2, 2.5], [6, 2.5]], radius=radius)
    with pytest.raises(InputError, match="column 1 is not finite"):
        integrate_cells(image, [[2, 2.5], [6, np.nan]])
    with pytest.raises(InputError, match="1 x 50 pixels are too few"):
        integrate_cells(ZoneAxisImage(np.eye(1, 50), pixel_size=1.0), [[1, 0]])
