"""What the atom viewer shows of a reconstruction: positions, properties, and which atoms are visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .geometry import coordination

if TYPE_CHECKING:
    from tomo.result import Reconstruction


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
    normal : tuple of 3 int
        Normal [hkl] of the planes that `first` and `last` count.
    first, last : int or None
        First and last plane shown, as products of site and normal.
    hide_interior : bool
        Leave out atoms below the two outermost layers, which nobody can see.
    """

    threshold: float = 0.5
    run: int | None = None
    normal: tuple[int, int, int] = (0, 0, 1)
    first: int | None = None
    last: int | None = None
    hide_interior: bool = True


def visible_atoms(result: Reconstruction, selection: Selection) -> NDArray[np.bool_]:
    """Mask of the candidate sites that are to be drawn.

    Parameters
    ----------
    result : tomo.Reconstruction
    selection : Selection

    Returns
    -------
    (n,) array of bool
    """
    if selection.run is None:
        shown = np.asarray(result.certainty) >= selection.threshold
    else:
        shown = np.asarray(result.runs[selection.run], bool).copy()
    if selection.first is not None or selection.last is not None:
        plane = np.asarray(result.sites) @ np.asarray(selection.normal)
        shown &= plane >= (plane.min() if selection.first is None else selection.first)
        shown &= plane <= (plane.max() if selection.last is None else selection.last)
    if selection.hide_interior:
        # Between the atoms of the outermost layer one sees those of the second, but nothing deeper.
        atoms = np.flatnonzero(shown)
        sites = np.asarray(result.sites)[atoms]
        bulk = coordination(sites) == 12
        shown[atoms[bulk & (coordination(sites, bulk) == 12)]] = False
    return shown


def atom_properties(result: Reconstruction, threshold: float = 0.5) -> dict[str, NDArray]:
    """Properties of every candidate site by name.

    ``certainty``; ``coordination``, its number of neighbours of at least that certainty; ``between
    runs``, the standard deviation of its occupancy between the runs; ``distance``, how far it lies
    from the centre of mass [a/2].
    """
    sites = np.asarray(result.sites)
    certainty = np.asarray(result.certainty, float)
    centre = np.average(sites, axis=0, weights=certainty) if certainty.sum() > 0 else np.zeros(3)
    return {
        "certainty": certainty,
        "coordination": coordination(sites, certainty >= threshold).astype(float),
        "between runs": np.asarray(result.runs, float).std(axis=0)
        if len(result.runs)
        else np.zeros(len(sites)),
        "distance": np.linalg.norm(sites - centre, axis=1),
    }


def colour_scales(result: Reconstruction) -> dict[str, ColourScale]:
    """Colour scales of the properties of `atom_properties`."""
    reach = float(np.linalg.norm(np.ptp(np.asarray(result.sites), axis=0))) / 2 if len(result.sites) else 1.0
    return {
        "certainty": ColourScale("certainty", "cividis", (0.0, 1.0)),
        "coordination": ColourScale("nearest neighbours", "viridis", (0.0, 12.0)),
        "between runs": ColourScale("standard deviation between runs", "magma", (0.0, 0.5)),
        "distance": ColourScale("distance from the centre (a/2)", "viridis", (0.0, max(reach, 1.0))),
    }


def describe_atom(result: Reconstruction, index: int, threshold: float = 0.5) -> str:
    """One line on an atom: its site, position, certainty and neighbours."""
    site = np.asarray(result.sites)[index]
    h, k, l = (int(v) for v in site)  # noqa: E741
    occupied = np.asarray(result.certainty) >= threshold
    near = np.sum((np.asarray(result.sites) - site) ** 2, axis=1) == 2
    text = f"site ({h} {k} {l})"
    if result.crystal is not None:
        x, y, z = result.crystal.a / 2 * site
        text += f", {x:.2f} {y:.2f} {z:.2f} Å"
    runs = np.asarray(result.runs)
    text += f", certainty {float(result.certainty[index]):.3f}, {int(np.sum(near & occupied))} neighbours"
    if len(runs):
        text += f", in {int(runs[:, index].sum())} of {len(runs)} runs"
    return text
