"""One look for all figures: fonts, colour maps, colour bars and scale bars.

Figures are made without pyplot, so that they need no display, keep no global state and can be drawn
in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "image.interpolation": "nearest",
}
CERTAINTY_COLORMAP = "cividis"
COUNT_COLORMAP = "viridis"
DIFFERENCE_COLORMAP = "RdBu_r"
INK = "#1b1f24"
ACCENT = "#c8502d"
BLUE = "#2b6ca3"
GREY = "#8a8f98"
LETTERS = 26  # of a name in a title


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib settings of the program, within this block only."""
    with matplotlib.rc_context(RC):
        yield


P = ParamSpec("P")
T = TypeVar("T")


def styled(make: Callable[P, T]) -> Callable[P, T]:
    """Decorator: run a figure function under `style`."""

    @wraps(make)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with style():
            return make(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, *, equal_aspect: bool = False) -> Figure:
    """A figure of that size [inch] on an Agg canvas, laid out so that nothing is clipped.

    With `equal_aspect`, panels of fixed proportions move together and colour bars get their height.
    """
    layout: Literal["compressed", "constrained"] = "compressed" if equal_aspect else "constrained"
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def grey_limits(values: NDArray) -> tuple[float, float]:
    """Darkest pixel, and the value that nearly all are below: a few bright pixels do not hide the rest."""
    low, high = float(np.min(values)), float(np.percentile(values, 99.9))
    return low, high if high > low else low + 1.0


def greys(values: NDArray, contrast: float = 1.0) -> Normalize:
    """Grey levels of the pixels of an image that may be used, from the darkest one up.

    White is `contrast` times as far above the darkest pixel as nearly all others are: a share of the levels
    themselves would lie below the darkest one where a detector adds an offset.
    """
    low, high = grey_limits(values)
    return Normalize(low, low + contrast * (high - low))


def count_colours(low: int, high: int) -> tuple[ListedColormap, BoundaryNorm]:
    """Discrete colours for the integers low..high."""
    n = max(high - low + 1, 1)
    base = matplotlib.colormaps[COUNT_COLORMAP]
    colours = base(np.linspace(0.0, 1.0, n) if n > 1 else np.array([0.5]))
    edges = np.arange(low, low + n + 1) - 0.5
    if n == 1:  # a norm needs two bins
        return ListedColormap([*colours, *colours]), BoundaryNorm([low - 0.5, low, low + 0.5], 2)
    return ListedColormap(colours), BoundaryNorm(edges, n)


def short_name(name: str) -> str:
    """A name that fits into a title: of a long one its beginning and, where files mostly differ, its end.

    Examples
    --------
    >>> short_name("20240312_AuNR_HAADF_300kV_drift_corrected_110")
    '20240312_AuN…corrected_110'
    """
    return name if len(name) <= LETTERS else f"{name[: LETTERS // 2 - 1]}…{name[-LETTERS // 2 :]}"


def integer_ticks(low: int, high: int, most: int) -> NDArray[np.int64]:
    """At most about `most` round integers from low to high."""
    step = 1
    for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if (high - low) / step <= most - 1:
            break
    return np.arange(-(-low // step) * step, high + 1, step)


def colour_bar(
    figure: Figure,
    axes: Axes | list[Axes],
    norm: Normalize,
    colormap: str | Colormap,
    label: str,
    ticks: NDArray | None = None,
    **kwargs: Any,
) -> None:
    """Colour bar beside one axes or several."""
    kwargs = {"fraction": 0.05, "pad": 0.02, "aspect": 28, **kwargs}
    bar = figure.colorbar(ScalarMappable(norm, colormap), ax=axes, label=label, ticks=ticks, **kwargs)
    bar.outline.set_linewidth(0.6)  # type: ignore[operator]
    bar.ax.minorticks_off()


def scale_bar(axes: Axes, length: float, colour: str = INK, label: str | None = None) -> None:
    """Bar of a length in data units, in the lower left corner of axes whose y may point down."""
    x0, x1 = axes.get_xlim()
    y0, y1 = axes.get_ylim()
    x = x0 + 0.04 * (x1 - x0)
    y = y0 + 0.045 * (y1 - y0)
    axes.plot([x, x + length], [y, y], color=colour, lw=2.5, solid_capstyle="butt", clip_on=False)
    axes.text(
        x + length / 2,
        y + 0.02 * (y1 - y0),
        label or f"{length:g} Å",
        ha="center",
        va="bottom",
        color=colour,
        fontsize=8,
    )


def round_length(span: float) -> float:
    """A round length of about a quarter of `span`."""
    if not span > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(span / 4))
    return float(max(f * power for f in (1, 2, 5) if f * power <= span / 3))
