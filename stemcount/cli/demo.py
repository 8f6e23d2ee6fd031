"""`stemcount demo`: the sample particle from its images to its atoms, compared with the truth."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

import tomo

from .pipeline import run_project
from .project import load_project
from .simulation import read_structure
from .tables import write_table


def run_demo(out: Path, seed: int | None = None, workers: int | None = None) -> tomo.Comparison:
    """Run the gold sample end to end, print how its atoms compare with the true ones.

    Parameters
    ----------
    out : Path
        Result folder; it also receives comparison.csv, the true sites with how each was found.
    seed, workers : int, optional
        As for `run_project`.
    """
    samples = Path(str(files("sample_images")))
    project = samples / "gold.toml"
    result = run_project(project, out, seed=seed, workers=workers)
    _, positions = read_structure(samples / "au_particle.xyz")
    true = np.rint(2 * positions / load_project(project).crystal.a).astype(np.int64)
    found = result.occupied(0.5)
    comparison = tomo.compare_sites(found, true)
    _write_comparison(out / "comparison.csv", comparison.to_true_frame(found), true)
    print(
        f"Truth: {comparison.n_true} atoms; missed {comparison.missed}, false {comparison.false}:"
        f" {100 * comparison.wrong_fraction:.2f} % wrong"
    )
    print(f"Results in {out}; look at them:  stemcount view {out}")
    return comparison


def _write_comparison(path: Path, found: np.ndarray, true: np.ndarray) -> None:
    """Every site that is in either crystal, in the true frame [a/2], with what became of it."""
    sets = {tuple(site) for site in found.tolist()}, {tuple(site) for site in true.tolist()}
    sites = np.array(sorted(sets[0] | sets[1]))
    status = [
        "right" if tuple(s) in sets[0] & sets[1] else "missed" if tuple(s) in sets[1] else "false"
        for s in sites.tolist()
    ]
    write_table(path, {"h": sites[:, 0], "k": sites[:, 1], "l": sites[:, 2], "status": status})
