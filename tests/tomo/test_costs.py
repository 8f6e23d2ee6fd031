"""A result knows what its runs minimised, so that they can be compared with the proven optimum."""

import numpy as np
import pytest

import tomo
from tomo.phantoms import random_particle, soft_views_of, views_of

AXES = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_no_run_is_below_the_proven_optimum_and_most_reach_it(kind, tmp_path):
    atoms = random_particle(250, "rough", seed=7)
    views = views_of(atoms, AXES, 0.3, seed=1) if kind == "hard" else soft_views_of(atoms, AXES, 0.35)
    result = tomo.reconstruct(views, runs=3)
    result = tomo.load_reconstruction(result.save(tmp_path))
    problem, costs = tomo.costs_of(result)
    best = tomo.solve_exact(problem, **costs._asdict())
    free = result.energy - np.array(result.diagnostics["one_piece_energy_cost"])
    assert best.proven
    assert free.min() == pytest.approx(best.energy, abs=1e-6)
    voted = [problem.energy(problem.occupancy(result.sites[run]), *costs) for run in result.runs]
    assert voted == pytest.approx(result.diagnostics["voted_energy"])


def test_what_sites_are_worth_is_in_the_costs():
    atoms = random_particle(150, "rough", seed=2)
    worth = (atoms[:20], np.linspace(0.5, 2.0, 20))
    result = tomo.reconstruct(views_of(atoms, AXES, 0.3, seed=1), runs=2, site_worth=worth)
    problem, costs = tomo.costs_of(result, site_worth=worth)
    voted = [problem.energy(problem.occupancy(result.sites[run]), *costs) for run in result.runs]
    assert voted == pytest.approx(result.diagnostics["voted_energy"])
    best = tomo.solve_exact(problem, **costs._asdict())
    assert best.proven
    assert result.energy.min() >= best.energy - 1e-6


def test_the_energy_of_a_sample_is_that_of_its_last_occupancies():
    atoms = random_particle(150, "rough", seed=2)
    result = tomo.reconstruct(views_of(atoms, AXES, 0.2, seed=1), runs=2, method="sample")
    problem, costs = tomo.costs_of(result)
    energy = [problem.energy(problem.occupancy(result.sites[run]), *costs) for run in result.runs]
    assert energy == pytest.approx(result.energy.tolist())


def test_what_does_not_fit_is_named():
    result = tomo.reconstruct(views_of([(0, 0, 0), (1, 1, 0)], AXES), runs=1)
    problem, _ = tomo.costs_of(result)
    with pytest.raises(tomo.InputError, match=r"\(9, 9, 0\) is no candidate"):
        problem.occupancy([(0, 0, 0), (9, 9, 0)])
    with pytest.raises(tomo.InputError, match="one for each candidate site"):
        tomo.optimality_gap(problem, result.occupied())
    with pytest.raises(tomo.InputError, match=r"expected one of tomo\.build_problem"):
        tomo.solve_exact(list(result.views))
    del result.diagnostics["empty_columns"]
    with pytest.raises(tomo.InputError, match="does not hold its costs"):
        tomo.costs_of(result)
