"""How fast the viewers are with large crystals, in software rendering.

Aim: 250,000 atoms, first picture under 10 s, a camera step under 2 s.

    python benchmarks/large_crystal_views.py [ATOMS]

Needs a display for the napari part; under ``xvfb-run -a`` napari draws in software.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import tomo
import viewers
from viewers.atom_data import Selection, visible
from viewers.atom_table import atom_table
from viewers.geometry import view_rotation
from viewers.screenshot import AtomPicture

A = 4.08


def ball(atoms: int) -> tomo.Reconstruction:
    """A round crystal of about that many atoms, certain inside and doubtful on its surface."""
    radius = (3 * 2 * atoms / (4 * np.pi)) ** (1 / 3)  # half of the integer points are fcc sites
    n = int(radius) + 1
    grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1, dtype=np.int32)] * 3, indexing="ij"), -1).reshape(
        -1, 3
    )
    sites = grid[(grid.sum(axis=1) % 2 == 0) & (np.sum(grid**2, axis=1) <= radius**2)].astype(np.int64)
    rng = np.random.default_rng(0)
    depth = radius - np.linalg.norm(sites, axis=1)
    certainty = np.where(depth > 1.5, 1.0, rng.uniform(0.3, 1.0, len(sites)))
    view = tomo.View(zone_axis=(1, 1, 0), column_sites=np.array([[0, 0, 0]]), counts=np.array([1]))
    runs = rng.random((2, len(sites))) < certainty
    return tomo.Reconstruction(
        sites=sites,
        certainty=certainty,
        runs=runs,
        energy=np.zeros(2),
        views=(view,),
        method="sample",
        seed=0,
        edge_weight=1.0,
        crystal=tomo.fcc("Au", a=A),
    )


class Stopwatch:
    """Prints wall and CPU seconds of each step."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the next step."""
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def lap(self, what: str) -> None:
        """Print the step that ended, start the next."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(f"{what:52s} {wall:7.2f} s wall {cpu:7.2f} s CPU")
        self.start()


def without_display(result: tomo.Reconstruction, clock: Stopwatch) -> None:
    """Pictures, mesh and page, which need no display."""
    viewers.save_screenshot(ball(100), Path(tempfile.gettempdir()) / "warm.png", size=(100, 100))
    clock.start()
    shown = visible(atom_table(result), Selection())
    clock.lap(f"which atoms can be seen ({shown.sum()} of {len(shown)})")
    with tempfile.TemporaryDirectory() as folder:
        viewers.save_screenshot(result, Path(folder) / "atoms.png")
        clock.lap("screenshot 1200 x 900")
        picture = AtomPicture(result, (800, 640))
        clock.start()
        for axis in ((1, 0, 0), (3, 2, 1)):
            picture.draw(view_rotation(axis)[2])
            clock.lap("one frame of a movie, 800 x 640")
        for name in ("html", "glb", "csv"):
            path = viewers.export(result, Path(folder) / f"atoms.{name}")
            clock.lap(f"export {name} ({path.stat().st_size / 1e6:.1f} MB)")


def in_napari(result: tomo.Reconstruction, clock: Stopwatch) -> None:
    """First picture, camera steps and a threshold change in a napari window."""
    from viewers.atoms import look_along

    clock.start()
    viewer = viewers.view_atoms(result, show=False)
    viewer.screenshot(canvas_only=False, flash=False)
    clock.lap(f"napari: window and first picture, {len(viewer.layers[0].data)} drawn")
    for axis in ((1, 0, 0), (1, 1, 1), (3, 2, 1)):
        look_along(viewer, axis)
        viewer.screenshot(canvas_only=True, flash=False)
        clock.lap("napari: camera step")
    panel = next(iter(viewer.window.dock_widgets.values()))
    panel.threshold.setValue(0.8)
    viewer.screenshot(canvas_only=True, flash=False)
    clock.lap("napari: other threshold")
    viewer.close()


def main() -> None:
    """Measure with the number of atoms given on the command line, or 250,000."""
    result = ball(int(sys.argv[1]) if len(sys.argv) > 1 else 250_000)
    print(f"{len(result.sites)} atoms")
    clock = Stopwatch()
    without_display(result, clock)
    if os.environ.get("DISPLAY") or not sys.platform.startswith("linux"):
        in_napari(result, clock)
    else:
        print("napari: not measured, no display (run under xvfb-run -a)")


if __name__ == "__main__":
    main()
