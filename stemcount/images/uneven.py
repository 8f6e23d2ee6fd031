"""Whether the background of an image is uneven, from the pixels beside its columns.

A film, contamination or something out of focus shows as a background that changes slowly. Where it is taken
to be even, its slopes are given to columns: to real ones, and to others that are not there. Where an image
has no contrast as fine as its columns' it shows the background alone. Polynomials of rising degree are fitted
there, and the one of the lowest Bayesian information criterion (Schwarz, Ann. Stat. 6 (1978) 461) tells how
uneven it is.

Columns that are too faint to show one by one look like such a background as well; finding must tell
(`may_be_columns`), and once columns are known only pixels beside these count.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre
from scipy import ndimage

from ..arrays import Bools, Floats
from ..fitting.background import SMOOTH_DEGREE, name_of_degree
from ..fitting.peaks import nearest_pixels
from .blur import DIFFERENCE_SQUARE, gaussian_blur
from .image import ZoneAxisImage
from .noise import estimate_noise, residual_inflation
from .scale import peak_scale

BUSY = 5.0  # standard deviations of the noise from which there is contrast as fine as the columns'
BESIDE = 6.0  # scales of the columns from any such contrast that show the background alone
ROUNDS = 8  # steep slopes look like contrast at the image's edges until they are known
SLIGHT = 0.1  # of the contrast of the columns: a slope that finding and fit cope with
UNLIKE = 5.0  # times the noise's variance: what no polynomial describes so closely is not a slow background
DOUBT = 2.0  # standard deviations of its mean above which the fine contrast of many pixels is not noise
AROUND = 4.0  # squared distance of columns from the middle of such pixels, in units of their covariance
MOST = 50_000  # pixels that are enough for a few coefficients
NONE = np.zeros((0, 2))  # no columns are known


def fine_contrast(image: ZoneAxisImage, slow: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Contrast at the scale of the columns, once a `slow` background (rows, cols) is taken off.

    Returned are what the difference of Gaussians of the columns' scale and of twice that leaves, (rows, cols)
    [image units]; the same in standard deviations of the noise; the variance of the pixels' noise, (rows,
    cols) [image units^2]; and the scale of the columns [pixels].
    """
    data = image.filled - slow
    scale = peak_scale(data, image.pixel_size) if slow.any() else image.peak_scale
    fine, coarse = (gaussian_blur(data, k * scale, reach=3.0) for k in (1, 2))
    variance = estimate_noise(data + slow, fine + slow, image.used).variance(coarse + slow)
    score = (fine - coarse) * np.sqrt(4 * np.pi * scale**2 / DIFFERENCE_SQUARE / variance)
    return fine - coarse, score, variance, scale


def quiet_pixels(image: ZoneAxisImage, score: Floats, scale: float, points: Floats) -> Bools:
    """Pixels (rows, cols) beside all columns, known or not, from `score` and `scale` of `fine_contrast`.

    Where there is contrast as fine as the columns' the image shows them, or their flanks; the columns at
    `points` (n, 2) [A], if any are known, are there whether they show or not.
    """
    valid = image.used
    busy = valid & (np.abs(score) > BUSY)
    x, y = ((points - image.offset) / image.pixel_size).T
    busy[nearest_pixels(x, y, busy.shape)] = True
    if not busy.any():
        return valid
    return valid & (ndimage.distance_transform_edt(~busy) > BESIDE * scale)


def polynomial_beside(
    data: Floats, variance: Floats, quiet: Bools, scale: float, highest: int = SMOOTH_DEGREE
) -> Floats:
    """Coefficients (d + 1, d + 1) of P_i(v) P_j(u) of the polynomial that describes quiet pixels best.

    What the polynomial of highest degree leaves in areas as wide as `BESIDE` counts as noise, so that the
    speckle of a film and a haze around the particle, which no polynomial follows, do not ask for one. Nor
    does a particle whose columns overlap too much to show: a plateau with an outline.

    Image and `variance` of its noise are (rows, cols), `scale` is that of the columns [pixels]. Coefficient
    [i, j], zero where i + j > d, is of the Legendre polynomials of the row and the column, which run from -1
    to 1 over the image as in `stemcount.fitting.background`. d = 0, an even background, also where the pixels
    are too few.
    """
    rows, cols = np.nonzero(quiet)
    some = slice(None, None, max(-(-len(rows) // MOST), 1))
    rows, cols = rows[some], cols[some]
    n = len(rows)
    terms = [(d - j, j) for d in range(highest + 1) for j in range(d + 1)]
    if n <= len(terms):
        return np.zeros((1, 1))
    v, u = (legendre.legvander(np.linspace(-1, 1, size), highest) for size in data.shape)
    root = 1 / np.sqrt(variance[rows, cols])
    design = np.stack([v[rows, i] * u[cols, j] for i, j in terms], axis=1) * root[:, None]
    # columns made orthogonal: a polynomial of lower degree is the first of them
    q, r = np.linalg.qr(design)

    def polynomial(degree: int) -> Floats:
        m = (degree + 1) * (degree + 2) // 2
        coefficients = np.zeros((degree + 1, degree + 1))
        for (i, j), value in zip(terms[:m], np.linalg.solve(r[:m, :m], along[:m]), strict=True):
            coefficients[i, j] = value
        return coefficients

    seen = data[rows, cols] * root
    along = q.T @ seen
    size = np.array([(d + 1) * (d + 2) // 2 for d in range(highest + 1)])
    squares = np.array([np.sum(along[m:] ** 2) for m in size])  # above those of the highest degree
    left = np.where(quiet, data - on_grid(polynomial(highest), data.shape), 0.0)
    inflation = residual_inflation(left, quiet / variance, BESIDE * scale, quiet)
    if inflation > UNLIKE:
        return np.zeros((1, 1))
    return polynomial(int(np.argmin(squares / inflation + size * np.log(n))))


def on_grid(coefficients: Floats, shape: tuple[int, ...]) -> Floats:
    """Image (rows, cols) of a polynomial's coefficients [image units]."""
    v, u = (np.linspace(-1, 1, size) for size in shape)
    return np.asarray(legendre.leggrid2d(v, u, coefficients), dtype=float)


def uneven_background(image: ZoneAxisImage, points: Floats = NONE) -> tuple[int, Floats]:
    """Degree of an image's background, 0 if it is even, and its uneven part (rows, cols) [image units].

    `points` (n, 2) are columns that are known [A]. Behind the columns, where it is not seen, the polynomial
    is nowhere beyond the values that it has beside them.
    """
    even = np.zeros(image.data.shape)
    slow, last = even, None
    for _ in range(ROUNDS):
        _, score, variance, scale = fine_contrast(image, slow)
        quiet = quiet_pixels(image, score, scale, points)
        if last is not None and np.array_equal(quiet, last):
            break
        coefficients = polynomial_beside(image.data, variance, quiet, scale)
        if len(coefficients) == 1:
            return 0, even
        slow, last = on_grid(coefficients, even.shape), quiet
    return len(coefficients) - 1, np.clip(slow, slow[quiet].min(), slow[quiet].max())


def slow_background(image: ZoneAxisImage, points: Floats = NONE) -> tuple[int, Floats]:
    """Degree and background (rows, cols) of an image if it is so uneven that it matters [image units].

    0 and 0 everywhere if it is even, or so slightly uneven that finding takes no slope for columns. Nor
    should a fit follow such a slope: beneath columns that cover the image nothing holds a polynomial, and
    what it gains beside them it loses there.
    """
    degree, slow = uneven_background(image, points)
    matters = np.ptp(slow) > SLIGHT * contrast_above(image, slow)
    return (degree, slow) if matters else (0, np.zeros_like(slow))


def contrast_above(image: ZoneAxisImage, slow: Floats) -> float:
    """Range of nearly all pixels above a `slow` background (rows, cols) [image units]."""
    return float(np.ptp(np.percentile((image.data - slow)[image.used], (1, 99))))


def may_be_columns(image: ZoneAxisImage, slow: Floats) -> bool:
    """Whether a `slow` background (rows, cols) has contrast at the scale of the columns that noise has not.

    Columns may each be too faint to make a pixel busy, as at the rim and between bright ones at a low
    dose: together they show. So does the speckle of a film. The mean square of the scores over n pixels,
    1 for noise alone, scatters by sqrt(4 pi scale^2 / n), as the squared autocorrelation of a blur,
    exp(-r^2 / 2 scale^2), covers 2 pi scale^2.
    """
    _, score, _, scale = fine_contrast(image, slow)
    square = score[quiet_pixels(image, score, scale, NONE)] ** 2
    return len(square) == 0 or bool(np.mean(square) - 1 > DOUBT * scale * np.sqrt(4 * np.pi / len(square)))


def slow_background_beside(image: ZoneAxisImage, points: Floats) -> tuple[int, Floats]:
    """The same as `slow_background` once the columns are known, at `points` (n, 2) [A].

    Faint columns that passed for a background do so no more. An even one is not looked at again.
    """
    degree, slow = image.slow_background
    return slow_background(image, points) if degree > 0 else (degree, slow)


def background_kind(image: ZoneAxisImage, points: Floats) -> tuple[str, bool]:
    """The least `background` of `fit_columns` that an image with columns at `points` (n, 2) [A] asks for.

    "constant", "plane" or "smooth", and whether the pixels beside the columns tell: where they are not on
    all sides, an even background is only what there is no reason to doubt yet (`stemcount.fitting.slope`).
    """
    degree, _ = slow_background_beside(image, points)
    if degree > 0:
        return name_of_degree(degree), True
    slopes = slopes_around(image, points)
    return "plane" if slopes else "constant", slopes is not None


def slopes_around(image: ZoneAxisImage, points: Floats) -> bool | None:
    """Whether the image slopes, however slightly, by what it shows around its columns at `points` [A].

    A slope that is slight beside thick columns is that of an atom for the thin ones at the rim, brighter on
    one side than on the other. Between pixels that show it a plane beneath the columns is as well known as
    an even background; beyond them it is not. None where they are not on all sides of the columns.
    """
    _, score, variance, scale = fine_contrast(image, np.zeros(image.data.shape))
    quiet = quiet_pixels(image, score, scale, points)
    beside = np.argwhere(quiet)[:, ::-1].astype(float)
    if len(beside) < 2:
        return None
    spread = np.cov(beside.T)
    if np.linalg.eigvalsh(spread)[0] < scale**2:  # nearly in a line
        return None
    away = (points - image.offset) / image.pixel_size - beside.mean(axis=0)
    if (np.einsum("ni,ij,nj->n", away, np.linalg.inv(spread), away) > AROUND).any():
        return None
    return len(polynomial_beside(image.data, variance, quiet, scale, 1)) > 1
