"""Faint particles of light metals: what the light beside the found columns is worth.

    python benchmarks/faint_rim.py                        # 24 particles, some 8 CPU minutes
    python benchmarks/faint_rim.py --seed 2 --particles 12

Balls and random particles of `tomo.phantoms` of 150-800 atoms of aluminium, copper and nickel, two or three
views, 1e3-1e4 e/A^2 (aluminium 3e3-3e4), so that a column of one atom is 1-9 times as bright as its error.
Each is run as usual, then reconstructed again from the same settled views without the lines on which no
column was found: the atoms there are then missed for certain. Particles that come out more than 30 % wrong
without them, whose counts have another scale, are printed and not summed.

Log score: sum of -ln(probability of what is true), probabilities kept within 0.001-0.999. Middle: wrong atoms
expected and found among the sites of certainty 0.05-0.95.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from common import certainty_at, in_brackets
from numpy.typing import NDArray
from small_particles import AXES, SHAPES, Particle, ball, images_of, in_frame_of

import stemcount
import tomo
from stemcount.cli.pipeline import run_images
from tomo.grid import SiteIndex

METALS = {
    "Al": (4.05, 0.0035, 3.0),
    "Cu": (3.61, 0.011, 1.0),
    "Ni": (3.52, 0.0105, 1.0),
}  # a, A^2, of the dose
BAD = 0.3  # share of wrong atoms of a particle whose counts have another scale
SURE = 0.001
MIDDLE = 0.05
NAMES = ("missed", "false", "told", "log score", "expected in the middle", "wrong there")


def particle_of(number: int, seed: int) -> Particle:
    """Particle ``number`` of a seed, with its images."""
    rng = np.random.default_rng([seed, number, 77])
    shape, axes = SHAPES[number % len(SHAPES)], AXES[number % len(AXES)]
    atoms = int(np.exp(rng.uniform(np.log(150), np.log(800))))
    sites = (
        ball(atoms, rng)
        if shape == "ball"
        else tomo.phantoms.random_particle(atoms, shape, seed=int(rng.integers(10**6)))
    )
    species = str(rng.choice(list(METALS)))
    a, v1, more = METALS[species]
    a, v1 = a * rng.uniform(0.995, 1.005), v1 * rng.uniform(0.7, 1.5)
    dose = more * 10 ** rng.uniform(3, 4)
    width, channelling, background = rng.uniform(0.4, 0.55), rng.uniform(0.9, 1.0), rng.uniform(0.0, 0.01)
    images = images_of(sites, axes, a, rng, dose, width, v1, channelling, background)
    seen = v1 * dose / np.sqrt(v1 * dose + 4 * np.pi * width**2 * background * dose)
    name = f"{number:3d} {shape:8s} {len(sites):4d} {species} {in_brackets(axes):16s} {dose:6.0f} {seen:4.1f}"
    return Particle(name, sites, {"structure": "fcc", "species": [species], "a": a}, images)


def found_only(views: Sequence[tomo.View]) -> list[tomo.View]:
    """The views with the columns that were found, and no others."""
    return [
        replace(
            view,
            column_sites=view.column_sites[view.found],
            log_likelihood=None if view.log_likelihood is None else view.log_likelihood[view.found],
            unfound=None,
        )
        for view in views
    ]


def score(result: tomo.Reconstruction, true: NDArray[np.int64]) -> NDArray[np.float64]:
    """What `NAMES` says, of one result."""
    sites = np.unique(np.concatenate([true, result.sites]), axis=0)
    there = SiteIndex(true)(sites) >= 0
    certainty = certainty_at(sites, result)
    said = np.clip(certainty, SURE, 1 - SURE)
    shown = certainty >= 0.5
    middle = (certainty > MIDDLE) & (certainty < 1 - MIDDLE)
    return np.array(
        [
            np.sum(there & ~shown),
            np.sum(shown & ~there),
            result.diagnostics["expected_wrong"],
            -np.log(np.where(there, said, 1 - said)).sum(),
            np.minimum(certainty, 1 - certainty)[middle].sum(),
            np.sum((shown != there)[middle]),
        ]
    )


def measure(particle: Particle) -> NDArray[np.float64] | None:
    """Scores (2 methods, without and with, `NAMES`) of a particle; None where it is refused or bad."""
    try:
        usual = run_images(particle.images, particle.crystal)
    except (stemcount.InputError, tomo.InputError) as error:
        print(f"{particle.name}  refused: {error}", flush=True)
        return None
    true = in_frame_of(usual, particle.sites)
    lines = sum(int((~view.found).sum()) for view in usual.views)
    results = [
        [
            tomo.reconstruct(found_only(usual.views), method=method, strict=False),
            usual if method == "anneal" else tomo.reconstruct(usual.views, method=method, strict=False),
        ]
        for method in ("anneal", "sample")
    ]
    scores = np.array([[score(result, true) for result in pair] for pair in results])
    without, withal = scores[1]
    print(
        f"{particle.name} {lines:4d} lines | sample: wrong {without[0]:.0f} + {without[1]:.0f} ->"
        f" {withal[0]:.0f} + {withal[1]:.0f}, log score {without[3]:.1f} -> {withal[3]:.1f}"
        f" | anneal: {scores[0, 0, 0]:.0f} + {scores[0, 0, 1]:.0f} ->"
        f" {scores[0, 1, 0]:.0f} + {scores[0, 1, 1]:.0f}",
        flush=True,
    )
    return None if without[:2].sum() > BAD * len(true) else scores


def main() -> None:
    """Run and sum up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--particles", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    scores = [measure(particle_of(number, options.seed)) for number in range(options.particles)]
    kept = [s for s in scores if s is not None]
    for method, pair in zip(("anneal", "sample"), np.sum(kept, axis=0), strict=True):
        for way, total in zip(("without", "with"), pair, strict=True):
            said = ", ".join(f"{name} {value:.1f}" for name, value in zip(NAMES, total, strict=True))
            print(f"{len(kept)} particles, {method} {way}: {said}", flush=True)


if __name__ == "__main__":
    main()
