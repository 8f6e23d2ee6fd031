"""Columns are told from smooth light by the phase of the image's waves half way to the spots of a lattice."""

import numpy as np
import pytest
from scipy import fft, ndimage
from scipy.special import j1

from stemcount import ZoneAxisImage, simulate_columns
from stemcount.finding.resolved import log_odds_of_columns

PIXEL, SPACING, WIDTH, DOSE = 0.2, 2.0, 0.75, 2e4
INDEX = np.stack(np.meshgrid(np.arange(12), np.arange(12)), axis=-1).reshape(-1, 2)
PLACES = 6.0 + SPACING * INDEX
ATOMS = np.random.default_rng(3).integers(3, 9, len(PLACES))


def recorded(data, seed=0, dose=DOSE):
    scale = dose * PIXEL**2
    return ZoneAxisImage(np.random.default_rng(seed).poisson(np.maximum(data, 0) * scale) / scale, PIXEL)


def columns(width):
    shape = (170, 170)
    return simulate_columns(*PLACES.T, 0.03 * ATOMS, shape=shape, pixel_size=PIXEL, width=width).data


def odds(image, places=PLACES, index=INDEX):
    return log_odds_of_columns(image, places, index, SPACING * np.eye(2), WIDTH)


@pytest.mark.parametrize("seed", range(4))
def test_columns_that_overlap_are_columns(seed):
    assert odds(recorded(columns(WIDTH), seed)) > 20
    assert odds(recorded(columns(1.0), seed)) > 5


def test_the_lattice_may_be_named_otherwise_turned_and_set_off():
    image = recorded(columns(WIDTH))
    other = np.array([[1, 1], [0, 1]])
    same = log_odds_of_columns(
        image, PLACES, INDEX @ other.T + [7, -3], SPACING * np.linalg.inv(other), WIDTH
    )
    turned = ZoneAxisImage(image.data[::-1].copy(), PIXEL)
    places = PLACES * [1, -1] + [0, PIXEL * 169]
    assert same == pytest.approx(odds(image))
    assert log_odds_of_columns(turned, places, INDEX, SPACING * np.diag([1, -1]), WIDTH) == pytest.approx(
        odds(image), rel=1e-2
    )


@pytest.mark.parametrize("seed", range(4))
def test_contrast_turned_over_by_a_defocus_is_none_of_columns_between_the_true_ones(seed):
    sharp = columns(0.4)
    frequency = np.hypot(fft.fftfreq(170, PIXEL)[:, None], fft.fftfreq(170, PIXEL))
    x = 2 * np.pi * frequency * 1.5  # a disc of 1.5 A
    disc = np.where(x > 0, 2 * j1(x) / np.maximum(x, 1e-9), 1.0)
    image = recorded(fft.ifft2(fft.fft2(sharp) * disc).real, seed)
    at = np.rint(PLACES / PIXEL).astype(int)
    between = at + round(SPACING / 2 / PIXEL)
    smooth = ndimage.gaussian_filter(image.data, 2)
    assert smooth[between[:, 1], between[:, 0]].mean() > smooth[at[:, 1], at[:, 0]].mean()
    assert odds(image, PLACES + SPACING / 2) < -10
    assert odds(image) > 5  # whatever the focus


@pytest.mark.parametrize("seed", range(4))
def test_smooth_light_is_none(seed):
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.normal(size=(170, 170)), 0.8 / PIXEL)
    outline = ndimage.gaussian_filter(columns(WIDTH), 1.0 / PIXEL)
    assert odds(recorded(outline * np.maximum(1 + 0.3 * texture / texture.std(), 0), seed)) < -1


def test_noise_that_hides_all_tells_nothing():
    assert abs(odds(recorded(columns(WIDTH), dose=30))) < 2
