"""`stemcount simulate`: images of a structure with the known answer, as a project that runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

import stemcount
import tomo
from stemcount.arrays import Floats
from stemcount.errors import InputError
from stemcount.whole_file import whole_file

from ..result_folder.tables import write_table
from .parsing import check_folder, parse_zone_axis

OFF_LATTICE = 0.1  # of neighbours' distance, beyond which a lattice is not found in an image


def read_structure(path: Path) -> tuple[list[str], Floats]:
    """Species and positions (n, 3) [A] of an XYZ file; further fields of a line are ignored."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [line.split() for line in lines[2 : 2 + int(lines[0])]]
        positions = np.array([[float(field) for field in row[1:4]] for row in rows])
    except FileNotFoundError:
        raise InputError(f"{path}: no such structure file.") from None
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise InputError(f"{path}: not an XYZ file with lines 'species x y z': {error}.") from error
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise InputError(f"{path}: holds no atoms in lines 'species x y z'.")
    return [row[0] for row in rows], positions


def _tell_what_is_not_fcc(positions: Floats, species: str, a: float) -> None:
    """Warn where the project file will not run on the images, as it is that of an fcc crystal."""
    if len(positions) < 2:
        return
    apart = float(np.median(cKDTree(positions).query(positions, k=2)[0][:, 1]))
    expected = a / np.sqrt(2)
    if abs(apart / expected - 1) > OFF_LATTICE:
        print(
            f"warning: --a {a:g}: the nearest {species} atoms of the structure are {apart:.2f} A apart, in an"
            f" fcc crystal of this a {expected:.2f} A; project.toml needs another structure or a.",
            file=sys.stderr,
        )


def simulate_project(
    structure: Path,
    zone_axes: list[str],
    a: float,
    folder: Path,
    pixel_size: float,
    dose: float,
    seed: int,
) -> None:
    """Write one image and its true columns per zone axis, and a project file that runs on them."""
    species, positions = read_structure(structure)
    axes = [parse_zone_axis(text) for text in zone_axes]
    for number, axis in enumerate(axes):
        if any(not np.cross(axis, other).any() for other in axes[:number]):
            raise InputError(
                f"--zone-axis {zone_axes[number]}: is along the line of another; expected one each."
            )
    main = max(sorted(set(species)), key=species.count)
    tomo.fcc(main, a)  # refuses what is no lattice parameter
    check_folder(folder)
    _tell_what_is_not_fcc(positions[np.array(species) == main], main, a)
    if len(set(species)) > 1:
        print(
            f"warning: {structure} holds {', '.join(sorted(set(species)))}: all atoms are made equally"
            f" bright, and project.toml is that of {main} alone; stemcount.simulate_compound tells species"
            " apart.",
            file=sys.stderr,
        )
    entries = [f'[crystal]\nstructure = "fcc"\nspecies = ["{main}"]\na = {a}\n']
    for i, axis in enumerate(axes):
        name = "image_" + "".join(str(index) for index in axis).replace("-", "m")
        image, truth = stemcount.simulate_crystal(
            positions, zone_axis=axis, pixel_size=pixel_size, dose=dose, seed=seed + i
        )
        stemcount.save_image(image, folder / f"{name}.hspy")
        write_table(folder / f"{name}_truth.csv", {key: truth[key] for key in ("x", "y", "count")})
        entries.append(f'[[image]]\nfile = "{name}.hspy"\nzone_axis = {list(axis)}\n')
        print(f"{folder / name}.hspy: {len(truth['count'])} columns, {len(positions)} atoms")
    with whole_file(folder / "project.toml") as unfinished:
        unfinished.write_text("\n".join(entries), encoding="utf-8")
    print(f"Reconstruct them:  stemcount run {shlex.quote(str(folder / 'project.toml'))}")
