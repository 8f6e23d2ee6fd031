"""Crystals on the fcc grid: species, lattice parameter and sublattices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from operator import index

import numpy as np
from numpy.typing import ArrayLike

from .elements import SYMBOLS
from .errors import InputError, check_kind, check_kinds

EQUAL_LATTICES = 1e-3  # relative difference of lattice parameters up to which two phases are coherent


@dataclass(frozen=True)
class Sublattice:
    """One fcc sublattice of a crystal.

    Attributes
    ----------
    species : str
        Chemical symbol.
    offset : tuple of 3 float
        Shift of its grid from the crystal's origin [a/2].
    """

    species: str
    offset: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not isinstance(self.species, str) or self.species not in SYMBOLS:
            raise InputError(f"crystal: species {self.species!r} is not a chemical symbol such as 'Au'.")


@dataclass(frozen=True)
class Crystal:
    """A cubic crystal made of fcc sublattices.

    Attributes
    ----------
    structure : str
        "fcc", "rock_salt", "zinc_blende" or "core_shell".
    a : float
        Cubic lattice parameter [A].
    sublattices : tuple of Sublattice
        The first one is the grid whose atoms are counted and reconstructed. Two species may share one
        grid: they then have equal offsets.
    phases : tuple of tuple of int
        Sublattices of each phase (the core first, then the shell); all of them in one phase by default.
    """

    structure: str
    a: float
    sublattices: tuple[Sublattice, ...]
    phases: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if not (isinstance(self.a, int | float | np.number) and 0 < self.a < 100):
            raise InputError(f"crystal: a must be a lattice parameter in A, got {self.a!r}.")
        object.__setattr__(self, "a", float(self.a))
        check_kinds("crystal: sublattices", self.sublattices, Sublattice)
        if not self.sublattices:
            raise InputError("crystal: sublattices: expected at least one, got none.")
        object.__setattr__(self, "phases", _phases(self.phases, len(self.sublattices)))

    @property
    def species(self) -> str:
        """Chemical symbol of the counted sublattice."""
        return self.sublattices[0].species


def _phases(phases: object, n: int) -> tuple[tuple[int, ...], ...]:
    """The sublattices of each phase, all `n` of one where none is named."""
    if isinstance(phases, Sequence) and not len(phases):
        return (tuple(range(n)),)
    try:
        found = tuple(tuple(index(number) for number in phase) for phase in phases)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise InputError("crystal: phases: expected tuples of the numbers of sublattices.") from error
    if not all(found) or not found or not all(0 <= number < n for phase in found for number in phase):
        raise InputError(f"crystal: phases: expected numbers of the {n} sublattices, from 0.")
    return found


def _two(structure: str, cation: str, anion: str, a: float, offset: tuple[float, float, float]) -> Crystal:
    """A crystal of two species, the anions' grid shifted by ``offset`` [a/2]."""
    sublattices = Sublattice(cation, (0, 0, 0)), Sublattice(anion, offset)
    if cation == anion:
        raise InputError(f"crystal: species names {cation!r} twice; expected two different elements.")
    return Crystal(structure, a, sublattices)


def fcc(species: str, a: float) -> Crystal:
    """Face-centred cubic metal.

    Parameters
    ----------
    species : str
        Chemical symbol, e.g. "Au".
    a : float
        Lattice parameter [A].

    Returns
    -------
    Crystal

    Raises
    ------
    InputError
        If the species is no chemical symbol, or a no lattice parameter.

    Examples
    --------
    >>> fcc("Au", a=4.08).species
    'Au'
    """
    return Crystal("fcc", a, (Sublattice(species, (0, 0, 0)),))


def rock_salt(cation: str, anion: str, a: float) -> Crystal:
    """Rock salt: the anions sit on the octahedral sites of the cations' fcc grid.

    Parameters
    ----------
    cation, anion : str
        Chemical symbols; the cation's sublattice is the counted one.
    a : float
        Lattice parameter [A].

    Returns
    -------
    Crystal

    Raises
    ------
    InputError
        If the species are not two chemical symbols, or a is no lattice parameter.

    Examples
    --------
    >>> rock_salt("Pb", "Se", a=6.10).sublattices[1].offset
    (1, 0, 0)
    """
    return _two("rock_salt", cation, anion, a, (1, 0, 0))


def zinc_blende(cation: str, anion: str, a: float) -> Crystal:
    """Zinc blende: the anions sit on half the tetrahedral sites of the cations' fcc grid.

    Parameters
    ----------
    cation, anion : str
        Chemical symbols; the cation's sublattice is the counted one.
    a : float
        Lattice parameter [A].

    Returns
    -------
    Crystal

    Raises
    ------
    InputError
        If the species are not two chemical symbols, or a is no lattice parameter.

    Examples
    --------
    >>> len(zinc_blende("Cd", "Se", a=6.05).sublattices)
    2
    """
    return _two("zinc_blende", cation, anion, a, (0.5, 0.5, 0.5))


def core_shell(core: Crystal, shell: Crystal, target: str) -> Crystal:
    """Two phases on one coherent lattice, as PbSe inside CdSe.

    The phases are laid over each other so that a species that both have keeps its sublattice through the
    whole crystal (Se, above); crystals of equal structure share all their sublattices (CdSe in CdS: Se and S
    on one grid; Au in Ag).

    Parameters
    ----------
    core, shell : Crystal
        From `fcc`, `rock_salt` or `zinc_blende`, with equal lattice parameters.
    target : str
        Chemical symbol of the sublattice that is counted and comes first, at offset (0, 0, 0).

    Returns
    -------
    Crystal
        Structure "core_shell"; sublattices that both phases share occur once.

    Raises
    ------
    InputError
        If the lattice parameters differ, the phases share neither species nor structure, or no sublattice
        has the target's species.

    Examples
    --------
    >>> crystal = core_shell(rock_salt("Pb", "Se", a=6.10), zinc_blende("Cd", "Se", a=6.10), target="Pb")
    >>> [(s.species, s.offset) for s in crystal.sublattices]
    [('Pb', (0.0, 0.0, 0.0)), ('Se', (1.0, 0.0, 0.0)), ('Cd', (0.5, 0.5, 0.5))]
    >>> crystal.phases
    ((0, 1), (1, 2))
    """
    check_kind("core", core, Crystal)
    check_kind("shell", shell, Crystal)
    check_kind("target", target, str)
    if abs(shell.a / core.a - 1) > EQUAL_LATTICES:
        raise InputError(
            f"core_shell: core and shell must have one lattice parameter, got {core.a:g} and {shell.a:g} A."
        )
    shift = _common_offset(core, shell)
    places = [[(s.species, np.array(s.offset, dtype=float)) for s in core.sublattices]]
    places.append([(s.species, np.array(s.offset) + shift) for s in shell.sublattices])
    origin = next((offset for phase in places for species, offset in phase if species == target), None)
    if origin is None:
        known = ", ".join(dict.fromkeys(species for phase in places for species, _ in phase))
        raise InputError(f"core_shell: target {target!r} is none of the crystal's species ({known}).")
    found: list[Sublattice] = []
    members: list[list[int]] = []
    for phase in places:
        rows = [Sublattice(species, reduced_offset(offset - origin)) for species, offset in phase]
        found += [row for row in rows if row not in found]
        members.append([found.index(row) for row in rows])
    order = sorted(range(len(found)), key=lambda k: found[k].species != target)  # stable: the target first
    rank = {old: new for new, old in enumerate(order)}
    return Crystal(
        "core_shell",
        core.a,
        tuple(found[k] for k in order),
        tuple(tuple(sorted(rank[k] for k in phase)) for phase in members),
    )


def _common_offset(core: Crystal, shell: Crystal) -> np.ndarray:
    """Shift of the shell [a/2] that lays it over the core."""
    for first in reversed(core.sublattices):  # the anion before the cation: it is what goes on
        for second in shell.sublattices:
            if first.species == second.species:
                return np.array(first.offset, dtype=float) - np.array(second.offset)
    if core.structure == shell.structure:
        return np.zeros(3)
    names = ["/".join(s.species for s in crystal.sublattices) for crystal in (core, shell)]
    raise InputError(
        f"core_shell: {names[0]} and {names[1]} share neither a species nor a structure;"
        " expected a sublattice that goes on through core and shell."
    )


def reduced_offset(offset: ArrayLike) -> tuple[float, float, float]:
    """The shortest of the equivalent offsets (3,) of an fcc grid [a/2]; of equal ones the largest.

    Examples
    --------
    >>> reduced_offset((0.5, -0.5, 1.5)), reduced_offset((1, 2, 0))
    ((0.5, 0.5, 0.5), (1.0, 0.0, 0.0))
    """
    base = np.asarray(offset, dtype=float)
    steps = [np.array(s) for s in product(range(-3, 4), repeat=3) if sum(s) % 2 == 0]
    near = np.rint(base)
    near[0] -= near.sum() % 2  # a grid site close by, so that few steps are enough
    trials = [tuple(float(c) for c in np.round(base - near + s, 9) + 0.0) for s in steps]
    best = min(trials, key=lambda t: (round(float(np.dot(t, t)), 6), tuple(-c for c in t)))
    return best[0], best[1], best[2]
