"""Views looked at once more when their counts are settled: is their placing still the best, do they agree?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

import tomo
from stemcount.results import ColumnFit

from .views import JointReading, recount_until_consistent

ATTEMPTS = 2  # at placing the views anew


def confirm_placing(
    joint: JointReading,
    fits: Sequence[ColumnFit],
    crystal: tomo.Crystal,
    fixed: Sequence[tomo.FixedView | None],
    seed: int,
    workers: int | None,
) -> JointReading:
    """Place the views by their settled counts; where that moves one, count again in the new place.

    They were first placed by counts that were not settled: a scale that was wrong then may have put one a
    plane off.

    Raises
    ------
    InputError
        If the views contradict each other; see `tomo.check_registration`.
    """
    if len(joint.counts) < 2:
        return joint
    for _ in range(ATTEMPTS):
        again = tomo.register_views(
            joint.registration.indexings,
            _expected(joint),
            crystal,
            count_probabilities=[c.probability for c in joint.counts],
            fields_of_view=joint.fields,
            fixed=fixed,
        )
        moved = _placing(again) != _placing(joint.registration)
        told = set(joint.registration.warnings)
        warnings = tuple(w for w in joint.warnings if w not in told)
        readings = replace(joint.readings, registration=again)
        joint = replace(joint, readings=readings, warnings=(*warnings, *again.warnings))
        if not moved:
            break
        joint = recount_until_consistent(joint, fits, crystal, seed, workers)
    found = tomo.check_registration(
        joint.registration,
        _expected(joint),
        count_probabilities=[c.probability for c in joint.counts],
        fields_of_view=joint.fields,
    )
    return replace(joint, warnings=(*found, *joint.warnings))


def _expected(joint: JointReading) -> list[np.ndarray]:
    return [c.probability @ np.arange(c.probability.shape[1]) for c in joint.counts]


def _placing(registration: tomo.Registration) -> tuple[object, ...]:
    best = registration.candidates[0]
    return best.rotations, best.shifts
