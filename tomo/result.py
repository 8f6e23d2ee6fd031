"""A reconstructed crystal: sites, their certainty, and everything that led to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Bools, Floats, Ints
from .crystal import Crystal
from .errors import InputError, check_kind, check_number, check_path
from .report import PlaneAgreement, ViewAgreement, plane_agreements, view_agreement
from .view import View
from .whole_file import whole_file

if TYPE_CHECKING:
    import ase


@dataclass(frozen=True, eq=False)
class Companion:
    """Another species of the crystal, reconstructed together with the counted one.

    Attributes
    ----------
    species : str
        Chemical symbol.
    offset : tuple of 3 float
        Where its grid lies relative to that of the counted sublattice [a/2].
    sites : (n, 3) int
        Sites (h, k, l) of its own grid, position = (a/2)((h, k, l) + offset); sorted.
    certainty : (n,) float
        Probability 0..1 that the site holds an atom of this species.
    runs : (runs, n) bool
        Occupancy in every run; of shape (0, n) where only the certainty is known.
    """

    species: str
    offset: tuple[float, float, float]
    sites: Ints
    certainty: Floats
    runs: Bools

    def __repr__(self) -> str:
        return f"<Companion {self.species}: {len(self.occupied())} atoms>"

    def occupied(self, threshold: float = 0.5) -> Ints:
        """Sites whose certainty is at least ``threshold``, (m, 3) int."""
        check_number("threshold", threshold)
        return self.sites[self.certainty >= threshold]

    @property
    def places(self) -> Floats:
        """All its sites (n, 3) in the frame of the counted sublattice [a/2]."""
        return self.sites + np.array(self.offset, dtype=float)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Sites of a crystal, each with a certainty.

    Attributes
    ----------
    sites : (n, 3) int
        Candidate sites (h, k, l) that hold an atom in at least one run or have a certainty
        above 0, position = (a/2)(h, k, l); sorted.
    certainty : (n,) float
        Probability 0..1 that the site is occupied. Of ``method="anneal"`` the fraction of runs,
        of ``method="sample"`` the posterior probability.
    runs : (runs, n) bool
        Occupancy in every run.
    energy : (runs,) float
        Energy of every run, in units of minus the log-likelihood.
    views : tuple of View
        What was reconstructed from.
    method : str
        "anneal" or "sample".
    seed : int
    edge_weight : float
        Cost of an occupied-vacant neighbour pair that was used.
    crystal : Crystal or None
    diagnostics : dict
        Plain numbers and lists.
    warnings : tuple of str
    companions : tuple of Companion
        The crystal's other species, where they were reconstructed too; `sites`, `certainty` and
        `occupied` are those of the counted one.
    """

    sites: Ints
    certainty: Floats
    runs: Bools
    energy: Floats
    views: tuple[View, ...]
    method: str
    seed: int
    edge_weight: float
    crystal: Crystal | None = None
    diagnostics: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    companions: tuple[Companion, ...] = ()

    def __repr__(self) -> str:
        views = " ".join(view.name for view in self.views)
        runs, warnings = (
            f"{len(of)} {what}" if len(of) == 1 else f"{len(of)} {what}s"
            for of, what in ((self.runs, "run"), (self.warnings, "warning"))
        )
        atoms = len(self.occupied())
        return f"<Reconstruction: {atoms} atoms, views {views}, {self.method}, {runs}, {warnings}>"

    def occupied(self, threshold: float = 0.5) -> Ints:
        """Sites of at least this certainty, position = (a/2)(h, k, l).

        Parameters
        ----------
        threshold : float
            0.5 by default: sites that more probably hold an atom than not.

        Returns
        -------
        (m, 3) int
            In the order of `sites`; of the counted species where there are several.

        Raises
        ------
        InputError
            If the threshold is no number.

        Examples
        --------
        >>> import tomo
        >>> views = tomo.phantoms.views_of([(0, 0, 0), (1, 1, 0), (1, 0, 1)], [(1, 0, 0), (0, 1, 0)])
        >>> tomo.reconstruct(views, runs=2).occupied().shape
        (3, 3)
        """
        check_number("threshold", threshold)
        return self.sites[self.certainty >= threshold]

    def agreement(self, threshold: float = 0.5) -> tuple[list[ViewAgreement], list[PlaneAgreement]]:
        """Per view the counts against the reprojected atoms, and the plane sums shared by pairs of views.

        Parameters
        ----------
        threshold : float
            Sites of at least this certainty count as atoms.
        """
        atoms = self.occupied(threshold)
        return [view_agreement(atoms, view) for view in self.views], plane_agreements(atoms, self.views)

    def to_ase(self, threshold: float = 0.5) -> ase.Atoms:
        """Atoms of at least this certainty as `ase.Atoms`, positions in A.

        The array "certainty" holds the certainties, ``info["zone_axes"]`` the viewing directions.

        Parameters
        ----------
        threshold : float
            Sites of at least this certainty hold an atom, of all species.

        Returns
        -------
        ase.Atoms
            Not periodic, in the crystal's cubic axes; its origin is a site of the counted sublattice's grid.

        Raises
        ------
        InputError
            If ASE is not installed, or the crystal's species and lattice parameter are not known.
        """
        symbols, positions, certainty = self.atoms(threshold)
        try:
            from ase import Atoms
        except ImportError as error:
            raise InputError("to_ase: ASE is not installed; pip install stemcount[ase].") from error
        atoms = Atoms(symbols, positions=positions, pbc=False)
        atoms.set_array("certainty", certainty)
        atoms.info["zone_axes"] = [list(view.zone_axis) for view in self.views]
        return atoms

    def atoms(self, threshold: float = 0.5) -> tuple[list[str], Floats, Floats]:
        """Atoms of all species of at least this certainty: symbols, positions (n, 3) [A], certainty (n,).

        Raises
        ------
        InputError
            If the crystal's species and lattice parameter are not known.
        """
        crystal = self._known_crystal()
        check_number("threshold", threshold)
        symbols: list[str] = []
        positions, certainty = [], []
        for part in self.parts:
            shown = part.certainty >= threshold
            symbols += [part.species] * int(shown.sum())
            positions.append(crystal.a / 2 * part.places[shown])
            certainty.append(part.certainty[shown])
        return symbols, np.concatenate(positions), np.concatenate(certainty)

    @property
    def parts(self) -> tuple[Companion, ...]:
        """All species: the counted one, "X" where the crystal is not known, and its companions."""
        name = "X" if self.crystal is None else self.crystal.species
        return Companion(name, (0.0, 0.0, 0.0), self.sites, self.certainty, self.runs), *self.companions

    def save(self, path: str | Path) -> Path:
        """Write everything to an HDF5 file that `load_reconstruction` reads.

        Parameters
        ----------
        path : str or Path
            A file, or a folder (a name without an ending) that ``reconstruction.h5`` is written into. Folders
            that are not there yet are made.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        from .result_file import save_reconstruction

        return save_reconstruction(self, path)

    def write_xyz(self, path: str | Path, threshold: float = 0.5) -> Path:
        """Write the atoms as extended XYZ; see `tomo.write_xyz`."""
        return write_xyz(self, path, threshold)

    def _known_crystal(self) -> Crystal:
        if self.crystal is None:
            raise InputError(
                "result: the crystal is not known; give tomo.reconstruct(..., crystal=tomo.fcc(species, a))."
            )
        return self.crystal


def write_xyz(result: Reconstruction, path: str | Path, threshold: float = 0.5) -> Path:
    """Write the atoms of a reconstruction as extended XYZ, in A, cubic axes, origin at a grid site.

    One line per atom, of every species, with its position and certainty; no lattice, no periodicity.

    Parameters
    ----------
    result : Reconstruction
        Made with a crystal.
    path : str or Path
        File to write; its folder is made where there is none.
    threshold : float
        Sites of at least this certainty are written.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the crystal is not known or the file cannot be written.

    Examples
    --------
    >>> import tempfile, tomo
    >>> views = tomo.phantoms.views_of([(0, 0, 0), (1, 1, 0), (1, 0, 1)], [(1, 0, 0), (0, 1, 0)])
    >>> result = tomo.reconstruct(views, runs=2, crystal=tomo.fcc("Au", a=4.08))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = write_xyz(result, f"{folder}/atoms.xyz").read_text().splitlines()
    >>> lines[0], lines[2].split()[0]
    ('3', 'Au')
    """
    check_kind("result", result, Reconstruction)
    check_path(path)
    crystal = result._known_crystal()
    path = Path(path)
    symbols, positions, certainty = result.atoms(threshold)
    axes = " ".join(view.name.replace('"', "").replace(" ", "_") for view in result.views)
    lines = [
        str(len(symbols)),
        f'Properties=species:S:1:pos:R:3:certainty:R:1 pbc="F F F" a={crystal.a:g} '
        f'views="{axes}" method={result.method} seed={result.seed}',
    ]
    for symbol, (x, y, z), p in zip(symbols, positions, certainty, strict=True):
        lines.append(f"{symbol:2s} {x:12.6f} {y:12.6f} {z:12.6f} {p:8.6f}")
    try:
        with whole_file(path) as unfinished:
            unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from error
    return path
