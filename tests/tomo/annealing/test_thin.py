"""Sheets of a few layers that two views see obliquely."""

from dataclasses import replace

import numpy as np
import pytest

import tomo
from tomo.annealing import chosen_start
from tomo.annealing.calibrate import Calibration, calibrate
from tomo.annealing.chosen_start import calibrated, sheet_of
from tomo.annealing.runs import Task
from tomo.energy.count_error import count_table, initial_count_model
from tomo.energy.layout import layout_of
from tomo.energy.prior import Prior
from tomo.grid import line_keys
from tomo.phantom_views import soft_views_of, views_of
from tomo.phantoms import random_particle
from tomo.sampling import sample
from tomo.start import start_occupancy
from tomo.thin import _leans, is_sheet, thin_starts


def sheet(normal, layers, step, radius):
    """A disc of layers with a corner cut off, so that it does not look alike from all sides."""
    reach = np.arange(-radius - 4, radius + 5)
    grid = np.array(np.meshgrid(reach, reach, reach)).reshape(3, -1).T
    height = grid @ np.array(normal)
    grid = grid[(grid.sum(axis=1) % 2 == 0) & (height >= 0) & (height < layers * step)]
    flat = grid - np.outer(grid @ normal, normal) / np.dot(normal, normal)
    return grid[(np.linalg.norm(flat, axis=1) < radius) & (flat[:, 0] < 0.6 * radius)]


def rod():
    """A rod along [110] of about four atoms across, 257 in all."""
    grid = np.argwhere(np.ones((41, 41, 11), dtype=bool)) - [20, 20, 5]
    grid = grid[grid.sum(axis=1) % 2 == 0]
    along = grid @ [1, 1, 0] / np.sqrt(2)
    across = np.linalg.norm(grid - along[:, None] * [0.5**0.5, 0.5**0.5, 0], axis=1)
    return grid[(abs(along) < 20) & (across < 2.2)]


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


@pytest.mark.parametrize("axes", [[(0, 1, 1)], [(0, 1, 1), (0, -1, -1)]])
def test_where_a_sheet_may_slide_along_the_beam_there_is_no_such_start(axes):
    sites, _ = SHEETS["two layers (001)"]
    assert thin_starts(tomo.build_problem(views_of(sites, axes))) == []


def test_among_the_sites_of_several_species_there_is_no_such_start():
    sites, axes = SHEETS["two layers (001)"]
    views = views_of(sites, axes)
    assert thin_starts(tomo.build_problem(views))
    worth = sites, np.ones(len(sites))
    for others in ({"site_worth": worth}, {"excluded_sites": sites[:0] + 1}):
        assert thin_starts(tomo.build_problem(views, **others)) == []


def test_three_views_leave_no_choice_of_the_sheet():
    sites, axes = SHEETS["two layers (001)"]
    problem = tomo.build_problem(views_of(sites, [*axes, (1, 1, 1)]))
    (start,) = thin_starts(problem)
    np.testing.assert_array_equal(start, problem.occupancy(sites))


def test_what_is_a_sheet():
    assert is_sheet(sheet((1, 1, 1), 3, 2, 12))
    assert not is_sheet(sheet((1, 1, 1), 6, 2, 24))  # flat, but thick
    assert not is_sheet(rod())  # thin, but not flat
    assert not is_sheet(np.array([[0, 0, 0]]))
    assert not is_sheet(np.zeros((0, 3), dtype=int))


def test_more_atoms_than_the_widths_have_room_for_are_no_sheet():
    way = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]])
    assert np.allclose(sorted(_leans(np.eye(3), way, 0.75)), [-0.5, 0.5])
    assert _leans(np.eye(3), way, 2.0) == []


def test_a_sheet_that_grows_to_a_rod_comes_hot():
    views = views_of(rod(), [(1, 1, 1), (1, -1, 0)], 0.1, 1)
    problem = tomo.build_problem(views)
    layout = layout_of(problem)
    assert thin_starts(problem)
    ever = calibrate(problem, layout, start_occupancy(problem), np.random.SeedSequence(0, spawn_key=(1,)))
    np.testing.assert_array_equal(calibrated(problem, layout, 0).table, ever.table)
    assert sheet_of(problem, layout, 0, None, False) is None


@pytest.mark.parametrize(("worse", "cold"), [(0.5, True), (2.0, False)])
def test_a_sheet_that_explains_less_is_not_taken(worse, cold, monkeypatch):
    sites, axes = SHEETS["one layer (111)"]
    problem = tomo.build_problem(views_of(sites, axes))
    monkeypatch.setattr(chosen_start, "_implausibility", lambda p, layout, of, table: worse * of.cold)
    assert calibrated(problem, layout_of(problem), 0).cold == cold


def test_crystals_are_compared_with_the_same_costs_of_the_counts():
    sites, axes = SHEETS["one layer (111)"]
    problem = tomo.build_problem(views_of(sites, axes, 0.1, 1), strict=False)
    layout, model = layout_of(problem), initial_count_model(problem, 0.05)
    table = count_table(problem, model)

    def value(share, state):
        found = Calibration(Prior(1.0, 0.0), model, share * table, state, True)
        return chosen_start._implausibility(problem, layout, found, table)

    assert np.isfinite(value(1.0, problem.occupancy(sites)))
    assert value(0.999, problem.occupancy(sites)) == value(1.0, problem.occupancy(sites))
    assert value(1.0, np.zeros(problem.n_sites, dtype=bool)) == np.inf


def test_a_given_edge_weight_is_that_of_a_sheet():
    sites, axes = SHEETS["one layer (111)"]
    views = views_of(sites, axes)
    assert tomo.reconstruct(views, runs=1, edge_weight=1.25).edge_weight == 1.25


def test_runs_from_a_cold_and_a_hot_start_are_kept_apart():
    sites, axes = SHEETS["one layer (111)"]
    problem = tomo.build_problem(views_of(sites, axes))
    layout = layout_of(problem)
    cold = calibrated(problem, layout, 0)
    keys = {Task(problem, layout, replace(cold, cold=c), 0, True, None).key for c in (True, False)}
    assert len(keys) == 2


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


def test_a_start_that_is_given_to_sampling_is_taken(monkeypatch):
    sites, axes = SHEETS["one layer (111)"]
    problem = tomo.build_problem(views_of(sites, axes))
    monkeypatch.setattr(sample, "sheet_of", None)  # is not asked
    tomo.sample_posterior(problem, start=problem.occupancy(sites), chains=2, edge_weight=1.0)
