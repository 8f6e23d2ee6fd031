"""Facets layer by layer: planted islands are found, and layers are as complete as they were made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomo import InputError, core_shell, core_shell_particle, rock_salt, zinc_blende
from tomo.observables import FACET_NORMALS, facets
from tomo.observables.facets import area_per_site, places_above
from tomo.phantoms import random_particle

CRYSTAL = core_shell(rock_salt("Pb", "Se", 6.10), zinc_blende("Cd", "Se", 6.10), "Pb")


def truncated_octahedron(a, b):
    g = np.arange(-a, a + 1)
    sites = np.array(np.meshgrid(g, g, g)).reshape(3, -1).T
    inside = (sites.sum(axis=1) % 2 == 0) & (np.abs(sites).sum(axis=1) <= a)
    return sites[inside & (np.abs(sites).max(axis=1) <= b)]


def as_set(sites):
    return {tuple(site) for site in np.asarray(sites).tolist()}


def layer_of(found, planted):
    """The listed layer that a planted one lies in."""
    facet = {f.normal: f for f in found}[planted.normal]
    index = int(planted.sites[0] @ np.array(planted.normal))
    return next(layer for layer in facet.layers if layer.index == index)


def test_a_truncated_octahedron_has_its_fourteen_facets():
    found = facets(truncated_octahedron(12, 8))
    assert sorted(f.family for f in found) == ["100"] * 6 + ["111"] * 8
    assert all(len(f.layers) == 1 and f.layers[0].completeness == 1 for f in found)
    assert not any(f.islands for f in found)
    areas = {family: {round(f.area, 6) for f in found if f.family == family} for family in ("100", "111")}
    assert len(areas["100"]) == len(areas["111"]) == 1


@pytest.mark.parametrize("n_core", [200, 350, 700])
def test_planted_islands_are_found_with_their_occupancy(n_core):
    """Two planted layers side by side widen each other's room; that may cost one of them."""
    wrong = []
    for seed in range(12):
        particle = core_shell_particle(CRYSTAL, n_core, 7.0, seed=1000 + seed)
        found = facets(particle.sites[0])
        islands = [as_set(island.sites) for facet in found for island in facet.islands]
        for planted in particle.planted:
            off = layer_of(found, planted).completeness - planted.occupancy
            wrong.append(as_set(planted.sites) not in islands or abs(off) > 0.1)
    assert len(wrong) == 24
    assert sum(wrong) <= 1


def test_an_incomplete_top_layer_is_the_share_that_is_left():
    """Half of a {111} facet's top layer taken away along a straight step."""
    whole = truncated_octahedron(16, 10)
    normal = np.array([1, 1, 1])
    top = whole @ normal == (whole @ normal).max()
    gone = top & (whole @ np.array([1, -1, 0]) > 0)
    facet = next(f for f in facets(whole[~gone]) if f.normal == (1, 1, 1))
    share = 1 - gone.sum() / top.sum()
    assert facet.layers[-1].completeness == pytest.approx(share, abs=0.1)
    assert as_set(facet.islands[0].sites) == as_set(whole[top & ~gone])


def test_uncertain_atoms_count_by_their_certainty():
    particle = core_shell_particle(CRYSTAL, 400, 7.0, seed=11)
    planted = particle.planted[0]
    certainty = np.ones(len(particle.sites[0]))
    island = [particle.sites[0].tolist().index(site) for site in planted.sites.tolist()]
    certainty[island] = 0.7
    found = facets(particle.sites[0], certainty)
    layer = layer_of(found, planted)
    assert layer.atoms == pytest.approx(0.7 * len(island))
    assert layer.atoms_std == pytest.approx(np.sqrt(0.21 * len(island)))
    facet = next(f for f in found if f.normal == planted.normal)
    assert np.allclose(facet.islands[0].certainty, 0.7)


def test_doubtful_sites_that_are_no_atoms_still_count_in_the_mean():
    block = truncated_octahedron(12, 8)
    extra = places_above(block, np.array([0, 0, 1]))
    extra = extra[extra[:, 2] == 9][:6]
    certainty = np.concatenate([np.ones(len(block)), np.full(len(extra), 0.3)])
    facet = next(f for f in facets(np.concatenate([block, extra]), certainty) if f.normal == (0, 0, 1))
    assert facet.layers[-1].atoms == pytest.approx(0.3 * len(extra))
    assert not facet.islands


@given(seed=st.integers(0, 100), kind=st.sampled_from(["faceted", "stepped", "rough", "rod"]))
@settings(max_examples=10, deadline=None)
def test_any_particle_gives_shares_between_0_and_1(seed, kind):
    atoms = random_particle(300, kind, seed=seed)
    found = facets(atoms)
    claimed = [site for facet in found for island in facet.islands for site in as_set(island.sites)]
    assert set(claimed) <= as_set(atoms)
    for facet in found:
        assert all(0 <= layer.completeness <= 1 for layer in facet.layers)
        assert np.all(np.diff([layer.index for layer in facet.layers]) > 0)


def test_facets_turn_with_the_crystal():
    atoms = core_shell_particle(CRYSTAL, 300, 7.0, seed=4).sites[0]
    turned = atoms[:, [1, 2, 0]] * np.array([1, -1, -1])
    first = {f.normal: (f.exposed, [layer.room for layer in f.layers]) for f in facets(atoms)}
    second = {f.normal: (f.exposed, [layer.room for layer in f.layers]) for f in facets(turned)}
    back = {(n[1], -n[2], -n[0]): value for n, value in first.items()}
    assert back == second


@pytest.mark.parametrize("normal", FACET_NORMALS[[0, 8, 14]].tolist())
def test_area_per_site(normal):
    """Of a layer of (a/2) h k l: {100} 2, {111} sqrt 3, {110} 2 sqrt 2."""
    assert area_per_site(normal) == pytest.approx(
        {1: 2, 3: np.sqrt(3), 2: 2 * np.sqrt(2)}[np.abs(normal).sum()]
    )


def test_nothing_and_bad_input():
    assert facets(np.zeros((0, 3), int)) == ()
    assert facets([(0, 0, 0), (1, 1, 0)]) == ()
    with pytest.raises(InputError, match="one for each site"):
        facets([(0, 0, 0)], [0.5, 0.5])
