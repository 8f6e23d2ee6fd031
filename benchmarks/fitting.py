"""Fitting against known answers: one table a case. Run it by hand: python benchmarks/fitting.py [case ...]

Reference data are looked for in $STEMCOUNT_DATA or ../shared/data beside the repository; cases
without their data are skipped. Times are CPU seconds of this process.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator

import close_columns
import error_bars
import h5py
import numpy as np
from common import DATA, NO_DATA
from noise_limit import Truth, cramer_rao, noisy
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

import stemcount
from stemcount.images.blur import gaussian_blur

Floats = NDArray[np.float64]


def matched(found: Floats, true: Floats, radius: float = 0.7) -> tuple[NDArray, NDArray]:
    """Indices (true, found) of mutually nearest pairs within `radius` [A]."""
    distance, j = cKDTree(found).query(true)
    back = cKDTree(true).query(found)[1]
    ok = (distance < radius) & (back[j] == np.arange(len(true)))
    return np.flatnonzero(ok), j[ok]


def ceiling(volume: Floats, count: NDArray) -> float:
    """Share of columns whose nearest class mean, known from the *other* columns, is their own [%]."""
    classes = np.unique(count)
    right = []
    for n in range(len(volume)):
        means = []
        for k in classes:
            members = (count == k) & (np.arange(len(volume)) != n)
            means.append(volume[members].mean() if members.any() else np.inf)
        right.append(classes[np.argmin(np.abs(volume[n] - np.array(means)))] == count[n])
    return 100 * float(np.mean(right))


def synthetic() -> None:
    """Own column finding, joint fit, exact counts with the true class volume."""
    print("case            columns missing false  position rms [A]  volume rms [%]  exact [%]  CPU [s]")
    for name in ("synthetic_1000", "synthetic_4000"):
        with np.load(DATA / f"{name}.npz") as d:
            px = float(d["pixel_size"])
            image = stemcount.ZoneAxisImage(d["image"].astype(float), px)
            true, volume, count = np.column_stack([d["x"], d["y"]]) * px, d["volume"] * px**2, d["counts"]
        stemcount.fit_columns(image, true[:5])  # compile
        start = time.process_time()
        seeds = stemcount.find_columns(image)
        middle = time.process_time()
        fit = stemcount.fit_columns(image, seeds)
        end = time.process_time()
        a, b = matched(np.column_stack([fit.x, fit.y]), true)
        rms = np.sqrt(np.mean((np.column_stack([fit.x, fit.y])[b] - true[a]) ** 2))
        relative = fit.cross_section[b] / volume[a] - 1
        unit = np.sum(volume * count) / np.sum(count.astype(float) ** 2)
        exact = np.mean(np.rint(fit.cross_section[b] / unit) == count[a])
        print(
            f"{name:16s}{len(true):6d} {len(true) - len(a):6d} {len(fit) - len(b):5d} {rms:14.4f}"
            f" {100 * relative.std():16.3f} {100 * exact:12.1f} {middle - start:8.1f} + {end - middle:.1f}"
        )


def scaling() -> None:
    """Cost against the number of columns, and the most memory that was needed so far."""
    print("columns   find [s]   fit [s]   both per 1,000 columns [s]   memory [GB]")
    for side in (20, 63, 200):
        x, y = (v.ravel() * 2.04 + 4 for v in np.meshgrid(np.arange(side), np.arange(side)))
        volume = np.random.default_rng(0).uniform(0.1, 0.6, len(x))
        size = int((side * 2.04 + 6) / 0.17)
        image = stemcount.simulate_columns(
            x, y, volume, shape=(size, size), pixel_size=0.17, dose=1e5, seed=0
        )
        start = time.process_time()
        seeds = stemcount.find_columns(image)
        middle = time.process_time()
        stemcount.fit_columns(image, seeds)
        end = time.process_time()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{side**2:7d} {middle - start:9.1f} {end - middle:9.1f}"
            f" {(end - start) / side**2 * 1000:17.2f} {memory:20.2f}",
            flush=True,
        )


def blurring() -> None:
    """The Gaussian filter of finding and fitting against scipy's: 4 million pixels, fastest of 5 times."""
    print("width [pixels]   ms   scipy [ms]   largest difference")
    image = np.random.default_rng(0).random((2000, 2000))
    gaussian_blur(image[:50, :50], 1.0)  # compile
    for width in (1.5, 3.0, 6.0, 12.0):
        times, blurred = [], []
        for blur in (gaussian_blur, gaussian_filter):
            taken = []
            for _ in range(5):
                start = time.process_time()
                result = blur(image, width)
                taken.append(1000 * (time.process_time() - start))
            times.append(min(taken))
            blurred.append(result)
        difference = np.abs(blurred[0] - blurred[1]).max()
        print(f"{width:14.1f} {times[0]:4.0f} {times[1]:12.0f} {difference:20.0e}", flush=True)


def ptir() -> None:
    """Experimental Pt/Ir particle against the published fit (background 0, given start positions)."""
    with np.load(DATA / "ptir.npz") as d:
        image = stemcount.ZoneAxisImage(d["image"].astype(float), float(d["pixel_size"]), name="ptir")
        start, reference = d["start_xy"], d["ref_volumes"]
        print(f"published: rho {float(d['ref_rho'][0]):.4f} A, sum of squares {float(d['ref_lsq']):.5f}")
    print(
        "fit                                 rho [A]  sum of squares  farthest from start [A]  rms of volumes"
    )
    cases: list[dict] = [
        {"widths": "common", "likelihood": "least_squares"},
        {"widths": "per_column", "likelihood": "least_squares"},
        {"widths": "common", "peak": "tailed", "likelihood": "least_squares"},
        {},
    ]
    for options in cases:
        fit = stemcount.fit_columns(image, start, background=0.0, **options)
        move = np.hypot(fit.x - start[:, 0], fit.y - start[:, 1]).max()
        label = ", ".join(options.values()) or "default"
        print(
            f"{label:36s}{np.median(fit.width):8.4f} {fit.residual_sum_of_squares:10.5f} {move:16.2f}"
            f" {np.sqrt(np.mean((fit.cross_section - reference) ** 2)):20.4f}"
        )


def simulated() -> Iterator[tuple[str, stemcount.ZoneAxisImage, Floats, NDArray]]:
    """Name, image, true positions and counts of all multislice images and the experimental rods."""
    for name in ("au_particle", "au_particle_tilted", "au_wedge_110", "pbse_cdse"):
        if not (DATA / f"{name}.h5").exists():
            continue
        with h5py.File(DATA / f"{name}.h5") as h:
            for zone in (g for g in h if g.startswith("zone")):
                for key in (k for k in h[zone] if k.startswith("image")):
                    place = "column_xy_px_distorted" if "distorted" in key else "column_xy_px"
                    count = sum(h[zone][c][()] for c in h[zone] if c.startswith("count_"))
                    px = float(h[zone].attrs["pixel_A"])
                    image = stemcount.ZoneAxisImage(h[zone][key][()], px, name=f"{name} {zone[5:]} {key[6:]}")
                    yield image.name, image, h[zone][place][()] * px, count
    for name in ("aurod_100", "aurod_110"):
        if (DATA / f"{name}.npz").exists():
            with np.load(DATA / f"{name}.npz") as d:
                px = float(d["pixel_size"])
                yield name, stemcount.ZoneAxisImage(d["image"], px, name=name), d["xy_px"] * px, d["count"]


def finding() -> None:
    """Columns found from the image alone, within 0.6 A and 3 A from its edges, and what counting can make
    of the default fit."""
    print("image                                         true found missing false  exact: cells, fit")
    for name, image, true, count in simulated():
        start = time.process_time()
        seeds = stemcount.find_columns(image)
        fit = stemcount.fit_columns(image, seeds)
        seconds = time.process_time() - start
        a, b = matched(seeds, true, 0.6)
        left, right, top, bottom = image.extent
        low, high = np.array([left, top]) + 3.0, np.array([right, bottom]) - 3.0
        missing = ((true > low) & (true < high)).all(axis=1)
        false = ((seeds > low) & (seeds < high)).all(axis=1)
        missing[a], false[b] = False, False
        exact = ""
        if name.startswith("au_"):
            cells = stemcount.integrate_cells(image, true).cross_section
            exact = f"{ceiling(cells, count):6.1f} {ceiling(fit.cross_section[b], count[a]):8.1f}"
        print(
            f"{name:44s}{len(true):6d}{len(fit):6d}{missing.sum():8d}{false.sum():6d}"
            f"        {exact:16s} {seconds:8.1f}"
        )


def close() -> None:
    """Columns that stand closer than three widths of their peaks; see `close_columns`."""

    def bound(image: stemcount.ZoneAxisImage, truth: dict) -> Floats:
        n = len(truth["x"])
        known = Truth(
            truth["x"], truth["y"], truth["cross_section"], np.full(n, close_columns.WIDTH),
            np.zeros(n, dtype=np.int64), [close_columns.BACKGROUND],
        )  # fmt: skip
        return cramer_rao(known, image.data.shape, image.pixel_size, float(image.dose or 0))

    close_columns.close(bound)


def misfit() -> None:
    """Error bars where the residual is not white noise; see `error_bars`."""
    error_bars.error_bars(DATA)


CASES: dict[str, Callable[[], None]] = {
    f.__name__: f for f in (synthetic, close, noisy, misfit, ptir, finding, scaling, blurring)
}


if __name__ == "__main__":
    unknown = sorted(set(sys.argv[1:]) - set(CASES))
    if unknown:
        sys.exit(f"{', '.join(unknown)}: no such case; there are {', '.join(CASES)}.")
    for case in sys.argv[1:] or CASES:
        if case in ("synthetic", "ptir") and not DATA.is_dir():
            print(f"{case}: {NO_DATA}")
            continue
        print(f"\n== {case}: {CASES[case].__doc__}")
        CASES[case]()
