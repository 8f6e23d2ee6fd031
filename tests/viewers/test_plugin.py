"""What napari asks of the plugin: manifest, readers, writer, sample data."""

from pathlib import Path

import numpy as np
import pytest

import stemcount
import tomo
import viewers
from stemcount import InputError

npe2 = pytest.importorskip("npe2")
pytest.importorskip("napari")

from viewers.plugin import get_reader, parse_xyz, sample_110, sample_atoms, write_points  # noqa: E402


@pytest.fixture(scope="module")
def manifest():
    return npe2.PluginManifest.from_file(Path(viewers.__file__).with_name("napari.yaml"))


def test_every_command_of_the_manifest_can_be_imported(manifest):
    manifest.validate_imports()
    assert manifest.name == "stemcount"


def test_commands_of_all_contributions_exist(manifest):
    known = {command.id for command in manifest.contributions.commands}
    parts = manifest.contributions
    used = {c.command for c in [*parts.readers, *parts.writers, *parts.widgets]}
    used |= {c.command for c in parts.sample_data}
    used |= {item.command for items in parts.menus.values() for item in items}
    assert used <= known


def test_menus_are_ones_that_napari_takes_contributions_to(manifest):
    from napari._app_model.constants import MenuId

    offered = {str(menu) for menu in MenuId.contributables()}
    assert set(manifest.contributions.menus) <= offered


@pytest.fixture
def folder(result, tmp_path):
    result.save(tmp_path)
    result.write_xyz(tmp_path / "atoms.xyz")
    return tmp_path


@pytest.mark.parametrize("what", [".", "reconstruction.h5"])
def test_results_open_as_atoms(folder, result, what):
    path = str(folder / what)
    ((data, properties, kind),) = get_reader(path)(path)
    assert kind == "points"
    assert isinstance(properties["metadata"]["reconstruction"], tomo.Reconstruction)
    assert len(data) == len(properties["features"]["certainty"]) <= len(result.occupied())


def test_a_reconstruction_that_cannot_be_read_is_no_image(folder):
    """The reader says what is wrong with it, rather than that it holds no image."""
    import h5py

    path = folder / "reconstruction.h5"
    with h5py.File(path, "a") as file:
        file.attrs["format"] = 99
    with pytest.raises(ValueError, match="newer version"):
        get_reader(str(path))(str(path))


def test_xyz_opens_with_certainty(folder, result):
    path = str(folder / "atoms.xyz")
    ((data, properties, _),) = get_reader(path)(path)
    np.testing.assert_allclose(data, result.crystal.a / 2 * result.occupied(), atol=1e-5)
    sure = result.certainty[result.certainty >= 0.5]
    np.testing.assert_allclose(properties["features"]["certainty"], sure, atol=1e-5)


def test_images_open_in_angstrom(columns, tmp_path):
    import hyperspy.api as hs

    signal = hs.signals.Signal2D(columns.image.data)
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.025, "nm"
    path = tmp_path / "image.hspy"
    signal.save(path)
    ((data, properties, kind),) = get_reader([str(path)])(str(path))
    assert kind == "image"
    np.testing.assert_allclose(properties["scale"], 0.25)
    np.testing.assert_allclose(data, columns.image.data)


def test_a_file_of_several_detectors_opens_with_all_its_images(tmp_path, monkeypatch):
    import hyperspy.api as hs

    signals = []
    for title in ("HAADF", "BF"):
        signals.append(hs.signals.Signal2D(np.ones((4, 5)), metadata={"General": {"title": title}}))
        for axis in signals[-1].axes_manager.signal_axes:
            axis.scale, axis.units = 0.02, "nm"
    monkeypatch.setattr(hs, "load", lambda _, **hints: signals)
    path = tmp_path / "velox.emd"
    path.touch()
    layers = get_reader(str(path))(str(path))
    assert [properties["name"] for _, properties, _ in layers] == ["velox HAADF", "velox BF"]


def test_other_folders_and_files_are_left_to_others(tmp_path):
    assert get_reader(str(tmp_path)) is None
    assert get_reader([]) is None


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "broken.xyz"
    path.write_text("5\ncomment\nAu 0 0\n")
    with pytest.raises(InputError, match=r"broken\.xyz"):
        parse_xyz(path)


def test_plain_xyz_is_certain(tmp_path):
    path = tmp_path / "plain.xyz"
    path.write_text("2\n\nAu 0 0 0\nPd 1.5 2 3\n")
    species, positions, certainty = parse_xyz(path)
    assert species.tolist() == ["Au", "Pd"]
    assert positions[1].tolist() == [1.5, 2, 3]
    assert certainty.tolist() == [1, 1]


def test_writer_keeps_hidden_atoms_and_the_threshold(result, tmp_path):
    from viewers.atoms import atom_layer_data

    data, properties, _ = atom_layer_data(result)
    assert len(data) < len(result.occupied())
    path = str(tmp_path / "out.xyz")
    assert write_points(path, data, properties) == [path]
    assert len(parse_xyz(Path(path))[1]) == len(result.occupied())
    properties["metadata"]["threshold"] = 0.95
    write_points(path, data, properties)
    assert len(parse_xyz(Path(path))[1]) == np.sum(result.certainty >= 0.95)


def test_writer_of_any_points(tmp_path):
    path = str(tmp_path / "points.xyz")
    write_points(path, np.eye(3), {"features": {"certainty": [0.1, 0.2, 0.3]}})
    np.testing.assert_allclose(parse_xyz(Path(path))[1], np.eye(3))
    np.testing.assert_allclose(parse_xyz(Path(path))[2], [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="2 axes"):
        write_points(path, np.eye(2), {})


def test_samples_open():
    ((data, properties, _),) = sample_110()
    assert isinstance(properties["metadata"]["zone_axis_image"], stemcount.ZoneAxisImage)
    assert data.ndim == 2
    ((atoms, _, _),) = sample_atoms()
    assert len(atoms) == 669


def test_napari_itself_finds_everything(folder, tmp_path):
    """The installed plugin, through napari's own doors: drop, sample, widget, save."""
    import napari

    viewer = napari.Viewer(show=False)
    try:
        viewer.open_sample("stemcount", "gold_110")
        assert viewer.canvas.overlays["scale_bar"].visible
        viewer.open(str(folder), plugin="stemcount")
        viewer.open(str(folder / "atoms.xyz"), plugin="stemcount")
        assert [layer.name for layer in viewer.layers] == ["au_110", folder.name, "atoms"]
        for name in ("Column workbench", "Atom viewer", "Reconstruct a particle"):
            viewer.window.add_plugin_dock_widget("stemcount", name)
        saved = viewer.layers["atoms"].save(str(tmp_path / "saved.xyz"))
        assert len(parse_xyz(Path(saved[0]))[1]) == len(viewer.layers["atoms"].data)
    finally:
        viewer.close()


@pytest.fixture
def whole_folder(folder, columns):
    """A result folder as a run leaves it, of two images."""
    import json

    header = "x,y,height,width,cross_section,cross_section_std,count,count_probability,h,k,l"
    rows = [
        f"{x},{y},0.1,0.7,{volume},0.01,{count},0.98,0,0,0"
        for x, y, volume, count in zip(
            columns.fit.x, columns.fit.y, columns.fit.cross_section, columns.counts.count, strict=True
        )
    ]
    for name in ("second", "first"):
        (folder / name).mkdir()
        (folder / name / "columns.csv").write_text("\n".join([header, *rows]) + "\n")
    stemcount.save_image(columns.image, folder / "first" / "image.hspy")
    (folder / "summary.json").write_text(json.dumps({"images": {"first": {}, "second": {}}}))
    return folder


def test_a_result_folder_opens_with_images_columns_and_atoms(whole_folder, columns):
    layers = get_reader(str(whole_folder))(str(whole_folder))
    names = [properties["name"] for _, properties, _ in layers]
    assert names == ["first", "first columns", "second columns", whole_folder.name]
    assert [properties["visible"] for _, properties, _ in layers] == [True, True, False, False]
    np.testing.assert_allclose(layers[1][0], np.column_stack([columns.fit.y, columns.fit.x]))
    np.testing.assert_array_equal(layers[1][1]["features"]["count"], columns.counts.count)
    assert isinstance(layers[0][1]["metadata"]["zone_axis_image"], stemcount.ZoneAxisImage)


def test_images_of_an_earlier_run_are_left_out(whole_folder):
    (whole_folder / "summary.json").write_text('{"images": {"second": {}}}')
    layers = get_reader(str(whole_folder))(str(whole_folder))
    assert [properties["name"] for _, properties, _ in layers] == ["second columns", whole_folder.name]


def test_a_dropped_result_folder_shows_its_atoms(whole_folder):
    import napari

    viewer = napari.Viewer(show=False)
    try:
        viewer.open(str(whole_folder), plugin="stemcount")
        assert [layer.visible for layer in viewer.layers] == [False, False, False, True]
        assert viewer.dims.ndisplay == 3
        assert viewer.canvas.overlays["text"].text == "colour: certainty"
        viewer.screenshot(canvas_only=False, flash=False)
        with_atoms = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        viewer.layers[-1].visible = False
        assert not viewer.canvas.overlays["text"].visible
        without = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        assert np.mean(np.abs(with_atoms - without).max(axis=2) > 30) > 0.1
        rows, cols = np.nonzero(np.abs(with_atoms - without).max(axis=2) > 30)
        height, width = without.shape[:2]
        assert abs(rows.mean() / height - 0.5) < 0.1
        assert abs(cols.mean() / width - 0.5) < 0.1
    finally:
        viewer.close()


def test_a_window_that_shows_something_stays_as_it_is(whole_folder):
    import napari

    viewer = napari.Viewer(show=False)
    try:
        viewer.add_image(np.zeros((4, 4)))
        viewer.open(str(whole_folder), plugin="stemcount")
        assert viewer.dims.ndisplay == 2
        assert [layer.visible for layer in viewer.layers] == [True, True, True, False, False]
    finally:
        viewer.close()


def test_the_atom_viewer_takes_the_images_off_the_atoms(whole_folder):
    import napari

    viewer = napari.Viewer(show=False)
    try:
        viewer.open(str(whole_folder), plugin="stemcount")
        viewer.layers["first"].visible = True
        viewer.window.add_plugin_dock_widget("stemcount", "Atom viewer")
        assert [layer.visible for layer in viewer.layers] == [False, False, False, True]
        assert viewer.dims.ndisplay == 3
    finally:
        viewer.close()
    viewer = viewers.view_result(whole_folder, show=False)
    try:
        assert [layer.name for layer in viewer.layers if layer.visible] == ["atoms"]
        atoms = viewer.layers[-1]
        assert atoms.name == "atoms"
        np.testing.assert_allclose(viewer.scene.camera.center, atoms.extent.world.mean(axis=0))
        assert len(viewer.layers) == 4
    finally:
        viewer.close()


@pytest.fixture
def refused_folder(whole_folder):
    """What a run that was refused leaves: images and columns, and the sentence why."""
    (whole_folder / "summary.json").unlink()
    (whole_folder / "reconstruction.h5").unlink()
    (whole_folder / "refused.txt").write_text("first: the columns form another lattice.\n")
    return whole_folder


@pytest.mark.parametrize("dropped", [True, False])
def test_a_refused_run_shows_its_images_and_why(refused_folder, dropped):
    import napari

    if dropped:
        viewer = napari.Viewer(show=False)
        viewer.open(str(refused_folder), plugin="stemcount")
    else:
        viewer = viewers.view_result(refused_folder, show=False)
    try:
        assert [layer.name for layer in viewer.layers] == ["first", "first columns", "second columns"]
        assert [layer.visible for layer in viewer.layers] == [True, True, False]
        text = viewer.canvas.overlays["text"]
        assert text.visible
        assert "refused: first: the columns form another lattice." in text.text.replace("\n", " ")
        viewer.screenshot(canvas_only=False, flash=False)
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        assert np.mean(np.ptp(picture, axis=2) > 60) > 0.02  # coloured discs
    finally:
        viewer.close()


def test_a_stopped_run_and_one_that_had_a_result(refused_folder):
    from viewers.result_folder import why_no_atoms

    (refused_folder / "refused.txt").unlink()
    assert why_no_atoms(refused_folder) == "No atoms, the run was stopped or has not ended yet."
    (refused_folder / "earlier").mkdir()
    (refused_folder / "earlier" / "reconstruction.h5").touch()
    assert why_no_atoms(refused_folder).endswith(f"The earlier result is in {refused_folder / 'earlier'}.")


def test_an_image_alone_is_shown_and_no_folder_of_another_kind(refused_folder, tmp_path):
    for path in refused_folder.glob("*/columns.csv"):
        path.unlink()
    layers = get_reader(str(refused_folder))(str(refused_folder))
    assert [properties["name"] for _, properties, _ in layers] == ["first"]
    other = tmp_path / "other"
    other.mkdir()
    assert get_reader(str(other)) is None
    with pytest.raises(InputError, match="not a result folder"):
        viewers.view_result(other, show=False)
    with pytest.raises(tomo.InputError, match="nothing: no such"):
        viewers.view_result(tmp_path / "nothing", show=False)


def test_a_broken_table_is_named(whole_folder):
    (whole_folder / "first" / "columns.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match=r"columns\.csv: not a table of columns"):
        get_reader(str(whole_folder))(str(whole_folder))
    (whole_folder / "first" / "columns.csv").write_text(
        "x,y,cross_section,count,count_probability\n1,2,a,3,1\n"
    )
    with pytest.raises(InputError, match=r"columns\.csv"):
        get_reader(str(whole_folder))(str(whole_folder))
    (whole_folder / "first" / "columns.csv").write_text("x,y,cross_section,count,count_probability\n")
    assert len(get_reader(str(whole_folder))(str(whole_folder))) == 4  # an image without columns


def test_xyz_of_several_species_is_coloured_by_species(core_shell_result, tmp_path):
    path = str(core_shell_result.write_xyz(tmp_path / "core_shell.xyz"))
    ((data, properties, _),) = get_reader(path)(path)
    assert len(data) == len(core_shell_result.atoms()[0])
    species = properties["features"]["species"]
    assert set(species) == {"Pb", "Se", "Cd"}
    colours = {name: set(map(tuple, properties["face_color"][species == name])) for name in set(species)}
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == 3
