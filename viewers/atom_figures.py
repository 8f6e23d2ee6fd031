"""Figures of a reconstruction: its atoms, and how certain they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from stemcount import InputError
from tomo.errors import check_list

from .geometry import direction_name, oblique_direction
from .options import check_indices, check_number, check_result
from .spheres import frame_scale, render_spheres
from .style import (
    ACCENT,
    BLUE,
    CERTAINTY_COLORMAP,
    GREY,
    INK,
    colour_bar,
    new_figure,
    round_length,
    scale_bar,
    styled,
)

if TYPE_CHECKING:
    from tomo.result import Reconstruction

PANEL_PIXELS = (480, 480)
"""Resolution of each picture of atoms in a figure."""


def lattice_parameter(result: Reconstruction) -> float:
    """Lattice parameter of the result's crystal [A], or 2 where none is known (grid units)."""
    return float(result.crystal.a) if result.crystal is not None else 2.0


def length_unit(result: Reconstruction) -> str:
    """Unit of positions: angstrom, or a/2 where no crystal is known."""
    return "Å" if result.crystal is not None else "a/2"


def atom_positions(result: Reconstruction, sites: ArrayLike | None = None) -> NDArray[np.float64]:
    """Positions (n, 3) of grid sites (n, 3), by default all candidates, in the crystal's axes [A]."""
    chosen = result.sites if sites is None else sites
    return lattice_parameter(result) / 2 * np.asarray(chosen, float).reshape(-1, 3)


def sphere_radius(result: Reconstruction) -> float:
    """Radius at which the spheres of nearest neighbours touch [A]."""
    return lattice_parameter(result) / np.sqrt(8)


def middle_of(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle (3,) of the box that holds all positions (n, 3); the origin if there are none."""
    return (positions.min(axis=0) + positions.max(axis=0)) / 2 if len(positions) else np.zeros(3)


def atom_scale_bar(axes: Axes, result: Reconstruction, span: float) -> None:
    """Scale bar in the unit of a result's positions, for axes that are `span` wide in it."""
    length = round_length(span)
    scale_bar(axes, length, label=f"{length:g} {length_unit(result)}")


def atoms_in_words(result: Reconstruction, number: int) -> str:
    """A number of atoms of the counted species, which is named where the result holds others too.

    Examples
    --------
    >>> atoms_in_words(result, 1)
    '1 atom'
    """
    species = f"{result.crystal.species} " if result.crystal is not None and result.companions else ""
    return f"{number} {species}atom{'' if number == 1 else 's'}"


def oblique_view(result: Reconstruction) -> NDArray[np.float64]:
    """Direction a little off the first view's zone axis, so that no columns hide each other."""
    return oblique_direction(result.views[0].zone_axis if len(result.views) else (1, 1, 0))


def certainty_colours(certainty: ArrayLike) -> NDArray[np.float64]:
    """Red, green, blue (n, 3) of certainties between 0 and 1, the same in every picture."""
    return matplotlib.colormaps[CERTAINTY_COLORMAP](np.asarray(certainty, float))[:, :3]


@styled
def figure_atoms(
    result: Reconstruction, threshold: float = 0.5, directions: list[tuple[int, int, int]] | None = None
) -> Figure:
    """Atoms in 3D as spheres coloured by certainty, seen along several directions.

    Parameters
    ----------
    result : tomo.Reconstruction
    threshold : float
        Sites of at least this certainty are drawn.
    directions : list of (u, v, w), optional
        Where to look; by default up to three of the views' zone axes and one oblique direction.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If `result` is no reconstruction or the threshold not between 0 and 1.

    Examples
    --------
    >>> figure_atoms(result, directions=[(1, 1, 0)]).savefig("atoms.png")
    """
    check_result(result)
    threshold = check_number("threshold", threshold, 0, 1)
    shown = result.certainty >= threshold
    xyz = atom_positions(result)[shown]
    radius, middle = sphere_radius(result), middle_of(xyz)
    colours = certainty_colours(result.certainty[shown])
    panels: list[tuple[str, NDArray]] = []
    if directions is None:
        zone_axes = list(dict.fromkeys(tuple(int(i) for i in v.zone_axis) for v in result.views))[:3]
        first = zone_axes[0] if zone_axes else (1, 1, 0)
        title = f"{atoms_in_words(result, int(shown.sum()))}, oblique"
        panels.append((title, oblique_direction((1, 0, 0) if first == (0, 0, 1) else first)))
    else:
        check_list("directions", directions)
        zone_axes = [check_indices("directions", axis) for axis in directions]
        if not zone_axes:
            raise InputError("directions: expected at least one direction [uvw], got none.")
    panels += [(f"along {direction_name(axis)}", np.asarray(axis, float)) for axis in zone_axes]

    columns = len(panels) if len(panels) <= 4 else 4
    rows = -(-len(panels) // columns)
    figure = new_figure(2.75 * columns + 0.8, 3.0 * rows + 0.2, equal_aspect=True)
    grid = figure.subplots(rows, columns, squeeze=False)
    scale = frame_scale(xyz - middle, radius, PANEL_PIXELS, margin=0.02)
    for ax in grid.ravel():
        ax.set_axis_off()
    for ax, (title, direction) in zip(grid.ravel(), panels, strict=False):
        scene = render_spheres(xyz - middle, colours, radius, direction, size=PANEL_PIXELS, scale=scale)
        ax.imshow(scene.rgba, extent=scene.extent, interpolation="antialiased")
        ax.set_title(title)
    atom_scale_bar(grid[0, 0], result, PANEL_PIXELS[0] / scale)
    colour_bar(
        figure,
        list(grid.ravel()),
        Normalize(0.0, 1.0),
        CERTAINTY_COLORMAP,
        f"certainty (drawn: ≥ {threshold:g})",
        fraction=0.02,
        pad=0.01,
    )
    return figure


@styled
def figure_certainty(result: Reconstruction, threshold: float = 0.5) -> Figure:
    """How sure the reconstruction is: histogram of certainties, and atoms against the threshold.

    If the certainties are right, the atoms above a threshold are expected to hold
    sum(1 - certainty) false ones and to miss sum(certainty) over the sites below it. The share of
    repeated annealing runs is not a calibrated probability, so these sums are given for
    ``method="sample"`` only.

    Parameters
    ----------
    result : tomo.Reconstruction
    threshold : float
        Sites of at least this certainty are atoms.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If `result` is no reconstruction or the threshold not between 0 and 1.

    Examples
    --------
    >>> figure_certainty(result).savefig("certainty.png")
    """
    check_result(result)
    threshold = check_number("threshold", threshold, 0, 1)
    certainty = np.asarray(result.certainty, float)
    atoms = certainty >= threshold
    false, missed = float(np.sum(1 - certainty[atoms])), float(np.sum(certainty[~atoms]))
    shares_of_runs = result.method == "anneal" and "other_crystals" not in result.diagnostics
    expected = "" if shares_of_runs else f"; expected {false:.1f} false, {missed:.1f} missed"
    figure = new_figure(8.6, 3.4)
    left, right = figure.subplots(1, 2)
    _draw_certainties(left, certainty, threshold)
    left.set_title(f"{atoms_in_words(result, int(atoms.sum()))}{expected}")
    _draw_atoms_at_least_as_certain(right, certainty, threshold)
    right.set_title(_where_from(result))
    return figure


def _where_from(result: Reconstruction) -> str:
    """What the certainties are."""
    if "other_crystals" in result.diagnostics:
        return "Certainty from this and other crystals"
    if result.method == "sample":
        return "Certainty from the posterior"
    return "Agreement of runs (too sure of itself)"


def _draw_certainties(axes: Axes, certainty: NDArray[np.float64], threshold: float) -> None:
    """Histogram of the certainties of all sites that may be occupied."""
    edges = np.linspace(0, 1, 21)
    numbers, _ = np.histogram(certainty[certainty > 0], bins=edges)
    middle = (edges[1:] + edges[:-1]) / 2
    axes.bar(middle, numbers, width=0.047, color=certainty_colours(middle), edgecolor=INK, lw=0.4)
    axes.axvline(threshold, color=ACCENT, ls="--", lw=1.1, label=f"threshold {threshold:g}")
    axes.set_ylim(0.7, max(2.0, 1.8 * numbers.max(initial=1)))
    axes.set_yscale("log" if numbers.any() else "linear")
    axes.set_xlim(0, 1)
    axes.set_xlabel("certainty of a site")
    axes.set_ylabel("sites")
    axes.legend(loc="upper left")  # few sites are that uncertain


def _draw_atoms_at_least_as_certain(axes: Axes, certainty: NDArray[np.float64], threshold: float) -> None:
    """Number of atoms that any threshold of certainty leaves."""
    ordered = np.sort(certainty[certainty > 0])
    at_least = np.concatenate([[len(ordered)], np.arange(len(ordered), -1, -1)])
    axes.step(np.concatenate([[0], ordered, [1]]), at_least, where="pre", color=BLUE)
    total = float(certainty.sum())
    axes.axhline(total, color=GREY, lw=0.9, ls=":", label=f"sum of certainties: {total:.1f}")
    axes.axvline(threshold, color=ACCENT, ls="--", lw=1.1)
    axes.set_xlim(0, 1)
    sure, most = int(np.sum(ordered >= 0.99)), int(np.sum(ordered >= 0.02))
    margin = 0.08 * max(most - sure, 0.1 * most, 5)
    axes.set_ylim(max(0.0, min(sure, total) - margin), most + margin)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("threshold")
    axes.set_ylabel("atoms of at least this certainty")
    axes.legend(loc="best")
