import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomo import InputError, View, build_problem, freedom, optimality_gap, solve_exact
from tomo.grid import NEIGHBOUR_VECTORS, SiteIndex
from tomo.phantoms import random_particle, views_of

AXES = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]


def enumerate_energies(problem, *prior):
    n = problem.n_sites
    states = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(bool)
    return states, np.array([problem.energy(s, *prior) for s in states])


@given(
    seed=st.integers(0, 10_000),
    edge_weight=st.sampled_from([0.0, 0.3, 1.1]),
    worth=st.sampled_from([0.0, 0.7]),
    second=st.sampled_from([0.0, 0.4]),
)
@settings(max_examples=12, deadline=None)
def test_optimum_is_that_of_the_enumeration(seed, edge_weight, worth, second):
    """Random cost tables, most of them not convex."""
    rng = np.random.default_rng(seed)
    sites = np.concatenate([[(0, 0, 0)], NEIGHBOUR_VECTORS[rng.permutation(12)[:8]]])
    views = [
        View(v.zone_axis, v.column_sites, log_likelihood=-rng.uniform(0, 3, size=(v.n_columns, 4)))
        for v in views_of(sites, [(1, 0, 0), (1, 1, 0)])
    ]
    problem = build_problem(views, strict=False)
    if problem.n_sites > 13:
        return
    rest = {"chemical_potential": worth, "second_weight": second}
    solution = solve_exact(problem, edge_weight, **rest)
    states, energies = enumerate_energies(problem, edge_weight, worth, second)
    assert solution.proven
    assert solution.energy == pytest.approx(energies.min(), abs=1e-6)
    gap = optimality_gap(problem, states[0], edge_weight, **rest)
    assert gap == pytest.approx(energies[0] - energies.min(), abs=1e-5)


def test_freedom_is_that_of_the_enumeration():
    """A square of sites whose diagonals cannot be told apart by two views."""
    sites = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (2, 2, 0), (4, 0, 0)]
    one = View((1, 0, 0), [(0, 0, 0), (0, 2, 0)], counts=[2, 1])
    two = View((0, 1, 0), [(0, 0, 0), (2, 0, 0), (4, 0, 0)], counts=[1, 1, 1])
    problem = build_problem([one, two])
    solution = solve_exact(problem)
    free = freedom(problem, solution)
    states, energies = enumerate_energies(problem, 0.0)
    best = states[energies < energies.min() + 1e-9]
    assert len(sites) <= problem.n_sites
    assert np.array_equal(free.always, best.all(axis=0))
    assert np.array_equal(free.never, ~best.any(axis=0))
    assert free.movable == max((solution.occupied & ~other).sum() for other in best)
    assert free.proven


def test_three_exact_views_leave_little_freedom():
    atoms = random_particle(1000, "stepped", seed=2)
    problem = build_problem(views_of(atoms, AXES))
    truth = np.zeros(problem.n_sites, dtype=bool)
    truth[SiteIndex(problem.sites)(atoms)] = True
    solution = solve_exact(problem)
    assert solution.proven
    assert solution.energy == 0
    free = freedom(problem, solution)
    assert not (free.always & ~truth).any()
    assert not (free.never & truth).any()
    assert free.movable < 0.02 * len(atoms)


def test_edges_are_counted_in_the_bound():
    atoms = random_particle(300, "rough", seed=1)
    problem = build_problem(views_of(atoms, AXES, 0.2, seed=1), strict=False)
    solution = solve_exact(problem, 0.5)
    assert solution.proven
    truth = np.zeros(problem.n_sites, dtype=bool)
    truth[SiteIndex(problem.sites)(atoms)] = True
    assert solution.energy <= problem.energy(truth, 0.5)
    assert solution.energy == pytest.approx(problem.energy(solution.occupied, 0.5))


def test_reference_particle_is_solved_without_edges(shared_data):
    atoms = np.load(shared_data / "pdpt_sites.npz")["hkl"].astype(int)
    solution = solve_exact(build_problem(views_of(atoms, AXES)))
    assert solution.proven
    assert solution.energy == 0


def test_bad_arguments_are_named():
    problem = build_problem(views_of(random_particle(100, "faceted"), AXES))
    with pytest.raises(InputError, match="edge_weight"):
        solve_exact(problem, -0.5)


def test_a_start_that_is_the_optimum_is_proven_and_a_bad_one_left():
    atoms = random_particle(200, "rough", seed=4)
    problem = build_problem(views_of(atoms, AXES, 0.2, seed=4))
    best = solve_exact(problem, 0.7)
    assert best.proven
    again = solve_exact(problem, 0.7, start=best.occupied)
    assert np.array_equal(again.occupied, best.occupied)
    other = solve_exact(problem, 0.7, start=np.zeros(problem.n_sites, dtype=bool))
    assert other.proven
    assert other.energy == pytest.approx(best.energy)


def test_out_of_time_the_start_stays_with_a_bound():
    atoms = random_particle(300, "rough", seed=4)
    problem = build_problem(views_of(atoms, [(1, 0, 0), (1, 1, 0)], 0.2, seed=4))
    truth = SiteIndex(atoms)(problem.sites) >= 0
    late = solve_exact(problem, 0.9, start=truth, time_limit=0.01)
    assert late.bound <= late.energy <= problem.energy(truth, 0.9)
    assert late.proven == (late.bound > late.energy - 1e-4)


def test_without_time_the_answer_is_that_of_an_annealing():
    """Two views, whose linear program leaves sites between 0 and 1: no time to branch."""
    atoms = random_particle(300, "rough", seed=4)
    problem = build_problem(views_of(atoms, [(1, 0, 0), (1, 1, 0)], 0.3, seed=1))
    hasty = solve_exact(problem, 0.6, time_limit=0.0)
    truth = SiteIndex(atoms)(problem.sites) >= 0
    assert hasty.energy <= problem.energy(truth, 0.6)
    assert hasty.bound <= hasty.energy
