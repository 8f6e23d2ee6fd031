"""`stemcount simulate`: images of a structure with the known answer, as a project that runs."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import stemcount
from stemcount.errors import InputError

from .parsing import make_folder, parse_zone_axis
from .tables import write_table


def read_structure(path: Path) -> tuple[list[str], NDArray[np.float64]]:
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
    make_folder(folder)
    main = max(set(species), key=species.count)
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
    (folder / "project.toml").write_text("\n".join(entries), encoding="utf-8")
    print(f"Reconstruct them:  stemcount run {shlex.quote(str(folder / 'project.toml'))}")
