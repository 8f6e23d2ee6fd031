"""Verdict on placed views: consistent, biased, or not of the same particle."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ..errors import InputError
from .agreement import COUNTED, PairAgreement, pair_agreement
from .alternatives import SCANS_AND_AXES, better_alternatives, sentence_of
from .counted_lines import CountedLines
from .placement import Candidate, pair_sums

REFUSED_EXCESS = 4.0  # factor on the variance; views of one particle stay below 2
POOR_EXCESS, POOR_REMAINDER = 2.5, 0.04  # worth a warning; below, real images do no better
REFUSED_REMAINDER = 0.06  # relative, for planes of many atoms
FEW_PLANES = 4
BIAS = 0.05  # relative; smaller ones are harmless
MIRROR_GAIN = 10.0  # log units by which another way to see a view must fit better to be named
WHAT_TO_CHECK = (
    "check that they show the same particle, that this is one crystal of one element without a twin, a"
    " stacking fault, or contamination on a part of it, and that the zone axes are right"
)
MIRROR_MISFIT = 0.15  # chi-square a column that its counts may leave: else another particle fits by chance


def agreement_of_pairs(
    views: list[CountedLines], candidate: Candidate
) -> dict[tuple[int, int], PairAgreement]:
    """Agreement of each two views placed as the candidate says."""
    return {
        (v, w): pair_agreement(pair_sums(views, candidate, v, w), COUNTED)
        for v, w in combinations(range(len(views)), 2)
    }


def judge(
    pairs: dict[tuple[int, int], PairAgreement], views: list[CountedLines], names: list[str]
) -> tuple[str, list[str]]:
    """Verdict, "consistent", "biased", "poor" or "single", and warnings; `pairs` are `agreement_of_pairs`.

    InputError if two views cannot be of the same particle; the sentence says if they fit when one is
    mirrored.
    """
    if not pairs:
        return "single", []
    verdict, warnings = "consistent", []
    for (v, w), pair in sorted(pairs.items(), key=lambda item: -item[1].excess):
        mean = (pair.first_total + pair.second_total) / 2 / max(pair.planes, 1)
        limit = REFUSED_REMAINDER + 0.2 / np.sqrt(max(mean, 1.0))
        sums = (
            f"{pair.planes} shared planes ({pair.normal[0]} {pair.normal[1]} {pair.normal[2]}) hold"
            f" {pair.first_total:.0f} atoms in {names[v]} and {pair.second_total:.0f} in {names[w]} and"
            f" differ by {100 * pair.relative_remainder:.0f} % each at best"
        )
        if pair.planes and pair.excess >= REFUSED_EXCESS and pair.relative_remainder > limit:
            mirrored = [a for a in better_alternatives(views, MIRROR_GAIN) if a.misfit < MIRROR_MISFIT]
            hint = (
                f"they agree {sentence_of(mirrored, names)}: {SCANS_AND_AXES}" if mirrored else WHAT_TO_CHECK
            )
            raise InputError(
                f"{names[v]} and {names[w]} cannot be views of the same particle: {sums}; {hint}."
            )
        if is_poor(pair):
            verdict = "poor"
            warnings.append(f"{names[v]} and {names[w]} agree less well than their errors explain: {sums}.")
    for (v, w), pair in pairs.items():
        if pair.planes < FEW_PLANES:
            warnings.append(
                f"{names[v]} and {names[w]} both show only {pair.planes} of their shared planes whole:"
                " their agreement says little."
            )
        if abs(pair.bias) > BIAS and abs(pair.bias) > 3 * pair.bias_std:
            verdict = "biased" if verdict == "consistent" else verdict
            more, less = (v, w) if pair.bias > 0 else (w, v)
            warnings.append(
                f"{names[more]} counts {100 * abs(pair.bias):.0f} % more atoms than {names[less]} in planes"
                " that both show: the counts of one of them are biased."
            )
    return verdict, warnings


def is_poor(pair: PairAgreement) -> bool:
    """Whether two views agree less well than their errors explain."""
    return pair.excess >= POOR_EXCESS and pair.relative_remainder > POOR_REMAINDER
