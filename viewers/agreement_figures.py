"""Figures of how a crystal and its views agree: counts against reprojections, sums of shared planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import tomo
from stemcount import InputError

from .atom_figures import atom_positions, atom_scale_bar
from .geometry import direction_name, view_rotation
from .options import check_number, check_result
from .style import (
    ACCENT,
    BLUE,
    DIFFERENCE_COLORMAP,
    GREY,
    INK,
    colour_bar,
    count_colours,
    integer_ticks,
    new_figure,
    short_name,
    styled,
)

if TYPE_CHECKING:
    from tomo import PlaneAgreement, View
    from tomo.result import Reconstruction


PANEL_WIDTH = 2.35
"""Of the columns of one view [inches]."""
MARKER_ROOM = 150.0
"""Width of the markers of a curve of plane sums together, at most [points]: so the curve stays visible."""


def measured_counts(view: View) -> NDArray[np.float64]:
    """Number of atoms that a view found in each column; NaN where it knows nothing."""
    counts = np.asarray(view.best_counts, float)
    return np.where(counts < 0, np.nan, counts)


def view_name(view: View) -> str:
    """Name of a view, shortened if it is long, with its direction."""
    direction = direction_name(view.zone_axis)
    return direction if view.name.startswith("[") else f"{short_name(view.name)} {direction}"


@styled
def figure_reprojections(result: Reconstruction, threshold: float = 0.5) -> Figure:
    """Counts that each view measured, those of the reconstruction, and their difference.

    The colours of the difference end at its 99.5th percentile, so that a few columns that differ by many
    atoms do not hide the others.

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
        If the result holds no views.

    Examples
    --------
    >>> figure_reprojections(result).savefig("reprojections.png")
    """
    check_result(result)
    threshold = check_number("threshold", threshold, 0, 1)
    if not result.views:
        raise InputError("figure_reprojections: the result holds no views to compare its atoms with.")
    rows = len(result.views)
    figure = new_figure(9.4, 3.0 * rows + 0.1, equal_aspect=True)
    grid = figure.subplots(rows, 3, squeeze=False)
    atoms = result.occupied(threshold)
    for row, view in zip(grid, result.views, strict=True):
        _draw_view(figure, list(row), result, view, tomo.reproject(atoms, view))
    return figure


def _draw_view(
    figure: Figure,
    row: list[Axes],
    result: Reconstruction,
    view: View,
    reprojected: NDArray,
) -> None:
    """One view's columns three times: as measured, as reprojected, and the difference.

    Of those that were not found the ones that hold atoms.
    """
    shown = view.found | (reprojected > 0)
    measured, reprojected = measured_counts(view)[shown], reprojected[shown]
    xy = (atom_positions(result, view.column_sites[shown]) @ view_rotation(view.zone_axis).T)[:, :2]
    xy = xy - xy.mean(axis=0) if len(xy) else xy
    known = np.isfinite(measured)
    both = np.concatenate([measured[known], reprojected])
    low, high = (int(both.min()), int(both.max())) if len(both) else (0, 1)
    colormap, norm = count_colours(low, high)
    difference = reprojected - measured
    away = np.abs(difference[known])
    limit = max(2, int(np.ceil(np.percentile(away, 99.5)))) if len(away) else 2
    beyond = "both" if away.max(initial=0) > limit else "neither"
    difference_map = matplotlib.colormaps[DIFFERENCE_COLORMAP].resampled(2 * limit + 1)
    difference_norm = Normalize(-limit - 0.5, limit + 0.5)
    agree = int(np.sum(difference[known] == 0))
    _draw_columns(row[0], xy, measured, colormap, norm)
    _draw_columns(row[1], xy, reprojected, colormap, norm)
    _draw_columns(row[2], xy, difference, difference_map, difference_norm)
    row[0].set_title(f"{view_name(view)}\nmeasured")
    row[1].set_title("reprojected atoms")
    row[2].set_title(f"difference: {agree} of {known.sum()} equal")
    atom_scale_bar(row[0], result, 2 * _reach(xy))
    colour_bar(figure, row[:2], norm, colormap, "atoms", integer_ticks(low, high, 8))
    ticks = integer_ticks(-limit, limit, 9)
    colour_bar(
        figure, row[2], difference_norm, difference_map, "reprojected − measured", ticks, extend=beyond
    )


def _draw_columns(axes: Axes, xy: NDArray, values: NDArray, colormap: Colormap, norm: Normalize) -> None:
    """Columns as discs coloured by a value; open where it is not known."""
    reach = _reach(xy)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(1.3 * reach, -reach)  # room for the scale bar below the columns
    axes.set_aspect("equal")
    size = _marker_size(xy, reach)
    shown = np.isfinite(values)
    outline = 0.03 * np.sqrt(size)  # of small discs it would hide the colour
    look: dict[str, Any] = {"cmap": colormap, "norm": norm, "edgecolor": "#6b7078", "lw": min(0.25, outline)}
    axes.scatter(xy[shown, 0], xy[shown, 1], s=size, c=values[shown], **look)
    unknown: dict[str, Any] = {"facecolor": "none", "edgecolor": GREY, "lw": min(0.6, 3 * outline)}
    axes.scatter(xy[~shown, 0], xy[~shown, 1], s=size, **unknown)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _reach(xy: NDArray) -> float:
    return 1.12 * float(np.abs(xy).max(initial=1.0)) + 0.5


def _marker_size(xy: NDArray, reach: float) -> float:
    """Area [points^2] of markers that nearly touch in a panel that shows so far from its middle."""
    if len(xy) < 2:
        return 60.0
    distance = float(np.min(cKDTree(xy).query(xy, k=2)[0][:, 1]))
    return float((0.92 * distance * 72 * PANEL_WIDTH / (2 * reach)) ** 2)


@styled
def figure_plane_sums(result: Reconstruction) -> Figure:
    """Atoms in every lattice plane that two views share, as each of them counted.

    Each pair of views shares the planes spanned by its two directions; both must find the same
    number of atoms in each of them, whatever the particle's shape. Planes that an image does not show
    whole are grey and not compared.

    Parameters
    ----------
    result : tomo.Reconstruction

    Returns
    -------
    matplotlib.figure.Figure
        It says so when there are not two views with different directions.

    Raises
    ------
    InputError
        If `result` is no reconstruction.

    Examples
    --------
    >>> figure_plane_sums(result).savefig("plane_sums.png")
    """
    check_result(result)
    _, pairs = result.agreement()
    if not pairs:
        figure = new_figure(4.0, 1.0)
        figure.text(
            0.5, 0.5, "No two views with different directions: no shared planes.", ha="center", va="center"
        )
        return figure
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = new_figure(3.6 * columns + 0.2, 3.5 * rows)
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[2.2, 1] * rows)
    for number, pair in enumerate(pairs):
        row, column = divmod(number, columns)
        above, below = grid[2 * row, column], grid[2 * row + 1, column]
        below.sharex(above)  # with no other pair: it has other planes
        above.tick_params(labelbottom=False)
        _draw_plane_sums(above, below, pair)
    for number in range(len(pairs), rows * columns):
        row, column = divmod(number, columns)
        for ax in (grid[2 * row, column], grid[2 * row + 1, column]):
            ax.set_visible(False)
    return figure


def _draw_plane_sums(above: Axes, below: Axes, pair: PlaneAgreement) -> None:
    forward = 1 if next(index for index in pair.normal if index) > 0 else -1
    normal = forward * np.array(pair.normal)
    order = np.argsort(forward * pair.plane)
    index, whole = (forward * pair.plane)[order], pair.complete[order]
    sums = np.array([pair.first_sum[order], pair.second_sum[order]], float)
    room = 1.5 if whole.all() else 1.7  # for a legend of two or three lines above the curves
    top, gap = room * max(sums.max(initial=0.0), 1.0), np.min(np.diff(index), initial=2)
    if not whole.all():
        above.bar(index[~whole], top, width=gap, color=GREY, alpha=0.25, lw=0, label="not seen whole")
    size = min(5.0, MARKER_ROOM / max(len(index), 1))
    above.plot(index, sums[0], "-o", color=BLUE, ms=size, mfc="white", lw=1.2, label=view_name(pair.first))
    above.plot(index, sums[1], "--s", color=ACCENT, ms=0.6 * size, lw=1.0, label=view_name(pair.second))
    above.set_ylabel("atoms in plane")
    name = direction_name(normal)[1:-1]
    totals = sums[:, whole].sum(axis=1)
    above.set_title(f"({name}) planes:\n{totals[0]:.0f} and {totals[1]:.0f} atoms")
    above.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0))
    above.set_ylim(0, top)
    difference = (sums[0] - sums[1])[whole]
    below.axhline(0, color=GREY, lw=0.7)
    below.bar(index[whole], difference, width=0.7 * gap, color=INK)
    below.set_ylabel("difference")
    below.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    below.set_xlabel("plane " + _index_formula(normal))
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    limit = 1.25 * max(float(np.abs(difference).max(initial=0.0)), 2.0)
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
