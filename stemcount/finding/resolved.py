"""Whether columns that overlap are there at all, or smooth light was taken for them.

Peaks as wide as the light of an image is smooth explain it on any lattice, and on one between the columns as
well where a probe out of focus turns their contrast over. What tells columns from this is not how strong the
spots of their lattice are. A probe of transfer function T(q) makes of columns with cross-sections V_n on the
places r_n of a lattice the image

    I(q) = T(q) V(q),   V(q) = sum V_n exp(-2 pi i q . r_n),   V(q + g) = V(q) exp(-2 pi i g . r_0)

for every reciprocal vector g and any place r_0. Half way to a spot, at q = -g/2 + d and q + g = g/2 + d, T is
the same for small d, whatever the focus, as long as the probe is the same turned by half a turn. So the wave
of the image at half a spot's frequency has the phase of the lattice, or the opposite one: at the columns it
is real. That of light without columns, or with columns elsewhere, has any phase.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..arrays import Floats, Ints
from ..fitting.peaks import nearest_pixels
from ..images.blur import gaussian_blur
from ..images.image import ZoneAxisImage
from ..images.noise import estimate_noise
from .lattice import translations_of
from .spectrum import reduced

BAND = 0.2  # of the shortest reciprocal vector: standard deviation of the frequencies around half a spot
SLOW = 0.5  # row distances: what varies more slowly than a Gaussian of this width is taken off
REACH = 0.5, 1.5  # row distances from the columns between which the weight of pixels falls to zero
ASIDE = 0.15  # of the power that columns have out of phase: of skew probes, displaced columns, a film


def log_odds_of_columns(
    image: ZoneAxisImage, places: Floats, index: Ints, basis: Floats, width: float
) -> float:
    """Logarithm of how much more probable an image is with columns on a lattice than with light of any phase.

    Let x and y be the real and the imaginary part of the wave at half a spot's frequency, normally
    distributed with variances N of the noise and S of the light. Columns have (1 - a) S in x and a S in y,
    with `ASIDE` for a, light without them S / 2 in each. In an image of n independent such waves

        2 log odds = n (2 ln v + (x^2 + y^2) / v - ln u - x^2 / u - ln w - y^2 / w),

    v = S / 2 + N, u = (1 - a) S + N, w = a S + N; the sum over the three shortest reciprocal vectors is
    given. It is about zero where noise hides all such waves, or where all columns are alike and fill the
    image.

    Parameters
    ----------
    image : ZoneAxisImage
    places : (n, 2) float
        Of the columns, as their lattice has them, x and y [A].
    index : (n, 2) int
        Of each one in the lattice.
    basis : (2, 2) float
        Vectors of the lattice as columns [A].
    width : float
        Of the peaks [A].
    """
    px, data, used = image.pixel_size, image.filled, image.used
    reciprocal = translations_of(reduced(np.linalg.inv(basis / px).T).T)[::2]
    closest = float(np.hypot(*reciprocal.T).min())  # [1/pixel]
    beyond, wave = _waves(image, places, index, basis)
    weight = used * np.clip((REACH[1] - beyond * closest) / (REACH[1] - REACH[0]), 0, 1)
    law = estimate_noise(data, gaussian_blur(data, width / px), used)
    variance = law.variance(gaussian_blur(data, 2 * width / px))
    size = 1 / (2 * np.pi * BAND * closest)  # of the blur that leaves the band [pixels]
    white = float(np.sum(weight**2 * variance)) / (4 * np.pi * size**2)
    independent = float(np.sum(weight**2)) * 2 * np.pi * (BAND * closest) ** 2
    light = weight * (data - gaussian_blur(data, SLOW / closest))
    odds = 0.0
    for vector, length in zip(np.rint(reciprocal @ basis / px), np.hypot(*reciprocal.T), strict=True):
        phase = np.pi * (wave @ vector)
        x, y = (
            float(np.sum(gaussian_blur(light * part, size) ** 2)) for part in (np.cos(phase), np.sin(phase))
        )
        passed = (1 - np.exp(-0.5 * (np.pi * SLOW / closest * length) ** 2)) ** 2
        noise = 0.5 * passed * white
        signal = max(x + y - 2 * noise, 0.0)
        v, u, w = 0.5 * signal + noise, (1 - ASIDE) * signal + noise, ASIDE * signal + noise
        odds += 2 * np.log(v) + (x + y) / v - np.log(u) - x / u - np.log(w) - y / w
    return 0.5 * independent * odds


def _waves(image: ZoneAxisImage, places: Floats, index: Ints, basis: Floats) -> tuple[Floats, Floats]:
    """Distance (rows, cols) of each pixel from the nearest column [pixels], and its index (rows, cols, 2) in
    the lattice, whole at the columns, which goes on from there."""
    shape = image.data.shape
    x, y = ((places - np.asarray(image.offset)) / image.pixel_size).T
    at = nearest_pixels(x, y, shape)
    which = np.zeros(shape, dtype=np.int64)
    which[at] = np.arange(len(places))
    away = np.ones(shape, dtype=bool)
    away[at] = False
    beyond, nearest = ndimage.distance_transform_edt(away, return_indices=True)
    column = which[tuple(nearest)]
    i, j = np.indices(shape)
    from_it = np.stack([j - x[column], i - y[column]], axis=-1)
    wave = index[column] + from_it @ np.linalg.inv(basis / image.pixel_size).T
    return np.asarray(beyond), np.asarray(wave)
