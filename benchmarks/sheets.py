"""Sheets of one to three atomic layers, seen obliquely: from given counts, and from images alone.

    python benchmarks/sheets.py                          # counts, then images; some CPU minutes
    python benchmarks/sheets.py counts --seed 2 --sheets 24

Discs, squares and rhombs of 50-800 atoms (images: 60-400) of layers {001}, {111} or pairs of planes {110},
some with a step, in sets of two or three zone axes of which none lies in the layers. Counts: hard and exact,
hard with a tenth off by one, and soft ones of 0.3 of the class spacing; four runs. Images: Gaussian columns
on random pixels, 1e4-1e5 e/A^2, of six metals; `anneal`, ten runs.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from itertools import permutations, product

import numpy as np
from common import in_brackets
from numpy.typing import NDArray
from small_particles import SPECIES, images_of

import stemcount
import tomo
from stemcount.cli.pipeline import run_images
from tomo.phantom_views import soft_views_of, views_of
from tomo.phantoms import one_piece

Axis = tuple[int, int, int]
Sites = NDArray[np.int64]
#: Normals of the layers and h n of two neighbouring ones.
LAYERS = (((0, 0, 1), 1), ((1, 1, 1), 2), ((1, 1, 0), 2))
THICKNESS = (2, 1, 2, 3)
FAMILIES: tuple[tuple[Axis, ...], ...] = (
    ((1, 0, 0), (1, 1, 0)),
    ((1, 1, 0), (1, 1, 1)),
    ((1, 1, 2), (1, 1, 0)),
    ((1, 1, 0), (1, 1, 0)),
    ((1, 0, 0), (1, 1, 1)),
    ((1, 0, 0), (1, 0, 0)),
    ((1, 1, 2), (1, 1, 2)),
    ((1, 1, 0), (1, 1, 0), (1, 1, 1)),
)
LEAST_ANGLE = 17.0  # degrees between two axes
BAD = 0.05  # share of wrong atoms from which a sheet is not found


def sheet(n_atoms: int, normal: Axis, step: int, layers: int, rng: np.random.Generator) -> Sites:
    """A sheet of layers h . n = 0, step, ..., in one piece."""
    reach = int(1.3 * np.sqrt(n_atoms)) + 6
    grid = np.argwhere(np.ones((2 * reach + 1,) * 3, dtype=bool)) - reach
    grid = grid[grid.sum(axis=1) % 2 == 0]
    height = grid @ np.array(normal)
    sites = grid[(height >= 0) & (height < layers * step)]
    across = np.cross(normal, (1, 2, -5)) / np.linalg.norm(np.cross(normal, (1, 2, -5)))
    frame = np.array([across, np.cross(normal, across) / np.linalg.norm(normal)])
    x, y = frame @ (sites - rng.uniform(-1, 1, 3)).T * np.array([[1.0], [rng.uniform(1, 2)]])
    size = (np.hypot(x, y), np.maximum(abs(x), abs(y)), np.maximum(abs(x), 0.6 * abs(x + y)))
    outline = size[int(rng.integers(3))]
    kept = np.argsort(outline, kind="stable")[:n_atoms]
    sites, x = sites[kept], x[kept]
    top = sites @ np.array(normal)
    if layers > 1 and rng.random() < 0.5:  # a step: the upper layer ends half-way
        sites = sites[(top < top.max()) | (x < np.quantile(x, rng.uniform(0.3, 0.8)))]
    return one_piece(sites)


def axes_of(normal: Axis, rng: np.random.Generator) -> tuple[Axis, ...]:
    """Zone axes of one of the sets of families, none of them in the layers."""
    while True:
        family = FAMILIES[int(rng.integers(len(FAMILIES)))]
        axes = [_member(kind, rng) for kind in family]
        unit = np.array([np.array(a) / np.linalg.norm(a) for a in axes])
        apart = np.abs(unit @ unit.T) - np.eye(len(unit))
        if apart.max() < np.cos(np.radians(LEAST_ANGLE)) and (unit @ np.array(normal)).all():
            return tuple(axes)


def _member(kind: Axis, rng: np.random.Generator) -> Axis:
    signed = (np.multiply(p, s) for p in permutations(kind) for s in product((1, -1), repeat=3))
    members = sorted({(int(m[0]), int(m[1]), int(m[2])) for m in signed})
    return members[int(rng.integers(len(members)))]


def drawn(number: int, seed: int, least: int, most: int) -> tuple[str, Sites, tuple[Axis, ...]]:
    """Sheet ``number`` of a seed, in words and as atoms, and its zone axes."""
    rng = np.random.default_rng([seed, number])
    normal, step = LAYERS[number % len(LAYERS)]
    layers = THICKNESS[number // len(LAYERS) % len(THICKNESS)]
    atoms = int(np.exp(rng.uniform(np.log(least), np.log(most))))
    sites = sheet(atoms, normal, step, layers, rng)
    axes = axes_of(normal, rng)
    told = f"{number:3d} {layers} x {in_brackets([normal])} {len(sites):4d} {in_brackets(axes):22s}"
    return told, sites, axes


def counts(seed: int, sheets: int) -> None:
    """Reconstructions from counts."""
    shown: dict[str, Callable[[Sites, tuple[Axis, ...], int], list[tomo.View]]] = {
        "exact": lambda sites, axes, n: views_of(sites, axes),
        "a tenth off": lambda sites, axes, n: views_of(sites, axes, 0.1, n),
        "soft": lambda sites, axes, n: soft_views_of(sites, axes, 0.3, n),
    }
    wrong = {kind: np.zeros(sheets) for kind in shown}
    spent = time.process_time()
    for number in range(sheets):
        line, sites, axes = drawn(number, seed, 50, 800)
        for kind, views in shown.items():
            result = tomo.reconstruct(views(sites, axes, number), runs=4, strict=False)
            wrong[kind][number] = tomo.compare_sites(result.occupied(), sites).wrong_fraction
            line += f"  {kind} {100 * wrong[kind][number]:6.2f} %"
        print(line, flush=True)
    for kind, shares in wrong.items():
        worst = 100 * shares[shares <= BAD].max(initial=0)
        print(
            f"{kind}: 0.00 % wrong in {(shares == 0).sum()} of {sheets}, more than {100 * BAD:.0f} % in"
            f" {(shares > BAD).sum()}, of the others at most {worst:.2f} %"
        )
    print(f"{time.process_time() - spent:.0f} CPU s")


def images(seed: int, sheets: int) -> None:
    """Runs from images alone."""
    for number in range(sheets):
        line, sites, axes = drawn(number, seed, 60, 400)
        rng = np.random.default_rng([seed, number, 1])
        species = str(rng.choice(list(SPECIES)))
        a, dose, width = SPECIES[species], 10 ** rng.uniform(4, 5), rng.uniform(0.4, 0.5)
        pictures = images_of(sites, axes, a, rng, dose, width, rng.uniform(0.03, 0.06), 0.95, 0.02)
        line += f" {species} {dose:6.0f}"
        try:
            result = run_images(pictures, {"structure": "fcc", "species": [species], "a": a})
        except (stemcount.InputError, tomo.InputError) as error:
            print(f"{line}  refused: {error}", flush=True)
            continue
        found = tomo.compare_sites(result.occupied(0.5), sites)
        told = result.diagnostics["expected_wrong"]
        print(
            f"{line}  wrong {found.missed} + {found.false}, told {told:.1f}, {len(result.warnings)} warnings",
            flush=True,
        )


def main() -> None:
    """Both parts, or one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", nargs="?", choices=("counts", "images"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sheets", type=int, default=24)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.part != "images":
        counts(options.seed, options.sheets)
    if options.part != "counts":
        images(options.seed, options.sheets)


if __name__ == "__main__":
    main()
