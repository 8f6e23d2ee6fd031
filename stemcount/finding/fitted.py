"""The columns of an image, found and fitted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Floats
from ..fitting.fit import fit_columns, typical_spacing
from ..images.image import ZoneAxisImage
from ..results import ColumnFit, FitFlag
from .between import numbers_of_light
from .evidence import NUMBER
from .find import found_columns
from .hold import LOOSEST, beside, overlap_on_lattice, pull_of, site_indices, smooth_places, told

HELD = 3  # times that the lattice and its hold are told anew


def find_and_fit_columns(image: ZoneAxisImage, basis: Floats | None = None, **settings: Any) -> ColumnFit:
    """Find the columns of an image and fit them, with `FitFlag.ADDED` on those that finding had to add.

    A column to which the fit leaves no more light than its error is none: finding can set one beside others
    that it has put a little aside. Kept, it would be read as a class of thinner columns. The others are then
    fitted without it. The `basis` of the lattice that the columns of a known crystal form helps to find
    them, see `found_columns`; those that were placed on it as a whole, or overlap and were found on it one by
    one, are held to it (`fit_on_lattice`). `settings` are those of `fit_columns`. Columns that were found on
    the light between them are fitted on it where they need it (`needs`), unless the settings say what the
    background is: on an even one, a film that ends under the particle makes peaks wide, and leaves others
    dark.
    """
    found = found_columns(image, basis)
    seeds, added = found.points, found.added
    if found.light is not None and settings.get("background", "automatic") == "automatic":
        lit = settings | {"background": found.light}
        if needs(image, fit_columns(image, seeds, **settings), fit_columns(image, seeds, **lit)):
            settings = lit
    fitted = fit_on_lattice if basis is not None and added.all() else fit_columns
    fit = fitted(image, seeds, **settings)
    if basis is not None and not added.all() and overlap_on_lattice(fit, seeds, basis):
        fitted = fit_on_lattice
        fit = fitted(image, seeds, **settings)
    seen = fit.cross_section > fit.noise_std
    if seen.any() and not seen.all():
        added = added[seen]
        fit = fitted(image, np.column_stack([fit.x, fit.y])[seen], **settings)
    return replace(fit, flags=fit.flags | np.where(added, int(FitFlag.ADDED), 0))


def needs(image: ZoneAxisImage, even: ColumnFit, lit: ColumnFit) -> bool:
    """Whether columns explain an image better on the light between them, for what that light costs.

    Finding asks this of sets of columns, of which some may be needless on the light. Where columns are faint
    it is the light of those not found; the others, fitted on it, lose what they have in common with these.
    Each of the numbers that it is worth has its price, as in `stemcount.finding.evidence.better`, of noise
    whose variance nothing but the fit tells: n ln(sum of squares).
    """
    n = int(np.count_nonzero(image.used))
    size = typical_spacing(even.x, even.y, 0.0) / image.pixel_size
    gain = n * np.log(even.residual_sum_of_squares / lit.residual_sum_of_squares)
    return bool(gain > NUMBER * numbers_of_light(n, size))


def fit_on_lattice(image: ZoneAxisImage, seeds: Floats, **settings: Any) -> ColumnFit:
    """As `fit_columns`, with columns held to their lattice as strongly as the image says, if they form one.

    One that was found beside its place, as at a fault of the crystal, stays beside it.
    """
    lattice = site_indices(seeds)
    if lattice is None:
        return fit_columns(image, seeds, **settings)
    index, closest = lattice
    pull, places = LOOSEST * closest, smooth_places(seeds, index, np.ones(len(seeds)))
    aside = beside(seeds, places, index, closest)
    places[aside] = seeds[aside]
    for last in range(HELD, -1, -1):
        fit = fit_columns(image, places, pull=pull, **settings)
        if last:
            trust = np.where(aside, 0.0, told(fit, pull))
            pull = pull_of(fit, places, pull, closest)
            places = smooth_places(np.column_stack([fit.x, fit.y]), index, trust)
            places[aside] = seeds[aside]
    return fit
