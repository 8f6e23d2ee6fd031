"""Is the certainty right? Expected calibration error and log score against random particles.

    python benchmarks/calibration.py                                  # the whole table, some 10 CPU minutes
    python benchmarks/calibration.py --quick                          # 4 particles, 1 noise seed
    python benchmarks/calibration.py --figure docs/figures/reliability.png

Particles of 300-1,000 atoms of every kind of `tomo.phantoms`, three views, hard counts off by +-1 in a
share p of the columns. Sites that are counted are those within one neighbour of the true surface: its
atoms (with a vacant neighbour), and all neighbours of these. Certainties of sites fall into 10 bins
0..0.1..1; expected calibration error = sum over bins of (share of the sites in it) x |mean certainty -
share occupied|. Log score: mean of -ln(probability given to what is true), with certainties of `sample`
clipped to 0.001..0.999. The fraction of 10 annealing runs is 0 or 1 for most sites and its log score
would be infinite: it is clipped to c..1 - c with the c that, knowing the truth, gives it the best score.
Nothing is tuned to a case.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from common import bins_of, calibration_error, certainty_at
from numpy.typing import NDArray

import tomo
from tomo.grid import NEIGHBOUR_VECTORS, SiteIndex, neighbour_table
from tomo.phantoms import KINDS, random_particle, views_of

AXES = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
ERRORS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SIZES = (300, 600, 1000)
RUNS = 10
Scores = tuple[NDArray[np.float64], NDArray[np.bool_]]


def near_surface(atoms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Surface atoms and all their neighbours."""
    surface = atoms[(neighbour_table(atoms) < 0).any(axis=1)]
    return np.unique(np.concatenate([surface, *(surface + step for step in NEIGHBOUR_VECTORS)]), axis=0)


def log_score(certainty: NDArray[np.float64], occupied: NDArray[np.bool_], clip: float = 1e-3) -> float:
    """Mean of -ln(probability given to what is true), certainties kept between `clip` and 1 - `clip`."""
    p = np.clip(certainty, clip, 1 - clip)
    return float(-np.mean(np.log(np.where(occupied, p, 1 - p))))


def best_log_score(certainty: NDArray[np.float64], occupied: NDArray[np.bool_]) -> float:
    """The log score with the clip that, knowing the truth, gives the best one."""
    return min(log_score(certainty, occupied, clip) for clip in np.geomspace(1e-4, 0.1, 31))


def measure(p: float, particles: int, seeds: int) -> dict[str, Scores]:
    """Certainties and truth of all sites near the surfaces, by both methods."""
    found: dict[str, list[Scores]] = {"sample": [], "anneal": []}
    for particle in range(particles):
        size, kind = SIZES[particle % len(SIZES)], KINDS[particle % len(KINDS)]
        atoms = random_particle(size, kind, seed=1000 + particle)
        sites = near_surface(atoms)
        truth = SiteIndex(atoms)(sites) >= 0
        for seed in range(seeds):
            views = views_of(atoms, AXES, p, seed=seed)
            for method, scores in found.items():
                result = tomo.reconstruct(views, runs=RUNS, method=method, seed=seed)
                scores.append((certainty_at(sites, result), truth))
    return {
        method: (np.concatenate([c for c, _ in scores]), np.concatenate([t for _, t in scores]))
        for method, scores in found.items()
    }


def draw(measured: dict[float, dict[str, Scores]], path: Path) -> None:
    """Reliability diagram: share of occupied sites against certainty."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(measured)))  # in the order of p
    titles = {"sample": "sampled posterior", "anneal": f"fraction of {RUNS} annealing runs"}
    for axes, (method, title) in zip(figure.subplots(1, 2, sharey=True), titles.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.6", lw=1)
        for colour, symbol, (p, scores) in zip(colours, "os^Dv*", measured.items(), strict=False):
            certainty, occupied = scores[method]
            number = np.bincount(bins_of(certainty), minlength=10)
            at = number >= 20
            mean = np.bincount(bins_of(certainty), weights=certainty, minlength=10)[at] / number[at]
            share = np.bincount(bins_of(certainty), weights=occupied, minlength=10)[at] / number[at]
            error = np.sqrt(share * (1 - share) / number[at])
            axes.errorbar(mean, share, error, marker=symbol, ms=4, lw=1, color=colour, label=f"p = {p}")
        axes.set(title=title, xlabel="certainty", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    figure.axes[0].set_ylabel("share of sites that are occupied")
    figure.axes[0].legend(title="share of wrong counts", fontsize=8, title_fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="4 particles, 1 noise seed")
    parser.add_argument("--seeds", type=int, default=3, help="noise seeds for each particle")
    parser.add_argument("--figure", type=Path, help="where the reliability diagram is drawn")
    options = parser.parse_args()
    particles, seeds = (4, 1) if options.quick else (20, options.seeds)
    print(f"{particles} particles, {seeds} noise seeds each, {len(AXES)} views; anneal: {RUNS} runs")
    print(
        f"{'p':>4} {'sites':>7} {'ECE sample':>11} {'ECE anneal':>11} {'log sample':>11}"
        f" {'log anneal':>11} CPU s"
    )
    measured = {}
    for p in ERRORS:
        start = time.process_time()
        measured[p] = measure(p, particles, seeds)
        certainty, occupied = measured[p]["sample"]
        runs = measured[p]["anneal"][0]
        print(
            f"{p:4.1f} {len(occupied):7d} {calibration_error(certainty, occupied):11.4f}"
            f" {calibration_error(runs, occupied):11.4f} {log_score(certainty, occupied):11.4f}"
            f" {best_log_score(runs, occupied):11.4f}"
            f" {time.process_time() - start:5.0f}",
            flush=True,
        )
        if options.figure is not None:
            draw(measured, options.figure)


if __name__ == "__main__":
    main()
