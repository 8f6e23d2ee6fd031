"""Cross-sections in an image whose scan swayed: parts that are enlarged hold no more atoms."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import stemcount
from stemcount.fitting.given_back import fit_with_halo
from stemcount.fitting.magnified import beyond_noise, growth_of_peaks, scan_or_crystal, undistorted

PX, ONE = 0.15, 0.02


@pytest.fixture(scope="module")
def swayed():
    """Fit of a lattice of columns whose rows are 5 % closer below than above, magnification, truth."""
    x, y = (8.0 + 2.3 * axis.ravel() for axis in np.meshgrid(np.arange(9.0), np.arange(14.0)))
    volume = ONE * (8 + np.arange(len(x)) % 5)
    straight = stemcount.simulate_columns(x, y, volume, shape=(310, 230), pixel_size=PX, width=0.55)
    rows, cols = np.indices(straight.data.shape, dtype=float)
    along = rows * PX
    scan = along + 0.05 * along**2 / along.max()  # where the probe stands
    data = map_coordinates(straight.data, [scan / PX, cols], order=3, mode="nearest")
    dose = 2e5 * PX**2
    image = replace(straight, data=np.random.default_rng(0).poisson(np.maximum(data, 0) * dose) / dose)
    seen = np.interp(y, scan[:, 0], along[:, 0])
    magnification = 1 / (1 + 0.1 * seen / along.max())
    return image, stemcount.fit_columns(image, np.column_stack([x, seen])), magnification, volume


def test_cross_sections_are_those_of_the_undistorted_image(swayed):
    image, fit, magnification, volume = swayed
    error = fit.cross_section / volume - 1
    assert np.ptp(magnification) > 0.04
    assert np.corrcoef(error, magnification)[0, 1] > 0.9, "the fit sees what the scan did"
    even = undistorted(image, fit, magnification)
    assert np.std(even.cross_section / volume - 1) < 0.4 * np.std(error)
    assert np.std((even.cross_section - volume) / even.cross_section_std) < 1.5
    np.testing.assert_allclose(even.cross_section_std * magnification, fit.cross_section_std)


def test_the_model_is_what_the_image_shows(swayed):
    image, fit, magnification, _ = swayed
    even = undistorted(image, fit, magnification)
    left = np.sum((image.data - stemcount.model_image(image, even)) ** 2)
    assert left == pytest.approx(even.residual_sum_of_squares, rel=1e-3)
    assert even.residual_sum_of_squares < 1.003 * fit.residual_sum_of_squares
    np.testing.assert_allclose(even.width, np.median(even.width) * np.sqrt(magnification), rtol=0.03)


def test_nothing_changes_where_nothing_is_magnified(swayed):
    image, fit, magnification, _ = swayed
    same = undistorted(image, fit, np.ones(len(fit)))
    np.testing.assert_allclose(same.cross_section, fit.cross_section, rtol=0.02)
    assert np.median(np.abs(same.cross_section - fit.cross_section) / fit.noise_std) < 0.2
    twice = undistorted(image, undistorted(image, fit, np.full(len(fit), 1.7)), magnification)
    once = undistorted(image, fit, magnification)
    assert np.max(np.abs(twice.cross_section - once.cross_section) / once.noise_std) < 0.2
    np.testing.assert_allclose(twice.noise_std, once.noise_std)


@pytest.mark.parametrize(("background", "tail"), [(0.3, (0.0, 1.0)), (0.0, (0.3, 6.0))])
def test_peaks_on_a_bright_background_and_those_with_tails_follow_a_scan(background, tail):
    """Of one width, peaks on a bright background follow it by about half; a halo stays what it was."""
    x, y = (12.0 + 2.3 * axis.ravel() for axis in np.meshgrid(np.arange(9.0), np.arange(14.0)))
    larger = 1 + 0.1 * (y - y.mean()) / np.ptp(y)
    volume = np.full(len(x), 0.2)
    size = {"shape": (360, 290), "pixel_size": PX, "width": 0.5 * np.sqrt(larger)}
    image = stemcount.simulate_columns(
        x, y, volume * larger, background=background, tail=tail, dose=2e5, seed=0, **size
    )
    fit = stemcount.fit_columns(image, np.column_stack([x, y]), widths="common")
    fit = fit_with_halo(image, fit, widths="common") if tail[0] else fit
    even = undistorted(image, fit, larger, widths="common")
    before, after = (np.polyfit(np.log(larger), np.log(v), 1)[0] for v in (fit.volume, even.cross_section))
    assert tail[0] or before < 0.75
    assert after == pytest.approx(0, abs=0.1)
    assert even.halo == pytest.approx(fit.halo, abs=0.02)


def test_what_noise_hides_is_nothing(swayed):
    _, fit, magnification, _ = swayed
    assert beyond_noise(fit, magnification)
    assert not beyond_noise(fit, np.ones(len(fit)))
    assert not beyond_noise(fit, 1 + 0.01 * (magnification - 1))
    few = np.arange(len(fit)) < 3
    one = 1 + 2 * fit.noise_std / fit.volume
    assert not beyond_noise(fit, np.where(few, one, 1.0)), "a few columns are always beyond it"
    assert beyond_noise(fit, one)


def strained():
    """Image and fit of the columns of `swayed` where the crystal is strained and nothing is enlarged."""
    x, y = (8.0 + 2.3 * axis.ravel() for axis in np.meshgrid(np.arange(9.0), np.arange(14.0)))
    y = y - 0.05 * y**2 / y.max()
    volume = ONE * (8 + np.arange(len(x)) % 5)
    image = stemcount.simulate_columns(
        x, y, volume, shape=(310, 230), pixel_size=PX, width=0.55, background=0.02, dose=2e5, seed=0
    )
    return image, stemcount.fit_columns(image, np.column_stack([x, y])), 1 - 0.1 * y / y.max()


def test_peaks_grow_with_a_scan_and_not_with_a_crystal(swayed):
    for (image, fit, magnification), truth in ((swayed[:3], 1.0), (strained(), 0.0)):
        exponent, error = growth_of_peaks(image, fit, magnification)
        assert error < 0.15
        assert abs(exponent - truth) < 3 * error
        told = scan_or_crystal(image, fit, magnification)
        beyond = max(-exponent, exponent - 1, 0.0)
        assert told == pytest.approx((2 * exponent - 1) / (2 * (error**2 + beyond**2)))
        assert (told > 10) == (truth == 1.0)


def test_peaks_tell_the_same_of_an_image_that_is_mirrored_or_turned(swayed):
    image, fit, magnification, _ = swayed
    expected = growth_of_peaks(image, fit, magnification)
    bottom, right = (np.array(image.data.shape) - 1) * PX
    for data, x, y in (
        (image.data[:, ::-1], right - fit.x, fit.y),
        (image.data[::-1], fit.x, bottom - fit.y),
        (image.data.T, fit.y, fit.x),
    ):
        turned = replace(image, data=np.ascontiguousarray(data))
        other = growth_of_peaks(turned, replace(fit, x=x, y=y), magnification)
        np.testing.assert_allclose(other, expected, rtol=1e-2)


def test_peaks_that_differ_for_another_reason_tell_little():
    """Four times as much as a scan would make them differ, and the other way."""
    x, y = (8.0 + 2.3 * axis.ravel() for axis in np.meshgrid(np.arange(9.0), np.arange(14.0)))
    larger = 1 + 0.02 * (y - y.mean()) / np.ptp(y)
    volume = ONE * (8 + np.arange(len(x)) % 5)
    image = stemcount.simulate_columns(
        x, y, volume, shape=(310, 230), pixel_size=PX, width=0.55 * larger**-2, dose=2e5, seed=0
    )
    fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    exponent, error = growth_of_peaks(image, fit, larger)
    assert exponent == pytest.approx(-4, abs=4 * error)
    assert exponent < -2
    assert abs(scan_or_crystal(image, fit, larger)) < 1


def test_too_few_peaks_tell_nothing(swayed):
    image, fit, magnification, _ = swayed
    assert scan_or_crystal(image, fit, np.ones(len(fit))) == 0.0
    few = stemcount.fit_columns(image, np.column_stack([fit.x, fit.y])[:6])
    assert scan_or_crystal(image, few, magnification[:6]) == 0.0
