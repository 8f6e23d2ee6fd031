"""Which sites moves start from, whatever moves were made, and where other species take places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numba import njit

import tomo
from tomo.annealing.anneal import Annealer
from tomo.energy.layout import layout_of
from tomo.energy.prior import Prior
from tomo.grid import NEIGHBOUR_VECTORS, SiteIndex
from tomo.kernels import random_state
from tomo.phantom_views import views_of
from tomo.phantoms import random_particle
from tomo.sampling.chain import Chain
from tomo.sampling.moves import _listed_change


@njit
def change_told(site, layout, occupied, gap):
    """`_listed_change` for Python, which it has no wrapper for."""
    return _listed_change(site, layout, occupied, gap)


PRIOR = Prior(0.7, 0.5, 0.2)
THREE = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]


def some_problem(with_excluded: bool) -> tuple[tomo.problem.Problem, np.ndarray]:
    """A rough particle whose counts leave room around it, a fifth of its candidates taken by others."""
    particle = random_particle(150, "rough", seed=2)
    near = np.unique((particle[:, None] + NEIGHBOUR_VECTORS).reshape(-1, 3), axis=0)
    views = [
        replace(view, counts=np.maximum(np.rint(tomo.reproject(particle, view)).astype(int), 1))
        for view in views_of(near, THREE)
    ]
    taken = near[np.random.default_rng(3).random(len(near)) < 0.2] if with_excluded else None
    return tomo.build_problem(views, strict=False, excluded_sites=taken), particle


def surroundings(problem: tomo.problem.Problem, occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each site has an occupied neighbour, and a vacant one: any place that holds no atom."""
    atom = SiteIndex(problem.sites[occupied].astype(np.int64))
    sites = problem.sites.astype(np.int64)
    filled = np.stack([atom(sites + step) >= 0 for step in NEIGHBOUR_VECTORS], axis=1)
    return filled.any(axis=1), ~filled.all(axis=1)


def listed(state: Annealer | Chain) -> np.ndarray:
    """The sites in the list of a state, all of whose slots must point at them."""
    start, number = state.layout.block_start, state.state.n_listed
    rows = np.concatenate([state.state.listed[a : a + n] for a, n in zip(start[:-1], number, strict=True)])
    place = np.concatenate([np.arange(a, a + n) for a, n in zip(start[:-1], number, strict=True)])
    assert np.array_equal(state.state.slot[rows], place)
    assert np.count_nonzero(state.state.slot[:-1] >= 0) == len(rows)
    return np.sort(rows)


@pytest.mark.parametrize("with_excluded", [False, True])
@pytest.mark.parametrize("vacancies", [False, True])
@pytest.mark.parametrize("kind", [Annealer, Chain])
def test_the_list_is_what_its_definition_says_after_any_moves(kind, vacancies, with_excluded):
    problem, particle = some_problem(with_excluded)
    layout = layout_of(problem, vacancies=vacancies)
    occupied = problem.occupancy(particle[SiteIndex(problem.sites.astype(np.int64))(particle) >= 0])
    state = kind(layout, problem.table, PRIOR, occupied, random_state(np.random.SeedSequence(1)))
    rng = np.random.default_rng(4)
    for round_of_moves in range(40):
        if round_of_moves % 2:
            state.run(300, 1.5) if kind is Annealer else state.sweep(1)
        for site in rng.integers(problem.n_sites, size=20):
            if kind is Chain:
                before, told = state.n_listed, change_told(site, state.layout, *state.state[:2])
                state.flip(int(site))
                assert state.n_listed - before == told
            else:
                state.flip(int(site))
        has_atom, has_vacancy = surroundings(problem, state.occupied)
        if kind is Chain:
            expected = has_atom & has_vacancy
        else:
            expected = np.where(state.occupied, has_vacancy | vacancies, has_atom)
        np.testing.assert_array_equal(listed(state), np.flatnonzero(expected))


def test_without_excluded_places_no_site_is_opened():
    problem, _ = some_problem(False)
    assert problem.opened is None
    assert not layout_of(problem).opened.any()
