"""Error bars where the residual is not white noise: what is stated against errors that are known.

Simulated images with disturbances that the model of the fit lacks, multislice images against the mean of the
columns of equal count and against the cells of the image without noise, and frames of one particle. A factor
that all cross-sections of an image have in common is no error of one column and is left out.

Columns of equal count differ in the image itself, by the places of their atoms and by tilt, whatever measures
them: cells and fits of the image without noise, which are compared last, differ far less from each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import stemcount

Floats = NDArray[np.float64]
WIDTH, BACKGROUND, ATOM = 0.6, 0.01, 0.03  # A, fraction of the beam, A^2
SIDE = 9  # columns along an edge of the simulated crystals
FEWEST = 3  # columns of a class whose mean is taken

DISTURBED: dict[str, dict[str, Any]] = {
    "white noise": {},
    "the same, 1.6 A": {"spacing": 1.6},
    "image smoothed by 0.2 A": {"smooth": 1.0},
    "the same, 1.6 A, pixel 0.1 A": {"smooth": 1.0, "spacing": 1.6, "px": 0.1},
    "correlated noise, 0.3 A": {"cloud": 0.006, "cloud_size": 0.3},
    "speckle of a film, 2 A": {"cloud": 0.006, "cloud_size": 2.0},
    "level of rows": {"level": 0.005, "dose": 1e5},
    "rows set off by 0.05 A": {"jitter": 0.05, "dose": 1e5},
    "by 0.1 A": {"jitter": 0.1, "dose": 1e5},
    "by 0.1 A, pixel 0.4 A": {"jitter": 0.1, "dose": 1e5, "px": 0.4},
    "jitter along rows, 0.08 A": {"along": 0.08, "dose": 1e5},
    "drift by 0.3 A": {"drift": 0.3, "dose": 1e5},
    "tails, 20 %, twice as wide": {"tail": (0.2, 2.0), "dose": 1e5},
    "the same, 1.6 A ": {"tail": (0.2, 2.0), "dose": 1e5, "spacing": 1.6},
    "tails, 30 %, four times": {"tail": (0.3, 4.0), "dose": 1e5},
    "tails, 10 %, six times": {"tail": (0.1, 6.0), "dose": 1e5},
    "tails, 15 %, 2.5 times, 2 A": {"tail": (0.15, 2.5), "dose": 1e5, "spacing": 2.0},
    "widths that scatter by 6 %": {"scatter": 0.06, "dose": 1e5},
}


def disturbed(
    seed: int, *, spacing: float = 2.4, px: float = 0.2, dose: float = 2e4, smooth: float = 0.0,
    cloud: float = 0.0, cloud_size: float = 0.3, level: float = 0.0, jitter: float = 0.0, along: float = 0.0,
    drift: float = 0.0, tail: tuple[float, float] = (0.0, 1.0), scatter: float = 0.0,
) -> tuple[stemcount.ZoneAxisImage, Floats, Floats]:  # fmt: skip
    """Image without its dose, true positions (n, 2) and cross-sections of a square crystal.

    smooth [pixels], cloud and level [fractions of the beam], jitter and along [A] are the standard deviations
    of a blur, of correlated noise, of the level and the shift of rows and of shifts that change along
    rows; drift [A] is the amplitude of a slow shift.
    """
    rng = np.random.default_rng(seed)
    x, y = (v.ravel() * spacing + 5 for v in np.meshgrid(np.arange(SIDE), np.arange(SIDE)))
    x, y = np.array([x, y]) + rng.normal(0, 0.03, (2, len(x)))
    volume = ATOM * rng.integers(2, 15, len(x))
    size = int((x.max() + 5) / px)
    place = np.arange(size) * px

    def wave(shape: tuple[int, ...], sigma: tuple[float, ...]) -> Floats:
        field = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
        return np.asarray(field / field.std())

    # where the probe is when pixel (i, j) is recorded
    across = (
        place + jitter * rng.normal(size=(size, 1)) + drift * np.sin(2 * np.pi * place / place[-1])[:, None]
    )
    down = place[:, None] + 0.4 * jitter * rng.normal(size=(size, 1))
    across = across + along * wave((size, size), (0, 15))
    down = down + along * wave((size, size), (0, 15))
    mean = np.full((size, size), BACKGROUND)
    widths = WIDTH * rng.normal(1, scatter, len(x))
    for x0, y0, v, width in zip(x, y, volume, widths, strict=True):
        square = (across - x0) ** 2 + (down - y0) ** 2
        for share, w in ((1 - tail[0], width), (tail[0], tail[1] * width)):
            if share > 0:
                mean += share * v * np.exp(-square / (2 * w**2)) / (2 * np.pi * w**2)
    early = cloud if cloud_size > 1 else 0.0  # a film is there before the electrons are counted
    mean += early * wave(mean.shape, (cloud_size / px,) * 2)
    electrons = dose * px**2
    data = rng.poisson(np.maximum(mean, 0) * electrons) / electrons
    if smooth:
        data = ndimage.gaussian_filter(data, smooth)
    data += (cloud - early) * wave(mean.shape, (cloud_size / px,) * 2) + level * rng.normal(size=(size, 1))
    return stemcount.ZoneAxisImage(data, px), np.column_stack([x, y]), volume


def fitted(image: stemcount.ZoneAxisImage, true: Floats, seed: int = 0) -> stemcount.ColumnFit:
    """The fit with default options, from places 0.05 A off."""
    return stemcount.fit_columns(image, true + np.random.default_rng(seed).normal(0, 0.05, true.shape))


def scores(found: Floats, true: Floats, std: Floats) -> Floats:
    """(found - c true) / std with the factor c that fits best."""
    common = np.sum(true * found / std**2) / np.sum(true**2 / std**2)
    return np.asarray((found - common * true) / std)


def within_classes(values: Floats, count: NDArray) -> tuple[Floats, NDArray]:
    """Deviations (n,) from the mean of the columns of equal count, and where these are enough of them."""
    number = np.bincount(count)
    mean = np.bincount(count, values) / np.maximum(number, 1)
    apart = (values - mean[count]) * np.sqrt(number[count] / np.maximum(number[count] - 1, 1))
    return apart, number[count] >= FEWEST


def line(name: str, z: Floats, factors: Floats) -> None:
    """One row: standard deviation of the scores, without and with what is seen beyond noise."""
    alone = z * np.sqrt(factors)
    print(f"{name:52s}{alone.std():10.2f}{z.std():12.2f}{np.median(factors):12.1f}", flush=True)


def multislice(folder: Path) -> Iterator[tuple[str, stemcount.ZoneAxisImage, Floats, NDArray, Floats | None]]:
    """Name, image without its dose, places, counts and the image without noise."""
    for name in ("au_particle", "au_particle_tilted", "au_wedge_110"):
        with h5py.File(folder / f"{name}.h5") as file:
            for zone in (g for g in file if g.startswith("zone")):
                group = file[zone]
                px = float(group.attrs["pixel_A"])
                count = sum(group[c][()] for c in group if c.startswith("count_"))
                for key in (k for k in group if re.fullmatch(r"image_dose.*_seed0", k)):
                    image = stemcount.ZoneAxisImage(group[key][()], px)
                    label = f"{name} {zone[5:]} {key[6:-6]}"
                    yield label, image, group["column_xy_px"][()] * px, count, group["image_inf"][()]


def error_bars(folder: Path, seeds: int = 5) -> None:
    """Standard deviation of (found - true) / stated error; 1 is honest, more is too small an error stated."""
    print(f"{'':52s}{'noise alone':>10s}{'as stated':>12s}{'misfit':>12s}")
    for name, kind in DISTURBED.items():
        rows, factors = [], []
        for seed in range(seeds):
            image, places, volume = disturbed(seed, **kind)
            fit = fitted(image, places, seed)
            rows.append(scores(fit.cross_section, volume, fit.cross_section_std))
            factors.append(fit.misfit)
        line(name, np.array(rows), np.array(factors))
    if not folder.is_dir():
        return
    for name, image, places, count, clean in multislice(folder):
        fit = fitted(image, places)
        each, known = within_classes(fit.cross_section, count)
        line(f"{name}, mean of the class", (each / fit.cross_section_std)[known], fit.misfit[known])
        pure = stemcount.ZoneAxisImage(clean, image.pixel_size)
        cells = stemcount.integrate_cells(pure, places).cross_section
        line(
            f"{name}, cells without noise",
            scores(fit.cross_section, cells, fit.cross_section_std),
            fit.misfit,
        )
        one, other = (
            within_classes(values, count)[0][known] for values in (cells, fitted(pure, places).cross_section)
        )
        atom = np.sum(count * cells) / np.sum(count**2)
        print(
            f"  without noise, within classes [atoms]: cells {one.std() / atom:.2f},"
            f" fit {other.std() / atom:.2f}, their difference {(one - other).std() / atom:.2f}",
            flush=True,
        )
    with np.load(folder / "hmm_series.npz") as d:
        px = float(d["pixel_size"])
        fits = [
            stemcount.fit_columns(stemcount.ZoneAxisImage(frame.astype(float), px), start)
            for frame, start in zip(d["image"], d["start_xy"], strict=True)
        ]
    steps = [
        (b.cross_section - a.cross_section) / np.hypot(a.cross_section_std, b.cross_section_std)
        for a, b in pairwise(fits)
    ]
    robust = 1.4826 * np.median(np.abs(steps))  # atoms that move between frames are no error
    factor = float(np.median([np.median(fit.misfit) for fit in fits]))
    print(f"{'five frames of one particle':52s}{robust * factor**0.5:10.2f}{robust:12.2f}{factor:12.1f}")
