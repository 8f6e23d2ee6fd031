"""A lattice that nobody has named, found in the power spectrum of an image.

Where columns stand so close that one wide peak explains two of them nearly as well, no single column says
that it is there, but all together do: the modulation of a lattice of N columns gathers in a few spots of the
spectrum, N times as high above the noise as what one column adds. What is smooth, the outline of a particle
or a film, is about as strong in all directions of the spectrum, and a lattice is not: a spot has to stand out
of the noise and out of what the spectrum has at the same frequency elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from .fourier import CLEAR, MEDIAN, FourierLattice, lattice_place, strongest, transform_at

Floats = NDArray[np.float64]

PADDED = 2  # times the image's size: the spectrum is sampled finely enough for its maxima
COARSEST = 4.0  # periods across the image that a lattice has at least
FINEST = 0.45  # periods to a pixel that pixels can show
ACROSS = 0.3  # sine of the least angle between two spots
RING = 1.5  # periods across the image: half the breadth of the rings in which frequencies are compared
VISIBLE, MOST = 6.0, 12  # power of the faintest spot that is looked at, and how many are
LOBES = 3.0  # periods across the image within which a strong spot has weaker ones beside it


def spots(data: Floats, noise: float, finest: float) -> tuple[Floats, Floats]:
    """Maxima of the power spectrum that stand out of noise and outline.

    Parameters
    ----------
    data : (rows, cols) float
        Image with zeros where nothing is known.
    noise : float
        Power of the noise, the sum of its variance over all pixels.
    finest : float
        Shortest period that may be a lattice's [pixels].

    Returns
    -------
    (n, 2) float
        Frequencies x, y in one half plane [1/pixel], the strongest first, no two as close as the outline of
        the image makes the neighbours of one.
    (n,) float
        Their power over that of the noise, or over the mean power at that frequency where that is more.
    """
    shape = tuple(fft.next_fast_len(PADDED * size) for size in data.shape)
    power = np.abs(fft.rfft2(data, shape)) ** 2 / noise
    v, u = np.broadcast_arrays(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :])
    frequency = np.hypot(u, v)
    extent = float(min(data.shape))
    ring = (frequency * extent / RING).astype(int)
    level = ndimage.median(power, ring, np.arange(ring.max() + 1)) / MEDIAN
    clear = power / np.maximum(level, 1.0)[ring]
    top = (
        (frequency > COARSEST / extent)
        & (frequency < min(1 / finest, FINEST))
        & ((u > 0) | (v > 0))
        & (clear > VISIBLE)
    )
    top &= power == ndimage.maximum_filter(power, size=5, mode="wrap")
    places, size = np.column_stack([u[top], v[top]]), clear[top]
    chosen: list[int] = []
    for k in np.argsort(-size, kind="stable"):
        if len(chosen) == MOST:
            break
        if not chosen or np.hypot(*(places[chosen] - places[k]).T).min() > LOBES / extent:
            chosen.append(int(k))
    return places[chosen], size[chosen]


def strongest_pair(data: Floats, noise: float, finest: float) -> Floats | None:
    """Two frequencies (2, 2) [1/pixel] of the lattice with most power in three spots; None without one."""
    places, clear = spots(data, noise, finest)
    best, found = -np.inf, None
    for i, first in enumerate(places):
        for j in range(i + 1, len(places)):
            second = places[j]
            if abs(first[0] * second[1] - first[1] * second[0]) < ACROSS * np.hypot(*first) * np.hypot(
                *second
            ):
                continue
            third = first - second if first @ second > 0 else first + second
            power = np.array(
                [clear[i], clear[j], np.abs(transform_at(data, 1.0, third[None])[0]) ** 2 / noise]
            )
            score = float(np.log1p(power).sum())  # one strong spot must not decide
            if np.sort(power)[:2].sum() > CLEAR and score > best:
                best, found = score, np.array([first, second])
    return found


def lattice_in_spectrum(data: Floats, noise: float, finest: float) -> FourierLattice | None:
    """The lattice of an image, in pixels; None if its spectrum shows none. Parameters as of `spots`."""
    pair = strongest_pair(data, noise, finest)
    if pair is None:
        return None

    def power(pair: Floats) -> float:
        return float(np.sum(np.abs(transform_at(data, 1.0, pair)) ** 2)) / noise

    pair = strongest(power, pair, 0.2 / max(data.shape))
    waves = np.concatenate([pair, [pair[0] + pair[1], pair[0] - pair[1]]])
    waves = waves[np.hypot(*waves.T) < FINEST]
    values = transform_at(data, 1.0, waves)
    basis = reduced(np.linalg.inv(pair))
    centre = (np.array(data.shape[::-1]) - 1) / 2
    power_of_spots = float(np.min(np.abs(values[:2]) ** 2)) / noise
    return FourierLattice(basis, lattice_place(values, waves, basis) + centre, power_of_spots)


def reduced(basis: NDArray[np.floating]) -> Floats:
    """The shortest two vectors, as columns, of the lattice of a basis (Gauss).

    Examples
    --------
    >>> reduced(np.array([[1.0, 5.0], [0.0, 1.0]]))
    array([[1., 0.],
           [0., 1.]])
    """
    a, b = basis.T
    while True:
        if a @ a > b @ b:
            a, b = b, a
        times = np.rint(a @ b / (a @ a))
        if times == 0:
            return np.column_stack([a, b]).astype(float)
        b = b - times * a
