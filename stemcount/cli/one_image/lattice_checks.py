"""Whether the columns of an image lie on the lattice that its zone axis makes, and on all of it."""

from __future__ import annotations

import numpy as np

import stemcount
import tomo
from stemcount.fitting.fit_input import on_light
from stemcount.images.image import ZoneAxisImage
from stemcount.results import ColumnFit
from tomo.zone import six_steps

OFF_LATTICE = 0.05  # share of the columns; more are no chance findings
ASIDE_LATTICE = 0.15  # of the columns' distance; noise hardly displaces a column so far from its line
DISPLACED = 0.1  # share of the columns that stand so far aside: right ones reach 0.03
MISSING = 0.05  # share of the places inside the particle that have no column
FAINT = 0.05  # quantile of the cross-sections that stands for a column of the fewest atoms
LIT = 1 / 3  # of that: a place which shows less light is an empty one that the tails of others reach
HELD_AT = 0.01  # A: how far from such a place the light is sought
A_FEW = 5  # columns of which nothing is said
OFF_SCALE = 0.02  # of lattice against calibration; crystals hardly differ so much from their a


def lattice_warnings(image: ZoneAxisImage, fit: ColumnFit, indexing: tomo.Indexing) -> list[str]:
    """Sentences about columns against the lattice, and the lattice against what the project says of it."""
    found = []
    n = len(fit)
    off = int(np.count_nonzero(~indexing.keep))
    if off > max(A_FEW, OFF_LATTICE * n):
        found.append(
            f"{image.name}: {off} of {n} columns lie on no line of the lattice and were left out; there may"
            " be a second crystal, or columns stand closer than they can be told apart."
        )
    gap = indexing.smallest_gap
    aside = int(np.count_nonzero(indexing.residual[indexing.keep] > ASIDE_LATTICE * gap))
    if aside > max(A_FEW, DISPLACED * n):
        found.append(
            f"{image.name}: {aside} of {n} columns stand aside from the lattice, whose columns are"
            f" {gap:.2f} A apart, {gap / np.median(fit.width):.1f} peak widths: if that is too close to tell"
            " them apart, some are missing or in a wrong place, and so are atoms."
        )
    missing = _missed(image, fit, indexing, max(A_FEW, MISSING * n))
    if missing > max(A_FEW, MISSING * n):
        found.append(
            f"{image.name}: {missing} places of the lattice inside the particle have no column, besides {n}"
            " that do; columns were missed, or zone axis or lattice parameter are not as the project says."
        )
    scale = scale_warning(image.name, indexing)
    return found if scale is None else [*found, scale]


def _missed(image: ZoneAxisImage, fit: ColumnFit, indexing: tomo.Indexing, few: float) -> int:
    """How many places inside the particle have no column though all six around them do, or the image shows
    light there: a stepped rim has empty places in its corners that four or five surround.

    The light is that of columns fitted there together with all others; `few` places are not looked at.
    """
    places, lines, _ = tomo.missing_columns(indexing)
    if len(places) <= few:
        return len(places)
    held = {(int(i), int(j)) for i, j in indexing.lines[indexing.keep]}
    steps = six_steps(indexing.zone).tolist()
    whole = np.array([all((i + di, j + dj) in held for di, dj in steps) for i, j in lines.tolist()])
    columns = np.column_stack([fit.x, fit.y])
    again = stemcount.fit_columns(image, np.concatenate([columns, places]), pull=HELD_AT, **on_light(fit))
    light = again.cross_section[len(columns) :]
    faint = np.quantile(fit.cross_section[indexing.keep], FAINT)
    return int(np.count_nonzero(whole | (light > LIT * faint)))


def scale_warning(name: str, indexing: tomo.Indexing) -> str | None:
    """A sentence about a lattice that is larger or smaller than its lattice parameter says, or None."""
    scale = indexing.scale
    if abs(scale - 1) <= OFF_SCALE:
        return None
    length, area = (f"{100 * abs(scale**power - 1):.1f} %" for power in (1, 2))
    more, large = ("larger", "large") if scale > 1 else ("smaller", "small")
    return (
        f"{name}: its lattice is {length} {more} than the lattice parameter and the pixel size say;"
        " one of them is off. The atoms are found all the same; if it is the pixel size, cross-sections"
        f" are {area} too {large} for a library."
    )
