"""Atoms as a triangle mesh of small spheres, for programs that render or print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .atom_data import Selection, visible
from .atom_table import atom_table, display_colours, sphere_diameters

if TYPE_CHECKING:
    from tomo.result import Reconstruction


SUBDIVISIONS = 1
"""Fineness of the spheres: 80 triangles for each atom."""


@dataclass(frozen=True)
class Mesh:
    """Triangles with a colour at each vertex.

    Attributes
    ----------
    vertices : (n, 3) float32
        Positions [A].
    normals : (n, 3) float32
        Unit normals, outwards.
    colours : (n, 3) uint8
        Red, green, blue.
    faces : (m, 3) uint32
        Vertices of each triangle, counter-clockwise seen from outside.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    colours: NDArray[np.uint8]
    faces: NDArray[np.uint32]


def unit_sphere(subdivisions: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Icosahedron whose faces are divided into four, `subdivisions` times, and pushed onto the unit sphere.

    Vertices (10 * 4**s + 2, 3) and faces (20 * 4**s, 3).

    Examples
    --------
    >>> [len(part) for part in unit_sphere(1)]
    [42, 80]
    """
    golden = (1 + 5**0.5) / 2
    corners = [(a, b * golden, 0) for a in (-1, 1) for b in (-1, 1)]
    vertices = [v / np.linalg.norm(v) for c in corners for v in (np.roll(c, k) for k in range(3))]
    points = np.array(vertices)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = (distance < 1.1) & (distance > 0)
    faces = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[i, k]
    ]
    faces = [f if np.linalg.det(points[list(f)]) > 0 else (f[0], f[2], f[1]) for f in faces]
    for _ in range(subdivisions):
        middle: dict[tuple[int, int], int] = {}

        def halfway(i: int, j: int, middle: dict[tuple[int, int], int] = middle) -> int:
            key = (min(i, j), max(i, j))
            if key not in middle:
                point = vertices[i] + vertices[j]
                vertices.append(point / np.linalg.norm(point))
                middle[key] = len(vertices) - 1
            return middle[key]

        finer = []
        for i, j, k in faces:
            ij, jk, ki = halfway(i, j), halfway(j, k), halfway(k, i)
            finer += [(i, ij, ki), (j, jk, ij), (k, ki, jk), (ij, jk, ki)]
        faces = finer
    return np.array(vertices), np.array(faces)


def atom_mesh(result: Reconstruction, threshold: float = 0.5) -> Mesh:
    """Spheres of the visible atoms as one mesh, coloured by certainty, or by species if there are several.

    Atoms are sites of at least the certainty `threshold`; those below the two outermost layers are left
    out.
    """
    table = atom_table(result)
    shown = visible(table, Selection(threshold=threshold))
    centres, radii = table.positions[shown], sphere_diameters(result, table)[shown] / 2
    ball, faces = unit_sphere(SUBDIVISIONS)
    n = len(centres)
    vertices = centres[:, None] + radii[:, None, None] * ball
    colours = np.round(255 * display_colours(result, table)[shown]).astype(np.uint8)
    return Mesh(
        vertices.reshape(-1, 3).astype(np.float32),
        np.tile(ball, (n, 1)).astype(np.float32),
        np.repeat(colours, len(ball), axis=0),
        (faces + len(ball) * np.arange(n)[:, None, None]).reshape(-1, 3).astype(np.uint32),
    )
