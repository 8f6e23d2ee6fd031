import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from tomo import Prior, build_problem
from tomo.energy.edge_weight import (
    BELOW_SPREAD,
    EDGE_WEIGHT_RANGE,
    LEAST_USUAL,
    MOST_WORTH,
    PRIOR_FIELDS,
    PRIOR_SITES,
    PRIOR_WEIGHT,
    SECOND_SPREAD,
    STATISTICS_SHAPE,
    edge_statistics,
    prior_from_statistics,
    worth_of_kinds,
)
from tomo.energy.layout import layout_of
from tomo.kernels import random_state
from tomo.phantoms import random_particle, views_of
from tomo.sampling.chain import Chain


def test_parameters_of_the_sampled_model_are_recovered():
    """Occupancies drawn with a known prior give that prior back."""
    atoms = random_particle(1000, "faceted", seed=3)
    problem = build_problem(views_of(atoms, [(1, 0, 0), (0, 1, 0), (0, 0, 1)]))
    truth = Prior(0.55, 0.4, 0.25)
    rng = random_state(np.random.SeedSequence(2))
    chain = Chain(layout_of(problem), problem.table / 4, truth, np.ones(problem.n_sites, bool), rng)
    statistics = np.zeros(STATISTICS_SHAPE)
    for _ in range(150):
        chain.sweep(5)
        statistics += data_free_statistics(chain, truth)
    found = prior_from_statistics(statistics)
    assert found.edge_weight == pytest.approx(truth.edge_weight, abs=0.08)
    assert found.chemical_potential == pytest.approx(truth.chemical_potential, abs=0.3)
    assert found.second_weight == pytest.approx(truth.second_weight, abs=0.08)


def data_free_statistics(chain, prior):
    """Sites redrawn from the prior given their neighbours, so that the counts do not enter."""
    rng = np.random.default_rng(int(chain.rng[0] % 2**32))
    around, degree = chain.around, chain.layout.degree
    field = (2 * around - degree) @ (prior.edge_weight, prior.second_weight)
    p = 1 / (1 + np.exp(-field - prior.chemical_potential))
    return edge_statistics(rng.random(len(p)) < p, around, degree)


def loss_and_slope(prior, statistics):
    """-ln of pseudo-likelihood and of what is assumed in advance, up to a constant; its derivatives."""
    terms = np.stack([*(x.ravel() for x in np.mgrid[-12:13, -6:7]), np.ones(325)])[[0, 2, 1]].astype(float)
    seen = statistics.reshape(325, 2).copy()
    for field in PRIOR_FIELDS:
        occupied = PRIOR_SITES * expit(PRIOR_WEIGHT * field)
        seen[13 * (12 + field) + 6] += PRIOR_SITES - occupied, occupied
    odds, prior = prior @ terms, np.asarray(prior)
    lack = max(LEAST_USUAL - prior[0], 0) / BELOW_SPREAD
    loss = -seen[:, 1] @ log_expit(odds) - seen[:, 0] @ log_expit(-odds)
    slope = terms @ (seen.sum(axis=1) * expit(odds) - seen[:, 1])
    drawn = np.array([-lack / BELOW_SPREAD, 0, prior[2] / SECOND_SPREAD**2])
    return loss + (lack**2 + (prior[2] / SECOND_SPREAD) ** 2) / 2, slope + drawn


fields = st.tuples(st.integers(-12, 12), st.integers(-6, 6))
sites = st.tuples(st.integers(0, 3000), st.integers(0, 3000))


@given(st.dictionaries(fields, sites, max_size=8), st.sampled_from([None, "g = f / 2", "in order"]))
@example({(-8, -4): (900, 100), (2, 1): (0, 2000), (8, 4): (1000, 3000)}, None)
@settings(max_examples=25, deadline=None)
def test_weights_are_those_of_the_largest_pseudo_likelihood(seen, kind):
    """As another optimiser finds, also where the two fields say the same, and at the limits."""
    statistics = np.zeros(STATISTICS_SHAPE)
    for (f, g), numbers in seen.items():
        g = f // 2 if kind == "g = f / 2" else g
        statistics[12 + f, 6 + g] = sorted(numbers, reverse=f < 0) if kind == "in order" else numbers
    limits = [EDGE_WEIGHT_RANGE, (None, MOST_WORTH), (0, EDGE_WEIGHT_RANGE[1])]
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2000}
    best = minimize(
        loss_and_slope, [0.5, 0, 0], (statistics,), "L-BFGS-B", jac=True, bounds=limits, options=options
    )
    found = np.array(prior_from_statistics(statistics))
    assert all((low is None or low <= v) and v <= high for v, (low, high) in zip(found, limits, strict=True))
    assert loss_and_slope(found, statistics)[0] <= best.fun + 1e-8 * (1 + best.fun)


def test_fixed_values_stay():
    statistics = np.zeros(STATISTICS_SHAPE)
    statistics[12 + 4, 6 + 2], statistics[12 - 4, 6 - 2] = (3, 60), (50, 2)
    assert prior_from_statistics(statistics, 0.7).edge_weight == 0.7
    assert prior_from_statistics(statistics, None, 0.25).chemical_potential == 0.25
    assert prior_from_statistics(statistics, 0.7, 0.25, 0.0) == Prior(0.7, 0.25)


def test_flawless_and_empty_statistics_give_finite_weights():
    perfect = np.zeros(STATISTICS_SHAPE)
    perfect[12 + 6, 6, 1] = perfect[12 - 6, 6, 0] = 1000
    assert 1 < prior_from_statistics(perfect).edge_weight < 3
    assert prior_from_statistics(np.zeros(STATISTICS_SHAPE)) == pytest.approx((0.5, 0.0, 0.0), abs=1e-6)


def test_only_many_sites_make_edges_cost_less_than_is_usual():
    """Sites that edges hardly order: a few of them may follow errors of the counts."""
    few = np.zeros(STATISTICS_SHAPE)
    few[12 + 4, 6], few[12 - 4, 6] = (4, 6), (6, 4)
    weights = [prior_from_statistics(times * few).edge_weight for times in (1, 10, 1000)]
    assert weights[0] > 0.4
    assert weights[0] > weights[1] > weights[2]
    assert weights[2] < 0.2


def test_an_atom_is_never_worth_whole_layers():
    """Atoms with 9 and 5 of 12 neighbours and vacant sites with 3 and 4, as of a plate of two layers."""
    plate = np.zeros(STATISTICS_SHAPE)
    plate[12 + 6, 6, 1], plate[12 - 2, 6 - 2, 1] = 200, 30
    plate[12 - 6, 6, 0], plate[12 - 4, 6 - 2, 0] = 200, 40
    prior = prior_from_statistics(plate)
    assert prior.chemical_potential == MOST_WORTH
    assert 0.5 < prior.edge_weight < 2


def test_second_neighbours_that_repel_are_taken_for_indifferent():
    statistics = np.zeros(STATISTICS_SHAPE)
    statistics[12 + 4, 6 - 2], statistics[12 - 4, 6 + 2] = (3, 60), (50, 2)
    assert prior_from_statistics(statistics).second_weight == 0


def coins(worth, n=4000):
    """Sites of kinds with a worth, occupied as the pseudo-likelihood says, and their neighbours."""
    rng = np.random.default_rng(4)
    around = np.stack([rng.integers(1, 12, n), rng.integers(0, 7, n)], axis=1)
    degree = np.tile(np.array([12, 6], np.int8), (n, 1))
    kind = rng.integers(0, len(worth), n)
    odds = (2 * around - degree) @ (0.6, 0.1) + worth[kind]
    return rng.random(n) < 1 / (1 + np.exp(-odds)), around, degree, kind


def test_worth_of_kinds_is_recovered_to_a_common_worth():
    worth = np.array([-2.0, 0.0, 1.5])
    found = worth_of_kinds(*coins(worth))
    assert found - found.mean() == pytest.approx(worth - worth.mean(), abs=0.3)


def test_edges_weigh_as_much_where_sites_have_a_worth_of_their_own():
    """Without it, neighbours are credited with what the kinds of sites are worth."""
    occupied, around, degree, kind = coins(np.array([-3.0, 3.0]))
    worth = np.array([-3.0, 3.0])[kind]
    statistics = edge_statistics(occupied, around, degree, worth)
    assert statistics.shape == (2, *STATISTICS_SHAPE)
    known = prior_from_statistics(statistics, site_worth=worth)
    assert known.edge_weight == pytest.approx(0.6, abs=0.05)
    assert known.chemical_potential == pytest.approx(0.0, abs=0.2)
