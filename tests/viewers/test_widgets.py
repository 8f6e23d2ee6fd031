"""The plugin's widgets, driven as a person would and given nonsense."""

import re
import time
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import stemcount
from stemcount import InputError

napari = pytest.importorskip("napari")

from qtpy.QtWidgets import QTableWidgetItem  # noqa: E402

from viewers.atom_controls import AtomControls  # noqa: E402
from viewers.atom_panel import AtomPanel  # noqa: E402
from viewers.atoms import add_atoms  # noqa: E402
from viewers.columns import image_layer_data, image_of_layer  # noqa: E402
from viewers.project_text import project_text  # noqa: E402
from viewers.run_widget import RunWidget  # noqa: E402
from viewers.workbench import ColumnWorkbench  # noqa: E402


@pytest.fixture(scope="module")
def window():
    window = napari.Viewer(show=False)
    yield window
    window.close()


@pytest.fixture
def viewer(window):
    """One window for all tests, which a test finds and leaves empty."""
    yield window
    window.window.remove_dock_widget("all")
    window.layers.clear()
    window.dims.ndisplay = 2


def wait(widget, seconds=60.0):
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        if widget.worker is None:
            return
        time.sleep(0.01)
    raise AssertionError("the widget did not finish: " + widget.status.text())


@pytest.fixture
def workbench(viewer, columns):
    data, properties, _ = image_layer_data(columns.image)
    viewer.add_image(data, **properties)
    widget = ColumnWorkbench(viewer)
    viewer.window.add_dock_widget(widget)
    return widget


@pytest.fixture
def fast(monkeypatch, columns):
    """True answers instead of minutes of fitting; the fits themselves are tested elsewhere."""
    seen: dict = {}

    def fit_columns(image, seeds, **options):
        seen["seeds"], seen["options"] = np.asarray(seeds), options
        n = len(seeds)
        per_column = {
            f.name: np.resize(getattr(columns.fit, f.name), n)
            for f in fields(columns.fit)
            if isinstance(getattr(columns.fit, f.name), np.ndarray) and f.name != "background"
        }
        return replace(columns.fit, **per_column | {"x": seen["seeds"][:, 0], "y": seen["seeds"][:, 1]})

    def count_atoms(values, **options):
        seen["count_options"] = options
        n = len(values)
        rows = {
            name: np.resize(getattr(columns.counts, name), (n, columns.counts.probability.shape[1]))
            for name in ("probability", "log_likelihood")
        }
        assert fields(columns.counts)
        order = options.get("n_components") or columns.counts.n_components
        return replace(columns.counts, count=np.resize(columns.counts.count, n), n_components=order, **rows)

    positions = np.column_stack([columns.fit.x, columns.fit.y])
    monkeypatch.setattr(stemcount, "find_columns", lambda image: positions, raising=False)
    monkeypatch.setattr(stemcount, "fit_columns", fit_columns, raising=False)
    monkeypatch.setattr(stemcount, "count_atoms", count_atoms, raising=False)
    return seen


def fit_and_count(workbench):
    """What the button Fit does: counting follows the fit, each in a thread of its own."""
    workbench.refit()
    wait(workbench)
    wait(workbench)


def test_fit_finds_fits_and_counts(workbench, viewer, columns, fast):
    fit_and_count(workbench)
    assert "atoms in" in workbench.status.text()
    assert {"au_110 model", "au_110 residual", "columns"} <= {layer.name for layer in viewer.layers}
    np.testing.assert_array_equal(workbench.columns.features["count"], columns.counts.count)
    assert workbench.images.count() == 1  # model and residual are not offered


def test_another_fit_brings_its_own_colours(workbench, viewer, columns, fast, monkeypatch):
    """The residual's colours end where those of the new fit's residual end."""
    fit_and_count(workbench)
    residual = viewer.layers["au_110 residual"]
    first = residual.contrast_limits[1]
    assert residual.contrast_limits[0] == -first
    assert residual.colormap.name == "RdBu_r"
    monkeypatch.setattr(stemcount, "model_image", lambda image, fit: np.zeros_like(image.data))
    fit_and_count(workbench)
    assert residual.contrast_limits[1] > 2 * first


def test_edited_columns_are_fitted_from_where_they_are(workbench, fast):
    workbench.refit()
    wait(workbench)
    n = len(workbench.columns.data)
    workbench.columns.add([[20.0, 10.0]])
    assert "edited" in workbench.status.text()
    assert len(workbench.selected()) == 0
    workbench.columns.selected_data = {0}
    workbench.columns.remove_selected()
    workbench.refit()
    wait(workbench)
    assert len(fast["seeds"]) == n
    np.testing.assert_allclose(fast["seeds"][-1], (10.0, 20.0))
    wait(workbench)  # counting follows
    assert "atoms in" in workbench.status.text()


def test_clicking_a_column_shows_it_and_marks_it_in_the_histogram(workbench, columns, fast):
    workbench.refit()
    wait(workbench)
    workbench.columns.selected_data = {7}
    assert "column 7" in workbench.about.text()
    assert f"{columns.counts.count[7]} atoms" in workbench.about.text()
    assert workbench.plot.marks.get_xdata()[0] == pytest.approx(columns.fit.cross_section[7])
    assert workbench.close_up.axes[0].images


def test_histogram_and_icl_choose_classes_and_orders(workbench, columns, fast):
    from types import SimpleNamespace

    workbench.refit()
    wait(workbench)
    atoms = 3
    place = SimpleNamespace(inaxes=workbench.plot.histogram, xdata=columns.counts.chosen.mean[atoms] + 0.01)
    workbench.plot._clicked(place)
    assert set(workbench.columns.selected_data) == set(np.flatnonzero(columns.counts.count == atoms))
    workbench.plot._clicked(SimpleNamespace(inaxes=workbench.plot.icl, xdata=5.2))
    wait(workbench)
    assert workbench.order.value() == 5
    assert fast["count_options"]["n_components"] == 5


def test_types_are_given_to_the_fit(workbench, fast):
    workbench.refit()
    wait(workbench)
    workbench.columns.selected_data = {1, 2}
    workbench.type.setValue(1)
    workbench.retype()
    workbench.refit()
    wait(workbench)
    assert np.flatnonzero(fast["options"]["column_type"]).tolist() == [1, 2]
    assert fast["options"]["widths"] == "per_type"


def test_every_colouring(workbench, fast):
    fit_and_count(workbench)
    for index in range(workbench.colour.count()):
        workbench.colour.setCurrentIndex(index)
        assert str(workbench.columns.face_color_mode) in ("colormap", "ColorMode.COLORMAP")
        assert "colour: " in workbench.viewer.canvas.overlays["text"].text
        if "count" in workbench.columns.features:  # dark numbers on bright discs, whatever colours them
            assert workbench.columns.text.color.feature == workbench.colour.currentText()


def test_workbench_survives_nonsense(workbench, viewer, fast, monkeypatch):
    workbench.count()
    assert "Fit first" in workbench.status.text()
    workbench.retype()
    assert "Select columns" in workbench.status.text()

    def refuse(image, seeds, **options):
        raise InputError("the seeds are nonsense.")

    monkeypatch.setattr(stemcount, "fit_columns", refuse, raising=False)
    workbench.refit()
    wait(workbench)
    assert "nonsense" in workbench.status.text()
    assert workbench.buttons["Fit"].isEnabled()
    viewer.layers.clear()
    workbench.refit()
    assert "no image" in workbench.status.text()


def test_layers_that_are_no_images_with_a_scale_are_refused(viewer):
    pixels = viewer.add_image(np.zeros((5, 5)))
    with pytest.raises(InputError, match="no pixel size"):
        image_of_layer(pixels)
    stack = viewer.add_image(np.zeros((3, 5, 5)))
    with pytest.raises(InputError, match="2D"):
        image_of_layer(stack)
    nanometre = viewer.add_image(np.zeros((5, 5)), scale=(0.02, 0.02), units="nm")
    assert image_of_layer(nanometre).pixel_size == pytest.approx(0.2)


def test_atom_panel_follows_the_layers(viewer, result):
    panel = AtomPanel(viewer)
    viewer.window.add_dock_widget(panel)
    assert panel.controls is None
    assert not panel.hint.isHidden()
    layer = add_atoms(viewer, result)
    viewer.layers.selection.active = layer
    assert panel.controls.layer is layer
    assert panel.hint.isHidden()
    controls = panel.controls
    viewer.layers.selection.active = viewer.add_points(np.zeros((1, 3)))
    viewer.layers.selection.active = layer
    assert panel.controls is controls
    viewer.layers.clear()
    assert panel.controls is None


def test_project_text_is_a_project():
    text = project_text(
        "fcc", ["Au"], 4.08, [('a "b".hspy', (1, -1, 0), None), ("ü 𝔄.tif", (1, 0, 0), 0.12)], 7, "sample"
    )
    content = tomllib.loads(text)
    assert content["image"][0] == {"file": 'a "b".hspy', "zone_axis": [1, -1, 0]}
    assert content["image"][1] == {"file": "ü 𝔄.tif", "zone_axis": [1, 0, 0], "pixel_size": 0.12}
    assert content["crystal"] == {"structure": "fcc", "species": ["Au"], "a": 4.08}
    assert content["reconstruction"] == {"runs": 7, "method": "sample"}


@pytest.fixture
def run_widget(viewer, tmp_path, columns, result, monkeypatch):
    from stemcount.cli import pipeline

    def run_project(path, out, *, progress, on_stage):
        assert tomllib.loads(Path(path).read_text())["crystal"]["a"] == pytest.approx(4.08)
        on_stage("au_110: columns", (columns.image, columns.fit))
        on_stage("au_110: counts", (columns.image, columns.fit, columns.counts))
        time.sleep(0.2)
        on_stage("reconstruction", result)
        return replace(result, warnings=("views disagree",))

    monkeypatch.setattr(pipeline, "run_project", run_project)
    widget = RunWidget(viewer)
    viewer.window.add_dock_widget(widget)
    widget.out.setText(str(tmp_path / "out"))
    return widget


def test_run_shows_layers_as_stages_finish(run_widget, viewer, result, tmp_path):
    run_widget.add_image(Path("au_110.hspy"), (1, 1, 0))
    run_widget.run()
    wait(run_widget)
    assert f"{len(result.occupied())} atoms" in run_widget.status.text()
    assert "• views disagree" in run_widget.status.text()
    names = [layer.name for layer in viewer.layers]
    assert names == ["au_110", "au_110 columns", "atoms"]
    assert viewer.dims.ndisplay == 3
    saved = tomllib.loads((tmp_path / "out" / "project.toml").read_text())
    assert saved["image"][0]["zone_axis"] == [1, 1, 0]


def test_the_image_at_work_is_shown_and_others_are_not(run_widget, viewer, columns, result):
    other = viewer.add_image(np.zeros((4, 4)), name="mine")
    add_atoms(viewer, result)
    run_widget._stage_finished("au_110: columns", (columns.image, columns.fit))
    second = replace(columns.image, name="second")
    run_widget._stage_finished("second: columns", (second, columns.fit))
    assert run_widget.viewer.canvas.overlays["text"].text == "colour: cross-section (Å²)"
    run_widget._stage_finished("second: counts", (second, columns.fit, columns.counts))
    assert run_widget.viewer.canvas.overlays["text"].text == "colour: atoms in the column"
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == ["mine", "second", "second columns"]
    assert other.visible
    assert viewer.dims.ndisplay == 2
    assert "count" in viewer.layers["second columns"].features
    run_widget._stage_finished("reconstruction", result)
    assert run_widget.viewer.canvas.overlays["text"].text == "colour: certainty"
    assert not viewer.layers["second"].visible
    assert viewer.dims.ndisplay == 3


def test_files_can_be_dropped(run_widget, tmp_path):
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent

    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / name)) for name in ("a.dm4", "b.dm4")])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    run_widget.dropEvent(QDropEvent(QPointF(5, 5), copy, mime, left, Qt.KeyboardModifier.NoModifier))
    names = [Path(run_widget.table.item(row, 0).text()).name for row in range(run_widget.table.rowCount())]
    assert names == ["a.dm4", "b.dm4"]


def test_the_report_of_a_finished_run_is_opened(run_widget, tmp_path, monkeypatch):
    from viewers import run_widget as module

    opened = []
    monkeypatch.setattr(module.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    run_widget.add_image(Path("au_110.hspy"), (1, 1, 0))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("")
    assert not run_widget.buttons["Report"].isEnabled()
    run_widget.run()
    wait(run_widget)
    run_widget.out.setText("elsewhere")  # of the next run
    run_widget.buttons["Report"].click()
    assert [Path(name) for name in opened] == [tmp_path / "out" / "report.html"]


@pytest.mark.parametrize("panel", [ColumnWorkbench, RunWidget])
def test_panels_do_not_enlarge_a_low_window(viewer, panel):
    viewer.window.resize(1280, 620)
    viewer.window.add_dock_widget(panel(viewer), area="right")
    viewer.screenshot(canvas_only=False, flash=False)
    assert viewer.screenshot(canvas_only=False, flash=False).shape[:2] == (620, 1280)


@pytest.mark.parametrize("panel", [ColumnWorkbench, RunWidget])
@pytest.mark.parametrize("height", [620, 732])
def test_sentences_of_a_panel_are_not_covered(viewer, panel, height):
    """The words about a column were under the plots, and on a laptop these were out of sight."""
    widget = panel(viewer)
    viewer.window.resize(1366, height)
    viewer.window.add_dock_widget(widget, area="right")
    widget.status.setText("two lines of words " * 4)
    if panel is ColumnWorkbench:
        widget.about.setText("one\ntwo\nthree")
    for _ in range(3):
        viewer.screenshot(canvas_only=False, flash=False)
    area = widget.layout().itemAt(0).widget()
    content = area.widget()
    assert content.height() >= content.layout().minimumHeightForWidth(content.width())
    assert content.width() <= area.viewport().width()
    assert height == 620 or content.height() <= area.viewport().height()  # nothing to be scrolled


def test_run_can_be_cancelled(run_widget):
    run_widget.add_image(Path("au_110.hspy"), (1, 1, 0))
    run_widget.run()
    run_widget.cancel()
    wait(run_widget)
    assert "Stopped" in run_widget.status.text()
    assert run_widget.buttons["Run"].isEnabled()


def test_run_widget_survives_nonsense(run_widget, tmp_path):
    run_widget.run()
    assert "no images" in run_widget.status.text()
    run_widget.add_image(tmp_path / "missing.dm4")
    run_widget.run()
    assert run_widget.status.text() == "missing.dm4: write its zone axis into u, v and w, e.g. 1 1 0."
    run_widget.table.item(0, 1).setText("1.5")
    run_widget.run()
    assert "three integers u, v, w, got '1.5  '" in run_widget.status.text()
    run_widget.table.removeRow(0)
    run_widget.add_image(Path("au.hspy"), (1, 1, 0))
    (tmp_path / "file").write_text("")
    run_widget.out.setText(str(tmp_path / "file" / "inside"))
    run_widget.run()
    assert run_widget.worker is None
    assert re.search(
        r"inside.project.toml: the project file cannot be written \(.+\)\.$", run_widget.status.text()
    )
    run_widget.out.setText(str(tmp_path / "out"))
    run_widget.species.setText("")
    run_widget.run()
    assert run_widget.status.text() == "species: expected a chemical symbol, e.g. Au; none is given."


def test_the_pixel_size_of_an_image_without_calibration(run_widget, tmp_path):
    run_widget.add_image(tmp_path / "au.tif", (1, 1, 0))
    for text, said in ((" 0.125 ", 0.125), ("", None)):
        run_widget.table.setItem(0, 4, QTableWidgetItem(text))
        assert tomllib.loads(run_widget.project())["image"][0].get("pixel_size") == said
    run_widget.table.setItem(0, 4, QTableWidgetItem("0,1"))
    with pytest.raises(stemcount.InputError, match=r"au.tif: the pixel size must be a number of Å"):
        run_widget.project()


def test_zone_axes_are_read_from_files_that_hold_them(run_widget):
    from importlib.resources import as_file, files

    with as_file(files("sample_images").joinpath("au_110.hspy")) as path:
        run_widget.add_image(path)
    assert [run_widget.table.item(0, c).text() for c in (1, 2, 3)] == ["1", "1", "0"]


@pytest.mark.slow
def test_widgets_on_the_sample_with_nothing_faked(viewer, tmp_path):
    from importlib.resources import as_file, files

    widget = RunWidget(viewer)
    viewer.window.add_dock_widget(widget)
    for name in ("au_001", "au_100", "au_110"):
        with as_file(files("sample_images").joinpath(f"{name}.hspy")) as path:
            widget.add_image(path)
    widget.out.setText(str(tmp_path / "out"))
    widget.runs.setValue(2)
    widget.run()
    wait(widget, 600)
    atoms = viewer.layers["atoms"].metadata["reconstruction"]
    assert abs(len(atoms.occupied()) - 669) <= 13
    assert (tmp_path / "out" / "report.html").is_file()
    for view in atoms.views:  # as the tables hold them, so that a clicked atom finds its column
        columns = viewer.layers[f"{view.name} columns"]
        assert np.isfinite(np.asarray(columns.features["h"], float)).mean() > 0.9
        assert np.nansum(columns.features["count"]) == pytest.approx(669, abs=40)

    bench = ColumnWorkbench(viewer)
    viewer.window.add_dock_widget(bench)
    bench.images.setCurrentText("au_110")
    bench.refit()
    wait(bench, 300)
    wait(bench, 300)
    assert abs(bench.counts.count.sum() - 669) <= 13
    bench.order.setValue(8)
    wait(bench, 300)
    assert bench.counts.n_components == 8
    assert bench.counts.count.sum() < 600


def test_a_renamed_image_stays_chosen_and_fits(workbench, viewer, columns, fast):
    viewer.add_image(np.zeros((4, 4)), name="another")
    viewer.layers["au_110"].name = "renamed"
    assert workbench.images.currentText() == "renamed"
    fit_and_count(workbench)
    assert "atoms in" in workbench.status.text()


def test_when_all_columns_are_gone_they_are_found_again(workbench, columns, fast):
    fit_and_count(workbench)
    workbench.columns.data = np.zeros((0, 2))
    workbench.refit()
    wait(workbench)
    assert len(fast["seeds"]) == len(columns.fit)


@pytest.mark.parametrize("what", ["no sites", "one site", "no certainty", "nothing but sites"])
def test_the_atom_viewer_takes_any_result(viewer, result, what):
    odd = {
        "no sites": replace(
            result, sites=result.sites[:0], certainty=result.certainty[:0], runs=result.runs[:, :0]
        ),
        "one site": replace(
            result, sites=result.sites[:1], certainty=result.certainty[:1], runs=result.runs[:, :1]
        ),
        "no certainty": replace(result, certainty=0 * result.certainty),
        "nothing but sites": replace(
            result, runs=result.runs[:0], energy=result.energy[:0], views=(), crystal=None
        ),
    }[what]
    panel = AtomControls(viewer, add_atoms(viewer, odd))
    for index in range(panel.colour.count()):
        panel.colour.setCurrentIndex(index)
    panel.face.click()
    for text in ("1 2 3", "99999999999999999999 0 0", "999999999 0 1", "nonsense"):
        panel.normal.setCurrentText(text)
    assert panel.hkl == (1, 2, 3)
    panel.cut.setValue(-999)
    panel.cut.setValue(999)
    panel.run.setValue(3)
    panel.threshold.setValue(1.0)
    panel.interior.setChecked(False)
    for index in range(panel.overlaid.count()):
        panel.overlaid.setCurrentIndex(index)
    assert panel.number.text()


def test_a_core_shell_project_from_the_run_widget(run_widget):
    from stemcount.cli.project_file.project import Project

    run_widget.add_image(Path("particle_110.dm4"), (1, 1, 0))
    assert run_widget.phases["core"].isHidden()
    run_widget.structure.setCurrentText("core_shell")
    assert not run_widget.phases["core"].isHidden()
    for nonsense in ("", "Pb Se", "Pb Se / ", "a / b / c"):
        run_widget.species.setText(nonsense)
        with pytest.raises(InputError, match="core / shell"):
            run_widget.project()
    run_widget.species.setText("Pb, Se / Cd Se")
    run_widget.a.setValue(6.1)
    content = tomllib.loads(run_widget.project())
    project = Project.model_validate({**content, "path": Path("project.toml")})
    assert project.crystal.crystal().species == "Pb"
    assert project.crystal.core.species == ["Pb", "Se"]
    assert project.crystal.shell.structure == "zinc_blende"
    run_widget.species.setText("Se Pb / Cd Se")  # the species that only the core holds, wherever it stands
    content = tomllib.loads(run_widget.project())
    project = Project.model_validate({**content, "path": Path("project.toml")})
    assert project.crystal.crystal().species == "Pb"
