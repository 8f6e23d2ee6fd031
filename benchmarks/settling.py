"""Counts of several views settled with the crystal: columns right before and after, worth of the verdict.

    python benchmarks/settling.py                  # ten particles, about 3 CPU minutes
    python benchmarks/settling.py --seeds 20 30    # those of other seeds
    python benchmarks/settling.py --drift 1.8      # totals of atoms, of classes 1.8 times as wide
    python benchmarks/settling.py --rivals --seeds 2000 2060   # wrong atoms and those told, small particles

Random particles of 300-1,200 atoms whose classes are 0.3-0.4 of a step wide, with a curved V(k) that nobody
is told. "best" is what the true class means would count right; "chosen" is what plane sums, room and depth
choose, "alone" what that choice settles to, "settled" what a run takes after trying the rivals of it.
Whether settling lets the scale of the counts drift, the totals say: counts that start from the true class
means should stay there.

With --rivals, particles have 55-600 atoms, some are plates of two to five layers or needles, and classes are
0.15-0.45 of a step wide. What counts then are the atoms of a whole run but its images: those that are wrong,
and those that the certainties tell, without and with the crystals to which rivals settle.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from counting import GOLD, thick_view

import stemcount
import tomo
from stemcount.cli.all_views.confirm import confirm_crystal, confirm_placing
from stemcount.cli.all_views.doubts import with_rivals
from stemcount.cli.all_views.outcomes import BELIEVED
from stemcount.cli.all_views.settle import recount_until_consistent, settle
from stemcount.cli.all_views.views import read_together, views_of
from tomo.phantoms import one_piece, random_particle

KINDS = ("rough", "stepped", "faceted", "rod")
TWO, OTHER_TWO, SKEW = ((1, 0, 0), (1, 1, 0)), ((0, 0, 1), (1, 1, 0)), ((1, 0, 1), (1, 1, 0))
THREE = ((0, 0, 1), (1, 0, 0), (1, 1, 0))
CLOSE, HEXAGONAL = ((1, 1, 2), (1, -1, 0)), ((1, 1, 1), (1, 1, 0))
AXES = (TWO, THREE, OTHER_TWO, SKEW, CLOSE, HEXAGONAL, SKEW, OTHER_TWO, TWO)
ALONG_A_DIAGONAL, ONE_PLANE, TURNED = (
    ((0, 1, -1), (0, 1, 1)),
    ((1, 0, 0), (0, 1, 0)),
    ((1, -1, 0), (-1, 2, -1)),
)
SMALL_AXES = (TWO, OTHER_TWO, SKEW, CLOSE, HEXAGONAL, ALONG_A_DIAGONAL, ONE_PLANE, TURNED, THREE)
NEAR = 0.05  # share of the columns by which counts may fall short of the best and be called right
RIGHT = 0.01  # share of the atoms up to which wrong ones are few
ELSEWHERE = 0.05  # share of the atoms, missed and false, from which a crystal is another one
SUREST = 0.01  # probability: agreeing runs say 0 and 1
SEARCH = partial(tomo.reconstruct, crystal=GOLD, seed=0, workers=1)
LEADS = (0, 5, 10, 15, 20, 30, 46)  # log units


def best_share(values: np.ndarray, atoms: np.ndarray) -> float:
    """Share of the columns that are nearest to the true mean of their class."""
    classes = np.unique(atoms)
    mean = np.array([values[atoms == k].mean() for k in classes])
    return float(np.mean(classes[np.abs(values[:, None] - mean).argmin(axis=1)] == atoms))


def seen_views(seed: int, wider: float = 1.0) -> tuple[str, tuple[Any, ...]]:
    """What the particle is, and fits, counts, indexings, extents and true counts of its views."""
    rng = np.random.default_rng([seed, 77])
    axes, atoms = AXES[rng.integers(len(AXES))], int(rng.choice([300, 500, 800, 1200]))
    kind, width = KINDS[seed % len(KINDS)], wider * float(rng.choice([0.3, 0.35, 0.4]))
    sites = random_particle(atoms, kind, 100 + seed)
    rng = np.random.default_rng(100 + seed)
    seen = [thick_view(sites, axis, width, rng, False) for axis in axes]
    name = f"{' '.join(''.join(map(str, axis)) for axis in axes):12s} {len(sites):5d} {kind:8s} {width:.2f}"
    return name, tuple(zip(*seen, strict=True))


def drift_one(seed: int, wider: float) -> list[float]:
    """Print and return how far totals are off [%]: chosen, settled; from the true class means, settled."""
    name, (fits, counts, indexings, extents, truth) = seen_views(seed, wider)
    chosen = read_together(fits, counts, indexings, extents)
    told = [
        stemcount.recount(c, fit.cross_section, fit.noise_std, n)
        for c, fit, n in zip(chosen.counts, fits, truth, strict=True)
    ]
    starts = (chosen, replace(chosen, counts=tuple(told)))
    ends = [recount_until_consistent(start, SEARCH) for start in starts]
    atoms = sum(int(n.sum()) for n in truth)
    off = [
        100 * sum(int(c.count.sum()) for c in joint.counts) / atoms - 100
        for start, end in zip(starts, ends, strict=True)
        for joint in (start, end.joint)
    ]
    settled_or_not = " ".join("settled" if end.held is not None else "not" for end in ends)
    print(name, *(f"{x:+6.1f}" for x in off), settled_or_not, flush=True)
    return off


def settle_one(seed: int) -> list[tuple[bool, bool]]:
    """Print a line for one particle; whether each view was decided, and whether it was right."""
    name, (fits, counts, indexings, extents, truth) = seen_views(seed)
    try:
        joint = read_together(fits, counts, indexings, extents)
        alone = recount_until_consistent(joint, SEARCH).joint
        settled = settle(joint, SEARCH)
    except tomo.InputError as error:
        print(f"{name}  refused: {error}", flush=True)
        return []
    best = [best_share(fit.cross_section, n) for fit, n in zip(fits, truth, strict=True)]
    shares = [
        [float(np.mean(c.count == n)) for c, n in zip(of.counts, truth, strict=True)]
        for of in (joint, alone, settled)
    ]
    verdicts = [" ".join(c.verdict for c in of.counts) for of in (joint, settled)]
    print(
        name,
        *(" ".join(f"{s:.2f}" for s in row).ljust(14) for row in (best, *shares)),
        *(text.ljust(24) for text in verdicts),
        f"rivals {len(joint.readings.rivals)}",
        flush=True,
    )
    return [
        (c.verdict == "decided", share >= top - NEAR)
        for c, share, top in zip(settled.counts, shares[2], best, strict=True)
    ]


def plate(rng: np.random.Generator) -> np.ndarray:
    """Two to five layers of {001}, {111} or {011} in an ellipse."""
    normal, layers = ((0, 0, 1), (1, 1, 1), (0, 1, 1))[rng.integers(3)], int(rng.integers(2, 6))
    across = np.cross(normal, (0.3, 1.0, 0.2))
    across /= np.linalg.norm(across)
    grid = fcc_block()
    heights = np.unique(grid @ normal)
    grid = grid[np.isin(grid @ normal, heights[len(heights) // 2 :][:layers])]
    radii = rng.uniform(4, 11, 2)
    around = np.stack([grid @ across, grid @ np.cross(normal, across) / np.linalg.norm(normal)], axis=1)
    return one_piece(grid[np.linalg.norm(around / radii, axis=1) < 1])


def needle(rng: np.random.Generator) -> np.ndarray:
    """A smooth round rod along <001>, <011> or <111>, two to four times as long as wide."""
    axis = np.array(((0, 0, 1), (1, 1, 0), (1, 0, 1), (1, 1, 1))[rng.integers(4)], dtype=float)
    axis /= np.linalg.norm(axis)
    grid, radius = fcc_block(), rng.uniform(2.5, 4.5)
    along = grid @ axis
    away = np.linalg.norm(grid - rng.uniform(-0.5, 0.5, 3) - along[:, None] * axis, axis=1)
    return one_piece(grid[(away < radius) & (abs(along) < radius * rng.uniform(2, 4))])


def fcc_block() -> np.ndarray:
    """All sites of a block."""
    grid = np.stack(np.meshgrid(*[np.arange(-24, 25)] * 3, indexing="ij"), -1).reshape(-1, 3)
    return np.asarray(grid[grid.sum(axis=1) % 2 == 0])


def small_particle(rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """Of 55-600 atoms."""
    while True:
        kind = (*KINDS, "plate", "needle")[rng.integers(6)]
        atoms, seed = int(rng.choice([60, 80, 120, 180, 250, 350, 500])), int(rng.integers(1 << 30))
        sites = plate(rng) if kind == "plate" else needle(rng) if kind == "needle" else None
        sites = random_particle(atoms, kind, seed) if sites is None else sites
        if 55 <= len(sites) <= 600:
            return kind, sites


@dataclass(frozen=True)
class Told:
    """Atoms of a set, those that are wrong, and what is said of them, without and with other crystals."""

    atoms: int
    wrong: int
    told: tuple[float, float]
    score: tuple[float, float]
    leads: tuple[tuple[float, bool], ...]


def tell_one(seed: int) -> Told | None:
    """Print a line for one small particle; what is wrong and told."""
    rng = np.random.default_rng([seed, 78])
    axes, width = SMALL_AXES[rng.integers(len(SMALL_AXES))], float(rng.choice(np.arange(0.15, 0.46, 0.05)))
    kind, sites = small_particle(rng)
    seen = [thick_view(sites, axis, width, rng, False) for axis in axes]
    fits, counts, indexings, extents, _ = zip(*seen, strict=True)
    for fit in fits:
        fit.cross_section_std = fit.noise_std
    name = f"{seed:5d} {' '.join(''.join(map(str, axis)) for axis in axes):14s} {kind:8s} {width:.2f}"
    try:
        joint = settle(read_together(fits, counts, indexings, extents), SEARCH)
        joint = confirm_placing(joint, SEARCH)
        alone = tomo.reconstruct(views_of(joint, hard=False), seed=0, workers=1, crystal=GOLD)
        confirm_crystal(joint, alone.occupied())
    except tomo.InputError as error:
        print(f"{name} refused: {str(error)[:80]}", flush=True)
        return None
    results = alone, with_rivals(alone, joint.others)
    match = tomo.compare_sites(alone.occupied(), sites)
    told = tuple(float(result.diagnostics["expected_wrong"]) for result in results)
    score = tuple(log_score(result, match.to_true_frame(result.sites), sites) for result in results)
    wrong = match.missed + match.false
    shown = 1 - sum(other.probability for other in joint.others)
    leads = []
    for other in joint.others:
        apart, off = (tomo.compare_sites(other.sites, of) for of in (alone.occupied(), sites))
        if apart.wrong_fraction > ELSEWHERE:
            lead = np.log(shown / other.probability) / BELIEVED
            leads.append((float(lead), wrong < off.missed + off.false))
    verdicts = " ".join(c.verdict for c in joint.counts)
    print(f"{name} {len(sites):4d} atoms, wrong {wrong:4d} told {told[0]:6.1f} {told[1]:6.1f}"
          f"  -ln P {score[0]:6.1f} {score[1]:6.1f}  {verdicts}", flush=True)  # fmt: skip
    return Told(len(sites), wrong, (told[0], told[1]), (score[0], score[1]), tuple(leads))


def log_score(result: tomo.Reconstruction, sites: np.ndarray, true: np.ndarray) -> float:
    """-ln of the probability that the certainties give to what is true, none below SUREST."""
    real = {tuple(site) for site in true.tolist()}
    told = dict(zip(map(tuple, sites.tolist()), result.certainty.tolist(), strict=True))
    right = [told.get(s, 0.0) if s in real else 1 - told[s] for s in real | told.keys()]
    return float(-np.log(np.clip(right, SUREST, 1.0)).sum())


def tell_all(seeds: range) -> None:
    """Wrong atoms, those told, and how often the shown crystal is nearer to the truth than another one."""
    found = [told for told in map(tell_one, seeds) if told is not None]
    for name, chosen in (
        ("all", found),
        ("at most 1 % wrong", [f for f in found if f.wrong <= RIGHT * f.atoms]),
        ("others", [f for f in found if f.wrong > RIGHT * f.atoms]),
    ):
        told, score = (np.array([getattr(f, of) for f in chosen]).reshape(-1, 2) for of in ("told", "score"))
        share = 100 * np.mean(told / np.array([[f.atoms] for f in chosen]), axis=0) if chosen else (0, 0)
        print(f"{name}: {len(chosen)} sets, {sum(f.wrong for f in chosen)} wrong, told without and with other"
              f" crystals {told.sum(axis=0).round(1)} (mean {np.round(share, 2)} %),"
              f" -ln P {score.sum(axis=0).round(1)}")  # fmt: skip
    leads = np.array([lead for f in found for lead in f.leads]).reshape(-1, 2)
    for low, high in pairwise(LEADS):
        these = leads[(leads[:, 0] >= low) & (leads[:, 0] < high), 1]
        print(f"lead {low}-{high}: nearer to the truth in {these.sum():.0f} of {len(these)}")


def main() -> None:
    """A line for every particle, and what became of all views."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--seeds", type=int, nargs=2, default=(0, 10), help="first, and the one after the last"
    )
    parser.add_argument("--drift", type=float, help="totals only, of classes so many times as wide")
    parser.add_argument("--rivals", action="store_true", help="what certainties tell, small particles")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    stemcount.count_atoms(np.arange(1.0, 30.0) % 4 + 1)  # compile
    if options.rivals:
        tell_all(range(*options.seeds))
        return
    if options.drift:
        print("views, atoms, kind, width: total off [%]: chosen, settled; from true class means, settled")
        off = np.array([drift_one(seed, options.drift) for seed in range(*options.seeds)])
        print("mean", off.mean(axis=0).round(2), "standard deviation", off.std(axis=0).round(2))
        return
    print("views, atoms, kind, width: columns right: best, chosen, alone, settled; verdicts: chosen, settled")
    views = [view for seed in range(*options.seeds) for view in settle_one(seed)]
    decided = [right for was_decided, right in views if was_decided]
    print(f"{len(views)} views, {sum(right for _, right in views)} right;"
          f" {len(decided)} decided, {sum(decided)} of them right")  # fmt: skip


if __name__ == "__main__":
    main()
