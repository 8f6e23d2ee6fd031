"""Indexing and registration against known answers: random particles, simulated and experimental images.

    python benchmarks/registration.py [--particles 25]

Every particle gets random in-plane rotations, 3 % scale error, 1 % shear, 0.05 A of noise, 5 % of the
one-atom columns missing (fewer of the thicker ones) and 25 % of the counts wrong by one. A registration is
right if all views sit where they did, up to the inversion of the crystal and a shift common to all views;
"warned" are the wrong ones whose margin to the runner-up was called thin.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

import tomo
from tomo.phantoms import KINDS, column_counts, random_particle

GOLD = tomo.fcc("Au", a=4.08)
SETS = [
    [(0, 0, 1), (1, 0, 0), (1, 1, 0)],
    [(1, 1, 0), (1, 0, 0), (0, 1, 0)],
    [(0, 0, 1), (1, 1, 0)],
    [(1, 0, 0), (1, 1, 0)],
    [(1, 1, 0), (1, 0, 1)],
    [(1, 1, 2), (1, 1, 0)],
    [(1, 1, 0), (1, 1, 1), (0, 0, 1)],
]
AXES = [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2), (2, 1, 0), (0, 1, 3), (3, 2, 1)]


def distorted(points: np.ndarray, rng: np.random.Generator, scale: float, noise: float) -> np.ndarray:
    """Points [A] turned by a random angle, scaled, sheared by 1 % and displaced by noise."""
    c, s = np.cos(angle := rng.uniform(0, 2 * np.pi)), np.sin(angle)
    matrix = scale * np.array([[c, -s], [s, c]]) @ (np.eye(2) + rng.uniform(-0.005, 0.005, (2, 2)))
    return points @ matrix.T + rng.normal(0, noise, points.shape)


def look(sites: np.ndarray, axes: list, rng: np.random.Generator) -> tuple[list, list, list]:
    """Indexings, counts and true sites of the columns of a particle seen along several axes."""
    indexings, counts, truth = [], [], []
    for axis in axes:
        columns, atoms = column_counts(sites, axis)
        seen = rng.random(len(atoms)) >= 0.05 * np.exp(1.0 - atoms)
        columns, atoms = columns[seen], atoms[seen]
        zone = tomo.zone_geometry(axis)
        points = distorted(zone.positions(zone.lines(columns), GOLD.a), rng, rng.uniform(0.97, 1.03), 0.05)
        indexings.append(tomo.index_columns(*points.T, axis, GOLD))
        wrong = np.where(rng.random(len(atoms)) < 0.25, rng.choice([-1, 1], len(atoms)), 0)
        counts.append(np.maximum(atoms + wrong, 0).astype(float))
        truth.append(columns)
    return indexings, counts, truth


def is_right(found: tomo.Registration, truth: list, axes: list) -> bool:
    """Whether all views sit where they did, up to inversion and one common shift."""
    for sign in (1, -1):
        rows, gaps = [], []
        for sites, use, true, axis in zip(found.column_sites, found.used, truth, axes, strict=True):
            zone = tomo.zone_geometry(axis)
            gap, number = np.unique(
                zone.lines(sites[use]) - zone.lines(sign * true[use]), axis=0, return_counts=True
            )
            if number.max() < 0.9 * use.sum():
                break
            rows.append(np.linalg.inv(zone.basis)[:2])
            gaps.append(gap[number.argmax()])
        else:
            matrix, gap = np.concatenate(rows), np.concatenate(gaps)
            shift = np.rint(np.linalg.lstsq(matrix, gap, rcond=None)[0])
            near = shift + np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)
            if (np.abs(near @ matrix.T - gap).max(axis=1) < 1e-6).any():
                return True
    return False


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
            found = tomo.register_views(indexings, counts, GOLD)
            spent += time.process_time() - start
            good = is_right(found, truth, axes)
            right += good
            silent += not good and found.margin >= 5
            margins.append(min(found.margin, 999))
        low, middle = np.quantile(margins, [0.1, 0.5])
        wrong = particles - right
        name = " ".join("[" + "".join(map(str, a)) + "]" for a in axes)
        print(
            f"{name:<36}{right:>4}/{particles}{low:>10.1f}{middle:>7.1f}"
            f"{wrong:>11}, {wrong - silent}{spent / particles:>16.2f}"
        )
        everything, right_of_all = everything + particles, right_of_all + right
    print(f"all: {right_of_all} of {everything} right")


def bench_refusal(particles: int) -> None:
    """One of three views swapped for that of another particle of the same size and kind."""
    refused = warned = 0
    for seed in range(particles):
        rng = np.random.default_rng([seed, 8])
        kind = ("stepped", "rough")[seed % 2]
        one = look(random_particle(1000, kind, seed), SETS[0], rng)
        other = look(random_particle(1000, kind, seed + 500), SETS[0], rng)
        try:
            found = tomo.register_views([*one[0][:2], other[0][2]], [*one[1][:2], other[1][2]], GOLD)
            warned += found.verdict != "consistent" or found.margin < 5
        except tomo.InputError:
            refused += 1
    print(
        f"\nOne of three views from another particle: {refused} of {particles} refused,"
        f" {warned} more with a warning"
    )


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
            right += not any(tomo.choose_readings(indexings, readings, GOLD).chosen)
            spent += time.process_time() - start
        name = " ".join("[" + "".join(map(str, a)) + "]" for a in axes)
        print(
            f"{name:<24} readings of all views right: {right} of {particles},"
            f" {spent / particles:.2f} CPU s each"
        )


def bench_rod() -> None:
    """The experimental nanorod with its published counts."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("STEMCOUNT_DATA", default))
    if not (folder / "aurod_100.npz").exists():
        print(f"\nskipped the experimental rod: no {folder / 'aurod_100.npz'}; set STEMCOUNT_DATA")
        return
    start = time.process_time()
    indexings, counts, fields, planes = [], [], [], []
    for axis in ("100", "110"):
        rod = np.load(folder / f"aurod_{axis}.npz")
        pixel, (rows, cols) = float(rod["pixel_size"]), rod["image"].shape
        indexings.append(tomo.index_columns(*(rod["xy_px"] * pixel).T, rod["zone_axis"], GOLD, name=axis))
        counts.append(rod["count"].astype(float))
        fields.append((-pixel / 2, (cols - 0.5) * pixel, -pixel / 2, (rows - 0.5) * pixel))
        planes.append(rod["column_index"][:, 0])
    found = tomo.register_views(indexings, counts, GOLD, fields_of_view=fields)
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--particles", type=int, default=25, help="random particles for each set of zone axes"
    )
    options = parser.parse_args()
    bench_indexing(max(3, options.particles // 3))
    bench_registration(options.particles)
    bench_refusal(max(4, options.particles // 2))
    bench_readings(max(4, options.particles // 2))
    bench_rod()


if __name__ == "__main__":
    main()
