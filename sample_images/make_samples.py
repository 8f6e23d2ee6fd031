"""Make the samples, gold and PbSe in CdSe: three zone-axis images each, and the true structure.

    python sample_images/make_samples.py --sample gold --reference au_particle.h5
    python sample_images/make_samples.py --sample core-shell --reference pbse_cdse.h5
    python sample_images/make_samples.py --sample gold --structure au_particle.xyz --snapshots 6

The images that ship were written with the first two lines, from the multislice simulations stored in the
reference files (abTEM 1.0.11, 300 kV, 24 mrad, HAADF 60-130 mrad, Einstein displacements of 0.085 A per
direction for Au, 0.11 A for Pb and 0.10 A for Se and Cd, source size 0.75 A FWHM, 0.2 A pixels; 6 snapshots
of gold, 3 of PbSe in CdSe). The last line repeats such a simulation from the structure alone and takes about
an hour of CPU time; it needs abTEM, which stemcount does not.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from stemcount import ZoneAxisImage, save_image
from tomo import zone_geometry

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """A particle that ships: prefix of its images, its structure, zone axes, slices and thermal motion.

    slice_thickness in A; sigmas, the displacement of each species per direction, in A.
    """

    prefix: str
    structure: str
    zone_axes: dict[str, tuple[int, int, int]]
    slice_thickness: float
    sigmas: dict[str, float]


SAMPLES = {
    "gold": Sample(
        "au", "au_particle.xyz", {"001": (0, 0, 1), "100": (1, 0, 0), "110": (1, 1, 0)}, 2.04, {"Au": 0.085}
    ),
    "core-shell": Sample(
        "pbse_cdse",
        "pbse_cdse_particle.xyz",
        {"110": (1, 1, 0), "100": (1, 0, 0), "010": (0, 1, 0)},
        3.05,
        {"Pb": 0.11, "Se": 0.10, "Cd": 0.10},
    ),
}
PIXEL_SIZE = 0.2  # A
DOSE = 1e5  # electrons per A^2
SOURCE_FWHM = 0.75  # A
BORDER = 5.0  # empty space around the particle, A


def reference_images(
    path: Path, sample: Sample
) -> tuple[list[str], NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Species, positions [A] and noise-free images [fraction of the beam] of the stored simulation."""
    with h5py.File(path) as file:
        species = [symbol.decode() for symbol in file["atoms/symbol"][:]]
        images = {name: file[f"zone_{name}/image_inf"][:].astype(float) for name in sample.zone_axes}
        return species, file["atoms/xyz_A"][:], images


def read_xyz(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Species and positions [A] of an XYZ file."""
    rows = [line.split()[:4] for line in path.read_text().splitlines()[2:]]
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=float)


def multislice_image(
    species: list[str],
    positions: NDArray[np.float64],
    zone_axis: tuple[int, int, int],
    snapshots: int,
    sample: Sample,
) -> NDArray[np.float64]:
    """Noise-free HAADF image [fraction of the beam] by frozen-phonon multislice (PRISM) in abTEM."""
    import abtem
    import ase

    seen = positions @ zone_geometry(zone_axis).rotation.T
    seen = seen - seen.min(axis=0) + np.array([BORDER, BORDER, 1.0])
    atoms = ase.Atoms(species, seen, cell=seen.max(axis=0) + np.array([BORDER, BORDER, 1.0]))
    phonons = abtem.FrozenPhonons(atoms, num_configs=snapshots, sigmas=sample.sigmas, seed=1)
    gpts = tuple(4 * int(np.ceil(length / 0.05 / 4)) for length in atoms.cell.lengths()[:2])
    potential = abtem.Potential(phonons, gpts=gpts, slice_thickness=sample.slice_thickness)
    probe = abtem.SMatrix(potential=potential, energy=300e3, semiangle_cutoff=24, interpolation=4)
    detector = abtem.AnnularDetector(inner=60, outer=130)
    measured = probe.scan(scan=abtem.GridScan(potential=potential, sampling=0.33), detectors=detector)
    image = measured.compute()
    image = image.reduce_ensemble() if hasattr(image, "reduce_ensemble") else image.mean(0)
    image = image.interpolate(sampling=PIXEL_SIZE)
    array = np.asarray(image.array, dtype=float).T  # abTEM orders (x, y); an image is (row, col)
    return np.asarray(gaussian_filter(array, SOURCE_FWHM / 2.3548 / PIXEL_SIZE, mode="wrap"))


def write_truth(species: list[str], positions: NDArray[np.float64], path: Path) -> None:
    """Write the true structure as extended XYZ, cubic axes, A."""
    lines = [str(len(species)), 'Properties=species:S:1:pos:R:3 pbc="F F F" comment="true structure, A"']
    lines += [f"{s} {x:.4f} {y:.4f} {z:.4f}" for s, (x, y, z) in zip(species, positions, strict=True)]
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Write a sample's images and its true structure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", choices=list(SAMPLES), required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--reference", type=Path, help="HDF5 file that stores the simulation")
    source.add_argument("--structure", type=Path, help="XYZ file to simulate with abTEM")
    parser.add_argument("--snapshots", type=int, default=6, help="frozen-phonon snapshots")
    parser.add_argument("--seed", type=int, default=0, help="seed of the dose noise")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    sample = SAMPLES[options.sample]
    if options.reference:
        species, positions, images = reference_images(options.reference, sample)
    else:
        species, positions = read_xyz(options.structure)
        images = {
            name: multislice_image(species, positions, zone_axis, options.snapshots, sample)
            for name, zone_axis in sample.zone_axes.items()
        }
    options.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    electrons = DOSE * PIXEL_SIZE**2  # per pixel
    for name, intensity in images.items():
        noisy = rng.poisson(np.clip(intensity, 0, None) * electrons) / electrons
        label = f"{sample.prefix}_{name}"
        image = ZoneAxisImage(noisy, PIXEL_SIZE, sample.zone_axes[name], dose=DOSE, name=label)
        save_image(image, options.out / f"{label}.hspy")
    write_truth(species, positions, options.out / sample.structure)


if __name__ == "__main__":
    main()
