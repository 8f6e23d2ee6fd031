"""What a run says of an image that is not as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

import stemcount
import tomo
from stemcount.counting.quality import brightness_of_one, scatter_of_classes
from stemcount.errors import InputError
from stemcount.finding.complete import NEEDED
from stemcount.fitting.beneath import slope_left_out
from stemcount.fitting.faults import BackgroundStructure, Elongation, drawn_share, glow
from stemcount.images.image import PLATEAU, ZoneAxisImage
from stemcount.results import AtomCounts, ColumnFit
from tomo.placing.registration import Field

from .field_of_view import columns_cut
from .lattice_checks import lattice_warnings

if TYPE_CHECKING:
    from .measured import MeasuredImage
    from .typed_images import TypedImage

TILTED = 14.0  # chi-square of the elongation, by chance in one image of a thousand
VISIBLE = 0.03  # growth of the elongation that is worth a word
HIDDEN = NEEDED[1]  # standard deviations of a column at the rim, which may have one neighbour
ASIDE = 20.0  # chi-square of columns displaced with their depth, by chance in one image of ten thousand
LEAST_TILT = 0.2  # that is worth a word [deg]
SHARP = 0.4  # deg: error of a tilt; columns of 30 A are drawn out visibly by one of a degree
BY_CHANCE = 1e-4  # probability that noise alone makes as much structure beside the particle
IN_ONE_PLACE = 0.35  # of the structure beside the particle is typical of it; of a film's most is
INTERPOLATED = 0.25  # of neighbours' correlation is left three pixels apart; of speckle half and more
MUCH = 100.0  # times the noise's variance; how many more does not matter
UNLIKE = 0.18  # of a step between classes, times the root of the atoms; clean images reach 0.08
GLOWING = 0.15  # of the columns' light around the particle; multislice images of clean crystals reach 0.03
TILT_OF_ALL = 2.0  # deg: columns of a crystal tilted more are no peaks any more
FAINTEST = 5e-5  # of the brightest pixel; fainter structure are the tails of the peaks

TILT = "the crystal is probably tilted against the beam"
MATTERS = "half a degree matters for the counts of thick columns"
STEP = (
    " So large a tilt would smear its columns; more likely a part of it is displaced against the rest, as by"
    " a stacking fault or a twin, which no reconstruction on one lattice shows."
)


@dataclass(frozen=True)
class ImageFaults:
    """What `stemcount.fitting.faults` measures of one image; None where it shows too little to tell."""

    saturated: float
    drawn: float
    left_out: int
    drawn_out: Elongation | None
    beside: BackgroundStructure | None
    glow: float | None
    slopes: bool

    @property
    def glows(self) -> bool:
        """Whether light around the particle is worth a warning, and that beside its columns is not theirs."""
        return self.glow is not None and self.glow > GLOWING

    def summary(self) -> dict[str, Any]:
        """The numbers of summary.json, whether they are worth a warning or not."""
        drawn_out, beside = self.drawn_out, self.beside
        return {
            "saturated_share": self.saturated,
            "drawn_share": self.drawn,
            "stray_pixels": self.left_out,
            "elongation": drawn_out and asdict(drawn_out),
            "structure_beside": beside and asdict(beside),
            "glow": self.glow,
            "slopes": self.slopes,
        }


def faults_of(image: ZoneAxisImage, fit: ColumnFit, peaks: ColumnFit | None = None) -> ImageFaults:
    """Saturation, pixels left out, elongation of the columns and structure beside the particle.

    The elongation is told by `peaks`, where another fit than the one that tells the rest suits it better.
    Where its columns are brighter than their errors, the light is theirs and no structure.
    """
    faint = None
    if peaks is not None:
        faint = np.column_stack([peaks.x, peaks.y])[peaks.cross_section > peaks.noise_std]
    return ImageFaults(
        stemcount.saturated_share(image),
        drawn_share(image, fit),
        int(np.count_nonzero(image.recorded & ~image.used)),
        stemcount.elongation(image, fit if peaks is None else peaks),
        stemcount.background_structure(image, fit, faint),
        glow(image, fit),
        slope_left_out(image, fit),
    )


def image_warnings(
    image: ZoneAxisImage,
    fit: ColumnFit,
    indexing: tomo.Indexing,
    by_fourier: bool = False,
    faults: ImageFaults | None = None,
) -> list[str]:
    """Sentences about one image: columns against its lattice, detector saturation, support film.

    `by_fourier` says that the columns were placed by all of the image together, as by its Fourier transform;
    `faults` are those of this image, where they are known already.
    """
    by_transform = (
        f"{image.name}: columns found one by one do not form the lattice of the zone axis; they were placed"
        " where the image as a whole, or its Fourier transform, shows it: columns off this lattice, as beyond"
        " a fault or a twin, go unnoticed."
    )
    return [
        *([by_transform] if by_fourier else []),
        *_light_beneath(image, fit),
        *lattice_warnings(image, fit, indexing),
        *fault_warnings(image, faults or faults_of(image, fit), fit.halo),
    ]


def _light_beneath(image: ZoneAxisImage, fit: ColumnFit) -> list[str]:
    """A sentence about columns that were fitted on the light between them."""
    if np.ndim(fit.light) == 0:
        return []
    times = float(np.ptp(np.asarray(fit.light)[image.used]) / np.median(fit.height))
    return [
        f"{image.name}: the light between its columns varies by {times:.1f} times the height of a typical"
        " column: contamination, or a support film that ends there. The columns were fitted on that light;"
        " where it changes from one to the next, as at the edge of a film, they may count wrong."
    ]


def fault_warnings(
    image: ZoneAxisImage, faults: ImageFaults, halo: tuple[float, float] = (0.0, 1.0)
) -> list[str]:
    """Sentences about saturation, pixels left out, and light beside the columns; `halo` is of a fit."""
    found = []
    beside = faults.beside
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
    if beside and beside.chance < BY_CHANCE and beside.amplitude > FAINTEST * image.data[image.used].max():
        found.append(
            f"{image.name}: the background beside the particle ({_level(image, beside.level)}) has structure"
            f" at the scale of the columns, {_times(beside.excess)} the variance of its noise:"
            f" {_cause(beside)}"
        )
    if faults.slopes:
        found.append(
            f"{image.name}: the light between its columns slopes, but an edge cuts the crystal, and columns"
            " beyond it can make that, so the background was taken to be even. If it is not, columns on one"
            ' side count too many atoms and on the other too few: try background = "plane".'
        )
    share, radius = halo
    if share > 0:
        found.append(
            f"{image.name}: {100 * share:.0f} % of the columns' light lies around them, about {radius:.1f} A"
            " wide: tails of the probe, or contamination. It was counted with the columns that it belongs to,"
            " as the counts are clearer so."
        )
    elif faults.glow is not None and faults.glows:
        found.append(
            f"{image.name}: light around the particle falls off over several A, as if each column had a"
            f" halo of {100 * faults.glow:.0f} % of its intensity or more: contamination, an amorphous shell,"
            " or wide tails of the probe. Columns carry such light of what surrounds them, and all may count"
            " an atom or more too many, which no certainty says."
        )
    return found


def _cause(beside: BackgroundStructure) -> str:
    """What structure beside the particle probably is, and what follows."""
    if beside.middle < IN_ONE_PLACE * beside.excess:
        return (
            f"most of it lies in one place, near x = {beside.place[0]:.0f}, y = {beside.place[1]:.0f} A:"
            " another particle, dirt, something drawn in, or what an edge cuts off. Columns near it carry its"
            " light; roi leaves it out."
        )
    if beside.beyond < INTERPOLATED:
        return (
            "neighbouring pixels vary together, those three apart do not: the image was turned, enlarged or"
            " smoothed, which leaves such noise. A faint support film does not show beside it; better give"
            " the image as it was recorded."
        )
    return (
        "a support film, contamination, or a smoothed image. It is fitted as smooth; thin columns carry its"
        " speckle."
    )


def _times(excess: float) -> str:
    """A factor in words; where there is hardly any noise its size says nothing."""
    return f"{excess:.1f} times" if excess < MUCH else f"more than {MUCH:.0f} times"


def _level(image: ZoneAxisImage, level: float) -> str:
    """Intensity in words: a known dose means fractions of the incident beam."""
    return f"{level:.3g}" if image.dose is None else f"{100 * level:.2g} % of the incident beam"


def warnings_of(checked: Sequence[MeasuredImage] | Sequence[TypedImage]) -> list[str]:
    """What is to be said of the images of a run, whatever comes of them."""
    own = [warning for one in checked for warning in one.warnings]
    return [*repeated_warnings([one.image for one in checked]), *own]


def repeated_warnings(images: Sequence[ZoneAxisImage]) -> list[str]:
    """Sentences about images that are the same, as when one file is given for two zone axes."""
    return [
        f"{one.name} and {other.name} are the same image, pixel by pixel: unless it is simulated, one of them"
        " is the wrong file. The crystal then is not that of the specimen, whatever its certainty."
        for number, other in enumerate(images)
        for one in images[:number]
        if np.array_equal(one.data, other.data)
    ]


@contextmanager
def refusals_tell(warnings: Sequence[str]) -> Iterator[None]:
    """What is wrong with the images is said with a refusal of what they show: it may be why."""
    try:
        yield
    except (InputError, tomo.InputError) as error:
        for warning in warnings:
            error.add_note(f"warning: {warning}")
        raise


def told(sentences: Iterable[str | None]) -> list[str]:
    """What there is to tell: the sentences without those that are None."""
    return [sentence for sentence in sentences if sentence is not None]


def edge_warning(name: str, fit: ColumnFit, indexing: tomo.Indexing, extent: Field) -> str | None:
    """A sentence about an image whose edges run through columns, and which is taken to show all of the
    particle, as the views agree only so."""
    cut = columns_cut(fit, indexing, extent)
    if not cut:
        return None
    return (
        f"{name}: the image's edge runs through {cut} of the columns, but the views agree only if it shows"
        " all of the particle: if that goes on beyond the edge, its atoms there are missing, and the other"
        " views may be read as too few."
    )


def faint_warning(name: str, fit: ColumnFit, counts: AtomCounts, view: tomo.View) -> str | None:
    """A sentence about a view in which noise may hide a column of one atom, as its counts are read; whether
    the light beside the found ones was looked at, the `view` of the result says."""
    seen = brightness_of_one(fit, counts)
    if seen >= HIDDEN:
        return None
    beside = (
        "atoms beside the columns that were found are as certain as the light there makes them, those farther"
        " out are missed."
        if view.unfound is not None
        else "some at the particle's rim may have been missed, and their atoms with them, which no certainty"
        " says."
    )
    return (
        f"{name}: a column of one atom is {seen:.1f} times as bright as its error, and to be found it has to"
        f" be {HIDDEN:.0f} times: {beside}"
    )


def scatter_warning(name: str, fit: ColumnFit, counts: AtomCounts) -> str | None:
    """A sentence about a view whose columns of equally many atoms differ far more than noise makes them.

    What atoms of another element in some of the sites change grows with the root of their number.
    """
    scatter, noise, of_atoms = scatter_of_classes(fit, counts)
    if of_atoms <= UNLIKE or scatter <= noise:
        return None
    return (
        f"{name}: as they are counted, columns of equally many atoms differ by {100 * scatter:.0f} % of what"
        f" one atom adds, besides {100 * noise:.0f} % by noise: atoms of more than one element, contamination"
        " over the particle, a shell around it or a film under it, or, if it was simulated, too few snapshots"
        " of the thermal motion. Its number of atoms may then be off by more than the certainties say."
    )


def tilts_of(registration: tomo.Registration, sites: ArrayLike) -> list[tomo.Tilt | None]:
    """Tilt of every view against the crystal, whose occupied sites are (n, 3) [a/2]; None for a single view,
    which says nothing of depth."""
    if len(registration.indexings) < 2:
        return [None] * len(registration.indexings)
    views = zip(registration.indexings, registration.column_sites, strict=True)
    return [tomo.tilt_of(indexing, columns, sites) for indexing, columns in views]


def tilt_warning(name: str, tilt: tomo.Tilt | None, drawn: Elongation | None) -> str | None:
    """A sentence about a view whose columns stand aside the deeper they begin in the crystal, or are `drawn`
    out the thicker the more, which is asked only where the former could not show a tilt that does this."""
    if tilt and tilt.chi_square > ASIDE and tilt.angle > LEAST_TILT:
        return (
            f"{name}: columns stand aside along {tilt.direction:.0f} deg the deeper they begin: {TILT}, by"
            f" about {tilt.angle:.1f} deg; {MATTERS}.{STEP if tilt.angle > TILT_OF_ALL else ''}"
        )
    sharp = tilt and tilt.angle**2 < SHARP**2 * tilt.chi_square
    if sharp or not drawn or drawn.chi_square <= TILTED or drawn.growth <= VISIBLE:
        return None
    return (
        f"{name}: columns are drawn out along {drawn.angle:.0f} deg, the thicker the more: {TILT}; {MATTERS}."
    )
