"""From the [crystal] section of a project to a crystal, and whether its species can be told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

import tomo
from stemcount.arrays import Floats
from stemcount.simulation.elements import Z_EXPONENT, atomic_number

if TYPE_CHECKING:
    from .crystal_section import PhaseSection

ALIKE = 0.1  # relative difference of two atoms' intensities under which a column's spread hides it

MAKERS: dict[str, Callable[..., tomo.Crystal]] = {
    "fcc": tomo.fcc,
    "rock_salt": tomo.rock_salt,
    "zinc_blende": tomo.zinc_blende,
}


def phase_crystal(structure: str, species: Sequence[str], a: float) -> tomo.Crystal:
    """Crystal of one phase with lattice parameter a [A]."""
    return MAKERS[structure](*species, a=a)


def core_shell_crystal(core: PhaseSection, shell: PhaseSection, target: str, a: float) -> tomo.Crystal:
    """Crystal of a core inside a shell; InputError if the two have no common sublattice."""
    inner, outer = (phase_crystal(phase.structure, phase.species, a) for phase in (core, shell))
    return tomo.core_shell(inner, outer, target)


def brightness(crystal: tomo.Crystal) -> Floats:
    """Relative intensity of an atom of each sublattice, the darkest 1: Z^1.7.

    Examples
    --------
    >>> brightness(tomo.rock_salt("Pb", "Se", a=6.1)).round(1)
    array([4.5, 1. ])
    """
    bright = np.array([float(atomic_number(s.species)) ** Z_EXPONENT for s in crystal.sublattices])
    return np.asarray(bright / bright.min())


def relative_contrast(first: str, second: str) -> float:
    """How much the HAADF intensities of two elements differ, as a share of the brighter one's.

    Intensities grow as Z^1.7, between Rutherford's Z^2 and the Z^1.5 or so that screening and a
    detector of small inner angle give.

    Examples
    --------
    >>> round(relative_contrast("Pb", "Cd"), 2), round(relative_contrast("Au", "Pt"), 2)
    (0.6, 0.02)
    """
    one, two = sorted(atomic_number(symbol) ** Z_EXPONENT for symbol in (first, second))
    return 1 - one / two


def cannot_be_told_apart(
    crystal: tomo.Crystal, zone_axes: Sequence[tuple[int, int, int]]
) -> tuple[str, str] | None:
    """The target and a species that takes its place in the shell, if no view tells them apart; else None.

    A view tells two species apart if they stand in columns of their own, or if one atom is brighter than the
    other by more than columns of equal composition scatter.
    """
    if len(crystal.phases) < 2:
        return None
    core, shell = (set(phase) for phase in crystal.phases[:2])
    for other in sorted(shell - core):
        pair = crystal.sublattices[0].species, crystal.sublattices[other].species
        if relative_contrast(*pair) >= ALIKE:
            continue
        if not any(_apart(crystal, axis, other) for axis in zone_axes):
            return pair
    return None


def _apart(crystal: tomo.Crystal, zone_axis: tuple[int, int, int], other: int) -> bool:
    """Whether the target and another sublattice project onto different columns."""
    types = tomo.column_types(zone_axis, crystal)
    return not any(0 in kind.sublattices and other in kind.sublattices for kind in types)
