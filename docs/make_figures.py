"""Draw the pictures of the documentation from the demo's result.

    make demo
    xvfb-run -a -s "-screen 0 1920x1200x24" .venv/bin/python docs/make_figures.py demo_result

Writes into docs/figures.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from matplotlib.colors import Normalize
from PIL import Image
from scipy.spatial import cKDTree

import stemcount
import tomo
import viewers
from viewers.atom_figures import atom_positions, certainty_colours, lattice_parameter
from viewers.column_figures import draw_counts
from viewers.geometry import oblique_direction
from viewers.spheres import render_spheres
from viewers.style import CERTAINTY_COLORMAP, colour_bar, new_figure, scale_bar, style

FIGURES = Path(__file__).parent / "figures"


def save_small(path: Path, picture: np.ndarray, width: int = 1000) -> None:
    """Save a picture no wider than a page needs it, with 256 colours, which keeps the repository small."""
    image = Image.fromarray(np.asarray(picture)[..., :3])
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    # colours that reach the rare ones of a colour bar too, and white for paper
    chosen = image.quantize(255, method=Image.Quantize.MAXCOVERAGE, kmeans=3).getpalette()
    palette = np.reshape([*(chosen or []), 255, 255, 255], (-1, 3))
    nearest = cKDTree(palette).query(np.asarray(image).reshape(-1, 3))[1]
    small = Image.fromarray(nearest.reshape(image.height, image.width).astype(np.uint8), mode="P")
    small.putpalette(palette.ravel().tolist())
    small.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def overview(result: tomo.Reconstruction) -> None:
    """Image, counts and atoms side by side, for the README."""
    with as_file(files("sample_images").joinpath("au_110.hspy")) as path:
        image = stemcount.load_image(path)
    fit = stemcount.fit_columns(image, stemcount.find_columns(image))
    positions = np.column_stack([fit.x, fit.y])
    counts = stemcount.count_atoms(fit.cross_section, cross_section_std=fit.noise_std, positions=positions)
    shown = result.certainty >= 0.5
    colours = certainty_colours(result.certainty[shown])
    radius = lattice_parameter(result) / np.sqrt(8)
    direction = oblique_direction((1, 1, 0))
    atoms = render_spheres(atom_positions(result)[shown], colours, radius, direction, size=(900, 1040))
    with style():
        figure = new_figure(12.5, 4.1, equal_aspect=True)
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
        x0, x1, y0, y1 = image.extent
        left.imshow(image.data, extent=(x0, x1, y1, y0), cmap="gray")
        left.set(xlabel="x (Å)", ylabel="y (Å)", title="one of three images")
        draw_counts(middle, image, fit, counts, width=3.8)
        middle.set_title("atoms in each column (rings: in doubt)")
        right.imshow(atoms.rgba, extent=atoms.extent, interpolation="antialiased")
        right.set_axis_off()
        right.set_title("every atom, with its certainty")
        scale_bar(right, 10)
        colour_bar(figure, right, Normalize(0, 1), CERTAINTY_COLORMAP, "certainty")
        figure.savefig(FIGURES / "overview.png", dpi=100)


def core_shell() -> tomo.Reconstruction:
    """A made-up PbSe core in a CdSe shell, certain inside and doubtful on its surface."""
    crystal = tomo.core_shell(tomo.rock_salt("Pb", "Se", 6.1), tomo.zinc_blende("Cd", "Se", 6.1), "Pb")
    particle = tomo.core_shell_particle(crystal, 281, 6.0, seed=3)
    rng = np.random.default_rng(0)
    certainty = [
        np.where(tomo.observables.surface_atoms(sites), rng.uniform(0.3, 1.0, len(sites)), 1.0)
        for sites in particle.sites
    ]
    companions = tuple(
        tomo.Companion(lattice.species, lattice.offset, sites, share, rng.random((4, len(sites))) < share)
        for lattice, sites, share in zip(crystal.sublattices, particle.sites, certainty, strict=True)
    )[1:]
    core = particle.sites[0]
    return tomo.Reconstruction(
        sites=core,
        certainty=certainty[0],
        runs=rng.random((4, len(core))) < certainty[0],
        energy=np.zeros(4),
        views=tuple(tomo.phantoms.views_of(core, [(1, 1, 0), (1, 0, 0)])),
        method="sample",
        seed=0,
        edge_weight=1.0,
        crystal=crystal,
        companions=companions,
    )


def windows(folder: Path, result: tomo.Reconstruction) -> None:
    """napari with the atom viewer, a result folder, the column workbench and the run widget."""
    import napari

    from viewers.atoms import look_along
    from viewers.plugin import sample_110
    from viewers.run_widget import RunWidget
    from viewers.workbench import ColumnWorkbench

    viewer = viewers.view_result(folder, show=False)
    dock: Any = next(iter(viewer.window.dock_widgets.values()))
    panel = dock.controls
    depth = panel.positions @ np.asarray(viewer.scene.camera.view_direction)
    for index in np.argsort(np.where(panel.drawn, depth, np.inf))[[0, 3]]:
        panel.describe(int(index))
    shoot(viewer, "atom_viewer")
    panel.showing.setCurrentText("au_110")
    panel.show_chosen(panel.showing.currentIndex())
    shoot(viewer, "atom_viewer_image")
    panel.showing.setCurrentIndex(0)
    panel.show_chosen(0)
    panel.overlaid.setCurrentIndex(len(result.views))
    shoot(viewer, "atom_viewer_counts")
    panel.overlaid.setCurrentIndex(0)
    look_along(viewer, oblique_direction((0, 0, 1)))
    panel.normal.setCurrentText("1 1 1")
    panel.cutting.setChecked(True)
    panel.colour.setCurrentText("plane")
    shoot(viewer, "atom_viewer_cut")
    viewer.close()

    viewer = viewers.view_atoms(core_shell(), show=False)
    dock = next(iter(viewer.window.dock_widgets.values()))
    panel = dock.controls
    shoot(viewer, None)
    panel.face.click()
    shoot(viewer, "atom_viewer_species")
    viewer.close()

    viewer = napari.Viewer(show=False)
    viewer.window.resize(1280, 860)
    viewer.open(str(folder), plugin="stemcount")
    shoot(viewer, "result_folder")
    viewer.close()

    viewer = napari.Viewer(show=False)
    viewer.window.resize(1280, 860)
    for data, properties, _ in sample_110():
        viewer.add_image(data, **properties)
    bench = ColumnWorkbench(viewer)
    viewer.window.add_dock_widget(bench, area="right", name="Column workbench")
    bench.refit()
    wait(bench)
    wait(bench)  # counting follows the fit
    if bench.columns is not None:
        bench.columns.selected_data = {len(bench.columns.data) // 2}
    shoot(viewer, "workbench")
    viewer.close()

    viewer = napari.Viewer(show=False)
    viewer.window.resize(1100, 760)
    widget = RunWidget(viewer)
    viewer.window.add_dock_widget(widget, area="right", name="Reconstruct a particle")
    for name in ("au_001", "au_100", "au_110"):
        with as_file(files("sample_images").joinpath(f"{name}.hspy")) as path:
            widget.add_image(path)
            widget.table.item(widget.table.rowCount() - 1, 0).setText(path.name)
    shoot(viewer, "run_widget")
    viewer.close()


def wait(widget: Any, seconds: float = 300.0) -> None:
    """Let the window work until the widget's thread is done."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while widget.worker is not None and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.02)


def shoot(viewer: Any, name: str | None) -> None:
    """Screenshot of a whole window; the first one only makes napari draw."""
    viewer.screenshot(canvas_only=False, flash=False)
    if name is None:
        return
    save_small(FIGURES / f"{name}.png", viewer.screenshot(canvas_only=False, flash=False))


def main() -> None:
    """Draw all pictures from the result folder named on the command line."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo_result")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    print(f"{folder}: {summary['atoms']['atoms']} atoms")
    FIGURES.mkdir(exist_ok=True)
    result = tomo.load_reconstruction(folder)
    overview(result)
    for name in ("au_110_histogram", "reprojections", "certainty"):
        save_small(FIGURES / f"{name}.png", imageio.imread(folder / "figures" / f"{name}.png"))
    windows(folder, result)


if __name__ == "__main__":
    main()
