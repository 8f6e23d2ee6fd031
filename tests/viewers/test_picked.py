"""An atom under a click, the images beside the atoms, and counts that follow what is shown."""

import json

import numpy as np
import pytest

import stemcount
import tomo
import viewers
from tomo.grid import line_keys
from viewers.atom_table import atom_table
from viewers.atoms import count_layer_data
from viewers.picked import describe_atom, describe_distance

pytest.importorskip("napari")


def index_of(result, site) -> int:
    return int(np.flatnonzero(np.all(result.sites == site, axis=1))[0])


class TestWords:
    def test_place_certainty_and_neighbours(self, result):
        lines = describe_atom(result, atom_table(result), index_of(result, (1, 1, -2))).splitlines()
        assert lines[:3] == [
            "site (1 1 -2)",
            "x 2.04, y 2.04, z −4.08 Å",
            "certainty 1.000, in 10 of 10 runs",
        ]
        assert lines[3].startswith("12 neighbours at 2.88 Å, certainties from ")

    def test_its_column_in_every_image(self, result):
        table = atom_table(result)
        lines = describe_atom(result, table, index_of(result, (0, 0, 0)), 0.5).splitlines()[4:]
        assert len(lines) == len(result.views)
        for line, view in zip(lines, result.views, strict=True):
            atoms = result.occupied(0.5)
            on_line = line_keys(atoms, view.zone_axis) == line_keys([(0, 0, 0)], view.zone_axis)[0]
            before = np.sum(atoms[on_line] @ np.asarray(view.zone_axis) < 0)
            assert f"{before + 1}th of {on_line.sum()} atoms" in line
            column = line_keys(view.column_sites, view.zone_axis) == line_keys([(0, 0, 0)], view.zone_axis)[0]
            assert line.endswith(f"{view.counts[column][0]} measured")

    def test_no_column_and_no_count(self, result):
        view = tomo.View((0, 0, 1), [(0, 0, 0)], counts=[-1])
        import dataclasses

        other = dataclasses.replace(result, views=(view,))
        table = atom_table(other)
        assert describe_atom(other, table, index_of(result, (0, 0, 0))).endswith("not counted")
        assert describe_atom(other, table, index_of(result, (1, 1, 0))).endswith("no column there")

    def test_atoms_of_other_species_have_no_counted_column(self, core_shell_result):
        table = atom_table(core_shell_result)
        index = int(np.flatnonzero(table.species == "Cd")[0])
        assert "measured" not in describe_atom(core_shell_result, table, index)

    def test_distance(self, result):
        text = describe_distance(
            result, atom_table(result), index_of(result, (0, 0, 0)), index_of(result, (2, 0, 0))
        )
        assert text == "4.08 Å from the one before, site (2 0 0)"


class TestDiscs:
    def test_of_one_run(self, result):
        view = result.views[0]
        _, properties, _ = count_layer_data(result, view, run=3)
        wanted = tomo.reproject(result.sites[result.runs[3]], view) - view.counts
        np.testing.assert_array_equal(properties["features"]["difference"], wanted)

    def test_none_where_nothing_was_measured_nor_is(self, result):
        full = result.views[0]
        sites = np.concatenate([full.column_sites, [(40, 40, 0), (42, 40, 0)]])
        view = tomo.View(full.zone_axis, sites, counts=[*full.counts, 0, 2])
        positions, properties, _ = count_layer_data(result, view)
        assert len(positions) == full.n_columns + 1
        assert properties["features"]["label"][-1] == "2−2"


@pytest.fixture(scope="module")
def window(result, columns, tmp_path_factory):
    """A result folder with the image along [110] in a window, laid out as on a screen."""
    folder = tmp_path_factory.mktemp("shown")
    result.save(folder)
    (folder / "[110]").mkdir()
    rows = ["x,y,height,width,cross_section,cross_section_std,count,count_probability,h,k,l"]
    view = result.views[2]
    sites = [",".join(map(str, site)) for site in view.column_sites]
    sites[0] = ",,"  # a column off the lattice
    for i, site in enumerate(sites):
        rows.append(
            f"{columns.fit.x[i]},{columns.fit.y[i]},1,0.7,{columns.fit.cross_section[i]},0.01,"
            f"{columns.counts.count[i]},0.98,{site}"
        )
    (folder / "[110]" / "columns.csv").write_text("\n".join(rows) + "\n")
    stemcount.save_image(columns.image, folder / "[110]" / "image.hspy")
    (folder / "summary.json").write_text(json.dumps({"images": {"[110]": {}}}))
    viewer = viewers.view_result(folder, show=False)
    viewer.screenshot(canvas_only=False, flash=False)
    yield viewer
    viewer.close()


@pytest.fixture
def panel(window):
    panel = next(iter(window.window.dock_widgets.values())).controls
    yield panel
    panel.threshold.setValue(0.5)
    panel.run.setValue(0)
    panel.overlaid.setCurrentIndex(0)
    choose(panel, "atoms")


def choose(panel, name: str) -> None:
    index = panel.showing.findText(name)
    panel.showing.setCurrentIndex(index)
    panel.showing.activated.emit(index)


def canvas(viewer) -> np.ndarray:
    from qtpy.QtWidgets import QApplication

    for _ in range(5):
        QApplication.processEvents()
    viewer.screenshot(canvas_only=True, flash=False)
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


def test_clicked_atoms_have_rings(panel, window):
    in_front = panel.positions @ np.asarray(window.scene.camera.view_direction)
    first, second = np.argsort(np.where(panel.drawn, in_front, np.inf))[:2]

    def magenta() -> int:
        red, green, blue = np.moveaxis(canvas(window), 2, 0)
        return int(np.sum((red > 100) & (green < 0.5 * red) & (blue > 0.4 * red)))

    before = magenta()
    panel.describe(int(first))
    one = magenta()
    panel.describe(int(second))
    assert before + 20 < one < magenta()
    assert "from the one before" in panel.picked.text()
    panel.threshold.setValue(0.6)  # drawn anew, the rings stay
    assert panel.layer.border_width.astype(bool).sum() == 2


def test_the_column_of_a_clicked_atom_is_selected_in_its_image(panel, window, result):
    view = result.views[2]
    site = result.sites[result.certainty == 1.0][0]
    panel.describe(index_of(result, site))
    (chosen,) = window.layers["[110] columns"].selected_data
    on_line = line_keys(view.column_sites, view.zone_axis) == line_keys([site], view.zone_axis)[0]
    assert on_line[chosen]
    choose(panel, "[110]")
    columns = window.layers["[110] columns"]
    assert np.flatnonzero(columns.border_width).tolist() == [chosen]
    with_ring = canvas(window)
    columns.border_width, columns.selected_data = 0.0, set()
    changed = np.ptp(with_ring - canvas(window), axis=2) > 60
    disc = float(columns.size[0]) * window.scene.camera.zoom
    assert np.ptp(np.nonzero(changed)[0]) > 0.9 * disc
    assert changed.sum() > 0.3 * disc**2  # no thin line


def test_an_image_is_shown_whole_and_alone_and_the_atoms_again_as_before(panel, window):
    from viewers.atoms import look_along

    look_along(window, (1, 1, 1))
    window.scene.camera.zoom *= 1.3
    seen = window.scene.camera.zoom, window.scene.camera.angles
    assert [panel.showing.itemText(i) for i in range(panel.showing.count())] == ["atoms", "[110]"]
    choose(panel, "[110]")
    assert {layer.name for layer in window.layers if layer.visible} == {"[110]", "[110] columns"}
    assert window.dims.ndisplay == 2
    picture = canvas(window)
    assert window.canvas.overlays["text"].text == "colour: atoms in the column"
    rows, cols = np.nonzero(np.ptp(picture[:, :-120], axis=2) > 60)  # discs, without the colour bar
    assert abs(rows.mean() / picture.shape[0] - 0.5) < 0.1
    assert abs(cols.mean() / picture.shape[1] - 0.5) < 0.1
    panel.threshold.setValue(0.99)
    assert window.canvas.overlays["text"].visible
    choose(panel, "atoms")
    assert [layer.name for layer in window.layers if layer.visible] == ["atoms"]
    assert len(panel.layer.data) == panel.drawn.sum()
    assert panel.layer.features["certainty"].min() >= 0.99
    assert window.dims.ndisplay == 3
    assert window.scene.camera.zoom == pytest.approx(seen[0])
    np.testing.assert_allclose(window.scene.camera.angles, seen[1], atol=1e-4)


def test_hidden_atoms_can_be_chosen_otherwise(panel, window):
    """Napari draws a hidden layer from its last slice; with fewer atoms in it that ended the program."""
    panel.layer.visible = False
    for threshold in (0.99, 0.5, 0.99):
        panel.threshold.setValue(threshold)
        panel.colour.setCurrentText("coordination")
        canvas(window)
    assert str(int(np.sum(panel.table.certainty >= 0.99))) in panel.number.text()
    panel.layer.visible = True
    assert len(panel.layer.data) == panel.drawn.sum()
    assert panel.layer.features["certainty"].min() >= 0.99
    panel.layer.visible = False
    panel.overlaid.setCurrentIndex(2)  # counts are looked at over the atoms
    assert panel.layer.visible


def test_without_images_there_is_nothing_to_choose(result):
    viewer = viewers.view_atoms(result, show=False)
    try:
        panel = next(iter(viewer.window.dock_widgets.values())).controls
        assert not panel.rows.isRowVisible(panel.showing)
    finally:
        viewer.close()


def test_counts_follow_the_threshold_and_the_run(panel, window, result):
    panel.overlaid.setCurrentIndex(1)
    view = result.views[0]
    assert "white as measured" in window.canvas.overlays["text"].text
    for threshold, run in ((0.9, 0), (0.9, 4), (0.5, 0)):
        panel.threshold.setValue(threshold)
        panel.run.setValue(run)
        atoms = result.sites[result.runs[run - 1]] if run else result.occupied(panel.threshold.value())
        np.testing.assert_array_equal(
            panel.overlay.features["difference"], tomo.reproject(atoms, view) - view.counts
        )
    assert len([layer for layer in window.layers if layer.name.startswith("counts")]) == 1
    panel.overlaid.setCurrentIndex(0)
    assert "measured" not in window.canvas.overlays["text"].text


def test_counts_of_several_species_say_whose_atoms_they_are(tmp_path):
    from napari.layers import Points

    from viewers.beside import counted_words
    from viewers.result_folder import column_table_layer

    header = "x,y,cross_section,count,count_probability,atoms_Pb,atoms_Se"
    (tmp_path / "columns.csv").write_text(f"{header}\n1,2,0.1,3,0.9,3.1,4\n")
    data, properties, _ = column_table_layer(tmp_path / "columns.csv", "pbse")
    columns = Points(data, **properties)
    assert counted_words(columns) == "colour: Pb atoms in the column"
    assert columns.features["atoms_Se"][0] == 4
