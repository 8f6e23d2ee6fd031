"""Indexing: which grid line each column of an image lies on.

The lattice is first found from the vectors between neighbouring columns, which slow distortions
hardly touch, then grown outwards from a well-ordered region (`tomo.placing.growing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from ..arrays import Bools, Floats, Ints
from ..crystal import Crystal
from ..errors import InputError, as_numbers, check_kind
from ..grid import connected_parts
from ..zone import Zone, column_shifts, six_steps, zone_geometry
from .distortion import SmoothField, best_field, fit_field
from .growing import TOLERANCE, assign_lines, grow, onto_themselves, smallest_gap
from .lattice import explain_mismatch, find_lattice

MIN_SHARE = 0.7  # of the columns that must lie on a line: a coincidence lattice holds half of them
LEAST_COLUMNS = 8  # that can show a lattice
_FAR = 1e6  # no column is that far away [A]
ENCLOSED = 4  # of the six lines around one must hold a column; beyond a straight rim two or three do
LINKS = 2.0  # contacts that a gap in a particle may be wide: a column between may have been missed
ENOUGH, SHARE = 6, 0.7  # columns on lines, and of all, from which a piece has this lattice and not by chance


@dataclass(frozen=True, eq=False)
class Indexing:
    """Columns of one image on the grid lines of its zone axis.

    Attributes
    ----------
    zone_axis : tuple of 3 int
        Viewing direction [uvw].
    crystal : Crystal
        The crystal whose grid was used.
    x, y : (n,) float
        Column positions that were indexed [A].
    lines : (n, 2) int
        Line (i, j) of each column (see `tomo.zone`); origin at one of the columns.
    column_type : (n,) int
        Which of `column_types(zone_axis, crystal)` the column is. Only type 0 lies on `lines`; the
        others are displaced from it by the type's shift.
    matrix : (2, 2) float
        Ideal projected positions to image positions, at the centre of the columns.
    offset : (2,) float
        Position of line (0, 0) [A].
    residual : (n,) float
        Distance of the column from its line after the smooth distortion [A].
    displacement : (n, 2) float
        Smooth distortion: how far the line lies from where `matrix` and `offset` alone put it [A].
    doubtful : (n,) bool
        The column is unusually far from its line.
    keep : (n,) bool
        False for columns on no line (but see `in_holes`), amid more of these, or apart from the particle, and
        for all but one of those on the same line. No view claims that a line is empty beside which it has
        such a column.
    field : SmoothField
        Ideal projected positions to image positions, distortion included.
    name : str
        Name of the view.
    """

    zone_axis: tuple[int, int, int]
    crystal: Crystal
    x: Floats
    y: Floats
    lines: Ints
    column_type: Ints
    matrix: Floats
    offset: Floats
    residual: Floats
    displacement: Floats
    doubtful: Bools
    keep: Bools
    field: SmoothField
    name: str = ""

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return (
            f"<Indexing{name}, zone axis {self.zone_axis}: {self.keep.sum()} of {len(self)} columns kept,"
            f" rotation {round(self.rotation, 1) + 0.0} deg, scale {self.scale:.4f}>"
        )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def zone(self) -> Zone:
        """Geometry of the zone axis."""
        return zone_geometry(self.zone_axis)

    @property
    def ideal(self) -> Floats:
        """(n, 2) float: where the columns would project in a perfect image [A]."""
        places = self.lines + column_shifts(self.zone_axis, self.crystal)[self.column_type]
        return self.zone.positions(places, self.crystal.a)

    @property
    def column_sites(self) -> Ints:
        """(n, 3) int: one grid site (h, k, l) on the line of each column, in this view's own frame."""
        return self.zone.sites(self.lines)

    @property
    def rotation(self) -> float:
        """Rotation from the frame of `tomo.zone` to the image, of equivalent ones the least [deg]."""
        left, _, right = np.linalg.svd(self.matrix)
        turn = left @ right
        return float(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))

    @property
    def scale(self) -> float:
        """Measured length / expected length (geometric mean of both directions)."""
        stretch = np.linalg.svd(self.matrix)[1]
        return float(np.sqrt(stretch[0] * stretch[1]))

    @property
    def shear(self) -> float:
        """Largest relative difference of lengths between directions, sigma_1 / sigma_2 - 1."""
        stretch = np.linalg.svd(self.matrix)[1]
        return float(stretch[0] / stretch[1] - 1)

    @property
    def counted(self) -> Bools:
        """(n,) bool: kept columns that hold the counted sublattice."""
        return self.keep & (self.column_type == 0)

    @property
    def smallest_gap(self) -> float:
        """Shortest distance between two places where a column may be [A]."""
        return smallest_gap(self.zone, self.crystal)

    def line_positions(self, lines: ArrayLike) -> Floats:
        """Where lines (m, 2), whole or fractional, lie in the image, distortion included [A]."""
        return self.field(self.zone.positions(lines, self.crystal.a))


def names_of(indexings: Sequence[Indexing]) -> list[str]:
    """What views are called in messages: by their names, or numbered from 1."""
    return [indexing.name or f"view {number}" for number, indexing in enumerate(indexings, start=1)]


def index_columns(
    x: ArrayLike,
    y: ArrayLike,
    zone_axis: ArrayLike,
    crystal: Crystal,
    *,
    cross_section: ArrayLike | None = None,
    name: str = "",
) -> Indexing:
    """Find the projected lattice in the column positions and name each column's grid line.

    Rotation is unknown, scale within 10 % of the crystal's, shear slight; columns may be missing or
    spurious and the image may be distorted smoothly.

    Parameters
    ----------
    x, y : (n,) float
        Column positions in the image [A], x to the right and y down.
    zone_axis : (3,) int
        Viewing direction [uvw].
    crystal : Crystal
        Gives the lattice parameter and the column types.
    cross_section : (n,) float, optional
        Decides which of two columns on the same line is kept; else the one nearer to the line.
    name : str
        Name of the view for messages.

    Returns
    -------
    Indexing

    Raises
    ------
    InputError
        If there are too few columns, or they do not form the lattice expected for this zone axis
        and lattice parameter; the sentence names the lattice that was found.

    Examples
    --------
    >>> import numpy as np
    >>> import tomo
    >>> i, j = np.divmod(np.arange(64), 8)
    >>> view = tomo.index_columns(2.04 * i, 2.04 * j, (0, 0, 1), tomo.fcc("Au", a=4.08))
    >>> bool(view.keep.all()), round(view.scale, 3)
    (True, 1.0)
    """
    check_kind("crystal", crystal, Crystal)
    check_kind("name", name, str)
    label = f"view {name}" if name else "view"
    points = _checked_points(x, y, label)
    preference = None if cross_section is None else as_numbers(f"{label}: cross_section", cross_section)
    if preference is not None and preference.shape != (len(points),):
        raise InputError(
            f"{label}: expected {len(points)} cross-sections, one a column, got shape {preference.shape}."
        )
    geometry = zone_geometry(zone_axis)
    found = find_lattice(points, geometry, crystal)
    if found is None:
        raise InputError(explain_mismatch(points, geometry, crystal, label))
    fractional = grow(points, found, geometry, crystal)
    near = assign_lines(fractional, geometry, crystal)[2] < TOLERANCE * smallest_gap(geometry, crystal)
    if np.count_nonzero(near) < max(6, MIN_SHARE * len(points)):
        raise InputError(explain_mismatch(points, geometry, crystal, label))
    return finish_indexing(points, fractional, geometry, crystal, preference, name)


def _checked_points(x: ArrayLike, y: ArrayLike, label: str) -> Floats:
    x, y = as_numbers(f"{label}: x", x), as_numbers(f"{label}: y", y)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(
            f"{label}: x and y must be two lists of equal length, got shapes {x.shape} and {y.shape}."
        )
    bad = np.flatnonzero(~((np.abs(x) < _FAR) & (np.abs(y) < _FAR)))
    if len(bad):
        at = f"({x[bad[0]]:g}, {y[bad[0]]:g})"
        raise InputError(f"{label}: column {bad[0]} is at {at}; expected a position in A.")
    if len(x) < LEAST_COLUMNS:
        raise InputError(
            f"{label}: {len(x)} columns are too few to find a lattice; expected at least {LEAST_COLUMNS}."
        )
    return np.column_stack([x, y])


def finish_indexing(
    points: Floats,
    fractional: Floats,
    geometry: Zone,
    crystal: Crystal,
    preference: Floats | None,
    name: str,
) -> Indexing:
    """Final map from lines to image, residuals, duplicates and flags."""
    lines, kind, distance = assign_lines(fractional, geometry, crystal)
    near = distance < TOLERANCE * smallest_gap(geometry, crystal)
    contacts = in_contact(points, crystal.a)
    near &= ~amid_others(contacts, near)
    near &= ~detached(contacts, near)
    shifts = column_shifts(geometry.zone_axis, crystal)
    matrix = fit_field(geometry.positions(lines + shifts[kind], crystal.a)[near], points[near], 1).matrix
    lines = _smallest_rotation(lines, kind, matrix, geometry, shifts)
    ideal = geometry.positions(lines + shifts[kind], crystal.a)
    affine = fit_field(ideal[near], points[near], 1)
    matrix, offset = affine.matrix, affine.offset
    field = best_field(ideal[near], points[near], 5)
    predicted = field(ideal)
    residual = np.linalg.norm(points - predicted, axis=1)
    scatter = float(np.median(residual[near])) / 1.18
    # of several types, a column beside its line may be one of another
    belonging = near | in_holes(lines, near, geometry) if len(shifts) == 1 else near
    return Indexing(
        zone_axis=geometry.zone_axis,
        crystal=crystal,
        x=points[:, 0],
        y=points[:, 1],
        lines=lines,
        column_type=kind,
        matrix=matrix,
        offset=offset,
        residual=residual,
        displacement=predicted - ideal @ matrix.T - offset,
        doubtful=~near | (residual > max(4 * scatter, 0.1 * geometry.spacing(crystal.a))),
        keep=belonging & ~_duplicates(lines, kind, belonging, residual, 3 * scatter + 0.02, preference),
        field=field,
        name=name,
    )


def in_holes(lines: Ints, near: Bools, geometry: Zone) -> Bools:
    """Columns (n,) far from their line that nevertheless belong to it: it is free, and others enclose it.

    Where columns overlap, a fit may place one of them nearly half a spacing beside its line. Taken for
    spurious it would leave a line without atoms amid full ones; but a line that is missing there and a peak
    that belongs to nothing beside it are one column. `lines` (n, 2) is the nearest line of each column,
    `near` (n,) says which are on it. Columns that fill a hole enclose others in turn.
    """
    around = six_steps(geometry).tolist()
    names = [(int(i), int(j)) for i, j in lines]
    held = {names[n] for n in np.flatnonzero(near)}
    waiting = [n for n in np.flatnonzero(~near).tolist() if names[n] not in held]
    filling: Bools = np.zeros(len(lines), dtype=bool)
    while True:
        neighbours = {n: sum((names[n][0] + i, names[n][1] + j) in held for i, j in around) for n in waiting}
        enclosed = [n for n in waiting if neighbours[n] >= ENCLOSED]
        if not enclosed:
            return filling
        filling[enclosed] = True
        held.update(names[n] for n in enclosed)
        waiting = [n for n in waiting if not filling[n]]


def in_contact(points: Floats, a: float) -> Ints:
    """Pairs (m, 2) of the columns at `points` (n, 2) [A] that may hold atoms in contact.

    These are a / sqrt(2) apart, with the lattice parameter `a` [A], and no farther in projection.
    """
    return np.asarray(cKDTree(points).query_pairs(LINKS * a / np.sqrt(2), output_type="ndarray"))


def detached(contacts: Ints, near: Bools) -> Bools:
    """Columns of pieces apart from the largest, unless the lattice goes on in them: of another particle.

    The columns of a particle in one piece form a chain whose links are its `contacts` (m, 2), as of
    `in_contact`. Where another particle shows, some of its columns lie on the first one's lines by chance;
    taken for its own, they shift its centre of mass and ask for atoms that no other view has room for. An
    image that cuts a particle can show it in several pieces, and then nearly all of their columns are on
    lines; these are `near` (n,).

    Examples
    --------
    >>> square = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0)), -1).reshape(-1, 2) * 2.04
    >>> contacts = in_contact(np.vstack([square, [[20, 20]]]), 4.08)
    >>> detached(contacts, np.ones(10, dtype=bool)).nonzero()[0]
    array([9])
    """
    piece = connected_parts(contacts[:, 0], contacts[:, 1], len(near))
    size = np.bincount(piece)
    on_lines = np.bincount(piece[near], minlength=len(size))
    part = (on_lines >= ENOUGH) & (on_lines >= SHARE * size)
    part[on_lines.argmax()] = True
    return np.asarray(~part[piece])


def amid_others(contacts: Ints, near: Bools) -> Bools:
    """Columns on a line by chance: of those around them more are on none, as in another crystal.

    A quarter of the columns of a crystal that touches this one, or of a film's grain, lies on lines of this
    one's lattice. Kept, they are atoms that no other view has room for. Around a column are those it is in
    contact with, `contacts` (m, 2) as of `in_contact`; `near` (n,) are on a line.

    Examples
    --------
    >>> square = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), -1).reshape(-1, 2) * 2.04
    >>> on_line = np.arange(26) != 12  # one in the middle is on none, nor are those around the last
    >>> points = np.vstack([square, [[30, 30], [31, 33], [33, 31]]])
    >>> amid_others(in_contact(points, 4.08), np.append(on_line, [False, False])).nonzero()[0]
    array([25])
    """
    i, j = contacts.T
    left = near.copy()
    while True:
        side = np.where(left, 1.0, -1.0)
        around = np.bincount(i, side[j], len(near)) + np.bincount(j, side[i], len(near))
        chance = left & (around < 0)
        if not chance.any():
            return near & ~left
        left &= ~chance


def _smallest_rotation(lines: Ints, kind: Ints, matrix: Floats, geometry: Zone, shifts: Floats) -> Ints:
    """Of the equivalent ways to name the lines, types kept, the one whose rotation is nearest to zero."""
    left, _, right = np.linalg.svd(matrix)
    best, chosen = np.inf, np.eye(2, dtype=np.int64)
    for operation in geometry.plane_rotations()[onto_themselves(shifts, geometry)]:
        spin = geometry.plane_basis @ operation @ np.linalg.inv(geometry.plane_basis)
        turn = left @ right @ spin
        angle = abs(float(np.arctan2(turn[1, 0], turn[0, 0])))
        if angle < best - 1e-9:
            best, chosen = angle, operation
    inverse = np.rint(np.linalg.inv(chosen)).astype(np.int64)
    moved = np.rint((lines + shifts[kind]) @ inverse.T - shifts[kind])
    return np.asarray(moved, dtype=np.int64)


def _duplicates(
    lines: Ints,
    kind: Ints,
    near: Bools,
    residual: Floats,
    close: float,
    preference: Floats | None,
) -> Bools:
    """Columns whose line already has a better one: nearer, or stronger if both are close."""
    strength = np.zeros(len(lines)) if preference is None else np.where(residual < close, preference, -np.inf)
    order = np.lexsort((residual, -strength, ~near))
    keys = np.column_stack([lines, kind])[order]
    first = np.unique(keys, axis=0, return_index=True)[1]
    repeated = np.ones(len(lines), dtype=bool)
    repeated[order[first]] = False
    return repeated
