"""Where one looks and what that is called: rotations into the frame of the screen, names of directions.

All directions follow the image frame of the program: x right, y down, beam into the page along
+[uvw]; so an atom's depth is its coordinate along [uvw] and small depths face the eye.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemcount import InputError


def view_rotation(direction: ArrayLike, up: ArrayLike | None = None) -> NDArray[np.float64]:
    """Proper rotation from crystal axes to the frame of an image taken along `direction`.

    Parameters
    ----------
    direction : (3,) array_like
        Direction [uvw] in which one looks.
    up : (3,) array_like, optional
        Crystal direction that points up (to -y) on the screen. By default [001], or [010] when one
        looks along [001].

    Returns
    -------
    (3, 3) array
        R with ``xyz_image = R @ xyz_crystal``; its third row is the unit vector along `direction`.

    Raises
    ------
    InputError
        If `direction` is not a direction.

    Examples
    --------
    >>> np.round(view_rotation((0, 0, 1)), 3) + 0.0
    array([[-1.,  0.,  0.],
           [ 0., -1.,  0.],
           [ 0.,  0.,  1.]])
    """
    try:
        z = np.asarray(direction, dtype=float)
    except (TypeError, ValueError):  # text, or lists of different lengths
        z = np.zeros(0)
    if z.shape != (3,) or not np.isfinite(z).all() or not z.any():
        raise InputError(f"{direction!r} is not a direction: expected three numbers [uvw], not all zero.")
    z = z / np.linalg.norm(z)
    candidates = [np.eye(3)[2], np.eye(3)[1]] if up is None else [np.asarray(up, float), *np.eye(3)[::-1]]
    for candidate in candidates:
        y = -(candidate - (candidate @ z) * z)
        if np.linalg.norm(y) > 1e-3 * np.linalg.norm(candidate):
            break
    y = y / np.linalg.norm(y)
    return np.array([np.cross(y, z), y, z])


def oblique_direction(
    direction: ArrayLike, azimuth: float = 24.0, elevation: float = 14.0
) -> NDArray[np.float64]:
    """`direction` turned by small angles [degree], so that a lattice is not seen end on."""
    azimuth_rad, elevation_rad = np.deg2rad((azimuth, elevation))
    local = (
        np.sin(azimuth_rad) * np.cos(elevation_rad),
        np.sin(elevation_rad),
        np.cos(azimuth_rad) * np.cos(elevation_rad),
    )
    return np.asarray(local) @ view_rotation(direction)


def direction_name(direction: ArrayLike) -> str:
    """Crystal direction as text, bars over negative indices: ``[11̄0]``.

    Examples
    --------
    >>> direction_name((1, 1, 0))
    '[110]'
    """
    indices = [int(v) for v in np.asarray(direction)]
    separator = "" if max(abs(i) for i in indices) < 10 else " "
    return "[" + separator.join(f"{abs(i)}\u0304" if i < 0 else f"{i}" for i in indices) + "]"
