"""From images and a project file alone to atoms: share of wrong atoms against the true structure.

    python benchmarks/end_to_end.py                # every case
    python benchmarks/end_to_end.py particle       # the cases whose name holds a word

Reads the multislice images of the reference data (STEMCOUNT_DATA, or ../shared/data beside the repository).
Wrong = (missed + false) / true atoms, in the frame of the best match (the images fix the crystal only up to
the symmetry of its lattice). Hard counts and the sampled posterior are printed beside the default.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from common import DATA, NO_DATA, calibration_error

import stemcount
import tomo
from stemcount.cli.pipeline import run_project
from tomo.grid import SiteIndex

AXES = {"001": (0, 0, 1), "010": (0, 1, 0), "100": (1, 0, 0), "110": (1, 1, 0)}
VARIANTS = (("anneal", "soft"), ("anneal", "hard"), ("sample", "soft"))


@dataclass(frozen=True)
class Case:
    """One set of images of the reference data."""

    name: str
    file: str
    images: tuple[tuple[str, str], ...]  # (zone, data set)
    bound: float  # acceptance, share of wrong atoms


def cases() -> list[Case]:
    """All cases, with the bound each has to meet."""
    zones = ("001", "100", "110")
    found = []
    for dose, bound in (("inf", 0.005), ("dose1e5_seed0", 0.005), ("dose1e4_seed0", 0.015)):
        images = tuple((zone, f"image_{dose}") for zone in zones)
        found.append(Case(f"particle, 3 views, {dose}", "au_particle.h5", images, bound))
    for left_out in zones:
        images = tuple((zone, "image_dose1e5_seed0") for zone in zones if zone != left_out)
        found.append(Case(f"particle, without {left_out}, 1e5", "au_particle.h5", images, 0.03))
    for dose in ("1e5", "1e4"):
        images = tuple((zone, f"image_distorted_dose{dose}_seed0") for zone in ("001", "110"))
        found.append(Case(f"tilted and distorted, {dose}", "au_particle_tilted.h5", images, 0.06))
    return found


def write_project(case: Case, folder: Path) -> tuple[Path, np.ndarray]:
    """Write a case's images and project file; return the project and the true sites."""
    with h5py.File(DATA / case.file) as file:
        a = float(file.attrs["lattice_a_A"])
        true = np.rint(2 * file["atoms/xyz_A"][:] / a).astype(int)
        text = f'[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = {a}\n'
        for zone, data_set in case.images:
            group = file[f"zone_{zone}"]
            data = group[data_set][:].astype(float)
            image = stemcount.ZoneAxisImage(data, float(group.attrs["pixel_A"]), AXES[zone], name=zone)
            stemcount.save_image(image, folder / f"au_{zone}.hspy")
            text += f'[[image]]\nfile = "au_{zone}.hspy"\nzone_axis = {list(AXES[zone])}\n'
    (folder / "project.toml").write_text(text)
    return folder / "project.toml", true


def measure(case: Case) -> None:
    """Run one case with every variant and print a line for each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project, true = write_project(case, folder)
        text = project.read_text()
        for method, counts in VARIANTS:
            project.write_text(text + f'[reconstruction]\ncounts = "{counts}"\nmethod = "{method}"\n')
            start = time.process_time()
            try:
                result = run_project(project, folder / "out", progress=False, figures=False)
            except (stemcount.InputError, tomo.InputError) as error:
                print(f"{case.name:34s} {method:7s} {counts:5s} refused: {error}")
                continue
            found = tomo.compare_sites(result.occupied(0.5), true)
            there = SiteIndex(true)(found.to_true_frame(result.sites)) >= 0
            error = calibration_error(result.certainty, there)
            verdict = "met" if found.wrong_fraction <= case.bound else "NOT MET"
            print(
                f"{case.name:34s} {method:7s} {counts:5s} {100 * found.wrong_fraction:6.2f} % wrong"
                f" ({found.missed} missed, {found.false} false; bound {100 * case.bound:.1f} %: {verdict})"
                f"  calibration error {error:.3f}  {time.process_time() - start:.1f} CPU s",
                flush=True,
            )


def main() -> None:
    """Run the cases whose name holds the given words."""
    if not DATA.is_dir():
        sys.exit(NO_DATA)
    warnings.simplefilter("ignore")
    for case in cases():
        if all(word in case.name for word in sys.argv[1:]):
            measure(case)


if __name__ == "__main__":
    main()
