"""Sheets of a few layers that two views see obliquely."""

from dataclasses import replace

import numpy as np
import pytest

import tomo
from tomo.annealing.calibrate import calibrate
from tomo.annealing.chosen_start import calibrated
from tomo.energy.layout import layout_of
from tomo.grid import line_keys
from tomo.phantom_views import soft_views_of, views_of
from tomo.phantoms import random_particle
from tomo.start import start_occupancy
from tomo.thin import thin_starts


def sheet(normal, layers, step, radius):
    """A disc of layers with a corner cut off, so that it does not look alike from all sides."""
    reach = np.arange(-radius - 4, radius + 5)
    grid = np.array(np.meshgrid(reach, reach, reach)).reshape(3, -1).T
    height = grid @ np.array(normal)
    grid = grid[(grid.sum(axis=1) % 2 == 0) & (height >= 0) & (height < layers * step)]
    flat = grid - np.outer(grid @ normal, normal) / np.dot(normal, normal)
    return grid[(np.linalg.norm(flat, axis=1) < radius) & (flat[:, 0] < 0.6 * radius)]


SHEETS = {
    "two layers (001)": (sheet((0, 0, 1), 2, 1, 11), [(0, 1, 1), (1, 0, -1)]),
    "two layers (111)": (sheet((1, 1, 1), 2, 2, 9), [(1, 0, 0), (0, 0, -1)]),
    "one layer (111)": (sheet((1, 1, 1), 1, 2, 9), [(0, 0, -1), (-1, 0, 0)]),
    "three layers (001)": (sheet((0, 0, 1), 3, 1, 11), [(2, -1, 1), (2, 1, -1)]),
}


@pytest.mark.parametrize("name", SHEETS)
def test_a_sheet_seen_obliquely_is_found(name):
    sites, axes = SHEETS[name]
    for views in (views_of(sites, axes), soft_views_of(sites, axes, 0.25, seed=1)):
        result = tomo.reconstruct(views, runs=2)
        assert tomo.compare_sites(result.occupied(), sites).wrong_fraction < 0.02


def test_one_of_the_starts_lies_as_the_sheet_does():
    sites, axes = SHEETS["two layers (001)"]
    problem = tomo.build_problem(views_of(sites, axes))
    true = problem.occupancy(sites)
    wrong = sorted(int((start != true).sum()) for start in thin_starts(problem))
    assert wrong[0] == 0
    assert len(wrong) == 1 or wrong[1] > len(sites)


@pytest.mark.parametrize("kind", ["faceted", "rough"])
@pytest.mark.parametrize("axes", [[(1, 0, 0), (1, 1, 0)], [(1, 1, 0), (1, 0, 1)], [(1, 1, 1), (1, 1, 2)]])
def test_a_compact_crystal_starts_as_ever(kind, axes):
    problem = tomo.build_problem(views_of(random_particle(150, kind, seed=3), axes, 0.2))
    assert thin_starts(problem) == []
    layout = layout_of(problem)
    ever = calibrate(problem, layout, start_occupancy(problem), np.random.SeedSequence(5, spawn_key=(1,)))
    found = calibrated(problem, layout, 5)
    assert found.prior == ever.prior
    assert not found.cold
    np.testing.assert_array_equal(found.state, ever.state)


def test_a_sheet_that_a_view_cuts_has_no_such_start():
    """Its widths are not those of the whole crystal."""
    sites, axes = SHEETS["two layers (001)"]
    views = views_of(sites, axes)
    beyond = views[0].column_sites[:3] + np.array([40, 0, 0])
    assert not np.isin(line_keys(beyond, axes[0]), line_keys(sites, axes[0])).any()
    views[0] = replace(views[0], unseen_sites=beyond)
    assert thin_starts(tomo.build_problem(views, strict=False)) == []


def test_the_same_sheet_with_any_workers():
    sites, axes = SHEETS["one layer (111)"]
    views = soft_views_of(sites, axes, 0.3, seed=2)
    one, two = (tomo.reconstruct(views, runs=3, workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(one.runs, two.runs)
    np.testing.assert_array_equal(one.certainty, two.certainty)


def test_sampling_keeps_a_sheet():
    sites, axes = SHEETS["one layer (111)"]
    result = tomo.reconstruct(soft_views_of(sites, axes, 0.25, seed=1), runs=2, method="sample")
    assert tomo.compare_sites(result.occupied(), sites).wrong_fraction < 0.02
    assert result.diagnostics["expected_wrong"] < 0.05 * len(sites)
