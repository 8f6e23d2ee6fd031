"""Columns of several types in one image and in one frame for all images.

Every sublattice has an fcc grid of its own; a column of a type lies on one line of each grid whose atoms the
type holds. Places of columns are written in line coordinates of the counted sublattice: line + type's shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints
from ..crystal import Crystal
from ..errors import InputError, as_numbers, check_kind, check_kinds, check_list
from ..zone import ColumnType, Zone, column_shifts, column_types, zone_geometry
from .agreement import UNSETTLED
from .counted_lines import CountedLines
from .growing import onto_themselves
from .indexing import Indexing
from .placement import Candidate, centred, place_views
from .registration import THIN_MARGIN, lead, told_if_tied
from .support import rank_by_room

ROUGH, ROUGH_LEAST = 0.15, 0.3  # relative deviation of counts before they are settled; least variance
LEAST_AMOUNT = 0.3  # atoms; columns with fewer lie beyond the particle and say nothing
REACH = 1.05  # spacings from the columns that were found, up to which lines are looked at
FARTHEST = 6  # lines beyond those of columns that are in reach of one beside them, at most


@dataclass(frozen=True, eq=False)
class TypedColumns:
    """Places of one image where the crystal's lattice may have columns.

    Attributes
    ----------
    zone_axis : tuple of 3 int
    crystal : Crystal
    lines : (n, 2) int
        Line of each column, displaced by its type's shift.
    column_type : (n,) int
        Which of `column_types(zone_axis, crystal)`.
    x, y : (n,) float
        Where the lattice puts them in the image [A].
    name : str
        Name of the view.
    """

    zone_axis: tuple[int, int, int]
    crystal: Crystal
    lines: Ints
    column_type: Ints
    x: Floats
    y: Floats
    name: str = ""

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"<TypedColumns{name}, zone axis {self.zone_axis}: {len(self)} columns>"

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def zone(self) -> Zone:
        """Geometry of the zone axis."""
        return zone_geometry(self.zone_axis)

    @property
    def types(self) -> tuple[ColumnType, ...]:
        """The crystal's column types along this zone axis."""
        return column_types(self.zone_axis, self.crystal)

    @property
    def places(self) -> Floats:
        """Line coordinates (n, 2) of the columns."""
        return self.lines + column_shifts(self.zone_axis, self.crystal)[self.column_type]

    def holding(self, sublattice: int) -> Ints:
        """Rows of the columns that may hold atoms of a sublattice."""
        members = [number for number, t in enumerate(self.types) if sublattice in t.sublattices]
        return np.flatnonzero(np.isin(self.column_type, members))

    def own_lines(self, sublattice: int) -> Ints:
        """Lines (m, 2) of a sublattice's own grid, for the columns that may hold its atoms."""
        origin = self.zone.fractional(self.crystal.sublattices[sublattice].offset)
        return np.rint(self.places[self.holding(sublattice)] - origin).astype(np.int64)

    def own_sites(self, sublattice: int) -> Ints:
        """One site (m, 3) of a sublattice's own grid on the line of each column that may hold its atoms."""
        return self.zone.sites(self.own_lines(sublattice))


def lattice_columns(indexing: Indexing, extent: tuple[float, float, float, float]) -> TypedColumns:
    """Every line of every column type at and around the columns that were found.

    Lines up to one spacing beyond the outermost columns are included: weak columns are not lost, because it
    is their intensity that says how many atoms they hold, none among them. So are those as near to a column
    on no line that is beside the others: two faint columns may have been found as one between them.

    Parameters
    ----------
    indexing : Indexing
        The image's lattice, with the right types (`label_columns`).
    extent : (left, right, top, bottom)
        Of the image [A]; lines outside are left out.

    Returns
    -------
    TypedColumns

    Raises
    ------
    InputError
        If `indexing` does not come from `index_columns`, or the extent not four numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import tomo
    >>> i, j = np.divmod(np.arange(64), 8)
    >>> indexing = tomo.index_columns(2.04 * i, 2.04 * j, (0, 0, 1), tomo.fcc("Au", a=4.08))
    >>> len(lattice_columns(indexing, (-20, 40, -20, 40)))
    96
    """
    check_kind("indexing", indexing, Indexing)
    edges = as_numbers("extent", extent)
    if edges.shape != (4,) or np.isnan(edges).any():
        raise InputError(f"extent: expected (left, right, top, bottom) in A, got {extent!r}.")
    geometry, crystal = indexing.zone, indexing.crystal
    points, keep = np.column_stack([indexing.x, indexing.y]), indexing.keep
    reach = REACH * geometry.spacing(crystal.a) * indexing.scale
    beside = ~keep & (cKDTree(points[keep]).query(points)[0] < 2 * reach)
    low, high = indexing.lines[keep].min(axis=0) - FARTHEST, indexing.lines[keep].max(axis=0) + FARTHEST + 1
    grid = np.stack(np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]), indexing="ij"), -1)
    grid = grid.reshape(-1, 2)
    left, right, top, bottom = edges.tolist()
    tree = cKDTree(points[keep | beside])
    lines, kinds, places = [], [], []
    for number, shift in enumerate(column_shifts(indexing.zone_axis, crystal)):
        place = indexing.line_positions(grid + shift)
        inside = (place[:, 0] > left) & (place[:, 0] < right) & (place[:, 1] > top) & (place[:, 1] < bottom)
        near = inside & (tree.query(place)[0] < reach)
        lines.append(grid[near])
        kinds.append(np.full(int(near.sum()), number, dtype=np.int64))
        places.append(place[near])
    x, y = np.concatenate(places).T
    return TypedColumns(
        indexing.zone_axis, crystal, np.concatenate(lines), np.concatenate(kinds), x, y, indexing.name
    )


def common_sublattice(crystal: Crystal) -> int:
    """The sublattice that most phases have; the first of several.

    Parameters
    ----------
    crystal : Crystal

    Returns
    -------
    int
        Its place in `crystal.sublattices`.

    Raises
    ------
    InputError
        If `crystal` is no crystal.

    Examples
    --------
    >>> import tomo
    >>> pbse, cdse = tomo.rock_salt("Pb", "Se", a=6.1), tomo.zinc_blende("Cd", "Se", a=6.1)
    >>> crystal = tomo.core_shell(pbse, cdse, "Pb")
    >>> crystal.sublattices[common_sublattice(crystal)].species
    'Se'
    """
    check_kind("crystal", crystal, Crystal)
    members = [sum(s in phase for phase in crystal.phases) for s in range(len(crystal.sublattices))]
    return int(np.argmax(members))


def pattern_rotations(columns: TypedColumns) -> tuple[int, ...]:
    """Rotations of the image plane (rows of `Zone.plane_rotations`) that lay every type on itself."""
    centre = columns.zone.fractional(columns.crystal.sublattices[common_sublattice(columns.crystal)].offset)
    shifts = column_shifts(columns.zone_axis, columns.crystal) - centre
    return tuple(int(number) for number in onto_themselves(shifts, columns.zone))


@dataclass(frozen=True)
class TypedFrame:
    """Views of one particle in one frame.

    Attributes
    ----------
    columns : tuple of TypedColumns
        In the common frame.
    margin : float
        Of the most likely placing: by how much it leads the next that puts atoms elsewhere; of any other one:
        how far it is behind the most likely, negative [log units].
    warnings : tuple of str
    """

    columns: tuple[TypedColumns, ...]
    margin: float
    warnings: tuple[str, ...]


def register_types(views: Sequence[TypedColumns], amounts: Sequence[Floats]) -> list[TypedFrame]:
    """Bring views with columns of several types into one frame; the most likely ways first.

    The atoms of the sublattice that the phases have in common are compared in the planes that views share,
    by shape rather than by number, and the room that the views leave each other decides between the rest.
    Where all images may be turned by 180 degrees, which is the inverted crystal, and the crystal has no
    centre of inversion, as zinc blende along <100>, every way is followed by its inverse: the common
    sublattice cannot tell them apart.

    Parameters
    ----------
    views : sequence of TypedColumns
        Each in its own frame.
    amounts : sequence of (n,) float
        Rough number of atoms of the common sublattice in every column; 0 where it has none.

    Returns
    -------
    list of TypedFrame
        The most likely one first.

    Raises
    ------
    InputError
        If a view holds no atoms of the common sublattice, or too few of them in every column.

    Examples
    --------
    >>> import numpy as np
    >>> import tomo
    >>> crystal = tomo.rock_salt("Pb", "Se", a=6.1)
    >>> lead = tomo.phantoms.random_particle(300, "rough", seed=2)
    >>> views, amounts = [], []
    >>> for axis in [(1, 0, 0), (1, 1, 0)]:
    ...     sites, atoms = tomo.phantoms.column_counts(lead, axis)
    ...     zone = tomo.zone_geometry(axis)
    ...     lines = zone.lines(sites)
    ...     x, y = zone.positions(lines, crystal.a).T
    ...     views.append(TypedColumns(zone.zone_axis, crystal, lines, np.zeros(len(lines), int), x, y))
    ...     amounts.append(atoms)
    >>> register_types(views, amounts)[0].columns[0].own_sites(0).shape == (len(views[0]), 3)
    True
    """
    check_kinds("views", views, TypedColumns)
    check_list("amounts", amounts)
    if not views or len(amounts) != len(views):
        raise InputError(
            f"register_types: expected one array of amounts for each view, got {len(amounts)} for"
            f" {len(views)} views."
        )
    crystal = views[0].crystal
    common = common_sublattice(crystal)
    counted = []
    for view, atoms in zip(views, amounts, strict=True):
        every = as_numbers("amounts", atoms)
        if every.shape != (len(view),):
            raise InputError(f"view {view.name}: {len(view)} columns but amounts of shape {every.shape}.")
        own = every[view.holding(common)]
        use = own > LEAST_AMOUNT
        if not use.any():
            species = crystal.sublattices[common].species
            raise InputError(
                f"view {view.name}: no column seems to hold {species}; expected {LEAST_AMOUNT} atoms or more"
                " in some of them."
            )
        variance = (ROUGH * own[use]) ** 2 + ROUGH_LEAST
        turns = pattern_rotations(view)
        lines = view.own_lines(common)[use]
        counted.append(CountedLines(view.zone_axis, lines, own[use], variance, None, turns, None))
    candidates = [centred(c, counted) for c in rank_by_room(counted, place_views(counted, UNSETTLED))]
    best = candidates[0].score
    first, elsewhere = lead(counted, candidates)
    if all(len(c.rotations) == len(c.zone.plane_rotations()) for c in counted) and not _has_centre(crystal):
        candidates = [way for c in candidates for way in (c, _inverted(c, views))]
    frames = []
    for number, candidate in enumerate(candidates):
        margin = float(candidate.score - best) if number else first
        placed = [
            _placed(view, rotation, shift, common)
            for view, rotation, shift in zip(views, candidate.rotations, candidate.shifts, strict=True)
        ]
        warnings = () if number else told_if_tied(margin, elsewhere, "a further view")
        frames.append(TypedFrame(tuple(placed), margin, warnings))
        if candidate.score < best - 2 * THIN_MARGIN:
            break
    return frames


def _has_centre(crystal: Crystal) -> bool:
    """Whether an inversion about an atom of the common sublattice lays every sublattice on itself."""
    offsets = np.array([s.offset for s in crystal.sublattices])
    twice = 2 * (offsets - offsets[common_sublattice(crystal)])
    return bool(np.all(twice % 1 == 0) and np.all(twice.sum(axis=1) % 2 == 0))


def _inverted(candidate: Candidate, views: Sequence[TypedColumns]) -> Candidate:
    """The candidate with every view turned by 180 degrees about the origin."""
    rotations = []
    for view, rotation in zip(views, candidate.rotations, strict=True):
        turns = view.zone.plane_rotations()
        rotations.append(int(np.flatnonzero((turns == -turns[rotation]).all(axis=(1, 2)))[0]))
    shifts = tuple((-i, -j) for i, j in candidate.shifts)
    return Candidate(candidate.score, tuple(rotations), shifts)


def _placed(view: TypedColumns, rotation: int, shift: tuple[int, int], common: int) -> TypedColumns:
    """The view's columns turned and shifted; places are turned about the common sublattice's origin."""
    origin = view.zone.fractional(view.crystal.sublattices[common].offset)
    turn = view.zone.plane_rotations()[rotation]
    places = (view.places - origin) @ turn.T + np.array(shift) + origin
    shifts = column_shifts(view.zone_axis, view.crystal)[view.column_type]
    return replace(view, lines=np.rint(places - shifts).astype(np.int64))
