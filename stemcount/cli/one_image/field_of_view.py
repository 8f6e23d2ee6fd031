"""Whether the edges of an image cut the particle."""

from __future__ import annotations

import numpy as np

import tomo
from stemcount.arrays import Bools, Floats
from stemcount.images.image import ZoneAxisImage
from stemcount.results import ColumnFit
from tomo.placing.registration import Field

CUT = 0.4  # of the columns' spacing; columns that near to an edge are cut themselves
CUT_ITSELF = 0.5  # peak widths; a column whose centre is nearer to an edge loses a third of its light there
RIM = 0.8  # mean cross-section of columns at an edge over that of all; a particle's own rim is thinner


def seen_field(image: ZoneAxisImage) -> Field:
    """Edges of the part of an image that was recorded: without borders that were filled in."""
    left, _, top, _ = image.extent
    i, j = (np.flatnonzero(image.used.any(axis=axis)) for axis in (1, 0))
    size = image.pixel_size
    return left + j[0] * size, left + (j[-1] + 1) * size, top + i[0] * size, top + (i[-1] + 1) * size


def field_that_cuts(indexing: tomo.Indexing, extent: Field, near: float = 1.0) -> Field | None:
    """The edges of an image if a column lies so near to one that the particle may go on beyond it.

    `near` is that distance in units of the columns' spacing: from 1 the next column would be in the image.
    """
    return extent if _at_edge(indexing, extent, near).any() else None


def field_that_touches(fit: ColumnFit, indexing: tomo.Indexing, extent: Field) -> Field | None:
    """The edges of an image if the particle is as thick at them as where it is cut, not as at its own rim, or
    if they run through columns: where it is thin, too, nobody frames a particle like this."""
    there = _at_edge(indexing, extent, 1.0)
    volume = fit.cross_section
    thick = there.any() and volume[there].mean() > RIM * volume[indexing.keep].mean()
    return extent if thick or columns_cut(fit, indexing, extent) else None


def columns_cut(fit: ColumnFit, indexing: tomo.Indexing, extent: Field) -> int:
    """How many columns of the lattice the edges of an image run through."""
    return int(np.count_nonzero(indexing.keep & (_to_edge(indexing, extent) < CUT_ITSELF * fit.width)))


def cuts_typed(indexing: tomo.Indexing, cross_section: Floats, extent: Field) -> bool:
    """Whether the edges of an image cut a particle of several species.

    A column at an edge is cut itself. Columns less than one spacing from it tell of a cut if they are as
    thick as others of their types; else they are the particle's own rim, or a faint peak that is no column.
    """
    if _at_edge(indexing, extent, CUT).any():
        return True
    there = np.flatnonzero(_at_edge(indexing, extent, 1.0))
    kind, kept = indexing.column_type, indexing.keep
    usual = [cross_section[kept & (kind == kind[q])].mean() for q in there]
    return len(there) > 0 and bool(cross_section[there].mean() > RIM * np.mean(usual))


def _at_edge(indexing: tomo.Indexing, extent: Field, near: float) -> Bools:
    """Columns of the lattice nearer to an edge of the image than `near` spacings."""
    spacing = np.sqrt(indexing.zone.cell_area(indexing.crystal.a))
    return indexing.keep & (_to_edge(indexing, extent) < near * spacing)


def _to_edge(indexing: tomo.Indexing, extent: Field) -> Floats:
    """Distance of each column from the nearest edge, negative beyond it [A]."""
    left, right, top, bottom = extent
    x, y = indexing.x, indexing.y
    return np.asarray(np.min([x - left, right - x, y - top, bottom - y], axis=0))
