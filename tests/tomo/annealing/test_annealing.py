"""Kernels of the annealing: what they keep up to date, and what their moves may not break."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tomo
from tomo.annealing.anneal import Annealer
from tomo.annealing.calibrate import calibrate
from tomo.annealing.ejection import run_chains
from tomo.annealing.temperature import condensed, seeded, temperatures
from tomo.checkpoint import ensemble_key
from tomo.energy.layout import NO_HOLES, ONE_PIECE, connectivity_table, layout_of
from tomo.energy.prior import Prior
from tomo.grid import NEIGHBOUR_VECTORS, SiteIndex, neighbour_table
from tomo.kernels import random_state
from tomo.phantoms import random_particle, views_of
from tomo.repair import fragments, holes, without_flaws
from tomo.start import start_occupancy

THREE = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
PRIOR = Prior(0.7, 0.4, 0.2)


@pytest.fixture(scope="module")
def problem():
    return tomo.build_problem(views_of(random_particle(300, "rough", seed=1), THREE, 0.2, seed=1))


def annealer(problem, seed=0, vacancies=False):
    start = start_occupancy(problem)
    rng = random_state(np.random.SeedSequence(seed))
    return Annealer(layout_of(problem, vacancies), problem.table, PRIOR, start, rng)


def assert_consistent(problem, state):
    """Everything that is updated in place equals what it is from scratch."""
    occupied = state.occupied
    assert state.energy() == pytest.approx(problem.energy(occupied, *PRIOR))
    np.testing.assert_array_equal(state.counts, problem.line_counts(occupied))
    fresh = state.copy(occupied)
    np.testing.assert_array_equal(state.around, fresh.around)
    np.testing.assert_allclose(state.state.marginal, fresh.state.marginal)
    mine, theirs = (set(np.flatnonzero(s.state.slot[:-1] >= 0).tolist()) for s in (state, fresh))
    assert mine == theirs
    assert state.n_listed == len(mine)


class TestKernel:
    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 1000), st.floats(0.05, 5.0), st.booleans())
    def test_state_stays_consistent(self, problem, seed, temperature, vacancies):
        state = annealer(problem, seed, vacancies)
        state.run(3000, temperature)
        run_chains(state, 100, temperature, 0.5)
        assert_consistent(problem, state)

    def test_sites_of_their_own_worth(self, problem):
        worth = np.random.default_rng(2).normal(size=problem.n_sites)
        valued = tomo.build_problem(problem.views, site_worth=(problem.sites, worth))
        keys = {ensemble_key(each) for each in (problem, valued, replace(valued, worth=2 * worth))}
        assert len(keys) == 3, "kept runs are those of another problem"
        state = annealer(valued)
        for temperature in (2.0, 0.3):
            state.run(3000, temperature)
            run_chains(state, 100, temperature, 0.5)
            assert_consistent(valued, state)
            assert state.misfit() == pytest.approx(problem.misfit(state.occupied))

    def test_slabs(self, problem, monkeypatch):
        monkeypatch.setattr("tomo.energy.layout._SLAB", 60)
        state = annealer(problem)
        assert len(state.layout.block_start) > 4
        state.run(5000, 1.0)
        run_chains(state, 200, 1.0, 0.5)
        assert_consistent(problem, state)

    def test_cold_moves_never_raise_the_energy(self, problem):
        state = annealer(problem)
        before = state.energy()
        for _ in range(5):
            state.run(2000, 0.0)
            run_chains(state, 100, 0.0, 0.5)
            assert state.energy() <= before + 1e-9
            before = state.energy()

    def test_same_random_numbers_same_state(self, problem):
        one, two = annealer(problem, 3), annealer(problem, 3)
        for state in (one, two):
            state.run(2000, 1.0)
        np.testing.assert_array_equal(one.occupied, two.occupied)


class TestConnectivity:
    def test_table_against_a_search(self):
        table = connectivity_table()
        adjacent = ((NEIGHBOUR_VECTORS[:, None] - NEIGHBOUR_VECTORS[None]) ** 2).sum(axis=2) == 2
        rng = np.random.default_rng(0)
        for mask in rng.integers(0, 4096, size=200):
            members = ((mask >> np.arange(12)) & 1).astype(bool)
            for bit, chosen in ((ONE_PIECE, members), (NO_HOLES, ~members)):
                left, parts = set(np.flatnonzero(chosen).tolist()), 0
                while left:
                    stack, parts = [left.pop()], parts + 1
                    while stack:
                        near = {j for j in left if adjacent[stack[-1], j]}
                        stack.pop()
                        left -= near
                        stack += near
                assert bool(table[mask] & bit) == (parts == 1)

    def test_guarded_moves_keep_one_piece_without_holes(self, problem):
        state = annealer(problem)
        state = state.copy(without_flaws(state.layout, state.occupied))
        for _ in range(20):
            state.run(2000, 3.0, ONE_PIECE | NO_HOLES)
            assert not fragments(state.layout, state.occupied).any()
            assert not holes(state.layout, state.occupied).any()

    def test_repair_removes_fragments_and_fills_holes(self, problem):
        layout = layout_of(problem)
        solid = without_flaws(layout, start_occupancy(problem))
        around = neighbour_table(problem.sites)
        inner = np.flatnonzero(solid & (around >= 0).all(axis=1) & solid[around].all(axis=1))
        flawed = solid.copy()
        flawed[inner[0]] = False
        far = np.flatnonzero(~solid & ~solid[around].any(axis=1))
        flawed[far[:1]] = True
        assert holes(layout, flawed).sum() == 1
        assert fragments(layout, flawed).sum() == len(far[:1])
        np.testing.assert_array_equal(without_flaws(layout, flawed), solid)


def test_an_atom_whose_vacant_neighbours_are_all_excluded_can_leave():
    particle = random_particle(300, "rough", seed=1)
    index, around = SiteIndex(particle), (particle[:, None] + NEIGHBOUR_VECTORS).reshape(-1, 3)
    excluded = np.unique(around[index(around) < 0], axis=0)
    few = (index(around).reshape(-1, 12) >= 0).sum(axis=1) == 5
    gone = int(np.flatnonzero(few)[0])
    left = np.delete(particle, gone, axis=0)
    views = [
        replace(view, counts=np.rint(tomo.reproject(left, view)).astype(int))
        for view in views_of(particle, THREE)
    ]
    problem = tomo.build_problem(views, excluded_sites=excluded)
    full = problem.occupancy(particle)
    state = Annealer(layout_of(problem), problem.table, PRIOR, full, random_state(np.random.SeedSequence(0)))
    state.run(100 * state.n_listed, 0.0)
    np.testing.assert_array_equal(problem.sites[full & ~state.occupied], particle[[gone]])


def test_runs_beside_excluded_places_that_no_view_shows_are_not_those_without_them():
    particle = random_particle(200, "rough", seed=1)
    middle = np.median(particle[:, 0])
    near = np.unique((particle[:, None] + NEIGHBOUR_VECTORS).reshape(-1, 3), axis=0)
    hidden = near[near[:, 0] > middle]
    shown = views_of(particle[particle[:, 0] <= middle], [(0, 1, 0), (0, 0, 1), (0, 1, 1)])
    views = [replace(view, unseen_sites=hidden) for view in shown]
    free = tomo.build_problem(views, strict=False)
    no_candidates = hidden[SiteIndex(free.sites.astype(np.int64))(hidden) < 0]
    beside = tomo.build_problem(views, strict=False, excluded_sites=no_candidates)
    np.testing.assert_array_equal(free.neighbours, beside.neighbours)  # hidden before, and excluded now
    assert np.any(beside.opened)
    assert ensemble_key(free) != ensemble_key(beside)


def test_a_piece_that_the_heat_drove_off_comes_back():
    """Ten atoms that no other one is near, after the crystal beside them."""
    large = random_particle(200, "faceted", seed=1)
    ten = np.array([s for s in np.ndindex(3, 3, 3) if sum(s) % 2 == 0])[:10] + (
        2 * np.ptp(large, axis=0) // 2 * 2
    )
    both = np.concatenate([large, ten - ten.min(axis=0) + large.max(axis=0) // 2 * 2 + 6])
    problem = tomo.build_problem(views_of(both, THREE))
    true = problem.occupancy(both)
    alone = true.copy()
    alone[problem.occupancy(both[200:])] = False
    rng = random_state(np.random.SeedSequence(1))
    state = Annealer(layout_of(problem, pieces=True), problem.table, PRIOR, alone, rng)
    assert seeded(state) > 0
    for temperature in (1.0, 0.5, 0.2):
        state.run(200 * state.n_listed, temperature)
    assert np.count_nonzero(state.occupied != true) < 3
    found = tomo.reconstruct(problem.views, runs=1, workers=1, connected=False)
    assert abs(len(found.occupied()) - len(both)) < 3


def test_cost_of_filling_a_place_without_atoms_beside_it(problem):
    few = np.linalg.norm(problem.sites - problem.sites.mean(axis=0), axis=1) < 4.0
    state = Annealer(layout_of(problem), problem.table, PRIOR, few, random_state(np.random.SeedSequence(1)))
    cost = state.cost_apart()
    alone = ~few & ~np.append(few, False)[problem.neighbours].any(axis=1)
    assert 0 < alone.sum() < (~few).sum()
    assert np.array_equal(np.isfinite(cost), alone)
    for site in np.flatnonzero(alone)[::20]:
        more = few.copy()
        more[site] = True
        assert cost[site] == pytest.approx(problem.energy(more, *PRIOR) - problem.energy(few, *PRIOR))


def test_a_worth_that_all_sites_share_takes_the_place_of_the_chemical_potential(problem):
    found = []
    for worth in (0.0, 1.0):
        site_worth = problem.sites, np.full(problem.n_sites, worth)
        valued = tomo.build_problem(problem.views, site_worth=site_worth)
        how = layout_of(valued), start_occupancy(valued), np.random.SeedSequence(1)
        found.append(calibrate(valued, *how).prior.chemical_potential)
    assert found[0] - found[1] == pytest.approx(1.0, abs=0.2)


def test_schedule_starts_where_errors_of_one_are_usual():
    particle = random_particle(300, "faceted", seed=1)
    for p, low, high in ((0.01, 4.5, 6.0), (0.2, 2.0, 2.4)):
        problem = tomo.build_problem(views_of(particle, THREE), count_error=p)
        falling = temperatures(problem, problem.table, Prior(0.3), coldest=0.1)
        assert low < falling[0] < high
        assert falling[-1] == pytest.approx(0.1, rel=0.1)
        assert (np.diff(falling) < 0).all()


def test_start_of_two_views_does_not_lean():
    particle = random_particle(3000, "faceted", seed=2)
    problem = tomo.build_problem(views_of(particle, [(1, 0, 0), (1, 1, 0)]))
    true = np.zeros(problem.n_sites, bool)
    true[SiteIndex(problem.sites)(particle)] = True
    assert (start_occupancy(problem) != true).sum() < 0.1 * len(particle)


def test_a_crystal_that_evaporates_comes_back():
    """An empty grid has no boundary to grow from: at a heat that drives all atoms off, the start returns."""
    problem = tomo.build_problem(views_of(random_particle(300, "rough", seed=4), [(1, 1, 0), (1, 0, 1)]))
    start = start_occupancy(problem)
    state = Annealer(
        layout_of(problem),
        np.zeros(len(problem.table)),
        Prior(0.6, -20.0),
        start,
        random_state(np.random.SeedSequence(0)),
    )
    state.run(200 * state.n_listed, 1.0)
    assert np.count_nonzero(state.occupied) < 0.1 * np.count_nonzero(start)
    np.testing.assert_array_equal(condensed(state, start).occupied, start)
    half = state.copy(start & (np.arange(len(start)) % 2 == 0))
    assert condensed(half, start) is half
