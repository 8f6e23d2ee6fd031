"""Accuracy, speed and determinism of `tomo.reconstruct` with its default settings.

    python benchmarks/reconstruction.py            # the whole table, some 30 CPU minutes
    python benchmarks/reconstruction.py --quick    # two seeds and four shapes for each row
    python benchmarks/reconstruction.py --only speed
    python benchmarks/reconstruction.py --only bound    # what is left to who knows costs and error rates
    python benchmarks/reconstruction.py --only weights    # what edges of random crystals cost
    python benchmarks/reconstruction.py --only uneven    # surfaces of single atoms and pits: wrong and told
    python benchmarks/reconstruction.py --only prototype    # the energy with a weight set by hand

Wrong atoms = (missed + false) / atoms in per cent; sites of certainty >= 0.5 count as atoms. Hard counts
are off by +-1 in a share p of the columns, soft ones scatter with the given width about the class means
(in units of their spacing). The same settings for every row, and nothing tuned to a case. The
experimental particle (8,451 sites from tilt-series tomography) is read from the reference data
(`STEMCOUNT_DATA`); its rows are left out where that is absent.
"""

from __future__ import annotations

import argparse
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from common import DATA, in_brackets
from numpy.typing import NDArray

import tomo
from tomo.annealing.anneal import Annealer
from tomo.annealing.calibrate import Calibration, calibrate
from tomo.annealing.runs import Task, all_runs
from tomo.energy.count_error import count_table, initial_count_model, update_count_model
from tomo.energy.edge_weight import edge_statistics, prior_from_statistics
from tomo.energy.layout import layout_of
from tomo.energy.prior import Prior
from tomo.grid import SiteIndex
from tomo.kernels import random_state
from tomo.phantoms import harden, one_piece, random_particle, soft_views_of, views_of
from tomo.sampling.chain import Chain
from tomo.start import start_occupancy

THREE = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
TWO = [(1, 0, 0), (1, 1, 0)]
RUNS = 10


def experimental() -> NDArray[np.int64] | None:
    """Sites of the experimental particle, or None."""
    path = DATA / "pdpt_sites.npz"
    return np.load(path)["hkl"].astype(np.int64) if path.is_file() else None


def wrong(views: Sequence[tomo.View], truth: NDArray[np.int64]) -> float:
    """Wrong atoms in per cent, default settings."""
    return share_wrong(tomo.reconstruct(views, runs=RUNS), truth)


def share_wrong(result: tomo.Reconstruction, truth: NDArray[np.int64]) -> float:
    """Wrong atoms of a result in the frame of the truth, in per cent."""
    return 100 * differing(result.occupied(), truth) / len(truth)


def differing(found: NDArray[np.int64], truth: NDArray[np.int64]) -> int:
    """Number of missed and false atoms."""
    return len({tuple(site) for site in found.tolist()} ^ {tuple(site) for site in truth.tolist()})


def row(name: str, values: Sequence[float], aim: str) -> None:
    """One line of the table."""
    spread = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    print(f"{name:<52} {np.mean(values):8.3f} +- {spread:5.3f}   {aim}", flush=True)


def hard_counts(seeds: int, shapes: int) -> None:
    """Wrong atoms from counts with errors."""
    sites = experimental()
    aims = {3: ("0.02", "0.48", "0.96"), 2: ("0.23", "0.90", "1.4")}
    if sites is not None:
        for axes in (THREE, TWO):
            for p, aim in zip((0.0, 0.2, 0.4), aims[len(axes)], strict=True):
                # Without errors all seeds are one case.
                noise = range(seeds if p else 1)
                values = [wrong(views_of(sites, axes, p, seed), sites) for seed in noise]
                row(f"experimental particle, {len(axes)} views, p = {p} [%]", values, f"to beat {aim}")
    for kind in ("rough", "stepped", "faceted"):
        particles = [random_particle(1000, kind, 100 + seed) for seed in range(shapes)]
        for p, aim in zip((0.0, 0.2, 0.4), ("0.0", "0.45", "1.6"), strict=True):
            values = [wrong(views_of(x, THREE, p, seed), x) for seed, x in enumerate(particles)]
            row(f"{shapes} {kind}, 3 views, p = {p} [%]", values, f"to beat {aim}" if kind == "rough" else "")
    particles = [random_particle(1000, "rough", 100 + seed) for seed in range(shapes)]
    for axes in (TWO, [(1, 1, 0), (1, 1, 1)], [(1, 1, 2), (1, -1, 0), (0, 0, 1)]):
        values = [wrong(views_of(x, axes, 0.2, seed), x) for seed, x in enumerate(particles)]
        row(f"{shapes} rough, {in_brackets(axes, ' ')}, p = 0.2 [%]", values, "")


def soft_counts(seeds: int, shapes: int) -> None:
    """Wrong atoms from count probabilities and from the most likely counts of the same data."""
    particles = [random_particle(1000, "rough", 100 + seed) for seed in range(shapes)]
    for axes in (THREE, TWO):
        for width in (0.2, 0.3, 0.4):
            soft, hard = [], []
            for noise, (seed, particle) in product(range(seeds), enumerate(particles)):
                views = soft_views_of(particle, axes, width, seed + shapes * noise)
                soft.append(wrong(views, particle))
                hard.append(wrong([harden(view) for view in views], particle))
            ratio = np.mean(hard) / np.mean(soft) if np.mean(soft) else np.inf
            name = f"{shapes} rough, {len(axes)} views, width {width}"
            row(f"{name}, hard [%]", hard, "")
            row(f"{name}, soft [%]", soft, f"{ratio:.1f} times fewer; at least 2")


def oracle(views: Sequence[tomo.View], truth: NDArray[np.int64]) -> tuple[float, float]:
    """Wrong atoms, found and expected [%], of the posterior's best decision when its costs are known.

    Edge weights and share of wrong counts are those of the true crystal, and the chains start there: no
    wrong mode, nothing estimated. What is wrong then is what the views and a prior of edges leave open.
    """
    problem = tomo.build_problem(views)
    layout = layout_of(problem)
    there = SiteIndex(truth)(problem.sites) >= 0
    model = update_count_model(problem, initial_count_model(problem), problem.line_counts(there)[None])
    table = count_table(problem, model)
    seeds = np.random.SeedSequence(0).spawn(4)
    chains = [Chain(layout, table, Prior(0.0), there, random_state(seed)) for seed in seeds]
    prior = prior_from_statistics(edge_statistics(there, chains[0].around, layout.degree))
    certainty, ballots = np.zeros(problem.n_sites), 200
    for chain in chains:
        chain.set_costs(table, prior)
        chain.sweep(300)
        for _ in range(ballots):
            chain.sweep(4)
            chain.measure(certainty)
    certainty /= ballots * len(chains)
    missed = len(truth) - there.sum()
    off = np.count_nonzero((certainty >= 0.5) != there) + missed
    expected = np.minimum(certainty, 1 - certainty).sum() + missed
    return 100 * off / len(truth), 100 * expected / len(truth)


def bound(seeds: int, shapes: int) -> None:
    """The rows that are hard to meet, for who knows all costs."""
    sites = experimental()
    if sites is not None:
        for p in (0.0, 0.2, 0.4):
            noise = range(seeds if p else 1)
            found, expected = zip(*(oracle(views_of(sites, TWO, p, s), sites) for s in noise), strict=True)
            row(f"experimental particle, 2 views, p = {p}, costs known [%]", found, "")
            row("  expected by the posterior itself [%]", expected, "")
    particles = [random_particle(1000, "rough", 100 + seed) for seed in range(shapes)]
    views = [soft_views_of(particle, TWO, 0.4, seed) for seed, particle in enumerate(particles)]
    for name, kept in (("soft", views), ("hard", [[harden(view) for view in pair] for pair in views])):
        found, expected = zip(*map(oracle, kept, particles), strict=True)
        row(f"{shapes} rough, 2 views, width 0.4, {name}, costs known [%]", found, "")
        row("  expected by the posterior itself [%]", expected, "")


def with_a_set_weight(views: Sequence[tomo.View], truth: NDArray[np.int64], weight: float) -> float:
    """Wrong atoms in per cent where nothing is estimated: sum (counted - atoms)^2 + weight x edges.

    Runs of the program's own annealer, which end at a temperature of 0.4: costs are divided by it, as the
    annealer ends at 1.
    """
    problem = tomo.build_problem(views)
    calibration = Calibration(
        Prior(weight / 0.4, 0.0),
        initial_count_model(problem),
        problem.table / 0.4,  # of hard counts: the squares
        start_occupancy(problem),
    )
    runs = all_runs(
        Task(problem, layout_of(problem), calibration, seed=0, connected=True, vacancies=None), RUNS
    )
    votes = np.mean([run.occupied for run in runs], axis=0)
    return 100 * differing(problem.sites[votes >= 0.5], truth) / len(truth)


def prototype(seeds: int) -> None:
    """The energy from whose prototype the aims of two views come, its weight set by hand, and the program."""
    sites = experimental()
    if sites is None:
        return
    for p, aim in zip((0.0, 0.2, 0.4), ("0.23", "0.90", "1.4"), strict=True):
        cases = [views_of(sites, TWO, p, seed) for seed in range(seeds if p else 1)]
        name = f"experimental particle, 2 views, p = {p}"
        for weight in (0.5, 0.7, 0.9, 1.1):
            values = [with_a_set_weight(views, sites, weight) for views in cases]
            row(f"{name}, weight {weight} [%]", values, f"said to give {aim}")
        row(f"{name}, estimated [%]", [wrong(views, sites) for views in cases], "")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def speed(large: int) -> None:
    """Proposals a second, and the time of whole ensembles."""
    small = random_particle(300, "faceted", 1)
    tomo.reconstruct(views_of(small, TWO), runs=1)  # compiles
    sites = experimental()
    if sites is not None:
        problem = tomo.build_problem(views_of(sites, THREE, 0.2, 1))
        layout, start = layout_of(problem), start_occupancy(problem)
        known = calibrate(problem, layout, start, np.random.SeedSequence(1))
        rng = random_state(np.random.SeedSequence(1))
        state = Annealer(layout, known.table, known.prior, known.state, rng)
        for temperature in (1.0, 0.1):
            _, cpu = timed(lambda t=temperature: state.run(20_000_000, t))
            row(f"proposals/s and core, T = {temperature} [million]", [20 / cpu], "at least 50")
        chain = Chain(layout, known.table, known.prior, known.state, random_state(np.random.SeedSequence(1)))
        _, cpu = timed(lambda: chain.run(20_000_000))
        row("the same of the posterior's chains [million]", [20 / cpu], "")
        for axes in (THREE, TWO):
            views = views_of(sites, axes, 0.2, 1)
            wall, cpu = timed(lambda v=views: tomo.reconstruct(v, runs=RUNS))
            name = f"8,451 atoms, {len(axes)} views, {RUNS} runs"
            row(f"{name}, wall [s]", [wall], "under 5 on two cores")
            row(f"{name}, CPU [s]", [cpu], "")
    per_atom = {}
    for atoms in (8_000, large):
        rod = random_particle(atoms, "rod", 3)
        views = views_of(rod, TWO, 0.2, 1)
        results: list[tomo.Reconstruction] = []
        wall, cpu = timed(lambda v=views, r=results: r.append(tomo.reconstruct(v, runs=RUNS)))
        per_atom[atoms] = cpu / len(rod)
        name = f"rod of {len(rod)} atoms, 2 views, p = 0.2, {RUNS} runs"
        row(f"{name}, wall [s]", [wall], "under 180 on two cores" if atoms == large else "")
        row(f"{name}, CPU [s]", [cpu], "")
        row(f"{name}, wrong [%]", [share_wrong(results[0], rod)], "")
    row("time per atom, large over small", [per_atom[large] / per_atom[8_000]], "at most 1.5")
    row("largest memory [MB]", [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024], "under 2000")


def uneven(n_atoms: int, seed: int) -> NDArray[np.int64]:
    """An ellipsoid, both ends of each of its columns along [110] moved by up to an atom."""
    rng = np.random.default_rng(seed)
    half = rng.uniform(0.8, 1.25, size=3)
    half *= (n_atoms * 1.5 / np.pi / half.prod()) ** (1 / 3)
    wide = int(half.max()) + 5
    grid = np.stack(np.meshgrid(*[np.arange(-wide, wide + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    grid = grid[grid.sum(axis=1) % 2 == 0]
    along, across, up = (grid @ np.array([(1, 1, 0), (1, -1, 0), (0, 0, 1)]).T).T
    inside = 1 - across**2 / 2 / half[1] ** 2 - up**2 / half[2] ** 2
    reach = half[0] * np.sqrt(2 * np.maximum(inside, 0))
    below, above = 2 * rng.integers(-1, 2, size=(2, 4 * wide + 1, 2 * wide + 1))[:, across, up]
    return one_piece(grid[(inside > 0) & (along <= reach + above) & (along >= -reach - below)])


def uneven_surfaces(shapes: int) -> None:
    """Wrong atoms of `method="sample"`, and those that its certainties add up to."""
    for axes in (THREE, [(1, 1, 0), (0, 0, 1)], [(1, 1, 0), (1, 0, 1)]):
        for p in (0.0, 0.2):
            off, told = [], []
            for seed in range(shapes):
                truth = uneven((150, 300, 600)[seed % 3], 300 + seed)
                result = tomo.reconstruct(views_of(truth, axes, p, seed), method="sample", runs=8)
                off.append(share_wrong(result, truth))
                told.append(100 * result.diagnostics["expected_wrong"] / len(truth))
            name = f"{shapes} uneven, {in_brackets(axes, ' ')}, p = {p}"
            row(f"{name} [%]", off, "")
            row("  expected by the certainties [%]", told, "")


def weights(shapes: int) -> None:
    """Edge weights of true crystals by their own pseudo-likelihood."""
    for kind in ("rough", "stepped", "faceted", "rod"):
        for atoms in (100, 200, 400, 1000):
            found = []
            for seed in range(100, 100 + shapes):
                sites = random_particle(atoms, kind, seed)
                problem = tomo.build_problem(views_of(sites, THREE))
                layout, there = layout_of(problem), problem.occupancy(sites)
                chain = Chain(
                    layout, problem.table, Prior(0.0), there, random_state(np.random.SeedSequence(0))
                )
                found.append(
                    prior_from_statistics(edge_statistics(there, chain.around, layout.degree)).edge_weight
                )
            row(f"{shapes} {kind} crystals of {atoms} atoms, edge weight", found, f"least {min(found):.2f}")


KILLED = """
import sys, tomo
from tomo.phantoms import random_particle, views_of
views = views_of(random_particle(3000, "rough", 3), [(1, 0, 0), (1, 1, 0)], 0.3, seed=1)
tomo.reconstruct(views, runs=int(sys.argv[3]), method=sys.argv[2], seed=4, checkpoint=sys.argv[1])
"""


def determinism() -> None:
    """The same bits with 1 and 2 workers, on dask, and after SIGKILL."""
    views = views_of(random_particle(3000, "rough", 3), TWO, 0.3, seed=1)

    def same(result: tomo.Reconstruction, reference: tomo.Reconstruction) -> list[float]:
        names = ("sites", "certainty", "runs", "energy")
        return [float(all(np.array_equal(getattr(result, n), getattr(reference, n)) for n in names))]

    reference = tomo.reconstruct(views, runs=20, seed=4, workers=1)
    row("2 workers, same bits", same(tomo.reconstruct(views, runs=20, seed=4, workers=2), reference), "1")
    try:
        from distributed import Client
    except ImportError:
        print("dask.distributed is not installed: row left out")
    else:
        with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
            result = tomo.reconstruct(views, 20, seed=4, client=client)
            row("dask, 2 processes, same bits", same(result, reference), "1")
    sampled = tomo.reconstruct(views, runs=4, method="sample", seed=4, workers=1)
    for method, runs, whole in (("anneal", 20, reference), ("sample", 4, sampled)):
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen([sys.executable, "-c", KILLED, folder, method, str(runs)])
            while len(list(Path(folder).glob("*.npz"))) < 5 and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            finished = len(list(Path(folder).glob("*.npz")))
            resumed = tomo.reconstruct(views, runs=runs, method=method, seed=4, checkpoint=folder)
            name = f"{method} killed after {finished} files and resumed, same bits"
            row(name, same(resumed, whole), "1")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few seeds and shapes, a smaller rod")
    parser.add_argument(
        "--only",
        choices=("hard", "soft", "bound", "weights", "uneven", "prototype", "speed", "determinism"),
    )
    chosen = parser.parse_args()
    seeds, shapes, large = (2, 4, 60_000) if chosen.quick else (5, 20, 250_000)
    print(f"{'':<52} {'mean':>8}    s.e.")
    parts: dict[str, Callable[[], None]] = {
        "hard": lambda: hard_counts(seeds, shapes),
        "soft": lambda: soft_counts(seeds, shapes),
        "bound": lambda: bound(seeds, shapes),
        "weights": lambda: weights(shapes),
        "uneven": lambda: uneven_surfaces(shapes),
        "prototype": lambda: prototype(seeds),
        "speed": lambda: speed(large),
        "determinism": determinism,
    }
    for name, part in parts.items():
        if chosen.only in (None, name):
            part()


if __name__ == "__main__":
    main()
