"""Atomic columns of an image, found without a threshold to tune."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import InputError
from ..fitting.beneath import plane_beneath
from ..fitting.joint import model_of
from ..fitting.peaks import nearest_pixels
from ..images.bins import at_pixels, binned_image
from ..images.blur import gaussian_blur
from ..images.image import ZoneAxisImage, check_contrast
from ..images.load import ImageLike, as_image
from ..images.stray import stray_pixels
from ..images.uneven import may_be_columns
from .between import ColumnsApart, finest_maxima, light_between
from .complete import HALO_GAIN, revise
from .crowded import on_known_lattice, on_own_lattice, on_spectral_lattice, relaid
from .deconvolve import resolved_peaks
from .evidence import IRREGULAR, better, misfit, price, regularity, spoilt
from .lattice import lattice_translations
from .pairs import join_pairs
from .scene import FLAT, Scene, make_scene
from .significance import Revision
from .smooth import WIDEST_PEAK, smooth_area, too_wide

Floats = NDArray[np.float64]

FINER = 0.8  # of the image's own scale: too narrow a peak shows false columns, which the fit drops
WIDEST = 0.45  # start for the width of the peaks, if the image shows no finer scale [A]
SHALLOW, DEEP = 24, 200  # iterations of the first deconvolution, and where columns may hide others
DARK = -0.8  # skewness of dark peaks on an even background
DARKER = -1.0  # of the rms of its finest contrast: a dark particle is so much below its surroundings
DEEPER = 3  # deconvolutions after the first
SHARPER = 0.85  # of the fitted width, for the next one
SETTLED = 1.03  # of the last width: no finer deconvolution is needed
ELONGATED = 2.5  # median of the columns' elongation over its noise, 1.2 for noise alone
LONG = 0.2  # median elongation, in squared widths, below which peaks are only not quite round
ALIKE = 1.1  # of the misfit: what a few faint columns add that do not stand apart
NOISE_ALONE = 1.1  # variances of the noise: columns that leave no more explain all of the image
COARSE = 1.5  # pixels to a width that are enough to find columns
NARROWEST = 0.9  # pixels: narrower peaks cannot be told from noise
PLANES = 3  # times that a slope is looked for between the columns
SAME = 0.1  # of a plane: what the next one may differ by
SINGLE = 0.5  # pixels: narrower peaks are single bright pixels


def find_columns(image: ImageLike) -> Floats:
    """Find the atomic columns of an image.

    Candidates are the maxima of the image after a deconvolution (`stemcount.finding.deconvolve`) with peaks
    as wide as the image's own contrast is fine (`stemcount.images.scale`). A joint fit then measures how
    significant each one is against noise and misfit, and adds what the residual and the lattice show to be
    missing; see `stemcount.finding.complete`. Where peaks overlap, longer deconvolutions show columns that
    have no maximum of their own, and two columns in the place of one are joined. Nothing has to be set, and
    the intensities may be in any unit.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D

    Returns
    -------
    (n, 2) float
        Positions x, y [A].

    Raises
    ------
    InputError
        If there is no column, or nothing that tells the columns from a smooth area.

    Examples
    --------
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 7.9], [5.0, 5.1], [1.0, 2.0], shape=(60, 70),
    ...                                    pixel_size=0.2, dose=1e4, seed=0)
    >>> stemcount.find_columns(image).round(1)
    array([[5. , 5. ],
           [7.9, 5.1]])
    """
    return found_columns(image).points


@dataclass(frozen=True)
class FoundColumns:
    """Columns of an image, and what their fit needs to know.

    Attributes
    ----------
    points : (n, 2) float
        Their places [A].
    added : (n,) bool
        Columns that the residual of a fit or the lattice asked for (`FitFlag.ADDED`): there is no maximum of
        the image or of its deconvolution to show for them.
    light : (rows, cols) float or None
        The light between them, where they were found on it (`stemcount.finding.between`) [image units].
    """

    points: Floats
    added: NDArray[np.bool_]
    light: Floats | None


def found_columns(image: ImageLike, basis: Floats | None = None) -> FoundColumns:
    """The columns of an image as of `find_columns`.

    The `basis` (2, 2) of the lattice that a known crystal has in the image, two vectors as columns in any
    orientation [A], finds columns that overlap so much that they do not show it.
    """
    image = as_image(image)
    check_contrast(image)
    skewness, brighter = finest_contrast(image)
    dark = skewness < DARK
    between = dark and brighter < DARKER  # where columns would be what is between dark ones
    revision = None if between else search(image, basis)
    smooth = revision is not None and smooth_area(revision)
    if (revision is None or smooth) and dark:
        raise InputError(
            f"{image.name}: no atomic columns were found; expected bright peaks, but its finest contrast is"
            " dark on bright, as in bright field. Atoms are counted in HAADF images: columns are bright."
        )
    if revision is None:
        stray = np.count_nonzero(stray_pixels(image.data, image.pixel_size, image.valid))
        if stray:
            raise InputError(
                f"{image.name}: no atomic columns were found, but {stray} hot or dead pixels, which hide"
                " them; expected these to be left out: load_image does so, or mark them with `valid`."
            )
        raise InputError(
            f"{image.name}: no atomic columns were found; expected bright peaks above the noise, narrower"
            f" than {WIDEST_PEAK:g} A (rho), on pixels of {image.pixel_size:.4g} A; is that their size, and"
            " is the image neither too faint nor too blurred to show them?"
        )
    if smooth:
        raise InputError(
            f"{image.name}: no atomic columns were found; expected peaks that can be told apart, but what it"
            " shows is as even and smooth as a blurred disc (columns, if it has any, are not resolved)."
        )
    light = at_pixels(np.asarray(revision.problem.fixed_background), image) if revision.lit else None
    return FoundColumns(revision.points, revision.added, light)


def dark_on_bright(image: ZoneAxisImage) -> bool:
    """Whether what stands out most finely is dark, as columns in bright field; noise is not."""
    return finest_contrast(image)[0] < DARK


def finest_contrast(image: ZoneAxisImage) -> tuple[float, float]:
    """What tells bright columns from dark ones on a bright background, as in bright field.

    Returns
    -------
    float
        Skewness of the image's finest contrast: below zero where dark peaks stand out more than bright ones.
    float
        How much brighter the image is where this contrast is than elsewhere, in units of its own root mean
        square: clearly below zero for a dark particle, zero where a crystal fills the image.
    """
    scale = max(image.peak_scale, NARROWEST)
    fine, coarse = (gaussian_blur(image.filled, k * scale)[image.used] for k in (1.0, FLAT))
    contrast = fine - coarse
    contrast -= contrast.mean()
    square = contrast**2
    rms = float(np.sqrt(square.mean()))
    if not rms > 0:  # an even image shows neither
        return 0.0, 0.0
    there = np.average(coarse, weights=square)
    return float(np.mean(square * contrast)) / rms**3, float(there - coarse.mean()) / rms


def search(image: ZoneAxisImage, basis: Floats | None = None) -> Revision | None:
    """The columns of an image as a fit with a common width leaves them; None if there is none.

    With the `basis` of a known lattice [A], as of `found_columns`.
    """
    px = image.pixel_size
    scale = max(min(FINER * image.peak_scale, WIDEST / px), NARROWEST)
    factor = int(scale / COARSE)
    if factor > 1:
        image, px, scale = binned_image(image, factor), px * factor, scale / factor
    best = columns_on_either(image, scale)
    best = None if best is None or best.width < SINGLE or too_wide(best, px) else best
    if basis is not None and (best is None or best.crowded):
        best = on_known_lattice(image, known_scene(image, scale), best, basis)
    return best


def columns_on_either(image: ZoneAxisImage, scale: float) -> Revision | None:
    """As `columns_or_light`, on the slow background that is seen beside the columns, or on an even one.

    Faint columns, none of which shows by itself, can look like a slow background, and take the light of all
    others with them. One that may be columns must explain the image better than columns on an even one do.
    """
    _, slow = image.slow_background
    best, scene = columns_or_light(image, scale, slow)
    if slow.any() and may_be_columns(image, slow):
        even, _ = columns_or_light(image, scale, np.zeros_like(slow))
        if best is None or (even is not None and better(even, best, scene)):
            best = even
    return None if best is None else on_slope(image, scene, scale, best)


def on_slope(image: ZoneAxisImage, scene: Scene, scale: float, best: Revision) -> Revision:
    """The columns on the plane that the light between those found shows, if they explain the image better.

    Many false columns hold a part of the slope; those found on what is left of it show the rest.
    """
    found = best
    for _ in range(PLANES):
        plane = plane_beneath(image, found.points)
        if plane is None or np.ptp(plane - found.problem.fixed_background) < SAME * np.ptp(plane):
            break
        trial, _ = columns_or_light(image, scale, plane)
        if trial is None:
            break
        found = trial
    return found if found is not best and better(found, best, scene) else best


def known_scene(image: ZoneAxisImage, scale: float) -> Scene:
    """The image on the slow background beside its columns, unless that may be columns."""
    _, slow = image.slow_background
    if slow.any() and may_be_columns(image, slow):
        slow = np.zeros_like(slow)
    return make_scene(image, scale, slow)


def columns_or_light(image: ZoneAxisImage, scale: float, slow: Floats) -> tuple[Revision | None, Scene]:
    """The columns on a background, or those on one that has the light between them, and the image."""
    scene = make_scene(image, scale, slow)
    light = OnLight(image, scene, scale)
    best = columns_on(image, scene, scale, light.at_once)
    return (light.columns if best is not None and light.instead(best) else best), scene


@dataclass(frozen=True)
class OnLight:
    """Columns on a background that has the light between them, which are looked for when they are asked for.

    Light that has no structure may make columns needless. Where it asks for more of them, it is a halo with
    the particle's outline, which is blurred in it, or columns that do not stand apart.

    Attributes
    ----------
    image : ZoneAxisImage
    scene : Scene
        The same, for the deconvolution.
    scale : float
        The width that the deconvolution is made with [pixels].
    """

    image: ZoneAxisImage
    scene: Scene
    scale: float

    @cached_property
    def finest(self) -> tuple[ColumnsApart, Floats] | None:
        """As of `finest_maxima`."""
        return finest_maxima(self.image, self.scene.slow)

    @cached_property
    def least(self) -> float:
        """The price of the finest ones; infinite if there are none."""
        return np.inf if self.finest is None else price(self.finest[0].points)

    @cached_property
    def apart(self) -> ColumnsApart | None:
        """As of `light_between`."""
        return None if self.finest is None else light_between(self.image, *self.finest)

    @cached_property
    def columns(self) -> Revision | None:
        """The columns on that light; None if there is none."""
        if self.apart is None:
            return None
        lit = make_scene(self.image, self.scale, self.apart.light)
        found = columns_on(self.image, lit, self.scale)
        return None if found is None else replace(found, lit=True)

    def instead(self, best: Revision) -> bool:
        """Whether these columns explain the image better than others found, which are more."""
        cost = price(best.points)
        if self.least >= cost or self.apart is None:  # no column would be needless
            return False
        if misfit(self.apart, self.scene) > ALIKE * misfit(best, self.scene):
            return False
        lit = self.columns
        if lit is None or price(lit.points) >= cost:
            return False
        return better(lit, best, self.scene, numbers=self.apart.numbers)

    def at_once(self, unfinished: Revision) -> bool:
        """Whether they leave no more than noise, and less than even more of others still being looked for.

        Without that light the fit gives it to ever more columns between the columns. Where they leave more,
        something else is in the image, as a halo: others that end in fewer columns may yet explain it. That
        is so already where those that stand apart leave more than a few faint ones beside them explain: then
        those on the light, the search for which can take as long as all others, are not looked for yet.
        """
        if self.least >= price(unfinished.points) or self.apart is None:
            return False
        if misfit(self.apart, self.scene) > ALIKE * NOISE_ALONE:
            return False
        lit = self.columns if self.instead(unfinished) else None
        return lit is not None and misfit(lit, self.scene) < min(NOISE_ALONE, misfit(unfinished, self.scene))


def columns_on(
    image: ZoneAxisImage, scene: Scene, scale: float, needless: Callable[[Revision], bool] | None = None
) -> Revision | None:
    """The columns on a background, for peaks of a width `scale` [pixels].

    As they are when they are `needless`, which is asked for those that do not settle soon.
    """
    peaks = resolved_peaks(scene, scale, SHALLOW)
    if len(peaks) == 0:
        return None
    points = peaks * image.pixel_size + image.offset
    best = revise(image, points, scale, slow=scene.slow, needless=needless)
    if best is not None and needless is not None and needless(best):
        return best
    if best is None or best.crowded or elongated(best, scene):
        best = deepened(image, scene, best, scale)
    tried: list[Floats] = []
    if best is None or best.crowded or too_wide(best, image.pixel_size):
        best = on_spectral_lattice(image, scene, best, tried)
    if best is None:
        return None
    joined, added = join_pairs(best)
    if best.crowded or len(joined) < len(best.points):
        again = revise(image, joined, best.width, resolved=True, added=added, slow=scene.slow)
        if not spoilt(best, again, scene):
            best = again
    if best is not None and best.crowded:
        best = on_own_lattice(image, scene, best, tried)
        best = relaid(image, scene, best)
        best = on_own_lattice(image, scene, best, tried)  # each puts right what misleads the other
    return best


def deepened(image: ZoneAxisImage, scene: Scene, best: Revision | None, scale: float) -> Revision | None:
    """The better one of a set of columns and those that longer deconvolutions show.

    `best` are the columns found so far, `scale` the width that the first deconvolution was made with
    [pixels].
    """
    starts = [scale]
    if best is not None and len(lattice_translations(best.points)):
        # without a lattice the width is that of unresolved columns, as it may be where they are crowded
        starts = [max(SHARPER * best.width, NARROWEST)]
        if best.crowded and best.halo_gain < HALO_GAIN:
            starts.append(scale)
    for start in starts:
        deeper = sharpened(image, scene, best, start)
        if deeper is not best:
            return deeper
    return best


def sharpened(image: ZoneAxisImage, scene: Scene, best: Revision | None, scale: float) -> Revision | None:
    """The same with deconvolutions of peaks of a width, from `scale` [pixels], each finer than the last."""
    for _ in range(DEEPER):
        points = resolved_peaks(scene, scale, DEEP, fit=0.0) * image.pixel_size + image.offset
        trial = revise(image, points, scale, slow=scene.slow)
        if trial is None or (best is not None and not better(trial, best, scene)):
            break
        if best is not None and regularity(trial.points) < regularity(best.points) - IRREGULAR:
            break  # noise, not columns that hid others
        best, last = trial, scale
        scale = max(SHARPER * best.width, NARROWEST)
        if scale < SETTLED * last:  # was fine enough
            break
    return best


def elongated(revision: Revision, scene: Scene) -> bool:
    """Whether the residual is that of peaks which are longer than wide: two columns taken for one.

    Two columns of volumes V1 and V2 at a distance s look like one Gaussian with an additional second
    moment m = s^2 V1 V2 / (V1 + V2)^2 along their line. To first order this adds (V m / 4) (xx - yy)
    of the Gaussian, or twice xy, to the image. The residual is filtered with both derivatives, whose
    squares have the integral 1 / (4 pi width^6).
    """
    w, state = revision.width, revision.state
    residual = np.where(revision.problem.valid, scene.data - model_of(revision.problem, state), 0.0)
    orders = ((0, 2), (2, 0), (1, 1))
    xx, yy, xy = (ndimage.gaussian_filter(residual, w, order=o, truncate=3.0) for o in orders)
    at = nearest_pixels(state.x, state.y, residual.shape)
    size = np.hypot(xx - yy, 2 * xy)[at] * 4 * np.pi * w**6
    noise = np.sqrt(scene.variance[at] * 4 * np.pi * w**6)
    moment = 4 * size / np.maximum(state.volume, noise) / w**2
    return bool(np.median(size / noise) > ELONGATED and np.median(moment) > LONG)
