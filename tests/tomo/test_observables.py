import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomo import InputError
from tomo.observables import (
    FACET_NORMALS,
    coordination_numbers,
    expected_coordination,
    facet_atoms,
    facet_family,
    layers,
    number_of_atoms,
    over_runs,
    surface_atoms,
)
from tomo.phantoms import random_particle


def truncated_octahedron(a, b):
    """Sites with |h| + |k| + |l| <= a and |h|, |k|, |l| <= b."""
    g = np.arange(-a, a + 1)
    sites = np.array(np.meshgrid(g, g, g)).reshape(3, -1).T
    inside = (
        (sites.sum(axis=1) % 2 == 0) & (np.abs(sites).sum(axis=1) <= a) & (np.abs(sites).max(axis=1) <= b)
    )
    return sites[inside]


PARTICLE = truncated_octahedron(12, 8)


def test_coordination_of_a_truncated_octahedron():
    cn = coordination_numbers(PARTICLE)
    assert set(np.unique(cn)) == {6, 7, 8, 9, 12}
    assert (cn < 12).sum() == surface_atoms(PARTICLE).sum()


def test_facets_of_a_truncated_octahedron():
    """All eight {111} and six {100} faces, each with as many atoms as its opposite."""
    facet = facet_atoms(PARTICLE)
    number = np.bincount(facet[facet >= 0], minlength=len(FACET_NORMALS))
    assert len(set(number[:8])) == 1
    assert len(set(number[8:14])) == 1
    assert number[0] > number[8] > 0
    assert number[14:].sum() == 0
    cn = coordination_numbers(PARTICLE)
    assert np.all(cn[facet_family(facet) == "111"] == 9)
    assert np.all(cn[facet_family(facet) == "100"] == 8)
    outward = (PARTICLE * FACET_NORMALS[facet]).sum(axis=1)[facet >= 0]
    assert outward.min() > 0


def test_110_facet_atoms_have_coordination_7():
    g = np.arange(-8, 9)
    sites = np.array(np.meshgrid(g, g, g)).reshape(3, -1).T
    slab = sites[(sites.sum(axis=1) % 2 == 0) & (np.abs(sites[:, 0] + sites[:, 1]) <= 6)]
    facet = facet_atoms(slab)
    flat = facet_family(facet) == "110"
    assert flat.sum() > 20
    assert np.all(np.abs(slab[flat][:, 0] + slab[flat][:, 1]) == 6)


@pytest.mark.parametrize(
    ("direction", "spacing"), [((1, 1, 1), 2), ((0, 0, 2), 1), ((1, 1, 0), 1), ((3, 1, 1), 2)]
)
def test_layers_hold_all_atoms_and_flat_facets_are_complete(direction, spacing):
    found = layers(PARTICLE, direction)
    assert found.atoms.sum() == len(PARTICLE)
    assert np.all(np.diff(found.index) == spacing)
    assert np.all(found.atoms_std == 0)
    carried = found.room > 0
    assert np.all(found.completeness[carried] <= 1)
    if direction in ((1, 1, 1), (0, 0, 2)):
        assert np.allclose(found.completeness[carried], 1)


def test_half_a_top_layer_is_half_complete():
    top = PARTICLE[:, 2] == 8
    half = top & (PARTICLE[:, 1] < 0)
    found = layers(PARTICLE[~top | half], (0, 0, 1))
    assert 0.3 < found.completeness[-1] < 0.6
    assert found.completeness[-2] == 1


@given(seed=st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_sure_sites_have_sure_coordination(seed):
    atoms = random_particle(150, "rough", seed=seed)
    found = expected_coordination(atoms, np.ones(len(atoms)))
    assert np.array_equal(found.value, coordination_numbers(atoms))
    assert np.all(found.std == 0)
    # Bonds are counted from both ends.
    assert found.value.sum() % 2 == 0


def test_errors_of_the_number_of_atoms():
    rng = np.random.default_rng(0)
    certainty = rng.uniform(size=400)
    runs = rng.random((500, 400)) < certainty
    sites = np.stack([np.arange(400) * 2, np.zeros(400), np.zeros(400)], axis=1).astype(int)
    direct, drawn = number_of_atoms(certainty), over_runs(sites, runs, len)
    assert drawn.value == pytest.approx(direct.value, rel=0.02)
    assert drawn.std == pytest.approx(direct.std, rel=0.1)


def test_nothing_and_bad_input():
    assert layers(np.zeros((0, 3), int), (1, 1, 1)).atoms.shape == (0,)
    assert facet_atoms([(0, 0, 0)]).tolist() == [-1]
    for call in (
        lambda: layers(PARTICLE, (0, 0, 0)),
        lambda: layers(PARTICLE, (1, 0, 0), [1.0]),
        lambda: expected_coordination(PARTICLE, [1.0]),
        lambda: over_runs(PARTICLE, np.ones((1, len(PARTICLE))), len),
        lambda: facet_family([99]),
    ):
        with pytest.raises(InputError):
            call()
