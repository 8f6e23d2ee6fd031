"""One image of a crystal of several sublattices: from pixels to columns of known type on the lattice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

import stemcount
import tomo
from stemcount.arrays import Bools, Floats
from stemcount.errors import InputError
from stemcount.finding.fitted import find_and_fit_columns
from stemcount.images.image import ZoneAxisImage
from stemcount.results import ColumnFit, FitFlag

from ..project_file.crystals import brightness
from ..project_file.project import Project
from ..result_folder.store import remember, stage_key
from .columns import GivenImage
from .field_of_view import cuts_typed, seen_field
from .image_checks import ImageFaults, fault_warnings, faults_of, tilt_warning, told
from .lattice_checks import scale_warning

PEAK = "tailed"  # a plain Gaussian leaves the tails of heavy columns to their light neighbours
PULL = 0.1  # [A] columns of a strained crystal stray less from a smooth lattice; empty lines stay in place
SURE = 0.9  # probability of the column types below which a warning is due
# Share of the columns on no line, and of lines between the others without a column. A crystal's own images
# show one or the other; both together are the mark of another lattice that meets the crystal's in places.
FOREIGN = 0.1
TINY = 1e-300
SAME = 0.5  # a line is where a column was found if nearer than this share of the closest lines' distance


@dataclass(frozen=True, eq=False)
class TypedImage:
    """Columns of one image with their types.

    Attributes
    ----------
    image : ZoneAxisImage
    columns : tomo.TypedColumns
        All lines at and around the particle, in the view's own frame.
    fit : ColumnFit
        What the image shows at each of them, `FitFlag.ADDED` where finding had to add a column.
    found : (n,) bool
        Lines where a column was found before anything was known of the lattice.
    phases : (n, n_phases) float
        Local amount of each phase, in atoms of the darkest species' cross-section.
    indexing : tomo.Indexing
        Lattice of the columns that were found.
    probability : float
        Of the types, among all ways to name them.
    cut : bool
        Whether the edges of the image cut the particle.
    faults : ImageFaults
        What is wrong with the image: the elongation of all columns, the structure beside those found.
    """

    image: ZoneAxisImage
    columns: tomo.TypedColumns
    fit: ColumnFit
    found: Bools
    phases: Floats
    indexing: tomo.Indexing
    probability: float
    cut: bool
    faults: ImageFaults

    @property
    def warnings(self) -> tuple[str, ...]:
        """What deserves attention."""
        found: tuple[str, ...] = ()
        if self.probability < SURE:
            found += (
                f"{self.image.name}: which columns are of which species is sure only to"
                f" {100 * self.probability:.0f} %: their positions and brightness fit in another way too.",
            )
        if self.cut:
            found += (
                f"{self.image.name}: the image cuts the particle; with several species, all atoms beyond its"
                " edge are missing from the result, and the shell, whose atoms this displaces, is not to be"
                " trusted: expected an image with a margin around the whole particle.",
            )
        scale = told([scale_warning(self.image.name, self.indexing)])
        tilted = told([tilt_warning(self.image.name, None, self.faults.drawn_out)])
        return (*found, *scale, *fault_warnings(self.image, self.faults), *tilted)


def typed_image(project: Project, given: GivenImage, kept: Path) -> TypedImage:
    """Find an image's lattice and column types, and fit all columns of all types together.

    The lattice is found on the columns that stand out (InputError if they form none of the crystal's); then
    every line of every type in and around the particle is fitted, the positions tied to the lattice where the
    image cannot tell them. Finished stages are in the folder `kept`.
    """
    section, image, crystal = given.section, given.image, project.crystal.crystal()
    label, settings = section.label, project.fit_of(section)
    key = stage_key(image, settings, given.positions)

    def fitted() -> ColumnFit:
        if given.positions is None:
            return find_and_fit_columns(image, **settings)
        return stemcount.fit_columns(image, given.positions, **settings)

    first = remember(kept / f"{label}_fit.npz", key, fitted)
    indexing = tomo.index_columns(
        first.x, first.y, section.zone_axis, crystal, cross_section=first.cross_section, name=label
    )
    labellings = tomo.label_columns(indexing, first.cross_section, brightness(crystal))
    refuse_foreign(labellings[0].indexing)
    alike = [other for other in labellings if named_alike(other.indexing, labellings[0].indexing)]
    fits = [_every_line(project, given, kept, n, one.indexing) for n, one in enumerate(alike)]
    pixels = np.count_nonzero(image.used)
    likely = [
        np.log(max(one.probability, TINY)) - pixels / 2 * np.log(max(fit.residual_sum_of_squares, TINY))
        for one, (_, fit) in zip(alike, fits, strict=True)
    ]
    chosen = int(np.argmax(likely))
    labelling, (columns, fit) = alike[chosen], fits[chosen]
    seeds = np.column_stack([columns.x, columns.y])
    phases, _ = tomo.phase_amounts(
        seeds,
        columns.column_type,
        fit.cross_section,
        brightness(crystal),
        columns.zone_axis,
        crystal,
        labelling.indexing.scale,
    )
    close = SAME * float(np.median(cKDTree(seeds).query(seeds, k=2)[0][:, 1]))
    seen = labelling.indexing.keep
    distance, nearest = cKDTree(np.column_stack([first.x, first.y])[seen]).query(seeds)
    found = distance < close
    added = np.where(found, first.flags[seen][nearest] & FitFlag.ADDED, 0)
    fit = replace(fit, flags=fit.flags | added)
    # beside columns of another species, peaks without tails leave what looks like elongation
    faults = faults_of(image, first, peaks=fit)
    cut = cuts_typed(labelling.indexing, first.cross_section, seen_field(image))
    probability = min(sum(one.probability for one in alike), 1.0)
    return TypedImage(image, columns, fit, found, phases, labelling.indexing, probability, cut, faults)


def named_alike(one: tomo.Indexing, other: tomo.Indexing) -> bool:
    """Whether the types of all columns are the same that both put on lines; others may lie elsewhere.

    Where the pattern of the columns that were found can be turned, those of a type of which none was found
    may be on either side of them: then the light there tells.
    """
    both = one.keep & other.keep
    return np.array_equal(one.column_type[both], other.column_type[both])


def _every_line(
    project: Project, given: GivenImage, kept: Path, number: int, indexing: tomo.Indexing
) -> tuple[tomo.TypedColumns, ColumnFit]:
    """Every line of every type in and around the particle, and what the image shows there."""
    section, image = given.section, given.image
    columns = tomo.lattice_columns(indexing, image.extent)
    seeds = np.column_stack([columns.x, columns.y])
    settings = {"peak": PEAK, **project.fit_of(section), "widths": "per_type", "pull": PULL}
    settings["column_type"] = columns.column_type
    key = stage_key(image, settings, seeds)

    def fitted() -> ColumnFit:
        return stemcount.fit_columns(image, seeds, **settings)

    path = kept / (f"{section.label}_types_{number}.npz" if number else f"{section.label}_types.npz")
    return columns, remember(path, key, fitted)


def refuse_foreign(indexing: tomo.Indexing) -> None:
    """Raise InputError where the columns fall on the crystal's lattice by coincidence.

    The lines of a crystal of several sublattices lie so close that three quarters of the columns of a metal
    are near some of them, at a scale within the tolerance.
    """
    off, empty = int(np.count_nonzero(~indexing.keep)), len(tomo.missing_columns(indexing)[0])
    if min(off, empty) <= FOREIGN * len(indexing):
        return
    crystal, axis = indexing.crystal, " ".join(map(str, indexing.zone_axis))
    species = "/".join(s.species for s in crystal.sublattices)
    raise InputError(
        f"{indexing.name}: {off} of {len(indexing)} columns lie on no line of the lattice expected for"
        f" [{axis}] of {species} with a = {crystal.a:g} A, and {empty} lines between the others have no"
        ' column: check structure and a; a metal has structure = "fcc".'
    )
