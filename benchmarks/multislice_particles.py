"""Held-out particles by multislice, from images and a project file alone: wrong atoms, calibration, warnings.

    python benchmarks/multislice_particles.py FOLDER                # every case, anneal and sample
    python benchmarks/multislice_particles.py FOLDER platinum 1e4   # the cases whose name holds these words
    python benchmarks/multislice_particles.py FOLDER --simulate     # only make the images

Images without noise are kept in FOLDER, one file each; those that are missing are simulated with abTEM, which
may live in an environment of its own: only `--simulate` needs it; 25-80 CPU s an image. 300 kV, 24 mrad,
HAADF 60-130 mrad, four frozen-phonon snapshots, source of 0.75 A; noise of 1e4 and 1e5 e/A^2 is added.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import calibration_error, in_brackets
from numpy.typing import NDArray
from scipy.fft import fft2, fftfreq, ifft2
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

Axis = tuple[int, int, int]
Floats = NDArray[np.float64]

THERMAL = {"Au": 0.085, "Pt": 0.063, "Pd": 0.074, "Ag": 0.093, "C": 0.1}  # rms along one direction [A]
LATTICE = {"Au": 4.08, "Pt": 3.92, "Pd": 3.89, "Ag": 4.09}  # [A]
VOLTAGE, APERTURE, DETECTOR = 300e3, 24.0, (60.0, 130.0)  # V, mrad
SOURCE = 0.75 / 2.355  # standard deviation of the source's image [A]
BORDER = 5.0  # [A]
GRID = 0.05  # of the waves [A]
STEP = 7  # of the scan, in points of that grid
WINDOW = 160  # of a wave, in points of that grid
SLICE = 2.0  # [A]
SNAPSHOTS = 4  # of the thermal motion
NEAR = 3.0  # farther from every atom a probe scatters nothing onto the detector [A]
BATCH = 8  # probes that are propagated together


@dataclass(frozen=True)
class Particle:
    """A particle and the images that are taken of it.

    Attributes
    ----------
    name : str
    species : str
    shape : str
        A kind of `tomo.phantoms.random_particle`, "octahedron" or "short rod".
    atoms : int
        About.
    axes : tuple of 3 int, several
        Zone axes of the images.
    vacancies : int
        Inside the particle.
    tilt : float
        Of the crystal against the beam, another way in each image [deg].
    carbon : float
        Thickness of the amorphous film below it [A].
    """

    name: str
    species: str
    shape: str
    atoms: int
    axes: tuple[Axis, ...]
    vacancies: int = 0
    tilt: float = 0.0
    carbon: float = 0.0

    @property
    def seed(self) -> int:
        """Of everything random about the particle and its images."""
        return sum(ord(letter) * 31**n for n, letter in enumerate(self.name)) % 2**31

    def sites(self) -> NDArray[np.int64]:
        """True sites (n, 3) [a/2]."""
        import tomo.phantoms as phantoms

        rng = np.random.default_rng(self.seed)
        if self.shape == "octahedron":
            sites = truncated_octahedron(self.atoms)
        elif self.shape == "short rod":
            sites = phantoms.add_steps(phantoms.polyhedron(self.atoms, rng, aspect=2.5), rng, 4)
        else:
            sites = phantoms.random_particle(self.atoms, self.shape, seed=self.seed)
        return phantoms.one_piece(phantoms.add_vacancies(sites, rng, self.vacancies))


PARTICLES = (
    Particle("stepped platinum", "Pt", "stepped", 400, ((1, 0, 0), (1, 1, 0))),
    Particle("gold octahedron", "Au", "octahedron", 600, ((0, 0, 1), (1, 0, 0), (1, 1, 0))),
    Particle("silver rod", "Ag", "short rod", 450, ((1, 0, 0), (0, 0, 1))),
    Particle("rough gold", "Au", "rough", 350, ((0, 1, 1), (1, 0, 1), (1, 1, 1))),
    Particle("palladium along [112]", "Pd", "faceted", 500, ((1, 1, 2), (1, -1, 0))),
    Particle("platinum with vacancies", "Pt", "stepped", 550, ((1, 1, 0), (1, 0, 0), (0, 1, 0)), vacancies=2),
    Particle("tilted gold on carbon", "Au", "stepped", 450, ((1, 1, 0), (0, 0, 1)), tilt=0.5, carbon=10.0),
)


def truncated_octahedron(atoms: int) -> NDArray[np.int64]:
    """The `atoms` sites nearest to the origin in the norm of an octahedron whose corners are cut."""
    grid = np.stack(np.meshgrid(*(np.arange(-20, 21),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[grid.sum(axis=1) % 2 == 0]
    distance = np.maximum(np.abs(grid).sum(axis=1), 1.6 * np.abs(grid).max(axis=1))
    return grid[np.argsort(distance, kind="stable")[:atoms]]


# simulation


def amorphous(shape: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    """Atoms (n, 3) [A] of a film of 0.1 atoms per A^3, none nearer than 1.35 A to another."""
    wanted = round(0.1 * np.prod(shape))
    kept: list[Floats] = []
    cells: dict[tuple[int, ...], list[Floats]] = {}
    steps = np.stack(np.meshgrid(*([-1, 0, 1],) * 3), axis=-1).reshape(-1, 3)
    while len(kept) < wanted:
        atom = rng.uniform(0, shape)
        cell = tuple(int(v) for v in atom // 1.35)
        around = [other for step in steps for other in cells.get(tuple(np.add(cell, step)), [])]
        if all(np.linalg.norm(atom - other) > 1.35 for other in around):
            kept.append(atom)
            cells.setdefault(cell, []).append(atom)
    return np.array(kept)


def scene(particle: Particle, axis: Axis, rng: np.random.Generator) -> Any:
    """The atoms of one image in a box (ase.Atoms): x right, y down, electrons along +z."""
    import ase

    from stemcount.simulation.simulate import view_rotation

    turned = particle.sites() * LATTICE[particle.species] / 2 @ view_rotation(axis, rng.uniform(0, 360)).T
    if particle.tilt:
        turned = turned @ tilted(particle.tilt, rng.uniform(0, 2 * np.pi)).T
    turned += (BORDER, BORDER, 2.0) - turned.min(axis=0)
    size = turned.max(axis=0) + np.array([BORDER, BORDER, 2.0])
    edge = 2 * STEP * GRID
    size[:2] = np.ceil(size[:2] / edge) * edge
    atoms = ase.Atoms(particle.species + str(len(turned)), positions=turned)
    if particle.carbon:
        film = amorphous((size[0], size[1], particle.carbon), rng) + np.array([0, 0, size[2] - 1])
        atoms += ase.Atoms(f"C{len(film)}", positions=film)
        size[2] += particle.carbon
    atoms.cell = size
    return atoms


def tilted(angle: float, direction: float) -> Floats:
    """Rotation by `angle` [deg] about the axis in the image at `direction` [rad], (3, 3)."""
    x, y = np.cos(direction), np.sin(direction)
    cross = np.array([[0, 0, y], [0, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(np.radians(angle)) * cross + (1 - np.cos(np.radians(angle))) * cross @ cross


def detected(atoms: Any, seed: int) -> Floats:
    """Share of the electrons that reaches the detector, on the grid of the scan (rows, cols).

    A wave is propagated in a window around its probe only. Probes that are neighbours along x or y see
    different halves of the snapshots of the thermal motion, so that a column is an average over all.
    """
    import abtem
    from abtem.core.energy import energy2sigma, energy2wavelength

    abtem.config.set({"diagnostics.progress_bar": False, "num_workers": 1})
    points = tuple(round(length / GRID) for length in atoms.cell.lengths()[:2])
    sigmas = {symbol: THERMAL[symbol] for symbol in set(atoms.get_chemical_symbols())}
    snapshots = abtem.FrozenPhonons(atoms, num_configs=SNAPSHOTS, sigmas=sigmas, seed=seed)
    wavelength, sigma = energy2wavelength(VOLTAGE), energy2sigma(VOLTAGE)

    angle = wavelength * np.hypot(*np.meshgrid(*(fftfreq(WINDOW, GRID),) * 2, indexing="ij"))
    limit = 2 / 3 * wavelength / (2 * GRID)  # against aliasing
    propagator = np.where(angle < limit, np.exp(-1j * np.pi * SLICE * angle**2 / wavelength), 0)
    propagator = propagator.astype(np.complex64)
    aperture = (angle < 1e-3 * APERTURE) * np.exp(2j * np.pi * fftfreq(WINDOW)[:, None] * (WINDOW // 2))
    aperture = aperture * np.exp(2j * np.pi * fftfreq(WINDOW)[None, :] * (WINDOW // 2))
    probe = ifft2(aperture).astype(np.complex64)
    ring = (angle >= 1e-3 * DETECTOR[0]) & (angle < 1e-3 * DETECTOR[1])
    whole = np.sum(np.abs(fft2(probe)) ** 2)

    shape = tuple(n // STEP for n in points)
    index = np.stack(np.indices(shape), axis=-1).reshape(-1, 2)
    index = index[cKDTree(atoms.positions[:, :2]).query(index * STEP * GRID)[0] < NEAR]
    whole_grid = np.hypot(*np.meshgrid(*(fftfreq(n, GRID) for n in points), indexing="ij")) * wavelength
    share = np.zeros(shape)
    for number, frozen in enumerate(snapshots):
        field = abtem.Potential(frozen, gpts=points, slice_thickness=SLICE, projection="infinite")
        layers = []
        for potential in field.build(lazy=False).array.reshape(-1, *points):
            passed = ifft2(fft2(np.exp(1j * sigma * potential)) * (whole_grid < limit)).astype(np.complex64)
            around = np.pad(passed, WINDOW // 2, mode="wrap")
            layers.append(np.lib.stride_tricks.sliding_window_view(around, (WINDOW, WINDOW)))
        mine = index[index.sum(axis=1) % 2 == number % 2]
        for batch in np.array_split(mine, max(1, len(mine) // BATCH)):
            waves = np.broadcast_to(probe, (len(batch), WINDOW, WINDOW))
            for layer in layers:
                spectrum = fft2(waves * layer[tuple(batch.T * STEP)], overwrite_x=True)
                spectrum *= propagator
                waves = ifft2(spectrum)
            share[tuple(batch.T)] += (np.abs(spectrum[:, ring]) ** 2).sum(axis=1) / whole * 2 / SNAPSHOTS
    return share.T  # abTEM's first axis is x


def simulate(particle: Particle, number: int, path: Path) -> None:
    """Simulate one image of a particle and keep it, without noise, on pixels of its own."""
    rng = np.random.default_rng([particle.seed, number])
    atoms = scene(particle, particle.axes[number], rng)
    start = time.process_time()
    scanned = gaussian_filter(detected(atoms, int(rng.integers(2**31))), SOURCE / (STEP * GRID))
    pixel = rng.uniform(0.14, 0.25)
    rows, cols = (int(n * STEP * GRID / pixel) for n in scanned.shape)
    at = np.indices((rows, cols)) * pixel / (STEP * GRID)
    data = np.maximum(map_coordinates(scanned, at, order=5, mode="grid-wrap"), 0)
    np.savez_compressed(path, data=data.astype(np.float32), pixel_size=pixel)
    print(
        f"{path.name}: {len(atoms)} atoms, {rows} x {cols} pixels, {time.process_time() - start:.0f} CPU s",
        flush=True,
    )


def image_path(folder: Path, particle: Particle, number: int) -> Path:
    """Where an image is kept."""
    return folder / f"{particle.name.replace(' ', '_')}_{number}.npz"


def simulate_missing(folder: Path, particles: list[Particle]) -> None:
    """Simulate what is not in the folder yet."""
    missing = [
        (particle, number)
        for particle in particles
        for number in range(len(particle.axes))
        if not image_path(folder, particle, number).exists()
    ]
    if not missing:
        return
    try:
        import abtem  # noqa: F401
    except ImportError:
        sys.exit(
            f"{len(missing)} images are not in {folder}, and abTEM, which would simulate them, is not"
            " installed here: pip install abtem lazy-loader into an environment of its own and run this with"
            " --simulate there."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for particle, number in missing:
        simulate(particle, number, image_path(folder, particle, number))


# the whole program on these images


@dataclass(frozen=True)
class Case:
    """Images of one particle, in the order in which the project names them."""

    particle: Particle
    numbers: tuple[int, ...]
    dose: float

    @property
    def name(self) -> str:
        """What the case is called in the table."""
        axes = in_brackets(self.particle.axes[n] for n in self.numbers)
        return f"{self.particle.name} {axes} {f'{self.dose:.0e}'.replace('+0', '')}"


def cases() -> list[Case]:
    """All images of every particle at both doses; two of three of them, the last one named first."""
    found = []
    for particle in PARTICLES:
        every = tuple(range(len(particle.axes)))
        found += [Case(particle, every, dose) for dose in (1e5, 1e4)]
        if len(every) > 2:
            found += [Case(particle, (2, 0), 1e5), Case(particle, (1, 0), 1e4)]
    return found


def write_project(case: Case, images: Path, folder: Path) -> Path:
    """Write the noisy images and the project file of a case."""
    import stemcount

    species = case.particle.species
    text = f'[crystal]\nstructure = "fcc"\nspecies = ["{species}"]\na = {LATTICE[species]}\n'
    for number in case.numbers:
        kept = np.load(image_path(images, case.particle, number))
        pixel, axis = float(kept["pixel_size"]), case.particle.axes[number]
        electrons = case.dose * pixel**2
        rng = np.random.default_rng([case.particle.seed, number, int(case.dose)])
        data = rng.poisson(kept["data"].astype(float) * electrons) / electrons
        name = f"view{number}"
        stemcount.save_image(stemcount.ZoneAxisImage(data, pixel, axis, name=name), folder / f"{name}.hspy")
        text += f'[[image]]\nfile = "{name}.hspy"\nzone_axis = {list(axis)}\n'
    (folder / "project.toml").write_text(text)
    return folder / "project.toml"


def measure(case: Case, images: Path) -> None:
    """Run one case with repeated reconstructions and with the sampled posterior; print what came out."""
    import stemcount
    import tomo
    from stemcount.cli.pipeline import run_project
    from tomo.grid import SiteIndex

    true, start = case.particle.sites(), time.process_time()
    texts: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        project = write_project(case, images, Path(name))
        for method in ("anneal", "sample"):
            try:
                result = run_project(
                    project, Path(name) / "out", method=method, progress=False, figures=False
                )
            except (stemcount.InputError, tomo.InputError) as error:
                print(f"{case.name:60s} {len(true):4d} atoms  refused: {error}", flush=True)
                return
            found = tomo.compare_sites(result.occupied(0.5), true)
            there = SiteIndex(true)(found.to_true_frame(result.sites)) >= 0
            error = calibration_error(result.certainty, there)
            wrong = 100 * found.wrong_fraction
            texts.append(f"{method} {wrong:5.2f} % wrong ({found.missed} missed, {found.false} false)")
        said = json.loads((Path(name) / "out" / "summary.json").read_text())
    texts.append(f"calibration error {error:.3f}; {said['registration']['verdict']}")
    orders = "/".join(image["order"] for image in said["images"].values())
    seconds = time.process_time() - start
    print(
        f"{case.name:60s} {len(true):4d} atoms ",
        "; ".join(texts),
        f"; {orders}; {seconds:.0f} CPU s",
        flush=True,
    )
    for warning in said["warnings"]:
        print(f"        {warning}", flush=True)


def main() -> None:
    """Simulate what is missing, then run the cases whose name holds the given words."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="of the images")
    parser.add_argument("words", nargs="*", help="run only cases whose name holds all of these")
    parser.add_argument("--simulate", action="store_true", help="only make the images")
    options = parser.parse_args()
    if options.folder is None:
        print("no folder of images was given, so nothing is measured; see --help")
        return
    warnings.simplefilter("ignore")
    chosen = [case for case in cases() if all(word in case.name for word in options.words)]
    simulate_missing(options.folder, list(dict.fromkeys(case.particle for case in chosen)))
    for case in [] if options.simulate else chosen:
        measure(case, options.folder)


if __name__ == "__main__":
    main()
