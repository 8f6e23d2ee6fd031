"""Run the experimental nanorod of the reference data, print what was found, draw the pictures of its page.

    python docs/make_nanorod_figures.py FOLDER

FOLDER gets the two images, the project file and the result; finished stages that it holds are used
again. The data are read from STEMCOUNT_DATA, or ../shared/data beside the repository, and are not part of
it: the pictures show what was measured, not the images.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
from make_figures import save_small
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

import stemcount
import tomo
import viewers
from stemcount.cli.pipeline import run_project
from stemcount.cli.result_folder.tables import read_table
from viewers.style import colour_bar, count_colours, integer_ticks, new_figure, style

DATA = Path(os.environ.get("STEMCOUNT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FIGURES = Path(__file__).parent / "figures"
ZONES = ("100", "110")
NEAR = 0.6  # a published column is found if a fitted one lies so near [A]
EDGE = 3.0  # published columns nearer to an edge of the image are left aside [A]


def write_project(folder: Path) -> Path:
    """The two images as files and a project that names them; nothing else is told."""
    folder.mkdir(parents=True, exist_ok=True)
    text = '[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = 4.08\n'
    for zone in ZONES:
        rod = np.load(DATA / f"aurod_{zone}.npz")
        u, v, w = (int(c) for c in rod["zone_axis"])
        image = stemcount.ZoneAxisImage(
            rod["image"].astype(float), float(rod["pixel_size"]), (u, v, w), name=f"rod_{zone}"
        )
        if not (folder / f"rod_{zone}.hspy").exists():
            stemcount.save_image(image, folder / f"rod_{zone}.hspy")
        text += f'[[image]]\nfile = "rod_{zone}.hspy"\nzone_axis = [{u}, {v}, {w}]\n'
    path = folder / "nanorod.toml"
    path.write_text(text)
    return path


def compare_columns(result: Path, zone: str) -> dict[str, Any]:
    """Published columns that were found, and their counts in both."""
    rod = np.load(DATA / f"aurod_{zone}.npz")
    pixel, (rows, cols) = float(rod["pixel_size"]), rod["image"].shape
    true = rod["xy_px"] * pixel
    size = np.array([cols - 1, rows - 1]) * pixel
    inner = ((true > EDGE) & (true < size - EDGE)).all(axis=1)
    table = read_table(result / f"rod_{zone}" / "columns.csv", ("x", "y", "count"))
    places = np.column_stack([table["x"], table["y"]])
    away, nearest = cKDTree(places).query(true)
    spacing = float(np.median(cKDTree(true).query(true, k=2)[0][:, 1]))
    mutual = cKDTree(true).query(places)[1][nearest] == np.arange(len(true))
    found = away < NEAR
    both = found & np.isfinite(table["count"][nearest])
    ours, theirs = table["count"][nearest[both]], rod["count"][both].astype(float)
    return {
        "columns": len(table["x"]),
        "published": len(true),
        "found, edge aside [%]": 100 * float(found[inner].mean()),
        "one to one within half a spacing [%]": 100 * float((mutual & (away < spacing / 2))[inner].mean()),
        "atoms, ours / published": float(ours.sum() / theirs.sum()),
        "slope of counts": float(np.polyfit(theirs, ours, 1)[0]),
        "median difference": float(np.median(ours - theirs)),
        "counts equal [%]": 100 * float(np.mean(ours == theirs)),
        "counts within 1 [%]": 100 * float(np.mean(np.abs(ours - theirs) <= 1)),
        "planes": _plane_offset(table, nearest, found, rod["column_index"][:, 0]),
    }


def _plane_offset(table: Any, nearest: np.ndarray, found: np.ndarray, plane: np.ndarray) -> tuple[int, int]:
    """Direction and shift that take the published planes along the rod to ours, most columns agreeing."""
    named = found & np.isfinite(table["h"][nearest])
    sites = np.column_stack([table[k][nearest[named]] for k in "hkl"]).astype(int)
    trials = []
    for axis in range(3):
        for sign in (1, -1):
            values, number = np.unique(sites[:, axis] - sign * plane[named], return_counts=True)
            trials.append((int(number.max()), sign, int(values[number.argmax()])))
    return max(trials)[1:]


def figure_columns(result: Path) -> Figure:
    """Atoms in each column of both views, side by side."""
    with style():
        figure = new_figure(11.5, 5.4, equal_aspect=True)
        tables = [read_table(result / f"rod_{zone}" / "columns.csv", ("x", "y", "count")) for zone in ZONES]
        for axes, table, zone in zip(figure.subplots(1, 2), tables, ZONES, strict=True):
            top = int(np.nanmax(table["count"]))
            colormap, norm = count_colours(0, top)
            axes.scatter(table["x"], table["y"], c=table["count"], s=3.2, cmap=colormap, norm=norm, lw=0)
            axes.set(aspect="equal", xlabel="x (Å)", ylabel="y (Å)", title=f"[{zone}]: atoms in each column")
            axes.invert_yaxis()
            colour_bar(figure, axes, norm, colormap, "atoms", integer_ticks(0, top, 8))
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """The figure as it looks on the screen."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]


def main() -> None:
    """Run, compare, draw."""
    if not (DATA / "aurod_100.npz").exists():
        sys.exit(f"no aurod_100.npz in {DATA}; set STEMCOUNT_DATA")
    folder = Path(sys.argv[1])
    out = folder / "result"
    project = write_project(folder)
    result = (
        tomo.load_reconstruction(out)
        if (out / "atoms.xyz").exists()
        else run_project(project, out, workers=2)
    )
    summary = json.loads((out / "summary.json").read_text())
    for zone in ZONES:
        print(zone, compare_columns(out, zone))
    for name, seconds in summary["seconds"].items():
        print(f"{name:24s} {seconds['cpu']:8.1f} CPU s")
    spent = sum(seconds["cpu"] for seconds in summary["seconds"].values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"all stages {spent:.0f} CPU s; most memory of this process {memory:.1f} GiB")
    for key in ("atoms", "registration", "agreement", "warnings"):
        shown = json.dumps(summary[key])
        print(f"{key}: {shown[:1500]}")
    save_small(FIGURES / "nanorod_columns.png", pixels(figure_columns(out)))
    save_small(FIGURES / "nanorod_planes.png", pixels(viewers.figure_plane_sums(result)))
    save_small(FIGURES / "nanorod_reprojections.png", pixels(viewers.figure_reprojections(result)))
    save_small(FIGURES / "nanorod_atoms.png", pixels(viewers.figure_atoms(result)))


if __name__ == "__main__":
    main()
