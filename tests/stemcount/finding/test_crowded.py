"""Crowded columns are laid on their lattice as a whole where single steps do not lead to it."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from stemcount import simulate_columns
from stemcount.finding.complete import on_lattice
from stemcount.finding.crowded import on_own_lattice, relaid, same_sites, stands_on, trial_of
from stemcount.finding.scene import FLAT, make_scene
from stemcount.finding.significance import judge
from stemcount.finding.spectrum import lattices_in_spectrum
from stemcount.images.blur import gaussian_blur

ACROSS, DOWN = (v.ravel().astype(float) for v in np.meshgrid(np.arange(12), np.arange(10)))
SITES = np.column_stack([2.0 * ACROSS + 0.7 * DOWN, 1.8 * DOWN])


def test_a_row_that_lost_a_column_is_laid_on_the_lattice_again():
    """Columns two widths apart: one less, each displaced a little farther, explains a row nearly as well."""
    rows = [np.column_stack([4 + 1.28 * np.arange(14), np.full(14, 4 + 2.1 * k)]) for k in range(8)]
    true = np.concatenate(rows)
    image = simulate_columns(
        *true.T, np.full(len(true), 0.3), shape=(125, 125), pixel_size=0.2, width=0.64, dose=5e4, seed=3
    )
    for lost in (3, 7):  # inside, and at the rim
        fewer = np.column_stack([np.linspace(4.6, 20.0, 13), rows[lost][:13, 1]])
        revision = judge(image, np.concatenate([*rows[:lost], fewer, *rows[lost + 1 :]]), 3.2)
        again = on_lattice(revision)
        assert len(again) == len(true)
        assert cKDTree(again).query(true)[0].max() < 0.3
    assert on_lattice(judge(image, true, 3.2)) is None


def test_neighbouring_rows_that_lost_a_column_are_laid_on_the_lattice_of_the_others():
    """Displaced rows side by side support each other: laid on what is around them, columns are missing."""
    rows = [
        np.column_stack([4 + 1.15 * np.arange(16) + 0.575 * (k % 2), np.full(16, 4 + 1.8 * k)])
        for k in range(10)
    ]
    true = np.concatenate(rows)
    image = simulate_columns(
        *true.T, np.full(len(true), 0.2), shape=(125, 135), pixel_size=0.2, width=0.61, dose=1e5, seed=3
    )
    lost = (3, 4, 7, 8, 9)
    fewer = [np.column_stack([np.linspace(4.4, 21.3, 15), rows[k][:15, 1]]) for k in lost]
    found = judge(image, np.concatenate([*fewer, *(rows[k] for k in range(10) if k not in lost)]), 3.05)
    scene = make_scene(image, 3.05, np.zeros(image.data.shape))
    again = on_own_lattice(image, scene, found, [])
    assert len(relaid(image, scene, found).points) < len(true)
    assert len(again.points) == len(true)
    assert cKDTree(again.points).query(true)[0].max() < 0.25


@pytest.mark.parametrize("seed", range(4))
def test_pixels_count_by_light_over_variance(seed):
    """A small crystal in a large field, whose noise hides the spots if all pixels count alike."""
    i, j = (v.ravel() for v in np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)))
    true = np.column_stack([1.5 * (i + 0.5 * j), 1.299 * j])
    true = true[np.hypot(*true.T) < 8.0]
    volume = 0.06 + 0.02 * (8.5 - np.hypot(*true.T))
    size = {"shape": (300, 320), "pixel_size": 0.2, "width": 0.6}
    image = simulate_columns(*(true.T + 16.0), volume, background=0.05, dose=8e3, seed=seed, **size)
    scene = make_scene(image, 2.4, np.zeros(image.data.shape))
    alike = scene.data - gaussian_blur(scene.data, FLAT * scene.scale), float(scene.variance.sum())

    def farthest(lattices):
        """Of the columns from a site of the first lattice [A]."""
        if not lattices:
            return np.inf
        place = np.linalg.solve(lattices[0].basis, ((true + 16.0) / 0.2 - lattices[0].origin).T)
        return 0.2 * np.hypot(*(lattices[0].basis @ (place - np.rint(place)))).max()

    assert farthest(lattices_in_spectrum(*scene.modulation(), 5.0)) < 0.5
    assert farthest(lattices_in_spectrum(*alike, 5.0)) > 0.7


def test_columns_that_stand_on_the_sites_leave_nothing_to_try():
    rng = np.random.default_rng(1)
    columns = SITES[ACROSS + DOWN < 15]
    columns = columns + rng.normal(0, 0.1, columns.shape)
    assert stands_on(columns, SITES)
    lost = np.ones(len(columns), dtype=bool)
    lost[::9] = False  # holes that are as far from columns as these from each other have been tried
    assert stands_on(columns[lost], SITES)
    assert not stands_on(columns[:40], SITES)  # most of the crystal is not found yet
    assert not stands_on(
        columns, np.concatenate([SITES, SITES + np.array([1.0, 0.0])])
    )  # as many between them
    assert not stands_on(columns, SITES[:, ::-1])
    assert not stands_on(columns, SITES[:0])


def test_sites_tried_before_are_not_tried_again():
    assert same_sites(SITES, SITES[1:][::-1] + 0.1)
    assert not same_sites(SITES, SITES + 0.5)
    assert not same_sites(SITES, SITES[10:])
    image = simulate_columns(
        *(SITES + 4.0).T, np.full(120, 0.2), shape=(115, 190), pixel_size=0.2, width=0.6, dose=2e4, seed=1
    )
    scene = make_scene(image, 3.0, np.zeros(image.data.shape))
    assert trial_of(image, scene, SITES + 4.0, 3.0, [SITES + 4.1]) is None
    assert trial_of(image, scene, SITES[:0], 3.0, []) is None
    tried = [SITES[10:]]
    assert len(trial_of(image, scene, SITES + 4.0, 3.0, tried).points) == 120
    assert len(tried) == 2
