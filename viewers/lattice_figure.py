"""Figure of the lattice's distortion over an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

import stemcount
import tomo

from .column_figures import draw_image
from .style import (
    DIFFERENCE_COLORMAP,
    colour_bar,
    greys,
    new_figure,
    round_length,
    scale_bar,
    short_name,
    styled,
)

if TYPE_CHECKING:
    from stemcount.images.load import ImageLike

PANELS = (
    ("exx", "stretch along x (%)", 100.0),
    ("eyy", "stretch along y (%)", 100.0),
    ("exy", "shear (%)", 100.0),
    ("rotation", "rotation (°)", 1.0),
)
LEAST = 1e-3
"""Smallest range of the colours, so that next to nothing does not look like much."""


@styled
def figure_strain(image: ImageLike, indexing: tomo.Indexing) -> Figure:
    """Slow distortion of the lattice: stretch along x and y, shear and rotation at every column.

    Relative to the mean over the image; it holds what the scan did as well as what the crystal did
    (`tomo.strain_map`).

    Parameters
    ----------
    image : stemcount.ZoneAxisImage or hyperspy Signal2D
    indexing : tomo.Indexing
        Its columns on their grid lines.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If `image` is no image or `indexing` does not come from `tomo.index_columns`.

    Examples
    --------
    >>> figure_strain(image, indexing).savefig("strain.png")
    """
    image = stemcount.as_image(image)
    rows, cols = image.data.shape
    width = 3.4
    height = float(np.clip(width * rows / cols, 0.45 * width, 1.4 * width))
    figure = new_figure(2 * width + 1.6, 2 * height + 0.9, equal_aspect=True)
    strain = tomo.strain_map(indexing)
    span = image.extent[1] - image.extent[0]
    x, y = indexing.x[indexing.keep], indexing.y[indexing.keep]
    points = 72 * width / span * 0.42 * indexing.zone.spacing(indexing.crystal.a)
    limits = {name: float(np.abs(values[indexing.keep]).max()) for name, values in strain.items()}
    grey = greys(image.data[image.used], 1.3)
    common = max(LEAST, *(limits[name] for name in ("exx", "eyy", "exy")))
    for axes, (name, title, factor) in zip(figure.subplots(2, 2).ravel(), PANELS, strict=True):
        limit = max(limits[name], float(np.degrees(LEAST))) if name == "rotation" else factor * common
        norm = Normalize(-limit, limit)
        draw_image(axes, image, image.data, grey, "gray")
        colours = factor * strain[name][indexing.keep]
        axes.scatter(x, y, s=np.pi * points**2, c=colours, norm=norm, cmap=DIFFERENCE_COLORMAP, lw=0)
        axes.set(title=title, xticks=[], yticks=[])
        scale_bar(axes, round_length(span), colour="white")
        colour_bar(figure, axes, norm, DIFFERENCE_COLORMAP, "")
    figure.suptitle(
        f"{short_name(image.name)}: distortion of the lattice", x=0.01, ha="left", weight="bold", size=10
    )
    return figure
