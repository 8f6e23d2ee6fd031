"""How a chain is cooled, and what of the sites' own worth reaches the prior that is learned."""

from types import SimpleNamespace

import numpy as np
import pytest

from tomo import ChainSchedule, InputError, build_problem, sample_posterior
from tomo.energy.prior import Prior
from tomo.phantoms import random_particle, views_of
from tomo.sampling.job import _cool


def test_all_costs_cool_together_and_edges_keep_the_crystal_solid():
    table, prior = np.array([1.0, 3.0]), Prior(0.8, 0.4, 0.2)
    costs, done = [], []
    chain = SimpleNamespace(
        table=table,
        prior=prior,
        set_costs=lambda *given: costs.append(given),
        sweep=lambda n, hot: done.append(n),
        tidy=lambda: done.append("tidy"),
    )
    _cool(chain, 0.25, ChainSchedule(cooling=3, cooling_sweeps=7))
    assert done == [7, 7, 7, "tidy"]
    *cooling, last = costs
    np.testing.assert_allclose([beta for *_, beta in cooling], [0.25, 0.5, 1.0])  # what sites are worth, too
    np.testing.assert_allclose([scaled for scaled, *_ in cooling], [table / 4, table / 2, table])
    priors = [(0.3, 0.1, 0.075), (0.4, 0.2, 0.1), (0.8, 0.4, 0.2)]  # at 0.25 x 0.8 the crystal would melt
    np.testing.assert_allclose([weights for _, weights, _ in cooling], priors)
    assert last == (table, prior)


def test_the_learned_worth_of_an_atom_is_beside_that_of_its_site():
    """What all sites are worth alike is as much less for the prior to learn; the crystals stay the same."""
    atoms = random_particle(200, "rough", seed=5)
    views = views_of(atoms, [(1, 0, 0), (0, 1, 0), (1, 1, 0)], 0.2, seed=1)
    schedule = ChainSchedule(estimates=12, rounds=1, burn_in=20, measurements=20)
    learned = []
    for worth in (0.0, 1.5):
        problem = build_problem(views, strict=False)
        problem = build_problem(
            views, strict=False, site_worth=(problem.sites, np.full(problem.n_sites, worth))
        )
        learned.append(sample_posterior(problem, chains=2, seed=3, schedule=schedule).prior)
    assert learned[1].chemical_potential == pytest.approx(learned[0].chemical_potential - 1.5, abs=0.3)
    assert learned[1].edge_weight == pytest.approx(learned[0].edge_weight, abs=0.15)


@pytest.mark.parametrize(("field", "value"), [("measurements", 3), ("rounds", 0), ("cooling", 1.5)])
def test_a_schedule_that_measures_nothing_is_refused(field, value):
    with pytest.raises(InputError, match=f"schedule.{field}"):
        ChainSchedule(**{field: value})
