"""Libraries by multislice (`stemcount.simulate_library`) against multislice images of whole particles.

    python benchmarks/multislice_library.py [classes] [wedge] [error]

The first two tables need the reference data. Those images were simulated with abTEM, whose interpolated
potentials on pixels of 0.05 A make a single gold atom 4 % darker than it is.
"""

from __future__ import annotations

import argparse
import time

import h5py
import numpy as np
from common import DATA, NO_DATA, true_counts

import stemcount

# the microscope of the reference data
SETTINGS = {
    "voltage": 300.0,
    "semi_convergence": 24.0,
    "detector": (60.0, 130.0),
    "thermal_displacement": 0.085,
}
GOLD = 4.08


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


def main() -> None:
    """Print all tables, or those named."""
    tables = {"classes": classes_table, "wedge": wedge_table, "error": error_table}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tables", nargs="*", choices=[*tables, []], help="all if none is named")
    for name in parser.parse_args().tables or tables:
        if name != "error" and not DATA.is_dir():
            print(f"{name}: {NO_DATA}")
        else:
            tables[name]()


if __name__ == "__main__":
    main()
