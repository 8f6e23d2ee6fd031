"""Spikes, dead pixels and dead lines, and all the images that have none."""

import numpy as np
import pytest

import stemcount
from stemcount.images.stray import Finest, stray_pixels


def particle(pixel=0.2, width=0.5, seed=0, distance=2.88, background=0.02, jitter=0.0):
    """Columns of a round particle without noise: (rows, cols); lines of the scan `jitter` pixels aside."""
    rng = np.random.default_rng(seed)
    size = int(34 / pixel)
    i, j = np.mgrid[:size, :size] * pixel
    j = j + rng.normal(0, jitter * pixel, (size, 1))
    image = np.full((size, size), background)
    turn = rng.uniform(0, np.pi)
    for a, b in np.ndindex(21, 21):
        u, v = (a - 10) * distance + rng.uniform(0, 0.3), (b - 10) * distance
        if u * u + v * v < 130:
            x, y = 17 + u * np.cos(turn) - v * np.sin(turn), 17 + u * np.sin(turn) + v * np.cos(turn)
            image += rng.uniform(0.02, 0.3) * np.exp(-((j - x) ** 2 + (i - y) ** 2) / 2 / width**2)
    return image


def recorded(image, dose, pixel, seed=0):
    """With the counting noise of a dose, in fractions of the beam."""
    electrons = dose * pixel**2
    return np.random.default_rng(seed).poisson(image * electrons) / electrons


@pytest.mark.parametrize("width", [0.5, 0.7, 1.0, 2.0])
def test_sums_of_peaks_keep_within_the_bounds(width):
    finest = Finest(width)
    alpha, beta = finest.alpha_beta
    rng = np.random.default_rng(1)
    x = np.arange(200.0)
    for _ in range(50):
        widths = width * rng.uniform(1, 4, 20)
        tops = rng.uniform(0, 1, 20) ** 3 / widths
        f = 0.01 + (tops * np.exp(-((x[:, None] - rng.uniform(0, 200, 20)) ** 2) / 2 / widths**2)).sum(axis=1)
        m1, m2 = (f[1:-3] + f[3:-1]) / 2, (f[:-4] + f[4:]) / 2
        assert np.all(f[2:-2] <= m1 / finest.q * (1 + 1e-12))
        assert np.all(f[2:-2] >= alpha * m1 - beta * m2 - 1e-12)


def test_the_lower_bound_of_wide_peaks_is_cubic_interpolation():
    np.testing.assert_allclose(Finest(1e3).alpha_beta, (4 / 3, 1 / 3), rtol=1e-4)


@pytest.mark.parametrize("dose", [300, 1e3, 5e3, 1e5])
@pytest.mark.parametrize("pixel", [0.1, 0.2, 0.4])
def test_noise_is_not_taken_for_strays(dose, pixel):
    for seed in range(3):
        for background in (0.0, 0.02):
            image = particle(pixel, seed=seed, background=background)
            assert not stray_pixels(recorded(image, dose, pixel, seed), pixel).any()


@pytest.mark.parametrize("width", [0.85, 1.0, 1.3])
def test_columns_of_coarse_pixels_are_not_taken_for_strays(width):
    for seed in range(4):
        image = particle(0.45, 0.45 * width, seed)
        assert not stray_pixels(image, 0.45).any()
        assert not stray_pixels(recorded(image, 1e6, 0.45), 0.45).any()


@pytest.mark.parametrize("levels", [30, 255])
def test_rounded_images_have_no_strays(levels):
    image = particle(background=0.0)
    assert not stray_pixels(np.rint(levels * image / image.max()), 0.2).any()


def test_lines_of_the_scan_that_jump_or_flicker_are_no_strays():
    rng = np.random.default_rng(2)
    image = particle(jitter=0.5)
    image *= rng.normal(1, 0.05, (len(image), 1))
    image[60] = np.roll(image[60], 5)
    assert not stray_pixels(recorded(image, 1e5, 0.2), 0.2).any()


@pytest.mark.parametrize("pixel", [0.1, 0.2, 0.45])
@pytest.mark.parametrize("number", [1, 6, 50])
def test_hot_pixels_are_found(pixel, number):
    rng = np.random.default_rng(number)
    image = recorded(particle(pixel), 1e5, pixel)
    places = 2 * rng.choice((len(image) // 2 - 1) ** 2, number, replace=False)  # apart from each other
    i, j = 1 + 2 * (places // 2 // (len(image) // 2 - 1)), 1 + 2 * (places // 2 % (len(image) // 2 - 1))
    hot = np.zeros(image.shape, bool)
    hot[i, j] = True
    image[hot] = 4 * image.max() * rng.uniform(1, 5, number)
    np.testing.assert_array_equal(stray_pixels(image, pixel), hot)


def test_dead_pixels_on_columns_and_a_dead_line_are_found():
    image = recorded(particle(0.1) + 0.1, 1e6, 0.1)
    bright = np.argwhere(image > 0.25)
    dead = np.zeros(image.shape, bool)
    dead[tuple(bright[:: len(bright) // 30].T)] = True
    dead[147:154] = np.arange(147, 154)[:, None] == 150
    image[dead] = 0.0
    np.testing.assert_array_equal(stray_pixels(image, 0.1), dead)


def test_an_image_with_hot_pixels_has_the_same_columns(tmp_path):
    image = recorded(particle(), 1e5, 0.2)
    spoilt = image.copy()
    rng = np.random.default_rng(5)
    spoilt[tuple(rng.integers(1, len(image) - 1, (2, 6)))] = image.max() * rng.uniform(4, 8, 6)
    columns = []
    for name, data in (("clean", image), ("spoilt", spoilt)):
        path = tmp_path / f"{name}.hspy"
        stemcount.save_image(stemcount.ZoneAxisImage(data, 0.2), path)
        columns.append(stemcount.find_columns(stemcount.load_image(path)))
    assert len(columns[0]) == len(columns[1]) > 40
    np.testing.assert_allclose(columns[1], columns[0], atol=0.05)


def test_an_array_with_hot_pixels_is_refused_with_their_number(monkeypatch):
    # which may or may not get along
    monkeypatch.setattr("stemcount.finding.find.search", lambda image, basis: None)
    image = recorded(particle(), 1e5, 0.2)
    image[[20, 50, 90, 111, 30, 60], [30, 70, 20, 90, 150, 140]] = 6 * image.max()
    with pytest.raises(stemcount.InputError, match="but 6 hot or dead pixels, which hide them"):
        stemcount.find_columns(stemcount.ZoneAxisImage(image, 0.2))
