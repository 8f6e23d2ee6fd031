"""One image of a crystal of one sublattice: from pixels to counted columns on the lattice, and its faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import stemcount
import tomo
from stemcount.counting.library import beyond_library
from stemcount.counting.quality import clarity_gained
from stemcount.errors import InputError
from stemcount.fitting.given_back import fit_with_halo
from stemcount.fitting.magnified import beyond_noise, scan_or_crystal, undistorted
from stemcount.images.image import ZoneAxisImage
from stemcount.results import AtomCounts, ColumnFit
from tomo.placing.indexing import LEAST_COLUMNS
from tomo.placing.lattice_maps import magnification

from ..project_file.project import Project
from ..result_folder.store import remember, stage_key
from .columns import GivenImage, count_image, few_columns
from .faint import find_and_fit
from .image_checks import ImageFaults, faults_of, image_warnings
from .own_library import own_library


@dataclass(frozen=True)
class MeasuredImage:
    """What is known of one image before the views are put together."""

    image: ZoneAxisImage
    fit: ColumnFit
    counts: AtomCounts
    indexing: tomo.Indexing
    faults: ImageFaults
    warnings: tuple[str, ...] = ()


def measured_image(project: Project, given: GivenImage, kept: Path) -> Iterator[Any]:
    """One image's fit; its counts; its lattice and faults.

    Where columns have wide tails, they are fitted and counted with and without the light of these, and what
    falls into classes the more clearly is taken. Where the lattice is distorted, they are counted with and
    without what a scan would have done to their cross-sections; the widths of the peaks and the classes
    together tell whether it was the scan. The library of a known microscope comes last: it tells how many
    atoms they hold, not which light is theirs.
    """
    section, image = given.section, given.image
    label, crystal, settings = section.label, project.crystal.crystal(), project.fit_of(section)
    expected = (section.zone_axis, crystal)
    key = stage_key(image, settings, given.positions, expected)

    def fitted() -> tuple[ColumnFit, bool]:
        if given.positions is None:
            return find_and_fit(image, section.zone_axis, settings, crystal)
        return stemcount.fit_columns(image, given.positions, **settings), False

    def counted(fit: ColumnFit, name: str, **library: Any) -> AtomCounts:
        settings = given.counting | library
        return remember(
            kept / f"{label}_{name}.npz", stage_key(fit, settings), lambda: count_image(fit, settings)
        )

    def indexed(fit: ColumnFit) -> tomo.Indexing:
        return tomo.index_columns(
            fit.x, fit.y, section.zone_axis, crystal, cross_section=fit.cross_section, name=label
        )

    def clearer(
        one: tuple[ColumnFit, str], other: tuple[ColumnFit, str], in_favour: float
    ) -> tuple[ColumnFit, str]:
        """Of two fits and the names of their counts the one that falls into classes the more clearly."""
        gained = clarity_gained(one[0], counted(*one), other[0], counted(*other))
        return other if in_favour + gained > 0 else one

    def with_tails() -> tuple[ColumnFit | None]:
        return (fit_with_halo(image, plain, **settings),)

    plain, by_fourier = remember(kept / f"{label}_fit.npz", key, fitted)
    fit, name = plain, "counts"
    if len(plain) < LEAST_COLUMNS:
        yield plain
        raise InputError(few_columns(image, len(plain)))
    # a library tells what columns scatter, but not how much of that its own simulation puts into tails
    if "library" not in given.counting:
        (other,) = remember(kept / f"{label}_tails.npz", stage_key(plain, key), with_tails)
        if other is not None:
            fit, name = clearer((fit, name), (other, "counts_tails"), 0.0)
    indexing = None
    with suppress(tomo.InputError):  # that there is no lattice is said when columns are counted
        indexing = indexed(fit)
        larger = magnification(indexing)
        if beyond_noise(fit, larger):
            refit = partial(undistorted, image, fit, larger, **settings)
            even = remember(kept / f"{label}_undistorted.npz", stage_key(fit, larger, key), refit)
            by_widths = scan_or_crystal(image, plain, larger)
            fit, name = clearer((fit, name), (even, f"{name}_undistorted"), by_widths)
    yield fit
    counts = counted(fit, name)
    library = given.counting.get("library")
    if project.microscope is not None:
        library = own_library(project, section.zone_axis, counts, kept)
        counts = counted(fit, f"{name}_library", library=library, library_scale="free")
    yield counts
    indexing = indexing or indexed(fit)
    faults = faults_of(image, plain)
    warnings = image_warnings(image, fit, indexing, by_fourier, faults)
    if library is not None and (beyond := beyond_library(counts.count, library)):
        warnings.append(f"{image.name}: {beyond}")
    yield MeasuredImage(image, fit, counts, indexing, faults, tuple(warnings))
