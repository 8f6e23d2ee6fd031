"""Draw atoms as shaded spheres into an array: no window, no graphics card, no display.

Every atom is a sphere seen in parallel projection. A depth buffer keeps the nearest one in each
pixel; light, soft shadows in crevices (ambient occlusion estimated from the depth buffer) and
outlines at depth steps are added afterwards for all pixels at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter

from .geometry import view_rotation

LIGHT = np.array([-0.45, -0.62, -0.64])
"""Direction to the light in the image frame (left, above, towards the eye)."""
BAND = 64
"""Rows of the picture that are shaded at a time."""


@dataclass(frozen=True)
class Scene:
    """Where a picture of atoms lies in the image frame.

    Attributes
    ----------
    rgba : (rows, cols, 4) float
        The picture, 0..1, transparent where there is no atom unless a background was given.
    extent : tuple of 4 float
        Edges (left, right, bottom, top) in the image frame [A], as `Axes.imshow` takes them.
    """

    rgba: NDArray[np.float64]
    extent: tuple[float, float, float, float]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill_depth(xyz: NDArray, radius: NDArray, depth: NDArray, owner: NDArray) -> None:
    """Nearest sphere of every pixel; xyz and radius in pixels, x, y from the centre of pixel (0, 0)."""
    rows, cols = depth.shape
    for atom in range(xyz.shape[0]):
        x, y, z = xyz[atom]
        r = radius[atom]
        for i in range(max(0, int(np.ceil(y - r))), min(rows - 1, int(np.floor(y + r))) + 1):
            for j in range(max(0, int(np.ceil(x - r))), min(cols - 1, int(np.floor(x + r))) + 1):
                inside = r * r - (j - x) ** 2 - (i - y) ** 2
                if inside > 0.0:
                    surface = z - np.sqrt(inside)
                    if surface < depth[i, j]:
                        depth[i, j] = surface
                        owner[i, j] = atom


def _crevices(depth: NDArray, owner: NDArray, scale: float) -> NDArray[np.float64]:
    """Light that pixels lack because they lie deeper than the mean of their surroundings, 0..1."""
    hit = owner >= 0
    filled = np.where(hit, depth, depth[hit].max())
    occlusion = np.zeros(depth.shape)
    for size in (2.0 * scale, 5.0 * scale):
        lower = filled - uniform_filter(filled, size=max(3, int(size)), mode="nearest")
        occlusion += 0.5 * np.clip(lower / (0.9 * size), 0.0, 1.0)
    return occlusion


def _shade(
    xyz: NDArray,
    radius: NDArray,
    colours: NDArray,
    pixels: tuple[NDArray, NDArray],
    depth: NDArray,
    atom: NDArray,
    occlusion: NDArray,
    fog: NDArray,
) -> NDArray[np.float64]:
    """Colour of pixels (n, 3) from the normals of their spheres, the light and the depths around them.

    `pixels` holds their rows and columns; `depth`, the sphere `atom`, `occlusion` and `fog` are (n,).
    """
    i, j = pixels
    r = radius[atom]
    normal = np.stack([j - xyz[atom, 0], i - xyz[atom, 1], depth - xyz[atom, 2]], axis=1) / r[:, None]
    light = LIGHT / np.linalg.norm(LIGHT)
    diffuse = np.clip(normal @ light, 0.0, 1.0)
    halfway = light + np.array([0.0, 0.0, -1.0])
    halfway /= np.linalg.norm(halfway)
    gloss = np.clip(normal @ halfway, 0.0, 1.0) ** 40
    ambient = 0.46 + 0.10 * normal @ np.array([0.0, -1.0, 0.0])
    shade = (ambient + 0.62 * diffuse) * (1.0 - 0.75 * occlusion) * (1.0 - 0.14 * fog)
    rim = np.clip(-normal[:, 2], 0.0, 1.0)
    shade *= 0.55 + 0.45 * np.clip(rim / 0.42, 0.0, 1.0)
    return np.asarray(
        np.clip(colours[atom] * shade[:, None] + 0.20 * (gloss * (1 - occlusion))[:, None], 0.0, 1.0)
    )


def _paint(
    xyz: NDArray, radius: NDArray, colours: NDArray, depth: NDArray, owner: NDArray, supersample: int
) -> NDArray[np.float64]:
    """Picture (rows, cols, 4) of a depth buffer, colours multiplied by the share of a pixel that is covered.

    In bands of rows: what shading needs for each sub-pixel would fill the memory for a large picture.
    """
    height, width = (side // supersample for side in depth.shape)
    rgba = np.zeros((height, width, 4))
    if not (owner >= 0).any():
        return rgba
    scale = float(np.median(radius))
    occlusion = _crevices(depth, owner, scale)
    near, far = float(depth.min()), float(depth[owner >= 0].max())
    span = max(far - near, 4 * scale)
    for first in range(0, height, BAND):
        rows = slice(supersample * first, supersample * min(first + BAND, height))
        of_band = owner[rows].ravel()
        hit = np.flatnonzero(of_band >= 0)
        i, j = np.divmod(hit, owner.shape[1])
        z = depth[rows].ravel()[hit]
        fine = np.zeros((len(of_band), 4))
        fine[hit, :3] = _shade(
            xyz,
            radius,
            colours,
            (i + rows.start, j),
            z,
            of_band[hit],
            occlusion[rows].ravel()[hit],
            (z - near) / span,
        )
        fine[hit, 3] = 1.0
        rgba[first : first + BAND] = _mean_of_blocks(fine.reshape(-1, owner.shape[1], 4), supersample)
    return rgba


def _mean_of_blocks(fine: NDArray, side: int) -> NDArray[np.float64]:
    """Mean over blocks of side x side pixels, five times faster than numpy's over two axes."""
    parts = [fine[i::side, j::side] for i in range(side) for j in range(side)]
    return np.asarray(sum(parts[1:], parts[0]) / side**2)


def frame_scale(xyz: NDArray, radius: float, size: tuple[int, int], margin: float) -> float:
    """Pixels per A at which atoms about the origin fit into a picture from every direction."""
    reach = float(np.linalg.norm(xyz, axis=1).max(initial=0.0)) + radius
    return (1.0 - 2 * margin) * min(size) / (2.0 * reach)


def render_spheres(
    xyz: ArrayLike,
    colours: ArrayLike,
    radius: float | ArrayLike,
    direction: ArrayLike = (1, 1, 0),
    *,
    up: ArrayLike | None = None,
    size: tuple[int, int] = (800, 800),
    scale: float | None = None,
    centre: ArrayLike | None = None,
    background: ArrayLike | None = None,
    supersample: int = 2,
) -> Scene:
    """Picture of shaded spheres seen along a crystal direction.

    Parameters
    ----------
    xyz : (n, 3) array_like
        Positions in crystal axes [A].
    colours : (n, 3) array_like
        Red, green, blue of each sphere, 0..1.
    radius : float or (n,) array_like
        Radius of the spheres [A].
    direction, up : (3,) array_like
        Direction in which one looks, and the crystal direction that points up; see `view_rotation`.
    size : tuple of 2 int
        Width and height of the picture [pixels].
    scale : float, optional
        Pixels per A; by default everything fits, tightly.
    centre : (3,) array_like, optional
        Point in crystal axes in the middle of the picture [A]; by default the middle of what is seen.
    background : (3,) array_like, optional
        Colour behind the spheres; None leaves it transparent.
    supersample : int
        Sub-pixels along each edge of a pixel, for smooth outlines.

    Returns
    -------
    Scene

    Examples
    --------
    >>> scene = render_spheres([(0, 0, 0)], [(1, 0.8, 0)], 1.4, size=(64, 48))
    >>> scene.rgba.shape
    (48, 64, 4)
    """
    xyz = np.asarray(xyz, float).reshape(-1, 3)
    colours = np.asarray(colours, float).reshape(-1, 3)
    radii = np.broadcast_to(np.asarray(radius, float), (len(xyz),))
    width, height = size
    seen = xyz @ view_rotation(direction, up).T
    low = (seen - radii[:, None]).min(axis=0, initial=np.inf if len(xyz) else 0.0)
    high = (seen + radii[:, None]).max(axis=0, initial=-np.inf if len(xyz) else 1.0)
    middle = (low + high) / 2 if centre is None else view_rotation(direction, up) @ np.asarray(centre, float)
    if scale is None:
        scale = 0.94 * min(width / (high - low)[0], height / (high - low)[1])
    scale = float(scale)

    fine = supersample * scale
    origin = np.array([(supersample * width - 1) / 2, (supersample * height - 1) / 2, 0.0])
    pixels = (seen - middle) * fine + origin
    depth = np.full((supersample * height, supersample * width), np.inf)
    owner = np.full(depth.shape, -1, dtype=np.int32)
    _fill_depth(pixels, radii * fine, depth, owner)
    rgba = _paint(pixels, radii * fine, colours, depth, owner, supersample)
    cover = rgba[..., 3:]
    if background is None:  # undo the premultiplication by coverage
        rgba[..., :3] = np.divide(rgba[..., :3], cover, out=np.zeros_like(rgba[..., :3]), where=cover > 0)
    else:
        rgba[..., :3] += (1.0 - cover) * np.asarray(background, float)
        rgba[..., 3] = 1.0
    half_width, half_height = width / scale / 2, height / scale / 2
    x, y = middle[:2]
    return Scene(rgba, (x - half_width, x + half_width, y + half_height, y - half_height))
