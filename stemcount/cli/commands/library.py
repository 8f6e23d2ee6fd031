"""`stemcount library`: cross-sections of columns of 1, 2, ... atoms by multislice, as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import stemcount
from stemcount.arrays import Floats
from stemcount.errors import InputError

from ..progress import progress_bar
from ..result_folder.tables import read_table, write_table
from .parsing import file_to_write, parse_zone_axis

SETTING_ERROR = 0.05  # of angles and thermal displacement: as well as they are known of most microscopes
CROSS_SECTION = "cross_section"
CHANGES = tuple(
    f"{what} {1 + SETTING_ERROR:g}"
    for what in ("probe angle /", "detector angles *", "thermal displacement *")
)


def library_stage(
    species: str,
    a: float,
    zone_axis: str,
    atoms: int,
    voltage: float,
    semi_convergence: float,
    detector: str,
    thermal_displacement: float | None,
    seed: int,
    out: Path | None,
) -> None:
    """Simulate a library and write it as ``[counting] library`` and ``stemcount count --library`` read it.

    Beside it the table has what it becomes when a setting is off by `SETTING_ERROR`. Zone axis and angles of
    the detector are as the user wrote them, all else is as for `stemcount.simulate_library`; a file that is
    not named is called after the species and the zone axis.
    """
    axis = parse_zone_axis(zone_axis)
    path = file_to_write(out, Path(f"{species}_{''.join(map(str, axis))}_library.csv"))
    with progress_bar("multislice") as show:
        library = stemcount.simulate_library(
            species,
            a,
            axis,
            atoms,
            voltage=voltage,
            semi_convergence=semi_convergence,
            detector=_angles(detector),
            thermal_displacement=thermal_displacement,
            seed=seed,
            setting_error=SETTING_ERROR,
            progress=show,
        )
    names = [CROSS_SECTION, *(f"{CROSS_SECTION}: {change}" for change in CHANGES)]
    columns = dict(zip(names, np.round(library, 6).T, strict=True))
    write_table(path, {"atoms": np.arange(1, atoms + 1), **columns})
    first, last = library[[0, -1], 0]
    print(f"{path}: 1 atom {first:.4f} A^2, {atoms} atoms {last:.4f} A^2")


def read_library(path: Path) -> Floats:
    """Library (kmax, 1 + m) of a table: cross_section, then what uncertain settings make of it.

    InputError if the table cannot be read, or a field is empty or no cross-section.
    """
    table = read_table(path, (CROSS_SECTION,))
    names = [CROSS_SECTION, *(name for name in table if name.startswith(f"{CROSS_SECTION}:"))]
    library = np.column_stack([table[name] for name in names])
    wrong = np.argwhere(~(np.isfinite(library) & (library > 0)))
    if len(wrong):
        row, column = wrong[0]
        value = library[row, column]
        said = "empty or not a number" if np.isnan(value) else f"{value:g}"
        raise InputError(
            f"{path}, line {row + 2}: {names[column]!r} is {said}; expected a positive cross-section."
        )
    return library


def _angles(text: str) -> tuple[float, float]:
    try:
        inner, outer = (float(field) for field in text.split(","))
    except ValueError:
        raise InputError(
            f"--detector {text}: expected inner and outer angle in mrad, such as 60,130."
        ) from None
    return inner, outer
