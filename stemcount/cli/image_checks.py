"""What a run says of an image that is not as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import stemcount
import tomo
from stemcount.fitting.faults import BackgroundStructure, Elongation, drawn_share
from stemcount.images.image import PLATEAU, ZoneAxisImage
from stemcount.results import ColumnFit

OFF_LATTICE = 0.05  # share of the columns; more are no chance findings
ASIDE_LATTICE = 0.15  # of the columns' distance; noise hardly displaces a column so far from its line
DISPLACED = 0.1  # share of the columns that stand so far aside: right ones reach 0.03
MISSING = 0.05  # share of the places inside the particle that have no column
TILTED = 14.0  # chi-square of the elongation, by chance in one image of a thousand
VISIBLE = 0.03  # growth of the elongation that is worth a word
ASIDE = 20.0  # chi-square of columns displaced with their depth, by chance in one image of ten thousand
LEAST_TILT = 0.2  # that is worth a word [deg]
A_FEW = 5  # columns of which nothing is said
OFF_SCALE = 0.02  # of lattice against calibration; crystals hardly differ so much from their a
BY_CHANCE = 1e-4  # probability that noise alone makes as much structure beside the particle
MUCH = 100.0  # times the noise's variance; how many more does not matter
FAINTEST = 5e-5  # of the brightest pixel; fainter structure are the tails of the peaks


@dataclass(frozen=True)
class ImageFaults:
    """What `stemcount.fitting.faults` measures of one image; None where it shows too little to tell."""

    saturated: float
    drawn: float
    left_out: int
    drawn_out: Elongation | None
    beside: BackgroundStructure | None

    def summary(self) -> dict[str, Any]:
        """The numbers of summary.json, whether they are worth a warning or not."""
        drawn_out, beside = self.drawn_out, self.beside
        return {
            "saturated_share": self.saturated,
            "drawn_share": self.drawn,
            "stray_pixels": self.left_out,
            "elongation": drawn_out and asdict(drawn_out),
            "structure_beside": beside and asdict(beside),
        }


def faults_of(image: ZoneAxisImage, fit: ColumnFit, peaks: ColumnFit | None = None) -> ImageFaults:
    """Saturation, pixels left out, elongation of the columns and structure beside the particle.

    The elongation is told by `peaks`, where another fit than the one that tells the rest suits it better.
    """
    return ImageFaults(
        stemcount.saturated_share(image),
        drawn_share(image, fit),
        int(np.count_nonzero(image.recorded & ~image.used)),
        stemcount.elongation(image, fit if peaks is None else peaks),
        stemcount.background_structure(image, fit),
    )


def image_warnings(
    image: ZoneAxisImage,
    fit: ColumnFit,
    indexing: tomo.Indexing,
    by_fourier: bool = False,
    faults: ImageFaults | None = None,
) -> list[str]:
    """Sentences about one image: columns against its lattice, detector saturation, tilt, support film.

    `by_fourier` says that the columns were placed by all of the image together, as by its Fourier transform;
    `faults` are those of this image, where they are known already.
    """
    by_transform = (
        f"{image.name}: columns found one by one do not form the lattice of the zone axis; they were placed"
        " where the image as a whole, or its Fourier transform, shows it: their counts are rough, gaps go"
        " unnoticed."
    )
    return [
        *([by_transform] if by_fourier else []),
        *_lattice_warnings(image, fit, indexing),
        *fault_warnings(image, faults or faults_of(image, fit)),
    ]


def _lattice_warnings(image: ZoneAxisImage, fit: ColumnFit, indexing: tomo.Indexing) -> list[str]:
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
    missing = len(tomo.missing_columns(indexing)[0])
    if missing > max(A_FEW, MISSING * n):
        found.append(
            f"{image.name}: {missing} places of the lattice inside the particle have no column, besides {n}"
            " that do; columns were missed, or zone axis or lattice parameter are not as the project says."
        )
    scale = scale_warning(image.name, indexing)
    return found if scale is None else [*found, scale]


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


def fault_warnings(image: ZoneAxisImage, faults: ImageFaults) -> list[str]:
    """Sentences about saturation, pixels left out, tilt, and structure beside the particle."""
    found = []
    drawn_out, beside = faults.drawn_out, faults.beside
    if faults.drawn > 0:
        found.append(
            f"{image.name}: {100 * faults.drawn:.2g} % of the pixels are beside the particle and have one"
            " value, the highest: something is drawn in, such as a scale bar. They were left out; roi leaves"
            " out what else may be drawn."
        )
    saturated = faults.saturated - faults.drawn
    if saturated * np.count_nonzero(image.used) > PLATEAU - 0.5:
        found.append(
            f"{image.name}: {100 * saturated:.2g} % of the pixels stand at the highest value: the detector"
            " was saturated, or something is drawn in. They were left out; thick columns, fitted by their"
            " flanks, may count too few."
        )
    if faults.left_out:
        some = "1 pixel stands" if faults.left_out == 1 else f"{faults.left_out} pixels stand"
        found.append(
            f"{image.name}: {some} out of all neighbours as no column can: hot or dead pixels, spikes, or a"
            " dead line. They were left out."
        )
    if drawn_out is not None and drawn_out.chi_square > TILTED and drawn_out.growth > VISIBLE:
        found.append(
            f"{image.name}: columns are drawn out along {drawn_out.angle:.0f} deg, the thicker the more: the"
            " crystal is probably tilted against the beam."
        )
    if beside and beside.chance < BY_CHANCE and beside.amplitude > FAINTEST * image.data[image.used].max():
        found.append(
            f"{image.name}: the background beside the particle ({_level(image, beside.level)}) has structure"
            f" at the scale of the columns, {_times(beside.excess)} the variance of its noise: a support"
            " film, contamination, something drawn in, or a smoothed image. It is fitted as smooth; thin"
            " columns carry its speckle."
        )
    return found


def _times(excess: float) -> str:
    """A factor in words; where there is hardly any noise its size says nothing."""
    return f"{excess:.1f} times" if excess < MUCH else f"more than {MUCH:.0f} times"


def _level(image: ZoneAxisImage, level: float) -> str:
    """Intensity in words: a known dose means fractions of the incident beam."""
    return f"{level:.3g}" if image.dose is None else f"{100 * level:.2g} % of the incident beam"


def tilts_of(registration: tomo.Registration, sites: ArrayLike) -> list[tomo.Tilt | None]:
    """Tilt of every view against the crystal, whose occupied sites are (n, 3) [a/2]; None for a single view,
    which says nothing of depth."""
    if len(registration.indexings) < 2:
        return [None] * len(registration.indexings)
    views = zip(registration.indexings, registration.column_sites, strict=True)
    return [tomo.tilt_of(indexing, columns, sites) for indexing, columns in views]


def tilt_warnings(names: Sequence[str], tilts: Sequence[tomo.Tilt | None]) -> list[str]:
    """Sentences about views whose columns stand aside the deeper they begin in the crystal."""
    return [
        f"{name}: columns stand aside along {tilt.direction:.0f} deg the deeper they begin: the crystal is"
        f" probably tilted against the beam, by about {tilt.angle:.1f} deg."
        for name, tilt in zip(names, tilts, strict=True)
        if tilt and tilt.chi_square > ASIDE and tilt.angle > LEAST_TILT
    ]
