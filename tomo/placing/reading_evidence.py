"""What all views together say for every combination of their readings: plane sums, room and depth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..arrays import Floats, Ints
from .agreement import COUNTED, tolerant_log_likelihood
from .counted_lines import CountedLines
from .depth import depth_of
from .placement import Candidate, Placing, shared_by
from .reconcile import bent
from .rows import common_span, moved, row_sums, side_by_side, stacked
from .support import room_of

COMBINATIONS = 20_000  # carried from view to view
MOST_SITES = 4_000_000  # that are listed to see how many a column has
MISLED = -8.0  # ln of the odds that a view's own preferences say nothing
LACK = 0.06  # log units per column that right counts lack on average: errors of +1, columns not found


@dataclass(frozen=True)
class Scored:
    """Combinations of readings in one placing.

    Attributes
    ----------
    combos : (m, views) int
        Which reading of each view, the most probable combination first.
    scores : (m,) float
        Their log probabilities.
    """

    combos: Ints
    scores: Floats

    @property
    def evidence(self) -> float:
        """What all combinations together say for the placing."""
        return float(np.logaddexp.reduce(self.scores))


def doubted(log_posterior: list[float]) -> Floats:
    """What a view alone says, bounded: a mistilt or a film may bend its classes as no model foresees."""
    own = np.array(log_posterior) - max(log_posterior)
    return np.asarray(np.logaddexp(own, MISLED))


def score_combinations(
    read: list[list[CountedLines]], prior: list[Floats], placings: list[Candidate]
) -> dict[Placing, Scored]:
    """Combinations of readings in every placing."""
    found = {}
    for placing in placings:
        single = [p + r for p, r in zip(prior, _room_terms(read, placing), strict=True)]
        pairs = {
            (v, w): _pair_terms(read[v], read[w], placing, v, w) for v, w in combinations(range(len(read)), 2)
        }
        depth = depth_of(read, placing)
        combos = np.arange(len(single[0]))[:, None]
        scores = single[0].copy()
        for w in range(1, len(read)):
            n = len(single[w])
            grown = np.column_stack([np.repeat(combos, n, axis=0), np.tile(np.arange(n), len(combos))])
            score = np.repeat(scores, n) + single[w][grown[:, w]]
            for v in range(w):
                score = score + pairs[v, w][grown[:, v], grown[:, w]]
            if depth is not None and w == len(read) - 1:
                score = score + depth.log_likelihood(grown)
            order = np.argsort(-score, kind="stable")[:COMBINATIONS]
            combos, scores = grown[order], score[order]
        order = np.argsort(-scores, kind="stable")
        found[placing.placing] = Scored(combos[order], scores[order])
    return found


def _pair_terms(
    first: list[CountedLines], second: list[CountedLines], placing: Candidate, v: int, w: int
) -> Floats:
    """Log likelihood ratio of the plane sums for every two readings of two views."""
    # all readings of a view have the same lines
    planes, changes, shift = shared_by(first[0], second[0], placing, v, w)
    own, other = (
        [
            (
                row_sums(view, change, planes.classes),
                row_sums(bent(view), change, planes.classes),
            )
            for view in views
        ]
        for views, change in zip((first, second), changes, strict=True)
    )
    span = common_span(own[0][0], other[0][0], shift[0])
    own = [(moved(sums, span), moved(bends, span)) for sums, bends in own]
    other = [(moved(sums, span, *shift), moved(bends, span, *shift)) for sums, bends in other]
    others, others_bends = (stacked(rows, "atoms", "variance") for rows in zip(*other, strict=True))
    terms = np.zeros((len(own), len(other)))
    for r, (mine, bend) in enumerate(own):
        sums = side_by_side(mine, others, planes)
        bends = side_by_side(bend, others_bends, planes)
        both = np.stack(np.broadcast_arrays(bends.first, bends.second), axis=-1)
        terms[r] = tolerant_log_likelihood(sums, COUNTED, both)
    return terms


def _room_terms(read: list[list[CountedLines]], placing: Candidate) -> list[Floats]:
    """Log likelihood of every reading of every view that its columns have that many sites."""
    first = [readings[0] for readings in read]
    room = room_of(first, placing, MOST_SITES) if len(read) > 1 else None
    terms = []
    first_line = np.cumsum([0, *(len(view.lines) for view in first)])
    for v, readings in enumerate(read):
        if room is None:
            terms.append(np.zeros(len(readings)))
            continue
        seen = room.line[v] >= 0
        size = np.bincount(room.line[v][seen], minlength=len(readings[0].atoms)).astype(float)
        if any(other[0].inside is not None for other in read):
            size[size == 0] = np.inf  # cut off by another view's field
            size[room.goes_on[first_line[v] : first_line[v + 1]]] = np.inf
        lack = [np.maximum(view.atoms - size, 0) ** 2 / (view.variance + 0.5) for view in readings]
        # a column that the other views missed would count for too much: at most two log units each;
        # and what right counts lack too must not speak for lower ones
        loss = np.array([0.5 * np.minimum(misfit, 4.0).sum() for misfit in lack])
        terms.append(-np.maximum(loss - LACK * len(size), 0.0))
    return terms
