"""Figures of one image: the fit, and the counts on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

import stemcount
from stemcount.results import check_atom_counts, check_fit

from .style import (
    DIFFERENCE_COLORMAP,
    colour_bar,
    count_colours,
    greys,
    integer_ticks,
    new_figure,
    round_length,
    scale_bar,
    short_name,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

    from stemcount import AtomCounts, ColumnFit, ZoneAxisImage
    from stemcount.images.load import ImageLike

DOUBT = 0.9
"""Columns whose count is less probable than this are marked as doubtful."""


def draw_image(
    axes: Axes, image: ZoneAxisImage, data: NDArray, norm: Normalize, colormap: str | Colormap
) -> None:
    """Values (rows, cols) at the places of an image's pixels [A], y down."""
    left, right, top, bottom = image.extent
    axes.imshow(data, extent=(left, right, bottom, top), norm=norm, cmap=colormap, origin="upper")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")


def _panel_size(image: ZoneAxisImage, width: float) -> tuple[float, float]:
    """Width and height [inch] of a panel with the image's proportions, kept within reason."""
    rows, cols = image.data.shape
    return width, float(np.clip(width * rows / cols, 0.45 * width, 1.6 * width))


def _intensity_unit(image: ZoneAxisImage) -> str:
    return "fraction of beam" if image.dose is not None else "image units"


def cross_section_unit(image: ZoneAxisImage) -> str:
    """Unit of an image's cross-sections: a known dose means fractions of the incident beam."""
    return "Å²" if image.dose is not None else "image units × Å²"


def cross_section_name(unit: str | None) -> str:
    """Label of an axis of cross-sections."""
    if not (unit is None or isinstance(unit, str)):
        raise stemcount.InputError(f"unit: expected the name of a unit, got {unit!r}.")
    return f"cross-section ({unit or 'image units × Å²'})"


def check_counts(counts: AtomCounts, n: int) -> None:
    """Refuse counts of other columns than those that are shown, such as the fit of another image."""
    check_atom_counts(counts)
    if len(counts.count) != n:
        raise stemcount.InputError(
            f"counts: expected those of the {n} columns of the fit, got {len(counts.count)}."
        )


def residual_image(image: ZoneAxisImage, model: NDArray) -> tuple[NDArray[np.float64], float]:
    """What a model (rows, cols) leaves of an image, and where its colours end.

    The former is image minus model, 0 in pixels that the image says nothing of; the latter the 99.5th
    percentile of its size in the others, so that a few pixels do not hide the rest.
    """
    residual = np.where(image.used, image.data - model, 0.0)
    return residual, float(np.percentile(np.abs(residual[image.used]), 99.5)) or 1.0


@styled
def figure_fit(image: ImageLike, fit: ColumnFit) -> Figure:
    """Image, fitted model and residual side by side.

    Image and model share one grey scale; the residual has its own, symmetric about zero and cut at
    its 99.5th percentile.

    Parameters
    ----------
    image : stemcount.ZoneAxisImage or hyperspy Signal2D
    fit : stemcount.ColumnFit

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If `image` is no image or `fit` no fit.

    Examples
    --------
    >>> figure_fit(image, fit).savefig("fit.png")
    """
    image = stemcount.as_image(image)
    model = stemcount.model_image(image, fit)
    residual, limit = residual_image(image, model)
    width, height = _panel_size(image, 3.1)
    figure = new_figure(3 * width + 1.9, height + 0.75, equal_aspect=True)
    axes = list(figure.subplots(1, 3, sharex=True, sharey=True))
    norm = greys(image.data[image.used])
    residual_norm = Normalize(-limit, limit)
    draw_image(axes[0], image, image.data, norm, "gray")
    draw_image(axes[1], image, model, norm, "gray")
    draw_image(axes[2], image, residual, residual_norm, DIFFERENCE_COLORMAP)
    points = 72 * width / (image.extent[1] - image.extent[0])  # points per A
    dot = min(3.0, 0.45 * column_distance(fit.x, fit.y) * points)
    axes[1].plot(fit.x, fit.y, ".", ms=dot, color="#ffb000", mew=0)
    for ax, title in zip(axes, ("Image", f"Model, {len(fit)} columns", "Image − model"), strict=True):
        ax.set_title(title)
        ax.set_xlabel("x (Å)")
    axes[0].set_ylabel("y (Å)")
    colour_bar(figure, axes[:2], norm, "gray", f"intensity ({_intensity_unit(image)})")
    colour_bar(
        figure, axes[2], residual_norm, DIFFERENCE_COLORMAP, f"image − model ({_intensity_unit(image)})"
    )
    return figure


@styled
def figure_counts(image: ImageLike, fit: ColumnFit, counts: AtomCounts) -> Figure:
    """Atoms in each column, coloured and written on the image.

    Columns whose count has a probability below 0.9 carry a white ring.

    Parameters
    ----------
    image : stemcount.ZoneAxisImage or hyperspy Signal2D
    fit : stemcount.ColumnFit
    counts : stemcount.AtomCounts

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the counts are those of another number of columns.

    Examples
    --------
    >>> figure_counts(image, fit, counts).savefig("counts.png")
    """
    image = stemcount.as_image(image)
    check_fit(fit)
    check_counts(counts, len(fit))
    width, height = _panel_size(image, 6.0)
    figure = new_figure(width + 1.1, height + 0.55, equal_aspect=True)
    axes = figure.subplots()
    draw_counts(axes, image, fit, counts, width)
    doubtful = int(np.count_nonzero(_doubtful(counts)))
    ringed = f"; {doubtful} doubtful (ringed)" if doubtful else ""
    axes.set_title(f"{short_name(image.name)}: {counts.count.sum()} atoms in {len(fit)} columns{ringed}")
    low, high = count_range(counts)
    colormap, norm = count_colours(low, high)
    colour_bar(figure, axes, norm, colormap, "atoms in the column", integer_ticks(low, high, 12))
    return figure


def _doubtful(counts: AtomCounts) -> NDArray[np.bool_]:
    """Columns whose count has a probability below `DOUBT`."""
    return np.asarray(counts.count_probability < DOUBT)


def draw_counts(axes: Axes, image: ZoneAxisImage, fit: ColumnFit, counts: AtomCounts, width: float) -> None:
    """The image with the count of each column on it, for a panel of that width [inch]."""
    draw_image(axes, image, image.data, greys(image.data[image.used], 0.8), "gray")
    colormap, norm = count_colours(*count_range(counts))
    radius = 0.38 * column_distance(fit.x, fit.y)
    points = 72 * width / (image.extent[1] - image.extent[0])  # points per A
    size = np.pi * (radius * points) ** 2
    axes.scatter(fit.x, fit.y, s=size, c=counts.count, cmap=colormap, norm=norm, lw=0, alpha=0.92)
    rings = _doubtful(counts)
    line = min(0.9, 0.25 * radius * points)  # of small discs a thick one would hide the colour
    axes.scatter(fit.x[rings], fit.y[rings], s=1.5 * size, facecolor="none", edgecolor="white", lw=line)
    font = 1.05 * radius * points
    if font >= 3.5:
        for x, y, count in zip(fit.x, fit.y, counts.count, strict=True):
            red, green, blue, _ = colormap(norm(count))
            bright = 0.3 * red + 0.59 * green + 0.11 * blue > 0.5
            axes.text(
                x,
                y,
                f"{count}",
                ha="center",
                va="center_baseline",
                fontsize=min(font, 9),
                color="black" if bright else "white",
            )
    axes.set_xlabel("x (Å)")
    axes.set_ylabel("y (Å)")
    scale_bar(axes, round_length(image.extent[1] - image.extent[0]), colour="white")


def count_range(counts: AtomCounts) -> tuple[int, int]:
    """Smallest and largest count that occurs."""
    if not len(counts.count):
        return 0, 0
    return int(counts.count.min()), int(counts.count.max())


def column_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Typical distance between neighbouring columns, in the unit of their positions."""
    xy = np.column_stack([x, y])
    if len(xy) < 2:
        return 2.0
    return float(np.quantile(cKDTree(xy).query(xy, k=2)[0][:, 1], 0.2))
