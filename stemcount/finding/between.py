"""Light between the columns: a background under the particle that nothing beside it shows.

Contamination, a film that ends under the particle and what is out of focus add light that changes slowly from
column to column. Where a fit takes the background to be even, or to go on as it does beside the particle,
that light is given to columns: to real ones, and to others between them that are not there.

Columns that stand apart tell their own light from it. They are the maxima of the image's fine contrast, which
light without structure at their scale does not have. Around every pixel the image d is taken as

    d = b + s m + q dm/dw,

m what these columns add to the image, w their common width, b and s constant within a Gaussian window whose
standard deviation is the columns' distance, q the same in the whole image. Weighted least squares give b and
s in closed form from a few Gaussian filters (local regression: Cleveland and Devlin, J. Am. Stat. Assoc. 83
(1988) 596); b is the light. What changes within a window is left in d - b, and found when that is treated in
the same way once more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from ..fitting.fit import first_state, noise_law, typical_spacing, weights_of
from ..fitting.joint import Problem, State, place_of, solve
from ..fitting.peaks import add_peaks, add_shared_derivatives, reach_of
from ..images.blur import gaussian_blur
from ..images.image import ZoneAxisImage
from ..images.uneven import SLIGHT, contrast_above, fine_contrast
from .significance import CLOSE, ROUGH, problem_of

Floats = NDArray[np.float64]

CLEAR = 5.0  # standard deviations of the noise that a maximum of the fine contrast has if it is a column's
FEWEST = 12  # columns that tell their own light from what is between them
ROUNDS = 4  # of columns and light in turn
ENOUGH = 2  # rounds after which light that is slight is none
COARSER = 3.0  # bins to the standard deviation of a window
SINGULAR = 1e-6  # of a window's sum of m^2: the part that varies, below which m and 1 are the same
WIDER = 1.4  # times: change of the width in one round


@dataclass(frozen=True)
class ColumnsApart:
    """Columns that stand apart, and the light between them.

    Attributes
    ----------
    points : (n, 2) float
        Places of the columns [A].
    problem, state
        Their fit; the light is the background of `problem`.
    """

    points: Floats
    problem: Problem
    state: State

    @property
    def light(self) -> Floats:
        """Background (rows, cols) [image units]."""
        return np.asarray(self.problem.fixed_background)

    @property
    def numbers(self) -> float:
        """How many numbers the light is worth, see `numbers_of_light`."""
        size = typical_spacing(self.problem.x0, self.problem.y0, 0.0)
        return numbers_of_light(int(np.count_nonzero(self.problem.valid)), size)


def numbers_of_light(pixels: int, size: float) -> float:
    """How many numbers light in so many pixels is worth: the trace of the regression that gives it.

    A window of standard deviation s = `size` [pixels] gives 1 / (2 pi s^2) for each pixel, and so often again
    as what is left is treated once more: the fraction 1 - (1 - h)^k of a wave, with h = exp(-(s f)^2 / 2) of
    one round, adds up to 1 + 1/2 + ... + 1/k times as much in k rounds.
    """
    return sum(1 / k for k in range(1, ROUNDS + 1)) * pixels / (2 * np.pi * size**2)


@dataclass(frozen=True)
class Windows:
    """Regression on the columns' own light within a Gaussian window around every pixel.

    What windows add up is so smooth that it is known from its values in bins.

    Attributes
    ----------
    weight : (rows, cols) float
        Of the pixels [1 / image units^2].
    peaks : (rows, cols) float
        What the columns add to the image, m.
    size : float
        Standard deviation of the windows [pixels].
    """

    weight: Floats
    peaks: Floats
    size: float

    def regress(self, *images: Floats) -> list[tuple[Floats, Floats]]:
        """b and s (both (rows, cols)) of each of the images."""
        tiny = np.finfo(float).tiny
        one = np.maximum(self._sums(self.weight), tiny)
        first = self._sums(self.weight, self.peaks)
        second = self._sums(self.peaks, self.peaks, self.weight)
        varies = second - first**2 / one
        found = []
        for image in images:
            data = self._sums(self.weight, image)
            along = self._sums(self.weight, image, self.peaks) - first * data / one
            s = np.where(varies > SINGULAR * second, along / np.maximum(varies, tiny), 0.0)
            found.append((self._spread((data - s * first) / one), self._spread(s)))
        return found

    @property
    def _bin(self) -> int:
        return max(int(self.size / COARSER), 1)

    def _sums(self, image: Floats, *factors: Floats) -> Floats:
        """Sums of the product of some images over the window around every bin."""
        n = self._bin
        rows, cols = (-(-size // n) for size in image.shape)
        whole = np.zeros((rows * n, cols * n))
        product = whole[: image.shape[0], : image.shape[1]]
        product[:] = image
        for factor in factors:
            product *= factor
        binned = whole.reshape(rows, n, cols, n).sum(axis=(1, 3))
        return gaussian_blur(binned, self.size / n, edge="dark")

    def _spread(self, binned: Floats) -> Floats:
        """The values of the bins at every pixel, linear between their centres."""
        rows, cols = (linear_between_bins(size, self._bin) for size in self.peaks.shape)
        return np.asarray(rows @ np.ascontiguousarray((cols @ binned.T).T))


def linear_between_bins(size: int, n: int) -> sparse.csr_array:
    """The (size, bins) matrix that takes values in bins of n pixels to those in the pixels of a row."""
    at = np.clip((np.arange(size) + 0.5) / n - 0.5, 0, (size - 1) // n)
    low = at.astype(int)
    share = at - low
    two = np.stack([low, np.ceil(at).astype(int)], axis=1)
    weights = np.stack([1 - share, share], axis=1)
    return sparse.csr_array(
        (weights.ravel(), two.ravel(), 2 * np.arange(size + 1)), shape=(size, (size - 1) // n + 1)
    )


def light_between(image: ZoneAxisImage, apart: ColumnsApart, weight: Floats) -> ColumnsApart | None:
    """The columns that stand apart on an image with the light between them; see `finest_maxima`.

    None where the light differs from the background beside the particle by less than a tenth of the contrast,
    and where the columns are too few or too close to tell.
    """
    slow = apart.light
    spacing = typical_spacing(apart.problem.x0, apart.problem.y0, 0.0)
    if len(apart.points) < FEWEST:
        return None
    contrast = contrast_above(image, slow)
    for k in range(1, ROUNDS + 1):
        apart = with_light(apart, weight, spacing)
        if k < ENOUGH:
            continue
        if np.ptp((apart.light - slow)[image.used]) < SLIGHT * contrast:
            return None
        law = noise_law(apart.problem, apart.state, image, "least_squares")
        weigh = weights_of(apart.problem, law)
        state = solve(apart.problem, apart.state, weigh, 4, tolerance=0.1, linear_tolerance=ROUGH)
        apart = replace(apart, state=state)
    return None if spacing < CLOSE * apart.state.width[0] else apart


def finest_maxima(image: ZoneAxisImage, slow: Floats) -> tuple[ColumnsApart, Floats] | None:
    """The maxima of an image's fine contrast as columns, as high as they stand out; weights of the pixels.

    None where none stands out, as in the noise of a faint image.

    Their light is the background beside the particle, `slow` (rows, cols), see `stemcount.images.uneven`.
    Of a peak of volume V the difference of Gaussians of its own width and of twice that leaves V (1 / 2 - 1
    / 5) / (2 pi width^2).
    """
    contrast, scores, variance, scale = fine_contrast(image, slow)
    weight, scores = image.used / variance, np.where(image.used, scores, 0.0)
    size = 2 * int(np.ceil(scale)) + 1
    i, j = np.nonzero((scores > CLEAR) & (scores == ndimage.maximum_filter(scores, size=size)))
    if not len(i):
        return None
    points = np.column_stack([j, i]).astype(float) * image.pixel_size + image.offset
    problem = replace(problem_of(image, points), fixed_background=slow, width_start=scale)
    volume = contrast[i, j] * 2 * np.pi * scale**2 / 0.3
    state = replace(first_state(problem), volume=volume, background=np.zeros(len(problem.basis)))
    return ColumnsApart(points, problem, state), weight


def with_light(apart: ColumnsApart, weight: Floats, spacing: float) -> ColumnsApart:
    """The columns with more of the light between them, and with the width that goes with it."""
    problem, state = apart.problem, apart.state
    peaks, by_width = np.zeros((2, *weight.shape))
    add_peaks(peaks, *place_of(state), *state.tail)
    reach = reach_of(state.width, *state.tail)
    add_shared_derivatives(by_width[None], *place_of(state), problem.group, 1, *state.tail, reach)
    windows = Windows(weight, peaks, spacing)
    left = problem.data - apart.light
    (b, s), (b_width, s_width) = windows.regress(left, by_width)
    # in place: of a large image every new array costs more than what is computed with it
    beyond, left = _less(by_width, b_width, s_width, peaks), _less(left, b, s, peaks)
    left *= beyond * weight
    along = float(np.sum(left))
    beyond *= beyond
    beyond *= weight
    step = along / max(float(np.sum(beyond)), np.finfo(float).tiny)
    width = np.clip(state.width + step, state.width / WIDER, state.width * WIDER)
    b += apart.light
    b_width *= step
    b -= b_width
    return replace(
        apart,
        problem=replace(problem, fixed_background=b, width_start=float(width[0])),
        state=replace(state, width=width, background=np.zeros(len(problem.basis))),
    )


def _less(image: Floats, b: Floats, s: Floats, peaks: Floats) -> Floats:
    """image - b - s peaks, in place of the image and of s."""
    s *= peaks
    image -= b
    image -= s
    return image
