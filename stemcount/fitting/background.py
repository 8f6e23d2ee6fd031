"""Backgrounds with few parameters: constant, plane, smooth.

The background is a sum of products of Legendre polynomials P_i(u) P_j(v) with i + j <= degree,
where u and v run from -1 to 1 over the image. Degree 0 is a constant, 1 a plane, `SMOOTH_DEGREE`
what `fit_columns` calls "smooth". The number of coefficients tells the degree.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre

from ..arrays import Floats
from ..errors import InputError

SMOOTH_DEGREE = 5  # a hill half as wide as the image to within the noise; degree 3 leaves a tenth of it
DEGREES = {"constant": 0, "plane": 1, "smooth": SMOOTH_DEGREE}


def background_basis(shape: tuple[int, int], degree: int) -> Floats:
    """Images (m, rows, cols) whose weighted sum is the background, up to a total degree; none for -1.

    P_i(u) P_j(v), the constant first, then by total degree and falling i: u (to the right), v (down), P_2(u),
    u v, P_2(v), ...; m = (degree + 1)(degree + 2) / 2.

    Examples
    --------
    >>> background_basis((4, 5), 1).shape
    (3, 4, 5)
    """
    rows, cols = shape
    u = np.linspace(-1, 1, cols) if cols > 1 else np.zeros(1)
    v = np.linspace(-1, 1, rows) if rows > 1 else np.zeros(1)
    across = legendre.legvander(u, max(degree, 0))
    down = legendre.legvander(v, max(degree, 0))
    images = [np.outer(down[:, d - i], across[:, i]) for d in range(degree + 1) for i in range(d, -1, -1)]
    return np.array(images, dtype=float).reshape(len(images), rows, cols)


def background_from_coefficients(coefficients: Floats, shape: tuple[int, int]) -> Floats:
    """Background image (rows, cols) of coefficients (m,), as `ColumnFit.background` holds them.

    An `InputError` where m is not (d + 1)(d + 2) / 2 for any degree d.

    Examples
    --------
    >>> background_from_coefficients(np.array([2.0]), (1, 2))
    array([[2., 2.]])
    """
    return np.tensordot(coefficients, background_basis(shape, _degree_of(len(coefficients))), axes=1)


def background_name(coefficients: Floats) -> str:
    """What `fit_columns` calls the background of a set of coefficients.

    Examples
    --------
    >>> background_name(np.array([2.0, 0.1, 0.0]))
    'plane'
    """
    return name_of_degree(_degree_of(len(coefficients)))


def name_of_degree(degree: int) -> str:
    """What `fit_columns` calls the least background that holds polynomials of a degree."""
    return next(name for name, highest in DEGREES.items() if degree <= highest)


def _degree_of(m: int) -> int:
    """Degree of the polynomials with m coefficients."""
    degree = round((np.sqrt(8 * m + 1) - 3) / 2)
    if (degree + 1) * (degree + 2) // 2 != m:
        raise InputError(f"background: {m} coefficients do not make a polynomial; expected 1, 3, 6, 10, ...")
    return degree
