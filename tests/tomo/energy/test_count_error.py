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
