"""Lines beside the columns of a view, on which noise may have hidden an atom or two: what their light says.

A line that no column names is empty. Where a column of one atom is hardly brighter than its error, some are
not found, and their atoms would be missed with all certainty. So the light there is measured, and what it
makes of 0, 1, 2, ... atoms goes into the reconstruction as soft counts. That no column was found says no more
than the light does: finding, too, only saw that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import stemcount
import tomo
from stemcount.arrays import Bools, Floats, Ints
from stemcount.counting.quality import brightness_of_one
from stemcount.fitting.fit_input import on_light
from stemcount.images.image import ZoneAxisImage
from stemcount.results import AtomCounts, ColumnFit, FitFlag
from tomo.grid import line_keys
from tomo.placing.lattice_maps import magnification
from tomo.zone import six_steps

from ..one_image.lattice_checks import HELD_AT
from .views import JointReading

HIDDEN_BELOW = 7.0  # errors: a brighter column of one atom is found wherever it stands,
TELLING_FROM = 1.6  # and the light of a fainter one says less of it than the doubtful counts around it


def with_rim(
    view: tomo.View, joint: JointReading, number: int, image: ZoneAxisImage, settings: Mapping[str, Any]
) -> tomo.View:
    """View `number` of a joint reading with the lines beside its columns, where these may hide atoms.

    That is where noise may hide a column of one atom there, but not all that its light says; the reading of
    its counts says how much light k atoms have. The `view` has soft counts; `settings` are those with which
    its `image` was fitted.
    """
    registration, fit, counts = joint.registration, joint.fits[number], joint.counts[number]
    if not TELLING_FROM <= brightness_of_one(fit, counts) < HIDDEN_BELOW:
        return view
    indexing = registration.indexings[number]
    lines = lines_beside(indexing)
    sites = indexing.zone.sites(registration.candidates[0].placed(number, indexing.zone, lines))
    free = ~np.isin(line_keys(sites, view.zone_axis), _named(view))
    places = indexing.line_positions(lines)
    larger = magnification(indexing, lines) if np.ndim(fit.magnification) else np.ones(len(lines))
    inside, log_likelihood = _light(places, larger, fit, counts, image, settings)
    sites, log_likelihood = sites[free & inside], log_likelihood[free[inside]]
    assert view.log_likelihood is not None
    return replace(
        view,
        column_sites=np.concatenate([view.column_sites, sites]),
        log_likelihood=np.concatenate([view.log_likelihood, log_likelihood]),
        unfound=np.arange(view.n_columns + len(sites)) >= view.n_columns,
    )


def lines_beside(indexing: tomo.Indexing) -> Ints:
    """Lines (m, 2) next to those of an image's counted columns, and nearest to no column themselves."""
    lines = indexing.lines[indexing.counted]
    around = np.unique((lines[:, None] + six_steps(indexing.zone)).reshape(-1, 2), axis=0)
    taken = {tuple(line) for line in indexing.lines.tolist()}
    free = [tuple(line) not in taken for line in around.tolist()]
    return around[np.array(free, dtype=bool)]


def _named(view: tomo.View) -> Ints:
    """Keys of the lines that a view names as columns or as unseen."""
    unseen = np.zeros((0, 3), dtype=np.int64) if view.unseen_sites is None else view.unseen_sites
    return line_keys(np.concatenate([view.column_sites, unseen]), view.zone_axis)


def _light(
    places: Floats,
    larger: Floats,
    fit: ColumnFit,
    counts: AtomCounts,
    image: ZoneAxisImage,
    settings: Mapping[str, Any],
) -> tuple[Bools, Floats]:
    """Which of some places (m, 2) [A] an image shows whole, and ln P(light | k atoms) of these, fitted there
    together with all columns; areas there are shown so many times `larger` (m,)."""
    left, right, top, bottom = image.extent
    x, y = places.T
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    together = np.concatenate([np.column_stack([fit.x, fit.y]), places[inside]])
    held = {"pull": HELD_AT, "widths": "common", **on_light(fit)}
    again = stemcount.fit_columns(image, together, **{**settings, **held})
    mine = np.arange(len(together)) >= len(fit)
    whole = (again.flags & FitFlag.AT_EDGE) == 0
    inside[inside] = whole[mine]
    use = mine & whole
    if not use.any():
        return inside, np.zeros((0, counts.log_likelihood.shape[1]))
    larger = larger[inside]
    read = stemcount.counts_from_hypothesis(
        again.cross_section[use] / larger, counts.chosen, cross_section_std=again.noise_std[use] / larger
    )
    return inside, read.log_likelihood
