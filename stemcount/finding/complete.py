"""Missing and spurious columns: what the residual of a joint fit and the lattice say of the set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..errors import InputError
from ..fitting.fit import CLOSEST, fit_columns, typical_spacing
from ..fitting.joint import WIDTH_BOUNDS
from ..images.image import ZoneAxisImage
from ..images.load import ImageLike, as_image
from ..images.uneven import slow_background_beside
from ..results import ColumnFit, FitFlag, check_fit
from .lattice import empty_sites, expected_places, lattice_translations, shortest, support
from .significance import Revision, gain_of_halo, has_halo, judge, judge_again, scores_without
from .smooth import too_wide

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Significances, in standard deviations, that a column needs with so much support from the lattice:
# what fits the lattice in several directions needs less of its own.
NEEDED = {0: 5.0, 1: 4.0, 2: 3.2, 3: 2.7}
ERROR = 0.01  # of a column's volume over the typical volume, for which these hold
LEAST = 2.0  # significance of any column
PLAIN = 0.25  # of the typical volume: what is as bright as that is no artefact
ALONE = 5.0  # significance of a column in an image without a lattice
LENIENCE = 0.8  # of that, while the set is still changing
DYNAMIC_RANGE = 200.0  # brightest to faintest column: more than any particle has atoms in a column
STRONG = 6.0  # significance from which a column supports others
FAIR = 3.0  # the same where those form no lattice, as in faint images
REGULAR = 0.5  # of the translations of that lattice: how many lead from one of these columns to another
RESIDUAL_PEAK = 5.0  # significance of a new peak in the residual
APART = 2.0  # widths that a new column must be from any other
PAIR = 0.8  # of the columns' spacing: nearer neighbours may be one column
BESIDE = 0.2  # of the columns' least distance: a column farther from where the lattice wants it is beside it
STANDS_FOR = 0.75  # of the same: sites near a column that it may stand for
RIVALS = 2.5  # widths within which columns compete for the same intensity: only the weakest is dropped
ROUNDS = 10  # largest number of fits before the lattice is filled
FILLING, LAST = 15, 5  # the same after it, of which the last try no empty sites
JUDGED = 2  # of these, in which columns are only dropped
HASTE = 5  # rounds after which a crowded set that is to be deconvolved again is left as it is
CARPET_ROUNDS = 10
CARPET, CARPET_NEIGHBOURS = 1.5, 3  # faint columns within so many spacings that can hold one up
BRIGHT = 90  # percentile of the volumes that faint columns are compared with
SECOND_CHANCE = 2  # refusals after which even a peak in the residual is not tried again
HALO_GAIN = 32.0  # fall of the weighted sum of squares from which columns are given a halo: six parameters


def _new_peaks(image: ZoneAxisImage, revision: Revision, resolved: bool) -> Floats:
    """Places in the residual that look like columns which are not in the set [A].

    Once overlapping columns have been `resolved`, what is left between columns is not another one.
    """
    state, scores = revision.state, revision.scores
    width = float(state.width[0])
    size = 2 * int(np.ceil(width)) + 1
    top = (scores == ndimage.maximum_filter(scores, size=size)) & (scores > RESIDUAL_PEAK)
    i, j = np.nonzero(top & revision.problem.valid)
    if len(i) == 0:
        return np.zeros((0, 2))
    apart = APART * width
    if resolved:
        apart = max(apart, PAIR * typical_spacing(state.x, state.y, 0.0))
    far = cKDTree(np.column_stack([state.x, state.y])).query(np.column_stack([j, i]))[0] > apart
    return np.column_stack([j, i])[far] * image.pixel_size + image.offset


def _empty_sites(image: ZoneAxisImage, revision: Revision, translations: Floats) -> Floats:
    """Sites of the lattice without a column, on the image [A]."""
    points = revision.points
    width = revision.width * image.pixel_size
    distance = max(0.5 * typical_spacing(points[:, 0], points[:, 1], APART * width), APART * width)
    sites = empty_sites(points, translations, distance)
    return sites[_inside(image, sites, 0.0)] if len(sites) else sites


def _keep(revision: Revision, strictness: float, translations: Floats) -> NDArray[np.bool_]:
    """Columns that are significant enough, given their support by the lattice and how faint they are.

    A column of volume V +- e, where columns have any volume up to V0, is more probable than none by
    exp(V^2 / 2 e^2) sqrt(2 pi) e / V0 times the odds that its place gives (MacKay, Neural Comput. 4 (1992)
    415): the smaller the error, the fainter the columns that noise of the same significance imitates.
    """
    points, significance = revision.points, revision.significance
    volume = revision.state.volume
    bright_enough = volume > np.percentile(volume, 99) / DYNAMIC_RANGE
    if len(translations) == 0:
        return np.asarray(bright_enough & (significance > ALONE))
    strong = significance > NEEDED[3]
    typical = np.median(volume[strong]) if strong.any() else np.inf
    xy = np.column_stack([revision.state.x, revision.state.y])
    lonely = cKDTree(xy).query(xy, k=2)[0][:, 1] > RIVALS * revision.width
    plain = lonely & (volume > PLAIN * typical) & (significance > LEAST)
    with np.errstate(divide="ignore", invalid="ignore"):
        faint = 2 * np.log(ERROR * typical * significance / volume)
    place = needed_significance(points, points[strong], translations) ** 2
    needed = np.sqrt(np.maximum(place + np.where(bright_enough, faint, 0.0), LEAST**2))
    return np.asarray(bright_enough & (plain | (significance > strictness * needed)))


def on_lattice(revision: Revision) -> Floats | None:
    """The columns [A] with sites of their lattice in place of those that stand beside it; None if none does.

    Where columns are closer than about two widths, one less in a row explains the image nearly as well, each
    displaced a little farther than the last. No site is then far enough from a column to be tried as an
    empty one, and no step that adds or drops single columns leads out.
    """
    points, translations = revision.points, strong_lattice(revision)
    if len(translations) == 0:
        return None
    spacing = shortest(translations)
    displacement = np.hypot(*(points - expected_places(points, translations)).T)
    # columns of a displaced row support each other, and of one half a site aside nothing is expected
    loose = (displacement > BESIDE * spacing) | (support(points, points, translations) <= 2)
    if loose.all() or not loose.any():
        return None
    sites = empty_sites(points[~loose], translations, 0.5 * spacing)
    sites = sites[cKDTree(points[loose]).query(sites)[0] < STANDS_FOR * spacing]
    if np.all(cKDTree(points).query(sites)[0] < BESIDE * spacing):
        return None
    replaced = loose & (cKDTree(sites).query(points)[0] < STANDS_FOR * spacing)
    return np.concatenate([points[~replaced], sites])


def needed_significance(points: Floats, among: Floats, translations: Floats) -> Floats:
    """Significance that each point needs to be a column, given its support by other columns."""
    if len(translations) == 0:
        return np.full(len(points), ALONE)
    backing = support(points, among, translations)
    return np.array([NEEDED[k] for k in range(4)])[np.minimum(backing, 3)]


def strong_lattice(revision: Revision) -> Floats:
    """Translations (k, 2) [A] of the lattice that the significant columns form; none if they form none.

    In a faint image hardly any column is significant by itself. Those of fair significance tell the lattice
    there, if most of its translations lead from one of them to another, as they do not in a film's noise.
    """
    translations = lattice_translations(revision.points[revision.significance > STRONG])
    if len(translations):
        return translations
    fair = revision.points[revision.significance > FAIR]
    translations = lattice_translations(fair)
    common = np.sum(support(fair, fair, translations)) > REGULAR * len(translations) * len(fair)
    return translations if common else translations[:0]


def _held_up(revision: Revision, keep: NDArray[np.bool_], translations: Floats) -> NDArray[np.bool_]:
    """Faint columns with little support by the lattice that are peaks only because of others like them."""
    out = np.zeros(len(keep), dtype=bool)
    doubtful = np.zeros_like(out)
    if len(translations) == 0 or not keep.any():
        return out
    needed = np.zeros(len(keep))
    volume = revision.state.volume
    faint = volume < PLAIN * np.percentile(volume[keep], BRIGHT)
    near = cKDTree(revision.points[faint]).query_ball_point(
        revision.points,
        CARPET * typical_spacing(revision.points[:, 0], revision.points[:, 1], 0.0),
        return_length=True,
    )
    faint &= np.asarray(near) > CARPET_NEIGHBOURS  # itself among them
    for _ in range(CARPET_ROUNDS):
        left = keep & ~out
        needed[left] = needed_significance(revision.points[left], revision.points[left], translations)
        doubtful |= left & faint & (needed >= NEEDED[1])
        if not (doubtful & left).any():
            break
        found = doubtful & ~out & (scores_without(revision, doubtful) < LENIENCE * needed)
        if not found.any():
            break
        out |= found
    return out


def _inside(image: ZoneAxisImage, points: Floats, width: float) -> NDArray[np.bool_]:
    """Points on the used pixels or within a width [A] of them: a column cut by the edge still shows."""
    rows, cols = image.data.shape
    pad = int(np.ceil(width / image.pixel_size)) + 1
    valid = np.pad(image.used, pad)
    i, j = np.rint((points[:, ::-1] - image.offset[::-1]) / image.pixel_size).astype(int).T + pad
    known = (i >= 0) & (i < rows + 2 * pad) & (j >= 0) & (j < cols + 2 * pad)
    if not valid[i[known], j[known]].all():
        distance = ndimage.distance_transform_edt(~valid)
        known[known] = distance[i[known], j[known]] * image.pixel_size <= width
    return np.asarray(known)


def _dropped(revision: Revision, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of the columns not to be kept, or too close to another, those weaker than all such rivals.

    The others may yet gain when these are gone.
    """
    drop = ~keep
    twins = cKDTree(revision.points).query_pairs(CLOSEST, output_type="ndarray")
    drop[twins] = True
    scaled = np.column_stack([revision.state.x, revision.state.y])
    pairs = cKDTree(scaled).query_pairs(RIVALS * revision.width, output_type="ndarray")
    pairs = pairs[drop[pairs].all(axis=1)]
    stronger = np.where(revision.significance[pairs[:, 0]] >= revision.significance[pairs[:, 1]], 0, 1)
    drop[pairs[np.arange(len(pairs)), stronger]] = False
    return drop


def _bad(
    image: ZoneAxisImage, revision: Revision, strictness: float, translations: Floats
) -> NDArray[np.bool_]:
    """Columns to be dropped: of those that are not good enough the weakest among rivals."""
    inside = _inside(image, revision.points, revision.width * image.pixel_size)
    keep = inside & _keep(revision, strictness, translations)
    held_up = _held_up(revision, keep, translations)
    return _dropped(revision, keep & ~held_up) | ~inside | held_up


def _times(refused: Floats, places: Floats, distance: float) -> Ints:
    """How often a column near each place has been refused."""
    if len(refused) == 0 or len(places) == 0:
        return np.zeros(len(places), dtype=np.int64)
    found = cKDTree(refused).query_ball_point(places, distance, return_length=True)
    return np.asarray(found, dtype=np.int64)


def revise(
    image: ZoneAxisImage,
    points: Floats,
    width: float | None = None,
    resolved: bool = False,
    added: NDArray[np.bool_] | None = None,
    slow: Floats | float = 0.0,
    needless: Callable[[Revision], bool] | None = None,
    known: Floats | None = None,
) -> Revision | None:
    """Add columns that the residual and the lattice ask for and drop those without significance.

    To begin with are columns at `points` (n, 2) [A], those `added` before among them, with peaks of a `width`
    [pixels], on a `slow` background (rows, cols) as of `stemcount.images.uneven`. `resolved` says whether
    deconvolution has had its chance to show columns that overlap; if not, a halo could stand for them.
    Columns that do not settle for some rounds are left as they are where they are `needless`. If all of them
    together are `known` to form a lattice with such translations (k, 2) [A], it takes the place of the one of
    those that are significant by themselves, and they have no halo, which can stand for them.

    What is left is fitted with a common width; None if no column is significant. Peaks wider than
    `WIDEST_PEAK` are no columns.
    """
    refused = np.zeros((0, 2))
    revision = judge(image, points, width, slow)
    if added is not None:
        revision = replace(revision, added=added)
    for k in range(ROUNDS):
        if revision.crowded and not resolved and k == HASTE:
            return revision  # deconvolution comes next in any case
        if needless is not None and k == HASTE and needless(revision):
            return revision
        if too_wide(revision, image.pixel_size):
            return revision  # no columns: nothing is gained by going on
        size = revision.width * image.pixel_size
        translations = strong_lattice(revision) if known is None else known
        drop = _bad(image, revision, LENIENCE, translations)
        refused = np.concatenate([refused, revision.points[drop]])
        new = _new_peaks(image, revision, resolved)
        new = new[_times(refused, new, size) < SECOND_CHANCE]
        if drop.all() and len(new) == 0:
            return None
        halo = (resolved or not revision.crowded) and known is None and _halo(image, revision, translations)
        growing = revision.width > 0.99 * WIDTH_BOUNDS[1] * revision.problem.width_start
        if len(new) == 0 and not drop.any() and not halo and not growing:
            break
        revision = judge_again(image, revision, ~drop, new, translations, halo)
    return _filled(image, revision, known)


def _halo(image: ZoneAxisImage, revision: Revision, translations: Floats) -> bool:
    """Whether columns ask for a halo, and would with others on the empty sites of their lattice.

    The light of columns that are missing looks like a halo of the others, which would then hide them.
    """
    if revision.halo_gain <= HALO_GAIN:
        return False
    sites = _empty_sites(image, revision, translations)
    if len(sites) == 0:
        return True
    every = np.ones(len(revision.points), dtype=bool)
    filled = judge_again(image, revision, every, sites, translations)
    return has_halo(filled.problem) or gain_of_halo(filled) > HALO_GAIN


def _filled(image: ZoneAxisImage, revision: Revision, known: Floats | None) -> Revision | None:
    """The columns with those that stand on empty sites of their lattice, less what is not significant.

    All sites are tried at once: side by side at the rim columns show better than each beside a hole. What the
    residual shows is added, too: where a column is dropped that is one, its neighbours move into its light
    and are dropped next, and half of a faint image goes with them.
    """
    refused = tried = np.zeros((0, 2))
    for k in range(FILLING):
        translations = strong_lattice(revision) if known is None else known
        drop = _bad(image, revision, 1.0, translations) & (k > 0)  # the sites may yet support them
        if drop.all():
            return None
        refused = np.concatenate([refused, revision.points[drop]])
        size = revision.width * image.pixel_size
        new = np.zeros((0, 2))
        if k < FILLING - JUDGED:
            new = _new_peaks(image, revision, resolved=True)
            # what is set on a halo's light may be fitted, and refused, far from where it will be seen again
            times = np.maximum(_times(refused, new, size), _times(tried, new, size))
            new = new[times < SECOND_CHANCE]
        if not drop.any() and k < FILLING - LAST:
            sites = _empty_sites(image, revision, translations)
            sites = sites[_times(np.concatenate([refused, tried]), sites, size) == 0]
            new = np.concatenate([sites, new[_times(sites, new, APART * size) == 0]])
        tried = np.concatenate([tried, new])
        if drop.any() or len(new):
            revision = judge_again(image, revision, ~drop, new, translations)
        elif k > 0:
            break
    return revision


def complete_columns(image: ImageLike, fit: ColumnFit, **options: Any) -> ColumnFit:
    """Add the columns that a fit left out, drop those that are none, and fit again.

    New columns come from two sources: peaks in the residual well above what noise and misfit leave
    at that intensity, and sites that the lattice of the strong columns predicts. All are fitted
    together; columns stay if their cross-section is significant, where agreement with the lattice
    lowers the bar.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    fit : ColumnFit
        A first fit.
    **options
        For the final `fit_columns`.

    Returns
    -------
    ColumnFit
        With `FitFlag.ADDED` on the columns at places where `fit` had none.

    Raises
    ------
    InputError
        If `image` is no image or `fit` no fit, or an option of `fit_columns` does not exist.

    Examples
    --------
    >>> import stemcount
    >>> x, y = np.meshgrid(np.arange(5.0, 20, 2.5), np.arange(5.0, 20, 2.5))
    >>> image = stemcount.simulate_columns(x.ravel(), y.ravel(), np.ones(36), shape=(120, 120),
    ...                                    pixel_size=0.2, dose=1e4, seed=1)
    >>> seeds = np.column_stack([x.ravel(), y.ravel()])[1:]
    >>> len(complete_columns(image, stemcount.fit_columns(image, seeds)))
    36
    """
    image = as_image(image)
    check_fit(fit)
    known = [name for name in signature(fit_columns).parameters if name not in ("image", "seeds")]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"{unknown[0]}: no option of fit_columns; expected one of {', '.join(known)}.")
    first = np.column_stack([fit.x, fit.y])
    revision = revise(image, first, slow=slow_background_beside(image, first)[1])
    if revision is None or too_wide(revision, image.pixel_size):
        return fit
    result = fit_columns(image, revision.points, **options)
    points = revision.points
    spacing = typical_spacing(fit.x, fit.y, 1.0)
    distance = cKDTree(first).query(points)[0]
    flags = result.flags | np.where(distance > 0.4 * spacing, int(FitFlag.ADDED), 0)
    return replace(result, flags=flags)
