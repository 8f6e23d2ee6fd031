"""Light around the columns: counts of one image alone, with and without the light of the columns' tails.

    python benchmarks/tails.py --seed 2 --images 12        # of each kind; 8 by default, some 3 CPU minutes

Balls and random particles of `tomo.phantoms` of 150-950 atoms of six metals along [100], [110] or [101],
1e4-8e4 e/A^2, Gaussian cores of 0.45-0.6 A, a column of k atoms as bright as k^0.85-k or saturating with
15-40 atoms. To this comes light that falls off over several A; the program knows none of its forms but the
first:

gaussian     10-35 % of the columns' light in tails of exp(-(r / s)^2), s = 2-8 A
exponential  the same in exp(-1.5 r / s)
power        the same in (1 + (r / s)^2)^-1.5, up to 28 A
hill         one hill over the particle, 0.1-0.5 of a middling column high, exp(-r^2 / 2 s^2), s = 8-14 A
none         no such light

"Exact" is the share of the columns whose count is right; a count that is read one too high in all of them
leaves none. "Taken" are images whose columns a run counts with their tails, "no halo" those that show none.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace

import numpy as np
from common import in_brackets, true_counts
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from small_particles import SHAPES, SPECIES, ball

import stemcount
import tomo
from stemcount.cli.one_image.columns import count_image
from stemcount.counting.quality import clarity_gained
from stemcount.fitting.given_back import fit_with_halo

Floats = NDArray[np.float64]
Found = tuple[float, float, str]  # exact without, exact with, and what became of the tails

KINDS = ("gaussian", "exponential", "power", "hill", "none")
AXES = ((1, 0, 0), (1, 1, 0), (1, 0, 1))
REACH = 28.0  # A
RIGHT = 0.9  # exact, of counts that are read right
CHANGED = 0.05  # exact


def with_light(data: Floats, kind: str, px: float, height: float, rng: np.random.Generator) -> Floats:
    """An image of columns with light around them; a middling column has this height."""
    share, size = rng.uniform(0.1, 0.35), rng.uniform(2, 8)
    if kind == "none":
        return data
    if kind == "hill":
        share, size = rng.uniform(0.1, 0.5), rng.uniform(8, 14)
        middle = (np.array(data.shape) - 1) / 2 + rng.normal(0, 2 / px, 2)
        y, x = np.ogrid[: data.shape[0], : data.shape[1]]
        r2 = ((y - middle[0]) ** 2 + (x - middle[1]) ** 2) * px**2
        return data + share * height * np.exp(-0.5 * r2 / size**2)
    reach = int(REACH / px)
    r = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) * px
    tails = {
        "gaussian": np.exp(-((r / size) ** 2)),
        "exponential": np.exp(-1.5 * r / size),
        "power": (1 + (r / size) ** 2) ** -1.5 * (r < REACH),
    }[kind]
    return (1 - share) * data + share * fftconvolve(data, tails / tails.sum(), "same")


def image_of(
    kind: str, number: int, seed: int
) -> tuple[str, stemcount.ZoneAxisImage, Floats, NDArray[np.int64]]:
    """An image with its name, and the true places [A] and counts of its columns."""
    rng = np.random.default_rng([seed, number, KINDS.index(kind)])
    shape, axis = SHAPES[number % len(SHAPES)], AXES[int(rng.integers(len(AXES)))]
    atoms = int(np.exp(rng.uniform(np.log(150), np.log(950))))
    sites = (
        ball(atoms, rng)
        if shape == "ball"
        else tomo.phantoms.random_particle(atoms, shape, seed=int(rng.integers(10**6)))
    )
    species = str(rng.choice(list(SPECIES)))
    px, width, v1 = rng.uniform(0.11, 0.24), rng.uniform(0.45, 0.6), rng.uniform(0.03, 0.06)
    _, truth = stemcount.simulate_crystal(
        sites * SPECIES[species] / 2, axis, pixel_size=px, border=30.0, angle=rng.uniform(0, 360), dose=None
    )
    count = truth["count"]
    saturation, power, saturates = rng.uniform(15, 40), rng.uniform(0.85, 1.0), rng.random() < 0.5
    volume = v1 * (-saturation * np.expm1(-count / saturation) if saturates else count**power)
    shape_px = tuple(int(np.ceil((truth[name].max() + 30.0) / px)) for name in ("y", "x"))
    settings = {"shape": shape_px, "pixel_size": px, "width": width, "dose": None}
    image = stemcount.simulate_columns(truth["x"], truth["y"], volume, **settings)
    light = with_light(image.data, kind, px, float(np.median(volume)) / (2 * np.pi * width**2), rng)
    cut = int((30.0 - rng.uniform(6, 12)) / px)
    mean = 10 ** rng.uniform(4, 4.9) * px**2
    seen = np.maximum(light[cut:-cut, cut:-cut], 0.0) + rng.uniform(0.01, 0.05)
    image = replace(image, data=rng.poisson(mean * seen) / mean)
    name = f"{kind:11s} {number:2d} {shape:8s} {len(sites):4d} {species} {in_brackets([axis])}"
    places = np.column_stack([truth["x"], truth["y"]]) - cut * px
    return f"{name} {mean / px**2:6.0f}", image, places, count


def measure(kind: str, number: int, seed: int) -> Found | None:
    """Count one image with and without its tails; None where no columns are found."""
    name, image, places, count = image_of(kind, number, seed)
    try:
        plain = stemcount.fit_columns(image, stemcount.find_columns(image))
    except stemcount.InputError as error:
        print(f"{name}  refused: {error}", flush=True)
        return None
    counts = count_image(plain, {})
    other = fit_with_halo(image, plain)
    after, what = counts, "no halo"
    if other is not None:
        again = count_image(other, {})
        what = "taken" if clarity_gained(plain, counts, other, again) > 0 else "left"
        after = again if what == "taken" else counts
    true, real = true_counts(plain, places, count)
    exact, now = (float(np.mean((c.count == true)[real])) for c in (counts, after))
    found = "" if other is None else f" ({other.halo[0]:.2f}, {other.halo[1]:.1f} A)"
    print(
        f"{name} {len(plain):4d} columns  {100 * exact:3.0f} -> {100 * now:3.0f} %  {what}{found}", flush=True
    )
    return exact, now, what


def main() -> None:
    """Count the images of every kind and print what their tails were worth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=8, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    table = {}
    for kind in KINDS:
        found = (measure(kind, number, options.seed) for number in range(options.images))
        table[kind] = [item for item in found if item is not None]
    print("light        images  exact, mean  read right  better, worse by 5 %  taken, left, no halo")
    for kind, items in table.items():
        before, after = np.array([item[:2] for item in items]).reshape(-1, 2).T
        gain = after - before
        fates = [sum(item[2] == what for item in items) for what in ("taken", "left", "no halo")]
        print(
            f"{kind:12s} {len(items):6d}  {100 * before.mean():3.0f} -> {100 * after.mean():3.0f} %"
            f"  {np.sum(before > RIGHT):3d} -> {np.sum(after > RIGHT):2d}"
            f"  {np.sum(gain >= CHANGED):7d}, {np.sum(gain <= -CHANGED):d}  {', '.join(map(str, fates)):>27s}"
        )


if __name__ == "__main__":
    main()
