"""Preparation: intensity scale, regions and distortion against known answers."""

import numpy as np
import pytest
from hyperspy.signals import Signal2D

from stemcount import (
    InputError,
    ZoneAxisImage,
    normalise,
    region_of_interest,
    scan_distortion,
    simulate_columns,
    straighten,
)


def particle(shift=(0.0, 0.0), seed=None, dose=None):
    x, y = (v.ravel() * 2.5 + 6 for v in np.meshgrid(np.arange(5), np.arange(4)))
    volume = np.linspace(0.1, 0.9, 20)
    return simulate_columns(
        x + shift[0], y + shift[1], volume, shape=(110, 120), pixel_size=0.2, dose=dose, seed=seed
    )


def test_normalise_with_levels_and_with_a_map():
    raw = ZoneAxisImage(particle().data * 500 + 20, 0.2)
    by_level = normalise(raw, 20.0, 520.0)
    np.testing.assert_allclose(by_level.data, particle().data, atol=1e-12)
    detector = np.full((40, 40), 20.0)
    detector[10:30, 10:30] = 520.0
    np.testing.assert_allclose(normalise(raw, 20.0, detector).data, by_level.data, atol=1e-12)
    with pytest.raises(InputError, match="above the vacuum"):
        normalise(raw, 20.0, 10.0)
    for levels, what in (
        (("a", 1.0), "vacuum"),
        ((0.0, "a"), "detector"),
        ((0.0, np.ones(3)), "2D map"),
        ((0.0, np.ones((0, 3))), "empty"),
        ((0.0, "x.dm4"), "no such file"),
    ):
        with pytest.raises(InputError, match=what):
            normalise(raw, *levels)
    for given, active in ((np.full((9, 9), 20.0), 0.5), (detector, 2.0)):
        with pytest.raises(InputError, match="no pixel of the detector map"):
            normalise(raw, 20.0, given, active)


def test_levels_come_from_images_that_are_not_calibrated(tmp_path):
    raw = ZoneAxisImage(particle().data * 500 + 20, 0.2)
    scan = np.full((40, 40), 20.0)
    scan[10:30, 10:30] = 520.0
    dark = np.full((9, 7), 20.0) + np.tile([-1.0, 1.0, 0.0], 21).reshape(9, 7)
    Signal2D(scan).save(tmp_path / "scan.hspy")
    Signal2D(dark).save(tmp_path / "dark.hspy")
    for vacuum, detector in (
        (dark, Signal2D(scan)),
        (Signal2D(dark), str(tmp_path / "scan.hspy")),
        (tmp_path / "dark.hspy", tmp_path / "scan.hspy"),
    ):
        np.testing.assert_allclose(normalise(raw, vacuum, detector).data, particle().data, atol=1e-12)


def test_region_keeps_coordinates():
    image = particle()
    part = region_of_interest(image, 4.0, 12.0, 5.0, 9.0)
    i, j = np.unravel_index(np.argmax(part.data), part.data.shape)
    x, y = part.offset[0] + 0.2 * j, part.offset[1] + 0.2 * i
    assert image.data[round(y / 0.2), round(x / 0.2)] == part.data[i, j]
    with pytest.raises(InputError, match="no pixel"):
        region_of_interest(image, 100.0, 110.0, 0.0, 5.0)


@pytest.mark.parametrize("angle", [-35.0, 0.0, 7.0, 80.0])
@pytest.mark.parametrize("lattice", [[[2.04, 0.0], [0.0, 2.04]], [[2.885, 0.0], [1.4425, 2.04]]])
def test_distortion_is_measured_and_undone(angle, lattice):
    steps = np.array([(i, j) for i in range(-6, 7) for j in range(-6, 7)])
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turned = steps @ np.array(lattice) @ np.array([[c, -s], [s, c]]).T
    matrix = np.array([[1.01, 0.02], [0.0, 0.985]])
    measured = turned @ matrix.T + np.random.default_rng(0).normal(0, 0.02, turned.shape)
    result = scan_distortion(measured, lattice)
    np.testing.assert_allclose(result.matrix, matrix, atol=0.004)
    assert result.shear == pytest.approx(0.02, abs=0.004)
    straight = straighten(measured, result)
    np.testing.assert_allclose(straight - straight[0], turned - turned[0], atol=0.2)


def test_distortion_needs_a_lattice():
    with pytest.raises(InputError, match="at least"):
        scan_distortion([[0.0, 0.0]], np.eye(2))
    with pytest.raises(InputError, match="independent"):
        scan_distortion(np.random.default_rng(0).uniform(0, 9, (30, 2)), np.zeros((2, 2)))
