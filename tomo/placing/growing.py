"""Places of columns on a lattice, and the lattice grown over an image with its smooth distortion."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints
from ..crystal import Crystal
from ..zone import Zone, column_shifts
from .distortion import best_field

WHOLE = 1e-6  # line coordinates this close to whole numbers are whole
TOLERANCE = 0.3  # a column belongs to a line if nearer than this share of the shortest spacing


def smallest_gap(geometry: Zone, crystal: Crystal) -> float:
    """Shortest distance between two places where a column may be [A]."""
    gaps = [geometry.spacing(crystal.a)]
    neighbours = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    for second, first in combinations(column_shifts(geometry.zone_axis, crystal), 2):
        apart = geometry.positions(neighbours + (second - first), crystal.a)
        gaps.append(np.linalg.norm(apart, axis=1).min())
    return float(min(gaps))


def onto_themselves(places: Floats, geometry: Zone) -> Ints:
    """Rotations (rows of `Zone.plane_rotations`) that move places (n, 2) by nothing but lattice vectors."""
    moved = places @ geometry.plane_rotations().swapaxes(1, 2) - places
    return np.flatnonzero(np.abs(moved - np.rint(moved)).max(axis=(1, 2)) < WHOLE)


def assign_lines(fractional: Floats, geometry: Zone, crystal: Crystal) -> tuple[Ints, Ints, Floats]:
    """Nearest column place to line coordinates (n, 2): line, type and distance [A]."""
    best = np.full(len(fractional), np.inf)
    lines = np.zeros((len(fractional), 2), dtype=np.int64)
    kind = np.zeros(len(fractional), dtype=np.int64)
    for number, shift in enumerate(column_shifts(geometry.zone_axis, crystal)):
        base = np.rint(fractional - shift).astype(np.int64)
        # of a reduced basis, the nearest line has the rounded coordinates or is beside that along an edge
        for step in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            trial = base + np.array(step)
            gap = geometry.positions(fractional - shift - trial, crystal.a)
            distance = np.hypot(gap[:, 0], gap[:, 1])
            better = distance < best - 1e-12
            best[better], lines[better], kind[better] = distance[better], trial[better], number
    return lines, kind, best


def grow(points: Floats, matrix: Floats, geometry: Zone, crystal: Crystal) -> Floats:
    """Line coordinates (n, 2), fractional, of all points: from a seed outwards.

    `matrix` maps ideal projected vectors to image vectors. For a crystal with several column types
    each type is tried for the seed and the one that explains most columns is taken.
    """
    seed = _seed_point(points, matrix, geometry, crystal)
    best: Floats | None = None
    best_score = -np.inf
    for number in range(len(column_shifts(geometry.zone_axis, crystal))):
        fractional = _grow_from(points, seed, number, matrix, geometry, crystal)
        distance = assign_lines(fractional, geometry, crystal)[2] / smallest_gap(geometry, crystal)
        score = float(np.mean(np.exp(-0.5 * (distance / 0.15) ** 2)))
        if score > best_score + 1e-9:
            best, best_score = fractional, score
    assert best is not None
    return best


def _seed_point(points: Floats, matrix: Floats, geometry: Zone, crystal: Crystal) -> int:
    """A point near the middle whose neighbours lie where the lattice says."""
    count = min(len(points) - 1, 8)
    neighbours = cKDTree(points).query(points, k=count + 1)[1][:, 1:]
    to_lines = np.linalg.inv(matrix @ geometry.plane_basis * crystal.a / 2)
    vectors = (points[neighbours] - points[:, None]).reshape(-1, 2)
    fractional = vectors @ to_lines.T
    misfit = geometry.positions(fractional - np.rint(fractional), crystal.a)
    score = np.exp(-0.5 * (misfit**2).sum(axis=1) / (0.15 * geometry.spacing(crystal.a)) ** 2)
    order = score.reshape(-1, count).mean(axis=1)
    centre = np.median(points, axis=0)
    away = np.linalg.norm(points - centre, axis=1)
    return int(np.argmax(order - 0.3 * away / max(away.max(), 1e-9)))


def _grow_from(
    points: Floats,
    seed: int,
    seed_type: int,
    matrix: Floats,
    geometry: Zone,
    crystal: Crystal,
) -> Floats:
    """Expanding window: fit the points inside, predict those a little further out, and again."""
    shifts = column_shifts(geometry.zone_axis, crystal)
    tolerance = TOLERANCE * smallest_gap(geometry, crystal)
    to_ideal = np.linalg.inv(matrix)
    ideal = (points - points[seed]) @ to_ideal.T + geometry.positions(shifts[seed_type], crystal.a)[0]
    away = np.linalg.norm(points - points[seed], axis=1)
    to_lines = np.linalg.inv(geometry.plane_basis * crystal.a / 2)
    radius = 2.6 * np.sqrt(geometry.cell_area(crystal.a) / len(shifts))
    last = False
    while True:
        inside = away <= radius
        last = bool(inside.all())
        for _ in range(4 if last else 2):
            lines, kind, distance = assign_lines(ideal @ to_lines.T, geometry, crystal)
            good = inside & (distance < tolerance)
            if np.count_nonzero(good) < 6:
                break
            target = geometry.positions(lines[good] + shifts[kind[good]], crystal.a)
            ideal = best_field(points[good], target, 5 if last else 3)(points)
        if last:
            return np.asarray(ideal @ to_lines.T)
        radius *= 1.35
