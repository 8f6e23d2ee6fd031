"""Geometry of a zone axis: the lines of the fcc grid along it and where they project in the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, Ints
from .crystal import Crystal
from .errors import InputError, are_whole, as_numbers, check_kind, check_number
from .grid import grid_vector, triple


def _whole(name: str, values: ArrayLike, width: int) -> Ints:
    """Rows (n, width) of whole numbers."""
    rows = np.asarray(values)
    if rows.dtype.kind not in "iu" or rows.size % width:
        numbers = as_numbers(name, values)
        if numbers.size % width or not are_whole(numbers):
            raise InputError(f"{name}: expected rows of {width} whole numbers, got shape {numbers.shape}.")
        rows = numbers
    return rows.astype(np.int64, copy=False).reshape(-1, width)


@dataclass(frozen=True, eq=False)
class Zone:
    """The fcc grid seen along one zone axis.

    Every grid site s (h, k, l with h + k + l even) is s = i b1 + j b2 + n t with whole numbers i, j, n:
    the basis is unimodular in the grid. All sites of one grid line share (i, j), the line's name.

    Attributes
    ----------
    zone_axis : tuple of 3 int
        Viewing direction [uvw] without common divisor; the beam travels along +[uvw].
    t : tuple of 3 int
        Shortest grid vector along [uvw], e.g. (2, 0, 0) for [100] and (1, 1, 0) for [110].
    b1, b2 : tuple of 3 int
        Grid vectors whose projections are the shortest basis of the projected grid; b1, b2, t are
        right-handed.
    rotation : (3, 3) float
        Proper rotation R from crystal to image frame (x right, y down, beam into the page):
        R maps the unit vector along [uvw] to (0, 0, 1), and the projection of b1 lies along +x.
    """

    zone_axis: tuple[int, int, int]
    t: tuple[int, int, int]
    b1: tuple[int, int, int]
    b2: tuple[int, int, int]
    rotation: Floats

    @property
    def basis(self) -> Ints:
        """Grid vectors b1, b2, t as the columns of a (3, 3) int matrix [a/2]."""
        return np.array([self.b1, self.b2, self.t], dtype=np.int64).T

    @property
    def plane_basis(self) -> Floats:
        """Projections of b1 and b2 as the columns of a (2, 2) matrix, image frame [a/2]."""
        return np.asarray(self.rotation[:2] @ self.basis[:, :2])

    def lines(self, sites: ArrayLike) -> Ints:
        """Names (i, j) of the grid lines through grid sites (n, 3); exact.

        Examples
        --------
        >>> zone_geometry((1, 1, 0)).lines([[0, 0, 0], [1, 1, 0], [5, 5, 0]]).tolist()
        [[0, 0], [0, 0], [0, 0]]
        """
        sites = _whole("sites", sites, 3)
        odd = (sites.sum(axis=1) & 1) == 1
        if odd.any():
            bad = sites[odd][0]
            raise InputError(f"site {tuple(bad.tolist())} is not on the fcc grid: h + k + l must be even.")
        onto, determinant = _onto_names(self.b1, self.b2, self.t)
        return np.asarray((sites @ onto) // determinant)

    def sites(self, lines: ArrayLike) -> Ints:
        """One grid site (h, k, l) on each of the lines (n, 2): the one nearest to the plane through
        the origin."""
        lines = _whole("lines", lines, 2)
        sites = lines @ self.basis[:, :2].T
        t = np.array(self.t)
        return np.asarray(sites - np.rint(sites @ t / (t @ t)).astype(np.int64)[:, None] * t)

    def positions(self, lines: ArrayLike, a: float) -> Floats:
        """Projected positions (x, y) of lines (n, 2), whole or fractional, in the image frame [A].

        Parameters
        ----------
        lines : (n, 2) array
            Line names (i, j); fractions lie between the lines.
        a : float
            Lattice parameter [A].
        """
        rows = as_numbers("lines", lines)
        if rows.size % 2:
            raise InputError(f"lines: expected rows of 2 numbers, got shape {rows.shape}.")
        check_number("a", a, 0)
        return np.asarray(rows.reshape(-1, 2) @ self.plane_basis.T * (a / 2))

    def fractional(self, offset: ArrayLike) -> Floats:
        """Line coordinates (i, j), fractional, of any point (3,) of the crystal given in a/2."""
        return np.asarray(np.linalg.solve(self.basis.astype(float), np.asarray(offset, dtype=float))[:2])

    def cell_area(self, a: float) -> float:
        """Area per grid line in the image [A^2]."""
        return float(abs(np.linalg.det(self.plane_basis)) * (a / 2) ** 2)

    def spacing(self, a: float) -> float:
        """Shortest distance between two lines [A]."""
        return float(np.linalg.norm(self.plane_basis[:, 0]) * a / 2)

    @property
    def onto_lines(self) -> Floats:
        """Matrix (2, 3) that takes a point of the crystal [a/2] to its line coordinates (i, j)."""
        return np.asarray(np.linalg.inv(self.basis)[:2])

    def placed(self, lines: Ints, rotation: int, shift: ArrayLike) -> Ints:
        """Lines (n, 2) turned by one of `plane_rotations`, then shifted."""
        return np.asarray(lines @ self.plane_rotations()[rotation].T + np.asarray(shift))

    def plane_rotations(self) -> Ints:
        """Proper rotations of the image plane that map the projected grid to itself.

        Returns
        -------
        (m, 2, 2) int
            Matrices A acting on line names, (i, j) -> A (i, j), by angle from 0; m is 2, 4 or 6.

        Examples
        --------
        >>> [len(zone_geometry(z).plane_rotations()) for z in [(0, 0, 1), (1, 1, 0), (1, 1, 1), (2, 1, 0)]]
        [4, 2, 6, 2]
        """
        return _plane_rotations(self.zone_axis)


@dataclass(frozen=True)
class ColumnType:
    """A kind of column of a crystal seen along a zone axis.

    Attributes
    ----------
    sublattices : tuple of int
        Sublattices (index into `crystal.sublattices`) whose atoms share these columns.
    shift : tuple of 2 float
        Where the columns project, relative to the lines of the counted sublattice, in line
        coordinates (i, j), each in [0, 1).
    name : str
        Species of the type, e.g. "Pb+Se".
    """

    sublattices: tuple[int, ...]
    shift: tuple[float, float]
    name: str = ""


def zone_geometry(zone_axis: ArrayLike) -> Zone:
    """Geometry of the fcc grid along any integer zone axis.

    Parameters
    ----------
    zone_axis : (3,) int
        Viewing direction [uvw]; a common divisor is taken out.

    Returns
    -------
    Zone

    Raises
    ------
    InputError
        If the axis is not three integers, all are zero, or one exceeds 1000.

    Examples
    --------
    >>> zone_geometry((1, 1, 2)).t, zone_geometry((1, 1, 1)).t
    ((1, 1, 2), (2, 2, 2))
    """
    return _zone(triple(grid_vector(zone_axis)))


@lru_cache(maxsize=256)
def _zone(along: tuple[int, int, int]) -> Zone:
    t = np.array(along, dtype=np.int64)
    axis = t // np.gcd.reduce(t)
    b1, b2 = _reduce(*_complement(t), axis)
    b1, b2 = (b - int(np.rint(b @ t / (t @ t))) * t for b in (b1, b2))
    if np.linalg.det(np.array([b1, b2, t], dtype=float)) < 0:
        b2 = -b2
    e3 = axis / np.linalg.norm(axis)
    e1 = b1 - (b1 @ e3) * e3
    e1 = e1 / np.linalg.norm(e1)
    rotation = np.array([e1, np.cross(e3, e1), e3])
    rotation.setflags(write=False)
    return Zone(triple(axis), along, triple(b1), triple(b2), rotation)


@lru_cache(maxsize=256)  # registration asks thousands of times
def _plane_rotations(zone_axis: tuple[int, int, int]) -> Ints:
    zone = zone_geometry(zone_axis)
    gram = _projected_gram(np.array([zone.b1, zone.b2]), np.array(zone_axis))
    found = []
    for entries in np.ndindex(3, 3, 3, 3):
        matrix = np.array(entries).reshape(2, 2) - 1
        same_metric = np.array_equal(matrix.T @ gram @ matrix, gram)
        if same_metric and matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0] == 1:
            x, y = zone.plane_basis @ matrix[:, 0]
            found.append((round(float(np.arctan2(y, x)), 9) % (2 * np.pi), matrix))
    rotations = np.array([matrix for _, matrix in sorted(found, key=lambda item: item[0])], dtype=np.int64)
    rotations.setflags(write=False)
    return rotations


def _complement(t: Ints) -> tuple[Ints, Ints]:
    """Two grid vectors that with t span the whole fcc grid."""
    grid = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.int64).T
    adjugate, determinant = _adjugate(grid)
    c = adjugate @ t // determinant  # t in the primitive basis, without common divisor
    # Euclid on the entries of c, kept as unimodular row operations U: U c = (0, 0, +-1).
    u = np.eye(3, dtype=np.int64)
    c = c.copy()
    while np.count_nonzero(c) > 1:
        order = [k for k in np.argsort(np.abs(c), kind="stable") if c[k] != 0]
        small = order[0]
        for k in order[1:]:
            factor = int(c[k] // c[small])
            c[k] -= factor * c[small]
            u[k] -= factor * u[small]
    last = int(np.flatnonzero(c)[0])
    inverse = np.rint(np.linalg.inv(u.astype(float))).astype(np.int64)
    first, second = (inverse[:, k] for k in range(3) if k != last)
    return grid @ first, grid @ second


def _reduce(b1: Ints, b2: Ints, axis: Ints) -> tuple[Ints, Ints]:
    """Lagrange-Gauss reduction of the projections of b1 and b2 along the axis, in whole numbers."""
    while True:
        gram = _projected_gram(np.array([b1, b2]), axis)
        if gram[0, 0] > gram[1, 1]:
            b1, b2 = b2, b1
            continue
        factor = int(np.rint(gram[0, 1] / gram[0, 0]))
        if factor == 0 or abs(2 * gram[0, 1]) <= gram[0, 0]:
            return b1, b2
        b2 = b2 - factor * b1


def _projected_gram(vectors: Ints, axis: Ints) -> Ints:
    """Scalar products of projected vectors times |axis|^2, which keeps them whole."""
    along = vectors @ axis
    return np.asarray(vectors @ vectors.T * (axis @ axis) - np.outer(along, along))


@lru_cache(maxsize=256)  # placing asks thousands of times
def _onto_names(*basis: tuple[int, int, int]) -> tuple[Ints, int]:
    """Matrix (3, 2) that takes sites (n, 3) to the names of their lines times a number, and that number."""
    adjugate, determinant = _adjugate(np.array(basis, dtype=np.int64).T)
    onto = adjugate[:2].T
    onto.setflags(write=False)
    return onto, determinant


def _adjugate(matrix: Ints) -> tuple[Ints, int]:
    """Adjugate and determinant of a (3, 3) int matrix, so that adjugate @ matrix = determinant."""
    rows = matrix.T
    adjugate = np.array(
        [np.cross(rows[1], rows[2]), np.cross(rows[2], rows[0]), np.cross(rows[0], rows[1])], dtype=np.int64
    )
    return adjugate, int(adjugate[0] @ rows[0])


def column_types(zone_axis: ArrayLike, crystal: Crystal) -> tuple[ColumnType, ...]:
    """Which sublattices of a crystal project where along a zone axis.

    The first type holds the counted sublattice, at shift (0, 0).

    Parameters
    ----------
    zone_axis : (3,) int
        Viewing direction [uvw].
    crystal : Crystal
        The crystal.

    Returns
    -------
    tuple of ColumnType

    Raises
    ------
    InputError
        If the zone axis is no direction or `crystal` no crystal.

    Examples
    --------
    >>> from tomo import rock_salt
    >>> [t.sublattices for t in column_types((1, 0, 0), rock_salt("Pb", "Se", 6.1))]
    [(0, 1)]
    >>> [t.sublattices for t in column_types((1, 1, 0), rock_salt("Pb", "Se", 6.1))]
    [(0,), (1,)]
    >>> [t.name for t in column_types((1, 0, 0), rock_salt("Pb", "Se", 6.1))]
    ['Pb+Se']
    """
    check_kind("crystal", crystal, Crystal)
    return _column_types(zone_geometry(zone_axis).zone_axis, crystal)


@lru_cache(maxsize=256)
def _column_types(zone_axis: tuple[int, int, int], crystal: Crystal) -> tuple[ColumnType, ...]:
    geometry = zone_geometry(zone_axis)
    origin = np.asarray(crystal.sublattices[0].offset, dtype=float)
    shifts: list[Floats] = []
    members: list[list[int]] = []
    for index, sublattice in enumerate(crystal.sublattices):
        shift = geometry.fractional(np.asarray(sublattice.offset, dtype=float) - origin)
        shift = np.round(shift - np.floor(shift + 1e-9), 9) + 0.0
        for known, member in zip(shifts, members, strict=True):
            if np.allclose(known, shift, atol=1e-6):
                member.append(index)
                break
        else:
            shifts.append(shift)
            members.append([index])
    return tuple(
        ColumnType(
            tuple(member),
            (float(shift[0]), float(shift[1])),
            "+".join(dict.fromkeys(crystal.sublattices[index].species for index in member)),
        )
        for shift, member in zip(shifts, members, strict=True)
    )


def column_shifts(zone_axis: ArrayLike, crystal: Crystal) -> Floats:
    """Where each of `column_types` projects, relative to the lines of the counted sublattice, (m, 2).

    Examples
    --------
    >>> from tomo import rock_salt
    >>> column_shifts((1, 1, 0), rock_salt("Pb", "Se", 6.1)).tolist()
    [[0.0, 0.0], [0.5, 0.5]]
    """
    return np.array([kind.shift for kind in column_types(zone_axis, crystal)])


def six_steps(geometry: Zone) -> Ints:
    """Steps (6, 2) from a line to those around it: along both edges of the cell and its short diagonal.

    The diagonals of a square net are equally long; of these it is (1, -1).

    Examples
    --------
    >>> six_steps(zone_geometry((1, 1, 1))).tolist()
    [[1, 0], [0, 1], [1, -1], [-1, 0], [0, -1], [-1, 1]]
    """
    lengths = np.linalg.norm(geometry.positions([(1, 1), (1, -1)], 1.0), axis=1)
    three = np.array([(1, 0), (0, 1), (1, 1) if lengths[0] < lengths[1] else (1, -1)])
    return np.concatenate([three, -three])
