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
from stemcount.finding.find import found_columns
from stemcount.finding.hold import (
    LOOSEST,
    beside,
    overlap_on_lattice,
    pull_of,
    site_indices,
    smooth_places,
    told,
)
from stemcount.fitting.given_back import fit_with_halo
from stemcount.fitting.magnified import undistorted
from stemcount.images.image import ZoneAxisImage
from stemcount.results import AtomCounts, ColumnFit, FitFlag
from tomo.placing.indexing import LEAST_COLUMNS

from ..commands.library import read_library
from ..project_file.project import FitSection, ImageSection, Project
from ..result_folder.tables import read_table

HELD = 3  # times that the lattice and its hold are told anew


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


def find_and_fit_image(
    image: ZoneAxisImage,
    section: FitSection,
    basis: NDArray[np.float64] | None = None,
) -> ColumnFit:
    """Find the columns of an image and fit them, with `FitFlag.ADDED` on those that finding had to add.

    A column to which the fit leaves no more light than its error is none: finding can set one beside others
    that it has put a little aside. Kept, it would be read as a class of thinner columns. The others are then
    fitted without it. The `basis` of the lattice that the columns of a known crystal form helps to find
    them, see `found_columns`; those that were placed on it as a whole, or overlap and were found on it one by
    one, are held to it (`fit_on_lattice`). Columns that were found on the light between them are fitted on
    it, unless the section says what the background is: on an even one, a film that ends under the particle
    makes peaks wide, and leaves others dark.
    """
    found = found_columns(image, basis)
    seeds, added = found.points, found.added
    light = on_light(found.light if section.background in (None, "automatic") else None)
    fitted = fit_on_lattice if basis is not None and added.all() else fit_image
    fit = fitted(image, seeds, section, **light)
    if basis is not None and not added.all() and overlap_on_lattice(fit, seeds, basis):
        fitted = fit_on_lattice
        fit = fitted(image, seeds, section, **light)
    lit = fit.cross_section > fit.noise_std
    if lit.any() and not lit.all():
        added = added[lit]
        fit = fitted(image, np.column_stack([fit.x, fit.y])[lit], section, **light)
    return replace(fit, flags=fit.flags | np.where(added, int(FitFlag.ADDED), 0))


def on_light(light: NDArray[np.float64] | float | None) -> dict[str, Any]:
    """What a fit is told of the light beneath its columns, if any is known, as `ColumnFit.light` holds it."""
    return {"background": light} if isinstance(light, np.ndarray) else {}


def fit_on_lattice(
    image: ZoneAxisImage, seeds: NDArray[np.float64], section: FitSection, **others: Any
) -> ColumnFit:
    """As `fit_image`, with columns held to their lattice as strongly as the image says, if they form one.

    One that was found beside its place, as at a fault of the crystal, stays beside it.
    """
    lattice = site_indices(seeds)
    if lattice is None:
        return fit_image(image, seeds, section, **others)
    index, closest = lattice
    pull, places = LOOSEST * closest, smooth_places(seeds, index, np.ones(len(seeds)))
    aside = beside(seeds, places, index, closest)
    places[aside] = seeds[aside]
    for last in range(HELD, -1, -1):
        fit = fit_image(image, places, section, pull=pull, **others)
        if last:
            trust = np.where(aside, 0.0, told(fit, pull))
            pull = pull_of(fit, places, pull, closest)
            places = smooth_places(np.column_stack([fit.x, fit.y]), index, trust)
            places[aside] = seeds[aside]
    return fit


def fit_image(
    image: ZoneAxisImage,
    seeds: NDArray[np.float64],
    section: FitSection,
    **others: Any,
) -> ColumnFit:
    """Fit all columns together by the settings of a [fit] section; what `others` say goes before it."""
    return stemcount.fit_columns(image, seeds, **_settings(section, **others))


def _settings(section: FitSection, **others: Any) -> dict[str, Any]:
    settings: dict[str, Any] = section.model_dump() | others
    return {name: value for name, value in settings.items() if value is not None}


def counting_settings(project: Project, index: int) -> dict[str, Any]:
    """What the [counting] section says for one image, with the library's numbers read from its file."""
    library = project.per_image("library", index)
    given = {
        "max_components": project.counting.max_components,
        "n_components": project.per_image("n_components", index),
        "offset": project.per_image("offset", index),
        "library": None if library is None else read_library(project.resolve(library)),
        "library_scale": project.counting.library_scale,
    }
    return {name: value for name, value in given.items() if value is not None}


def fit_with_tails(image: ZoneAxisImage, fit: ColumnFit, section: FitSection) -> ColumnFit | None:
    """`fit_with_halo` by the settings of `fit_image`."""
    return fit_with_halo(image, fit, **_settings(section))


def fit_undistorted(
    image: ZoneAxisImage,
    fit: ColumnFit,
    section: FitSection,
    magnification: NDArray[np.float64],
) -> ColumnFit:
    """`undistorted` by the settings of `fit_image`."""
    return undistorted(image, fit, magnification, **_settings(section))


def clarity_gained(fit: ColumnFit, counts: AtomCounts, other: ColumnFit, other_counts: AtomCounts) -> float:
    """How much more clearly the cross-sections of another fit of the same columns fall into classes [nats].

    By the evidence of the readings that were taken. So that it does not depend on their unit, and not on how
    much the cross-sections vary in all, both are measured by their standard deviation; what is left to
    compare is how much they gather about the class means.
    """
    gain = other_counts.chosen.log_posterior - counts.chosen.log_posterior
    gain += len(fit) * np.log(np.std(other.cross_section) / np.std(fit.cross_section))
    return float(gain)


def few_columns(image: ZoneAxisImage, number: int) -> str:
    """A sentence on an image with fewer than `LEAST_COLUMNS` columns, which a wrong pixel size makes."""
    left, right, top, bottom = image.extent
    found = f"{number} column{'s' if number > 1 else ''} found"
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
