"""Shifts of a sublattice across an interface, measured from fitted column positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ..arrays import Bools, Floats, Ints
from ..crystal import Crystal
from ..errors import InputError, as_numbers, as_points, check_choice, check_kind, check_kinds
from ..grid import whole_sites
from ..zone import zone_geometry
from .core import BESIDE
from .facets import Facet, area_per_site

ENOUGH_CORE = 6  # columns that fix the core's lattice in an image
ENOUGH_SHELL = 2  # columns whose mean is a shift
DEPTH = 8.0  # how far from the interface columns of core and shell count [a/2]
OUTLIER = 3.5  # residuals beyond this many robust standard deviations are left out
BETWEEN = 0.4  # where the interface lies, as a share of the distance between layers
CONTINUOUS = 0.15  # largest lateral shift of a sublattice that goes on [a/2]


@dataclass(frozen=True, eq=False)
class SublatticeShift:
    """How far a sublattice of the shell lies from where the core's would go on.

    Attributes
    ----------
    lateral, lateral_std : float
        Along the interface's trace in the image [A].
    normal, normal_std : float
        Away from the core [A].
    core_columns, shell_columns : int
        Columns that it was measured from.
    """

    lateral: float
    lateral_std: float
    normal: float
    normal_std: float
    core_columns: int
    shell_columns: int


def sublattice_shift(
    core_xy: ArrayLike,
    core_ideal: ArrayLike,
    shell_xy: ArrayLike,
    shell_ideal: ArrayLike,
    outward: ArrayLike,
) -> SublatticeShift | None:
    """Mean displacement of the shell's columns from the core's lattice, continued.

    An affine map from ideal to measured positions is fitted to the core's columns, which takes up
    rotation, scale, shear and drift of the scan. Continued over the interface it says where the shell's
    columns would be; their mean distance from there is the shift. Its error is that of the mean and of the
    continued map, both from the scatter of the columns.

    Parameters
    ----------
    core_xy, core_ideal : (n, 2) float
        Measured positions of the core's columns, and where they would be in one perfect lattice [A].
    shell_xy, shell_ideal : (m, 2) float
        The same of the shell's columns, in the same lattice [A].
    outward : (2,) float
        Direction from core to shell in the ideal frame.

    Returns
    -------
    SublatticeShift or None
        None where there are fewer than 6 columns of the core or 2 of the shell, or those of the core lie in
        one row.

    Raises
    ------
    InputError
        If measured and ideal positions differ in number, or `outward` is no direction.

    Examples
    --------
    >>> ideal = np.array([(x, y) for x in range(4) for y in range(4)], dtype=float)
    >>> shell = np.array([(4.0, 1.0), (4.0, 2.0)])
    >>> found = sublattice_shift(ideal, ideal, shell + (0.0, 0.3), shell, (1, 0))
    >>> round(found.lateral, 6), round(abs(found.normal), 6)
    (0.3, 0.0)
    """
    measured, ideal, xy, expected = (
        as_points(name, values, 2)
        for name, values in (
            ("core_xy", core_xy),
            ("core_ideal", core_ideal),
            ("shell_xy", shell_xy),
            ("shell_ideal", shell_ideal),
        )
    )
    if len(measured) != len(ideal) or len(xy) != len(expected):
        raise InputError("sublattice_shift: expected one ideal position for every measured one.")
    centre = ideal.mean(axis=0) if len(ideal) else np.zeros(2)
    design = _design(ideal - centre)
    if len(ideal) < ENOUGH_CORE or len(xy) < ENOUGH_SHELL or np.linalg.matrix_rank(design, tol=1e-6) < 3:
        return None
    keep = np.ones(len(ideal), dtype=bool)
    for _ in range(3):  # leave out columns that were fitted far from their place
        solution = np.linalg.lstsq(design[keep], measured[keep], rcond=None)[0]
        distance = np.linalg.norm(measured - design @ solution, axis=1)
        keep = distance <= OUTLIER * max(1.4826 * float(np.median(distance)), 1e-9)
        if keep.sum() < ENOUGH_CORE:
            return None
    residual = xy - _design(expected - centre) @ solution
    apart = _inliers(residual)
    directions = _directions(as_numbers("outward", outward), solution[:2].T)
    freedom = max(int(keep.sum()) - 3, 1)
    noise_core = ((measured - design @ solution)[keep] @ directions.T) ** 2
    reach = _design(expected[apart] - centre).mean(axis=0)
    leverage = float(reach @ np.linalg.pinv(design[keep].T @ design[keep]) @ reach)
    parts = residual[apart] @ directions.T
    n = len(parts)
    variance = noise_core.sum(axis=0) / freedom * leverage
    own = parts.var(axis=0, ddof=1) if n > 2 else noise_core.sum(axis=0) / freedom
    std = np.sqrt(variance + own / n)
    lateral, normal = parts.mean(axis=0)
    return SublatticeShift(float(lateral), float(std[0]), float(normal), float(std[1]), int(keep.sum()), n)


def _design(points: Floats) -> Floats:
    return np.column_stack([points, np.ones(len(points))])


def _inliers(residual: Floats) -> Bools:
    """Columns that lie together; the others were fitted to something else."""
    distance = np.linalg.norm(residual - np.median(residual, axis=0), axis=1)
    return np.asarray(distance <= OUTLIER * max(1.4826 * float(np.median(distance)), 0.1))


def _directions(outward: NDArray, matrix: NDArray) -> Floats:
    """Unit vectors along the interface and away from the core, in the measured frame, as rows."""
    if outward.shape != (2,) or not np.isfinite(outward).all() or not np.any(outward):
        raise InputError(f"outward: expected two numbers, not both 0, got {outward!r}.")
    trace = matrix @ np.array([-outward[1], outward[0]])
    trace /= np.linalg.norm(trace)
    away = np.array([trace[1], -trace[0]])
    return np.array([trace, away if away @ (matrix @ outward) > 0 else -away])


@dataclass(frozen=True, eq=False)
class ViewColumns:
    """The fitted columns of one image, each on its grid line in the crystal's frame.

    Attributes
    ----------
    name : str
    zone_axis : tuple of 3 int
    xy : (n, 2) float
        Measured positions [A].
    point : (n, 3) float
        Any point of each column's line in the crystal's frame [a/2].
    atoms : (n, s) float
        How many atoms of each of the crystal's s sublattices the column holds.
    """

    name: str
    zone_axis: tuple[int, int, int]
    xy: Floats
    point: Floats
    atoms: Floats


@dataclass(frozen=True, eq=False)
class Interface:
    """A facet of the core seen edge-on in an image, and how the two sublattices go on across it.

    Attributes
    ----------
    view : str
    normal : tuple of 3 int
        Outward normal of the core's facet.
    shifts : dict of str to SublatticeShift
        By what was followed: "Se" for a species that both phases have, "Pb -> Cd" for one that takes the
        other's place, relative to the nearest column that the core's lattice would have.
    continuous : tuple of str
        Those that go on: their lateral shift is below 0.15 a/2, and by two standard deviations;
        a sublattice that took the other's course would be displaced by 0.4 a/2.
    """

    view: str
    normal: tuple[int, int, int]
    shifts: dict[str, SublatticeShift]
    continuous: tuple[str, ...]


def interfaces(
    atoms: ArrayLike,
    facets: Sequence[Facet],
    columns: Sequence[ViewColumns],
    crystal: Crystal,
    family: str = "111",
) -> list[Interface]:
    """Which sublattice goes on across each of the core's facets, from the columns' positions.

    A facet can be followed in every image in which it stands edge-on: its normal is perpendicular to the
    zone axis. Columns count that lie within 8 a/2 of the interface, behind or in front of the facet.

    Parameters
    ----------
    atoms : (n, 3) int
        Atoms of the target [a/2].
    facets : sequence of Facet
        Of these atoms.
    columns : sequence of ViewColumns
    crystal : Crystal
        With two phases.
    family : str
        "111", "100" or "110".

    Returns
    -------
    list of Interface
        Empty for a crystal of one phase.

    Raises
    ------
    InputError
        If the family is unknown, or atoms, facets or columns are something else.

    Examples
    --------
    >>> from tomo import core_shell, rock_salt, zinc_blende
    >>> crystal = core_shell(rock_salt("Pb", "Se", 6.1), zinc_blende("Cd", "Se", 6.1), target="Pb")
    >>> interfaces([(0, 0, 0)], [], [], crystal)
    []
    """
    check_kind("crystal", crystal, Crystal)
    check_choice("family", family, ("111", "100", "110"))
    check_kinds("facets", facets, Facet)
    check_kinds("columns", columns, ViewColumns)
    core = whole_sites(atoms)
    if len(crystal.phases) < 2:
        return []
    found = []
    for facet in facets:
        if facet.family != family:
            continue
        for view in columns:
            if np.dot(facet.normal, view.zone_axis) != 0:
                continue
            shifts = _followed(core, facet, view, crystal)
            going_on = tuple(
                name
                for name, shift in shifts.items()
                if abs(shift.lateral) + 2 * shift.lateral_std <= CONTINUOUS * crystal.a / 2
            )
            if shifts:
                found.append(Interface(view.name, facet.normal, shifts, going_on))
    return found


def _followed(core: Ints, facet: Facet, view: ViewColumns, crystal: Crystal) -> dict[str, SublatticeShift]:
    """Shifts across one facet in one view of every sublattice that can be followed."""
    zone = zone_geometry(view.zone_axis)
    plane = zone.rotation[:2]  # from the crystal's frame to the ideal image
    axis = np.array(facet.normal, dtype=float)
    outward = plane @ axis / np.linalg.norm(axis)
    trace = np.array([-outward[1], outward[0]])
    level = facet.layers[0].index / np.linalg.norm(axis)
    floor = core[core @ np.array(facet.normal) == facet.layers[0].index] @ plane.T @ trace
    ideal = view.point @ plane.T
    height, beside = ideal @ outward - level, ideal @ trace
    in_front = (beside >= floor.min() - 1.0) & (beside <= floor.max() + 1.0)
    inner, outer = (set(phase) for phase in crystal.phases[:2])
    # The interface lies between the core's last layer and the next that it would have.
    step = 2 / area_per_site(facet.normal)  # between layers [a/2]
    over_core = cKDTree(core @ plane.T).query(ideal)[0] < BESIDE
    found = {}
    for name, first, second in followed_pairs(crystal):
        in_core = _mostly(view, first, outer - inner) & (height > -DEPTH) & (height < BETWEEN * step)
        in_core &= over_core
        in_shell = (
            _mostly(view, second, inner - outer) & in_front & (height > BETWEEN * step) & (height < DEPTH)
        )
        if first == second:
            places = ideal[in_shell]
        else:
            places = _nearest_nodes(ideal[in_shell], crystal.sublattices[first].offset, view.zone_axis)
        shift = sublattice_shift(
            view.xy[in_core],
            ideal[in_core] * crystal.a / 2,
            view.xy[in_shell],
            places * crystal.a / 2,
            outward,
        )
        if shift is not None:
            found[name] = shift
    return found


def followed_pairs(crystal: Crystal) -> list[tuple[str, int, int]]:
    """What can be followed from core to shell: its name, the core's sublattice and the shell's.

    A sublattice of both phases is followed itself; one of the core alone to that of the shell that takes its
    place: the one on the same grid, or else the only one that the shell does not share.

    Examples
    --------
    >>> from tomo import core_shell, rock_salt, zinc_blende
    >>> pair = rock_salt("Pb", "Se", 6.1), zinc_blende("Cd", "Se", 6.1)
    >>> followed_pairs(core_shell(*pair, target="Pb"))
    [('Se', 1, 1), ('Pb -> Cd', 0, 2)]
    """
    inner, outer = (set(phase) for phase in crystal.phases[:2])
    names = [sublattice.species for sublattice in crystal.sublattices]
    pairs = [(names[k], k, k) for k in sorted(inner & outer)]
    for k in sorted(inner - outer):
        alone = sorted(outer - inner)
        same = [j for j in alone if crystal.sublattices[j].offset == crystal.sublattices[k].offset]
        other = same or (alone if len(alone) == 1 else [])
        if other:
            pairs.append((f"{names[k]} -> {names[other[0]]}", k, other[0]))
    return pairs


def _mostly(view: ViewColumns, sublattice: int, other: set[int]) -> Bools:
    """Columns that hold atoms of a sublattice, and more of them than of some others together."""
    own, rest = view.atoms[:, sublattice], view.atoms[:, sorted(other)].sum(axis=1)
    return np.asarray((own > 0) & (own > rest))


def _nearest_nodes(
    points: Floats, offset: tuple[float, float, float], zone_axis: tuple[int, int, int]
) -> Floats:
    """For points (n, 2) of the ideal image the nearest lines of a sublattice, continued without end [a/2]."""
    zone = zone_geometry(zone_axis)
    origin = zone.rotation[:2] @ np.array(offset, dtype=float)
    lines = np.linalg.solve(zone.plane_basis, (points - origin).T).T
    span = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    nodes = (np.rint(lines)[:, None, :] + span[None, :, :]) @ zone.plane_basis.T + origin
    best = np.argmin(np.linalg.norm(nodes - points[:, None, :], axis=2), axis=1)
    return np.asarray(nodes[np.arange(len(points)), best])
