"""Core-shell particles: one lattice, no atoms in each other's way, planted layers that are what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from tomo import InputError, core_shell, core_shell_particle, fcc, rock_salt, zinc_blende
from tomo.grid import neighbour_table
from tomo.phantoms import one_piece

PBSE_CDSE = core_shell(rock_salt("Pb", "Se", 6.10), zinc_blende("Cd", "Se", 6.10), "Pb")
CASES = {
    "PbSe/CdSe": PBSE_CDSE,
    "CdSe/CdS": core_shell(zinc_blende("Cd", "Se", 5.95), zinc_blende("Cd", "S", 5.95), "Se"),
    "PbSe/SnTe": core_shell(rock_salt("Pb", "Se", 6.2), rock_salt("Sn", "Te", 6.2), "Pb"),
    "Au/Ag": core_shell(fcc("Au", 4.08), fcc("Ag", 4.08), "Au"),
    "PbSe": rock_salt("Pb", "Se", 6.12),
    "CdSe": zinc_blende("Cd", "Se", 6.05),
}


def partner_bonds(particle, k, j):
    """Atoms of sublattice j within 1.05 a/2 of each atom of sublattice k."""
    offsets = [np.array(s.offset) for s in particle.crystal.sublattices]
    tree = cKDTree(particle.sites[j] + offsets[j])
    return np.array([len(n) for n in tree.query_ball_point(particle.sites[k] + offsets[k], 1.05)])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", ["dot", "rod"])
def test_no_two_atoms_are_closer_than_a_bond(name, shape):
    crystal = CASES[name]
    particle = core_shell_particle(crystal, 250, 7.0, shape=shape, seed=3)
    nearest = cKDTree(particle.positions).query(particle.positions, k=2)[0][:, 1]
    shortest = {"rock_salt": 0.5, "zinc_blende": np.sqrt(3) / 4, "fcc": np.sqrt(0.5)}
    bond = (
        shortest["fcc"] if name == "Au/Ag" else shortest["rock_salt" if name[:2] == "Pb" else "zinc_blende"]
    )
    if name == "PbSe/CdSe":
        bond = shortest["zinc_blende"]
    assert nearest.min() >= bond * crystal.a - 1e-6
    assert len(particle.species) == len(particle.positions)


@given(seed=st.integers(0, 200))
@settings(max_examples=8, deadline=None)
def test_every_cation_of_the_core_has_its_six_neighbours(seed):
    particle = core_shell_particle(PBSE_CDSE, 200, 6.0, seed=seed)
    assert np.all(partner_bonds(particle, 0, 1) == 6)
    assert np.all(partner_bonds(particle, 2, 1) >= 3)
    offset = np.array(PBSE_CDSE.sublattices[2].offset)
    cation_gap = cKDTree(particle.sites[0]).query(particle.sites[2] + offset)[0]
    assert cation_gap.min() == pytest.approx(np.sqrt(11) / 2)
    assert all((sites.sum(axis=1) % 2 == 0).all() for sites in particle.sites)


@given(seed=st.integers(0, 200), islands=st.integers(0, 4))
@settings(max_examples=10, deadline=None)
def test_planted_layers_rest_on_the_core(seed, islands):
    particle = core_shell_particle(PBSE_CDSE, 300, 8.0, islands=islands, seed=seed)
    core = {tuple(s) for s in particle.sites[0].tolist()}
    assert len(particle.planted) <= islands
    for layer in particle.planted:
        assert 0.2 < layer.occupancy < 0.8
        normal = np.array(layer.normal)
        assert len(np.unique(layer.sites @ normal)) == 1
        assert {tuple(s) for s in layer.sites.tolist()} <= core
        neighbours = neighbour_table(particle.sites[0])
        rows = [particle.sites[0].tolist().index(s) for s in layer.sites.tolist()]
        below = [
            sum(
                1
                for n in neighbours[r]
                if n >= 0 and (particle.sites[0][n] - particle.sites[0][r]) @ normal < 0
            )
            for r in rows
        ]
        assert min(below) == {3: 3, 1: 4, 2: 5}[int(np.abs(normal).sum())]


def test_the_shell_surrounds_the_core_on_all_sides():
    particle = core_shell_particle(PBSE_CDSE, 300, 9.0, seed=5)
    x = particle.positions
    core = x[np.array(particle.species) == "Pb"]
    gap = np.concatenate([core.min(axis=0) - x.min(axis=0), x.max(axis=0) - core.max(axis=0)])
    assert gap.min() >= 0.6 * 9.0
    assert len(one_piece(particle.sites[1])) == len(particle.sites[1])


def test_a_rod_is_longer_and_the_same_seed_gives_the_same_particle():
    dot = core_shell_particle(PBSE_CDSE, 300, 8.0, seed=2)
    rod = core_shell_particle(PBSE_CDSE, 300, 8.0, shape="rod", aspect=2.5, seed=2)
    again = core_shell_particle(PBSE_CDSE, 300, 8.0, shape="rod", aspect=2.5, seed=2)
    assert np.ptp(rod.positions[:, 2]) > 2 * np.ptp(dot.positions[:, 2])
    assert all(np.array_equal(one, two) for one, two in zip(rod.sites, again.sites, strict=True))
    assert np.array_equal(rod.sites[0], dot.sites[0])


def test_mistakes_are_named():
    for arguments in (
        {"n_core": 10},
        {"shape": "tetrapod"},
        {"shell": 0.0},
        {"aspect": 0.5},
        {"islands": -1},
    ):
        with pytest.raises(InputError):
            core_shell_particle(PBSE_CDSE, **arguments)
