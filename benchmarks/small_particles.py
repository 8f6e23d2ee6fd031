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

"told" are the wrong atoms that the program expects, of `anneal` by chains that go on from its runs.
Certainties are compared on the unsure sites: those that either method puts more than 2 % from the truth.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from common import certainty_at, in_brackets
from numpy.typing import NDArray

import stemcount
import tomo
from stemcount.cli.pipeline import run_images
from tomo.annealing.chosen_start import calibrated
from tomo.energy.layout import layout_of
from tomo.grid import SiteIndex

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


def images_of(
    sites: Sites,
    axes: Sequence[tuple[int, int, int]],
    a: float,
    rng: np.random.Generator,
    dose: float,
    width: float,
    atom_cross_section: float,
    channelling: float,
    background: float,
) -> tuple[stemcount.ZoneAxisImage, ...]:
    """Images along zone axes, turned at random, on random pixels; the rest is as for `simulate_crystal`."""
    return tuple(
        stemcount.simulate_crystal(
            sites * a / 2,
            axis,
            pixel_size=rng.uniform(0.1, 0.22),
            seed=int(rng.integers(10**6)),
            angle=rng.uniform(0, 360),
            name=f"view{n}",
            dose=dose,
            width=width,
            atom_cross_section=atom_cross_section,
            channelling=channelling,
            background=background,
        )[0]
        for n, axis in enumerate(axes)
    )


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
    images = images_of(sites, axes, a, rng, dose, width, v1, channelling, background)
    name = f"{number:3d} {shape:8s} {len(sites):4d} {species} {in_brackets(axes):16s} {dose:7.0f}"
    return Particle(name, sites, {"structure": "fcc", "species": [species], "a": a}, images)


def in_frame_of(result: tomo.Reconstruction, true: Sites) -> Sites:
    """The true atoms in the frame of a reconstruction."""
    found = tomo.compare_sites(result.occupied(0.5), true)
    return (true - found.shift) @ found.operation


def cause(result: tomo.Reconstruction, true: Sites) -> str:
    """Why a crystal is not the true one, as at the top of this module."""
    problem = tomo.build_problem(result.views, strict=False)
    costs = calibrated(problem, layout_of(problem), result.seed)

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


@dataclass(frozen=True, eq=False)
class Score:
    """What a method says of a particle.

    Attributes
    ----------
    certainty, there : (n,) float, (n,) bool
        Of its sites, and the truth.
    told : float
        Wrong atoms that the program expects.
    warned : bool
        Whether it warns of them.
    """

    certainty: NDArray[np.float64]
    there: NDArray[np.bool_]
    told: float
    warned: bool

    @property
    def wrong(self) -> int:
        """Number of wrong atoms."""
        return int(((self.certainty >= 0.5) != self.there).sum())


def measure(particle: Particle) -> dict[str, Score]:
    """Reconstruct a particle, print what is wrong, and return what each method says."""
    start = time.process_time()
    try:
        results = {"anneal": run_images(particle.images, particle.crystal)}
    except (stemcount.InputError, tomo.InputError) as error:
        print(f"{particle.name}  refused: {error}", flush=True)
        return {}
    results["sample"] = tomo.reconstruct(results["anneal"].views, method="sample")
    spent = time.process_time() - start
    annealed = results["anneal"]
    true = in_frame_of(annealed, particle.sites)
    sites = np.unique(np.concatenate([true, *(result.sites for result in results.values())]), axis=0)
    there = SiteIndex(true)(sites) >= 0
    scores, line = {}, particle.name
    for method, result in results.items():
        certainty = certainty_at(sites, result)
        wrong = (certainty >= 0.5) != there
        warned = any("expected to be wrong" in warning for warning in result.warnings)
        scores[method] = Score(certainty, there, result.diagnostics["expected_wrong"], warned)
        line += f" | {method} {wrong.sum():2d} wrong, told {scores[method].told:4.1f}"
        if wrong.any():
            false, missed = certainty[wrong & ~there], certainty[wrong & there]
            line += f" false {np.round(false, 2).tolist()} missed {np.round(missed, 2).tolist()}"
    if scores["anneal"].wrong:
        line += f" | {cause(annealed, true)}"
    print(f"{line} | {spent:.0f} s", flush=True)
    for warning in annealed.warnings:
        print(f"       {warning}", flush=True)
    return scores


def summary(found: list[dict[str, Score]]) -> None:
    """Wrong atoms, those expected and warned of, and how often unsure sites are occupied."""
    found = [scores for scores in found if scores]
    sure = [np.all([np.abs(s.certainty - s.there) < UNSURE for s in of.values()], axis=0) for of in found]
    for method in ("anneal", "sample"):
        scores = [of[method] for of in found]
        certainty = np.concatenate([s.certainty for s in scores])
        there = np.concatenate([s.there for s in scores])
        cases = [s for s in scores if s.wrong]
        print(
            f"\n{method}: {sum(s.wrong for s in scores)} wrong of {there.sum()} atoms in {len(cases)} of"
            f" {len(found)} particles, told {sum(s.told for s in scores):.1f};"
            f" {sum(not s.warned for s in cases)} of these particles without a warning,"
            f" {sum(s.warned and not s.wrong for s in scores)} of the others with one;"
            f" stated certain (0.98) and wrong: {np.sum(np.abs(certainty - there) > 0.98)} sites"
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
