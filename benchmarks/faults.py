"""What a run says of saturated, tilted and film-supported images, and of clean ones: alarms, right and false.

    python benchmarks/faults.py [--images 80]

Columns are fitted from their true positions, and tilt is looked for with the true atoms. Clean images: random
particles with Gaussian columns, any rotation, pixels of 0.1-0.3 A, 3e3 to 2e5 e/A^2, backgrounds up to 5 %.
Multislice images (STEMCOUNT_DATA, or ../shared/data beside the repository): an upright particle, and the same
tilted by 0.7-0.8 deg on 15 A of carbon.
"""

from __future__ import annotations

import argparse
from collections import Counter

import h5py
import numpy as np
from common import DATA, NO_DATA

import stemcount
import tomo
from stemcount.cli.one_image.image_checks import faults_of, image_warnings, tilt_warning, told
from tomo.phantoms import KINDS, random_particle

GOLD = tomo.fcc("Au", a=4.08)
AXES = {"001": (0, 0, 1), "100": (1, 0, 0), "110": (1, 1, 0), "111": (1, 1, 1)}
SIGNS = {
    "saturated": "saturated",
    "drawn out": "drawn out",
    "stand aside": "aside",
    "has structure": "film",
    "falls off": "glow",
}


def said_of(
    image: stemcount.ZoneAxisImage, start: np.ndarray, columns: np.ndarray, sites: np.ndarray
) -> list[str]:
    """Faults told of an image whose columns start at `start`; `columns` has a site on each, `sites` all."""
    assert image.zone_axis is not None
    fit = stemcount.fit_columns(image, start)
    indexing = tomo.index_columns(fit.x, fit.y, image.zone_axis, GOLD, name=image.name)
    faults = faults_of(image, fit)
    sentences = image_warnings(image, fit, indexing, faults=faults)
    sentences += told([tilt_warning(image.name, tomo.tilt_of(indexing, columns, sites), faults.drawn_out)])
    return [name for sign, name in SIGNS.items() if any(sign in sentence for sentence in sentences)]


def bench_clean(images: int) -> None:
    """False alarms on clean images."""
    alarms: Counter[str] = Counter()
    for seed in range(images):
        rng = np.random.default_rng([seed, 11])
        axis = list(AXES.values())[seed % 4]
        sites = random_particle(int(rng.integers(200, 900)), KINDS[seed % 4], seed=40_000 + seed)
        image, truth = stemcount.simulate_crystal(
            sites * GOLD.a / 2,
            axis,
            pixel_size=rng.uniform(0.1, 0.3),
            dose=10 ** rng.uniform(3.5, 5.3),
            width=rng.uniform(0.45, 0.6),
            background=rng.choice([0.0005, rng.uniform(0, 0.05)]),
            border=rng.uniform(6, 9),
            angle=rng.uniform(0, 360),
            seed=seed,
        )
        of_column = np.unique(truth["column"], return_index=True)[1]
        alarms.update(said_of(image, np.column_stack([truth["x"], truth["y"]]), sites[of_column], sites))
    print(f"clean images: {images}; false alarms: {dict(alarms) or 'none'}")


def bench_multislice() -> None:
    """What is said of the multislice images."""
    for file in ("au_particle.h5", "au_particle_tilted.h5"):
        with h5py.File(DATA / file) as data:
            sites = np.rint(2 * data["atoms/xyz_A"][:] / GOLD.a).astype(int)
            for zone in (name for name in data if name.startswith("zone")):
                group, axis = data[zone], AXES[zone[-3:]]
                pixel = float(group.attrs["pixel_A"])
                of_column = np.unique(group["atom_column_index"][:], return_index=True)[1]
                for name in (name for name in group if name.startswith("image")):
                    where = "column_xy_px" + ("_distorted" if "distorted" in name else "")
                    image = stemcount.ZoneAxisImage(group[name][:].astype(float), pixel, axis, name=name)
                    told = said_of(image, group[where][:] * pixel, sites[of_column], sites)
                    print(f"{file:24s} {zone} {name:30s} {', '.join(told) or '-'}", flush=True)


def main() -> None:
    """Clean images, then multislice ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=80, help="clean images")
    bench_clean(parser.parse_args().images)
    if DATA.is_dir():
        bench_multislice()
    else:
        print(f"skipped the multislice images: {NO_DATA}")


if __name__ == "__main__":
    main()
