"""What the images of core-shell particles tell of the core: planted islands, layers, composition, interfaces.

    python benchmarks/core_shell_observables.py                  # all particles
    python benchmarks/core_shell_observables.py --only shifted   # those whose description holds the word

Particles with planted incomplete layers (`tomo.core_shell_particle`), seen in three simulated images
(`stemcount.simulate_compound`), are reconstructed from images and project file alone. Printed for each:
planted islands found (at least 80 % of the atoms in common), how far the occupancies of their layers are off,
and those of all listed layers against the true crystal's; size and place of the core; and the shift of the Se
sublattice and of the cations at the {111} interfaces, with its error. One particle has the atoms in front of
one {111} facet displaced along it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import DATA
from core_shell import AXES, PBSE_IN_CDSE, Case, Images, multislice, write_project

import stemcount
import tomo
from stemcount.cli.pipeline import run_project
from tomo.observables import Facet, core_geometry, facets

A = 6.07
PLANTED_SHIFT = 0.4  # [A]
GIVEN = 150  # particles whose facets are judged from the true atoms
MIN_PLACES = 6  # layers with fewer are not compared: one atom more or less is over 10 %


def images_of(
    particle: tomo.CoreShellParticle, positions: np.ndarray, dose: float, spread: float, seed: int
) -> list[stemcount.ZoneAxisImage]:
    """Three images in random rotations, pixels and noise."""
    rng = np.random.default_rng(seed)
    return [
        stemcount.simulate_compound(
            particle.species,
            positions,
            axis,
            dose=dose,
            seed=seed,
            pixel_size=float(rng.uniform(0.14, 0.22)),
            width={"Pb": 0.45, "Se": 0.47, "Cd": 0.47},
            tail=(0.15, 2.0),
            spread=spread,
            angle=float(rng.uniform(0, 360)),
            name=name,
        )[0]
        for name, axis in AXES.items()
    ]


def displaced(particle: tomo.CoreShellParticle) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Positions with all atoms in front of one {111} facet moved along it, and the facet's normal."""
    facet = next(
        f
        for f in facets(particle.sites[0])
        if f.family == "111" and np.dot(f.normal, (1, 1, 0)) == 0 and not f.islands
    )
    axis = np.array(facet.normal) / np.sqrt(3)
    along = np.cross(axis, np.array([1, 1, 0]) / np.sqrt(2))
    height = 2 * particle.positions @ axis / A - facet.layers[0].index / np.sqrt(3)
    return particle.positions + np.where(height[:, None] > 0.3, PLANTED_SHIFT * along, 0.0), facet.normal


def layers_of(found: tuple[Facet, ...]) -> dict[tuple[tuple[int, int, int], int], float]:
    """Completeness of every listed layer by facet and index."""
    return {(f.normal, x.index): x.completeness for f in found for x in f.layers if x.room >= MIN_PLACES}


def compare(result: tomo.Reconstruction, core: np.ndarray, others: np.ndarray) -> str:
    """Layers, size and place of the core of a result against the true atoms (others in the core's frame)."""
    match = tomo.compare_sites(result.occupied(), core)
    sites = match.to_true_frame(result.sites)
    listed, right = layers_of(facets(sites, result.certainty)), layers_of(facets(core))
    both = listed.keys() & right.keys()
    gaps = np.array([abs(listed[key] - right[key]) for key in both])
    text = f"wrong {100 * match.wrong_fraction:.2f} %"
    text += f"; {len(both)} of {len(right)} true layers listed, {len(listed.keys() - right.keys())} others"
    text += f", completeness off by {100 * gaps.mean():.1f} points on average, {100 * gaps.max():.0f} at most"
    text += f", {np.count_nonzero(gaps > 0.1)} by more than 10"
    around = [c.occupied() + np.array(c.offset) for c in result.companions]
    placed = np.concatenate(around) @ match.operation.T + match.shift
    one, two = core_geometry(sites, placed, result.certainty), core_geometry(core, others)
    error = np.linalg.norm(one.offset - two.offset) * A / 2
    return (
        text
        + f"; core's place off by {error:.2f} A, diameter by {abs(one.diameter - two.diameter) * A / 2:.2f} A"
    )


def planted(result: tomo.Reconstruction, particle: tomo.CoreShellParticle) -> str:
    """Planted islands that were found, and how far the occupancies of their layers are off."""
    match = tomo.compare_sites(result.occupied(), particle.sites[0])
    found = facets(match.to_true_frame(result.sites), result.certainty)
    listed = layers_of(found)
    islands = [{tuple(s) for s in i.sites.tolist()} for f in found for i in f.islands]
    hits, off = 0, []
    for layer in particle.planted:
        want = {tuple(s) for s in layer.sites.tolist()}
        hits += any(len(want & have) >= 0.8 * max(len(want), len(have)) for have in islands)
        index = int(layer.sites[0] @ np.array(layer.normal))
        off.append(abs(listed.get((layer.normal, index), 0.0) - layer.occupancy))
    points = ", ".join(f"{100 * o:.0f}" for o in off)
    return f"planted islands found {hits}/{len(particle.planted)}, occupancies off by {points} points"


def shifts(folder: Path) -> str:
    """Shifts at the {111} interfaces as the summary holds them, with their errors in hundredths."""
    rows = json.loads((folder / "summary.json").read_text())["interfaces"]
    parts = []
    for name in ("Se", "Pb -> Cd"):
        values = [row["shifts"][name] for row in rows if name in row["shifts"]]
        text = ", ".join(f"{abs(v['lateral_A']):.2f}({100 * v['lateral_std_A']:.0f})" for v in values)
        parts.append(f"{name} {text or 'not seen'}")
    return "; ".join(parts)


def main() -> None:
    """Measure all particles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", help="a word of the description")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.only in "given atoms":
        given_atoms()
    for dose in ("1e5", "1e4"):
        label = f"multislice, {dose} e/A^2"
        if options.only not in label or not DATA.is_dir():
            continue
        images, truth = multislice(dose)
        core = np.rint(truth["Pb"]).astype(np.int64)
        others = np.concatenate([truth["Se"], truth["Cd"]])
        measure(label, images, 6.10, lambda r, c=core, o=others: compare(r, c, o))
    crystal = tomo.core_shell(tomo.rock_salt("Pb", "Se", A), tomo.zinc_blende("Cd", "Se", A), "Pb")
    offsets = [np.array(s.offset) for s in crystal.sublattices]
    cases = (
        ("dot", 350, 1e5, 0.0),
        ("rod", 250, 1e5, 0.0),
        ("dot", 550, 1e5, 0.05),
        ("rod", 250, 1e4, 0.05),
        ("dot", 750, 1e5, 0.0),
    )
    for seed, (shape, size, electrons, spread) in enumerate(cases):
        moved = seed == len(cases) - 1
        particle = tomo.core_shell_particle(crystal, size, 7.0, shape=shape, aspect=1.6, seed=20 + seed)
        label = f"{shape}, {len(particle.sites[0])} Pb, {electrons:.0e} e/A^2"
        label += f", equal columns scatter by {100 * spread:.0f} %" if spread else ""
        label += f", shifted {PLANTED_SHIFT} A" if moved else ""
        if options.only not in label:
            continue
        positions = displaced(particle)[0] if moved else particle.positions
        others = np.concatenate([s + o for s, o in zip(particle.sites[1:], offsets[1:], strict=True)])
        measure(
            label,
            images_of(particle, positions, electrons, spread, seed),
            A,
            lambda r, p=particle, o=others: f"{planted(r, p)}; {compare(r, p.sites[0], o)}",
        )


def given_atoms() -> None:
    """What the facets say where every atom is known: planted layers, and islands that nobody planted."""
    crystal = tomo.core_shell(tomo.rock_salt("Pb", "Se", A), tomo.zinc_blende("Cd", "Se", A), "Pb")
    hits, far, layers, beside, clean = 0, 0, 0, 0, 0
    for seed in range(GIVEN):
        size = (200, 350, 700)[seed % 3]
        particle = tomo.core_shell_particle(crystal, size, 7.0, seed=5000 + seed)
        found = facets(particle.sites[0])
        listed = layers_of(found)
        islands = [{tuple(s) for s in i.sites.tolist()} for f in found for i in f.islands]
        wanted = [{tuple(s) for s in layer.sites.tolist()} for layer in particle.planted]
        hits += sum(want in islands for want in wanted)
        beside += sum(not any(have & want for want in wanted) for have in islands)
        layers += len(wanted)
        for layer in particle.planted:
            index = int(layer.sites[0] @ np.array(layer.normal))
            far += abs(listed.get((layer.normal, index), 0.0) - layer.occupancy) > 0.1
        plain = tomo.core_shell_particle(crystal, size, 7.0, islands=0, seed=5000 + seed)
        clean += sum(len(facet.islands) for facet in facets(plain.sites[0]))
    print(
        f"given atoms: {hits} of {layers} planted layers found exactly, {far} occupancies off by more than 10"
        f" points; islands that were not planted: {beside / GIVEN:.2f} a particle beside planted ones,"
        f" {clean / GIVEN:.2f} on polyhedra without"
    )


def measure(label: str, images: Images, a: float, judge: Callable[[tomo.Reconstruction], str]) -> None:
    """Reconstruct from images and project file, and print what the judge says and the shifts."""
    case = Case("", PBSE_IN_CDSE.format(a=a), lambda: ([], {}), {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = write_project(case, images, folder, "")
        start = time.process_time()
        try:
            result = run_project(project, folder / "out", progress=False, figures=False)
        except (stemcount.InputError, tomo.InputError) as error:
            print(f"{label}: refused: {error}", flush=True)
            return
        seconds = time.process_time() - start
        print(f"{label}: {judge(result)}; {seconds:.0f} CPU s", flush=True)
        print(f"    lateral shifts, A: {shifts(folder / 'out')}", flush=True)


if __name__ == "__main__":
    main()
