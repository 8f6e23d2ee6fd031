"""Which column is of which type: decided from positions and brightness together.

Positions alone often fit in several ways. Along [110] of rock salt the two species' columns form the same
pattern, and turning it by half a turn exchanges cation and anion of zinc blende. Brightness decides: where a
column stands, the scattered intensity per projected cell must be a sum of the crystal's phases with amounts
that are not negative, and every phase has its species in fixed proportion. Where two ways fit (the shell's
cation is nearly as bright as its anion, ZnSe around CdSe; the core's columns are as bright as the shell's,
PbS in CdS), the wrong one turns the crystal inside out, so the core's phase is expected nearer to the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls
from scipy.special import softmax

from ..arrays import Floats
from ..crystal import Crystal
from ..errors import InputError, as_numbers, as_points, check_kind, check_number
from ..zone import column_shifts, column_types, zone_geometry
from .growing import TOLERANCE, WHOLE, assign_lines, smallest_gap
from .indexing import MIN_SHARE, Indexing, finish_indexing

REACH = 0.6  # standard deviation of the local average, in sides of the projected cell
UNEVEN = 0.25  # relative error of a local sum of phases: surfaces, interfaces, channelling
OFF_LATTICE = 4.0  # log units that a column on no line costs
INSIDE = 6.0  # log units at most, for a shell of e times the core's mean square distance from the middle
PRESENT = 0.02  # share of the amounts of both phases from which one tells where it lies
TINY = 1e-300


@dataclass(frozen=True)
class Labelling:
    """One way to name the types of an image's columns.

    Attributes
    ----------
    indexing : Indexing
        Lines and types of the columns under this labelling.
    probability : float
        Of this labelling among all that the lattice allows.
    """

    indexing: Indexing
    probability: float


def label_columns(
    indexing: Indexing, cross_section: ArrayLike, brightness: ArrayLike
) -> tuple[Labelling, ...]:
    """All ways to name the column types of an indexed image, the most probable first.

    With D_t the intensity of the columns of type t per projected cell, averaged locally, and B_tp the summed
    brightness of the atoms that phase p has in a column of type t, the amounts x_p >= 0 solve
    D_t = sum_p B_tp x_p as well as they can. The cost of the labelling is what is left over, relative to the
    intensity, the columns that lie on no line, and a core farther from the middle than its shell.

    Parameters
    ----------
    indexing : Indexing
        Lattice of the image; its own types are one of the labellings.
    cross_section : (n,) float
        Intensity of each column.
    brightness : (n_sublattices,) float
        Relative intensity of one atom of each sublattice, e.g. Z^1.7.

    Returns
    -------
    tuple of Labelling

    Raises
    ------
    InputError
        If there is not one cross-section a column or one brightness a sublattice.

    Examples
    --------
    >>> import numpy as np
    >>> import tomo
    >>> crystal = tomo.rock_salt("Pb", "Se", a=6.1)
    >>> zone = tomo.zone_geometry((1, 1, 0))
    >>> lines = np.argwhere(np.ones((9, 9)))
    >>> x, y = np.concatenate([zone.positions(lines, 6.1), zone.positions(lines + [0.5, 0.5], 6.1)]).T
    >>> dark_first = np.repeat([34.0, 82.0], 81)
    >>> indexing = tomo.index_columns(x, y, (1, 1, 0), crystal)
    >>> best = label_columns(indexing, dark_first, [82.0, 34.0])[0]
    >>> best.indexing.column_type[[0, 100]].tolist(), best.probability > 0.99
    ([1, 0], True)
    """
    check_kind("indexing", indexing, Indexing)
    values, bright = as_numbers("cross_section", cross_section), as_numbers("brightness", brightness)
    crystal = indexing.crystal
    if values.shape != (len(indexing),) or bright.shape != (len(crystal.sublattices),):
        raise InputError(
            f"label_columns: expected {len(indexing)} cross-sections and {len(crystal.sublattices)}"
            f" brightnesses, got {values.shape} and {bright.shape}."
        )
    if not (np.isfinite(values).all() and np.isfinite(bright).all()):
        raise InputError("label_columns: cross-sections and brightnesses must be finite numbers.")
    found = []
    for trial in _trials(indexing, values):
        points = np.column_stack([trial.x, trial.y])
        kept = np.where(trial.keep, values, 0.0)
        amounts, misfit = phase_amounts(
            points, trial.column_type, kept, bright, trial.zone_axis, crystal, trial.scale
        )
        lost = float(1 - kept.sum() / max(values.sum(), TINY)) * len(trial)
        inside = INSIDE * core_inside(points, kept, amounts)
        found.append((inside - misfit / 2 - OFF_LATTICE * lost, trial))
    found.sort(key=lambda item: -item[0])
    probability = softmax([score for score, _ in found])
    return tuple(Labelling(trial, float(p)) for p, (_, trial) in zip(probability, found, strict=True))


def core_inside(positions: Floats, cross_section: Floats, amounts: Floats) -> float:
    """How much nearer to the middle of the image's particle the core lies than the shell: -1 ... 1.

    ln of the shell's mean square distance from the centre of all intensity over the core's; 0 for a crystal
    of one phase, and where hardly anything is of one of the two. `amounts` (n, n_phases) are those of each
    phase at the columns' positions (n, 2) [A], the core's first.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(-3.0, 4.0)
    >>> amounts = np.column_stack([abs(x) < 2, abs(x) >= 2]).astype(float)
    >>> core_inside(np.column_stack([x, 0 * x]), np.ones(7), amounts)
    1.0
    """
    total = amounts.sum(axis=0)
    if len(total) < 2 or total.min() <= PRESENT * total.sum():
        return 0.0
    centre = cross_section @ positions / cross_section.sum()
    core, shell = ((positions - centre) ** 2).sum(axis=1) @ amounts / total
    return float(np.clip(np.log(shell / core), -1.0, 1.0))


def _trials(indexing: Indexing, values: Floats) -> list[Indexing]:
    """Indexings whose types differ, one for each rotation and shift that lays one type on another."""
    geometry, crystal = indexing.zone, indexing.crystal
    points = np.column_stack([indexing.x, indexing.y])
    shifts = column_shifts(indexing.zone_axis, crystal)
    nominal = indexing.lines + shifts[indexing.column_type]
    off = points - indexing.line_positions(nominal)
    to_lines = np.linalg.inv(indexing.matrix @ geometry.plane_basis * crystal.a / 2)
    fractional = nominal + off @ to_lines.T
    gap = TOLERANCE * smallest_gap(geometry, crystal)
    trials: list[Indexing] = []
    frames: list[tuple[Floats, Floats]] = []
    for turn in geometry.plane_rotations():
        for first, second in np.ndindex(len(shifts), len(shifts)):
            frame = turn, shifts[second] - turn @ shifts[first]
            moved = fractional @ turn.T + frame[1]
            distance = assign_lines(moved, geometry, crystal)[2]
            if np.mean(distance < gap) < MIN_SHARE:
                continue
            trial = finish_indexing(points, moved, geometry, crystal, values, indexing.name)
            known = zip(trials, frames, strict=True)
            if not any(
                np.array_equal(trial.column_type, one.column_type) and _same_places(frame, placed, shifts)
                for one, placed in known
            ):
                trials.append(trial)
                frames.append(frame)
    return trials


def _same_places(one: tuple[Floats, Floats], other: tuple[Floats, Floats], shifts: Floats) -> bool:
    """Whether two frames, each a turn and a shift of line coordinates, put all types on the same lines.

    Those of the columns that were found may be the same while those of a type of which none was are not.
    """
    nominal = (shifts - one[1]) @ np.linalg.inv(one[0]).T
    apart = nominal @ other[0].T + other[1] - shifts
    return bool(np.abs(apart - np.rint(apart)).max() < WHOLE)


def phase_amounts(
    positions: ArrayLike,
    column_type: ArrayLike,
    cross_section: ArrayLike,
    brightness: ArrayLike,
    zone_axis: tuple[int, int, int],
    crystal: Crystal,
    scale: float = 1.0,
) -> tuple[Floats, float]:
    """Amount of each phase where each column stands, and how badly the phases explain the intensities.

    Parameters
    ----------
    positions : (n, 2) float
        Of the columns [A].
    column_type : (n,) int
        Which of `column_types(zone_axis, crystal)`.
    cross_section : (n,) float
        Intensity of each column.
    brightness : (n_sublattices,) float
        Relative intensity of one atom of each sublattice.
    zone_axis : tuple of 3 int
    crystal : Crystal
    scale : float
        Measured lengths / expected lengths.

    Returns
    -------
    (n, n_phases) float
        Amounts >= 0.
    float
        Chi-square of the local sums, neighbouring ones counted once.

    Raises
    ------
    InputError
        If there is not one type and cross-section a column or one brightness a sublattice, or one is not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> import tomo
    >>> places = 2.04 * np.argwhere(np.ones((8, 8)))
    >>> gold = tomo.fcc("Au", a=4.08)
    >>> amounts, misfit = phase_amounts(places, np.zeros(64, int), np.full(64, 3.0), [1.0], (0, 0, 1), gold)
    >>> bool(abs(amounts[27, 0] - 3) < 0.1), round(misfit, 6)
    (True, 0.0)
    """
    check_kind("crystal", crystal, Crystal)
    check_number("scale", scale, 0)
    points = as_points("positions", positions, 2)
    kind, values = as_numbers("column_type", column_type), as_numbers("cross_section", cross_section)
    if not kind.shape == values.shape == (len(points),) or not np.isfinite(values).all():
        raise InputError(
            f"phase_amounts: expected a type and a finite cross-section for each of {len(points)} columns,"
            f" got {kind.shape} and {values.shape}."
        )
    bright = as_numbers("brightness", brightness)
    if bright.shape != (len(crystal.sublattices),) or not np.isfinite(bright).all():
        raise InputError(
            f"brightness: expected {len(crystal.sublattices)} finite numbers, got {brightness!r}."
        )
    types = column_types(zone_axis, crystal)
    area = zone_geometry(zone_axis).cell_area(crystal.a) * scale**2
    sigma = REACH * np.sqrt(area)
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    kernel = area * np.exp(-0.5 * square / sigma**2) / (2 * np.pi * sigma**2)
    member = kind[:, None] == np.arange(len(types))
    density = kernel @ (member * values[:, None])
    mixing = np.array(
        [[sum(bright[s] for s in t.sublattices if s in phase) for phase in crystal.phases] for t in types]
    )
    solved = [nnls(mixing, d) for d in density]
    relative = np.array([r for _, r in solved]) / np.maximum(np.linalg.norm(density, axis=1), TINY)
    independent = area / (4 * np.pi * sigma**2) / max(np.count_nonzero(member.any(axis=0)), 1)
    return np.array([x for x, _ in solved]), float(np.sum((relative / UNEVEN) ** 2) * independent)
