"""Small particles from images alone: what is wrong with them, why, and how sure the program was of it.

    python benchmarks/small_particles.py                        # 48 particles, some 6 CPU minutes
    python benchmarks/small_particles.py --seed 2 --particles 24

Balls and random particles of `tomo.phantoms` of 40-300 atoms of six metals, two or three views, 1e4-1e5
e/A^2, Gaussian columns; lattice, rotations, pixels, widths and channelling drawn from the seed. Both methods
look at the same settled views. What is wrong with a particle is put down to one of these:

columns    an atom stands where the views have no column: it was missed, or a view is out of place
counts     the crystal that was found explains the cross-sections better than the true one, by 3 log units
search     the true crystal has a lower energy than the lowest of all runs
vote       a run ends in a better crystal than the one that is shown
ambiguous  the true crystal explains the cross-sections as well and has a higher energy: the edges decide

`runs` is the share of the annealing runs that hold a site, instead of the share of their ballots. Certainties
are compared on the unsure sites: those that any of the three puts more than 2 % from the truth.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

import stemcount
import tomo
from stemcount.cli.pipeline import run_images
from tomo.calibrate import calibrate
from tomo.grid import SiteIndex
from tomo.layout import layout_of
from tomo.start import start_occupancy

Axis = tuple[int, int, int]
Sites = NDArray[np.int64]
SPECIES = {"Cu": 3.61, "Pt": 3.92, "Pd": 3.89, "Au": 4.08, "Ag": 4.09, "Pb": 4.95}
SHAPES = ("ball", "faceted", "stepped", "rough")
AXES: tuple[tuple[Axis, ...], ...] = (
    ((0, 0, 1), (1, 1, 0)),
    ((1, 0, 0), (1, 1, 0)),
    ((1, 0, 0), (0, 1, 0), (1, 1, 0)),
    ((1, 0, 1), (1, 1, 0)),
    ((1, 0, 0), (0, 1, 0)),
    ((1, 1, 0), (0, 1, 1), (1, 0, 0)),
)
CLEARLY = 3.0  # log units
UNSURE = 0.02


@dataclass(frozen=True, eq=False)
class Particle:
    """A particle and the images of it."""

    name: str
    sites: Sites
    crystal: dict[str, object]
    images: tuple[stemcount.ZoneAxisImage, ...]


def ball(n_atoms: int, rng: np.random.Generator) -> Sites:
    """A ball about any point of the cell, peeled and with islands."""
    radius = (3 * 2 * n_atoms / (4 * np.pi)) ** (1 / 3)
    grid = np.argwhere(np.ones((25, 25, 25), dtype=bool)) - 12
    grid = grid[grid.sum(axis=1) % 2 == 0]
    sites = grid[np.linalg.norm(grid - rng.uniform(0, 1, 3), axis=1) <= radius]
    sites = tomo.phantoms.add_islands(tomo.phantoms.peel(sites, rng, 0.3), rng, 0.06)
    return tomo.phantoms.one_piece(sites)


def particle_of(number: int, seed: int) -> Particle:
    """Particle ``number`` of a seed, with its images."""
    rng = np.random.default_rng([seed, number])
    shape, axes = SHAPES[number % len(SHAPES)], AXES[number % len(AXES)]
    atoms = int(np.exp(rng.uniform(np.log(60), np.log(300))))
    sites = (
        ball(atoms, rng)
        if shape == "ball"
        else tomo.phantoms.random_particle(atoms, shape, seed=int(rng.integers(10**6)))
    )
    species = str(rng.choice(list(SPECIES)))
    a = SPECIES[species] * rng.uniform(0.995, 1.005)
    dose, width, channelling = 10 ** rng.uniform(4, 5), rng.uniform(0.45, 0.6), rng.uniform(0.85, 1.0)
    v1, background = rng.uniform(0.02, 0.06), rng.uniform(0.0, 0.05)
    images = tuple(
        stemcount.simulate_crystal(
            sites * a / 2,
            axis,
            pixel_size=rng.uniform(0.1, 0.22),
            dose=dose,
            seed=int(rng.integers(10**6)),
            width=width,
            atom_cross_section=v1,
            channelling=channelling,
            background=background,
            angle=rng.uniform(0, 360),
            name=f"view{n}",
        )[0]
        for n, axis in enumerate(axes)
    )
    seen = "".join("[" + "".join(map(str, axis)) + "]" for axis in axes)
    name = f"{number:3d} {shape:8s} {len(sites):4d} {species} {seen:16s} {dose:7.0f}"
    return Particle(name, sites, {"structure": "fcc", "species": [species], "a": a}, images)


def in_frame_of(result: tomo.Reconstruction, true: Sites) -> Sites:
    """The true atoms in the frame of a reconstruction."""
    found = tomo.compare_sites(result.occupied(0.5), true)
    return (true - found.shift) @ found.operation


def certainty_at(sites: Sites, result: tomo.Reconstruction) -> NDArray[np.float64]:
    """Certainty of given sites; 0 where the result lists none."""
    row = SiteIndex(result.sites)(sites)
    return np.where(row >= 0, result.certainty[row], 0.0)


def cause(result: tomo.Reconstruction, true: Sites) -> str:
    """Why a crystal is not the true one, as at the top of this module."""
    problem = tomo.build_problem(result.views, strict=False)
    seed = np.random.SeedSequence(result.seed, spawn_key=(1,))
    costs = calibrate(problem, layout_of(problem), start_occupancy(problem), seed)

    def occupancy(sites: Sites) -> NDArray[np.bool_]:
        rows = SiteIndex(problem.sites)(sites)
        occupied = np.zeros(problem.n_sites, dtype=bool)
        occupied[rows[rows >= 0]] = True
        return occupied

    truth = occupancy(true)
    if truth.sum() < len(true):
        return "columns"
    weighed = replace(problem, table=costs.table)
    found = occupancy(result.occupied(0.5))
    energy, shown = (weighed.energy(s, *costs.prior) for s in (truth, found))
    lowest = min(result.energy)
    if weighed.misfit(truth) > weighed.misfit(found) + CLEARLY:
        return f"counts ({weighed.misfit(truth) - weighed.misfit(found):+.1f})"
    if energy < lowest - 1e-6:
        return f"search ({energy - lowest:+.1f})"
    if energy < shown - 1e-6 or shown > lowest + CLEARLY:
        return f"vote (true {energy - lowest:+.1f}, shown {shown - lowest:+.1f})"
    return f"ambiguous ({energy - shown:+.1f}, counts {weighed.misfit(truth) - weighed.misfit(found):+.1f})"


def measure(particle: Particle) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Reconstruct a particle, print what is wrong, and return certainties and truth of its sites."""
    start = time.process_time()
    try:
        results = {"anneal": run_images(particle.images, particle.crystal)}
    except (stemcount.InputError, tomo.InputError) as error:
        print(f"{particle.name}  refused: {error}", flush=True)
        return {}
    results["sample"] = tomo.reconstruct(results["anneal"].views, method="sample")
    spent = time.process_time() - start
    annealed = results["anneal"]
    results["runs"] = replace(annealed, certainty=annealed.runs.mean(axis=0))
    true = in_frame_of(annealed, particle.sites)
    sites = np.unique(np.concatenate([true, *(result.sites for result in results.values())]), axis=0)
    there = SiteIndex(true)(sites) >= 0
    scores, line = {}, particle.name
    for method, result in results.items():
        certainty = certainty_at(sites, result)
        wrong = (certainty >= 0.5) != there
        scores[method] = certainty, there
        line += (
            f" | {method} {wrong.sum():2d} wrong, expected {np.minimum(certainty, 1 - certainty).sum():4.1f}"
        )
        if wrong.any():
            false, missed = certainty[wrong & ~there], certainty[wrong & there]
            line += f" false {np.round(false, 2).tolist()} missed {np.round(missed, 2).tolist()}"
    if ((scores["anneal"][0] >= 0.5) != there).any():
        line += f" | {cause(annealed, true)}"
    print(f"{line} | {spent:.0f} s", flush=True)
    for warning in annealed.warnings:
        print(f"       {warning}", flush=True)
    return scores


def summary(found: list[dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]]) -> None:
    """Wrong atoms and those expected, and how often unsure sites are occupied."""
    found = [scores for scores in found if scores]
    sure = [np.all([np.abs(c - t) < UNSURE for c, t in scores.values()], axis=0) for scores in found]
    for method in ("anneal", "runs", "sample"):
        certainty = np.concatenate([scores[method][0] for scores in found])
        there = np.concatenate([scores[method][1] for scores in found])
        wrong = (certainty >= 0.5) != there
        cases = sum(bool(((s[method][0] >= 0.5) != s[method][1]).any()) for s in found)
        print(
            f"\n{method}: {wrong.sum()} wrong of {there.sum()} atoms in {cases} of {len(found)} particles,"
            f" expected {np.minimum(certainty, 1 - certainty).sum():.1f};"
            f" stated certain (0.98) and wrong: {np.sum(np.abs(certainty - there) > 0.98)}"
        )
        unsure = ~np.concatenate(sure)
        score = -np.log(np.where(there, certainty, 1 - certainty).clip(0.01))[unsure].mean()
        print(f"  {unsure.sum()} unsure sites, mean -ln P (at least 0.01) {score:.3f}; stated, true, sites:")
        edges = [0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.001]
        for low, high in pairwise(edges):
            at = unsure & (certainty >= low) & (certainty < high)
            if at.any():
                print(f"    {certainty[at].mean():.2f} {there[at].mean():.2f} {at.sum():4d}")


def main() -> None:
    """Measure all particles of a seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--particles", type=int, default=48)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    summary([measure(particle_of(n, options.seed)) for n in range(options.particles)])


if __name__ == "__main__":
    main()
