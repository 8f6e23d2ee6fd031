"""Libraries by multislice (`stemcount.simulate_library`) against multislice images of whole particles.

    python benchmarks/multislice_library.py [classes] [wedge] [noise] [error] [settings]

The first three tables need the reference data. Their images were simulated with abTEM, whose interpolated
potentials on pixels of 0.05 A make a single gold atom 4 % darker than it is.
"""

from __future__ import annotations

import argparse
import itertools
import time

import h5py
import numpy as np
from common import DATA, NO_DATA, true_counts
from counting import noisy_wedges, scattered, thicknesses, true_score

import stemcount
from stemcount.simulation.metals import thermal_displacement

# the microscope of the reference data
SETTINGS = {
    "voltage": 300.0,
    "semi_convergence": 24.0,
    "detector": (60.0, 130.0),
    "thermal_displacement": 0.085,
}
GOLD = 4.08
CRYSTALS = (("Au", 4.08, (1, 1, 0)), ("Pt", 3.92, (1, 0, 0)), ("Pd", 3.89, (1, 1, 0)))
THICKEST = 16  # atoms, of the images of `settings`


def classes_table() -> None:
    """Mean cross-section of the columns of one count, by cell integration, over the library's."""
    print("\nMean of the columns of k atoms / library (classes of five columns and more)")
    for file, zone in (
        ("au_particle", "001"),
        ("au_particle", "100"),
        ("au_particle", "110"),
        ("au_wedge_110", "110"),
    ):
        with h5py.File(DATA / f"{file}.h5") as data:
            count, value = (data[f"zone_{zone}/{name}"][:] for name in ("count_Au", "scs_voronoi_A2"))
        library = stemcount.simulate_library("Au", GOLD, tuple(map(int, zone)), int(count.max()), **SETTINGS)
        common = [k for k in np.unique(count) if np.sum(count == k) >= 5]
        ratios = [value[count == k].mean() / library[k - 1] for k in common]
        print(
            f"{file:13s} [{zone}]  " + "  ".join(f"{k}: {r:.3f}" for k, r in zip(common, ratios, strict=True))
        )


def wedge_table() -> None:
    """The wedge counted with the library, no order given: as it is, known up to a factor, and without."""
    library = stemcount.simulate_library("Au", GOLD, (1, 1, 0), 20, **SETTINGS)
    print("\nAu wedge [110], no order given: highest count (true 15) and share of exact counts")
    print("dose  seed  cells: as it is, a factor, without              own fit: as it is, a factor, without")
    with h5py.File(DATA / "au_wedge_110.h5") as file:
        group = file["zone_110"]
        position, true = group["column_xy_px"][:] * 0.2, group["count_Au"][:]
        for dose in ("5e3", "2e4", "1e5"):
            for seed in (0, 1):
                image = stemcount.ZoneAxisImage(
                    group[f"image_dose{dose}_seed{seed}"][:], 0.2, dose=float(dose)
                )
                cells = stemcount.integrate_cells(image, position, background=0.0)
                fit = stemcount.fit_columns(image, stemcount.find_columns(image))
                every = np.ones(len(true), bool)
                texts = [
                    *_counted(cells, true, every, library),
                    *_counted(fit, *true_counts(fit, position, true), library),
                ]
                print(f"{dose} {seed:5d} {'':18s}", *texts[:3], f"{'':9s}", *texts[3:], flush=True)


def _counted(
    columns: stemcount.ColumnFit | stemcount.CellIntegrals,
    true: np.ndarray,
    real: np.ndarray,
    library: np.ndarray,
) -> list[str]:
    """Highest count and share of exact counts with the library, up to a factor, and without it."""
    texts = []
    for given in ({"library": library}, {"library": library, "library_scale": "free"}, {}):
        found = stemcount.count_atoms(
            columns.cross_section, cross_section_std=columns.cross_section_std, **given
        )
        texts.append(f"{found.count.max():4d} {np.mean(found.count[real] == true[real]):5.2f}")
    return texts


def noise_table(images: int = 10) -> None:
    """The wedge under fresh noise, own fit: without a library, with one up to a factor, told 5 % errors."""
    library = stemcount.simulate_library("Au", GOLD, (1, 1, 0), 20, **SETTINGS)
    angles = {name: SETTINGS[name] for name in ("voltage", "semi_convergence", "detector")}
    told = stemcount.simulate_library("Au", GOLD, (1, 1, 0), 20, **angles, setting_error=0.05)
    print(
        f"\nAu wedge [110], {images} images of fresh noise a dose: no library; a factor; settings told, too"
    )
    print("dose   exact (standard error)                        ln P(true)")
    for dose in (5e3, 2e4, 1e5):
        exact, score = np.empty((2, images, 3))
        for seed, (fit, truth) in enumerate(noisy_wedges(dose, images)):
            for n, given in enumerate(({}, {"library": library}, {"library": told})):
                scale = {"library_scale": "free"} if given else {}
                found = stemcount.count_atoms(
                    fit.cross_section, cross_section_std=fit.noise_std, **given, **scale
                )
                exact[seed, n], score[seed, n] = (
                    np.mean(found.count == truth),
                    true_score(found, truth).mean(),
                )
        error = exact.std(axis=0, ddof=1) / np.sqrt(images)
        shares = "  ".join(f"{m:.3f} ({e:.3f})" for m, e in zip(exact.mean(axis=0), error, strict=True))
        print(f"{dose:.0e}  {shares}   ", *np.round(score.mean(axis=0), 2), flush=True)


def error_table() -> None:
    """Time and scatter between seeds of libraries of 20 atoms."""
    print("\nLibraries of 20 atoms of Au, three seeds")
    print("axis   CPU s  largest sd between seeds, %  V(1), V(10), V(20) [A^2]")
    for axis in ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2)):
        start = time.process_time()
        found = np.array(
            [stemcount.simulate_library("Au", GOLD, axis, 20, **SETTINGS, seed=s) for s in range(3)]
        )
        seconds = (time.process_time() - start) / 3
        spread = 100 * np.max(found.std(axis=0, ddof=1) / found.mean(axis=0))
        print(
            f"{axis}  {seconds:5.1f} {spread:15.2f}  {np.round(found.mean(axis=0)[[0, 9, 19]], 4)}",
            flush=True,
        )


def settings_table(images: int = 4) -> None:
    """Libraries whose settings are 0, 5, 10 % off, with and without what 5 % do to them; a free factor."""
    print(
        f"\n{images} images each of three crystals at three voltages, 100-300 columns, width / step 0.25-0.4"
    )
    scores: dict[tuple[float, bool], list[list[float]]] = {}
    for m, (voltage, crystal) in enumerate(itertools.product((300.0, 200.0, 80.0), CRYSTALS)):
        rng = np.random.default_rng([m, 3])
        inner = rng.uniform(40, 75)
        angles = np.array([rng.uniform(16, 29), inner, min(160.0, inner * rng.uniform(2.2, 3.2))])
        motion = thermal_displacement(crystal[0]) * rng.uniform(0.85, 1.15)
        draw = rng.standard_normal(4)
        draw[2] = draw[1] + 0.5 * draw[2]  # the camera length changes both angles of the detector
        means = _library(crystal, voltage, angles, motion, seed=1)
        told = _library(crystal, voltage, angles, motion, setting_error=0.05)
        seen = [_random_image(rng, means) for _ in range(images)]
        for off in (0.0, 0.05, 0.1):
            factor = np.exp(off * draw)
            library = _library(crystal, voltage, angles * factor[:3], motion * factor[3])
            for errors, (value, count, ceiling) in itertools.product((False, True), seen):
                found = stemcount.count_atoms(
                    value, library=_told(library, told) if errors else library, library_scale="free"
                )
                exact = float(np.mean(found.count == count))
                right, decided = exact >= ceiling - 0.05, found.verdict == "decided"
                score = [right, decided, decided and not right, exact, float(true_score(found, count).mean())]
                scores.setdefault((off, errors), []).append(score)
        print(f"{crystal} {voltage:g} kV done", flush=True)
    print("settings off  errors of settings  right  decided  of these wrong  exact  ln P(true)")
    for (off, errors), rows in scores.items():
        table = np.array(rows, float)
        right, decided, wrong = table[:, :3].sum(axis=0)
        print(
            f"{100 * off:10.0f} % {'told' if errors else '-':>18s} {right:6.0f} {decided:8.0f} {wrong:15.0f}"
            f" {100 * table[:, 3].mean():5.1f} % {table[:, 4].mean():8.2f}"
        )


def _told(library: np.ndarray, told: np.ndarray) -> np.ndarray:
    """The library with the relative changes of the increments of another one with nearly its settings."""
    steps = np.diff(told, axis=0, prepend=0.0)
    changed = np.diff(library, prepend=0.0)[:, None] * steps[:, 1:] / steps[:, :1]
    return np.column_stack([library, changed.cumsum(axis=0)])


def _library(
    crystal: tuple[str, float, tuple[int, int, int]],
    voltage: float,
    angles: np.ndarray,
    motion: float,
    **others: float,
) -> np.ndarray:
    """Library of a crystal; angles: probe, detector's inner and outer [mrad]."""
    alpha, inner, outer = angles
    return stemcount.simulate_library(
        *crystal,
        THICKEST,
        voltage=voltage,
        semi_convergence=alpha,
        detector=(max(inner, alpha), outer),
        thermal_displacement=motion,
        **others,  # type: ignore[arg-type]
    )


def _random_image(rng: np.random.Generator, means: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Cross-sections of a random particle, its counts, and the share that is right with all classes known."""
    while True:
        count = thicknesses(rng)
        if 100 <= len(count) <= 300 and count.max() <= THICKEST and np.sum(np.bincount(count) > 3) >= 5:
            break
    width = rng.uniform(0.25, 0.4) * np.mean(np.diff(means, prepend=0)[count - 1])
    return scattered(rng, count, means, np.full(len(means), width))


def main() -> None:
    """Print all tables, or those named."""
    tables = {
        "classes": classes_table,
        "wedge": wedge_table,
        "noise": noise_table,
        "error": error_table,
        "settings": settings_table,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tables", nargs="*", choices=[*tables, []], help="all if none is named")
    for name in parser.parse_args().tables or tables:
        if name in ("classes", "wedge", "noise") and not DATA.is_dir():
            print(f"{name}: {NO_DATA}")
        else:
            tables[name]()


if __name__ == "__main__":
    main()
