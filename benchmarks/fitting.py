"""Fitting against known answers: one table a case. Run it by hand: python benchmarks/fitting.py [case ...]

Reference data are looked for in $STEMCOUNT_DATA or ../shared/data beside the repository; cases
without their data are skipped. Times are CPU seconds of this process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import close_columns
import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import stemcount
from stemcount.fit import Choice, make_problem
from stemcount.joint import State, model_of, normal_equations

DATA = Path(os.environ.get("STEMCOUNT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
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
    """Cost against the number of columns."""
    print("columns   find [s]   fit [s]   fit per 1,000 columns [s]")
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
        print(
            f"{side**2:7d} {middle - start:9.1f} {end - middle:9.1f} {(end - middle) / side**2 * 1000:12.2f}"
        )


def cramer_rao(image: stemcount.ZoneAxisImage, truth: dict, choice: Choice) -> Floats:
    """Standard deviations (n, 3) of x, y [A] and V at the true parameters, from the dense Fisher matrix."""
    px = image.pixel_size
    problem = make_problem(image, np.column_stack([truth["x"], truth["y"]]), truth["type"], choice)
    problem = replace(problem, pull=0.0)
    background = np.zeros(len(problem.basis))
    background[: len(truth["background"])] = truth["background"]
    state = State(
        problem.x0, problem.y0, truth["volume"] / px**2, truth["width"] / px, (0.0, 1.0), background
    )
    weight = image.dose * px**2 / np.maximum(model_of(problem, state), 1e-12)  # type: ignore[operator]
    system = normal_equations(problem, state, weight)[0]
    n = system.local.shape[0]
    fisher = np.block([[system.local.toarray(), system.border], [system.border.T, system.shared]])
    std = np.sqrt(np.diag(np.linalg.inv(fisher))[:n]).reshape(-1, 3)
    return std * [px, px, px**2]


def scenes() -> Iterator[tuple[str, dict, float, dict]]:
    """Name, truth, pixel size and fit options of the noisy images."""
    rng = np.random.default_rng(7)

    def lattice(spacing: float, basis: list[tuple[float, float]]) -> tuple[Floats, Floats, NDArray]:
        points, types = [], []
        for i in range(6):
            for j in range(6):
                for t, (dx, dy) in enumerate(basis):
                    points.append((5 + j * spacing + dx, 5 + i * spacing + dy))
                    types.append(t)
        x, y = np.array(points).T + rng.normal(0, 0.03, (2, len(points)))
        return x, y, np.array(types)

    def truth(spacing: float, basis: list[tuple[float, float]], background: list[float]) -> dict:
        x, y, types = lattice(spacing, basis)
        volume = rng.integers(2, 15, len(x)) * 0.03
        width = np.where(types == 0, 0.6, 0.5)
        return {"x": x, "y": y, "type": types, "volume": volume, "width": width, "background": background}

    one = [(0.0, 0.0)]
    for spacing in (1.6, 2.0, 3.0):
        for px in (0.1, 0.2, 0.4):
            yield f"spacing {spacing} A, pixel {px} A", truth(spacing, one, [0.01]), px, {"widths": "common"}
    yield "default options, 2 A", truth(2.0, one, [0.01]), 0.2, {}
    plane = {"widths": "common", "background": "plane"}
    yield "sloping background, 2 A", truth(2.0, one, [0.03, 0.015, -0.01]), 0.2, plane
    two = [(0.0, 0.0), (1.7, 1.7)]
    yield "two widths, 2.4 A", truth(3.4, two, [0.01]), 0.2, {"widths": "per_type"}
    pair = [(0.0, 0.0), (0.0, 1.4)]
    yield "[110] dumbbells, 1.4 A", truth(3.9, pair, [0.01]), 0.2, {"widths": "per_type"}


def noisy(seeds: int = 30, dose: float = 2e4) -> None:
    """Errors over many noise realisations against the Cramer-Rao bound, start positions 0.1 A off."""
    print(f"case ({seeds} seeds)                 rms/CRB position  volume   sd of (V - true)/std  worst [A]")
    from stemcount.background import background_from_coefficients as polynomial

    for name, truth, px, options in scenes():
        x, y, volume = truth["x"], truth["y"], truth["volume"]
        cols, rows = (int((v.max() + 5) / px) for v in (x, y))
        level = polynomial(np.array(truth["background"]), (rows, cols))
        fixed = {
            "shape": (rows, cols),
            "pixel_size": px,
            "width": truth["width"],
            "background": level,
            "dose": dose,
        }
        typed = {"column_type": truth["type"]} if options.get("widths") == "per_type" else {}
        first = stemcount.simulate_columns(x, y, volume, seed=0, **fixed)
        known = {k: options[k] for k in options if k != "widths"}
        truth = truth if typed else {**truth, "type": np.zeros(len(x), dtype=np.int64)}
        bound = cramer_rao(first, truth, Choice(widths=options.get("widths", "common"), **known))
        errors, scores = [], []
        for seed in range(seeds):
            image = stemcount.simulate_columns(x, y, volume, seed=seed, **fixed)
            start = np.column_stack([x, y]) + np.random.default_rng(seed).normal(0, 0.1, (len(x), 2))
            fit = stemcount.fit_columns(image, start, **options, **typed)
            errors.append(np.column_stack([fit.x - x, fit.y - y, fit.cross_section - volume]))
            scores.append((fit.cross_section - volume) / fit.cross_section_std)
        e = np.array(errors)
        position = np.sqrt(np.mean((e[:, :, :2] / bound[:, :2]) ** 2))
        size = np.sqrt(np.mean((e[:, :, 2] / bound[:, 2]) ** 2))
        worst = np.hypot(e[:, :, 0], e[:, :, 1]).max()
        print(f"{name:36s}{position:10.3f} {size:16.3f} {np.std(scores):18.3f} {worst:16.2f}")


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
    """Columns found from the image alone, and what counting can make of the default fit."""
    print("image                                         true found missing false  exact: cells, fit")
    for name, image, true, count in simulated():
        start = time.process_time()
        seeds = stemcount.find_columns(image)
        fit = stemcount.fit_columns(image, seeds)
        seconds = time.process_time() - start
        a, b = matched(np.column_stack([fit.x, fit.y]), true)
        exact = ""
        if name.startswith("au_"):
            cells = stemcount.integrate_cells(image, true).cross_section
            exact = f"{ceiling(cells, count):6.1f} {ceiling(fit.cross_section[b], count[a]):8.1f}"
        print(
            f"{name:44s}{len(true):6d}{len(fit):6d}{len(true) - len(a):8d}{len(fit) - len(b):6d}"
            f"        {exact:16s} {seconds:8.1f}"
        )


def close() -> None:
    """Columns that stand closer than three widths of their peaks; see `close_columns`."""

    def bound(image: stemcount.ZoneAxisImage, truth: dict) -> Floats:
        n = len(truth["x"])
        known = {"type": np.zeros(n, dtype=np.int64), "volume": truth["cross_section"]}
        known |= {"width": np.full(n, close_columns.WIDTH), "background": [close_columns.BACKGROUND]}
        return cramer_rao(image, truth | known, Choice(widths="common"))

    close_columns.close(bound)


CASES: dict[str, Callable[[], None]] = {
    f.__name__: f for f in (synthetic, close, noisy, ptir, finding, scaling)
}


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        if case in ("synthetic", "ptir") and not DATA.is_dir():
            print(f"{case}: skipped, no reference data in {DATA}")
            continue
        print(f"\n== {case}: {CASES[case].__doc__}")
        CASES[case]()
