"""A result with few atoms: what a certainty of one half means, positions in A, and the file that leaves."""

from types import SimpleNamespace

import numpy as np
import pytest

import tomo
from tomo.ensemble import _fraction_of_runs
from tomo.result import Companion, Reconstruction

SITES = np.array([(0, 0, 0), (1, 1, 0), (2, 0, 0)])


@pytest.fixture
def result():
    """Three sites of certainty 1, one half and a little less, and one Se between them."""
    companion = Companion("Se", (1.0, 0.0, 0.0), SITES[:1], np.array([0.9]), np.zeros((0, 1), bool))
    views = (tomo.View((0, 0, 1), SITES, counts=np.ones(3, int)),)
    runs, energy = np.ones((2, 3), bool), np.zeros(2)
    crystal = tomo.rock_salt("Pb", "Se", 6.0)
    certainty = np.array([1.0, 0.5, 0.499])
    return Reconstruction(
        SITES, certainty, runs, energy, views, "anneal", 0, 0.7, crystal, companions=(companion,)
    )


def test_a_site_of_certainty_one_half_holds_an_atom(result):
    assert result.occupied().tolist() == SITES[:2].tolist()
    assert result.occupied(0.51).tolist() == SITES[:1].tolist()
    assert result.companions[0].occupied(0.9).tolist() == SITES[:1].tolist()


def test_atoms_stand_at_half_lattice_parameters(result):
    symbols, positions, certainty = result.atoms()
    assert symbols == ["Pb", "Pb", "Se"]
    assert positions.tolist() == [[0, 0, 0], [3, 3, 0], [3, 0, 0]]
    assert certainty.tolist() == [1.0, 0.5, 0.9]


def test_the_xyz_file_has_one_line_for_each_atom_in_angstrom(result, tmp_path):
    lines = result.write_xyz(tmp_path / "atoms.xyz").read_text().splitlines()
    assert lines[0] == "3"
    assert "Properties=species:S:1:pos:R:3:certainty:R:1" in lines[1]
    assert [line.split() for line in lines[2:]] == [
        ["Pb", "0.000000", "0.000000", "0.000000", "1.000000"],
        ["Pb", "3.000000", "3.000000", "0.000000", "0.500000"],
        ["Se", "3.000000", "0.000000", "0.000000", "0.900000"],
    ]


def test_the_run_of_the_lowest_energy_decides_a_tie():
    """Two runs with a crystal each: the sites of both together would hold too many atoms."""
    occupied = np.array([[True, False, True], [False, True, True]])
    share = _fraction_of_runs([SimpleNamespace(voted_energy=e) for e in (2.0, 1.0)], occupied)
    assert (share >= 0.5).tolist() == [False, True, True]
    assert share == pytest.approx([0.5, 0.5, 1.0], abs=1e-6)
    assert (share.astype(np.float32) >= 0.5).tolist() == [False, True, True]
