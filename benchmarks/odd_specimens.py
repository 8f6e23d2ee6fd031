"""Specimens that are not what a project says: wrong atoms, those that are told, and what is refused.

    python benchmarks/odd_specimens.py [NAME ...] [--seeds 2] [--first 0]

Every case is a random particle with Gaussian columns, channelling and noise (2e4 e/A^2), two views unless it
says otherwise, and something that the program's model does not hold: a second element, a shell, a second
crystal, wrong zone axes. "Clean" ones have nothing wrong. NAME is a word of what the case is called.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from common import in_brackets
from numpy.typing import NDArray
from scipy import ndimage

import stemcount
import tomo
from stemcount.cli.pipeline import run_project
from tomo.grid import neighbour_table
from tomo.phantoms import random_particle

Axis = tuple[int, int, int]
Sites = NDArray[np.int64]
Floats = NDArray[np.float64]

A, V1, LIGHT = 4.08, 0.04, 0.41  # A; A^2 of an atom; brightness of silver in units of gold's, (47 / 79)^1.7
DOSE, WIDTH, PIXEL, CHANNELLING = 2e4, 0.55, 0.18, 0.9
TWO: tuple[Axis, ...] = ((1, 1, 0), (1, 0, 0))
THREE: tuple[Axis, ...] = ((1, 1, 0), (1, 0, 0), (0, 1, 0))


@dataclass(frozen=True)
class Specimen:
    """Atoms of a case and how bright each is; glow is that of an amorphous shell [share of a column]."""

    atoms: Sites
    brightness: Floats
    shell: float = 0.0


@dataclass(frozen=True)
class Case:
    """A specimen, the axes it is seen along, and what the project says of them."""

    make: Callable[[np.random.Generator, int], Specimen]
    axes: tuple[Axis, ...] = TWO
    said: tuple[Axis, ...] | None = None
    settings: str = ""
    mirrored: int | None = None


def particle(rng: np.random.Generator, seed: int, n_atoms: int | None = None) -> Specimen:
    """A rough, stepped or faceted particle of one element."""
    kind = ("rough", "stepped", "faceted")[seed % 3]
    sites = random_particle(n_atoms or int(rng.choice([350, 500, 700, 1000])), kind, 60_000 + seed)
    return Specimen(sites, np.ones(len(sites)))


def alloy(share: float) -> Callable[[np.random.Generator, int], Specimen]:
    """Silver on a share of the sites of a gold particle, at random."""

    def make(rng: np.random.Generator, seed: int) -> Specimen:
        found = particle(rng, seed)
        light = rng.random(len(found.atoms)) < share
        return replace(found, brightness=np.where(light, LIGHT, 1.0))

    return make


def silver_shell(rng: np.random.Generator, seed: int) -> Specimen:
    """A gold particle whose outermost two layers of sites are silver."""
    found = particle(rng, seed)
    neighbours = neighbour_table(found.atoms)
    outer = (neighbours < 0).any(axis=1)
    second = outer | (np.append(outer, True)[neighbours] & (neighbours >= 0)).any(axis=1)
    return replace(found, brightness=np.where(second, LIGHT, 1.0))


def amorphous(rng: np.random.Generator, seed: int) -> Specimen:
    """A particle in a shell of amorphous matter."""
    return replace(particle(rng, seed), shell=1 / 3)


def layers(rng: np.random.Generator, seed: int) -> Specimen:
    """Two layers of (001)."""
    sites = np.stack(np.meshgrid(np.arange(-20, 21), np.arange(-20, 21), [0, 1], indexing="ij"), -1)
    sites = sites[sites.sum(axis=-1) % 2 == 0]
    sites = sites[np.hypot(*(sites[:, :2] / rng.uniform(6, 10, 2)).T) < 1]
    return Specimen(sites, np.ones(len(sites)))


def cage(rng: np.random.Generator, seed: int) -> Specimen:
    """A particle whose inside is gone: two to three layers of its surface are left."""
    sites = particle(rng, seed, 1000).atoms
    left = sites
    for _ in range(2):
        left = left[(neighbour_table(left) >= 0).all(axis=1)]
    kept = {tuple(s) for s in left.tolist()}
    shell = np.array([s for s in sites.tolist() if tuple(s) not in kept])
    return Specimen(shell, np.ones(len(shell)))


def rod(rng: np.random.Generator, seed: int) -> Specimen:
    """A rod, four times as long as wide."""
    sites = random_particle(int(rng.choice([300, 500, 700])), "rod", 60_000 + seed)
    return Specimen(sites, np.ones(len(sites)))


CASES = {
    "clean": Case(particle),
    "clean three": Case(particle, THREE),
    "alloy 30": Case(alloy(0.3)),
    "alloy 50": Case(alloy(0.5)),
    "alloy 10": Case(alloy(0.1)),
    "alloy 10 three": Case(alloy(0.1), THREE),
    "silver shell": Case(silver_shell),
    "silver shell three": Case(silver_shell, THREE),
    "amorphous shell": Case(amorphous),
    "layers": Case(layers),
    "layers [001][101]": Case(layers, ((0, 0, 1), (1, 0, 1))),
    "cage": Case(cage),
    "cage vacancies": Case(cage, settings="[reconstruction]\nvacancies = true\n"),
    "cage three vacancies": Case(cage, THREE, settings="[reconstruction]\nvacancies = true\n"),
    "rod [110][101]": Case(rod, ((1, 1, 0), (1, 0, 1))),
    "axis [-1-10] as [110]": Case(particle, ((-1, -1, 0), (1, 0, 0)), TWO),
    "mirrored [110]": Case(particle, mirrored=0),
}


def images_of(case: Case, specimen: Specimen, rng: np.random.Generator) -> list[stemcount.ZoneAxisImage]:
    """Images as a microscope would record them."""
    images = []
    for n, axis in enumerate(case.axes):
        how = {"pixel_size": PIXEL, "width": WIDTH, "border": 12.0 if specimen.shell else 6.0}
        image, truth = stemcount.simulate_crystal(
            specimen.atoms * A / 2,
            axis,
            dose=None,
            atom_cross_section=V1 * specimen.brightness,
            channelling=CHANNELLING,
            angle=float(rng.uniform(0, 360)),
            name=f"view{n}",
            **how,
        )
        data = image.data
        if specimen.shell:
            rows, cols = np.rint(np.column_stack([truth["y"], truth["x"]]) / PIXEL).astype(int).T
            occupied = np.zeros(data.shape)
            occupied[rows, cols] = 1
            near = ndimage.distance_transform_edt(occupied == 0) * PIXEL < 7.0
            height = specimen.shell * np.median(truth["cross_section"]) / (2 * np.pi * WIDTH**2)
            data = data + height * ndimage.gaussian_filter(near.astype(float), 1.0 / PIXEL)
        data = rng.poisson(data * DOSE * PIXEL**2) / (DOSE * PIXEL**2)
        images.append(replace(image, data=data[:, ::-1] if n == case.mirrored else data, dose=DOSE))
    return images


def measure(name: str, seed: int) -> str:
    """Run one case; a line that says how it ended."""
    case = CASES[name]
    rng = np.random.default_rng([seed, *name.encode()])
    specimen = case.make(rng, seed)
    start = time.process_time()
    head = f"{name:22s} {in_brackets(case.axes):16s} {seed:3d} {len(specimen.atoms):5d} atoms"
    with tempfile.TemporaryDirectory() as folder:
        text = f'[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = {A}\n{case.settings}'
        for n, image in enumerate(images_of(case, specimen, rng)):
            stemcount.save_image(image, Path(folder) / f"view{n}.hspy")
            axis = list((case.said or case.axes)[n])
            text += f'[[image]]\nfile = "view{n}.hspy"\nzone_axis = {axis}\n'
        project = Path(folder) / "project.toml"
        project.write_text(text)
        try:
            result = run_project(project, Path(folder) / "out", progress=False, figures=False)
        except (stemcount.InputError, tomo.InputError) as error:
            return f"{head}  refused: {error}"
        summary = json.loads((Path(folder) / "out" / "summary.json").read_text())
    found = tomo.compare_sites(result.occupied(0.5), specimen.atoms)
    told = result.diagnostics["expected_wrong"]
    wrong = found.missed + found.false
    views = summary["registration"]["atoms_of_each_view"]
    line = (
        f"{head}  found {len(result.occupied(0.5)):5d}, wrong {wrong:4d} ({100 * found.wrong_fraction:.1f} %)"
        f" told {told:6.1f}; views {', '.join(f'{n:.0f} +- {std:.0f}' for n, std in views)}"
        f"  {time.process_time() - start:.0f} CPU s"
    )
    return "\n      ".join([line, *summary["warnings"]])


def main() -> None:
    """Run the cases asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="words of the cases to run; all if none")
    parser.add_argument("--seeds", type=int, default=2, help="particles of each case")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in CASES:
        if not options.names or any(word in name for word in options.names):
            for seed in range(options.first, options.first + options.seeds):
                print(measure(name, seed), flush=True)


if __name__ == "__main__":
    main()
