"""A lattice of known shape, found by how well columns on its sites explain an image, all of them together.

Where columns overlap so much that the spots of their lattice are in the noise, the image still tells where
they are. A sum of peaks on a lattice of reciprocal vectors g has, at the frequencies k and k - g, the same
amplitude but for what the peaks' width leaves of it. About half way to a spot both are well above the noise,
wherever the thickness of the crystal changes sharply: there a lattice in the wrong place contradicts the
image.

All of this is in the evidence of a lattice (MacKay, Neural Comput. 4 (1992) 415). Let u be the image over the
standard deviation of its noise, G a peak, and the volumes of the columns on the sites, in the same units,
normally distributed about m, which the light around them tells, with standard deviations s. Then

    2 log P(u | lattice) = b^T M^-1 b - log det M + m^T G^T (2 u - G m) + const,
    M = 1 + S A S,   b = S G^T (u - G m),

with A = G^T G the overlaps of the peaks and S = diag(s). Neither volumes nor single columns have to be known.
Rotation, scale and place are searched; the best are refined, shear included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize, minimize_scalar
from scipy.spatial.distance import cdist

from ..images.blur import gaussian_blur
from .lattice import points_within, rotation, translations_of
from .scene import Scene
from .spectrum import reduced

Floats = NDArray[np.float64]

TRIED_ON, REFINED_ON = 150, 400  # columns around the middle of the light that are enough to search, to refine
START = 2.1  # widths to the closest columns, to begin with
WIDTHS = 1.45  # times narrower or wider the peaks may be
WIDEST = 0.97  # of the widest ones: evidence that still grows with the width is that of light without columns
SCALE = 0.06  # by which scales may differ from 1
STEP = 0.28  # of the closest distance: what the outermost columns move between two trials
PARTS = 4  # of a lattice vector: places that are tried
REFINED = 8  # trials that are refined
VARIED = 0.5  # standard deviation of a volume from what the light around it tells, of the latter: at the rim
THERE = 0.5  # expected volume of a column over its error in white noise, below which it says nothing
FEWEST = 12  # columns to make a lattice
ALIKE = 0.1  # of the closest distance: what the vectors of lattices of one shape differ by
SAME = 0.25  # of the closest distance: lattices whose sites are closer are the same


@dataclass(frozen=True)
class Sight:
    """An image in units of its noise, as columns of one width see it; lengths in pixels.

    Attributes
    ----------
    seen : (rows, cols) float
        The image under a peak at every place, G^T u: coefficients of its cubic spline.
    light : (rows, cols) float
        The image, smoothed over the distance of the columns.
    width : float
        Of the peaks.
    cell : float
        Area for each column.
    """

    seen: Floats
    light: Floats
    width: float
    cell: float

    @property
    def middle(self) -> Floats:
        """Centre x, y of the light."""
        i, j = np.indices(self.light.shape)
        return np.array([np.sum(j * self.light), np.sum(i * self.light)]) / self.light.sum()

    @property
    def faintest(self) -> float:
        """Light at the faintest columns that say anything."""
        return THERE * np.sqrt(4 * np.pi) * self.width / self.cell

    @property
    def radius(self) -> float:
        """Of a disc with as many columns as the light has."""
        return float(np.sqrt(np.count_nonzero(self.light > self.faintest) / np.pi))

    def sites(self, basis: Floats, origin: Floats) -> Floats:
        """The sites (n, 2) of a lattice at which there is light."""
        rows, cols = self.light.shape
        points = points_within(basis, origin, (0, 0), (cols - 1, rows - 1))
        return np.asarray(points[_at(self.light, points, 1) > self.faintest])

    def evidence(self, basis: Floats, origins: Floats) -> Floats:
        """Twice the logarithm of the evidence (m,) of lattices of one basis with these origins (m, 2).

        Which sites have light, and how much, is taken from the first one, so that one matrix does for all.
        """
        sites = self.sites(basis, origins[0])
        if len(sites) < FEWEST:
            return np.full(len(origins), -np.inf)
        area = abs(float(np.linalg.det(basis)))
        mean = _at(self.light, sites, 1) * area
        spread = VARIED * mean * np.sqrt(self.cell / area)  # the variance by area is the same for any lattice
        square = 4 * self.width**2
        overlap = np.exp(-cdist(sites, sites, "sqeuclidean") / square) / (np.pi * square)
        expected = overlap @ mean
        matrix = spread[:, None] * overlap * spread
        matrix[np.diag_indices_from(matrix)] += 1.0
        root = cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
        moved = sites + (origins - origins[0])[:, None]
        b = _at(self.seen, moved.reshape(-1, 2), 3).reshape(len(origins), -1)
        half = solve_triangular(root, (spread * (b - expected)).T, lower=True, check_finite=False)
        found = np.sum(half**2, axis=0) - 2 * np.log(np.diag(root)).sum()
        return np.asarray(found + (2 * b - expected) @ mean)


def sight(scene: Scene, basis: Floats, width: float, columns: int) -> Sight:
    """An image as so many columns around the middle of its light see it, of a lattice of some shape.

    Weights fall smoothly to zero towards pixels that are not used and at a distance from the middle. Where
    they change little within a peak, they change what is seen and what is expected of a volume alike.
    """
    cell = abs(float(np.linalg.det(basis)))
    spacing = np.sqrt(cell)
    above = np.where(scene.valid, scene.data - scene.slow - scene.background, 0.0)
    inside = ndimage.distance_transform_edt(np.pad(scene.valid, 1))[1:-1, 1:-1]
    weight = np.sin(0.5 * np.pi * np.clip(inside / (2 * spacing), 0, 1)) ** 2 / np.sqrt(scene.variance)
    i, j = np.indices(above.shape)
    light = np.maximum(gaussian_blur(above * weight, spacing), np.finfo(float).tiny)
    x, y = (np.sum(k * light) / light.sum() for k in (j, i))
    weight *= np.exp(-((np.pi * ((j - x) ** 2 + (i - y) ** 2) / (columns * cell)) ** 2))
    light = np.maximum(gaussian_blur(above * weight, spacing), np.finfo(float).tiny)
    seen = ndimage.spline_filter(gaussian_blur(above * weight, width, reach=5.0), mode="nearest")
    return Sight(np.asarray(seen), np.asarray(light), width, cell)


@dataclass(frozen=True)
class KnownLattice:
    """A lattice of known shape in an image; lengths in pixels.

    Attributes
    ----------
    basis : (2, 2) float
        Its two vectors as columns.
    origin : (2,) float
        One of its points.
    width : float
        Of the peaks.
    clear : float
        Logarithm of its evidence over that of the best other one, of light anywhere, and of light anywhere in
        rows of sites, whichever is least.
    """

    basis: Floats
    origin: Floats
    width: float
    clear: float


def known_lattice(
    scene: Scene, basis: Floats, other: tuple[Floats, Floats] | None = None
) -> KnownLattice | None:
    """The lattice of some shape, but for rotation, scale and shear, that explains an image best.

    Its `basis` has two vectors as columns, in any orientation; `other` are basis and origin of a lattice that
    the image may have in its place [pixels]. None where there are too few columns, or where the wider their
    peaks, the better.
    """
    basis = reduced(basis)
    closest = float(np.linalg.norm(basis, axis=0).min())
    width = closest / START
    view = sight(scene, basis, width, REFINED_ON)
    if np.pi * view.radius**2 < FEWEST * view.cell:
        return None
    trials = best_trials(sight(scene, basis, width, TRIED_ON), basis)
    found = sorted((refined(view, *trial) for trial in trials), key=lambda each: -each[0])
    if not found or not np.isfinite(found[0][0]):
        return None
    best, lattice, origin = found[0]
    width = best_width(lambda w: sight(scene, basis, w, REFINED_ON), lattice, origin, width)
    if width > WIDEST * WIDTHS * closest / START:
        return None
    view = sight(scene, basis, width, REFINED_ON)
    best, lattice, origin = refined(view, lattice, origin)
    others = [each for each in found[1:] if displaced(view, (lattice, origin), each[1:]) > SAME * closest]
    rivals = [refined(view, *each[1:])[0] for each in others[:1]]
    if other is not None:
        rivals.append(refined(view, *other)[0])
    rivals += [float(view.evidence(finer, origin[None])[0]) for finer in light_within(lattice)]
    return KnownLattice(lattice, origin, width, 0.5 * (best - max(rivals)))


def best_trials(view: Sight, basis: Floats) -> list[tuple[Floats, Floats]]:
    """Bases and origins of the lattices with most evidence among rotations, scales and places."""
    middle, closest = view.middle, float(np.linalg.norm(basis, axis=0).min())
    step = STEP * closest / view.radius
    turn = symmetry(basis)
    angles = np.linspace(0, turn, int(np.ceil(turn / step)), endpoint=False)
    half = int(np.ceil(SCALE / step - 0.5))
    part = (np.arange(PARTS) + 0.5) / PARTS - 0.5
    places = np.stack(np.meshgrid(part, part), axis=-1).reshape(-1, 2)
    trials = []
    for angle in angles:
        for scale in 1 + step * np.arange(-half, half + 1):
            turned = scale * rotation(angle) @ basis
            origins = middle + places @ turned.T
            evidence = view.evidence(turned, np.concatenate([middle[None], origins]))[1:]
            trials += [
                (-float(evidence[k]), k, turned, origins[k]) for k in np.flatnonzero(np.isfinite(evidence))
            ]
    trials.sort(key=lambda trial: trial[:2])
    chosen: list[tuple[Floats, Floats]] = []
    for _, _, turned, origin in trials:
        if len(chosen) == REFINED:
            break
        if all(displaced(view, (turned, origin), other) > SAME * closest for other in chosen):
            chosen.append((turned, origin))
    return chosen


def refined(view: Sight, basis: Floats, origin: Floats) -> tuple[float, Floats, Floats]:
    """Evidence, basis and origin of the lattice near another one that has most evidence."""
    middle = view.middle
    closest = float(np.linalg.norm(basis, axis=0).min())
    steps = 0.5 * STEP * closest / np.array([view.radius] * 4 + [1.0] * 2)

    def lattice(change: Floats) -> tuple[Floats, Floats]:
        change = change * steps
        turn = np.eye(2) + change[:4].reshape(2, 2)
        return turn @ basis, middle + turn @ (origin - middle) + change[4:]

    def cost(change: Floats) -> float:
        turned, place = lattice(change)
        stretch = np.linalg.svd(turned @ np.linalg.inv(basis), compute_uv=False)
        if abs(stretch - 1).max() > SCALE:  # another lattice
            return np.inf
        return -float(view.evidence(turned, place[None])[0])

    best = minimize(
        cost,
        np.zeros(6),
        method="Nelder-Mead",
        options={
            "initial_simplex": np.concatenate([np.zeros((1, 6)), np.eye(6)]),
            "xatol": 0.02,
            "fatol": 0.1,
            "maxfev": 150,
        },
    )
    return -float(best.fun), *lattice(best.x)


def best_width(view: Callable[[float], Sight], basis: Floats, origin: Floats, width: float) -> float:
    """The width of the peaks with which a lattice has most evidence, up to `WIDTHS` times another one."""
    with np.errstate(invalid="ignore"):  # of infinite costs, where too few sites have light
        best = minimize_scalar(
            lambda log: -float(view(float(np.exp(log))).evidence(basis, origin[None])[0]),
            bounds=(np.log(width / WIDTHS), np.log(width * WIDTHS)),
            method="bounded",
            options={"xatol": 0.01},
        )
    return float(np.exp(best.x))


def light_within(basis: Floats) -> list[Floats]:
    """Bases of finer lattices, whose columns merge into even rows in either direction, or into even light.

    A lattice that is there does better than any of these: rows alone may be those of another one.
    """
    a, b, c = translations_of(reduced(basis).T)[::2]
    rows = [np.column_stack([along / 2, across]) for along, across in ((a, b), (b, a), (c, a))]
    return [*rows, basis / 2]


def displaced(view: Sight, one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> float:
    """Median distance of the sites of a lattice from those of another one."""
    basis, origin = other
    place = np.linalg.solve(basis, (view.sites(*one) - origin).T)
    return float(np.median(np.hypot(*(basis @ (place - np.rint(place))))))


def symmetry(basis: Floats) -> float:
    """The least rotation that leaves a lattice as it is.

    Examples
    --------
    >>> np.degrees([symmetry(np.eye(2)), symmetry(np.diag([1.0, 2.0]))]).round().tolist()
    [90.0, 180.0]
    """
    for angle in (np.pi / 3, np.pi / 2):
        step = np.linalg.solve(basis, rotation(angle) @ basis)
        if np.allclose(step, np.rint(step), atol=0.01):
            return float(angle)
    return float(np.pi)


def same_shape(basis: Floats, expected: Floats) -> bool:
    """Whether a lattice has the shape of another one, turned, and slightly scaled and sheared.

    Examples
    --------
    >>> same_shape(np.array([[0.0, -2.0], [2.0, 2.0]]), 2.1 * np.eye(2))
    True
    """
    scale = float(np.sqrt(abs(np.linalg.det(basis) / np.linalg.det(expected))))
    one, other = reduced(basis / scale), reduced(expected)
    difference = abs(one.T @ one) - abs(other.T @ other)
    least = float(other[:, 0] @ other[:, 0])
    return bool(abs(scale - 1) < ALIKE and abs(difference).max() < 2 * ALIKE * least)


def _at(image: Floats, points: Floats, order: int) -> Floats:
    """An image at points x, y, linear between pixels or by the coefficients of its spline."""
    places = points.T[::-1]
    return np.asarray(ndimage.map_coordinates(image, places, order=order, prefilter=False, mode="nearest"))
