"""Crystals on the fcc grid: species, lattice parameter and sublattices."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InputError


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


@dataclass(frozen=True)
class Crystal:
    """A cubic crystal made of fcc sublattices.

    Attributes
    ----------
    structure : str
        "fcc", "rock_salt" or "zinc_blende".
    a : float
        Cubic lattice parameter [A].
    sublattices : tuple of Sublattice
        The first one is the grid whose atoms are counted and reconstructed.
    """

    structure: str
    a: float
    sublattices: tuple[Sublattice, ...]

    def __post_init__(self) -> None:
        if not (0 < self.a < 100):
            raise InputError(f"crystal: a must be a lattice parameter in A, got {self.a!r}.")

    @property
    def species(self) -> str:
        """Chemical symbol of the counted sublattice."""
        return self.sublattices[0].species


def fcc(species: str, a: float) -> Crystal:
    """Face-centred cubic metal.

    Parameters
    ----------
    species : str
        Chemical symbol, e.g. "Au".
    a : float
        Lattice parameter [A].

    Examples
    --------
    >>> fcc("Au", a=4.08).species
    'Au'
    """
    return Crystal("fcc", float(a), (Sublattice(species, (0, 0, 0)),))


def rock_salt(cation: str, anion: str, a: float) -> Crystal:
    """Rock salt: the anions sit on the octahedral sites of the cations' fcc grid.

    Parameters
    ----------
    cation, anion : str
        Chemical symbols; the cation's sublattice is the counted one.
    a : float
        Lattice parameter [A].

    Examples
    --------
    >>> rock_salt("Pb", "Se", a=6.10).sublattices[1].offset
    (1, 0, 0)
    """
    return Crystal("rock_salt", float(a), (Sublattice(cation, (0, 0, 0)), Sublattice(anion, (1, 0, 0))))


def zinc_blende(cation: str, anion: str, a: float) -> Crystal:
    """Zinc blende: the anions sit on half the tetrahedral sites of the cations' fcc grid.

    Parameters
    ----------
    cation, anion : str
        Chemical symbols; the cation's sublattice is the counted one.
    a : float
        Lattice parameter [A].

    Examples
    --------
    >>> len(zinc_blende("Cd", "Se", a=6.05).sublattices)
    2
    """
    half = (0.5, 0.5, 0.5)
    return Crystal("zinc_blende", float(a), (Sublattice(cation, (0, 0, 0)), Sublattice(anion, half)))
