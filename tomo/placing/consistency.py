"""Whether views in one frame, and the crystal found from them, are consistent: what must not go unsaid.

Three questions, each of which right results answer with a clear yes (`benchmarks/held_out.py`): Is there room
for the atoms that each view counts on the columns of the others? Do the views agree as declared, and not only
if one is mirrored or taken along another axis? Does the crystal that was found hold the counts that the
images show, within their errors?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from ..errors import InputError, check_kind, check_kinds
from ..report import reproject
from ..view import View
from .alternatives import SCANS_AND_AXES, better_alternatives, sentence_of
from .indexing import names_of
from .registration import Field, Registration, counted_lines
from .support import ROOM_VARIANCE, misfit_of
from .verdict import WHAT_TO_CHECK, agreement_of_pairs, is_poor

DOUBTFUL_MISFIT = 0.05  # chi-square a column from which other ways to see the views are tried
POOR_MISFIT = 0.1  # beyond what the counts' errors explain: worth a warning
REFUSED_MISFIT = 0.25
TAKEN_UP = 0.3  # share of the counts' errors that the best filling of the room takes up
ENOUGH_GAIN = 15.0  # log units by which another way to see a view must fit better
LARGEST_LOSS = 10.0  # log units that one column may count
BROAD = 0.1  # standard deviation that the loss of a column has at least
CLEAR_EXCESS = 0.2  # log units a column
CLEAR_DEVIATION = 4.0  # standard deviations
USELESS = 0.4  # share of columns that are probably miscounted


@dataclass(frozen=True)
class CountConsistency:
    """Counts of one view against the atoms on its columns.

    Attributes
    ----------
    name : str
        Of the view.
    loss : float
        Mean over the columns of max_k ln P(V | k) - ln P(V | n), n the atoms on the column.
    expected_loss : float
        What it would be if the counts' own probabilities were right.
    deviation : float
        Difference of the two in standard deviations.
    differing, expected_differing : float
        Share of columns whose most likely count is not n, and what the counts' own probabilities make of it.
    """

    name: str
    loss: float
    expected_loss: float
    deviation: float
    differing: float
    expected_differing: float


def check_registration(
    registration: Registration,
    expected_counts: Sequence[ArrayLike],
    *,
    count_probabilities: Sequence[ArrayLike | None] | None = None,
    fields_of_view: Sequence[Field | None] | None = None,
) -> tuple[str, ...]:
    """Warnings about registered views whose counts contradict each other.

    Every atom needs a site that lies on a column of every view. The counts are compared with the best filling
    of these sites; where they do not fit, the views are tried mirrored and along the other axes of
    their families.

    Parameters
    ----------
    registration : Registration
        From `register_views` or `choose_readings`.
    expected_counts : sequence of (n,) float
        Expected number of atoms in each column of each view.
    count_probabilities, fields_of_view : optional
        As for `register_views`.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If the views fit together only when one of them is seen otherwise, or not at all.

    Examples
    --------
    >>> import tomo
    >>> crystal = tomo.fcc("Au", a=4.08)
    >>> sites = tomo.phantoms.random_particle(300, "rough", seed=2)
    >>> axes = [(0, 0, 1), (1, 0, 0), (1, 1, 0)]
    >>> shown = [tomo.phantoms.indexed_columns(sites, axis, crystal) for axis in axes]
    >>> indexings, counts = zip(*shown, strict=True)
    >>> tomo.check_registration(tomo.register_views(indexings, counts), counts)
    ()
    """
    check_kind("registration", registration, Registration)
    if len(registration.indexings) < 2:
        return ()
    indexings = registration.indexings
    names = names_of(indexings)
    views = counted_lines(indexings, expected_counts, count_probabilities, fields_of_view)
    misfit = misfit_of(views, registration.candidates[0])
    if misfit is None or misfit < DOUBTFUL_MISFIT:
        return ()
    others = [a for a in better_alternatives(views, ENOUGH_GAIN) if a.misfit < 0.4 * misfit]
    if others:
        raise InputError(
            f"{', '.join(names)} contradict each other as declared, but agree {sentence_of(others, names)}:"
            f" {SCANS_AND_AXES}."
        )
    variance = np.concatenate([view.variance for view in views])
    explained = (1 - TAKEN_UP) * float(np.mean(variance / (variance + ROOM_VARIANCE)))
    unexplained = misfit - explained
    poor = any(is_poor(p) for p in agreement_of_pairs(views, registration.candidates[0]).values())
    planes_differ = poor and misfit > POOR_MISFIT
    sentence = f"{', '.join(names)}: the atoms counted in one view "
    if planes_differ:
        sentence += "differ from those of another in the planes that both share, and "
    sentence += (
        "find too little room on the columns of the others"
        f" (misfit {misfit:.2f} a column, of which errors of the counts may explain"
        f" {min(explained, misfit):.2f})"
    )
    if unexplained > REFUSED_MISFIT or planes_differ:
        raise InputError(f"{sentence}; {WHAT_TO_CHECK}.")
    if unexplained > POOR_MISFIT:
        why = "they may not show the same particle, or one is counted wrong, which no certainty says"
        return (f"{sentence}: {why}.",)
    return ()


def count_consistency(sites: ArrayLike, view: View) -> CountConsistency:
    """Compare the counts of a view with the atoms of a crystal.

    Parameters
    ----------
    sites : (n, 3) int
        Occupied sites [a/2].
    view : View
        Hard counts have no errors of their own: their expected loss is 0.

    Returns
    -------
    CountConsistency

    Raises
    ------
    InputError
        If the sites are not whole numbers on one fcc grid, or `view` is no view.

    Examples
    --------
    >>> view = View((1, 1, 0), [(0, 0, 0), (1, -1, 0)], log_likelihood=[[-9, -9, 0], [-9, 0, -1]])
    >>> found = count_consistency([(0, 0, 0), (1, 1, 0), (1, -1, 0)], view)
    >>> found.loss, found.differing
    (0.0, 0.0)
    """
    check_kind("view", view, View)
    atoms = np.rint(reproject(sites, view)).astype(np.int64)
    if view.log_likelihood is None:
        assert view.counts is not None
        known = view.counts >= 0
        differing = float(np.mean(atoms[known] != view.counts[known])) if known.any() else 0.0
        return CountConsistency(view.name, 0.0, 0.0, 0.0, differing, 0.0)
    table = np.asarray(view.log_likelihood, dtype=float)
    known = (np.ptp(table, axis=1) > 0) & view.found
    table, atoms = table[known], np.minimum(atoms[known], table.shape[1] - 1)
    if not len(table):
        return CountConsistency(view.name, 0.0, 0.0, 0.0, 0.0, 0.0)
    below = np.minimum(table.max(axis=1, keepdims=True) - table, LARGEST_LOSS)
    loss = below[np.arange(len(atoms)), atoms]
    p = softmax(table, axis=1)
    expected = (p * below).sum(axis=1)
    variance = (p * below**2).sum(axis=1) - expected**2 + BROAD**2
    return CountConsistency(
        view.name,
        float(loss.mean()),
        float(expected.mean()),
        float((loss - expected).sum() / np.sqrt(variance.sum())),
        float(np.mean(atoms != table.argmax(axis=1))),
        float(1 - p.max(axis=1).mean()),
    )


def check_counts(sites: ArrayLike, views: Sequence[View]) -> tuple[str, ...]:
    """Warnings about views whose counts the crystal does not hold, or that say next to nothing.

    Parameters
    ----------
    sites : (n, 3) int
        Occupied sites of the reconstructed crystal [a/2].
    views : sequence of View
        What it was reconstructed from.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If the sites are not whole numbers on one fcc grid, or `views` no views.

    Examples
    --------
    >>> import tomo
    >>> sites = tomo.phantoms.random_particle(200, "rough", seed=1)
    >>> check_counts(sites, tomo.phantoms.soft_views_of(sites, [(1, 0, 0), (1, 1, 0)], width=0.2))
    ()
    """
    check_kinds("views", views, View)
    warnings = []
    for found in (count_consistency(sites, view) for view in views):
        if found.deviation > CLEAR_DEVIATION and found.loss - found.expected_loss > CLEAR_EXCESS:
            warnings.append(
                f"{found.name}: the crystal does not hold the counts of this view:"
                f" {100 * found.differing:.0f} % of its columns differ where its errors explain"
                f" {100 * found.expected_differing:.0f} %; the views contradict"
                " each other: look at those columns before you trust the result."
            )
        if found.expected_differing > USELESS:
            warnings.append(
                f"{found.name}: about {100 * found.expected_differing:.0f} % of the columns are probably"
                " miscounted, however sure the order of the classes is: trust no single count of this view,"
                " and atoms no further than their certainty."
            )
    return tuple(warnings)
