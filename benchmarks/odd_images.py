"""Images that finding was not made for: shapes without columns, and what microscopes really record.

    python benchmarks/odd_images.py [shapes] [recorded] [light] [margins] [slopes] [--seeds 3] [--first 0]

`shapes`: blurred discs, ellipses, polygons, balls, steps, slopes and films of speckle, without any column.
What finding takes for columns, and what the Fourier transform takes for a lattice, is false. `recorded`:
random particles as they are recorded in practice: finer and coarser pixels than usual, cut by edges, small in
a large field, two of them, jitter of the scan, an offset, saturation, 8 bits, contamination, dark columns.
`light`: the same particles with light under or over them that no column scatters: bumps of contamination of
several heights, sizes and places, the edge of a film, the speckle of amorphous carbon. `margins`: faint
particles in images cut close around them, or inside them, alone and as a run fits them, which knows the
crystal. `slopes`: crystals that fill the image but for 3 A, on a film that slopes by parts of a typical
column's height, and what their cross-sections err by, fitted as they are and on an even background.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from close_columns import with_crystal
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

import stemcount
import tomo
from stemcount import InputError, ZoneAxisImage
from tomo.phantoms import KINDS, random_particle
from tomo.placing.lattice import describe_lattice

Floats = NDArray[np.float64]

A = 4.08  # lattice parameter [A]
SHAPES = ("disc", "ellipse", "polygon", "dome", "step", "wedge", "film", "particle on film")
EXPECTED = ((1, 0, 0), (1, 1, 0), (1, 1, 1))  # lattices that the Fourier transform is asked for
DOSES = (3e3, 5e3, 2e4)  # of images cut close [1/A^2]
MARGINS = (6.0, 3.0, 1.0, -3.0)  # around the outermost columns; negative ones cut the particle [A]

SLOPES = (0.0, 0.2, 0.5, 1.0)  # rise of a film across the image, in heights of a typical column
FILLED = ("100", "110", "111", "112", "dumbbells 1 : 1", "dumbbells 1 : 0.4")


def outline(kind: str, x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """A shape's intensity, 0 to 1 (or a little above), before it is blurred; x and y from its centre [A]."""
    size = rng.uniform(4.0, 11.0)
    angle = rng.uniform(0, np.pi)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if kind == "dome":  # the thickness of a ball
        return np.sqrt(np.maximum(1 - (x**2 + y**2) / size**2, 0))
    if kind == "step":
        return (u > 0).astype(float)
    if kind == "wedge":
        return np.clip(u / size + 0.5, 0, 1)
    if kind == "film":
        return np.full(x.shape, 0.5)
    if kind == "polygon":
        corners = int(rng.integers(3, 9))
        away = [u * np.cos(t) + v * np.sin(t) for t in 2 * np.pi * np.arange(corners) / corners]
        inside = np.max(away, axis=0) < size
    else:
        inside = np.hypot(u, v / (rng.uniform(0.4, 0.8) if kind == "ellipse" else 1.0)) < size
    slope = rng.uniform(0, 0.8) * rng.integers(0, 2)
    return inside * (1 + slope * np.clip(v / size, -1, 1)) / (1 + slope)


def shape_image(kind: str, seed: int) -> ZoneAxisImage:
    """Image of a blurred shape without columns."""
    rng = np.random.default_rng([SHAPES.index(kind), seed])
    px, blur, dose = rng.uniform(0.12, 0.25), rng.uniform(0.3, 1.2), 10 ** rng.uniform(3.7, 5.0)
    y, x = np.mgrid[-15:15:px, -15:15:px]
    level = outline("disc" if kind == "particle on film" else kind, x, y, rng)
    level = rng.uniform(0.05, 0.4) * ndimage.gaussian_filter(level, blur / px)
    texture = ndimage.gaussian_filter(rng.normal(size=x.shape), rng.uniform(0.6, 2.0) / px)
    rough = rng.uniform(0.02, 0.2) if "film" in kind else rng.uniform(0, 0.05) * rng.integers(0, 2)
    level = (level + 0.05 * ("film" in kind)) * np.maximum(
        1 + rough * texture / texture.std(), 0
    ) + rng.uniform(0, 0.03)
    data = rng.poisson(level * dose * px**2) / (dose * px**2)
    return ZoneAxisImage(data, px, name=f"{kind} {seed}")


def bench_shapes(seeds: range) -> None:
    """False sets of columns, and false lattices."""
    print("shape              images  false sets (their columns)               with a lattice  by Fourier")
    for kind in SHAPES:
        sets, lattices, fourier = [], 0, 0
        for seed in seeds:
            image = shape_image(kind, seed)
            try:
                points = stemcount.find_columns(image)
                sets.append(len(points))
                lattices += len(points) >= 8 and describe_lattice(points) is not None
            except InputError:
                pass
            for zone in EXPECTED:
                basis = tomo.zone_geometry(zone).plane_basis * A / 2
                try:
                    stemcount.fourier_lattice(image, basis)
                    fourier += 1
                except InputError:
                    pass
        print(
            f"{kind:18s} {len(seeds):6d} {len(sets):6d}  {sorted(sets)!s:36s} {lattices:11d}"
            f" {fourier:6d} of {3 * len(seeds)}",
            flush=True,
        )


@dataclass(frozen=True)
class Recording:
    """How an image is recorded.

    Attributes
    ----------
    pixel : float
        [A]
    border : float
        Margin around the particle; negative values cut it [A].
    atoms : int
        Of the particle.
    spoil : callable, optional
        What happens to the recorded intensities, from the image, its pixel size [A] and a random generator.
    light : callable, optional
        What is added before the image is recorded, in parts of its columns' height, from the coordinates x, y
        of the pixels from its middle [A] and a random generator.
    second : bool
        Another particle, in another orientation, stands beside it.
    """

    pixel: float = 0.2
    border: float = 6.0
    atoms: int = 600
    spoil: Callable[[Floats, float, np.random.Generator], Floats] | None = None
    light: Callable[[Floats, Floats, np.random.Generator], Floats] | None = None
    second: bool = False


def jitter(data: Floats, pixel: float, rng: np.random.Generator) -> Floats:
    """Every line displaced sideways by 0.1 A (standard deviation)."""
    return np.array(
        [ndimage.shift(line, rng.normal(0, 0.1 / pixel), order=3, mode="nearest") for line in data]
    )


def saturated(data: Floats, pixel: float, rng: np.random.Generator) -> Floats:
    """Cut at 60 % of its highest values, on an offset."""
    return np.asarray(np.minimum(data, 0.6 * np.percentile(data, 99.9)) + 0.3)


def contaminated(data: Floats, pixel: float, rng: np.random.Generator) -> Floats:
    """Carbon builds up while the image is scanned, most in the middle: a third as high as they are."""
    y, x = np.mgrid[-1 : 1 : data.shape[0] * 1j, -1 : 1 : data.shape[1] * 1j]
    return np.asarray(data + 0.3 * np.percentile(data, 99) * (1 + y) * np.exp(-(x**2 + y**2)))


def eight_bits(data: Floats, pixel: float, rng: np.random.Generator) -> Floats:
    """256 levels."""
    return np.rint(255 * (data - data.min()) / np.ptp(data))


def inverted(data: Floats, pixel: float, rng: np.random.Generator) -> Floats:
    """Dark columns on a bright background, as in bright field."""
    return np.asarray(data.max() - data)


def bumps(height: float, size: float, aside: float = 0.0, number: int = 1) -> Recording:
    """Contamination in spots of a standard deviation `size`, `aside` from the particle's middle [A]."""

    def light(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
        angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(number) / number
        u, v = (x - aside * np.cos(a) for a in angle), (y - aside * np.sin(a) for a in angle)
        return height * sum(
            (np.exp(-(p**2 + q**2) / (2 * size**2)) for p, q in zip(u, v, strict=True)), np.zeros_like(x)
        )

    return Recording(light=light)


def film_edge(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """A film that ends under the particle, with an edge as sharp as 1 A."""
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle) - rng.uniform(-5, 5)
    return np.asarray(0.3 / (1 + np.exp(-along)))


def carbon(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """Amorphous carbon: its speckle is a fifth of its height, which is a quarter of the columns'."""
    grain = rng.uniform(0.8, 1.5) / float(x[0, 1] - x[0, 0])
    speckle = ndimage.gaussian_filter(rng.normal(size=x.shape), grain)
    return np.asarray(0.25 * np.maximum(1 + 0.2 * speckle / speckle.std(), 0))


LIGHT = {
    "bump of 0.1, 10 A": bumps(0.1, 10.0),
    "bump of 0.3, 10 A": bumps(0.3, 10.0),
    "bump of 1, 10 A": bumps(1.0, 10.0),
    "bump of 0.3, 5 A": bumps(0.3, 5.0),
    "bump of 1, 5 A": bumps(1.0, 5.0),
    "bump of 0.3, 20 A": bumps(0.3, 20.0),
    "bump of 0.5, 8 A, 12 A aside": bumps(0.5, 8.0, 12.0),
    "two bumps of 0.4, 5 A, 10 A aside": bumps(0.4, 5.0, 10.0, 2),
    "film of 0.3 ends under it": Recording(light=film_edge),
    "amorphous carbon of 0.25": Recording(light=carbon),
}
RECORDED = {
    "as usual": Recording(),
    "pixels of 0.05 A": Recording(pixel=0.05),
    "pixels of 0.4 A": Recording(pixel=0.4),
    "pixels of 0.5 A": Recording(pixel=0.5),
    "cut by edges": Recording(border=-6.0),
    "particle is 5 % of the field": Recording(border=55.0, atoms=400),
    "two particles": Recording(second=True),
    "lines displaced by 0.1 A": Recording(spoil=jitter),
    "offset, saturated at 60 %": Recording(spoil=saturated),
    "contamination": Recording(spoil=contaminated),
    "8 bits": Recording(spoil=eight_bits),
    "dark columns": Recording(spoil=inverted),
}


def recorded_image(how: Recording, seed: int) -> tuple[ZoneAxisImage, Floats]:
    """Image of a random particle along [100] or [110], and its true columns [A]."""
    rng = np.random.default_rng([91, seed])
    sites = random_particle(how.atoms, KINDS[seed % 4], seed=70_000 + seed) * A / 2
    zone = ((1, 0, 0), (1, 1, 0))[seed % 2]
    settings = {"pixel_size": how.pixel, "dose": None, "width": rng.uniform(0.5, 0.65)}
    image, truth = stemcount.simulate_crystal(
        sites, zone, angle=rng.uniform(0, 90), border=max(how.border, 6.0), **settings
    )
    data, true = image.data, np.column_stack([truth["x"], truth["y"]])
    if how.second:
        other, more = stemcount.simulate_crystal(
            sites, zone, angle=rng.uniform(0, 90), border=6.0, **settings
        )
        size = max(len(data), len(other.data))
        true = np.concatenate([true, np.column_stack([more["x"] + data.shape[1] * how.pixel, more["y"]])])
        data = np.concatenate([np.pad(d, ((0, size - len(d)), (0, 0))) for d in (data, other.data)], axis=1)
    if how.border < 0:  # cut on the left and at the top
        cut = round((6.0 - how.border) / how.pixel)
        data, true = data[cut:, cut:], true - cut * how.pixel
    if how.light is not None:
        y, x = ((np.indices(data.shape).T - (np.array(data.shape) - 1) / 2).T) * how.pixel
        data = data + np.percentile(data, 99) * how.light(x, y, rng)
    dose = 10 ** rng.uniform(4, 5) * how.pixel**2
    data = rng.poisson((data + 0.005) * dose) / dose
    if how.spoil is not None:
        data = how.spoil(data, how.pixel, rng)
    return ZoneAxisImage(data, how.pixel, name=f"seed {seed}"), true


def close_image(margin: float, dose: float, seed: int) -> tuple[ZoneAxisImage, Floats, float]:
    """Image of a random particle that ends `margin` [A] from its outermost columns, these, and its a [A]."""
    rng = np.random.default_rng([92, seed])
    a = float(rng.choice([3.61, 3.9, 4.08]))
    sites = random_particle(350, KINDS[seed % 4], seed=80_000 + seed) * a / 2
    image, truth = stemcount.simulate_crystal(
        sites,
        EXPECTED[seed % 3],
        pixel_size=rng.uniform(0.1, 0.25),
        dose=dose,
        width=rng.uniform(0.45, 0.68),
        atom_cross_section=0.03,
        background=0.02,
        border=8.0,
        angle=rng.uniform(0, 360),
        seed=seed,
    )
    true = np.column_stack([truth["x"], truth["y"]])
    low, high = true.min(axis=0) - margin, true.max(axis=0) + margin
    return stemcount.region_of_interest(image, low[0], high[0], low[1], high[1]), true, a


def tally_of(
    image: ZoneAxisImage, true: Floats, find: Callable[[ZoneAxisImage], Floats] = stemcount.find_columns
) -> tuple[NDArray[np.int_], str]:
    """Columns, those missed and false, more than 1 A inside the image, and what finding said."""
    left, right, top, bottom = image.extent
    low, high = np.array([left, top]) + 1.0, np.array([right, bottom]) - 1.0
    inside = ((true > low) & (true < high)).all(axis=1)
    said = ""
    try:
        found = find(image)
    except InputError as error:
        found, said = np.full((1, 2), -1e3), str(error)
    distance, j = cKDTree(found).query(true)
    met = (distance < 0.6) & (cKDTree(true).query(found)[1][j] == np.arange(len(true)))
    shown = ((found > low) & (found < high)).all(axis=1)
    shown[j[met]] = False
    return np.array([inside.sum(), np.count_nonzero(inside & ~met), shown.sum()]), said


def bench_recorded(seeds: range, recordings: dict[str, Recording]) -> None:
    """Columns missed and false, more than 1 A inside the image, and the time."""
    print("recorded                            columns  missed   false   CPU [s]  said")
    for name, how in recordings.items():
        tally, seconds, said = np.zeros(3, dtype=int), 0.0, ""
        for seed in seeds:
            image, true = recorded_image(how, seed)
            start = time.process_time()
            one, words = tally_of(image, true)
            seconds += time.process_time() - start
            tally, said = tally + one, words or said
        print(f"{name:35s} {tally[0]:7d} {tally[1]:7d} {tally[2]:7d} {seconds:9.1f}  {said}", flush=True)


def bench_margins(seeds: range) -> None:
    """Columns missed and false for each dose and margin, found alone and with the crystal known."""
    print("                                                alone                   crystal known")
    print(
        "margin [A]  dose [1/A^2] images  columns  missed   false  refused  missed   false  refused  CPU [s]"
    )
    for margin in MARGINS:
        for dose in DOSES:
            tally, refused, start = np.zeros((2, 3), dtype=int), np.zeros(2, dtype=int), time.process_time()
            for seed in seeds:
                image, true, a = close_image(margin, dose, seed)
                known = partial(with_crystal, axis=EXPECTED[seed % 3], a=a)
                for k, find in enumerate((stemcount.find_columns, known)):
                    one, words = tally_of(image, true, find)
                    tally[k] += one
                    refused[k] += words != ""
            seconds = time.process_time() - start
            alone, with_it = (
                f"{t[1]:7d} {t[2]:7d} {r:8d}" for t, r in zip(tally.tolist(), refused.tolist(), strict=True)
            )
            print(
                f"{margin:10.0f} {dose:13.0e} {len(seeds):6d} {tally[0, 0]:8d} {alone} {with_it}"
                f" {seconds:8.1f}",
                flush=True,
            )


def sloping_image(kind: str, slope: float, seed: int) -> tuple[ZoneAxisImage, Floats, Floats]:
    """Image of a square crystal on a film that slopes, its true columns [A] and their volumes."""
    rng = np.random.default_rng([93, FILLED.index(kind), seed])
    pair = kind.startswith("dumbbells")
    a, zone = (5.65, (1, 1, 0)) if pair else (A, tuple(map(int, kind)))
    step = a / 2 * tomo.zone_geometry(zone).plane_basis
    grid = np.stack(np.meshgrid(*2 * [np.arange(-30, 31)]), axis=-1).reshape(-1, 2) @ step.T
    long = max((step[:, 0], step[:, 1], step @ [1, 1], step @ [1, -1]), key=np.linalg.norm)
    across = a / 8 * long / np.linalg.norm(long) if pair else np.zeros(2)  # half a dumbbell
    parts = (-across, across) if pair else (across,)
    ratio = float(kind.split()[-1]) if pair else 1.0
    angle, half = rng.uniform(0, np.pi), rng.uniform(9, 13)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    true = np.concatenate([grid + part for part in parts]) @ turn.T
    share = np.repeat((1.0, ratio)[: len(parts)], len(grid))
    inside = (np.abs(true) < half).all(axis=1)
    true, share = true[inside], share[inside]
    volume = 0.03 * share * rng.integers(3, 12, len(true))
    width, pixel, dose = rng.uniform(0.45, 0.6), rng.uniform(0.12, 0.25), 10 ** rng.uniform(3.7, 5)
    n, middle = int(2 * (half + 3.0) / pixel), half + 3.0
    v, u = np.mgrid[-0.5 : 0.5 : n * 1j, -0.5 : 0.5 : n * 1j]
    to = rng.uniform(0, 2 * np.pi)
    film = 0.75 + u * np.cos(to) + v * np.sin(to)
    image = stemcount.simulate_columns(
        *(true + middle).T,
        volume,
        shape=(n, n),
        pixel_size=pixel,
        width=width,
        dose=dose,
        background=0.01 + slope * np.median(volume) / (2 * np.pi * width**2) * film,
        seed=seed,
    )
    return image, true + middle, volume


def bench_slopes(seeds: range) -> None:
    """Columns missed and false, and the relative errors of cross-sections (median of the images)."""
    print("slope  crystal            columns  missed   false  rms error, even background [%]  CPU [s]")
    for slope in SLOPES:
        for kind in FILLED:
            tally, errors, seconds = np.zeros(3, dtype=int), [], 0.0
            for seed in seeds:
                image, true, volume = sloping_image(kind, slope, seed)
                start = time.process_time()
                try:
                    found = stemcount.find_columns(image)
                except InputError:  # all are missed
                    found = np.full((1, 2), -1e3)
                seconds += time.process_time() - start
                tally += tally_of(image, true, lambda _, found=found: found)[0]
                if len(found) == 1:
                    continue
                distance, nearest = cKDTree(found).query(true)
                met = distance < 0.6
                fits = (stemcount.fit_columns(image, found, background=b) for b in ("automatic", "constant"))
                of = [f.cross_section[nearest[met]] - volume[met] for f in fits]
                errors.append([100 * np.sqrt(np.mean(e**2)) / volume.mean() for e in of])
            fitted, even = np.median(errors, axis=0) if errors else (np.nan, np.nan)
            print(
                f"{slope:5.1f}  {kind:18s} {tally[0]:7d} {tally[1]:7d} {tally[2]:7d} {fitted:10.1f}"
                f" {even:20.1f} {seconds:8.1f}",
                flush=True,
            )


def main() -> None:
    """The parts that were asked for, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = {
        "shapes": bench_shapes,
        "recorded": partial(bench_recorded, recordings=RECORDED),
        "light": partial(bench_recorded, recordings=LIGHT),
        "margins": bench_margins,
        "slopes": bench_slopes,
    }
    parser.add_argument("part", nargs="*", choices=[*parts, []], help="some parts or all")
    parser.add_argument("--seeds", type=int, default=3, help="images of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    arguments = parser.parse_args()
    for part in arguments.part or parts:
        parts[part](range(arguments.first, arguments.first + arguments.seeds))


if __name__ == "__main__":
    main()
