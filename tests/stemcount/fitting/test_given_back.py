"""Columns with the light of their wide tails: cross-sections no longer depend on what stands around them."""

from dataclasses import replace

import numpy as np
import pytest

import stemcount
from stemcount import ZoneAxisImage, fit_columns, simulate_columns
from stemcount.cli.one_image.columns import count_image
from stemcount.counting.quality import clarity_gained
from stemcount.fitting.given_back import fit_with_halo
from stemcount.fitting.halo import halo_of

PX, SPACING, ONE = 0.2, 2.4, 0.03


def disc(n=12):
    """Columns of a disc that is thickest in the middle: places [A] and atoms."""
    x, y = (v.ravel() * SPACING for v in np.meshgrid(np.arange(n), np.arange(n)))
    centre = SPACING * (n - 1) / 2
    depth = 1 - np.hypot(x - centre, y - centre) / (centre + SPACING)
    inside = depth > 0
    return np.column_stack([x, y])[inside] + 10, np.ceil(9 * np.sqrt(depth[inside])).astype(int)


def seen(light, dose=4e4, seed=0):
    """Counted electrons of an image without noise."""
    mean = dose * PX**2
    return ZoneAxisImage(np.random.default_rng(seed).poisson(light * mean) / mean, PX)


def peaks_of(points, atoms):
    side = int((points.max() + 10) / PX)
    return simulate_columns(*points.T, ONE * atoms, shape=(side, side), pixel_size=PX, width=0.5).data


def scatter(values, atoms):
    """Of cross-sections about a straight line, in parts of its step."""
    line = np.polyfit(atoms, values, 1)
    return np.std(values - np.polyval(line, atoms)) / line[0]


def counted(fit):
    return count_image(fit, {})


@pytest.mark.parametrize(("share", "radius"), [(0.2, 2.5), (0.3, 4.0), (0.3, 7.0)])
def test_columns_get_their_own_light_back(share, radius):
    points, atoms = disc()
    peaks = peaks_of(points, atoms)
    image = seen(0.02 + (1 - share) * peaks + share * halo_of(peaks, radius / PX), dose=2e5)
    plain = fit_columns(image, points)
    fit = fit_with_halo(image, plain)
    assert fit is not None
    assert fit.halo[0] == pytest.approx(share, abs=0.03)
    assert fit.halo[1] == pytest.approx(radius, rel=0.3)
    error = fit.cross_section - ONE * atoms
    assert abs(error.mean()) < 0.05 * ONE * atoms.mean()
    assert 0.7 < np.std(error / fit.noise_std) < 1.5
    assert scatter(plain.cross_section, atoms) > 1.5 * scatter(fit.cross_section, atoms)
    left = image.data - stemcount.model_image(image, fit)
    assert np.sum(left**2) == pytest.approx(fit.residual_sum_of_squares, rel=1e-3)
    counts = counted(fit)
    assert clarity_gained(plain, counted(plain), fit, counts) > 0
    assert np.mean(counts.count == atoms) > 0.97


def test_no_halo_where_there_is_none():
    points, atoms = disc()
    image = seen(0.02 + peaks_of(points, atoms))
    assert fit_with_halo(image, fit_columns(image, points)) is None
    peaks = peaks_of(points, atoms)  # a share that a peak which is no Gaussian may have
    slight = seen(0.02 + 0.94 * peaks + 0.06 * halo_of(peaks, 4.0 / PX), dose=1e6)
    assert fit_with_halo(slight, fit_columns(slight, points)) is None


def test_light_that_does_not_follow_the_atoms_leaves_clear_counts_alone():
    points, atoms = disc()
    peaks = peaks_of(points, atoms)
    y, x = (PX * v - points.mean(axis=0)[0] for v in np.mgrid[: peaks.shape[0], : peaks.shape[1]])
    image = seen(0.02 + peaks + 0.3 * np.percentile(peaks, 99) * np.exp(-(x**2 + y**2) / (2 * 11.0**2)))
    plain = fit_columns(image, points)
    fit = fit_with_halo(image, plain)
    assert fit is None or clarity_gained(plain, counted(plain), fit, counted(fit)) < 0


def test_a_background_that_is_known_and_peaks_with_tails_have_no_halo():
    points, atoms = disc(6)
    peaks = peaks_of(points, atoms)
    image = seen(0.02 + 0.7 * peaks + 0.3 * halo_of(peaks, 4.0 / PX))
    plain = fit_columns(image, points)
    assert fit_with_halo(image, plain, background=0.02) is None
    assert fit_with_halo(image, plain, peak="tailed") is None


@pytest.fixture(scope="module")
def classes():
    """Fits whose cross-sections fall into classes hardly and clearly, and the counts of the first."""
    points, atoms = disc()
    plain = fit_columns(seen(0.02 + peaks_of(points, atoms)), points)
    scatter = np.random.default_rng(0).normal(size=len(plain))
    blurred, sharp = (
        replace(
            plain, cross_section=ONE * (atoms + width * scatter), cross_section_std=np.full(len(plain), 1e-4)
        )
        for width in (0.2, 0.05)
    )
    return blurred, sharp, counted(blurred)


@pytest.mark.parametrize("unit", [0.01, 1.0, 50.0])
def test_clearer_classes_are_told_in_any_unit(classes, unit):
    blurred, sharp, counts = classes
    sharp = replace(
        sharp, cross_section=unit * sharp.cross_section, cross_section_std=unit * sharp.cross_section_std
    )
    sharp_counts = counted(sharp)
    assert clarity_gained(blurred, counts, sharp, sharp_counts) > 0
    assert clarity_gained(sharp, sharp_counts, blurred, counts) < 0


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_a_few_columns_do(n):
    points = np.array([(10 + SPACING * (k % 5), 10 + SPACING * (k // 5)) for k in range(n)])
    peaks = peaks_of(points, np.full(n, 5))
    image = seen(0.02 + 0.7 * peaks + 0.3 * halo_of(peaks, 4.0 / PX), dose=2e5)
    fit = fit_with_halo(image, fit_columns(image, points))
    if fit is not None:
        assert np.all(np.isfinite(fit.cross_section_std))
        assert np.median(fit.cross_section) == pytest.approx(5 * ONE, rel=0.1)
