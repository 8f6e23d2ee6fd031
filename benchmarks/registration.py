"""Indexing and registration against known answers: random particles, simulated and experimental images.

    python benchmarks/registration.py [--particles 25]
    python benchmarks/registration.py --only refusal --particles 30    # one part

Every particle gets random in-plane rotations, 3 % scale error, 1 % shear, 0.05 A of noise, 5 % of the
one-atom columns missing (fewer of the thicker ones) and 25 % of the counts wrong by one. A registration is
right if all views sit where they did, up to the inversion of the crystal and a shift common to all views;
"warned" are the wrong ones whose margin to the runner-up was called thin.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from common import DATA, NO_DATA, in_brackets

import stemcount
import tomo
from stemcount.cli.all_views.confirm import confirm_crystal, confirm_placing
from stemcount.cli.all_views.settle import settle
from stemcount.cli.all_views.views import read_together, views_of
from stemcount.results import ColumnFit
from tomo.compare import same_placing
from tomo.phantoms import KINDS, column_counts, random_particle

Axis = tuple[int, int, int]
GOLD = tomo.fcc("Au", a=4.08)
SEARCH = partial(tomo.reconstruct, crystal=GOLD, seed=0, workers=1)
SETS = [
    [(0, 0, 1), (1, 0, 0), (1, 1, 0)],
    [(1, 1, 0), (1, 0, 0), (0, 1, 0)],
    [(0, 0, 1), (1, 1, 0)],
    [(1, 0, 0), (1, 1, 0)],
    [(1, 1, 0), (1, 0, 1)],
    [(1, 1, 2), (1, 1, 0)],
    [(1, 1, 0), (1, 1, 1), (0, 0, 1)],
]
MIXED = [  # views that do not all share an axis, and some that do
    [(1, 0, 0), (0, 1, 0), (1, 1, 0)],
    [(0, 0, 1), (1, 1, 0)],
    [(1, 0, 1), (1, 1, 0)],
    [(1, 0, 0), (1, 1, 0)],
    [(1, 1, 1), (1, 1, 0)],
    [(1, 0, 0), (1, 1, 1), (1, 1, 2)],
    [(1, 1, 0), (0, 1, 1), (1, 0, 0)],
    [(1, 1, 2), (1, -1, 0)],
]
SKEW = [  # views in which a mirrored image, or [110] said to be [011], is a contradiction
    [(1, 0, 0), (0, 1, 0), (1, 1, 0)],
    [(1, 0, 1), (1, 0, 0), (1, 1, 0)],
]
PAIRS = [  # in which placings of doubtful counts are nearly tied
    [(1, 0, 0), (1, 1, 0)],
    [(0, 0, 1), (1, 1, 1)],
    [(1, 0, 0), (0, 1, 0)],
    [(1, 1, 0), (1, 0, 1)],
    [(1, 1, 2), (1, -1, 0)],
]
LEADS = (0, 1, 2, 3, 5, 8, 12, np.inf)  # log units
AXES = [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2), (2, 1, 0), (0, 1, 3), (3, 2, 1)]


def distorted(points: np.ndarray, rng: np.random.Generator, scale: float, noise: float) -> np.ndarray:
    """Points [A] turned by a random angle, scaled, sheared by 1 % and displaced by noise."""
    c, s = np.cos(angle := rng.uniform(0, 2 * np.pi)), np.sin(angle)
    matrix = scale * np.array([[c, -s], [s, c]]) @ (np.eye(2) + rng.uniform(-0.005, 0.005, (2, 2)))
    return points @ matrix.T + rng.normal(0, noise, points.shape)


def look(
    sites: np.ndarray, axes: list, rng: np.random.Generator, missing: float = 0.05, wrong: float = 0.25
) -> tuple[list, list, list]:
    """Indexings, counts and true sites of the columns of a particle seen along several axes.

    `missing` is the share of single atoms that are not seen, `wrong` that of counts that are off by one.
    """
    indexings, counts, truth = [], [], []
    for axis in axes:
        columns, atoms = column_counts(sites, axis)
        seen = rng.random(len(atoms)) >= missing * np.exp(1.0 - atoms)
        columns, atoms = columns[seen], atoms[seen]
        zone = tomo.zone_geometry(axis)
        points = distorted(zone.positions(zone.lines(columns), GOLD.a), rng, rng.uniform(0.97, 1.03), 0.05)
        indexings.append(tomo.index_columns(*points.T, axis, GOLD))
        error = np.where(rng.random(len(atoms)) < wrong, rng.choice([-1, 1], len(atoms)), 0)
        counts.append(np.maximum(atoms + error, 0).astype(float))
        truth.append(columns)
    return indexings, counts, truth


def is_right(found: tomo.Registration, truth: list, axes: list) -> bool:
    """Whether all views sit where they did, up to inversion and one common shift."""
    sites = [sites[use] for sites, use in zip(found.column_sites, found.used, strict=True)]
    return same_placing(sites, [true[use] for true, use in zip(truth, found.used, strict=True)], axes)


def bench_indexing(repeats: int) -> None:
    """Share of columns on the right line, for zone axes of low and high index."""
    print(
        "\nIndexing: scale 0.92-1.08, shear 1 %, noise 0.1 A (at most 8 % of the spacing),"
        " 5 % missing, 3 % spurious"
    )
    print("zone axis   columns   right line   refused   CPU s each")
    for axis in AXES:
        zone = tomo.zone_geometry(axis)
        right, total, refused, spent = 0, 0, 0, 0.0
        for seed in range(repeats):
            rng = np.random.default_rng([seed, *np.abs(axis)])
            sites, _ = column_counts(random_particle(int(rng.choice([300, 1000, 3000])), "rough", seed), axis)
            lines = zone.lines(sites)
            lines = lines[rng.random(len(lines)) > 0.05]
            noise = min(0.1, 0.08 * zone.spacing(GOLD.a))
            points = distorted(zone.positions(lines, GOLD.a), rng, rng.uniform(0.92, 1.08), noise)
            extra = points.min(axis=0) + rng.random((len(points) // 33, 2)) * np.ptp(points, axis=0)
            start = time.process_time()
            total += len(lines)
            try:
                found = tomo.index_columns(*np.concatenate([points, extra]).T, axis, GOLD)
            except tomo.InputError:
                refused += 1
                continue
            finally:
                spent += time.process_time() - start
            gaps = (found.lines[: len(lines)] - lines @ turn.T for turn in zone.plane_rotations())
            right += max(np.unique(g, axis=0, return_counts=True)[1].max() for g in gaps)
        print(f"{axis!s:<12}{total:>7}{100 * right / total:>11.2f} %{refused:>10}{spent / repeats:>12.2f}")


def bench_registration(particles: int) -> None:
    """Share of random particles whose views are placed right."""
    print("\nRegistration: random particles of 150-1500 atoms, 25 % of the counts wrong by one")
    print("zone axes                            right   margin 10/50 %   wrong, warned   CPU s each")
    everything = right_of_all = 0
    for axes in SETS:
        right, margins, spent, silent = 0, [], 0.0, 0
        for seed in range(particles):
            rng = np.random.default_rng([seed, 7])
            sites = random_particle(int(rng.choice([150, 500, 1500])), KINDS[seed % len(KINDS)], seed)
            indexings, counts, truth = look(sites, axes, rng)
            start = time.process_time()
            found = tomo.register_views(indexings, counts)
            spent += time.process_time() - start
            good = is_right(found, truth, axes)
            right += good
            silent += not good and found.margin >= 5
            margins.append(min(found.margin, 999))
        low, middle = np.quantile(margins, [0.1, 0.5])
        wrong = particles - right
        print(
            f"{in_brackets(axes, ' '):<36}{right:>4}/{particles}{low:>10.1f}{middle:>7.1f}"
            f"{wrong:>11}, {wrong - silent}{spent / particles:>16.2f}"
        )
        everything, right_of_all = everything + particles, right_of_all + right
    print(f"all: {right_of_all} of {everything} right")


def measured(sites: np.ndarray, axis: Axis, mirrored: bool, rng: np.random.Generator) -> ColumnFit:
    """Cross-sections and positions as the fit of an image of a particle would give them."""
    columns, atoms = column_counts(sites, axis)
    seen = rng.random(len(atoms)) >= 0.05 * np.exp(1.0 - atoms)
    columns, atoms = columns[seen], atoms[seen]
    zone = tomo.zone_geometry(axis)
    flat = zone.positions(zone.lines(columns), GOLD.a) * ([-1, 1] if mirrored else [1, 1])
    x, y = distorted(flat, rng, rng.uniform(0.99, 1.01), 0.04).T
    scatter = rng.uniform(0.1, 0.3) * (np.maximum(atoms, 1) / 5) ** 0.25
    values = np.maximum(0.04 * (atoms ** rng.uniform(0.85, 1.0) + rng.normal(0, scatter)), 0.008)
    zero, none = np.zeros(len(x)), np.zeros(len(x), dtype=int)
    std = np.full(len(x), 0.002)
    return ColumnFit(
        x, y, zero, zero + 0.6, values, std, zero[:1], 0.0, none, ("gaussian", ()), zero, zero, none
    )


def ends(fits: list[ColumnFit], axes: Sequence[Axis]) -> tuple[str, np.ndarray | None]:
    """How a run ends that is given these columns: the verdict, or "refused", and the atoms."""
    try:
        indexings = [
            tomo.index_columns(f.x, f.y, axis, GOLD, cross_section=f.cross_section, name=f"view{n}")
            for n, (f, axis) in enumerate(zip(fits, axes, strict=True))
        ]
        counts = [stemcount.count_atoms(f.cross_section, cross_section_std=f.noise_std) for f in fits]
        extents = [(f.x.min() - 9, f.x.max() + 9, f.y.min() - 9, f.y.max() + 9) for f in fits]
        joint = read_together(fits, counts, indexings, extents)
        joint = settle(joint, SEARCH)
        joint = confirm_placing(joint, SEARCH)
        views = views_of(joint, hard=False)
        atoms = tomo.reconstruct(views, runs=4, seed=0, workers=1, crystal=GOLD).occupied(0.5)
        return confirm_crystal(joint, atoms).registration.verdict, atoms
    except (stemcount.InputError, tomo.InputError):
        return "refused", None


def bench_refusal(particles: int) -> None:
    """Columns with cross-sections, as images give them: right ones must pass, others must be refused."""
    print("\nColumns of 300-700 atoms with cross-sections, all steps of a run: how it ends")
    print("what is wrong with the last view   refused   a verdict other than consistent   mean wrong atoms")
    for what in ("nothing", "another particle", "mirrored", "wrong axis"):
        refused, warned, wrong = 0, 0, []
        for seed in range(particles):
            rng = np.random.default_rng([seed, 8])
            kind, size = KINDS[seed % len(KINDS)], (300, 500, 700)[seed % 3]
            axes = list(
                SKEW[seed % len(SKEW)] if what in ("mirrored", "wrong axis") else MIXED[seed % len(MIXED)]
            )
            sites = random_particle(size, kind, 20_000 + seed)
            other = random_particle(size, kind, 30_000 + seed)
            last = len(axes) - 1
            fits = [
                measured(
                    other if what == "another particle" and n == last else sites,
                    axis,
                    what == "mirrored" and n == last,
                    rng,
                )
                for n, axis in enumerate(axes)
            ]
            if what == "wrong axis":
                axes[last] = (0, 1, 1)
            verdict, atoms = ends(fits, axes)
            refused += verdict == "refused"
            warned += verdict not in ("refused", "consistent")
            if atoms is not None:
                wrong.append(tomo.compare_sites(atoms, sites).wrong_fraction)
        share = f"{100 * np.mean(wrong):.1f} %" if wrong else "-"
        print(f"{what:<35}{refused:>4} of {particles}{warned:>20}{share:>32}", flush=True)


def bench_readings(particles: int) -> None:
    """Four readings of each view that look alike to the view: do the views choose the right ones?"""
    for axes in SETS[:3]:
        right, spent = 0, 0.0
        for seed in range(particles):
            rng = np.random.default_rng([seed, 9])
            sites = random_particle(int(rng.choice([300, 700, 1500])), KINDS[seed % len(KINDS)], seed)
            indexings, counts, _ = look(sites, axes, rng)
            readings = []
            for c in counts:
                top = c.max()
                trial = [c, c + 1, np.maximum(c - 1, 1), c * (top + 1) / top, c * (top - 1) / top, c / 2]
                readings.append(
                    [tomo.Reading(0.0, np.maximum(np.rint(t), 1), np.full(len(c), 0.3)) for t in trial]
                )
            start = time.process_time()
            right += not any(tomo.choose_readings(indexings, readings).chosen)
            spent += time.process_time() - start
        print(
            f"{in_brackets(axes, ' '):<24} readings of all views right: {right} of {particles},"
            f" {spent / particles:.2f} CPU s each"
        )


def doubtful(atoms: np.ndarray, places: np.ndarray, blur: float, rng: np.random.Generator) -> list:
    """Nine readings of counts that err column by column, in regions of 4 A and as a whole.

    `blur` is the standard deviation of a column of five atoms alone; the readings are at scales and offsets
    that the view itself cannot tell apart.
    """
    width = blur * (np.maximum(atoms, 1) / 5) ** 0.25
    square = ((places[:, None] - places) ** 2).sum(axis=2)
    alike = np.exp(-0.5 * square / 4.0**2) + 1e-6 * np.eye(len(atoms))
    error = rng.standard_normal(len(atoms)) + 0.6 * np.linalg.cholesky(alike) @ rng.standard_normal(
        len(atoms)
    )
    counted = atoms + width * error + 0.3 * blur * rng.standard_normal()
    return [
        tomo.Reading(rng.normal(0, 2), np.maximum(scale * counted + offset, 0.5), (scale * width) ** 2)
        for offset in (0, -1, 1)
        for scale in (1, 0.88, 1.12)
    ]


def bench_placings(particles: int) -> None:
    """How far the views' place leads the next that puts atoms elsewhere, and how often it is right."""
    leads, right, refused = [], [], 0
    for seed in range(particles):
        rng = np.random.default_rng([seed, 10])
        axes, turn = PAIRS[seed % len(PAIRS)], seed // len(PAIRS)
        size, blur = (60, 100, 180, 300)[turn % 4], (0.3, 0.5, 0.7, 1.0)[(turn + seed) % 4]
        sites = random_particle(size, KINDS[seed % len(KINDS)], 40_000 + seed)
        indexings, counts, truth = look(sites, axes, rng, missing=0.15, wrong=0.0)
        places = [np.column_stack([view.x, view.y]) for view in indexings]
        readings = [doubtful(*view, blur, rng) for view in zip(counts, places, strict=True)]
        try:
            found = tomo.choose_readings(indexings, readings).registration
        except tomo.InputError:
            refused += 1
            continue
        leads.append(found.margin)
        right.append(is_right(found, truth, axes))
    print(f"\nTwo views of {particles} particles of 60-300 atoms with doubtful counts, {refused} refused")
    bins = np.digitize(leads, LEADS[1:-1])
    for number, (low, high) in enumerate(itertools.pairwise(LEADS)):
        here = np.array(right)[bins == number]
        print(f"lead {low:>2}-{high:<4} log units: {here.sum():>3} of {len(here)} right")


def bench_rod() -> None:
    """The experimental nanorod with its published counts."""
    if not DATA.is_dir():
        print(f"\nskipped the experimental rod: {NO_DATA}")
        return
    start = time.process_time()
    indexings, counts, fields, planes = [], [], [], []
    for axis in ("100", "110"):
        rod = np.load(DATA / f"aurod_{axis}.npz")
        pixel, (rows, cols) = float(rod["pixel_size"]), rod["image"].shape
        indexings.append(tomo.index_columns(*(rod["xy_px"] * pixel).T, rod["zone_axis"], GOLD, name=axis))
        counts.append(rod["count"].astype(float))
        fields.append((-pixel / 2, (cols - 0.5) * pixel, -pixel / 2, (rows - 0.5) * pixel))
        planes.append(rod["column_index"][:, 0])
    found = tomo.register_views(indexings, counts, fields_of_view=fields)
    offsets = []
    for sites, used, plane in zip(found.column_sites, found.used, planes, strict=True):
        trials = [
            (sign, *np.unique(sites[used, 2] - sign * plane[used], return_counts=True)) for sign in (1, -1)
        ]
        sign, values, number = max(trials, key=lambda item: item[2].max())
        offsets.append((sign, int(values[number.argmax()]), number.max() / used.sum()))
    same = offsets[0][:2] == offsets[1][:2]
    pair = found.pairs[0, 1]
    print(
        f"\nExperimental rod: columns on a line {[int(x.keep.sum()) for x in indexings]}"
        f" of {[len(x) for x in indexings]}"
    )
    print(
        f"registration as published: {same}; margin {found.margin:.1f};"
        f" {pair.planes} planes seen whole by both hold"
    )
    print(
        f"{pair.first_total:.0f} and {pair.second_total:.0f} atoms"
        f" ({100 * (pair.second_total / pair.first_total - 1):+.2f} %); verdict {found.verdict};"
        f" {time.process_time() - start:.1f} CPU s"
    )


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--particles", type=int, default=25, help="random particles for each set of zone axes"
    )
    parts = ("indexing", "registration", "refusal", "readings", "placings", "rod")
    parser.add_argument("--only", choices=parts, help="run one part")
    options = parser.parse_args()
    n = options.particles
    runs = {
        "indexing": lambda: bench_indexing(max(3, n // 3)),
        "registration": lambda: bench_registration(n),
        "refusal": lambda: bench_refusal(n),
        "readings": lambda: bench_readings(max(4, n // 2)),
        "placings": lambda: bench_placings(4 * n),
        "rod": bench_rod,
    }
    for part, run in runs.items():
        if options.only in (None, part):
            run()


if __name__ == "__main__":
    main()
