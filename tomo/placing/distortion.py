"""Smooth distortion of an image: a robust polynomial map between positions in the plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Floats


@dataclass(frozen=True, eq=False)
class SmoothField:
    """A polynomial map of the plane, from positions [A] to positions [A].

    Beyond the disc that held the data only the linear part goes on, so that no polynomial runs away.

    Attributes
    ----------
    coefficients : (m, 2) float
        One row per monomial 1, x, y, x^2, xy, y^2, ... of positions scaled to the unit disc.
    centre : (2,) float
        Centre of the disc [A].
    radius : float
        Its radius [A].
    """

    coefficients: Floats
    centre: Floats
    radius: float

    @property
    def degree(self) -> int:
        """Degree of the polynomial; 1 is an affine map."""
        return int(np.rint((np.sqrt(8 * len(self.coefficients) + 1) - 3) / 2))

    @property
    def matrix(self) -> Floats:
        """(2, 2) linear part at the centre."""
        return np.asarray(self.coefficients[1:3].T / self.radius)

    @property
    def offset(self) -> Floats:
        """(2,) constant part: what the affine part gives at the origin [A]."""
        return np.asarray(self.coefficients[0] - self.matrix @ self.centre)

    def __call__(self, positions: Floats) -> Floats:
        """Map positions (n, 2) [A]."""
        scaled = (positions - self.centre) / self.radius
        length = np.linalg.norm(scaled, axis=1, keepdims=True)
        inside = scaled / np.maximum(length / 1.05, 1)
        return np.asarray(
            monomials(inside, self.degree) @ self.coefficients + (scaled - inside) @ self.coefficients[1:3]
        )

    def jacobian(self, positions: Floats) -> Floats:
        """Derivatives (n, 2, 2) of the map, d out / d in, by central differences over 0.1 A."""
        step = 0.05
        sides = [
            (self(positions + shift) - self(positions - shift)) / (2 * step)
            for shift in (np.array([step, 0.0]), np.array([0.0, step]))
        ]
        return np.stack(sides, axis=-1)


def fit_field(positions: Floats, target: Floats, degree: int) -> SmoothField:
    """Least-squares polynomial of one degree, 1 to 5, from positions (n, 2) to a target [A].

    Outliers beyond four standard deviations are left out.
    """
    centre = (positions.min(axis=0) + positions.max(axis=0)) / 2
    radius = float(max(np.linalg.norm(positions - centre, axis=1).max(), 1e-9))
    design = monomials((positions - centre) / radius, degree)
    use = np.ones(len(positions), dtype=bool)
    coefficients: Floats = np.zeros((design.shape[1], 2))
    for _ in range(3):
        coefficients = np.asarray(np.linalg.lstsq(design[use], target[use], rcond=None)[0])
        misfit = np.linalg.norm(design @ coefficients - target, axis=1)
        # 1.18 standard deviations is the median radius of a 2D Gaussian; 1e-6 A lets exact data pass
        use = misfit < 4 * np.median(misfit[use]) / 1.18 + 1e-6
        if np.count_nonzero(use) < 2 * design.shape[1]:
            break
    return SmoothField(coefficients, centre, radius)


def best_field(positions: Floats, target: Floats, highest: int) -> SmoothField:
    """Polynomial of the degree that the data want, by the Bayesian information criterion; see `fit_field`.

    The `highest` degree tried is less if there are fewer than four points per coefficient.
    """
    n = len(positions)
    chosen = fit_field(positions, target, 1)
    best = np.inf
    for degree in range(1, highest + 1):
        terms = (degree + 1) * (degree + 2) // 2
        if degree > 1 and n < 4 * terms:
            break
        field = chosen if degree == 1 else fit_field(positions, target, degree)
        misfit = np.linalg.norm(field(positions) - target, axis=1)
        scatter = max(float(np.median(misfit)) / 1.18, 1e-4)  # 1e-4 A: below any measurement
        criterion = 4 * n * np.log(scatter) + 2 * terms * np.log(2 * n)
        if criterion < best:
            best, chosen = criterion, field
    return chosen


def monomials(positions: Floats, degree: int) -> Floats:
    x, y = positions.T
    return np.column_stack([x ** (p - q) * y**q for p in range(degree + 1) for q in range(p + 1)])
