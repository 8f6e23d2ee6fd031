"""One image of a project: from its file to fitted columns and the readings of their counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stemcount
from stemcount.errors import InputError
from stemcount.images.image import ZoneAxisImage
from stemcount.results import AtomCounts, ColumnFit
from tomo.placing.indexing import LEAST_COLUMNS

from ..commands.library import read_library
from ..project_file.project import CountingSection, ImageSection, Project
from ..result_folder.tables import read_table


@dataclass(frozen=True, eq=False)
class GivenImage:
    """What a project gives for one image, read from its files.

    Attributes
    ----------
    section : ImageSection
    image : ZoneAxisImage
    positions : (n, 2) float or None
        Start positions [A]; None where the program finds them.
    counting : dict
        Settings of `count_image`.
    """

    section: ImageSection
    image: ZoneAxisImage
    positions: NDArray[np.float64] | None
    counting: dict[str, Any]


def load_project_image(project: Project, section: ImageSection) -> ZoneAxisImage:
    """Load one image of a project and do to it what its section says.

    A series of frames is averaged, detector levels turn counts into fractions of the beam, `flip` undoes a
    scan that ran backwards, and `roi` cuts the image without moving its coordinates.
    """
    path = project.resolve(section.file)
    image = load_image_or_average(
        path, section.average, section.zone_axis, section.pixel_size, section.signal
    )
    image = replace(image, name=section.label)
    if section.dose is not None:
        frames = 1 if image.drift is None else len(image.drift)
        image = replace(image, dose=section.dose * frames)
    if section.detector is not None:
        levels = (section.detector.vacuum, section.detector.beam)
        vacuum, beam = (project.resolve(v) if isinstance(v, Path) else v for v in levels)
        image = stemcount.normalise(image, vacuum, beam)
    if section.flip is not None:
        rows = slice(None, None, -1 if "y" in section.flip else 1)
        cols = slice(None, None, -1 if "x" in section.flip else 1)
        valid = None if image.valid is None else image.valid[rows, cols]
        image = replace(image, data=image.data[rows, cols], valid=valid)
    return image if section.roi is None else stemcount.region_of_interest(image, *section.roi)


def load_image_or_average(
    path: Path,
    average: bool,
    zone_axis: Sequence[int] | None,
    pixel_size: float | None,
    signal: str | int | None,
) -> ZoneAxisImage:
    """The image of a file, or the average of the frames that it holds, shifted onto the first one."""
    if average:
        return stemcount.average_series(stemcount.load_series(path, zone_axis, pixel_size, signal=signal))
    return stemcount.load_image(path, zone_axis, pixel_size, signal=signal)


def given_positions(project: Project, section: ImageSection) -> NDArray[np.float64] | None:
    """Start positions (n, 2) [A] that the project gives for an image; None where the program finds them."""
    if section.columns is None:
        return None
    table = read_table(project.resolve(section.columns), ("x", "y"))
    if not len(table["x"]):
        raise InputError(f"{section.columns}: holds no start positions.")
    return np.column_stack([table["x"], table["y"]])


def counting_settings(project: Project, index: int) -> dict[str, Any]:
    """What the [counting] section says for one image, with the library's numbers read from its file."""
    given = {name: project.per_image(name, index) for name in CountingSection.model_fields}
    if given["library"] is not None:
        given["library"] = read_library(project.resolve(given["library"]))
    return {name: value for name, value in given.items() if value is not None}


def few_columns(image: ZoneAxisImage, number: int) -> str:
    """A sentence on an image with fewer than `LEAST_COLUMNS` columns, which a wrong pixel size makes."""
    left, right, top, bottom = image.extent
    found = f"{number} column{'' if number == 1 else 's'} found"
    return (
        f"{image.name}: {found} in its {right - left:.3g} x {bottom - top:.3g} A, too few to find a lattice;"
        f" expected at least {LEAST_COLUMNS}: check the pixel size, {image.pixel_size:.3g} A, and the image."
    )


def count_image(fit: ColumnFit, settings: dict[str, Any]) -> AtomCounts:
    """Count the atoms of one image's columns."""
    return stemcount.count_atoms(
        fit.cross_section,
        cross_section_std=fit.noise_std,
        positions=np.column_stack([fit.x, fit.y]),
        **settings,
    )
