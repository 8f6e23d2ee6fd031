"""Time series: atoms per column in every frame, by a hidden Markov model over the frames.

The count k of a column is the hidden state, its cross-section V what is seen of it. Recursions forwards and
backwards over the frames f,

    a_f(k) = P(V_f | k) sum_j a_{f-1}(j) P(k | j),     b_f(j) = sum_k P(k | j) P(V_{f+1} | k) b_{f+1}(k),

give P(k in frame f | all frames) ~ a_f(k) b_f(k) and the probability of all frames; means, widths and the
probability of a change follow from them by expectation maximisation (Rabiner, Proc. IEEE 77 (1989) 257).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Bools, Floats, Ints
from ..errors import InputError, as_numbers
from ..results import Hypothesis
from .count import averaged, count_atoms
from .library import library_reading
from .likelihood import count_log_likelihood

MAX_STEPS = 50
# Atoms gained or lost between two frames fall off by this factor an atom.
DECAY = 0.3
# How far a class mean may move from the start reading: standard deviation in increments.
MEAN_FREEDOM = 0.1
CHANGE = 0.05  # probability of a change that the estimate starts from
LEAST_SHARE = 0.01  # of the probability, of a reading that the probabilities of the counts are averaged over
OUTLIER = 4.0  # widths from a class mean: what is farther belongs to the even background of its likelihood


@dataclass(frozen=True, eq=False)
class SeriesCounts:
    """Atoms in each column of each frame.

    Attributes
    ----------
    count : (frames, n) int
        Most probable number of atoms under `reading`.
    probability : (frames, n, kmax + 1) float
        P(k atoms | all frames), the mean over all readings as of `AtomCounts`.
    log_likelihood : (frames, n, kmax + 1) float
        ln P(V | k atoms) of the single frames.
    reading : Hypothesis
        Class means, widths and weights, common to all frames.
    change_probability : float
        Probability that a column's count changes from one frame to the next.
    log_evidence : float
        ln P(all cross-sections) under the model, of `reading`.
    verdict, reason : str
        Whether the classes are decided, as of `AtomCounts`.
    """

    count: Ints
    probability: Floats
    log_likelihood: Floats
    reading: Hypothesis
    change_probability: float
    log_evidence: float
    verdict: str = "given"
    reason: str = "The classes were given."

    def __repr__(self) -> str:
        frames, columns = self.count.shape
        return (
            f"<SeriesCounts: {columns} columns in {frames} frames, {self.reading.n_components} classes,"
            f" a count changes with a probability of {self.change_probability:.2g}>"
        )


def transition_matrix(kmax: int, change_probability: float) -> Floats:
    """P(k atoms in the next frame | j atoms), (kmax + 1, kmax + 1), rows j.

    1 - `change_probability` for k = j; the rest is shared among the other k in proportion to
    `DECAY`^|k - j|.

    Examples
    --------
    >>> bool(np.allclose(transition_matrix(3, 0.1).sum(axis=1), 1))
    True
    """
    k = np.arange(kmax + 1)
    jump = DECAY ** np.abs(k[:, None] - k[None, :]).astype(float)
    np.fill_diagonal(jump, 0.0)
    matrix = change_probability * jump / jump.sum(axis=1, keepdims=True)
    return np.asarray(matrix + (1 - change_probability) * np.eye(kmax + 1))


def forward_backward(
    log_likelihood: Floats, start: Floats, transition: Floats
) -> tuple[Floats, float, float]:
    """Posterior of a hidden Markov chain for every column at once.

    `log_likelihood` (frames, n, states) is ln P(observation | state), `start` (states,) how likely each state
    is in the first frame, and `transition` (states, states) is P(next | state), of rows that sum to 1.
    Returned are P(state | all frames), (frames, n, states), the expected number of steps between frames in
    which the state stayed the same, and ln P(all observations).

    Examples
    --------
    >>> probability, stayed, _ = forward_backward(np.zeros((2, 1, 2)), np.full(2, 0.5), np.eye(2))
    >>> round(stayed, 6)
    1.0
    """
    frames = len(log_likelihood)
    top = log_likelihood.max(axis=2, keepdims=True)
    likelihood = np.exp(log_likelihood - top)
    forward = np.empty_like(likelihood)
    scale = np.empty((*likelihood.shape[:2], 1))
    for f in range(frames):
        forward[f] = likelihood[f] * (start if f == 0 else forward[f - 1] @ transition)
        scale[f] = forward[f].sum(axis=1, keepdims=True)
        forward[f] /= scale[f]
    backward = np.ones_like(likelihood)
    stayed = 0.0
    for f in range(frames - 2, -1, -1):
        ahead = likelihood[f + 1] * backward[f + 1] / scale[f + 1]
        backward[f] = ahead @ transition.T
        stayed += float(np.sum(forward[f] * np.diag(transition) * ahead))
    return forward * backward, stayed, float(np.sum(np.log(scale) + top))


def count_time_series(
    cross_sections: ArrayLike,
    *,
    n_components: int | None = None,
    offset: int | None = None,
    library: ArrayLike | None = None,
    change_probability: float | None = None,
) -> SeriesCounts:
    """Count the atoms of the same columns in several frames.

    A column's count is a Markov chain over the frames: it stays, or changes with a probability that
    is estimated, by few atoms rather than many. Class means and widths are common to all frames and
    refined together with that probability by the Baum-Welch algorithm (after De wael et al.,
    Ultramicroscopy 219 (2020) 113131). The classes are first found from each column's median over
    the frames, whose noise is smaller than a frame's; these also say how probable other readings are.

    Parameters
    ----------
    cross_sections : (frames, n) array of float
        Cross-sections of n columns in every frame; NaN where a frame does not show the column.
    n_components, offset : int, optional
        The user's own choice of classes, as in `count_atoms`.
    library : (kmax,) or (kmax, 1 + m) array of float, optional
        Cross-sections of 1, 2, ... atoms; of several columns the first.
    change_probability : float, optional
        Probability that a count changes between frames; estimated when not given.

    Returns
    -------
    SeriesCounts

    Raises
    ------
    InputError
        If the cross-sections are not a (frames, n) array, a column is NaN in every frame, or
        `change_probability` is not between 0 and 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> atoms = np.tile(np.repeat([1, 2, 3, 4, 5], 20), (4, 1))
    >>> series = count_time_series(atoms + 0.3 * rng.standard_normal(atoms.shape), n_components=5)
    >>> bool(np.mean(series.count == atoms) > 0.99)
    True
    """
    values = as_numbers("cross_sections", cross_sections)
    if values.ndim != 2 or not values.size:
        raise InputError(f"cross_sections: expected an array (frames, columns), got shape {values.shape}.")
    seen = np.isfinite(values)
    unseen = np.flatnonzero(~seen.any(axis=0))
    if len(unseen):
        raise InputError(f"cross_sections: column {unseen[0]} is NaN in every frame.")
    if change_probability is not None and not (
        isinstance(change_probability, int | float | np.number) and 0 <= change_probability < 1
    ):
        raise InputError(f"change_probability: expected 0 <= p < 1, got {change_probability!r}.")
    median = np.nanmedian(values, axis=0)
    if library is not None:
        for name, value in (("n_components", n_components), ("offset", offset)):
            if value is not None:
                raise InputError(
                    f"{name}: the classes of a library are counted; give either {name} or library."
                )
        return _followed(library_reading(median, library), values, seen, change_probability)
    counts = count_atoms(median, n_components=n_components, offset=offset)
    found = _followed(counts.chosen, values, seen, change_probability)
    if n_components is not None:
        return found
    share = np.exp([one.log_posterior - counts.alternatives[0].log_posterior for one in counts.alternatives])
    share /= share.sum()
    tables, shares = [found.probability], [0.0]
    for reading, part in zip(counts.alternatives, share, strict=True):
        if reading is counts.chosen:
            shares[0] = float(part)
        elif part >= LEAST_SHARE:
            tables.append(_followed(reading, values, seen, change_probability).probability)
            shares.append(float(part))
    flat = [table.reshape(values.size, -1) for table in tables]
    mixed = averaged(flat, np.array(shares) / sum(shares), found.probability.shape[2])
    return replace(
        found,
        probability=mixed.reshape(found.probability.shape),
        verdict=counts.verdict,
        reason=counts.reason,
    )


def _followed(
    reading: Hypothesis, values: Floats, seen: Bools, change_probability: float | None
) -> SeriesCounts:
    """The counts under one reading, whose classes are refined with the probability of a change."""
    start_mean, spacing = reading.mean, np.gradient(reading.mean)
    weight = np.maximum(reading.weight, 1e-6)
    reading = replace(reading, weight=weight / weight.sum())
    filled = np.where(seen, values, 0.0)
    change = CHANGE if change_probability is None else change_probability
    before = -np.inf
    for _ in range(MAX_STEPS):
        flat = count_log_likelihood(filled.ravel(), reading).reshape(*values.shape, -1)
        log_likelihood = np.where(seen[..., None], flat, 0.0)
        transition = transition_matrix(flat.shape[2] - 1, change)
        probability, stayed, log_evidence = forward_backward(log_likelihood, reading.weight, transition)
        if log_evidence - before < 1e-3:
            break
        before = log_evidence
        reading = _refined(reading, filled, probability * seen[..., None], start_mean, spacing)
        steps = (len(values) - 1) * values.shape[1]
        if change_probability is None and steps:
            change = (steps - stayed + 0.5) / (steps + 1.0)
    return SeriesCounts(
        count=np.argmax(probability, axis=2).astype(np.int64),
        probability=probability,
        log_likelihood=log_likelihood,
        reading=reading,
        change_probability=change,
        log_evidence=log_evidence,
    )


def _refined(
    reading: Hypothesis, values: Floats, probability: Floats, start_mean: Floats, spacing: Floats
) -> Hypothesis:
    """Means (held to the start), one factor on all widths, and weights from the posterior."""
    share = probability.sum(axis=(0, 1))
    sums = np.einsum("fnk,fn->k", probability, values)
    hold = (reading.width / (MEAN_FREEDOM * spacing)) ** 2
    mean = (sums + hold * start_mean) / (share + hold)
    mean[0] = 0.0
    mean = np.maximum.accumulate(mean)
    score = (values[..., None] - mean) ** 2 / reading.width**2
    inlier = score < OUTLIER**2
    factor = np.sqrt(np.sum(probability * score * inlier) / max(np.sum(probability * inlier), 1e-12))
    weight = probability[0].sum(axis=0) + 1e-3
    return replace(
        reading, mean=mean, width=reading.width * max(float(factor), 1e-3), weight=weight / weight.sum()
    )
