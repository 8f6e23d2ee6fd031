"""How far hard counts can be trusted: a likelihood for counts with +-1 errors, and its estimate.

A count n of a column of k atoms is right with probability 1 - p; an error is of either sign, of
size d with probability (1 - q) q^(d - 1):

    P(n | k) = 1 - p                              for n = k,
               p / 2 (1 - q) q^(|n - k| - 1)      otherwise.

That a view names a column at all says something too: a line without atoms rarely gives a peak.
P(named | k = 0) = f for columns whose count is not zero and P(named with count 0 | k = 0) = f0,
against 1 for lines that hold atoms; f0 is near 1 where a view lists every empty line too.

p, f and f0 are estimated for every view, q for all of them, by expectation maximisation: the
expected numbers of errors of size 0, 1, 2, ... and of empty columns under the posterior of the
occupancies (Dempster, Laird and Rubin 1977, J. R. Stat. Soc. B 39, 1), with a few observations added
in advance, so that none reaches 0 or 1. Count
*probabilities* that prove too sure of themselves are tempered by an exponent below one, which is
the one that makes them as wrong as they claim to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from ..arrays import Bools, Floats, Ints
from ..problem import Problem

#: Observations assumed in advance: columns of which so many are wrong; errors, so many above 1.
PRIOR_COLUMNS, PRIOR_WRONG = 1.0, 0.05
PRIOR_ERRORS, PRIOR_LARGE = 10.0, 0.3
#: A view's own share of wrong counts is drawn towards that of all views with the weight of so many columns.
SHARED_COLUMNS = 30.0
#: A silhouette of n columns has about so many times sqrt(n) empty lines beside it.
PERIMETER = 3.5
#: Empty lines assumed to be named in advance.
PRIOR_EMPTY = 0.1
#: What p, f and the exponents are kept within: no count may become impossible, nor one worthless.
_ERROR_RANGE = (1e-3, 0.85)
_EMPTY_RANGE = (1e-3, 1.0)
_SCALE_RANGE = (0.05, 1.0)
#: What the fields of a count model are called in a report, in their order.
SUMMARY = ("count_error", "large_error", "likelihood_scale", "empty_columns")


@dataclass(frozen=True)
class CountModel:
    """What is believed of the counts of each view.

    Attributes
    ----------
    error : (V,) float
        Share p of the hard counts that are wrong; 0 in views with count probabilities.
    large : float
        q, the share of the errors that go on by one more atom.
    scale : (V,) float
        Exponent of the count probabilities of a view; 1 in views with hard counts.
    empty : (V, 2) float
        Chance that a line without atoms is named as a column, with count 0 and otherwise.
    """

    error: Floats
    large: float
    scale: Floats
    empty: Floats

    def summary(self) -> dict[str, Any]:
        """Plain numbers for a report, by the names of `SUMMARY`."""
        fields = (self.error.tolist(), float(self.large), self.scale.tolist(), self.empty.tolist())
        return dict(zip(SUMMARY, fields, strict=True))


def initial_count_model(problem: Problem, error: float = 0.2) -> CountModel:
    """A count model to start from: the same ``error`` in all views with hard counts."""
    hard = np.array([view.counts is not None for view in problem.views])
    return CountModel(
        np.where(hard, error, 0.0),
        PRIOR_LARGE / PRIOR_ERRORS,
        np.ones(len(hard)),
        np.full((len(hard), 2), PRIOR_EMPTY),
    )


def count_table(problem: Problem, model: CountModel) -> Floats:
    """Cost table ((T,), as `Problem.table`) of every line under a count model.

    Hard counts cost -ln P(n | k) + ln P(n | n), soft ones ``scale`` times what the problem says.
    The weight of a view multiplies both.
    """
    counted, atoms, line = _expanded(problem)
    view = problem.line_view[line]
    hard = counted >= 0
    off = np.abs(atoms - counted)
    p, q = model.error[view], model.large
    weight = np.array([v.weight for v in problem.views])[view]
    with np.errstate(divide="ignore", invalid="ignore"):
        wrong = np.log1p(-p) - np.log(p / 2 * (1 - q)) - (off - 1) * np.log(q)
    cost = np.where(off == 0, 0.0, wrong) * weight
    unfound = _unfound(problem)[line]
    cost = np.where(hard, cost, np.where(unfound, 1.0, model.scale[view]) * problem.table)
    named_empty = cost - weight * np.log(model.empty[view, (counted != 0).astype(int)])
    return np.where((atoms == 0) & ~unfound, named_empty, cost)


def update_count_model(
    problem: Problem, model: CountModel, line_counts: Ints, soft: bool = True
) -> CountModel:
    """One step of expectation maximisation from occupancies drawn from the posterior with a model.

    `line_counts` (n, L) are the atoms on every line in each of n occupancies; `soft` estimates the exponents
    of count probabilities too.
    """
    counted = _hard_counts(problem)
    off = np.abs(line_counts - counted)
    views = np.arange(len(problem.views))
    members = [np.flatnonzero((problem.line_view == v) & (counted >= 0)) for v in views]
    wrong = np.array([(off[:, m] > 0).sum(axis=1).mean() if len(m) else 0.0 for m in members])
    size = np.array([len(m) for m in members], float)
    shared = (wrong.sum() + PRIOR_WRONG) / (size.sum() + PRIOR_COLUMNS)
    error = (wrong + SHARED_COLUMNS * shared) / (size + SHARED_COLUMNS)
    beyond = np.maximum(off - 1, 0)[:, counted >= 0].sum(axis=1).mean()
    large = (beyond + PRIOR_LARGE) / (beyond + wrong.sum() + PRIOR_ERRORS)
    empty = np.zeros((len(views), 2))
    unfound = _unfound(problem)
    for v in views:
        mine = (problem.line_view == v) & ~unfound
        perimeter = PERIMETER * np.sqrt(mine.sum()) + 1.0
        for kind in (0, 1):
            chosen = mine & ((counted != 0) == kind)
            found = (line_counts[:, chosen] == 0).sum(axis=1).mean() if chosen.any() else 0.0
            empty[v, kind] = (found + PRIOR_EMPTY) / (found + perimeter)
    scale = model.scale.copy()
    if soft:
        for v in views[size == 0]:
            scale[v] = _soft_scale(problem, v, line_counts)
    return CountModel(
        np.where(size > 0, np.clip(error, *_ERROR_RANGE), 0.0),
        float(large),
        scale,
        np.clip(empty, *_EMPTY_RANGE),
    )


def mean_count_model(models: Sequence[CountModel]) -> CountModel:
    """Mean of every parameter over several models of the same views."""
    return CountModel(
        np.mean([m.error for m in models], axis=0),
        float(np.mean([m.large for m in models])),
        np.mean([m.scale for m in models], axis=0),
        np.mean([m.empty for m in models], axis=0),
    )


def _hard_counts(problem: Problem) -> Ints:
    """The count of every line, (L,), -1 where the view gives probabilities."""
    counted = np.full(problem.n_lines, -1, np.int64)
    for v, view in enumerate(problem.views):
        mine = problem.line_view == v
        if view.counts is not None:
            counted[mine] = view.counts[problem.line_column[mine]]
    return counted


def _unfound(problem: Problem) -> Bools:
    """Lines (L,) that no column was found on, but whose light was measured: their noise is known."""
    unfound = np.zeros(problem.n_lines, dtype=bool)
    for v, view in enumerate(problem.views):
        mine = problem.line_view == v
        unfound[mine] = ~view.found[problem.line_column[mine]]
    return unfound


def _expanded(problem: Problem) -> tuple[Ints, Ints, Ints]:
    """For every entry of the cost tables: hard count of its line (or -1), number of atoms, line."""
    lengths = np.diff(problem.table_start)
    line = np.repeat(np.arange(problem.n_lines), lengths)
    atoms = np.arange(len(line)) - problem.table_start[:-1][line]
    return _hard_counts(problem)[line], atoms, line


def _soft_scale(problem: Problem, view: int, line_counts: Ints) -> float:
    """Exponent c for which softmax(-c table) expects the costs that the posterior has.

    It maximises the likelihood of P_c(k) ~ exp(-c table[k]) for counts k drawn from the
    posterior. Only exponents up to 1 are considered: a view is never trusted more than it asks.
    """
    lines = np.flatnonzero((problem.line_view == view) & ~_unfound(problem))
    start, length = problem.table_start[lines], np.diff(problem.table_start)[lines]
    if len(lines) == 0:
        return _SCALE_RANGE[1]
    width = int(length.max())
    k = np.arange(width)
    rows = np.minimum(start[:, None] + k, len(problem.table) - 1)
    cost = np.where(k < length[:, None], problem.table[rows], np.inf)
    cost -= cost.min(axis=1, keepdims=True)
    found = np.take_along_axis(cost, line_counts[:, lines].T, axis=1).mean()
    possible = np.where(np.isfinite(cost), cost, 0.0)

    def excess(c: float) -> float:
        weight = np.exp(-c * cost)
        expected = (weight * possible).sum(axis=1) / weight.sum(axis=1)
        return float(expected.mean() - found)

    if excess(_SCALE_RANGE[1]) >= 0:
        return _SCALE_RANGE[1]
    if excess(_SCALE_RANGE[0]) <= 0:
        return _SCALE_RANGE[0]
    return float(brentq(excess, *_SCALE_RANGE, xtol=1e-4))
