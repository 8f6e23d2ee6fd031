"""Phantoms are crystals, and their views say what they should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tomo
from tomo.grid import grid_vector, line_keys, neighbour_table
from tomo.phantoms import (
    KINDS,
    add_vacancies,
    cut_notch,
    harden,
    one_piece,
    random_particle,
    soft_views_of,
    views_of,
)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(KINDS), st.integers(100, 2000), st.integers(0, 10_000))
def test_particles(kind, n_atoms, seed):
    sites = random_particle(n_atoms, kind, seed)
    assert 0.6 * n_atoms < len(sites) < 1.3 * n_atoms
    assert (sites.sum(axis=1) % 2 == 0).all()
    assert len(np.unique(sites, axis=0)) == len(sites)
    assert len(one_piece(sites)) == len(sites)
    np.testing.assert_array_equal(sites, random_particle(n_atoms, kind, seed))


def test_rods_are_long():
    low, *_, high = sorted(np.ptp(random_particle(3000, "rod", seed=1), axis=0))
    assert high > 2.5 * low


def test_rough_particles_are_rougher():
    def low_coordinated(kind):
        particles = [random_particle(1000, kind, seed) for seed in range(4)]
        return sum(int(((neighbour_table(p) >= 0).sum(axis=1) <= 5).sum()) for p in particles)

    assert low_coordinated("rough") > 2 * low_coordinated("faceted")


def test_vacancies_lie_inside():
    solid = random_particle(500, "faceted", seed=3)
    holed = add_vacancies(solid, np.random.default_rng(0), 4)
    gone = {tuple(s) for s in solid.tolist()} - {tuple(s) for s in holed.tolist()}
    assert len(gone) == 4


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(-3, 3)] * 3).filter(any))
def test_lines_partition_the_crystal(axis):
    sites = random_particle(200, "faceted", seed=1)
    (view,) = views_of(sites, [axis])
    assert view.counts.sum() == len(sites)
    t = grid_vector(axis)
    np.testing.assert_array_equal(line_keys(sites, axis), line_keys(sites + 3 * t, axis))


def test_errors_are_of_one_in_the_share_asked_for():
    sites = random_particle(3000, "faceted", seed=1)
    (true,) = views_of(sites, [(1, 0, 0)])
    off = np.concatenate(
        [views_of(sites, [(1, 0, 0)], 0.3, seed)[0].counts - true.counts for seed in range(20)]
    )
    assert set(np.unique(off)) == {-1, 0, 1}
    assert np.mean(off != 0) == pytest.approx(0.3, abs=0.03)
    assert np.mean(off) == pytest.approx(0, abs=0.02)


def test_soft_views():
    sites = random_particle(500, "faceted", seed=1)
    (sharp,), (true,) = soft_views_of(sites, [(1, 1, 0)], 0.05), views_of(sites, [(1, 1, 0)])
    np.testing.assert_array_equal(sharp.best_counts, true.counts)
    np.testing.assert_array_equal(harden(sharp).counts, true.counts)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_particle(500, "cube"), "kind"),
        (lambda: random_particle(5), "n_atoms"),
        (lambda: views_of([(0, 0, 0)], [(1, 0, 0)], 1.5), "error_fraction"),
        (lambda: soft_views_of([(0, 0, 0)], [(1, 0, 0)], 0), "width"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(tomo.InputError, match=message):
        call()


def test_one_atom_has_no_surface_to_be_cut_into():
    rng = np.random.default_rng(0)
    assert cut_notch([(0, 0, 0)], rng).tolist() == [[0, 0, 0]]
