"""Columns of an image that is too faint, or too crowded, for its columns to be found one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import stemcount
import tomo
from stemcount.arrays import Floats
from stemcount.errors import InputError
from stemcount.finding.find import dark_on_bright
from stemcount.finding.fitted import find_and_fit_columns
from stemcount.fitting.background import background_name
from stemcount.images.image import ZoneAxisImage
from stemcount.images.uneven import background_kind
from stemcount.results import ColumnFit, FitFlag
from tomo.placing.indexing import LEAST_COLUMNS
from tomo.placing.lattice import describe_lattice

SIGNIFICANT = 2.0  # standard deviations of a cross-section that is no column by chance
ROUNDS = 2  # of leaving out what is none
STRONG = 6.0  # difference of the criterion that is strong evidence (Kass, Raftery, JASA 90 (1995) 773)
OF_A_COLUMN = 3  # numbers that a fit finds for each: its place and its height
OF_A_LATTICE = 6  # numbers that give the places of all its columns
COARSE = 1.5  # times the cell of the zone axis: several columns stand in the place of each that was found

Settings = Mapping[str, Any]  # of `stemcount.fit_columns`


def find_and_fit(
    image: ZoneAxisImage, zone_axis: Sequence[int], settings: Settings, crystal: tomo.Crystal
) -> tuple[ColumnFit, bool]:
    """Columns of an image of an fcc crystal, and whether they were placed on its lattice as a whole.

    Columns are found one by one; where they overlap so much that they do not form the lattice that the zone
    axis leads one to expect, on the one of this shape that explains the image best
    (`stemcount.finding.known`). Where they form no lattice, or one so coarse that several columns were taken
    for one, it is sought in the Fourier transform, and a column is fitted at each of its points. The image
    must bear that out: the two halves of a twin, too, are no lattice together, and one of them would be drawn
    over the other. A lattice that columns were placed on as a whole gives way to the one of the Fourier
    transform where that shows more columns: at 300 e/A^2 a third of them were left out, as most columns show
    only by their site.

    Raises
    ------
    InputError
        If neither finds anything.
    """
    basis = tomo.zone_geometry(zone_axis).plane_basis * crystal.a / 2
    found: ColumnFit | None = None
    none_found: InputError | None = None
    try:
        found = find_and_fit_columns(image, basis, **settings)
    except InputError as error:
        if dark_on_bright(image):  # the light between dark columns forms their lattice, too
            raise
        none_found = error
    as_a_whole = found is not None and bool(np.all(found.flags & FitFlag.ADDED))
    cell = None if found is None or as_a_whole else _cell(found)
    coarse = cell is not None and cell > COARSE * abs(float(np.linalg.det(basis)))
    if found is not None and cell is not None and not coarse:
        return found, False
    try:
        placed = _fit_by_fourier(image, settings, basis)
    except InputError:
        if found is None:
            assert none_found is not None
            raise none_found from None
        return found, as_a_whole
    if found is not None and as_a_whole:  # at a few electrons for each column most show only by their site
        return max(found, placed, key=len), True
    if found is not None and _explains_more(found, placed, image, places=not coarse):
        return found, False
    return placed, True


def _cell(fit: ColumnFit) -> float | None:
    """Area of the cell of the lattice that columns form [A^2]; None if they form none."""
    lattice = describe_lattice(np.column_stack([fit.x, fit.y])) if len(fit) >= LEAST_COLUMNS else None
    if lattice is None:
        return None
    (first, second), angle = lattice
    return float(first * second * np.sin(np.radians(angle)))


def _explains_more(found: ColumnFit, placed: ColumnFit, image: ZoneAxisImage, places: bool) -> bool:
    """Whether columns found one by one explain an image as well as those on a lattice.

    By the Bayesian information criterion, n ln(sum of squares) + p ln n for n pixels and p numbers fitted
    (Schwarz, Ann. Statist. 6 (1978) 461). The places of columns on a lattice count where `places`; else the
    lattice gives them.
    """
    n = image.data.size
    gain = n * np.log(placed.residual_sum_of_squares / found.residual_sum_of_squares)
    of_placed = OF_A_COLUMN * len(placed) if places else len(placed) + OF_A_LATTICE
    return bool(gain > (OF_A_COLUMN * len(found) - of_placed) * np.log(n) - STRONG)


def _fit_by_fourier(image: ZoneAxisImage, settings: Settings, basis: Floats) -> ColumnFit:
    """Columns at the points of the expected lattice, those without significant intensity left out.

    How the background slopes is told beside the brighter half of the points, as others may be of it.
    """
    seeds = stemcount.lattice_seeds(image, stemcount.fourier_lattice(image, basis))
    fit = stemcount.fit_columns(image, seeds, **settings)
    if settings.get("background", "automatic") == "automatic":
        light = fit.cross_section / fit.cross_section_std
        taken = background_name(fit.background)
        kind = background_kind(image, seeds[light >= np.median(light)])
        background = taken if kind == background_kind(image, seeds) else kind[0]
        settings = {**settings, "background": background}
        if background != taken:
            fit = stemcount.fit_columns(image, seeds, **settings)
    for _ in range(ROUNDS - 1):
        there = fit.cross_section > SIGNIFICANT * fit.cross_section_std
        if there.all():
            break
        seeds = np.column_stack([fit.x, fit.y])[there]
        fit = stemcount.fit_columns(image, seeds, **settings)
    return fit
