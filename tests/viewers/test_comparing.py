"""Two results in one window, where they differ, and pictures of what is seen."""

import dataclasses
import shutil

import imageio.v3 as imageio
import numpy as np
import pytest

import stemcount
import tomo
import viewers
from stemcount import InputError
from viewers.comparing import difference_layer_data, differences

pytest.importorskip("napari")

from viewers.beside import image_names
from viewers.canvas_picture import save_canvas
from viewers.compared_results import view_compared
from viewers.display import lay_out

QUARTER_TURN = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])


def without(result, *places: int):
    """The result less some of its certain atoms."""
    certainty = result.certainty.copy()
    certainty[np.flatnonzero(certainty >= 0.5)[list(places)]] = 0.1
    return dataclasses.replace(result, certainty=certainty)


def test_a_result_differs_from_itself_nowhere(result):
    symbols, positions, _ = result.atoms()
    turned = (positions + 4.08 / 2 * np.array([3, 1, 2])) @ QUARTER_TURN.T
    found = differences(result, symbols, turned)
    assert found.here.all()
    assert found.there.all()
    assert len(found.here) == len(symbols)


def test_atoms_that_one_lacks_are_told(result):
    less = without(result, 3, 40)
    symbols, positions, _ = result.atoms()
    both, here, there = (int(part.sum()) for part in differences(less, symbols, positions).parts())
    assert (both, here, there) == (len(symbols) - 2, 0, 2)
    symbols, positions, _ = less.atoms()
    found = differences(result, symbols, positions)
    assert int(found.parts()[1].sum()) == 2
    assert "red: 2 only here" in found.in_words("that")
    data, properties, _ = difference_layer_data(result, found)
    alone = found.parts()[1]
    assert properties["size"][alone].min() > 2 * properties["size"][~alone].max()
    lacking = np.setdiff1d(np.flatnonzero(result.certainty >= 0.5), np.flatnonzero(less.certainty >= 0.5))
    np.testing.assert_allclose(
        np.sort(data[alone], axis=0), np.sort(4.08 / 2 * result.sites[lacking], axis=0)
    )


def test_all_species_are_compared(core_shell_result):
    symbols, positions, _ = core_shell_result.atoms()
    keep = np.arange(len(symbols)) != np.flatnonzero(np.array(symbols) == "Cd")[0]
    found = differences(core_shell_result, np.array(symbols)[keep], positions[keep] + 6.1)
    assert found.species[found.parts()[1]].tolist() == ["Cd"]
    with pytest.raises(InputError, match="holds no Pb"):
        differences(core_shell_result, ["Au"], [[0, 0, 0]])


def save_folder(folder, result, columns):
    """A result folder with one image, of the same name in every folder."""
    folder.mkdir()
    result.save(folder)
    (folder / "au_110").mkdir()
    stemcount.save_image(columns.image, folder / "au_110" / "image.hspy")
    lines = ["x,y,height,width,cross_section,cross_section_std,count,count_probability,h,k,l"]
    for x, y, site in zip(columns.fit.x, columns.fit.y, result.views[2].column_sites, strict=True):
        lines.append(f"{x},{y},1,0.7,1,0.01,3,0.98,{','.join(map(str, site))}")
    (folder / "au_110" / "columns.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def two(result, columns, tmp_path_factory):
    """A window with one result into which another one is dropped."""
    folder = tmp_path_factory.mktemp("two")
    named = [dataclasses.replace(view, name=f"au_{k}") for k, view in enumerate(result.views[:2])]
    result = dataclasses.replace(result, views=(*named, dataclasses.replace(result.views[2], name="au_110")))
    first = save_folder(folder / "first", result, columns)
    second = save_folder(folder / "second", without(result, 3, 40), columns)
    viewer = viewers.view_result(first, show=True)
    viewer.open(str(second), plugin="stemcount")
    yield viewer
    viewer.close()


def panel_of(viewer):
    return next(iter(viewer.window.dock_widgets.values())).controls


def test_a_second_result_takes_the_place_of_the_first(two):
    assert [layer.name for layer in two.layers if layer.visible] == ["second"]
    panel = panel_of(two)
    assert panel.layer.name == "second"
    assert [panel.showing.itemText(i) for i in range(panel.showing.count())] == ["atoms", "au_110 [1]"]
    two.layers.selection.active = two.layers["atoms"]
    assert [layer.name for layer in two.layers if layer.visible] == ["atoms"]
    assert image_names(two, panel_of(two).layer.metadata["folder"]) == ["au_110"]


def test_each_result_shows_its_own_image_and_columns(two):
    two.layers.selection.active = two.layers["second"]
    panel = panel_of(two)
    panel.showing.setCurrentIndex(1)
    panel.show_chosen(1)
    assert {layer.name for layer in two.layers if layer.visible} == {"au_110 [1]", "au_110 columns [1]"}
    panel.show_chosen(0)
    panel.describe(int(np.flatnonzero(panel.drawn)[0]))
    assert len(two.layers["au_110 columns [1]"].selected_data) == 1
    assert not len(two.layers["au_110 columns"].selected_data)


def test_the_panel_shows_where_two_results_differ(two):
    two.layers.selection.active = two.layers["second"]
    panel = panel_of(two)
    panel.compared.compare(panel.compared.findText("atoms"))
    caption = two.canvas.overlays["text"]
    assert [layer.name for layer in two.layers if layer.visible] == ["differences"]
    assert "blue: 2 only in atoms" in caption.text
    two.screenshot(canvas_only=False, flash=False)
    shown = two.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    assert np.sum(shown[..., 2] - shown[..., 0] > 60) > 100  # blue atoms
    panel.compared.compare(0)
    assert [layer.name for layer in two.layers if layer.visible] == ["second"]
    assert "certainty" in caption.text


def test_a_known_structure_is_offered_and_one_of_another_crystal_refused(two, tmp_path, result):
    tomo.write_xyz(result, tmp_path / "known.xyz")
    (tmp_path / "water.xyz").write_text("2\n\nO 0 0 0\nH 0.96 0 0\n")
    two.layers.selection.active = two.layers["second"]
    two.open([str(tmp_path / "known.xyz")], plugin="stemcount")
    two.open([str(tmp_path / "water.xyz")], plugin="stemcount")
    box = panel_of(two).compared
    box.compare(box.findText("known"))
    assert "blue: 2 only in known" in two.canvas.overlays["text"].text
    box.compare(box.findText("water"))
    assert box.currentText() == "nothing"
    assert "differences" not in two.layers
    for name in ("known", "water"):
        two.layers.remove(name)


def test_a_saved_picture_shows_what_the_canvas_shows(two, tmp_path):
    two.layers.selection.active = two.layers["second"]
    two.screenshot(canvas_only=False, flash=False)
    seen = two.screenshot(canvas_only=True, flash=False)[..., :3].astype(float)
    zoom, bar = two.scene.camera.zoom, two.canvas.overlays["scale_bar"].length
    assert save_canvas(two, str(tmp_path / "seen"))
    assert (two.scene.camera.zoom, two.canvas.overlays["scale_bar"].length) == (zoom, bar)
    picture = imageio.imread(tmp_path / "seen.png").astype(float)
    times = picture.shape[0] // seen.shape[0]
    assert times > 1
    assert picture.shape == (times * seen.shape[0], times * seen.shape[1], 3)
    golden = [(p[..., 0] > 120) & (p[..., 2] < 0.6 * p[..., 0]) for p in (seen, picture)]
    assert golden[1].mean() == pytest.approx(golden[0].mean(), rel=0.05)
    assert not save_canvas(two, str(tmp_path / "seen.doc"))
    (tmp_path / "nowhere").touch()
    assert not save_canvas(two, str(tmp_path / "nowhere" / "seen.png"))


def test_results_are_compared_as_they_are_opened(tmp_path, result, columns):
    first = save_folder(tmp_path / "first", result, columns)
    second = without(result, 3, 40).save(tmp_path / "second.h5")
    viewer = view_compared([first, second])
    lay_out()
    assert [layer.name for layer in viewer.layers if layer.visible] == ["differences"]
    assert "red: 2 only here" in viewer.canvas.overlays["text"].text
    assert panel_of(viewer).layer.name == "atoms"
    viewer.close()


def test_what_cannot_be_compared_is_named(tmp_path, result, columns):
    folder = save_folder(tmp_path / "first", result, columns)
    (tmp_path / "refused").mkdir()
    shutil.copytree(folder / "au_110", tmp_path / "refused" / "au_110")
    tomo.write_xyz(result, tmp_path / "known.xyz")
    for paths, said in (
        (["first", "refused"], "refused: nothing to compare. No atoms"),
        (["first", "gone"], "gone: no such"),
        (["first", "first/au_110/image.hspy"], "expected a result"),
        (["known.xyz", "first"], "one at a time"),
    ):
        with pytest.raises(InputError, match=said):
            view_compared([tmp_path / path for path in paths])
