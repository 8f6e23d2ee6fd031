"""Whether views contradict each other before anything is reconstructed: room, totals, two of them alike."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .arrays import Bools, Floats, Ints
from .errors import InputError
from .view import View

BY_CHANCE = 0.05  # probability that noise alone leaves a column of a view without room for its atoms


def check_lengths(
    views: tuple[View, ...],
    line_view: NDArray[np.int32],
    line_column: NDArray[np.int32],
    lengths: Ints,
    strict: bool,
) -> list[str]:
    """Counts that exceed the sites on their line: beyond noise an error, else a warning."""
    warnings: list[str] = []
    for v, view in enumerate(views):
        mine = line_view == v
        excess = view.best_counts[line_column[mine]] - lengths[mine]
        if view.log_likelihood is not None:
            excess[_fits(view.log_likelihood[line_column[mine]], lengths[mine])] = 0
        worst = int(np.argmax(excess)) if len(excess) else 0
        if not len(excess) or excess[worst] <= 0:
            continue
        column, room = int(line_column[mine][worst]), int(lengths[mine][worst])
        count = int(view.best_counts[column])
        text = (
            f"view {view.name}, column {column}: {count} atoms were counted, but its line has room for only "
            f"{room} on the columns of the other views"
        )
        # A column that another view missed takes a site or two from the lines that cross it.
        if strict and view.counts is not None and excess[worst] > 2 + 0.1 * count:
            raise InputError(text + ".")
        warnings.append(f"{text} (so in {int((excess > 0).sum())} of {view.n_columns} columns of this view).")
    return warnings


def _fits(log_likelihood: Floats, lengths: Ints) -> Bools:
    """Whether the likeliest count of 0..length is, but for noise, as likely as any, per column.

    Of many columns some err by three standard deviations: what noise does to the worst of all is let pass.
    """
    k = np.arange(log_likelihood.shape[1])
    inside = np.where(k <= lengths[:, None], log_likelihood, -np.inf).max(axis=1)
    noise = special.ndtri(BY_CHANCE / max(len(lengths), 1)) ** 2 / 2
    return np.asarray(log_likelihood.max(axis=1) - inside < noise)


def check_distinct(views: tuple[View, ...]) -> list[str]:
    """Views that are one and the same."""
    return [
        f"views {a.name} and {b.name} are the same: what is given twice is trusted twice."
        for a, b in combinations(views, 2)
        if a.zone_axis == b.zone_axis
        and np.array_equal(a.column_sites, b.column_sites)
        and np.array_equal(a.best_counts, b.best_counts)
    ]


def check_totals(views: tuple[View, ...], strict: bool) -> list[str]:
    """Totals of completely seen views must agree within the noise of the counts."""
    warnings: list[str] = []
    whole = [
        view
        for view in views
        if (view.unseen_sites is None or len(view.unseen_sites) == 0) and (view.best_counts >= 0).all()
    ]
    for a, b in combinations(whole, 2):
        total_a, total_b = int(a.best_counts.sum()), int(b.best_counts.sum())
        # Counts off by +-1 in half of the columns have a standard deviation of 0.7.
        noise = 0.7 * np.sqrt(a.n_columns + b.n_columns)
        text = f"views {a.name} and {b.name}: their counts sum to {total_a} and {total_b} atoms"
        difference = abs(total_a - total_b)
        if strict and difference > max(6 * noise, 0.1 * min(total_a, total_b)):
            raise InputError(text + ", too different for one crystal.")
        if difference > 3 * noise:
            warnings.append(text + ".")
    return warnings
