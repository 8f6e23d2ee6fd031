"""Crystals of one and of two phases, and results that hold several species."""

from typing import Any

import numpy as np
import pytest

import stemcount.simulation.elements
import tomo
import tomo.elements
from tomo.crystal import reduced_offset
from tomo.result import Companion

PBSE = tomo.rock_salt("Pb", "Se", a=6.10)
CDSE = tomo.zinc_blende("Cd", "Se", a=6.10)


class TestCoreShell:
    def test_the_shared_species_goes_on_through_core_and_shell(self) -> None:
        crystal = tomo.core_shell(PBSE, CDSE, "Pb")
        lead, selenium, cadmium = (np.array(s.offset) for s in crystal.sublattices)
        assert [s.species for s in crystal.sublattices] == ["Pb", "Se", "Cd"]
        assert np.linalg.norm(selenium - lead) == pytest.approx(1.0)  # half an edge: octahedral
        assert np.linalg.norm(np.array(reduced_offset(cadmium - selenium))) == pytest.approx(np.sqrt(0.75))

    @pytest.mark.parametrize("target", ["Pb", "Se", "Cd"])
    def test_the_target_comes_first_at_the_origin(self, target: str) -> None:
        crystal = tomo.core_shell(PBSE, CDSE, target)
        assert crystal.species == target
        assert crystal.sublattices[0].offset == (0.0, 0.0, 0.0)
        assert sorted(k for phase in crystal.phases for k in phase) == sorted(
            [0, 1, 2, next(k for k, s in enumerate(crystal.sublattices) if s.species == "Se")]
        )

    def test_phases_of_equal_structure_share_their_grids(self) -> None:
        crystal = tomo.core_shell(CDSE, tomo.zinc_blende("Cd", "S", a=6.10), "Se")
        offsets = {s.species: s.offset for s in crystal.sublattices}
        assert offsets["Se"] == offsets["S"] == (0.0, 0.0, 0.0)
        assert len(crystal.sublattices) == 3

    def test_two_metals_share_one_grid(self) -> None:
        crystal = tomo.core_shell(tomo.fcc("Au", 4.08), tomo.fcc("Ag", 4.08), "Au")
        assert [s.offset for s in crystal.sublattices] == [(0, 0, 0), (0, 0, 0)]
        assert [t.name for t in tomo.column_types((1, 1, 0), crystal)] == ["Au+Ag"]

    @pytest.mark.parametrize(
        ("core", "shell", "target", "message"),
        [
            (PBSE, tomo.zinc_blende("Cd", "Se", a=6.0), "Pb", "one lattice parameter"),
            (PBSE, CDSE, "Au", "target 'Au' is none"),
            (PBSE, tomo.zinc_blende("Cd", "S", a=6.10), "Pb", "neither a species nor a structure"),
        ],
    )
    def test_what_cannot_be_is_said(
        self, core: tomo.Crystal, shell: tomo.Crystal, target: str, message: str
    ) -> None:
        with pytest.raises(tomo.InputError, match=message):
            tomo.core_shell(core, shell, target)

    @pytest.mark.parametrize("phases", [((0, 1.5),), ((0, 3),), ((0, -1),), ((),), 3])
    def test_phases_are_numbers_of_sublattices(self, phases: object) -> None:
        sublattices = tomo.core_shell(PBSE, CDSE, "Pb").sublattices
        with pytest.raises(tomo.InputError, match="crystal: phases: expected"):
            tomo.Crystal("core_shell", 6.10, sublattices, phases)  # type: ignore[arg-type]

    @pytest.mark.parametrize("species", [3, None, "", "Au Ag", "Xx", "au", ["Au"]])
    def test_a_species_is_a_symbol(self, species: Any) -> None:
        for make in (
            lambda: tomo.fcc(species, a=4.08),
            lambda: tomo.rock_salt("Pb", species, a=6.1),
            lambda: tomo.zinc_blende(species, "Se", a=6.1),
        ):
            with pytest.raises(tomo.InputError, match="is not a chemical symbol such as 'Au'"):
                make()

    def test_two_species_differ(self) -> None:
        for make in (tomo.rock_salt, tomo.zinc_blende):
            with pytest.raises(tomo.InputError, match="names 'Pb' twice"):
                make("Pb", "Pb", a=6.1)

    def test_both_halves_of_the_program_know_the_same_elements(self) -> None:
        assert tomo.elements.SYMBOLS == stemcount.simulation.elements.SYMBOLS

    def test_column_types_of_the_seed_particle(self) -> None:
        crystal = tomo.core_shell(PBSE, CDSE, "Pb")
        assert [t.name for t in tomo.column_types((1, 1, 0), crystal)] == ["Pb", "Se", "Cd"]
        assert [t.name for t in tomo.column_types((1, 0, 0), crystal)] == ["Pb+Se", "Cd"]
        assert [t.name for t in tomo.column_types((1, 1, 1), crystal)] == ["Pb+Se+Cd"]


@pytest.mark.parametrize("shift", [(1, 1, 0), (0, -2, 2), (3, 1, -2), (-1, 0, 1)])
def test_equivalent_offsets_reduce_to_one(shift: tuple[int, int, int]) -> None:
    for offset in [(0, 0, 0), (1, 0, 0), (0.5, 0.5, 0.5), (-0.5, 0.5, 0.5)]:
        assert reduced_offset(np.array(offset) + shift) == reduced_offset(offset)


def test_companions_are_saved_and_written(tmp_path) -> None:
    crystal = tomo.core_shell(PBSE, CDSE, "Pb")
    sites = np.array([(0, 0, 0), (1, 1, 0)])
    runs = np.array([[True, True], [True, False]])
    companion = Companion("Cd", (0.5, 0.5, 0.5), sites, np.array([0.9, 0.2]), np.zeros((0, 2), bool))
    result = tomo.Reconstruction(
        sites,
        runs.mean(axis=0),
        runs,
        np.zeros(2),
        (tomo.View((1, 1, 0), sites[:1], counts=[2]),),
        "anneal",
        0,
        1.0,
        crystal,
        companions=(companion,),
    )
    again = tomo.load_reconstruction(result.save(tmp_path))
    assert again.crystal == crystal
    assert again.companions[0].species == "Cd"
    assert again.companions[0].offset == (0.5, 0.5, 0.5)
    assert again.companions[0].occupied().tolist() == [[0, 0, 0]]
    assert again.companions[0].runs.shape == (0, 2)
    lines = again.write_xyz(tmp_path / "atoms.xyz").read_text().splitlines()
    assert lines[0] == "3"
    assert [line.split()[0] for line in lines[2:]] == ["Pb", "Pb", "Cd"]
    symbols, positions, certainty = again.atoms()
    assert positions[2] == pytest.approx([1.525] * 3)
    assert certainty.tolist() == [1.0, 0.5, 0.9]
    assert symbols == ["Pb", "Pb", "Cd"]
