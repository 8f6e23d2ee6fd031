"""All species in one table, and the atom viewer's controls for them, for cuts and for single runs."""

import numpy as np
import pytest

import viewers
from viewers.atom_data import Selection, atom_properties, run_deviation, visible
from viewers.atom_table import atom_table
from viewers.picked import describe_atom


def test_the_counted_species_come_first(core_shell_result):
    table = atom_table(core_shell_result)
    n = len(core_shell_result.sites)
    np.testing.assert_array_equal(table.index[:n], core_shell_result.sites)
    assert set(table.species[:n]) == {"Pb"}
    assert set(table.species[n:]) == {"Se", "Cd"}
    assert table.runs.shape == (4, len(table))
    symbols, positions, certainty = core_shell_result.atoms(0.5)
    sure = table.certainty >= 0.5
    np.testing.assert_allclose(table.positions[sure], positions)
    np.testing.assert_array_equal(table.certainty[sure], certainty)
    assert table.species[sure].tolist() == symbols


def test_companions_without_runs_of_their_own_have_their_certain_sites(core_shell_result):
    from dataclasses import replace

    bare = tuple(replace(c, runs=c.runs[:0]) for c in core_shell_result.companions)
    table = atom_table(replace(core_shell_result, companions=bare))
    others = table.sublattice > 0
    for run in table.runs:
        np.testing.assert_array_equal(run[others], table.certainty[others] >= 0.5)


@pytest.mark.parametrize("normal", [(1, 1, 1), (2, -1, 0), (0.3, 0.2, -0.9)])
def test_nothing_lies_beyond_a_cut(core_shell_result, normal):
    table = atom_table(core_shell_result)
    unit = np.array(normal) / np.linalg.norm(normal)
    shown = visible(table, Selection(cut=normal, distance=2.5, hide_interior=False))
    assert (table.positions[shown] @ unit).max() <= 2.5 + 1e-6
    sure = table.certainty >= 0.5
    np.testing.assert_array_equal(shown[sure], (table.positions[sure] @ unit) <= 2.5 + 1e-6)


def test_hidden_atoms_could_not_be_seen_also_behind_a_cut(core_shell_result):
    table = atom_table(core_shell_result)
    whole = visible(table, Selection())
    cut = visible(table, Selection(cut=(1.0, 0.0, 0.0), distance=0.0))
    near = np.abs(table.positions[:, 0]) < 1.0
    opened = (table.certainty >= 0.5) & near & (table.positions[:, 0] <= 0)
    assert cut[opened].all()  # the cut shows what lay inside
    assert not whole[opened].all()


def test_a_run_is_compared_with_all_runs(result):
    table = atom_table(result)
    deviation = run_deviation(table, 2)
    np.testing.assert_allclose(deviation, result.runs[2] - result.certainty)
    assert not run_deviation(table, None).any()
    alone = visible(table, Selection(run=2, hide_interior=False))
    both = visible(table, Selection(run=2, missing=True, hide_interior=False))
    np.testing.assert_array_equal(alone, result.runs[2])
    np.testing.assert_array_equal(both, result.runs[2] | (result.certainty >= 0.5))
    np.testing.assert_allclose(atom_properties(table)["between runs"], result.runs.std(axis=0), atol=1e-12)


def test_an_atom_of_a_companion_is_described(core_shell_result):
    table = atom_table(core_shell_result)
    index = int(np.flatnonzero(table.species == "Cd")[0])
    text = describe_atom(core_shell_result, table, index)
    assert text.startswith("Cd, site (")
    assert "of 4 runs" in text


@pytest.fixture(scope="module")
def core_viewer(core_shell_result):
    pytest.importorskip("napari")
    viewer = viewers.view_atoms(core_shell_result, show=False)
    viewer.screenshot(canvas_only=False, flash=False)
    yield viewer
    viewer.close()


@pytest.fixture
def panel(core_viewer):
    controls = next(iter(core_viewer.window.dock_widgets.values())).controls
    yield controls
    for box in controls.species.values():
        box.setChecked(True)
    controls.cutting.setChecked(False)
    controls.run.setValue(0)
    controls.colour.setCurrentText("species")
    controls.normal.setCurrentIndex(0)


def test_species_have_their_colours(panel, core_viewer, core_shell_result):
    from viewers.species import species_colours

    colours = species_colours(core_shell_result)
    assert panel.colour.currentText() == "species"
    shown = np.asarray(panel.layer.features["species"])
    for name, colour in colours.items():
        rgb = panel.layer.face_color[shown == name, :3]
        assert len(rgb)
        np.testing.assert_allclose(rgb, np.tile(colour, (len(rgb), 1)), atol=1e-6)
    assert not panel.layer.face_colorbar.visible
    panel.colour.setCurrentText("certainty")
    assert panel.layer.face_colorbar.visible
    assert len(np.unique(panel.layer.face_color, axis=0)) > 5


def test_species_can_be_taken_away(panel):
    panel.species["Cd"].setChecked(False)
    panel.species["Se"].setChecked(False)
    assert set(panel.layer.features["species"]) == {"Pb"}
    panel.species["Pb"].setChecked(False)  # nothing left: no mistake, no atoms
    assert len(panel.layer.data) == 0
    panel.colour.setCurrentText("coordination")
    panel.species["Pb"].setChecked(True)
    assert len(panel.layer.data) > 0
    np.testing.assert_array_equal(
        panel.layer.features["coordination"], panel.properties["coordination"][panel.drawn]
    )


def test_the_cut_faces_the_eye_and_follows_written_planes(panel, core_viewer):
    from viewers.atoms import look_along

    look_along(core_viewer, (3, 2, 1))
    everything = len(panel.layer.data)
    panel.face.click()
    towards_eye = -np.array([3.0, 2.0, 1.0]) / np.sqrt(14)
    np.testing.assert_allclose(panel.cut_normal, towards_eye, atol=1e-5)
    assert (panel.layer.data @ towards_eye).max() <= panel.cut.value() + 1e-3
    assert len(panel.layer.data) < everything
    panel.normal.setCurrentText("1 -1 1")
    np.testing.assert_allclose(panel.cut_normal, np.array([1, -1, 1]) / np.sqrt(3), atol=1e-12)
    panel.cut.setValue(panel.cut.minimum())
    assert len(panel.layer.data) == 0
    panel.cut.setValue(panel.cut.maximum())
    assert len(panel.layer.data) == everything


def test_a_run_against_the_others_in_colour(panel):
    panel.colour.setCurrentText("this run")
    panel.run.setValue(2)
    values = np.asarray(panel.layer.features["this run"])
    assert values.min() < 0 < values.max()
    np.testing.assert_allclose(values, (panel.table.runs[1] - panel.table.certainty)[panel.drawn])
    assert tuple(panel.layer.face_contrast_limits) == (-1.0, 1.0)
