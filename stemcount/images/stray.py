"""Single pixels that no column can have made: spikes, dead pixels, dead lines.

An image is a positive sum of peaks, none of them finer than a width rho [pixels], on a slow background.
With q = exp(-1 / 2 rho^2) every Gaussian peak g has along a row or a column of pixels, from pixel 0,

    (g(-1) + g(1)) / 2 = q g(0) cosh(u),    (g(-2) + g(2)) / 2 = q^4 g(0) cosh(2u),

where u is its centre's place over rho^2. With the means m1 and m2 of the sum f of all peaks at the
distances 1 and 2, wherever they are,

    alpha m1 - beta m2 <= f(0) <= m1 / q.

The lower bound asks for alpha q C - beta q^4 (2 C^2 - 1) <= 1 at the worst C = cosh(u), that is alpha^2 =
8 beta q^2 (1 - beta q^4). The beta that leaves most on an even ground is taken; for wide peaks the bound is
cubic interpolation, alpha = 4/3 and beta = 1/3. A pixel is stray where it breaks a bound along its row and
along its column, and noise does not explain it: lines of a scan that jump break bounds across them alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import xlogy

from ..arrays import Bools, Floats
from .blur import gaussian_blur
from .noise import estimate_noise
from .scale import peak_scale

FINER = 0.8  # of the image's own scale: no peak of a crystal is finer (a lone one is 0.7 times as wide)
WIDEST = 0.45  # columns are hardly wider, whatever the image's scale [A]
NARROWEST = 0.5  # pixels: narrower peaks are no columns
BY_CHANCE = 1e-4  # probability that noise alone makes one such pixel of an image
NORMAL = 1e-3  # of the noise: quanta so small make no difference to normal deviates
ROUNDS = 10  # the noise is known better once the strongest ones are left out


@dataclass(frozen=True)
class Finest:
    """What the neighbours of a pixel allow it, for peaks of this `width` [pixels] or more."""

    width: float

    @property
    def q(self) -> float:
        """What the neighbours of a peak's top have of it at least."""
        return float(np.exp(-0.5 / self.width**2))

    @property
    def alpha_beta(self) -> tuple[float, float]:
        """Factors of the lower bound.

        alpha - beta is largest where 2 beta q^4 = 1 - cos(a), tan(a) = 2^1.5 q^3.
        """
        q = self.q
        beta = (1 - np.cos(np.arctan(2**1.5 * q**3))) / 2 / q**4
        return float(np.sqrt(8 * beta * (1 - beta * q**4)) * q), float(beta)


@dataclass(frozen=True)
class Quanta:
    """Intensities as numbers of quanta whose variance is their mean, as that of counts.

    Attributes
    ----------
    zero : float
        Level of the image's darkest parts [image units].
    quantum : float
        Variance of the noise per intensity [image units].
    dark : float
        Quanta of the darkest parts, which make their noise.
    unlikely : float
        Minus the logarithm of the probability at which noise explains no pixel of this image.
    """

    zero: float
    quantum: float
    dark: float
    unlikely: float

    def of(self, values: Floats, pixels: int) -> Floats:
        """Quanta of so many pixels of these mean intensities."""
        return np.asarray(pixels * np.maximum((values - self.zero) / self.quantum + self.dark, 0.0))


@dataclass(frozen=True)
class Spots:
    """Pixels, or means of lines of `pixels` of them, and what lies beside them [image units].

    Attributes
    ----------
    value : (n,) float
    first, second : (n, directions, 2) float
        Neighbours at the distances 1 and 2, before and after; NaN where none may be used.
    pixels : int
    """

    value: Floats
    first: Floats
    second: Floats
    pixels: int = 1

    @cached_property
    def highest(self) -> Floats:
        """Of the neighbours at the distance 1 (n,)."""
        return np.asarray(np.nan_to_num(self.first, nan=-np.inf).max(axis=(1, 2)))

    def above(self, finest: Finest, quanta: Quanta, step: float) -> Bools:
        """Spots that stand above all their neighbours as no peak can."""
        k, zero, n = 1 / finest.q, quanta.zero, self.pixels
        pairs = self.first.mean(axis=2)  # the bound holds for each that is complete
        others = 2 * np.isfinite(pairs).sum(axis=1)
        # the likeliest mean mu of them, all as bright as the brighter pair, if the spot's is the highest
        # allowed, k mu - c
        dark = n * quanta.dark
        c = (k - 1) * dark
        y = quanta.of(self.value, n)
        s = quanta.of(np.nan_to_num(pairs, nan=-np.inf).max(axis=1), n) * others
        a, b = (k + others) * k, (k + others) * c + k * (y + s)
        mu = np.maximum((b + np.sqrt(np.maximum(b**2 - 4 * a * s * c, 0.0))) / (2 * a), dark)
        allowed = k * mu - c
        surprise = _deviance(y, allowed) + _deviance(s, others * mu)
        shape = (others > 0) & (self.value - zero > k * (self.highest - zero + step))
        return shape & (y > allowed) & (surprise > quanta.unlikely)

    def below(self, finest: Finest, quanta: Quanta, step: float) -> Bools:
        """Spots that lie below all their neighbours as no place between peaks can."""
        alpha, beta = finest.alpha_beta
        zero, n = quanta.zero, self.pixels
        near, far = self.first.min(axis=2) - step, self.second.mean(axis=2) + step
        bounds = alpha * (near - zero) - beta * (far - zero)
        least = np.nan_to_num(bounds, nan=np.inf).min(axis=1)
        least[np.isinf(least)] = -np.inf  # no pair is complete
        y, allowed = quanta.of(self.value, n), quanta.of(least + zero, n)
        surprise = _deviance(y, allowed) / (1 + alpha**2 + beta**2 / 2)  # the neighbours scatter, too
        return (self.value - zero < least) & (y < allowed) & (surprise > quanta.unlikely)


def stray_pixels(data: Floats, pixel_size: float, valid: Bools | None = None) -> Bools:
    """Single pixels, and lines of one value, that stand out as no column can and better are not used.

    Of those that are `valid` (rows, cols), all if that is None; `pixel_size` is in A.

    Examples
    --------
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 7.9], [5.0, 5.1], [1.0, 2.0], shape=(60, 70),
    ...                                    pixel_size=0.2, dose=1e4, seed=0)
    >>> int(stray_pixels(image.data, 0.2).sum())
    0
    >>> image.data[10, 60] = 4 * image.data.max()
    >>> np.argwhere(stray_pixels(image.data, 0.2)).tolist()
    [[10, 60]]
    """
    recorded = np.ones(data.shape, bool) if valid is None else valid
    finest = Finest(max(WIDEST / pixel_size, NARROWEST))
    used = recorded
    tested = ndimage.binary_erosion(recorded, [[1, 1, 1]])  # the neighbours along the scan can be trusted
    found = _found(data, used, tested, finest)
    if found.any():  # the image's own scale allows more than the widest; it is needed only here
        calm = np.where(found | ~used, _clipped(data, used, *_beside(data, used)), data)
        own = FINER * peak_scale(calm, pixel_size)
        finest = Finest(max(min(own, finest.width), NARROWEST))
        found = _found(data, used, tested, finest)
    for _ in range(ROUNDS):
        if not found.any():
            break
        used = used & ~found
        found = _found(data, used, tested, finest)
    return recorded & ~used


def _found(data: Floats, used: Bools, tested: Bools, finest: Finest) -> Bools:
    """The stray pixels among those used and `tested`, by the noise that all of these show."""
    out = np.zeros(data.shape, bool)
    if not np.ptp(data[used]) > 0:
        return out
    low, high = _beside(data, used)
    i, j = np.nonzero(used & tested & ((data > high) | (data < low)))
    spots = _spots_at(data, used, i, j)
    quanta = _quanta(data, used, _clipped(data, used, low, high), finest)

    def stray(spots: Spots) -> Bools:
        found = spots.above(finest, quanta, 0.0) | spots.below(finest, quanta, 0.0)
        if found.any():  # whole numbers are rounded ones
            step = float(np.diff(np.unique(data[used])).min())
            found = spots.above(finest, quanta, step) | spots.below(finest, quanta, step)
        return found

    out[i, j] = stray(spots)
    if out.any():  # and would make the lines beside others look dark
        return out
    for image, mask, marked in ((data, used, out), (data.T, used.T, out.T)):
        for line, columns, spot in _lines_of_one_value(image, mask):
            marked[line, columns] |= stray(spot)[0]
    return out


def _beside(data: Floats, used: Bools) -> tuple[Floats, Floats]:
    """The lowest and the highest of each pixel's four neighbours that may be used."""

    def highest(values: Floats) -> Floats:
        shown = np.where(used, values, -np.inf)
        out = np.full_like(shown, -np.inf)
        for here, there in ((out[1:], shown[:-1]), (out[:-1], shown[1:])):
            np.maximum(here, there, out=here)
        for here, there in ((out[:, 1:], shown[:, :-1]), (out[:, :-1], shown[:, 1:])):
            np.maximum(here, there, out=here)
        return out

    return -highest(-data), highest(data)


def _clipped(data: Floats, used: Bools, low: Floats, high: Floats) -> Floats:
    """The image within what is `_beside` each pixel, and with its median where it may not be used."""
    known = used & np.isfinite(low)
    clipped = np.maximum(data, low)
    np.minimum(clipped, high, out=clipped)
    return clipped if known.all() else np.where(known, clipped, np.median(data[used]))


def _spots_at(data: Floats, used: Bools, i: NDArray, j: NDArray) -> Spots:
    """Pixels with their neighbours along the row and the column."""
    padded = np.pad(np.where(used, data, np.nan), 2, constant_values=np.nan)

    def beside(step: int) -> Floats:
        across = [padded[i + 2, j + 2 + k] for k in (-step, step)]
        down = [padded[i + 2 + k, j + 2] for k in (-step, step)]
        return np.array([across, down]).transpose(2, 0, 1)

    return Spots(data[i, j], beside(1), beside(2))


def _lines_of_one_value(data: Floats, used: Bools) -> Iterator[tuple[int, Bools, Spots]]:
    """Rows that hold one value: their index, which of their pixels may be used, and their means as spots."""
    value = data[np.arange(len(data)), used.argmax(axis=1)]
    one_value = np.all((data == value[:, None]) | ~used, axis=1)
    for i in np.flatnonzero(one_value[2:-2]) + 2:
        common = used[i - 2 : i + 3].all(axis=0)
        if common.any():
            means = data[i - 2 : i + 3, common].mean(axis=1)
            first, second = (means[[2 - k, 2 + k]].reshape(1, 1, 2) for k in (1, 2))
            yield int(i), used[i], Spots(means[2:3], first, second, int(common.sum()))


def _quanta(data: Floats, used: Bools, clipped: Floats, finest: Finest) -> Quanta:
    """The image's noise as that of counts, estimated from pixel to pixel.

    Not from pixels beyond all that the others show: few of them would pass for the noise of all.
    """
    zero, highest = float(clipped[used].min()), float(clipped[used].max())
    usual = (data >= zero) & (data <= zero + (highest - zero) / finest.q) if highest > zero else used
    level = gaussian_blur(clipped, max(finest.width, 1.0))
    law = estimate_noise(data + level, level, used & usual)
    variance = float(law.variance(np.array(zero)))
    quantum = max(law.slope, NORMAL * variance**0.5)
    return Quanta(zero, quantum, variance / quantum**2, float(np.log(data.size / BY_CHANCE)))


def _deviance(found: Floats, expected: Floats) -> Floats:
    """Minus the logarithm of a count's likelihood over the highest it could have."""
    expected = np.maximum(expected, 1e-9)
    return np.asarray(xlogy(found, found / expected) - found + expected)
