"""Cross-sections -> atoms in each column, with probabilities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..errors import InputError, as_numbers, check_dose, check_whole
from ..results import AtomCounts, Hypothesis, Mixture, check_reading
from .context import in_rows
from .library import library_fits, library_reading
from .likelihood import coarsening, count_log_likelihood, probability_of, under_each
from .mixtures import checked_cross_sections, checked_std, fit_mixtures
from .order import bin_values, find_readings, hypothesis
from .rows import Rows, find_rows

# A reading is called decided when it and those that count nearly alike hold this much of the posterior.
DECIDED = 0.95
ALIKE = 0.9
ALTERNATIVES = 30
EXTRA_CLASSES = 3
MOST_OF_A_UNIT = 60  # atoms, of the thickest column where a library of another unit is tried
# No column that can be counted holds more atoms than this; larger numbers would only keep a user waiting.
MOST_ATOMS = 500
# Of fewer columns than this, neighbours tell less than the approximations of `context` are off.
MANY_COLUMNS = 1000
# Cross-sections that differ by less than this share of the largest are equal, and their error in differences.
EQUAL, EQUAL_STD = 1e-6, 0.02


def counts_from_hypothesis(
    cross_sections: ArrayLike, reading: Hypothesis, *, cross_section_std: ArrayLike | None = None
) -> AtomCounts:
    """Count the atoms under one given reading, such as one of `AtomCounts.alternatives`.

    Parameters
    ----------
    cross_sections : (n,) array of float
        Columns' cross-sections.
    reading : Hypothesis
        Class means, widths and weights.
    cross_section_std : (n,) array of float, optional
        Standard deviations of the cross-sections, if they were given when the reading was found.

    Returns
    -------
    AtomCounts
        With the verdict "given", and without mixtures.

    Raises
    ------
    InputError
        If the cross-sections, their standard deviations or the reading are not usable.

    Examples
    --------
    >>> values = np.repeat([1.0, 2.0, 3.0], 30) + 0.02 * np.sin(np.arange(90))
    >>> counts = count_atoms(values)
    >>> again = counts_from_hypothesis(values, counts.chosen)
    >>> bool(np.all(again.count == counts.count))
    True
    """
    check_reading(reading)
    values = checked_cross_sections(cross_sections, at_least=1)
    std = checked_std(cross_section_std, len(values))
    log_likelihood = count_log_likelihood(values, reading, std)
    probability = probability_of(log_likelihood, reading)
    return AtomCounts(
        count=np.argmax(probability, axis=1).astype(np.int64),
        log_likelihood=log_likelihood,
        probability=probability,
        mixtures=(),
        icl=np.empty(0),
        n_components=reading.n_components,
        offset=reading.offset,
        chosen=reading,
        alternatives=(reading,),
        verdict="given",
        reason="The reading was given.",
        total_std=float(np.sqrt(_variance(probability).sum())),
    )


def _variance(probability: Floats) -> Floats:
    """Variance (n,) of the number of atoms in each column, from P(k | V) (n, kmax + 1)."""
    k = np.arange(probability.shape[1])
    return np.asarray(probability @ k**2 - (probability @ k) ** 2)


def reading_of_mixture(mixture: Mixture, offset: int) -> Hypothesis:
    """Classes of a plain mixture, the first of them holding offset + 1 atoms.

    Means of thinner classes run straight to zero, those of thicker ones go on with the mean step of
    the last classes; only the mixture's own classes have weight.
    """
    k = mixture.n_components
    below = mixture.mean[0] * np.arange(offset + 1) / (offset + 1)
    steps = np.diff(np.concatenate([below[-1:], mixture.mean]))
    above = mixture.mean[-1] + steps[-3:].mean() * np.arange(1, EXTRA_CLASSES + 1)
    return Hypothesis(
        mean=np.concatenate([below, mixture.mean, above]),
        width=np.concatenate(
            [np.full(offset + 1, mixture.width[0]), mixture.width, np.full(EXTRA_CLASSES, mixture.width[-1])]
        ),
        weight=np.concatenate([np.zeros(offset + 1), mixture.weight, np.zeros(EXTRA_CLASSES)]),
        offset=offset,
        n_components=k,
        log_posterior=-0.5 * mixture.icl,
    )


def averaged(probabilities: list[Floats], posterior: Floats, n: int) -> Floats:
    """Mean of the readings' P(k | V) for k = 0..n - 1; the last holds what they give to more atoms, too."""
    table = np.zeros((len(probabilities[0]), n))
    for probability, share in zip(probabilities, posterior, strict=True):
        within = probability[:, : n - 1]
        table[:, : within.shape[1]] += share * within
        table[:, -1] += share * probability[:, n - 1 :].sum(axis=1)
    return table


def _decide(values: Floats, readings: list[Hypothesis], std: Floats | None, power: float = 1.0) -> AtomCounts:
    """Counts under the reading that is expected to be least far from the right one.

    Where many readings are nearly as probable as the best, the one in their midst is chosen: the most
    probable one may stand alone, and far from all others. The distance of two readings is the mean square
    root of the differences of their counts: the larger a difference the worse, but readings that differ
    everywhere and by much do not pull the choice to halfway between them. P(k | V) is the mean of all
    readings' [1]_: of the chosen one alone it would hide that others are about as probable. How probable each
    is, is its evidence raised to `power`.

    .. [1] J. A. Hoeting et al., Bayesian model averaging, Statistical Science 14 (1999) 382.
    """
    posterior = np.exp([power * (reading.log_posterior - readings[0].log_posterior) for reading in readings])
    posterior /= posterior.sum()
    counts = np.empty((len(readings), len(values)), dtype=np.int64)
    for rows, each in under_each(values, readings, std):
        counts[:, rows] = [np.argmax(probability, axis=1) for probability in each]
    distance = np.array([[np.mean(np.sqrt(np.abs(one - two))) for two in counts] for one in counts])
    chosen = int(np.argmin(distance @ posterior))
    alike = np.array([np.mean(one == counts[chosen]) for one in counts]) >= ALIKE
    certain = float(posterior[alike].sum())
    if certain >= DECIDED:
        verdict, reason = "decided", f"Readings that count alike hold {certain:.0%} of the probability."
    else:
        other = int(np.argmin(alike))  # the most probable of the rest
        verdict = "undecidable"
        reason = (
            f"{_span(readings[chosen], counts[chosen])} and readings that count alike hold only"
            f" {certain:.0%} of the probability; {_span(readings[other], counts[other])} is"
            f" {posterior[other] / posterior[chosen]:.2g} times as probable."
        )
    found = counts_from_hypothesis(values, readings[chosen], cross_section_std=std)
    off = counts.sum(axis=1) - counts[chosen].sum()  # by each reading, if it is the right one
    table = np.empty_like(found.probability)
    for rows, each in under_each(values, readings, std):
        table[rows] = averaged(each, posterior, table.shape[1])
    return replace(
        found,
        probability=table,
        alternatives=tuple(readings),
        verdict=verdict,
        reason=reason,
        total_std=float(np.hypot(found.total_std, np.sqrt(posterior @ off**2))),
    )


def _span(reading: Hypothesis, count: Ints) -> str:
    """The reading in words: its classes, and its total, by which those of the same classes differ."""
    return f"{reading.offset + 1} to {reading.offset + reading.n_components} atoms ({count.sum()} in all)"


def count_atoms(
    cross_sections: ArrayLike,
    *,
    n_components: int | None = None,
    offset: int | None = None,
    max_components: int | None = None,
    cross_section_std: ArrayLike | None = None,
    dose: float | None = None,
    library: ArrayLike | None = None,
    library_scale: str = "fixed",
    positions: ArrayLike | None = None,
) -> AtomCounts:
    """Count the atoms of each column from its cross-section.

    With `n_components` the plain mixture of that order is used, its first class holding `offset` + 1
    atoms (1 unless said otherwise). Without it, readings of the cross-sections - scale, offset, bending
    of the curve V(k) - are compared by their approximate evidence, see `stemcount.counting.order`; all of
    them are in `alternatives`, the most probable first. The counts are those of one of them, the
    probabilities are averaged over all, so that they hold where no reading is certain.

    Parameters
    ----------
    cross_sections : (n,) array of float
        Columns' cross-sections, any unit; of at least two columns, or of one with a library of fixed scale,
        which is then without mixtures.
    n_components : int, optional
        The user's own choice of order.
    offset : int, optional
        Atoms in the thinnest class, minus 1. Without `n_components` it chooses among the readings.
    max_components : int, optional
        Largest count to consider; by default as many as the number of columns can carry. Of the plain
        mixtures, the highest order.
    cross_section_std : (n,) array of float, optional
        Standard deviations of the cross-sections from the fit, best those of the noise alone
        (`ColumnFit.noise_std`): what else errs shows in the width of the classes.
    dose : float, optional
        Incident electrons per area [1/A^2], for cross-sections in A^2: counting noise mean / dose is then
        part of every class's variance.
    library : (kmax,) or (kmax, 1 + m) array of float, optional
        Cross-sections of 1, 2, ... kmax atoms, that go on with the last increment where columns have more;
        they are then the class means. Further columns, the same with one setting of the simulation changed
        by its standard error (`simulate_library`), tell how uncertain the curve is; they serve where the
        factor is free.
    library_scale : {"fixed", "free"}
        Whether the library is in the units of the cross-sections, or known only up to a factor that is
        fitted too (hybrid counting): one near 1 or, where the cross-sections are told better without such a
        library, any other, as of an image that is not in fractions of the incident beam.
    positions : (n, 2) array of float, optional
        Column centres [A]. Readings of a thousand columns or more are then judged by neighbouring columns
        too, see `stemcount.counting.context`: where classes overlap, these tell what the values alone cannot.

    Returns
    -------
    AtomCounts

    Raises
    ------
    InputError
        If the cross-sections are not a finite 1D array, no reading of them has the offset that is given, or
        another argument is out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> atoms = rng.integers(1, 7, 200)
    >>> counts = count_atoms(0.3 * atoms + 0.03 * rng.standard_normal(200))
    >>> counts.verdict, bool(np.mean(counts.count == atoms) > 0.99)
    ('decided', True)
    """
    read = library is not None and str(library_scale) == "fixed"  # whatever the other columns are
    values = checked_cross_sections(cross_sections, at_least=1 if read else 2)
    std = checked_std(cross_section_std, len(values))
    _check_settings(offset, max_components, dose, library_scale, positions, len(values))
    if n_components is not None:
        _check_order(n_components, values, library)
    if offset is not None and read:
        raise InputError("offset: a library of a fixed scale tells it; give either offset or library.")
    highest = max(n_components or 1, max_components or 20)
    mixtures = fit_mixtures(values, highest, dose=dose) if len(values) > 1 else ()
    if n_components is not None:
        counts = counts_from_hypothesis(values, reading_of_mixture(mixtures[n_components - 1], offset or 0))
    elif library is not None and read:
        reading = library_reading(values, library, cross_section_std=std)
        counts = counts_from_hypothesis(values, reading, cross_section_std=std)
    else:
        if dose is not None and std is None:
            std = np.sqrt(np.maximum(values, 0.0) / dose)
        if std is None:
            std = _std_of_equal_values(values)
        rows = None
        if positions is not None and library is None and len(values) >= MANY_COLUMNS:
            rows = find_rows(positions, values)
        readings = _readings(values, std, max_components, library, rows)
        if offset is not None:
            readings = _with_offset(readings, offset)
        # neighbours err alike, which the chains along rows take for atoms
        counts = _decide(values, readings, std, coarsening(len(values)) if rows else 1.0)
    return replace(counts, mixtures=mixtures, icl=np.array([m.icl for m in mixtures]))


def _std_of_equal_values(values: Floats) -> Floats | None:
    """A small standard deviation for cross-sections without noise, most of which are equal; else None.

    Equal values make classes as narrow as a reading allows, and the finer its steps, the narrower. With
    `EQUAL_STD` of the least difference as their error all readings explain them as well, as they should.
    """
    gaps = np.diff(np.sort(values))
    apart = gaps[gaps > EQUAL * np.abs(values).max()]
    if not 0 < len(apart) < len(values) / 2:
        return None
    return np.full(len(values), EQUAL_STD * float(apart.min()))


def _check_order(n_components: int, values: Floats, library: ArrayLike | None) -> None:
    """Refuse an order that the cross-sections cannot have, and a second word on the classes."""
    check_whole("n_components", n_components, 1)
    different = len(np.unique(values))
    if n_components > different:
        raise InputError(
            f"n_components: expected 1 to {different} for these cross-sections, got {n_components!r}."
        )
    if library is not None:
        raise InputError(
            "n_components: the classes of a library are counted; give either n_components or library."
        )


def _with_offset(readings: list[Hypothesis], offset: int) -> list[Hypothesis]:
    """Those with the offset that the user gave, or `InputError` naming the offsets that were found."""
    chosen = [reading for reading in readings if reading.offset == offset]
    if not chosen:
        found = ", ".join(str(n) for n in sorted({reading.offset for reading in readings}))
        raise InputError(
            f"offset: no reading of these cross-sections has {offset + 1} atoms in its thinnest class; found"
            f" were offsets of {found} (with n_components any can be given)."
        )
    return chosen


def _check_settings(
    offset: int | None,
    max_components: int | None,
    dose: float | None,
    library_scale: str,
    positions: ArrayLike | None,
    n: int,
) -> None:
    """Refuse settings of `count_atoms` that are out of range."""
    if offset is not None:
        check_whole("offset", offset, 0, MOST_ATOMS)
    if max_components is not None:
        check_whole("max_components", max_components, 1, MOST_ATOMS)
    check_dose(dose)
    if not isinstance(library_scale, str) or library_scale not in ("fixed", "free"):
        raise InputError(f'library_scale: expected "fixed" or "free", got {library_scale!r}.')
    if positions is not None:
        places = as_numbers("positions", positions)
        if places.shape != (n, 2) or not np.isfinite(places).all():
            raise InputError(
                f"positions: expected finite x, y in A of {n} columns, got shape {places.shape}."
            )


def _readings(
    values: Floats,
    std: Floats | None,
    max_components: int | None,
    library: ArrayLike | None,
    rows: Rows | None,
) -> list[Hypothesis]:
    """Readings of the cross-sections, the most probable first; with a library, of its shape."""
    if values.max() <= 0:
        raise InputError("cross_sections: none is positive, so there are no atoms to count.")
    binned = bin_values(values, std)
    largest = max_components or int(np.clip(2.5 * np.sqrt(len(values)), 12, 110))
    if library is not None:
        plain = find_readings(binned, largest + (max_components is not None), 1, max_components)
        best = plain[0].log_evidence if plain else -np.inf
        fits = library_fits(binned, library, ALTERNATIVES, best, min(largest, MOST_OF_A_UNIT))
    else:
        fits = find_readings(binned, largest + (max_components is not None), ALTERNATIVES, max_components)
        if rows is not None:
            fits = in_rows(values, np.zeros(len(values)) if std is None else std**2, rows, fits)
    return [hypothesis(fit) for fit in fits]
