"""Joint choice of readings: which counts of each view make all views agree.

A mixture of cross-sections can often be read in several ways (one class more or less, all counts one
higher). Alone, a view cannot tell; but planes that two views share must hold the same number of atoms
in both, and every column's atoms must have room on the columns of the other views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from ..arrays import Floats, Ints
from ..errors import InputError, are_whole, as_numbers, check_kinds, check_number
from .agreement import COUNTED, PairAgreement
from .counted_lines import LEAST_VARIANCE, CountedLines, moments
from .indexing import Indexing, names_of
from .placement import Placing
from .reading_evidence import doubted
from .reading_search import searched
from .reconcile import CountCorrection, corrected, reconcile
from .registration import (
    THIN_MARGIN,
    Field,
    FixedView,
    Registration,
    counted_lines,
    other_placings,
    registration_of,
)
from .verdict import agreement_of_pairs

ALIKE = 0.9  # share of a view's columns from which two readings count alike
RIVALS, OUT_OF_QUESTION = 4, 5.0  # combinations beside the chosen one, and how much less probable [log units]
SURE = 0.95  # probability of readings that count alike from which a view alone is sure of its counts


@dataclass(frozen=True, eq=False)
class Reading:
    """One way to read a view's cross-sections.

    Attributes
    ----------
    log_posterior : float
        What the view alone says for it, not normalised.
    expected, variance : (n,) float
        Expected number of atoms in each column and its variance.
    """

    log_posterior: float
    expected: Floats
    variance: Floats


@dataclass(frozen=True, eq=False)
class JointReadings:
    """Readings of all views chosen together, and the frame they share.

    Attributes
    ----------
    chosen : tuple of int
        For each view, which of its readings: those of the most probable combination, or where none stands
        out, of one near the most probable number of atoms.
    posterior : tuple of (n_readings,) float
        For each view, the probability of each reading when all views are taken together.
    margin : float
        Log probability of the choice minus that of the best other combination; below zero where the choice
        was made for the number of atoms.
    totals : tuple of (float, float)
        For each view, atoms counted in the chosen reading and their standard deviation: doubt between
        readings, and the slow bias that a view may have, included.
    before : dict of (int, int) to PairAgreement
        Agreement of each two views had each taken its own first reading; `registration.pairs` is that
        of the chosen and corrected ones.
    corrections : tuple of CountCorrection
        For each view, what to take off its chosen counts so that the views agree; small changes, for views
        whose classes overlap.
    registration : Registration
        With the chosen readings, corrected.
    rivals : tuple of tuple of int
        Other combinations that are nearly as probable and count differently, the most probable first; one of
        those that count alike. The last may be far less probable: the best one that leaves every view the
        counts of which it is sure alone, if the choice overturns them. Empty if the choice is clear.
    placings : tuple of Placing
        Other placings, which put atoms elsewhere and which all readings together leave nearly tied with the
        chosen one, the most probable first.
    """

    chosen: tuple[int, ...]
    posterior: tuple[Floats, ...]
    margin: float
    totals: tuple[tuple[float, float], ...]
    before: dict[tuple[int, int], PairAgreement]
    corrections: tuple[CountCorrection, ...]
    registration: Registration
    rivals: tuple[tuple[int, ...], ...] = ()
    placings: tuple[Placing, ...] = ()

    def __repr__(self) -> str:
        atoms = ", ".join(f"{total:.0f} ± {std:.0f}" for total, std in self.totals)
        return f"<JointReadings: {self.chosen} with {atoms} atoms, margin {self.margin:.1f}>"


def choose_readings(
    indexings: Sequence[Indexing],
    alternatives: Sequence[Sequence[Reading]],
    *,
    fields_of_view: Sequence[Field | None] | None = None,
    fixed: Sequence[FixedView | None] | None = None,
    placing: Placing | None = None,
) -> JointReadings:
    """Choose one reading for each view so that all views agree, and register the views.

    ln P(readings) = sum_v ln P_v(reading) + sum_{v < w} ln L(plane sums of v and w) + ln L(room)
    + ln L(depth), where L of the plane sums is as `agreement_log_likelihood` has it, but with planes that
    may be far off (`tomo.placing.agreement`), the room is for counts that exceed the sites which the other
    views leave on a column, and the depth is how thick the particle can be for the widths that its views
    show (`tomo.placing.depth`): that alone tells a scale that is wrong in all views alike. The placing of
    the views is first found from the shape of the plane sums alone, for any scale of the counts, and again
    from the chosen readings.

    Parameters
    ----------
    indexings : sequence of Indexing
        One for each view.
    alternatives : sequence of sequences of Reading
        Readings of each view, in any order.
    fields_of_view, fixed : optional
        As for `register_views`.
    placing : Placing, optional
        One of the `placings` of an earlier choice, to be taken as it is.

    Returns
    -------
    JointReadings

    Raises
    ------
    InputError
        If no combination makes the views agree as views of one particle.

    Examples
    --------
    >>> import tomo
    >>> crystal = tomo.fcc("Au", a=4.08)
    >>> sites = tomo.phantoms.random_particle(400, "rough", seed=2)
    >>> shown = [tomo.phantoms.indexed_columns(sites, axis, crystal) for axis in [(0, 0, 1), (1, 1, 0)]]
    >>> indexings, counts = zip(*shown, strict=True)
    >>> alternatives = [[Reading(0.0, n + off, np.full(len(n), 0.1)) for off in (0, 1)] for n in counts]
    >>> alternatives[1] = alternatives[1][:1]  # the second view is sure; the first may be one atom too high
    >>> choose_readings(indexings, alternatives).chosen
    (0, 0)
    """
    _check(indexings, alternatives)
    _check_placing(indexings, placing)
    best = [max(range(len(a)), key=lambda r, a=a: a[r].log_posterior) for a in alternatives]  # type: ignore[misc]
    expected = [readings[b].expected for readings, b in zip(alternatives, best, strict=True)]
    lines = counted_lines(indexings, expected, None, fields_of_view, fixed)
    read = [
        [_with_reading(view, indexing, reading) for reading in readings]
        for view, indexing, readings in zip(lines, indexings, alternatives, strict=True)
    ]
    prior = [doubted([r.log_posterior for r in readings]) for readings in alternatives]
    first = [read[v][b] for v, b in enumerate(best)]
    found = searched(read, prior, first, placing)
    candidates, pick = found.candidates, found.pick
    combos, scores = found.scored.combos, found.scored.scores
    posterior = _marginals(combos, scores, [len(a) for a in alternatives])
    corrections = reconcile(found.chosen, candidates[0])
    settled = [corrected(*item) for item in zip(found.chosen, corrections, strict=True)]
    tied = [c for c in found.ranked if c.score > found.ranked[0].score - THIN_MARGIN]
    return JointReadings(
        chosen=tuple(int(r) for r in combos[pick]),
        posterior=posterior,
        margin=float(scores[pick] - np.delete(scores, pick).max(initial=-np.inf)),
        totals=tuple(
            _total(readings, view, p) for readings, view, p in zip(read, settled, posterior, strict=True)
        ),
        before=agreement_of_pairs(first, candidates[0]),
        corrections=corrections,
        registration=registration_of(indexings, settled, candidates, found.ranked),
        rivals=_rivals(read, prior, combos[pick], combos, scores),
        placings=tuple(c.placing for c, _ in other_placings(settled, tied))[:RIVALS],
    )


def _check(indexings: Sequence[Indexing], alternatives: Sequence[Sequence[Reading]]) -> None:
    check_kinds("indexings", indexings, Indexing)
    if not isinstance(alternatives, Sequence) or not all(isinstance(a, Sequence) for a in alternatives):
        raise InputError("alternatives: expected a list of readings for each view.")
    if len(indexings) != len(alternatives) or not indexings:
        raise InputError(
            f"choose_readings: {len(indexings)} views but {len(alternatives)} lists of readings."
        )
    for name, indexing, readings in zip(names_of(indexings), indexings, alternatives, strict=True):
        if not readings:
            raise InputError(f"{name}: no readings were given; expected at least one.")
        check_kinds(f"{name}: readings", readings, Reading)
        for reading in readings:
            if np.shape(reading.expected) != (len(indexing),) or np.shape(reading.variance) != (
                len(indexing),
            ):
                raise InputError(
                    f"{name}: a reading has {np.size(reading.expected)} expected counts and"
                    f" {np.size(reading.variance)} variances for {len(indexing)} columns."
                )


def _check_placing(indexings: Sequence[Indexing], placing: object) -> None:
    """Raise an InputError where it is no rotation and no shift for each view."""
    if placing is None:
        return
    try:
        rotations, shifts = (as_numbers("placing", part) for part in placing)  # type: ignore[attr-defined]
        kinds = [len(indexing.zone.plane_rotations()) for indexing in indexings]
        known = rotations.shape == (len(kinds),) and shifts.shape == (len(kinds), 2)
        known = known and are_whole(rotations) and are_whole(shifts)
        known = known and bool(np.all((rotations >= 0) & (rotations < kinds)))
    except (TypeError, ValueError):
        known = False
    if not known:
        raise InputError("placing: expected one of the placings of an earlier choice for these views.")


def _with_reading(view: CountedLines, indexing: Indexing, reading: Reading) -> CountedLines:
    use = indexing.counted
    atoms = np.nan_to_num(np.asarray(reading.expected, dtype=float)[use])
    return replace(
        view, atoms=atoms, variance=np.asarray(reading.variance, dtype=float)[use] + LEAST_VARIANCE
    )


def _marginals(combos: Ints, scores: Floats, sizes: list[int]) -> tuple[Floats, ...]:
    weight = softmax(scores)
    return tuple(np.bincount(combos[:, v], weight, size).astype(float) for v, size in enumerate(sizes))


def _rivals(
    read: list[list[CountedLines]],
    prior: list[Floats],
    chosen: Ints,
    combos: Ints,
    scores: Floats,
) -> tuple[tuple[int, ...], ...]:
    """Combinations nearly as probable as the best, and one that overturns no view; none counts like another.

    What all views together say of a reading rests on how thick a particle of such widths usually is. A view
    whose classes are clear may show one that is not: a few layers, a needle along the beam.
    """
    counts = [np.array([np.rint(view.atoms) for view in readings]) for readings in read]

    def alike(one: Ints, two: Ints) -> bool:
        pairs = zip(counts, one, two, strict=True)
        return all(np.mean(of_view[r] == of_view[s]) >= ALIKE for of_view, r, s in pairs)

    found = [chosen]
    for combo in combos[scores > scores[0] - OUT_OF_QUESTION]:
        if len(found) <= RIVALS and not any(alike(combo, other) for other in found):
            found.append(combo)
    kept = np.ones(len(combos), dtype=bool)
    for v, (of_view, own) in enumerate(zip(counts, prior, strict=True)):
        like_best = np.mean(of_view == of_view[np.argmax(own)], axis=1) >= ALIKE
        if softmax(own)[like_best].sum() >= SURE:
            kept &= like_best[combos[:, v]]
    found += [combo for combo in combos[kept][:1] if not any(alike(combo, other) for other in found)]
    return tuple(tuple(int(r) for r in combo) for combo in found[1:])


def _total(readings: list[CountedLines], chosen: CountedLines, posterior: Floats) -> tuple[float, float]:
    """Atoms of the chosen reading; their deviation, that of the other readings and a common bias included."""
    total = float(chosen.atoms.sum())
    sums = np.array([view.atoms.sum() for view in readings])
    of_readings = float(posterior @ (sums - total) ** 2)
    return total, float(np.sqrt(chosen.variance.sum() + of_readings + (COUNTED.scale * total) ** 2 / 2))


def reading_of(log_posterior: float, probability: ArrayLike) -> Reading:
    """A reading from the probability of every count.

    Parameters
    ----------
    log_posterior : float
        What the view alone says for it, not normalised.
    probability : (n, kmax + 1) float
        P(k atoms) of each column; rows sum to 1.

    Returns
    -------
    Reading

    Raises
    ------
    InputError
        If the probabilities are not a finite array (n, kmax + 1).

    Examples
    --------
    >>> reading_of(0.0, [[0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]).expected.tolist()
    [1.5, 2.0]
    """
    check_number("log_posterior", log_posterior)
    p = as_numbers("probability", probability)
    if p.ndim != 2 or not np.isfinite(p).all():
        raise InputError(f"probability: expected finite numbers of shape (n, kmax + 1), got shape {p.shape}.")
    mean, variance = moments(p)
    return Reading(float(log_posterior), mean, np.maximum(variance, 0.0))
