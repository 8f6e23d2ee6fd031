"""Counts of several views settled with the crystal: columns right before and after, worth of the verdict.

    python benchmarks/settling.py                  # ten particles, about 3 CPU minutes
    python benchmarks/settling.py --seeds 20 30    # those of other seeds
    python benchmarks/settling.py --drift 1.8      # totals of atoms, of classes 1.8 times as wide

Random particles of 300-1,200 atoms whose classes are 0.3-0.4 of a step wide, with a curved V(k) that nobody
is told. "best" is what the true class means would count right; "chosen" is what plane sums, room and depth
choose, "alone" what that choice settles to, "settled" what a run takes after trying the rivals of it.
Whether settling lets the scale of the counts drift, the totals say: counts that start from the true class
means should stay there.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from counting import GOLD, thick_view

import stemcount
import tomo
from stemcount.cli.settle import recount_until_consistent, settle
from stemcount.cli.views import read_together
from tomo.phantoms import random_particle

KINDS = ("rough", "stepped", "faceted", "rod")
TWO, OTHER_TWO, SKEW = ((1, 0, 0), (1, 1, 0)), ((0, 0, 1), (1, 1, 0)), ((1, 0, 1), (1, 1, 0))
THREE = ((0, 0, 1), (1, 0, 0), (1, 1, 0))
CLOSE, HEXAGONAL = ((1, 1, 2), (1, -1, 0)), ((1, 1, 1), (1, 1, 0))
AXES = (TWO, THREE, OTHER_TWO, SKEW, CLOSE, HEXAGONAL, SKEW, OTHER_TWO, TWO)
NEAR = 0.05  # share of the columns by which counts may fall short of the best and be called right


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
    ends = [recount_until_consistent(start, fits, GOLD, 0, 1) for start in starts]
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
        alone = recount_until_consistent(joint, fits, GOLD, 0, 1).joint
        settled = settle(joint, fits, counts, GOLD, None, 0, 1)
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


def main() -> None:
    """A line for every particle, and what became of all views."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--seeds", type=int, nargs=2, default=(0, 10), help="first, and the one after the last"
    )
    parser.add_argument("--drift", type=float, help="totals only, of classes so many times as wide")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    stemcount.count_atoms(np.arange(1.0, 30.0) % 4 + 1)  # compile
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
