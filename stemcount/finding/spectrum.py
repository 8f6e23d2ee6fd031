"""A lattice that nobody has named, found in the power spectrum of an image.

Where columns stand so close that one wide peak explains two of them nearly as well, no single column says
that it is there, but all together do: the modulation of a lattice of N columns gathers in a few spots of the
spectrum, N times as high above the noise as what one column adds. What is smooth, the outline of a particle
or a film, is about as strong in all directions of the spectrum, and a lattice is not: a spot has to stand out
of the noise and out of what the spectrum has at the same frequency elsewhere. Where that leaves several
lattices, the image is to decide between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial import cKDTree

from .fourier import CLEAR, FINEST, MEDIAN, STEP, FourierLattice, lattice_place, strongest, transform_at
from .lattice import support

Floats = NDArray[np.float64]

PADDED = 2  # times the image's size: the spectrum is sampled finely enough for its maxima
COARSEST = 4.0  # periods across the image that a lattice has at least
ACROSS = 0.3  # sine of the least angle between two spots
RING = 1.5  # periods across the image: half the breadth of the rings in which frequencies are compared
VISIBLE, MOST = 6.0, 12  # power of the faintest spot that is looked at, and how many are
TRIED = 3  # lattices, at most
LOBES = 3.0  # periods across the image within which a strong spot has weaker ones beside it


def levels_of(power: Floats, frequency: Floats, extent: float) -> Floats:
    """Level of a power spectrum [noise power] in each ring of frequencies, at least 1."""
    ring = ring_of(frequency, extent)
    return np.asarray(np.maximum(ndimage.median(power, ring, np.arange(ring.max() + 1)) / MEDIAN, 1.0))


def ring_of(frequency: Floats, extent: float) -> NDArray[np.int64]:
    """Number of the ring in which frequencies [1/pixel] of an image of some extent [pixels] are compared."""
    return np.asarray(frequency * extent / RING).astype(np.int64)


def spots(data: Floats, noise: float, finest: float) -> tuple[Floats, Floats, Floats]:
    """Maxima of the power spectrum that stand out of noise and outline, the strongest first.

    Of `data` (rows, cols) with zeros where nothing is known, `noise` the sum of its variance over all pixels,
    and of periods of at least `finest` [pixels]. Given are their frequencies x, y (n, 2) in one half plane
    [1/pixel], no two as close as the outline of the image makes the neighbours of one; their power over that
    of the noise, or over the mean power at that frequency where that is more, (n,); and that level in each
    ring, see `ring_of`.
    """
    shape = tuple(fft.next_fast_len(PADDED * size) for size in data.shape)
    power = np.abs(fft.rfft2(data, shape)) ** 2 / noise
    v, u = np.broadcast_arrays(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :])
    frequency = np.hypot(u, v)
    extent = float(min(data.shape))
    level = levels_of(power, frequency, extent)
    clear = power / level[ring_of(frequency, extent)]
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
    return places[chosen], size[chosen], level


def strongest_pairs(data: Floats, noise: float, finest: float) -> list[Floats]:
    """Pairs of frequencies (2, 2) [1/pixel] of the lattices with most power in three spots, at most `TRIED`.

    Parameters as of `spots`. Two of the same three spots are of the same lattice.
    """
    places, clear, level = spots(data, noise, finest)
    extent = float(min(data.shape))
    found: list[tuple[float, Floats]] = []
    for i, first in enumerate(places):
        for j in range(i + 1, len(places)):
            second = places[j]
            area = abs(first[0] * second[1] - first[1] * second[0])
            if area < ACROSS * np.hypot(*first) * np.hypot(*second):
                continue
            third = first - second if first @ second > 0 else first + second
            ring = min(int(ring_of(np.hypot(*third), extent)), len(level) - 1)
            wave = float(np.abs(transform_at(data, 1.0, third[None])[0]) ** 2) / (noise * float(level[ring]))
            power = np.array([clear[i], clear[j], wave])
            if np.sort(power)[:2].sum() > CLEAR:  # one strong spot must not decide
                found.append((float(power.sum()), np.array([first, second, third])))
    chosen: list[Floats] = []
    for _, waves in sorted(found, key=lambda each: -each[0]):
        both = np.concatenate([waves, -waves])
        if len(chosen) < TRIED and not any(
            cKDTree(both).query(other[:2])[0].max() < LOBES / extent for other in chosen
        ):
            chosen.append(waves)
    return [waves[:2] for waves in chosen]


def lattices_in_spectrum(data: Floats, noise: float, finest: float) -> list[FourierLattice]:
    """Lattices that an image may have, in pixels, those with most power first. Parameters as of `spots`."""

    def power(pair: Floats) -> float:
        return float(np.sum(np.abs(transform_at(data, 1.0, pair)) ** 2)) / noise

    centre = (np.array(data.shape[::-1]) - 1) / 2
    lattices = []
    for start in strongest_pairs(data, noise, finest):
        pair = strongest(power, start, STEP / max(data.shape))
        waves = with_sums(pair)
        waves = waves[np.hypot(*waves.T) < FINEST]
        values = transform_at(data, 1.0, waves)
        basis = reduced(np.linalg.inv(pair))
        power_of_spots = float(np.min(np.abs(values[:2]) ** 2)) / noise
        place = lattice_place(values, waves, basis) + centre
        lattices.append(FourierLattice(basis, place, power_of_spots))
    return lattices


def lattice_of_points(points: Floats, translations: Floats) -> FourierLattice:
    """The one lattice near given translations (k, 2) on which most of the points (n, 2) stand.

    Their Fourier transform is strongest at its frequencies; it is free of what the width of the peaks takes
    from that of the image. Points count the more, the more of the translations lead from them to others.

    Examples
    --------
    >>> x, y = (v.ravel().astype(float) for v in np.mgrid[0:5, 0:5])
    >>> points = np.column_stack([2 * x + 0.5, 3 * y])
    >>> points[7] += 0.7
    >>> lattice = lattice_of_points(points, np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 3.0], [0.0, -3.0]]))
    >>> abs(np.linalg.solve(lattice.basis, lattice.origin - points[0])).round(1) % 1
    array([0., 0.])
    """
    weight = support(points, points, translations).astype(float)
    centre = points.mean(axis=0)
    apart = points - centre

    def transform(waves: Floats) -> NDArray[np.complex128]:
        return np.asarray(weight @ np.exp(-2j * np.pi * apart @ waves.T))

    def power(pair: Floats) -> float:
        return float(np.sum(np.abs(transform(pair)) ** 2)) / float(np.sum(weight**2))

    extent = float(np.ptp(apart, axis=0).max())
    start = np.asarray(np.linalg.inv(translations[[0, 2]].T), dtype=float)
    pair = strongest(power, start, STEP / extent)
    values = transform(with_sums(pair))
    basis = reduced(np.linalg.inv(pair))
    power_of_spots = float(np.min(np.abs(values[:2]) ** 2)) / float(np.sum(weight**2))
    return FourierLattice(basis, lattice_place(values, with_sums(pair), basis) + centre, power_of_spots)


def with_sums(pair: Floats) -> Floats:
    """Two frequencies, their sum and their difference (4, 2)."""
    return np.concatenate([pair, [pair[0] + pair[1], pair[0] - pair[1]]])


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
