"""The plots of the column workbench: histogram and ICL curve, and one column close up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from qtpy.QtCore import QSize

from .column_figures import cross_section_name
from .columns import flag_names
from .histogram_figures import class_width, draw_histogram, draw_icl
from .style import ACCENT, INK, RC, style

if TYPE_CHECKING:
    from stemcount import AtomCounts, ColumnFit, ZoneAxisImage


PANEL_WIDTH = 378
"""That a plot needs for its words [pixels]."""


class PanelPlot(FigureCanvasQTAgg):
    """A plot in a panel, which is given what height is left, and at least `height` [pixels].

    Matplotlib asks for the height that its canvas has, so it would never shrink.
    """

    def __init__(self, height: int) -> None:
        super().__init__(Figure(dpi=90, layout="constrained"))
        self.setMinimumHeight(height)

    def sizeHint(self) -> QSize:
        """The least height."""
        return QSize(PANEL_WIDTH, self.minimumHeight())


class CountPlot(PanelPlot):
    """Histogram of cross-sections with its classes above, ICL curve below.

    `choose_class` is called with a number of atoms when its class is clicked, `choose_order` with an order
    when its point of the ICL curve is.
    """

    def __init__(self, choose_class: Callable[[int], None], choose_order: Callable[[int], None]) -> None:
        with style():
            super().__init__(260)
            self.histogram, self.icl = self.figure.subplots(2, 1, height_ratios=(1.25, 1))
        self.choose_class = choose_class
        self.choose_order = choose_order
        self.counts: AtomCounts | None = None
        self.marks: Any = None
        self.mpl_connect("button_press_event", self._clicked)
        self.clear()

    def clear(self) -> None:
        """Empty plots, before there are counts."""
        self.counts, self.marks = None, None
        for axes, text in ((self.histogram, "no counts yet"), (self.icl, "")):
            axes.clear()
            axes.set_axis_off()
            axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=INK)
        self.draw_idle()

    def show_counts(self, fit: ColumnFit, counts: AtomCounts, unit: str) -> None:
        """Draw the counts of a fit whose cross-sections are in `unit`."""
        self.clear()
        self.counts = counts
        with style():
            for axes in (self.histogram, self.icl):
                axes.clear()
                axes.set_axis_on()
            width = class_width(counts, fit.noise_std)
            draw_histogram(self.histogram, np.asarray(fit.cross_section), counts, width)
            self.histogram.set_xlabel(cross_section_name(unit))
            draw_icl(self.icl, counts)
        self.draw_idle()

    def mark(self, values: NDArray) -> None:
        """Mark the cross-sections of the selected columns."""
        if self.marks is not None:
            self.marks.remove()
            self.marks = None
        if self.counts is not None and len(values):
            heights = np.zeros(len(values))
            (self.marks,) = self.histogram.plot(
                values, heights, "^", color=ACCENT, ms=7, clip_on=False, zorder=9
            )
        self.draw_idle()

    def _clicked(self, event: Any) -> None:
        if self.counts is None or event.xdata is None:
            return
        if event.inaxes is self.icl and len(self.counts.mixtures):
            orders = [mixture.n_components for mixture in self.counts.mixtures]
            self.choose_order(int(np.clip(round(event.xdata), orders[0], orders[-1])))
        elif event.inaxes is self.histogram:
            self.choose_class(int(np.argmin(np.abs(self.counts.chosen.mean - event.xdata))))


class ColumnPlot(PanelPlot):
    """One column: its patch of the image, the model there, and the probability of every count."""

    def __init__(self) -> None:
        with style():
            super().__init__(130)
            self.axes = list(self.figure.subplots(1, 3, width_ratios=(1, 1, 1.5)))
        for axes in self.axes:
            axes.set_axis_off()
        self.axes[1].text(
            0.5, 0.5, "select a column to see it close up", ha="center", va="center", color=INK, fontsize=8
        )

    def show_column(
        self, image: ZoneAxisImage, fit: ColumnFit, model: NDArray, index: int, counts: AtomCounts | None
    ) -> None:
        """Draw column `index`; `model` is the fit's model image."""
        px = image.pixel_size
        half = max(3, round(3.2 * float(fit.width[index]) / px))
        column = round((float(fit.x[index]) - image.offset[0]) / px)
        row = round((float(fit.y[index]) - image.offset[1]) / px)
        rows = slice(max(row - half, 0), max(row + half + 1, 1))
        cols = slice(max(column - half, 0), max(column + half + 1, 1))
        fitted, used = model[rows, cols], image.data[rows, cols][image.used[rows, cols]]
        low, high = (used if len(used) else fitted).min(), used.max(initial=fitted.max())
        with style():
            for axes, data, title in zip(self.axes, (image.data, model), ("image", "model"), strict=False):
                axes.clear()
                axes.set_axis_off()
                axes.imshow(data[rows, cols], cmap="gray", vmin=low, vmax=high)
                axes.set_title(title, fontsize=8)
            bars = self.axes[2]
            bars.clear()
            bars.set_axis_off()
            if counts is not None:
                bars.set_axis_on()
                probability = counts.probability[index]
                likely = np.flatnonzero(probability > 1e-3)
                bars.bar(likely, probability[likely], color=ACCENT, width=0.8)
                bars.xaxis.set_major_locator(MaxNLocator(6, integer=True))
                best = int(counts.count[index])
                bars.set_xlim(min(likely[0], best - 2) - 0.6, max(likely[-1], best + 2) + 0.6)
                bars.set_ylim(0, 1)
                bars.set_title("P(atoms)", fontsize=8)
                bars.tick_params(labelsize=RC["xtick.labelsize"] - 1)
        self.draw_idle()


def describe_column(fit: ColumnFit, index: int, counts: AtomCounts | None, unit: str) -> str:
    """What is known of one column, in a few lines."""
    cross_section, std = fit.cross_section[index], fit.cross_section_std[index]
    # Both to the second digit of the error.
    digits = max(1 - int(np.floor(np.log10(std))), 0) if 0 < std < np.inf else 4
    lines = [
        f"column {index}: x = {fit.x[index]:.2f} ± {fit.x_std[index]:.2f} Å,"
        f" y = {fit.y[index]:.2f} ± {fit.y_std[index]:.2f} Å",
        f"width {fit.width[index]:.2f} Å, cross-section {cross_section:.{digits}f} ± {std:.{digits}f} {unit}",
    ]
    if counts is not None:
        count = int(counts.count[index])
        lines.append(f"{count} atoms (probability {counts.count_probability[index]:.2f})")
    if names := flag_names(fit.flags[index]):
        lines.append("flags: " + ", ".join(names))
    return "\n".join(lines)
