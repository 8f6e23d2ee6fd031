"""Where the views stand when each of them can be read in several ways.

A placing is found from the shape of the plane sums, for any scale of the counts, and judged by what all
combinations of readings together say for it; of these combinations one is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from ..arrays import Floats, Ints
from .agreement import COUNTED, UNSETTLED
from .counted_lines import CountedLines
from .placement import Candidate, Placing, place_views
from .reading_evidence import Scored, score_combinations
from .registration import THIN_MARGIN
from .support import rank_by_room

GEOMETRIES = 6  # placings of the views that are tried with every combination of readings
CLEAR = 0.5  # probability from which the best combination is taken as it is
ALIKE_TOTAL = 0.05  # totals that differ by so much count as one [relative]


@dataclass(frozen=True)
class Found:
    """The most probable placing, and the readings that go with it.

    Attributes
    ----------
    ranked : list of Candidate
        All placings that were tried with what all readings say for them, the most probable first.
    scored : Scored
        All combinations of readings in the first of them.
    pick : int
        Which of these is taken.
    chosen : list of CountedLines
        The views read so.
    candidates : list of Candidate
        Where views read so can be placed, the first of `ranked` before all others.
    """

    ranked: list[Candidate]
    scored: Scored
    pick: int
    chosen: list[CountedLines]
    candidates: list[Candidate]


def searched(
    read: list[list[CountedLines]],
    prior: list[Floats],
    first: list[CountedLines],
    placing: Placing | None,
) -> Found:
    """What `most_probable` finds among the placings that are worth a trial.

    Tried is the given placing, or those that the shape of the plane sums of the `first` readings allows; and
    where the readings found there would rather be placed elsewhere, that as well.
    """
    if placing is not None:
        trial = [Candidate(0.0, *placing)]
    else:
        level = of_equal_total(first)
        trial = rank_by_room(level, place_views(level, UNSETTLED))[:GEOMETRIES]
    scored = score_combinations(read, prior, trial)
    found = most_probable(read, scored)
    by_score = sorted(found.candidates, key=lambda c: -c.score)
    if placing is None and by_score[0].placing not in scored:
        scored |= score_combinations(read, prior, by_score[:GEOMETRIES])
        found = most_probable(read, scored)
    return found


def most_probable(read: list[list[CountedLines]], scored: dict[Placing, Scored]) -> Found:
    """The placing for which all readings together, and the room for the atoms of its own, say most.

    The readings that suit a placing best speak for it, so that another one seems far worse with them; all
    readings together are not deceived.
    """
    best, ranked = -np.inf, []
    taken: tuple[Scored, int, list[CountedLines], list[Candidate]] | None = None
    for placing, found in sorted(scored.items(), key=lambda item: -item[1].evidence):
        total = found.evidence
        if total > best - THIN_MARGIN:  # room only takes off: the others are no rivals
            pick = in_the_midst(read, found.combos, found.scores)
            chosen, candidates, room = placed(read, found.combos[pick], placing)
            total += room
            if taken is None or total > best:
                best, taken = total, (found, pick, chosen, candidates)
        ranked.append(Candidate(total, *placing))
    assert taken is not None
    return Found(sorted(ranked, key=lambda c: -c.score), *taken)


def placed(
    read: list[list[CountedLines]], combo: Ints, placing: Placing
) -> tuple[list[CountedLines], list[Candidate], float]:
    """The views with one combination of readings, and where they can be: `placing`, then the best ones.

    With the log units by which the room for the atoms speaks against that placing; minus infinity where it is
    none of the candidates.
    """
    chosen = [readings[r] for readings, r in zip(read, combo, strict=True)]
    by_planes = {c.placing: c for c in place_views(chosen, COUNTED, placing)}
    candidates = rank_by_room(chosen, list(by_planes.values()))
    room = {c.placing: c.score - by_planes[c.placing].score for c in candidates}
    if placing not in room:
        return chosen, candidates, -np.inf
    candidates.sort(key=lambda c: c.placing != placing)
    return chosen, candidates, room[placing] - max(room.values())


def in_the_midst(read: list[list[CountedLines]], combos: Ints, scores: Floats) -> int:
    """Which combination to take: the best, or where none stands out, one that others agree with.

    Where many are about as probable, differing in scale, the total number of atoms is a smooth quantity; the
    best combination of those near the peak of its distribution is taken.
    """
    weight = softmax(scores)
    if weight[0] > CLEAR:
        return 0
    some = np.flatnonzero(weight > 1e-6 * weight[0])
    sums = [np.array([max(float(view.atoms.sum()), 1.0) for view in readings]) for readings in read]
    total = np.mean([np.log(sums[v][combos[some, v]]) for v in range(len(read))], axis=0)
    trial = np.arange(total.min(), total.max() + ALIKE_TOTAL, ALIKE_TOTAL / 4)
    density = np.exp(-0.5 * ((total - trial[:, None]) / ALIKE_TOTAL) ** 2) @ weight[some]
    near = np.abs(total - trial[np.argmax(density)]) < ALIKE_TOTAL
    return int(some[near][0])


def of_equal_total(views: list[CountedLines]) -> list[CountedLines]:
    """Counts scaled so that every view holds the same number of atoms: scales are not settled yet."""
    totals = [max(float(view.atoms.sum()), 1.0) for view in views]
    common = float(np.exp(np.mean(np.log(totals))))
    return [
        replace(view, atoms=view.atoms * common / total, variance=view.variance * (common / total) ** 2)
        for view, total in zip(views, totals, strict=True)
    ]
