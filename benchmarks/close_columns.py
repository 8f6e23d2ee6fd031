"""Finding columns that stand closer than their peaks are wide: particles that the program was not made on.

python benchmarks/close_columns.py        # all of them
python benchmarks/close_columns.py 2.3    # those up to so many widths apart
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import stemcount
import tomo
from stemcount.cli.one_image.faint import find_and_fit
from tomo import phantoms

Floats = NDArray[np.float64]
Bound = Callable[[stemcount.ZoneAxisImage, dict], Floats]

WIDTH, BACKGROUND, ATOM = 0.6, 0.004, 0.03  # rho [A], level, cross-section of one atom [A^2]
VIEWS = (
    ("fcc [111]", 4.08, None, (1, 1, 1)),
    ("fcc [111], a = 3.61 A", 3.61, None, (1, 1, 1)),
    ("fcc [112]", 4.08, None, (1, 1, 2)),
    ("fcc [112], a = 3.61 A", 3.61, None, (1, 1, 2)),
    ("fcc [110]", 3.61, None, (1, 1, 0)),
    ("dumbbells [110], equal", 5.65, 1.0, (1, 1, 0)),
    ("dumbbells [110], 1 : 0.4", 5.65, 0.4, (1, 1, 0)),
    ("dumbbells [110], 1 : 0.2", 6.06, 0.2, (1, 1, 0)),
)
CONDITIONS = ((5e3, 0.2), (2e4, 0.1), (2e4, 0.4), (1e5, 0.2))  # dose [1/A^2], pixel size [A]


def particle(
    view: tuple, dose: float, pixel_size: float, seed: int, n_atoms: int = 600
) -> tuple[stemcount.ZoneAxisImage, dict]:
    """Image and truth of a random particle along a view; with a ratio, a zinc blende crystal."""
    _, a, ratio, zone = view
    kind = phantoms.KINDS[seed % 3]
    sites = phantoms.random_particle(n_atoms if ratio is None else n_atoms // 2, kind, seed=seed).astype(
        float
    )
    each = np.full(len(sites), ATOM)
    if ratio is not None:
        sites, each = np.concatenate([sites, sites + 0.5]), np.concatenate([each, ratio * each])
    return stemcount.simulate_crystal(
        sites * a / 2,
        zone,
        pixel_size=pixel_size,
        dose=dose,
        seed=seed,
        width=WIDTH,
        atom_cross_section=each,
        background=BACKGROUND,
        angle=float(np.random.default_rng(seed).uniform(0, 90)),
    )


def cases(seeds: int) -> Iterator[tuple[str, float, float, list[tuple[stemcount.ZoneAxisImage, dict]]]]:
    """Name, dose, pixel size and images of every row of the table."""
    for number, view in enumerate(VIEWS):
        for k, (dose, px) in enumerate(CONDITIONS):
            first = 5000 + 10 * (number * len(CONDITIONS) + k)
            yield view[0], dose, px, [particle(view, dose, px, first + s) for s in range(seeds)]


def close(bound: Bound, seeds: int = 2) -> None:
    """Missed and false columns, and position errors against the Cramer-Rao bound of the true set."""
    print(
        "view                      closest  dose   pixel  columns missed  false  rms [A]  bound [A]  CPU [s]"
    )
    total = np.zeros(3)
    for name, dose, px, images in cases(seeds):
        tally, squares, bounds, spacing, seconds = np.zeros(3), [], [], 0.0, 0.0
        for image, truth in images:
            true = np.column_stack([truth["x"], truth["y"]])
            spacing = float(np.median(cKDTree(true).query(true, k=2)[0][:, 1]))
            start = time.process_time()
            found = stemcount.find_columns(stemcount.ZoneAxisImage(image.data, px))  # the dose is not told
            seconds += time.process_time() - start
            distance, j = cKDTree(found).query(true)
            mutual = (distance < spacing / 2) & (cKDTree(true).query(found)[1][j] == np.arange(len(true)))
            tally += [len(true), np.count_nonzero(~mutual), len(found) - np.count_nonzero(mutual)]
            squares.append((found[j] - true)[mutual].ravel() ** 2)
            bounds.append(bound(image, truth)[mutual, :2].ravel() ** 2)
        total += tally
        n, missed, false = tally
        rms, best = (np.sqrt(np.mean(np.concatenate(v))) for v in (squares, bounds))
        print(
            f"{name:26s}{spacing:6.2f} {dose:7.0f} {px:7.2f} {n:8.0f} {missed / n:7.1%} {false / n:6.1%}"
            f" {rms:8.3f} {best:9.3f} {seconds:9.1f}",
            flush=True,
        )
    n, missed, false = total
    print(f"all: {n:.0f} columns, {missed / n:.2%} missed, {false / n:.2%} false")


AXES: tuple[tuple[int, int, int], ...] = (
    *((0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 1, 2), (3, 1, 0)),
    *((2, 1, 1), (1, 0, 3), (1, 1, 1), (3, 1, 0), (1, 1, 2)),
)
LATTICES = (3.61, 3.92, 3.89, 4.08, 4.95)  # [A]
RATIO, CROWDED = (1.8, 3.0), 2.75  # closest columns [widths] that are drawn, and that are looked at


def drawn(seed: int) -> tuple[stemcount.ZoneAxisImage, Floats, float, str, float]:
    """Image of a random particle along the axis of a seed, its columns, their distance [widths], name, a [A].

    Particle, lattice parameter, width, dose, pixels, background and rotation are all drawn.
    """
    rng, axis = np.random.default_rng(880_000 + seed), AXES[seed % len(AXES)]
    a = rng.choice(LATTICES) * rng.uniform(0.995, 1.005)
    kind = phantoms.KINDS[rng.integers(len(phantoms.KINDS))]
    sites = phantoms.random_particle(int(rng.integers(150, 700)), kind, seed=880_000 + seed)
    ratio, dose, px = rng.uniform(*RATIO), 10 ** rng.uniform(np.log10(5e3), 5), rng.uniform(0.1, 0.22)
    channelling, atom = rng.uniform(0.85, 1), rng.uniform(0.02, 0.06)
    background, angle = rng.uniform(0, 0.05), rng.uniform(0, 360)
    _, flat = stemcount.simulate_crystal(sites * a / 2, axis, pixel_size=0.3, dose=None, width=0.5)
    true = np.column_stack([flat["x"], flat["y"]])
    gap = float(np.median(cKDTree(true).query(true, k=2)[0][:, 1]))
    width = min(gap / ratio, 0.9)
    image, truth = stemcount.simulate_crystal(
        sites * a / 2,
        axis,
        pixel_size=min(px, width / 2.2),
        dose=dose,
        seed=seed,
        width=width,
        atom_cross_section=atom,
        channelling=channelling,
        background=background,
        border=6.0,
        angle=angle,
    )
    name = f"{kind} {list(axis)}, {gap / width:.2f} widths apart, {dose:.0f} e/A^2"
    bare = stemcount.ZoneAxisImage(image.data, image.pixel_size)
    return bare, np.column_stack([truth["x"], truth["y"]]), gap / width, name, a


def with_crystal(image: stemcount.ZoneAxisImage, axis: tuple[int, int, int], a: float) -> Floats:
    """Columns of an image as a run fits them, which knows the crystal and how it is seen."""
    fit, _ = find_and_fit(image, axis, {}, tomo.fcc("Au", a=a))
    return np.column_stack([fit.x, fit.y])


def errors(find: Callable[[], Floats], true: Floats) -> list[int]:
    """Columns missed, false and displaced, by more than a sixth of their distance."""
    gap = float(np.median(cKDTree(true).query(true, k=2)[0][:, 1]))
    try:
        found = find()
    except stemcount.InputError:
        return [len(true), 0, 0]
    missed = int(np.count_nonzero(cKDTree(found).query(true)[0] > 0.35 * gap))
    aside = cKDTree(true).query(found)[0] / gap
    return [missed, int(np.sum(aside > 0.35)), int(np.sum((aside > 0.175) & (aside <= 0.35)))]


def random_particles(seeds: int, closest: float) -> None:
    """Columns missed, false and displaced by distance in widths: found alone, and with the crystal known."""
    bounds = (RATIO[0], 2.1, 2.3, CROWDED)
    total, seconds = np.zeros((3, 8), dtype=int), np.zeros(2)
    for seed in range(seeds):
        image, true, ratio, name, a = drawn(seed)
        if ratio > closest:
            continue
        row, start = [1, len(true)], time.process_time()
        row += errors(lambda image=image: stemcount.find_columns(image), true)
        between = time.process_time()
        row += errors(lambda image=image, s=seed, a=a: with_crystal(image, AXES[s % len(AXES)], a), true)
        seconds += between - start, time.process_time() - between
        total[np.searchsorted(bounds, ratio) - 1] += row
        print(f"{seed:4d} {name:60s} {row[1]} {row[2:5]} {row[5:]}", flush=True)
    print("images, columns; missed, false, displaced as found; the same as fitted where the crystal is known")
    for low, high, sums in zip(bounds, bounds[1:], total.tolist(), strict=False):
        print(f"{low}-{high} widths: {sums[:2]} {sums[2:5]} {sums[5:]}")
    print("CPU s: {:.0f}, {:.0f}".format(*seconds))


if __name__ == "__main__":
    random_particles(120, CROWDED if len(sys.argv) == 1 else float(sys.argv[1]))
