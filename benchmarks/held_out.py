"""Held-out particles, from images and a project file alone: share of wrong atoms, warnings and refusals.

    python benchmarks/held_out.py                    # everything, about 15 CPU minutes
    python benchmarks/held_out.py axes               # one part: axes, sets, images, rods, odd, ...
    python benchmarks/held_out.py axes 111           # of it, the cases whose name holds a word
    python benchmarks/held_out.py axes --seed 4      # other particles, rotations, pixel sizes, doses

Nothing here is in the reference data: random particles of `tomo.phantoms` with lattice parameters, peak
widths, pixel sizes, doses, channelling and rotations drawn from the seed. Images are of the simple kind that
`stemcount.simulate_crystal` makes (Gaussian columns); for multislice images see `end_to_end.py`.
A result is *silently wrong* if more than 10 % of its atoms are wrong and nothing but the order of a mixture
was warned of.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from common import in_brackets
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

import stemcount
import tomo
from stemcount.cli.pipeline import run_project

Axis = tuple[int, int, int]
SPECIES = {"Cu": 3.61, "Pt": 3.92, "Pd": 3.89, "Au": 4.08, "Pb": 4.95}
SILENT = 0.1  # share of wrong atoms that must not go unsaid


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the images of a case; each number is a bound from which values are drawn.

    Attributes
    ----------
    flip : bool
        Scan directions ran backwards; the project says which.
    undeclared_flip : bool
        One image is mirrored and the project does not say so.
    pixel_error : float
        Largest relative error of the stated pixel sizes.
    drift : float
        Largest linear drift while the image was scanned, as a share of the lines' distance.
    wobble : float
        Amplitude of a slow sideways distortion [A].
    jitter : float
        Standard deviation of the sideways displacement of each line of pixels [A].
    other_particle : bool
        The last image shows another particle of the same kind and size.
    wrong_axis : tuple of 3 int, optional
        What the project says of the last image's zone axis.
    dose : float, optional
        Electrons per A^2, in place of 2e4-2e5.
    pixel : float, optional
        Pixel size [A], in place of 0.10-0.22.
    border : float
        Empty margin [A]; the last image is cut where it is negative.
    neighbour : bool
        A corner of another particle, in another orientation, shows in every image.
    hill : float
        Height of an uneven background [fractions of the incident beam].
    raw : bool
        Intensities as a detector counts them: a gain, an offset, and no dose stated.
    """

    flip: bool = False
    undeclared_flip: bool = False
    pixel_error: float = 0.0
    drift: float = 0.0
    wobble: float = 0.0
    jitter: float = 0.0
    other_particle: bool = False
    wrong_axis: Axis | None = None
    dose: float | None = None
    pixel: float | None = None
    border: float = 6.0
    neighbour: bool = False
    hill: float = 0.0
    raw: bool = False


@dataclass(frozen=True)
class Case:
    """One particle and the images taken of it."""

    part: str
    axes: tuple[Axis, ...]
    kind: str
    atoms: int
    seed: int
    trouble: Trouble = field(default_factory=Trouble)
    what: str = ""

    @property
    def name(self) -> str:
        """What the case is called in the table."""
        return f"{self.part:8s} {in_brackets(self.axes):20s} {self.kind:8s} {self.what:24s}"


def axes_cases(seed: int) -> list[Case]:
    """Sets of zone axes; two particles each."""
    sets: list[tuple[Axis, ...]] = [
        ((1, 0, 0), (0, 1, 0), (1, 1, 0)),
        ((0, 0, 1), (1, 1, 0)),
        ((1, 0, 0), (1, 1, 0)),
        ((1, 0, 1), (1, 1, 0)),
        ((1, 1, 0), (0, 1, 1), (1, 0, 0)),
        ((1, 1, 1), (1, 1, 0)),
        ((1, 1, 2), (1, -1, 0)),
    ]
    particles = (("rough", 500), ("faceted", 1400), ("stepped", 900), ("rod", 700), ("rough", 300))
    return [
        Case("axes", axes, *particles[(2 * n + m) % len(particles)], 1000 * seed + 10 * n + m)
        for n, axes in enumerate(sets)
        for m in range(2)
    ]


def sets_cases(seed: int) -> list[Case]:
    """Zone axes that are seldom chosen: other pairs, beams close together, many views; a large particle."""
    table: list[tuple[tuple[Axis, ...], str, int, str]] = [
        (((0, 0, 1), (1, 1, 1)), "rough", 500, ""),
        (((1, 1, 1), (1, 1, -1)), "faceted", 500, ""),
        (((1, 1, 0), (1, -1, 0)), "rough", 500, ""),
        (((1, 1, 0), (1, 1, 2)), "stepped", 500, ""),
        (((1, 0, 0), (3, 1, 0)), "rough", 400, "beams 18 deg apart"),
        (((0, -1, 0), (-1, -1, 0)), "stepped", 400, ""),
        (((1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 1)), "rough", 600, ""),
        (((1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1), (0, 1, 1)), "stepped", 600, ""),
        (((0, 0, 1), (1, 1, 0)), "rough", 5000, "large"),
    ]
    return [
        Case("sets", axes, kind, atoms, 1000 * seed + 600 + n, what=what)
        for n, (axes, kind, atoms, what) in enumerate(table)
    ]


def images_cases(seed: int) -> list[Case]:
    """One trouble after the other, then all of them."""
    troubles = {
        "flips declared": Trouble(flip=True),
        "pixel size 5 % off": Trouble(pixel_error=0.05),
        "drift 2 %": Trouble(drift=0.02),
        "drift, wobble, jitter": Trouble(drift=0.015, wobble=0.5, jitter=0.1),
        "all": Trouble(flip=True, pixel_error=0.03, drift=0.01, wobble=0.3, jitter=0.05),
    }
    sets: list[tuple[Axis, ...]] = [((1, 0, 0), (0, 1, 0), (1, 1, 0)), ((0, 0, 1), (1, 1, 0))]
    kinds = ("rough", "stepped", "rough", "rod", "rough")
    return [
        Case("images", axes, kinds[n], 600 + 100 * n, 1000 * seed + 500 + 10 * n + m, trouble, what)
        for n, (what, trouble) in enumerate(troubles.items())
        for m, axes in enumerate(sets)
    ]


def rods_cases(seed: int) -> list[Case]:
    """Rods along [001] in two views: sides, ends and oblique, undistorted and from a scan that sways."""
    sets: list[tuple[Axis, ...]] = [
        ((1, 1, 0), (1, 0, 0)),
        ((0, 0, 1), (1, 0, 0)),
        ((0, 0, 1), (1, 1, 0)),
        ((1, 1, 1), (1, 1, 0)),
        ((1, 1, 2), (1, 1, 0)),
        ((1, 0, 1), (1, 1, 0)),
    ]
    troubles = {"": Trouble(), "drift, wobble, jitter": Trouble(drift=0.015, wobble=0.5, jitter=0.05)}
    return [
        Case("rods", axes, "rod", 400 + 100 * n, 1000 * seed + 400 + 10 * n + m, trouble, what)
        for n, axes in enumerate(sets)
        for m, (what, trouble) in enumerate(troubles.items())
    ]


def odd_cases(seed: int) -> list[Case]:
    """What images are like on other days; two or three views."""
    three: tuple[Axis, ...] = ((1, 0, 0), (0, 1, 0), (1, 1, 0))
    two: tuple[Axis, ...] = ((0, 0, 1), (1, 1, 0))
    apart: tuple[Axis, ...] = ((1, 0, 0), (1, 1, 1), (1, 1, 2))
    table: list[tuple[tuple[Axis, ...], str, int, Trouble, str]] = [
        (apart, "rough", 500, Trouble(), "no common axis"),
        (apart, "faceted", 700, Trouble(), "no common axis"),
        (two, "rough", 120, Trouble(), "small"),
        (three, "rough", 180, Trouble(), "small"),
        (two, "rough", 600, Trouble(border=1.0), "at the border"),
        (three, "stepped", 600, Trouble(border=-2.5), "cut by the border"),
        (two, "stepped", 600, Trouble(neighbour=True), "another peeps in"),
        (three, "rough", 600, Trouble(neighbour=True), "another peeps in"),
        (two, "rough", 600, Trouble(hill=0.1), "background up to 0.2"),
        (two, "stepped", 600, Trouble(dose=5e3), "5e3 e/A^2"),
        (two, "rough", 600, Trouble(raw=True), "raw counts"),
        (three, "stepped", 500, Trouble(pixel=0.3), "pixels of 0.3 A"),
        (two, "rod", 700, Trouble(), "rod, end-on"),
        (two, "rough", 600, Trouble(hill=0.03), "background up to 0.06"),
    ]
    return [
        Case("odd", axes, kind, atoms, 1000 * seed + 800 + n, trouble, what)
        for n, (axes, kind, atoms, trouble, what) in enumerate(table)
    ]


def faint_cases(seed: int) -> list[Case]:
    """Images whose columns can hardly be seen, or not."""
    three: tuple[Axis, ...] = ((1, 0, 0), (0, 1, 0), (1, 1, 0))
    return [
        Case("faint", three, "rough", 900, 1000 * seed + 990, Trouble(dose=dose), f"{dose:.0f} e/A^2")
        for dose in (2000.0, 300.0)
    ]


def refusals_cases(seed: int) -> list[Case]:
    """Images that cannot be what the project says."""
    three: tuple[Axis, ...] = ((1, 0, 0), (0, 1, 0), (1, 1, 0))
    two: tuple[Axis, ...] = ((0, 0, 1), (1, 1, 0))
    skew: tuple[Axis, ...] = ((1, 0, 1), (1, 1, 0))
    cases = []
    for n, (what, trouble) in enumerate(
        {
            "another particle": Trouble(other_particle=True),
            "mirrored, undeclared": Trouble(undeclared_flip=True),
        }.items()
    ):
        for m, axes in enumerate((three, two, skew)):
            for k, kind in enumerate(("rough", "stepped")):
                number = 1000 * seed + 700 + 100 * n + 10 * m + k
                cases.append(Case("refusals", axes, kind, 600 + 200 * k, number, trouble, what))
    for m, (axes, wrong) in enumerate(
        ((three, (1, 0, 1)), (two, (1, 0, 0)), (((1, 1, 0), (1, 0, 0)), (2, 1, 0)))
    ):
        trouble = Trouble(wrong_axis=wrong)
        what = f"last said to be {list(wrong)}"
        cases.append(Case("refusals", axes, "rough", 600, 1000 * seed + 900 + m, trouble, what))
    return cases


def scanned(
    image: stemcount.ZoneAxisImage, trouble: Trouble, dose: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Noise-free image as a drifting, shaky scan records it, with the noise of counted electrons."""
    rows, cols = np.indices(image.data.shape, dtype=float)
    height = max(image.data.shape) * image.pixel_size
    drift = rng.uniform(-1, 1, 2) * trouble.drift
    along = rows * image.pixel_size
    waves = [
        trouble.wobble * np.sin(2 * np.pi * (along / height * rng.uniform(0.3, 0.8) + rng.random()))
        for _ in "xy"
    ]
    shake = rng.normal(0, trouble.jitter, len(rows))[:, None] if trouble.jitter else 0.0
    x = cols + (drift[0] * along + waves[0] + shake) / image.pixel_size
    y = rows + (drift[1] * along + waves[1]) / image.pixel_size
    seen = np.maximum(map_coordinates(image.data, [y, x], order=3, mode="nearest"), 0.0)
    scale = dose * image.pixel_size**2
    return np.asarray(rng.poisson(seen * scale) / scale)


def surroundings(
    image: stemcount.ZoneAxisImage, case: Case, v1: float, width: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """What an image shows besides the particle: an uneven background, a corner of another particle."""
    rows, cols = image.data.shape
    y, x = np.indices((rows, cols)) * image.pixel_size
    centre, size = rng.uniform(0, 1, 2) * (x.max(), y.max()), rng.uniform(10, 20)
    hill = np.exp(-0.5 * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / size**2)
    data = image.data + case.trouble.hill * (hill + x / x.max())
    if case.trouble.neighbour:
        lattice = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)), -1).reshape(-1, 2) * 2.2
        turn = rng.uniform(0, np.pi / 2)
        lattice = lattice @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        inside = lattice[np.hypot(*lattice.T) < 8.0] - 3.5  # of which the image's corner shows a quarter
        other = stemcount.simulate_columns(
            *inside.T,
            np.full(len(inside), 5 * v1),
            shape=image.data.shape,
            pixel_size=image.pixel_size,
            width=width,
        )
        data = data + other.data
    return data


def write_case(case: Case, folder: Path) -> tuple[Path, NDArray[np.int64]]:
    """Write the images and the project file of a case; return the project and the true sites."""
    rng = np.random.default_rng(case.seed)
    species = str(rng.choice(list(SPECIES)))
    a = SPECIES[species] * rng.uniform(0.995, 1.005)
    sites = tomo.phantoms.random_particle(case.atoms, case.kind, seed=case.seed)
    channelling, width, v1 = rng.uniform(0.85, 1.0), rng.uniform(0.45, 0.7), rng.uniform(0.02, 0.06)
    dose = 10 ** rng.uniform(4.3, 5.3)
    dose = case.trouble.dose or dose
    text = f'[crystal]\nstructure = "fcc"\nspecies = ["{species}"]\na = {a:.4f}\n'
    mirrored = int(rng.integers(len(case.axes)))
    for n, axis in enumerate(case.axes):
        last = n == len(case.axes) - 1
        shown = sites
        if case.trouble.other_particle and last:
            shown = tomo.phantoms.random_particle(case.atoms, case.kind, seed=case.seed + 5000)
        image, _ = stemcount.simulate_crystal(
            shown * a / 2,
            axis,
            pixel_size=case.trouble.pixel or rng.uniform(0.1, 0.22),
            dose=None,
            width=width,
            atom_cross_section=v1,
            channelling=channelling,
            background=rng.uniform(0.0, 0.05),
            border=12.0 if case.trouble.neighbour else max(case.trouble.border, 1.0),
            angle=rng.uniform(0, 360),
            name=f"view{n}",
        )
        if case.trouble.neighbour or case.trouble.hill:
            image = replace(image, data=surroundings(image, case, v1, width, rng))
        data = scanned(image, case.trouble, dose, rng)
        if last and case.trouble.border < 0:
            data = data[:, round((1.0 - case.trouble.border) / image.pixel_size) :]
        stated = image.pixel_size * (1 + rng.uniform(-1, 1) * case.trouble.pixel_error)
        flip = str(rng.choice(["", "x", "y", "xy"])) if case.trouble.flip else ""
        if case.trouble.undeclared_flip and n == mirrored:
            data = data[:, ::-1]
        if "x" in flip:
            data = data[:, ::-1]
        if "y" in flip:
            data = data[::-1]
        if case.trouble.raw:
            data = 20_000 + 3e5 * data
        image = replace(image, data=data, pixel_size=stated, dose=None if case.trouble.raw else dose)
        stemcount.save_image(image, folder / f"view{n}.hspy")
        said = case.trouble.wrong_axis if last and case.trouble.wrong_axis else axis
        text += f'[[image]]\nfile = "view{n}.hspy"\nzone_axis = {list(said)}\n'
        text += f'flip = "{flip}"\n' if flip else ""
    (folder / "project.toml").write_text(text)
    return folder / "project.toml", sites


def measure(case: Case) -> str:
    """Run one case and print a line; return how it ended."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        project, true = write_case(case, Path(name))
        try:
            result = run_project(project, Path(name) / "out", progress=False, figures=False)
        except (stemcount.InputError, tomo.InputError) as error:
            print(f"{case.name} {len(true):5d} atoms  refused: {error}", flush=True)
            return "refused"
        said = json.loads((Path(name) / "out" / "summary.json").read_text())["warnings"]
        found = tomo.compare_sites(result.occupied(0.5), true) if len(result.occupied(0.5)) else None
    wrong = 1.0 if found is None else found.wrong_fraction
    loud = [w for w in said if "undecidable" not in w]
    silent = wrong > SILENT and not loud
    print(
        f"{case.name} {len(true):5d} atoms {100 * wrong:7.2f} % wrong {'SILENT' if silent else ''}"
        f" {len(said)} warnings, {time.process_time() - start:.0f} CPU s",
        flush=True,
    )
    for warning in said:
        print(f"             {warning}")
    return "silent" if silent else "wrong, warned" if wrong > SILENT else "right, warned" if loud else "right"


def main() -> None:
    """Run the parts and cases asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = {
        "axes": axes_cases,
        "sets": sets_cases,
        "images": images_cases,
        "rods": rods_cases,
        "odd": odd_cases,
        "refusals": refusals_cases,
        "faint": faint_cases,
    }
    parser.add_argument("part", nargs="?", choices=list(parts))
    parser.add_argument("words", nargs="*", help="run only cases whose name holds all of these")
    parser.add_argument("--seed", type=int, default=1, help="of the particles and images")
    options = parser.parse_intermixed_args()
    warnings.simplefilter("ignore")
    for part, cases in parts.items():
        if options.part not in (None, part):
            continue
        ends = [measure(c) for c in cases(options.seed) if all(word in c.name for word in options.words)]
        print(f"{part}: " + ", ".join(f"{ends.count(end)} {end}" for end in dict.fromkeys(ends)), flush=True)


if __name__ == "__main__":
    main()
