import numpy as np
import pytest

from tomo import View, build_problem
from tomo.energy.count_error import CountModel, count_table, initial_count_model, update_count_model
from tomo.phantoms import random_particle, soft_views_of, views_of

AXES = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
ATOMS = random_particle(1000, "stepped", seed=4)


def truth_counts(problem):
    occupied = (problem.sites[:, None, :] == ATOMS[None, :, :]).all(axis=2).any(axis=1)
    return problem.line_counts(occupied)[None, :]


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5])
def test_count_error_of_the_true_crystal_is_found(p):
    problem = build_problem(views_of(ATOMS, AXES, p, seed=1), strict=False)
    model = initial_count_model(problem)
    for _ in range(3):
        model = update_count_model(problem, model, truth_counts(problem))
    assert model.error == pytest.approx(np.full(3, p), abs=0.08)
    assert model.large < 0.05


def test_table_of_hard_counts_is_minus_log_likelihood():
    views = [
        View((1, 0, 0), [(0, 0, 0)], counts=[2]),
        View((0, 1, 0), [(0, 0, 0), (2, 0, 0), (4, 0, 0)], counts=[1, 1, 0]),
    ]
    problem = build_problem(views, strict=False)
    model = CountModel(np.array([0.3, 0.1]), 0.05, np.ones(2), np.array([[1.0, 1.0], [1.0, 0.2]]))
    table = count_table(problem, model)
    first = table[problem.table_start[0] : problem.table_start[1]]
    p, q = 0.3, 0.05
    expected = -np.log([p / 2 * (1 - q) * q, p / 2 * (1 - q), 1 - p, p / 2 * (1 - q)]) + np.log(1 - p)
    assert first == pytest.approx(expected)
    second = table[problem.table_start[1] : problem.table_start[2]]
    assert second[0] - second[1] == pytest.approx(np.log(0.9 / (0.05 * 0.95)) - np.log(0.2))


def test_honest_probabilities_keep_their_scale_and_overconfident_ones_lose_it():
    views = soft_views_of(ATOMS, AXES, 0.4, seed=2)
    sharp = [View(v.zone_axis, v.column_sites, log_likelihood=4 * v.log_likelihood) for v in views]
    for given, expected in ((views, 1.0), (sharp, 0.25)):
        problem = build_problem(given, strict=False)
        model = update_count_model(problem, initial_count_model(problem), truth_counts(problem))
        assert model.scale == pytest.approx(np.full(3, expected), rel=0.35)
        assert np.all(model.error == 0)


def test_lines_without_a_column_may_be_empty_and_keep_their_own_errors():
    looked_at = [[0.0, -3.0], [-2.0, 0.0]]
    views = [
        View((1, 0, 0), [(0, 0, 0), (0, 0, 2)], log_likelihood=looked_at, unfound=[False, True]),
        View((0, 1, 0), [(0, 0, 0), (0, 0, 2)], counts=[1, 1]),
    ]
    problem = build_problem(views, strict=False)
    model = CountModel(np.zeros(2), 0.05, np.array([0.5, 1.0]), np.full((2, 2), 0.1))
    cost = np.split(count_table(problem, model), problem.table_start[1:-1])
    mine = np.flatnonzero(problem.line_view == 0)
    found, unfound = (cost[line] for line in mine)
    assert found[:2] == pytest.approx([np.log(10), 1.5])
    assert unfound[:2] == pytest.approx([2.0, 0.0])
    nothing = np.zeros((1, problem.n_lines), dtype=int)
    once, most = (0.1 + n for n in (1, 2))  # one column is empty, not two
    assert update_count_model(problem, model, nothing).empty[0, 1] < once / (once + 3.5) < most / (most + 3.5)
