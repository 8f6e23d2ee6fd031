"""The napari windows, driven without a person and looked at through their pixels."""

import time

import numpy as np
import pytest

import stemcount
import tomo
import viewers
import viewers.display
from stemcount import InputError
from viewers.atoms import count_layer_data

pytest.importorskip("napari")


@pytest.fixture(scope="module")
def atom_viewer(result):
    viewer = viewers.view_atoms(result, show=False)
    viewer.screenshot(canvas_only=False, flash=False)
    yield viewer
    viewer.close()


@pytest.fixture
def controls(atom_viewer):
    from viewers.atom_controls import AtomControls

    panel = next(iter(atom_viewer.window.dock_widgets.values())).controls
    assert isinstance(panel, AtomControls)
    yield panel
    panel.threshold.setValue(0.5)
    panel.run.setValue(0)
    panel.colour.setCurrentIndex(0)
    panel.normal.setCurrentIndex(0)
    panel.interior.setChecked(True)


def canvas(viewer) -> np.ndarray:
    """The canvas as drawn once napari's slicing threads are done."""
    from qtpy.QtWidgets import QApplication

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        QApplication.processEvents()
        if all(layer.loaded for layer in viewer.layers):
            break
        time.sleep(0.01)
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(float)


def test_atoms_are_drawn_golden_with_a_colour_bar(atom_viewer):
    picture = canvas(atom_viewer)
    golden = (picture[..., 0] > 120) & (picture[..., 2] < 0.6 * picture[..., 0])
    assert 0.1 < golden.mean() < 0.8
    corner = picture[:200, -150:]
    assert (np.ptp(corner, axis=2) > 60).sum() > 500


def test_same_handedness_as_the_pictures_without_display(controls, atom_viewer):
    """Seen along [001] the layer's centroid of an asymmetric set moves as the image frame says."""
    from viewers.atoms import look_along
    from viewers.geometry import view_rotation

    for axis in [(0, 0, 1), (1, 1, 0)]:
        seen = controls.positions @ view_rotation(axis).T
        controls.drawn = (seen[:, 0] > 0) & (seen[:, 1] > 0)  # right and down
        controls._draw()
        look_along(atom_viewer, axis)
        picture = canvas(atom_viewer)[:, :-110]  # without the colour bar
        rows, cols = np.nonzero((picture[..., 0] > 120) & (picture[..., 2] < 0.6 * picture[..., 0]))
        assert rows.mean() > picture.shape[0] / 2
        assert cols.mean() > (picture.shape[1] + 110) / 2
    controls.update_shown()


def test_a_window_opens_with_the_whole_particle_in_it(result):
    from viewers.atoms import frame_atoms

    viewer = viewers.view_atoms(result)
    canvas(viewer)  # lays the window out
    zoom = viewer.scene.camera.zoom
    frame_atoms(viewer, viewer.layers["atoms"])
    assert viewer.scene.camera.zoom == pytest.approx(zoom, rel=0.01)
    viewer.close()


def test_the_plugins_panel_leaves_the_whole_particle_in_the_canvas(result, tmp_path):
    """The panel takes its room only once the window is laid out; the camera is set again then."""
    import napari
    from qtpy.QtWidgets import QApplication

    result.save(tmp_path)
    viewer = napari.Viewer()
    try:
        viewer.open(str(tmp_path), plugin="stemcount")
        viewer.window.add_plugin_dock_widget("stemcount", "Atom viewer")
        for _ in range(4):
            QApplication.processEvents()
        layer = viewer.layers[-1]
        low, high = layer.extent.world
        diameter = np.linalg.norm(high - low) / np.sqrt(1.5) * viewer.scene.camera.zoom
        assert diameter == pytest.approx(0.8 * min(viewer.canvas.size), rel=0.02)
    finally:
        viewer.close()


def test_the_panel_fills_its_dock(atom_viewer, controls):
    dock = next(iter(atom_viewer.window.dock_widgets.values()))
    assert controls.height() > 0.9 * dock.height()


def test_a_window_lies_within_the_screen(result, monkeypatch):
    from qtpy.QtWidgets import QApplication

    monkeypatch.setattr(viewers.display, "WINDOW_SIZE", (10_000, 10_000))
    viewer = viewers.view_atoms(result, show=False)
    try:
        room = QApplication.primaryScreen().availableGeometry()
        _, _, width, height = viewer.window.geometry()
        assert width <= room.width()
        assert height < room.height()
    finally:
        viewer.close()


def test_panels_of_a_narrow_window_are_tabs_that_leave_the_canvas_its_room(result, monkeypatch):
    monkeypatch.setattr(viewers.display, "WINDOW_SIZE", (900, 600))
    viewer = viewers.view_atoms(result)
    try:
        panel = viewer.window.dock_widgets["Atoms"]
        dock = panel.parent()
        assert len(dock.parent().tabifiedDockWidgets(dock)) == 2  # layer controls and layer list
        assert panel.controls.isVisible()
        assert viewer.canvas.size[1] > 450
    finally:
        viewer.close()


def test_labels_of_the_planes_are_not_cut(result):
    """Those of handles at the ends, three characters wide, lie within the slider."""
    import dataclasses

    far = dataclasses.replace(result, sites=25 * result.sites)
    viewer = viewers.view_atoms(far)
    try:
        slider = next(iter(viewer.window.dock_widgets.values())).controls.planes
        first, last = slider._handle_labels
        assert first.text().startswith("-")
        assert len(first.text()) == 4
        assert first.x() >= 0
        assert last.x() + last.width() <= slider.width()
    finally:
        viewer.close()


def test_the_canvas_says_what_the_colours_mean(controls, atom_viewer):
    caption = atom_viewer.canvas.overlays["text"]
    for name, scale in controls.scales.items():
        controls.colour.setCurrentText(name)
        assert caption.visible
        assert caption.text == f"colour: {scale.label}"


def test_nothing_is_said_of_atoms_that_are_hidden(controls, atom_viewer):
    """Images of the same folder are looked at with the atoms hidden; their axes and colours are others."""
    overlays = atom_viewer.canvas.overlays
    for shown in (False, True):
        controls.layer.visible = shown
        assert overlays["text"].visible == shown
        assert overlays["axes"].visible == shown


def test_threshold_hides_doubtful_atoms(controls, result):
    controls.interior.setChecked(False)
    controls.threshold.setValue(0.99)
    assert len(controls.layer.data) == np.sum(result.certainty >= 0.99)
    assert f"{np.sum(result.certainty >= 0.99)} atoms" in controls.number.text()


def test_what_the_panel_hides_is_no_longer_drawn(controls, atom_viewer):
    def drawn() -> float:
        return float(np.mean(np.ptp(canvas(atom_viewer)[:, :-110], axis=2) > 60))

    controls.threshold.setValue(0.01)
    everything = drawn()
    controls.planes.setValue((0, 1))
    assert drawn() < 0.7 * everything


def test_planes_runs_and_colours(controls, result):
    controls.interior.setChecked(False)
    controls.threshold.setValue(0.01)
    controls.normal.setCurrentIndex(5)
    controls.planes.setValue((0, 0))
    np.testing.assert_array_equal(
        controls.drawn, (result.sites.sum(axis=1) == 0) & (result.certainty >= 0.01)
    )
    controls.normal.setCurrentIndex(0)
    controls.run.setValue(2)
    np.testing.assert_array_equal(controls.drawn, result.runs[1])
    assert "run 2" in controls.number.text()
    for name in controls.scales:
        controls.colour.setCurrentText(name)
        assert tuple(controls.layer.face_contrast_limits) == controls.scales[name].limits


def test_any_planes_can_be_written(controls, result):
    controls.interior.setChecked(False)
    controls.threshold.setValue(0.01)
    controls.normal.setCurrentText("2 -1 0")
    assert controls.hkl == (2, -1, 0)
    controls.planes.setValue((1, 1))
    wanted = (result.sites @ (2, -1, 0) == 1) & (result.certainty >= 0.01)
    np.testing.assert_array_equal(controls.drawn, wanted)
    for nonsense in ("", "1 1", "a b c", "0 0 0", "1.5 0 0"):
        controls.normal.setCurrentText(nonsense)
        assert controls.hkl == (2, -1, 0)


def test_planes_can_be_told_apart_by_colour(controls, result):
    controls.normal.setCurrentText("1 1 1")
    controls.colour.setCurrentText("plane")
    np.testing.assert_array_equal(controls.layer.features["plane"], result.sites[controls.drawn].sum(axis=1))
    assert len(np.unique(controls.layer.face_color, axis=0)) > 5


def test_counts_lie_over_the_atoms(controls, atom_viewer, result):
    controls.overlaid.setCurrentIndex(3)
    layer = atom_viewer.layers["counts [110]"]
    assert len(layer.data) == result.views[2].n_columns
    np.testing.assert_allclose(
        atom_viewer.scene.camera.view_direction, np.array([1, 1, 0]) / np.sqrt(2), atol=1e-6
    )
    along = np.array([1, 1, 0])
    assert (layer.data @ along).max() < (controls.positions @ along).min()
    same = np.asarray(layer.features["difference"]) == 0
    assert all("+" in text or "−" in text for text in layer.features["label"][~same])
    picture = canvas(atom_viewer)
    assert ((picture > 225).all(axis=2) & (picture < 253).all(axis=2)).mean() > 0.05  # white discs
    controls.overlaid.setCurrentIndex(0)
    assert "counts [110]" not in atom_viewer.layers


def test_numbers_on_dark_discs_are_light(result):
    wrong = np.array([0, 1, -2] * len(result.views[0].column_sites))[: result.views[0].n_columns]
    right = tomo.reproject(result.occupied(0.5), result.views[0]).astype(int)
    view = tomo.View(
        result.views[0].zone_axis, result.views[0].column_sites, counts=np.maximum(right + wrong, 0)
    )
    _, properties, _ = count_layer_data(result, view)
    difference, ink = properties["features"]["difference"], properties["features"]["ink"]
    assert set(ink[np.abs(difference) >= 2]) == {"white"}
    assert set(ink[np.abs(difference) < 2]) == {"black"}


def test_direction_buttons_turn_the_camera(controls, atom_viewer):
    for axis, button in controls.directions.items():
        button.click()
        seen = np.array(atom_viewer.scene.camera.view_direction)
        np.testing.assert_allclose(seen, np.array(axis) / np.linalg.norm(axis), atol=1e-6)


def test_atom_under_a_click_is_described(controls, result):
    index = int(np.flatnonzero(np.all(result.sites == 0, axis=1))[0])
    controls.describe(index)
    assert "site (0 0 0)" in controls.picked.text()
    assert "12 neighbours" in controls.picked.text()
    assert "10 of 10 runs" in controls.picked.text()


def test_a_click_picks_the_atom_in_front_and_a_drag_picks_none(controls, result):
    from types import SimpleNamespace

    def click(*events: str) -> None:
        event = SimpleNamespace(
            pos=np.zeros(2), type="mouse_press", position=np.zeros(3), dims_displayed=[0, 1, 2],
            view_direction=np.array([0.0, 0.0, 1.0]),
        )  # fmt: skip
        steps = controls._pick(controls.layer, event)
        next(steps)
        for kind in events:
            event.type, event.pos = kind, event.pos + 10 * (kind == "mouse_move")
            next(steps, None)

    controls.picked.setText("")
    click("mouse_move", "mouse_release")
    assert controls.picked.text() == ""
    click("mouse_release")
    column = np.all(result.sites[:, :2] == 0, axis=1) & (result.certainty >= 0.5)
    front = result.sites[column][:, 2].min()
    assert f"site (0 0 {front})" in controls.picked.text()


def test_atoms_have_physical_units(atom_viewer, result):
    layer = atom_viewer.layers[0]
    assert {str(unit) for unit in layer.units} == {"angstrom"}
    grid = layer.data / (result.crystal.a / 2)
    np.testing.assert_allclose(grid, np.round(grid), atol=1e-9)
    assert layer.size.max() == pytest.approx(result.crystal.a / np.sqrt(2))


def test_columns_lie_on_their_peaks(columns):
    viewer = viewers.view_columns(columns.image, columns.fit, columns.counts, show=False)
    try:
        viewer.screenshot(canvas_only=False, flash=False)
        assert [layer.name for layer in viewer.layers] == ["au_110", "model", "residual", "columns", "doubts"]
        image, points = viewer.layers["au_110"], viewer.layers["columns"]
        rows, cols = np.round(points.data / columns.image.pixel_size).astype(int).T
        patch = image.data[rows, cols]
        assert np.all(patch > np.median(image.data))
        picture = canvas(viewer)
        assert (np.ptp(picture, axis=2) > 60).mean() > 0.02  # coloured counts on a grey image
        np.testing.assert_array_equal(points.features["count"], columns.counts.count)
    finally:
        viewer.close()


def test_numbers_are_written_only_where_they_can_be_read(columns):
    viewer = viewers.view_columns(columns.image, columns.fit, columns.counts, show=False)
    try:
        points, camera = viewer.layers["columns"], viewer.scene.camera
        camera.zoom = 20.0
        assert points.text.visible
        camera.zoom = 2.0
        assert not points.text.visible
        camera.zoom = 2.1
        points.text.visible = True  # napari's own switch
        camera.zoom = 2.2
        assert points.text.visible
        assert "atoms in the column" in viewer.canvas.overlays["text"].text
    finally:
        viewer.close()


def test_doubts_say_their_reasons_without_covering_each_other(columns):
    viewer = viewers.view_columns(columns.image, columns.fit, columns.counts, show=False)
    try:
        doubts = viewer.layers["doubts"]
        doubts.visible = True
        assert set(np.ravel(doubts.text.values).tolist()) <= {""}
        assert len(doubts.data) >= np.count_nonzero(columns.fit.flags) > 0
        said = doubts.get_status(tuple(doubts.data[0]))["coordinates"]
        assert doubts.features["reason"][0] in said
    finally:
        viewer.close()


def test_image_alone(columns):
    viewer = viewers.view_columns(columns.image, show=False)
    try:
        assert len(viewer.layers) == 1
        np.testing.assert_allclose(viewer.layers[0].scale, columns.image.pixel_size)
    finally:
        viewer.close()


def test_counts_that_belong_to_no_fit_or_to_another_one(columns):
    others = stemcount.count_atoms(columns.fit.cross_section[:-1])
    for fit, counts, message in (
        (columns.fit, others, "counts: expected those of the"),
        (columns.fit, "counts", "counts: expected"),
        (None, columns.counts, "there is no fit"),
        (columns.counts, None, "fit: expected a ColumnFit"),
    ):
        with pytest.raises(InputError, match=message):
            viewers.view_columns(columns.image, fit, counts, show=False)


def test_no_display_is_one_sentence(result, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="no display"):
        viewers.view_atoms(result)


def test_viewers_alone_import_no_gui():
    import subprocess
    import sys

    code = "import sys, viewers; print([m for m in ('napari', 'qtpy', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
