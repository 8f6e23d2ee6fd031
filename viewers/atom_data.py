"""What the atom viewer shows of a reconstruction: positions, properties, and which atoms are visible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .atom_table import AtomTable
from .style import CERTAINTY_COLORMAP, COUNT_COLORMAP, DIFFERENCE_COLORMAP


@dataclass(frozen=True)
class ColourScale:
    """How a property of the atoms is turned into colour.

    Attributes
    ----------
    label : str
        What the property is called, with its unit.
    colormap : str
        Name of the colour map.
    limits : tuple of 2 float
        Values at its ends.
    """

    label: str
    colormap: str
    limits: tuple[float, float]


@dataclass(frozen=True)
class Selection:
    """Which atoms are to be seen.

    Attributes
    ----------
    threshold : float
        Least certainty.
    run : int or None
        One of the repeated runs instead of the certainty.
    missing : bool
        With a run, also the sites of at least the threshold that this run leaves empty.
    normal : tuple of 3 int
        Normal [hkl] of the planes that `first` and `last` count.
    first, last : int or None
        First and last plane shown, as products of site and normal.
    cut : tuple of 3 float or None
        Direction of the normal of a plane beyond which nothing is shown.
    distance : float
        How far that plane lies from the origin [A].
    species : tuple of str or None
        Species to show; None for all.
    hide_interior : bool
        Leave out atoms below the two outermost layers, which nobody can see.
    """

    threshold: float = 0.5
    run: int | None = None
    missing: bool = False
    normal: tuple[int, int, int] = (0, 0, 1)
    first: int | None = None
    last: int | None = None
    cut: tuple[float, float, float] | None = None
    distance: float = 0.0
    species: tuple[str, ...] | None = None
    hide_interior: bool = True


def visible(table: AtomTable, selection: Selection) -> NDArray[np.bool_]:
    """Mask (n,) of the sites of all species that are to be drawn."""
    shown = table.certainty >= selection.threshold
    if selection.run is not None:
        shown = table.runs[selection.run] | (shown & selection.missing)
    if selection.species is not None:
        shown &= np.isin(table.species, selection.species)
    if selection.first is not None or selection.last is not None:
        plane = table.sites @ np.asarray(selection.normal, float)
        if selection.first is not None:
            shown &= plane >= selection.first
        if selection.last is not None:
            shown &= plane <= selection.last
    if selection.cut is not None:
        normal = np.asarray(selection.cut, float)
        shown &= table.positions @ (normal / np.linalg.norm(normal)) <= selection.distance + 1e-6
    if selection.hide_interior:
        # Between the atoms of the outermost layer one sees those of the second, but nothing deeper.
        bulk = shown & (table.neighbours(shown) == 12)
        shown = shown & ~(bulk & (table.neighbours(bulk) == 12))
    return shown


def numbers_in_words(table: AtomTable, selection: Selection) -> str:
    """How many atoms there are above the threshold or in the run, of each species where there are several."""
    run = selection.run
    atoms = table.certainty >= selection.threshold if run is None else table.runs[run]
    names = list(dict.fromkeys(table.species.tolist()))
    if len(names) < 2:
        return f"{int(atoms.sum())} atoms"
    return ", ".join(f"{int(np.sum(atoms & (table.species == name)))} {name}" for name in names)


def atom_properties(table: AtomTable) -> dict[str, NDArray]:
    """Properties of every candidate site by name.

    ``certainty``; ``coordination``, its neighbours of certainty 0.5 or more on its own sublattice;
    ``between runs``, the standard deviation of its occupancy between the runs; ``distance``, how far it lies
    from the centre of mass [a/2].
    """
    weight = table.certainty if table.certainty.sum() > 0 else np.ones(len(table))
    centre = np.average(table.sites, axis=0, weights=weight) if len(table) else np.zeros(3)
    share = table.runs.mean(axis=0) if len(table.runs) else table.certainty
    return {
        "certainty": table.certainty,
        "coordination": table.neighbours(table.certainty >= 0.5).astype(float),
        "between runs": np.sqrt(share * (1 - share)) if len(table.runs) else np.zeros(len(table)),
        "distance": np.linalg.norm(table.sites - centre, axis=1),
    }


def run_deviation(table: AtomTable, run: int | None) -> NDArray[np.float64]:
    """How one run differs from the certainty: 1 - certainty where it has an atom, -certainty where not.

    Near 1: an atom that hardly any other run has; near -1: one that nearly all others have. 0 without a run.
    """
    if run is None or not len(table.runs):
        return np.zeros(len(table))
    return np.asarray(table.runs[run] - table.certainty, float)


def colour_scales(table: AtomTable) -> dict[str, ColourScale]:
    """Colour scales of the properties of `atom_properties`, and of `run_deviation`."""
    reach = float(np.linalg.norm(np.ptp(table.sites, axis=0))) / 2 if len(table) else 1.0
    return {
        "certainty": ColourScale("certainty", CERTAINTY_COLORMAP, (0.0, 1.0)),
        "coordination": ColourScale("nearest neighbours", COUNT_COLORMAP, (0.0, 12.0)),
        "between runs": ColourScale("standard deviation between runs", "magma", (0.0, 0.5)),
        "this run": ColourScale("this run minus certainty", DIFFERENCE_COLORMAP, (-1.0, 1.0)),
        "distance": ColourScale("distance from the centre (a/2)", COUNT_COLORMAP, (0.0, max(reach, 1.0))),
    }
