"""Figures of a reconstruction: counts against reprojections, plane sums, atoms, certainty."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from stemcount import InputError

from .geometry import direction_name, oblique_direction, shared_planes, sum_over_columns, view_rotation
from .options import check_number, check_result
from .spheres import frame_scale, render_spheres
from .style import (
    ACCENT,
    BLUE,
    CERTAINTY_COLORMAP,
    DIFFERENCE_COLORMAP,
    GREY,
    INK,
    colour_bar,
    count_colours,
    integer_ticks,
    new_figure,
    round_length,
    scale_bar,
    styled,
)

if TYPE_CHECKING:
    from tomo import View
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
    """Positions of grid sites in the crystal's axes [A].

    Parameters
    ----------
    result : tomo.Reconstruction
    sites : (n, 3) array_like of int, optional
        By default all candidate sites of the result.

    Returns
    -------
    (n, 3) array
    """
    chosen = result.sites if sites is None else sites
    return lattice_parameter(result) / 2 * np.asarray(chosen, float).reshape(-1, 3)


def certainty_colours(certainty: ArrayLike, low: float = 0.0) -> NDArray[np.float64]:
    """Red, green, blue of certainties between `low` and 1."""
    values = (np.asarray(certainty, float) - low) / (1.0 - low)
    return matplotlib.colormaps[CERTAINTY_COLORMAP](np.clip(values, 0, 1))[:, :3]


def measured_counts(view: View) -> NDArray[np.float64]:
    """Number of atoms that a view found in each column; NaN where it knows nothing."""
    counts = np.asarray(view.best_counts, float)
    return np.where(counts < 0, np.nan, counts)


def view_name(view: View) -> str:
    """Name of a view with its direction."""
    direction = direction_name(view.zone_axis)
    return direction if view.name.startswith("[") else f"{view.name} {direction}"


@styled
def figure_reprojections(result: Reconstruction, threshold: float = 0.5) -> Figure:
    """Counts that each view measured, those of the reconstruction, and their difference.

    Parameters
    ----------
    result : tomo.Reconstruction
    threshold : float
        Sites of at least this certainty are atoms.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure_reprojections(result).savefig("reprojections.png")
    """
    check_result(result)
    threshold = check_number("threshold", threshold, 0, 1)
    if not result.views:
        raise InputError("figure_reprojections: the result holds no views to compare its atoms with.")
    rows = len(result.views)
    figure = new_figure(9.4, 2.8 * rows + 0.1, equal_aspect=True)
    grid = figure.subplots(rows, 3, squeeze=False)
    atoms = result.occupied(threshold)
    for row, view in zip(grid, result.views, strict=True):
        measured = measured_counts(view)
        reprojected = sum_over_columns(view.column_sites, atoms, view.zone_axis)
        _draw_view(figure, list(row), result, view, measured, reprojected)
    return figure


def _draw_view(
    figure: Figure,
    row: list[Axes],
    result: Reconstruction,
    view: View,
    measured: NDArray,
    reprojected: NDArray,
) -> None:
    xy = (atom_positions(result, view.column_sites) @ view_rotation(view.zone_axis).T)[:, :2]
    xy = xy - xy.mean(axis=0) if len(xy) else xy
    known = np.isfinite(measured)
    both = np.concatenate([measured[known], reprojected])
    low, high = (int(both.min()), int(both.max())) if len(both) else (0, 1)
    colormap, norm = count_colours(low, high)
    difference = reprojected - measured
    limit = max(2, int(np.max(np.abs(difference[known]), initial=0)))
    difference_map = matplotlib.colormaps[DIFFERENCE_COLORMAP].resampled(2 * limit + 1)
    difference_norm = Normalize(-limit - 0.5, limit + 0.5)
    reach = _reach(xy)
    agree = int(np.sum(difference[known] == 0))
    titles = (
        f"{view_name(view)}: measured",
        "reprojected atoms",
        f"difference: {agree} of {known.sum()} equal",
    )
    for ax, values, title in zip(row, (measured, reprojected, difference), titles, strict=True):
        ax.set_xlim(-reach, reach)
        ax.set_ylim(reach, -reach)
        ax.set_aspect("equal")
        size = _marker_size(xy, reach, 2.35)
        shown = np.isfinite(values)
        style = (difference_map, difference_norm) if ax is row[2] else (colormap, norm)
        ax.scatter(
            xy[shown, 0],
            xy[shown, 1],
            s=size,
            c=values[shown],
            cmap=style[0],
            norm=style[1],
            edgecolor="#6b7078",
            lw=0.25,
        )
        ax.scatter(xy[~shown, 0], xy[~shown, 1], s=size, facecolor="none", edgecolor=GREY, lw=0.6)
        ax.set_title(title)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    length = round_length(2 * reach)
    scale_bar(row[0], length, label=f"{length:g} {length_unit(result)}")
    colour_bar(figure, row[:2], norm, colormap, "atoms", integer_ticks(low, high, 8))
    colour_bar(
        figure,
        row[2],
        difference_norm,
        difference_map,
        "reprojected − measured",
        integer_ticks(-limit, limit, 9),
    )


def _reach(xy: NDArray) -> float:
    return 1.12 * float(np.abs(xy).max(initial=1.0)) + 0.5


def _marker_size(xy: NDArray, reach: float, inches: float) -> float:
    """Area [points^2] of markers that nearly touch in a panel of that width."""
    if len(xy) < 2:
        return 60.0
    distance = float(np.min(cKDTree(xy).query(xy, k=2)[0][:, 1]))
    return float((0.92 * distance * 72 * inches / (2 * reach)) ** 2)


@styled
def figure_plane_sums(result: Reconstruction) -> Figure:
    """Atoms in every lattice plane that two views share, as each of them counted.

    Each pair of views shares the planes spanned by its two directions; both must find the same
    number of atoms in each of them, whatever the particle's shape.

    Parameters
    ----------
    result : tomo.Reconstruction

    Returns
    -------
    matplotlib.figure.Figure
        It says so when there are not two views with different directions.

    Examples
    --------
    >>> figure_plane_sums(result).savefig("plane_sums.png")
    """
    check_result(result)
    pairs = [
        (one, two, normal)
        for one, two in combinations(result.views, 2)
        if (normal := shared_planes(one.zone_axis, two.zone_axis)) is not None
    ]
    if not pairs:
        figure = new_figure(4.0, 1.0)
        figure.text(
            0.5, 0.5, "No two views with different directions: no shared planes.", ha="center", va="center"
        )
        return figure
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = new_figure(3.6 * columns + 0.2, 3.5 * rows)
    grid = figure.subplots(2 * rows, columns, squeeze=False, sharex="col", height_ratios=[2.2, 1] * rows)
    for number, (one, two, normal) in enumerate(pairs):
        row, column = divmod(number, columns)
        _draw_plane_sums(grid[2 * row, column], grid[2 * row + 1, column], one, two, normal)
    for number in range(len(pairs), rows * columns):
        row, column = divmod(number, columns)
        for ax in (grid[2 * row, column], grid[2 * row + 1, column]):
            ax.set_visible(False)
    return figure


def _draw_plane_sums(above: Axes, below: Axes, one: View, two: View, normal: NDArray) -> None:
    planes = [np.asarray(view.column_sites) @ normal for view in (one, two)]
    index = np.unique(np.concatenate(planes))
    sums = np.zeros((2, len(index)))
    for row, (view, plane) in enumerate(zip((one, two), planes, strict=True)):
        np.add.at(sums[row], np.searchsorted(index, plane), np.nan_to_num(measured_counts(view)))
    above.plot(index, sums[0], "-o", color=BLUE, ms=5, mfc="white", lw=1.2, label=view_name(one))
    above.plot(index, sums[1], "--s", color=ACCENT, ms=3, lw=1.0, label=view_name(two))
    above.set_ylim(0, None)
    above.set_ylabel("atoms in plane")
    name = direction_name(normal)[1:-1]
    above.set_title(f"({name}) planes:\n{sums[0].sum():.0f} and {sums[1].sum():.0f} atoms")
    above.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0))
    above.margins(y=0.2)
    above.set_ylim(0, 1.35 * max(sums.max(initial=0.0), 1.0))
    below.axhline(0, color=GREY, lw=0.7)
    below.bar(index, sums[0] - sums[1], width=0.7 * np.min(np.diff(index), initial=2), color=INK)
    below.set_ylabel("difference")
    below.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    below.set_xlabel("plane " + _index_formula(normal))
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    limit = 1.25 * max(float(np.abs(sums[0] - sums[1]).max(initial=0.0)), 2.0)
    below.set_ylim(-limit, limit)


def _index_formula(normal: NDArray) -> str:
    """What numbers the planes of a normal, e.g. ``h − k``."""
    terms: list[str] = []
    for factor, index in zip(normal.tolist(), "hkl", strict=True):
        if factor:
            size = "" if abs(factor) == 1 else f"{abs(factor)}"
            sign = ("− " if factor < 0 else "+ ") if terms else ("−" if factor < 0 else "")
            terms.append(f"{sign}{size}{index}")
    return " ".join(terms)


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

    Examples
    --------
    >>> figure_atoms(result, directions=[(1, 1, 0)]).savefig("atoms.png")
    """
    check_result(result)
    threshold = check_number("threshold", threshold, 0, 1)
    shown = result.certainty >= threshold
    xyz = atom_positions(result)[shown]
    radius = lattice_parameter(result) / np.sqrt(8)  # spheres touch their nearest neighbours
    middle = (xyz.min(axis=0) + xyz.max(axis=0)) / 2 if len(xyz) else np.zeros(3)
    colours = certainty_colours(result.certainty[shown], min(threshold, 0.5))
    panels: list[tuple[str, NDArray]] = []
    if directions is None:
        zone_axes = list(dict.fromkeys(tuple(int(i) for i in v.zone_axis) for v in result.views))[:3]
        first = zone_axes[0] if zone_axes else (1, 1, 0)
        panels.append(
            (f"{shown.sum()} atoms, oblique", oblique_direction((1, 0, 0) if first == (0, 0, 1) else first))
        )
    else:
        zone_axes = list(directions)
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
    first_axes = grid[0, 0]
    length = round_length(PANEL_PIXELS[0] / scale)
    scale_bar(first_axes, length, label=f"{length:g} {length_unit(result)}")
    colour_bar(
        figure,
        list(grid.ravel()),
        Normalize(min(threshold, 0.5), 1.0),
        CERTAINTY_COLORMAP,
        f"certainty (≥ {threshold:g})",
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

    Examples
    --------
    >>> figure_certainty(result).savefig("certainty.png")
    """
    check_result(result)
    threshold = check_number("threshold", threshold, 0, 1)
    certainty = np.asarray(result.certainty, float)
    candidates = certainty[certainty > 0]
    atoms = certainty >= threshold
    false, missed = float(np.sum(1 - certainty[atoms])), float(np.sum(certainty[~atoms]))
    figure = new_figure(8.6, 3.4)
    left, right = figure.subplots(1, 2)
    edges = np.linspace(0, 1, 21)
    numbers, _ = np.histogram(candidates, bins=edges)
    middle = (edges[1:] + edges[:-1]) / 2
    left.bar(middle, numbers, width=0.047, color=certainty_colours(middle), edgecolor=INK, lw=0.4)
    left.axvline(threshold, color=ACCENT, ls="--", lw=1.1, label=f"threshold {threshold:g}")
    left.set_ylim(0.7, max(2.0, 1.8 * numbers.max(initial=1)))
    left.set_yscale("log" if numbers.any() else "linear")
    left.set_xlim(0, 1)
    left.set_xlabel("certainty of a site")
    left.set_ylabel("sites")
    calibrated = result.method == "sample"
    expected = f"; expected {false:.1f} false, {missed:.1f} missed" if calibrated else ""
    left.set_title(f"{atoms.sum()} atoms{expected}")
    left.legend(loc="upper center")

    ordered = np.sort(candidates)
    at_least = np.concatenate([[len(ordered)], np.arange(len(ordered), 0, -1)])
    right.step(np.concatenate([[0], ordered]), at_least, where="pre", color=BLUE)
    right.axhline(
        float(certainty.sum()), color=GREY, lw=0.9, ls=":", label=f"sum of certainties: {certainty.sum():.1f}"
    )
    right.axvline(threshold, color=ACCENT, ls="--", lw=1.1)
    right.set_xlim(0, 1)
    sure, most = int(np.sum(candidates >= 0.99)), int(np.sum(candidates >= 0.02))
    margin = 0.08 * max(most - sure, 0.1 * most, 5)
    right.set_ylim(max(0.0, min(sure, certainty.sum()) - margin), most + margin)
    right.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    right.set_xlabel("threshold")
    right.set_ylabel("atoms of at least this certainty")
    right.set_title(
        "Certainty from the posterior" if calibrated else "Agreement of runs (too sure of itself)"
    )
    right.legend(loc="best")
    return figure
