"""How often annealing finds the proven optimum, and what exact counts leave open.

    python benchmarks/exact.py            # some 15 CPU minutes
    python benchmarks/exact.py --quick    # particles of 300 atoms only

Random particles, hard counts off by +-1 in a share p of the columns, default settings. The costs that
`tomo.reconstruct` estimated are handed to `tomo.solve_exact`, which proves the lowest energy any
occupancy has under them, in one piece or not; a run counts as equal when the lowest energy it met, before
one piece was imposed on it, is within 1e-6 of that. Particles whose
proof takes longer than the limit are left out and counted. The second table has no edge term and no
count errors: which atoms do the counts of two or three views alone fix?
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import tomo
from tomo.phantoms import KINDS, random_particle, views_of

VIEWS = {
    "[100] [010] [110]": [(1, 0, 0), (0, 1, 0), (1, 1, 0)],
    "[100] [110]": [(1, 0, 0), (1, 1, 0)],
}
RUNS, SEED, LIMIT = 5, 0, 90.0


def gaps(atoms: np.ndarray, axes: list[tuple[int, int, int]], p: float) -> np.ndarray | None:
    """Energy of every annealing run above the proven optimum; None without a proof."""
    result = tomo.reconstruct(views_of(atoms, axes, p, seed=SEED), runs=RUNS, seed=SEED)
    problem, costs = tomo.costs_of(result)
    best = tomo.solve_exact(problem, **costs._asdict(), time_limit=LIMIT)
    if not best.proven:
        return None
    free = result.energy - np.array(result.diagnostics["one_piece_energy_cost"])
    assert free.min() > best.energy - 1e-6, "a run is below the bound"
    return free - best.energy


def optimum_table(sizes: list[int]) -> None:
    print(
        f"{'views':18} {'atoms':>5} {'p':>4} {'proven':>7} {'equal runs':>11} {'mean gap':>9} {'worst':>6}"
        " CPU s"
    )
    for name, axes in VIEWS.items():
        for size in sizes if len(axes) > 2 else [s for s in sizes if s <= 600]:
            for p in (0.0, 0.2, 0.4):
                start = time.process_time()
                particles = [random_particle(size, kind, seed=50 + i) for i, kind in enumerate(KINDS)]
                found = [gaps(atoms, axes, p) for atoms in particles]
                proven = [g for g in found if g is not None]
                all_gaps = np.concatenate(proven) if proven else np.zeros(0)
                equal = f"{(all_gaps < 1e-6).sum()}/{len(all_gaps)}"
                mean, worst = (all_gaps.mean(), all_gaps.max()) if len(all_gaps) else (np.nan, np.nan)
                print(
                    f"{name:18} {size:5d} {p:4.1f} {len(proven):3d}/{len(found)} {equal:>13} {mean:9.3f}"
                    f" {worst:6.2f} {time.process_time() - start:5.0f}",
                    flush=True,
                )


def freedom_table(sizes: list[int]) -> None:
    print(f"\n{'views':18} {'atoms':>5} {'fixed atoms':>12} {'movable':>8} CPU s   (counts alone, p = 0)")
    for name, axes in VIEWS.items():
        for size in sizes:
            start = time.process_time()
            atoms = random_particle(size, "rough", seed=50)
            problem = tomo.build_problem(views_of(atoms, axes))
            free = tomo.freedom(problem, tomo.solve_exact(problem))
            print(
                f"{name:18} {len(atoms):5d} {free.always.sum():12d} {free.movable:8d}"
                f" {time.process_time() - start:5.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="particles of 300 atoms only")
    sizes = [300] if parser.parse_args().quick else [300, 600, 1000]
    optimum_table(sizes)
    freedom_table(sizes)


if __name__ == "__main__":
    main()
