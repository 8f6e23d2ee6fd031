"""The Markov chain against the enumeration of all occupancies of small problems."""

import numpy as np
import pytest
from numba import njit

from tomo import Prior, View, build_problem
from tomo.energy.layout import layout_of
from tomo.grid import NEIGHBOUR_VECTORS
from tomo.kernels import below, random_bits, random_state, unit
from tomo.phantoms import random_particle, views_of
from tomo.sampling.chain import Chain
from tomo.sampling.jumps import NO_JUMPS, learn_jumps
from tomo.sampling.moves import _try_several

AXES = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
CUBIC = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


def small_problem(unseen=False, excluded=False, axes=CUBIC):
    """A site and its neighbours in views with random preferences for counts; 13 candidates, or 11."""
    sites = np.concatenate([[(0, 0, 0)], NEIGHBOUR_VECTORS])
    rng = np.random.default_rng(5)
    views = []
    for view in views_of(sites, axes):
        cost = rng.uniform(0, 1.5, size=(view.n_columns, 6))
        columns = view.column_sites
        if unseen and view.name == "[100]":
            views.append(
                View(view.zone_axis, columns[1:], log_likelihood=-cost[1:], unseen_sites=columns[:1])
            )
        else:
            views.append(View(view.zone_axis, columns, log_likelihood=-cost))
    return build_problem(views, strict=False, excluded_sites=NEIGHBOUR_VECTORS[[0, 5]] if excluded else None)


def chain_of(problem, prior, start, vacancies=False, seed=1):
    rng = random_state(np.random.SeedSequence(seed))
    return Chain(layout_of(problem, vacancies), problem.table, prior, start, rng)


def enumerated(problem, prior, vacancies):
    """Every allowed occupancy, its probability, and the number of its sites that moves start from."""
    n = problem.n_sites
    states = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    padded = np.concatenate([states, np.zeros((len(states), 2), int)], axis=1)
    around = padded[:, problem.neighbours].sum(axis=2)
    degree = (problem.neighbours != -2).sum(axis=1)
    enclosed = around == degree
    if problem.opened is not None:  # an excluded place is a vacant neighbour
        enclosed &= ~problem.opened
    listed = ((around > 0) & ~enclosed).sum(axis=1)
    holes = ((states == 0) & enclosed).any(axis=1)
    allowed = (listed > 0) & (vacancies | ~holes)
    states = states[allowed].astype(bool)
    weight = np.exp(-np.array([problem.energy(s, *prior) for s in states]))
    return states, weight / weight.sum(), listed[allowed]


@pytest.mark.parametrize(
    ("vacancies", "unseen", "excluded", "axes"),
    [
        (True, False, False, CUBIC),
        (False, False, False, CUBIC),
        (False, True, False, CUBIC),
        (True, False, True, CUBIC),
        (False, False, True, CUBIC),
        (True, False, False, CUBIC[:2]),
        (False, False, False, [(1, 1, 0), (1, 0, 1)]),
    ],
)
def test_chain_visits_occupancies_with_their_probabilities(vacancies, unseen, excluded, axes):
    problem = small_problem(unseen, excluded, axes)
    prior = Prior(0.12, 0.2, 0.07)
    states, probability, _ = enumerated(problem, prior, vacancies)
    chain = chain_of(problem, prior, states[-1], vacancies, seed=3)
    draws = np.zeros(problem.n_sites)
    pairs = np.zeros((problem.n_sites, problem.n_sites))
    certainty = np.zeros(problem.n_sites)
    n = 20_000
    for _ in range(n):
        chain.run(40)
        state = chain.occupied.astype(float)
        draws += state
        pairs += np.outer(state, state)
    expected = probability @ states
    assert draws / n == pytest.approx(expected, abs=0.02)
    assert pairs / n == pytest.approx((states.T * probability) @ states, abs=0.02)
    if vacancies:
        for _ in range(n // 4):
            chain.run(40)
            chain.measure(certainty)
        assert certainty / (n // 4) == pytest.approx(expected, abs=0.02)


def test_sites_of_their_own_worth_are_visited_as_often_as_they_are_worth():
    """Cooled, too: what is left of the worth at a higher temperature is all of it at the end."""
    plain, prior = small_problem(), Prior(0.12, 0.2, 0.07)
    worth = np.random.default_rng(8).normal(0, 1.5, plain.n_sites)
    problem = build_problem(plain.views, strict=False, site_worth=(plain.sites, worth))
    states, probability, _ = enumerated(problem, prior, vacancies=True)
    chain = chain_of(problem, prior, states[-1], vacancies=True, seed=3)
    draws, n = np.zeros(problem.n_sites), 10_000
    for beta in (0.5, 1.0):
        chain.set_costs(beta * problem.table, Prior(*(beta * value for value in prior)), beta)
        hot = probability**beta @ states / np.sum(probability**beta)
        draws[:] = 0
        for _ in range(n):
            chain.run(40)
            draws += chain.occupied
        assert draws / n == pytest.approx(hot, abs=0.03)
    assert chain.energy() == pytest.approx(problem.energy(chain.occupied, *prior))
    quenched = []
    for _ in range(5):  # an eighth of the temperature is left
        chain.run(40)
        quenched.append(chain.quenched())
    energy, lowest = min(quenched, key=lambda found: found[0])
    assert energy == pytest.approx(problem.energy(lowest, *prior))
    assert np.array_equal(lowest, states[probability.argmax()])


@njit  # not kept on disk, where it would outlive the move that it calls
def mean_listed(layout, state, prior, proposals, rng):
    """Mean number of listed sites under exchanges of neighbours alone."""
    move, total = np.zeros(4, np.int64), 0
    for _ in range(proposals):
        i = np.int64(state.listed[below(random_bits(rng), state.n_listed[0])])
        j = np.int64(layout.neighbours[i, below(random_bits(rng), 12)])
        if j < len(layout.degree) and state.occupied[j] != state.occupied[i] and state.slot[j] >= 0:
            move[0], move[1] = (i, j) if state.occupied[i] else (j, i)
            _try_several(move, 2, unit(random_bits(rng)), layout, state, prior)
        total += state.n_listed[0]
    return total / proposals


def test_moves_of_several_sites_know_from_how_many_they_start():
    """Without the factor B / B' of Hastings they would draw occupancies in proportion to B exp(-E)."""
    problem, prior = small_problem(), Prior(0.12, 0.2, 0.07)
    states, probability, listed = enumerated(problem, prior, vacancies=True)
    four = states.sum(axis=1) == 4  # exchanges keep the number of atoms
    share, sites = probability[four] / probability[four].sum(), listed[four]
    assert (share * sites) @ sites / (share @ sites) > share @ sites + 0.08
    chain = chain_of(problem, prior, states[four][0], vacancies=True)
    found = mean_listed(chain.layout, chain.state, chain.prior, 3_000_000, chain.rng)
    assert found == pytest.approx(share @ sites, abs=0.02)


def test_bookkeeping_survives_many_moves():
    problem = build_problem(views_of(random_particle(300, "rough", seed=2), AXES, 0.3, seed=1))
    prior = Prior(0.4, 0.5, 0.1)
    chain = chain_of(problem, prior, np.ones(problem.n_sites, bool))
    chain.set_costs(0.5 * problem.table, Prior(*(0.5 * value for value in prior)))
    assert chain.run(200_000) > 1000
    chain.set_costs(problem.table, prior)
    fresh = chain.copy(chain.occupied)
    assert np.array_equal(fresh.around, chain.around)
    assert np.array_equal(fresh.state.place, chain.state.place)
    assert np.array_equal(fresh.state.marginal, chain.state.marginal)
    assert set(chain.listed) == set(fresh.listed)
    assert np.array_equal(chain.state.slot[chain.listed], np.arange(chain.n_listed))
    assert np.array_equal(chain.counts, problem.line_counts(chain.occupied))
    assert chain.energy() == pytest.approx(problem.energy(chain.occupied, *prior))


def test_tidy_removes_what_floats_and_fills_holes():
    atoms = random_particle(300, "faceted", seed=1)
    problem = build_problem(views_of(atoms, [(1, 0, 0), (0, 1, 0)]))
    middle = np.abs(problem.sites - problem.sites.mean(axis=0)).sum(axis=1)
    start = middle < 9
    start[np.argmin(middle)] = False
    start[np.argmax(middle)] = True
    expected = middle < 9
    chain = chain_of(problem, Prior(0.0), start)
    chain.tidy()
    assert np.array_equal(chain.occupied, expected)
    allowed = chain_of(problem, Prior(0.0), start, vacancies=True)
    allowed.tidy()
    assert allowed.occupied.sum() == expected.sum() - 1


def test_jumps_leave_the_posterior_as_it_is():
    """Modes of a small problem as jumps: with them alone on top of few moves, the marginals stay right."""
    problem = small_problem()
    prior = Prior(0.12, 0.2, 0.07)
    states, probability, _ = enumerated(problem, prior, vacancies=True)
    chain = chain_of(problem, prior, states[-1], vacancies=True, seed=3)
    rng = np.random.default_rng(1)
    modes = [(float(i), states[j]) for i, j in enumerate(rng.integers(len(states), size=12))]
    jumps = learn_jumps(chain.layout, modes, NO_JUMPS)
    assert len(jumps.start) > 3
    assert len(learn_jumps(chain.layout, modes, jumps).start) == len(jumps.start)
    draws, accepted, n = np.zeros(problem.n_sites), 0, 20_000
    for _ in range(n):
        chain.run(20)
        accepted += chain.jump(jumps)
        draws += chain.occupied
    assert accepted > 200
    assert draws / n == pytest.approx(probability @ states, abs=0.02)
