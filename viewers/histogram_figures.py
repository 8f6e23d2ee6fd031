"""Figures of the cross-sections of one image: histogram with classes, order of the mixture, class means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy import special

import stemcount
from stemcount.errors import as_numbers

from .column_figures import check_counts, count_range, cross_section_name
from .style import ACCENT, BLUE, GREY, INK, count_colours, integer_ticks, new_figure, styled

if TYPE_CHECKING:
    from stemcount import AtomCounts, ColumnFit

LEGEND_ROOM = 0.4  # above the ICL curve, of its height
MANY_CLASSES = 20
"""The means of more classes are drawn smaller, so that the columns stay visible beside them."""


@styled
def figure_histogram(fit: ColumnFit | ArrayLike, counts: AtomCounts, *, unit: str | None = None) -> Figure:
    """Histogram of the cross-sections with its classes, the ICL curve, and the class means V(k).

    Parameters
    ----------
    fit : stemcount.ColumnFit or (n,) array
        The fit, or its cross-sections alone.
    counts : stemcount.AtomCounts
    unit : str, optional
        Unit of the cross-sections for the labels; by default ``image units × Å²``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the counts are those of another number of columns.

    Examples
    --------
    >>> figure_histogram(fit, counts, unit="Å²").savefig("histogram.png")
    """
    if isinstance(fit, stemcount.ColumnFit):
        values, noise = fit.cross_section, fit.noise_std
    else:
        values, noise = as_numbers("fit", fit), None
        if values.ndim != 1:
            raise stemcount.InputError(
                f"fit: expected a ColumnFit or an array (n,), got shape {values.shape}."
            )
    check_counts(counts, len(values))
    figure = new_figure(10.2, 3.6)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.55, 1, 1))
    width = class_width(counts, noise)
    draw_histogram(left, values, counts, width)
    left.set_xlabel(cross_section_name(unit))
    draw_icl(middle, counts)
    draw_class_means(right, values, counts, width)
    right.set_ylabel(cross_section_name(unit))
    return figure


def class_width(counts: AtomCounts, cross_section_std: NDArray | None) -> NDArray:
    """Standard deviation (kmax + 1,) of the cross-sections that are seen of each class.

    The classes of a curve V(k) hold the scatter of the columns alone; what is seen also has the errors
    of the fit, here their mean square over the columns of the class. A plain mixture holds both.
    """
    width = counts.chosen.width
    if cross_section_std is None or counts.verdict == "given":
        return width
    share = counts.probability + 1e-9
    noise = (share * cross_section_std[:, None] ** 2).sum(axis=0) / share.sum(axis=0)
    return np.asarray(np.sqrt(width**2 + noise))


def class_shares(counts: AtomCounts) -> NDArray:
    """Share (kmax + 1,) of the columns that each class of the chosen reading is expected to hold.

    Not its weights, which are a prior: smoothed over neighbouring classes where a crystal was counted from.
    """
    with np.errstate(divide="ignore"):
        joint = counts.log_likelihood + np.log(counts.chosen.weight)
    return np.asarray(special.softmax(joint, axis=1).mean(axis=0))


def draw_histogram(axes: Axes, values: NDArray, counts: AtomCounts, widths: NDArray) -> None:
    """Histogram of cross-sections with the chosen classes, of `class_width` and numbered by atoms."""
    chosen = counts.chosen
    classes = np.arange(len(chosen.weight))
    first, last = count_range(counts)
    occurs = (classes >= first) & (classes <= last)
    used = classes[(chosen.weight > 0) & occurs]
    span = float(np.ptp(values)) or 1.0
    step = float(np.median(np.diff(chosen.mean[used]))) if len(used) > 1 else 0.0
    bins = int(np.clip(4 * span / step if step > 0 else 40, 25, 120))  # four to one more atom
    _, edges, _ = axes.hist(values, bins=bins, color="#d5d9df", edgecolor="white", lw=0.3)
    per_bin = len(values) * (edges[1] - edges[0])
    end = max(edges[-1] + 0.03 * span, float(np.max(chosen.mean[used] + 3 * widths[used], initial=0.0)))
    grid = np.linspace(min(edges[0], 0.0), end, 1500)
    colormap, norm = count_colours(first, last)
    total = np.zeros_like(grid)
    shares = class_shares(counts)
    for k in used:
        width = max(float(widths[k]), 1e-12 * span)
        curve = (
            per_bin
            * shares[k]
            / (width * np.sqrt(2 * np.pi))
            * np.exp(-((grid - chosen.mean[k]) ** 2) / (2 * width**2))
        )
        total += curve
        axes.fill_between(grid, curve, color=colormap(norm(k)), alpha=0.35, lw=0)
        axes.plot(grid, curve, color=colormap(norm(k)), lw=1.0)
    axes.plot(grid, total, color=INK, lw=1.1, label="mixture")
    top = axes.get_ylim()[1]
    for k in used[:: max(1, int(np.ceil(len(used) / 14)))]:
        axes.text(chosen.mean[k], 1.015 * top, f"{k}", ha="center", va="bottom", fontsize=7, color=INK)
    axes.set_ylim(0, 1.09 * top)
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylabel("columns per bin")
    axes.set_title(f"{len(values)} columns, {counts.n_components} classes; atoms on top")
    axes.legend(loc="best", bbox_to_anchor=(0, 0, 1, 0.94))  # below the numbers of atoms


def draw_icl(axes: Axes, counts: AtomCounts) -> None:
    """ICL against the order of the mixture, its local minima and the chosen number of classes."""
    icl = np.asarray(counts.icl, float)
    orders = (
        np.array([m.n_components for m in counts.mixtures]) if counts.mixtures else np.arange(1, len(icl) + 1)
    )
    axes.set_title("Order of the mixture")
    axes.set_xlabel("components")
    axes.set_ylabel("ICL")
    if not len(icl):
        axes.text(0.5, 0.5, "not computed", transform=axes.transAxes, ha="center", color=GREY)
        return
    padded = np.concatenate([[np.inf], icl, [np.inf]])
    minima = (icl < padded[:-2]) & (icl < padded[2:])
    axes.plot(orders, icl, "-o", color=BLUE, ms=3.5, lw=1.0)
    axes.plot(orders[minima], icl[minima], "o", mfc="white", color=BLUE, ms=6, label="local minima")
    chosen = counts.n_components
    axes.axvline(chosen, color=ACCENT, lw=1.2, ls="--", label=f"chosen: {chosen} ({counts.verdict})")
    ticks = integer_ticks(int(orders.min()), max(int(orders.max()), chosen), 8)
    axes.set_xticks(ticks)
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + LEGEND_ROOM * (high - low))
    axes.legend(loc="best")  # in a low panel the room above is not enough for a legend over the curve's peak


def draw_class_means(axes: Axes, values: NDArray, counts: AtomCounts, widths: NDArray) -> None:
    """Cross-sections against counts, with the class means V(k) and the other readings considered."""
    k_of_column = counts.count
    jitter = 0.16 * np.sin(12.9898 * np.arange(len(values)))  # spreads the points without chance
    axes.plot(k_of_column + jitter, values, ".", ms=2.5, color="#b5bac3", label="columns", zorder=1)
    for n, other in enumerate(counts.alternatives[1:4]):
        label = "other readings" if n == 0 else None
        axes.plot(np.arange(len(other.mean)), other.mean, "-", color=GREY, lw=0.7, label=label, zorder=2)
    top = int(k_of_column.max(initial=1))
    # beyond are classes without columns
    mean, widths = counts.chosen.mean[: top + 1], widths[: top + 1]
    many = top > MANY_CLASSES
    axes.errorbar(
        np.arange(len(mean)),
        mean,
        yerr=widths,
        fmt="o-",
        color=ACCENT,
        ms=2.0 if many else 3.5,
        lw=0.7 if many else 1.0,
        capsize=0 if many else 2,
        label="class mean ± width",
        zorder=3,
    )
    axes.set_xlim(-0.4, top + 0.6)
    axes.set_ylim(0, 1.06 * max(float(values.max(initial=0.0)), float(mean[-1] + widths[-1])))
    axes.set_xticks(integer_ticks(0, top, 9))
    axes.set_xlabel("atoms in the column, k")
    axes.set_title("Class means V(k)")
    axes.legend(loc="upper left")
