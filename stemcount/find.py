"""Atomic columns of an image, found without a threshold to tune."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .complete import revise
from .deconvolve import Scene, resolved_peaks
from .errors import InputError
from .image import ZoneAxisImage
from .joint import model_of
from .lattice import lattice_translations, support
from .load import ImageLike, as_image
from .noise import estimate_noise
from .scale import contrast_by_scale, peak_scale
from .significance import Revision

Floats = NDArray[np.float64]

FINER = 0.8  # of the image's own scale: too narrow a peak shows false columns, which the fit drops
WIDEST = 0.45  # start for the width of the peaks, if the image shows no finer scale [A]
SHALLOW, DEEP = 24, 200  # iterations of the first deconvolution, and where columns may hide others
DEEPER = 3  # deconvolutions after the first
SHARPER = 0.85  # of the fitted width, for the next one
SETTLED = 1.03  # of the last width: no finer deconvolution is needed
ELONGATED = 2.5  # median of the columns' elongation over its noise, 1.2 for noise alone
LONG = 0.2  # median elongation, in squared widths, below which peaks are only not quite round
COST = 16.0  # of a column, in noise variances: four standard deviations
MORE_ORDER = 0.2  # of the lattice's translations
NARROWEST = 0.9  # pixels: narrower peaks cannot be told from noise


def find_columns(image: ImageLike) -> Floats:
    """Find the atomic columns of an image.

    Candidates are the local maxima of the Laplacian of Gaussian at the scale at which the image
    itself has most contrast (see `stemcount.scale`). A joint fit then measures how significant each
    one is against noise and misfit, and adds what the residual and the lattice show to be missing;
    see `stemcount.complete`. Nothing has to be set, and the intensities may be in any unit.

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
        If there is no column.

    Examples
    --------
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 7.9], [5.0, 5.1], [1.0, 2.0], shape=(60, 70),
    ...                                    pixel_size=0.2, dose=1e4, seed=0)
    >>> stemcount.find_columns(image).round(1)
    array([[5. , 5. ],
           [7.9, 5.1]])
    """
    image = as_image(image)
    revision = search(image)
    if revision is None:
        raise InputError(
            f"{image.name}: no atomic columns were found; expected bright peaks above the noise."
        )
    return revision.points


def search(image: ZoneAxisImage) -> Revision | None:
    """The columns of an image as a fit with a common width leaves them; None if there is none."""
    if np.ptp(image.data) == 0:
        return None
    px = image.pixel_size
    scale = max(min(FINER * peak_scale(image.data), WIDEST / px), NARROWEST)
    scene = make_scene(image, scale)
    x, y, _ = resolved_peaks(scene, scale, SHALLOW)
    if len(x) == 0:
        return None
    best = revise(image, np.column_stack([x, y]) * px + image.offset, scale)
    if best is not None and not (best.crowded or elongated(best, scene)):
        return best
    for _ in range(DEEPER):
        x, y, _ = resolved_peaks(scene, scale, DEEP, fit=0.0)
        trial = revise(image, np.column_stack([x, y]) * px + image.offset, scale)
        if trial is None or (best is not None and not better(trial, best, scene)):
            break
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
    residual = np.where(scene.valid, scene.data - model_of(revision.problem, state), 0.0)
    orders = ((0, 2), (2, 0), (1, 1))
    xx, yy, xy = (ndimage.gaussian_filter(residual, w, order=o, truncate=3.0) for o in orders)
    i = np.clip(np.rint(state.y).astype(int), 0, residual.shape[0] - 1)
    j = np.clip(np.rint(state.x).astype(int), 0, residual.shape[1] - 1)
    size = np.hypot(xx - yy, 2 * xy)[i, j] * 4 * np.pi * w**6
    noise = np.sqrt(scene.variance[i, j] * 4 * np.pi * w**6)
    moment = 4 * size / np.maximum(state.volume, noise) / w**2
    return bool(np.median(size / noise) > ELONGATED and np.median(moment) > LONG)


def misfit(revision: Revision, scene: Scene) -> float:
    """Mean squared residual of the fit in units of the noise's variance."""
    residual = (scene.data - model_of(revision.problem, revision.state))[scene.valid]
    return float(np.mean(residual**2 / scene.variance[scene.valid]))


def better(trial: Revision, best: Revision, scene: Scene) -> bool:
    """Whether another set of columns explains the image better.

    Its misfit must fall by more than the additional columns would take off it by chance, or fall and
    leave a set that is ordered as a crystal's columns are.
    """
    n = float(np.count_nonzero(scene.valid))
    old, new = misfit(best, scene), misfit(trial, scene)
    gain = n * (old - new) / max(old, 1.0)
    if gain > COST * (len(trial.points) - len(best.points)):
        return True
    return gain > 0 and order(trial.points) > order(best.points) + MORE_ORDER


def order(points: Floats) -> float:
    """Share of the lattice's shortest translations that lead from column to column; 0 without a lattice."""
    translations = lattice_translations(points)
    if len(translations) == 0:
        return 0.0
    return float(support(points, points, translations).mean()) / len(translations)


def make_scene(image: ZoneAxisImage, scale: float) -> Scene:
    """The image with its noise and its darkest level, for peaks of a width `scale` [pixels]."""
    valid = np.ones(image.data.shape, dtype=bool) if image.valid is None else image.valid
    data = image.data if image.valid is None else np.where(valid, image.data, np.median(image.data[valid]))
    smooth = ndimage.gaussian_filter(data, scale)
    law = estimate_noise(data, smooth, valid)
    variance = law.variance(ndimage.gaussian_filter(data, 2 * scale))
    _, noise = contrast_by_scale(data)
    variance *= min(noise / float(variance.mean()), 1.0)  # where pixels are coarse, columns look like noise
    scatter = float(np.sqrt(variance[valid].min() / (4 * np.pi))) / scale
    low, high = lowest_level(smooth[valid], scatter), float(smooth[valid].max())
    zero = low - (high - low)
    if law.slope > 0:
        zero = min(max(zero, -law.constant / law.slope), low)
    return Scene(data, valid, zero, low, variance)


def lowest_level(values: Floats, scatter: float) -> float:
    """Level of the darkest pixels, which scatter about it: the vacuum's, or that between the columns."""
    level = float(np.percentile(values, 5))
    for _ in range(10):
        level = float(np.median(values[values < level + 2 * scatter]))
    return level
