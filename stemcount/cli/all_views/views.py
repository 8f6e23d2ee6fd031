"""From counted images to views in one frame: readings and registration settled together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import tomo
from stemcount.arrays import Floats, Ints
from stemcount.results import AtomCounts, ColumnFit, FitFlag
from tomo.placing.registration import Field

from ..one_image.field_of_view import CUT, columns_cut, field_that_cuts, field_that_touches
from .view_readings import (
    corrected_counts,
    moments,
    options_of,
    settled_counts,
    trusted_reading,
    with_thick_readings,
)

if TYPE_CHECKING:
    from tomo.placing.placement import Placing


@dataclass(frozen=True)
class OtherCrystal:
    """A crystal that explains the images, too, and differs from the one that is shown.

    Attributes
    ----------
    sites : (n, 3) int
        Its atoms, in a frame of their own [a/2].
    probability : float
        That it is the right one, of all crystals that were found.
    """

    sites: Ints
    probability: float


@dataclass(frozen=True)
class JointReading:
    """Counts of every view, the frame they share, and where each image cuts the particle.

    Attributes
    ----------
    counts : tuple of AtomCounts
        One for each view, under the reading that was chosen.
    readings : tomo.JointReadings
        The choice of readings; holds the registration.
    fields : tuple of (left, right, top, bottom) or None
        Edges of an image [A] that cuts the particle; None where it does not.
    beyond : tuple of (left, right, top, bottom) or None
        Edges of an image [A] beyond which nobody knows whether there are atoms, as columns are near to one.
    warnings : tuple of str
    others : tuple of OtherCrystal
        To which counts settle, too, if they are read or placed otherwise.
    fits : tuple of ColumnFit
        The columns of each view.
    alone : tuple of AtomCounts
        The counts of each view by itself, with every reading of it.
    fixed : tuple of FixedView or None
        What the user knows of the orientation and place of each view; None where that is nothing.
    """

    counts: tuple[AtomCounts, ...]
    readings: tomo.JointReadings
    fields: tuple[Field | None, ...]
    beyond: tuple[Field | None, ...]
    warnings: tuple[str, ...]
    others: tuple[OtherCrystal, ...] = ()
    fits: tuple[ColumnFit, ...] = ()
    alone: tuple[AtomCounts, ...] = ()
    fixed: tuple[tomo.FixedView | None, ...] = ()

    @property
    def registration(self) -> tomo.Registration:
        """Where every column lies in the common frame."""
        return self.readings.registration

    @property
    def names(self) -> list[str]:
        """What the views are called."""
        return [indexing.name for indexing in self.registration.indexings]

    @property
    def expected(self) -> list[Floats]:
        """Expected number of atoms in each column of each view."""
        return [moments(counts)[0] for counts in self.counts]

    @property
    def probabilities(self) -> list[Floats]:
        """Of every number of atoms in each column of each view."""
        return [counts.probability for counts in self.counts]

    def summary(self) -> dict[str, Any]:
        """What the report says of the registration."""
        return {
            "verdict": self.registration.verdict,
            "margin_to_runner_up": self.registration.margin,
            "atoms_elsewhere_in_runner_up": self.registration.elsewhere,
            "margin_of_readings": self.readings.margin,
            "atoms_of_each_view": [
                [float(atoms[use].sum()), deviation]
                for atoms, use, (_, deviation) in zip(
                    self.expected, self.registration.used, self.readings.totals, strict=True
                )
            ],
            "other_crystals": [
                {"atoms": len(other.sites), "probability": other.probability} for other in self.others
            ],
            "field_of_view_cuts": [field is not None for field in self.fields],
            "shared_planes": [self._pair(pair) for pair in self.registration.pairs],
        }

    def _pair(self, pair: tuple[int, int]) -> dict[str, Any]:
        """How two views agree in the planes they share, by the counts of each alone and as chosen."""
        agreement = self.registration.pairs[pair]
        before = self.readings.before.get(pair)
        return {
            "views": [self.names[view] for view in pair],
            "normal": list(agreement.normal),
            "planes": agreement.planes,
            "relative_difference": agreement.relative_difference,
            "relative_difference_before": None if before is None else before.relative_difference,
            "relative_bias": agreement.bias,
            "relative_bias_std": agreement.bias_std,
        }


def read_together(
    fits: Sequence[ColumnFit],
    counts: Sequence[AtomCounts],
    indexings: Sequence[tomo.Indexing],
    extents: Sequence[Field],
    fixed: Sequence[tomo.FixedView | None] = (),
) -> JointReading:
    """Choose the reading of every view by the agreement of all, and bring the views into one frame.

    A particle that fills its image may be cut by it or not. Images are first taken to show the whole particle
    where it is thin at their edges, as at its own rim, and they run through no column; if the views do not
    agree like this, what lies beyond every edge near a column is unseen; then only where columns are cut; and
    then they are taken to show all of it, if no edge runs through columns. Whatever is taken, atoms beyond an
    edge near a column are left to the other views.

    `fixed` is what the user knows of the orientation and place of each view, if anything. InputError if the
    views cannot be of the same particle.
    """
    cut, perhaps = (
        tuple(field_that_cuts(*item, near) for item in zip(indexings, extents, strict=True))
        for near in (CUT, 1.0)
    )
    thick = tuple(field_that_touches(*item) for item in zip(fits, indexings, extents, strict=True))
    whole = (None,) * len(fits)
    read = partial(_read_together, tuple(fits), tuple(counts), indexings, tuple(fixed))
    for fields in dict.fromkeys((thick, perhaps, cut, whole)):
        if fields == whole != cut and any(map(columns_cut, fits, indexings, extents)):
            continue
        joint = _if_agreed(read, fields)
        if joint is not None and (fields == perhaps or _all_have_room(joint)):
            return replace(joint, beyond=perhaps)
    return read(perhaps)


def _if_agreed(
    read: Callable[[tuple[Field | None, ...]], JointReading], fields: tuple[Field | None, ...]
) -> JointReading | None:
    """What is read if the images cut the particle as `fields` says, unless the views contradict that."""
    try:
        joint = read(fields)
        agreed = joint.registration.verdict == "consistent" and not contradictions(joint)
    except tomo.InputError:
        return None
    return joint if agreed else None


def _all_have_room(joint: JointReading) -> bool:
    """Whether every column has sites enough for its atoms that lie on columns of the other views."""
    return not tomo.build_problem(views_of(joint, hard=False), strict=False).warnings


def contradictions(joint: JointReading) -> tuple[str, ...]:
    """What `tomo.check_registration` says of the counts in their frame.

    InputError if the views cannot be of the same particle.
    """
    return tomo.check_registration(
        joint.registration,
        joint.expected,
        count_probabilities=joint.probabilities,
        fields_of_view=joint.fields,
    )


def read_as(
    joint: JointReading,
    *,
    combination: tuple[int, ...] | None = None,
    placing: Placing | None = None,
) -> JointReading:
    """The same views under another combination of their readings, or placed otherwise.

    These are of `joint.readings.rivals` and `joint.readings.placings`. InputError if so read the views cannot
    be of the same particle.
    """
    indexings = joint.registration.indexings
    again = _read_together(
        joint.fits, joint.alone, indexings, joint.fixed, joint.fields, combination, placing
    )
    return replace(again, beyond=joint.beyond)


def _read_together(
    fits: tuple[ColumnFit, ...],
    counts: tuple[AtomCounts, ...],
    indexings: Sequence[tomo.Indexing],
    fixed: tuple[tomo.FixedView | None, ...],
    fields: tuple[Field | None, ...],
    combination: tuple[int, ...] | None = None,
    placing: Placing | None = None,
) -> JointReading:
    """The joint reading if the images cut the particle as `fields` says; perhaps so read or placed."""
    options = [options_of(*item) for item in zip(fits, counts, strict=True)]
    options = with_thick_readings(fits, counts, options, fields)
    if combination is not None:
        options = [[of_view[r]] for of_view, r in zip(options, combination, strict=True)]
    readings = [[trusted_reading(option) for option in of_view] for of_view in options]
    joint = tomo.choose_readings(
        indexings, readings, fields_of_view=fields, fixed=fixed or None, placing=placing
    )
    settled = tuple(
        settled_counts(*item) for item in zip(counts, options, joint.chosen, joint.posterior, strict=True)
    )
    settled = tuple(corrected_counts(*item) for item in zip(settled, fits, joint.corrections, strict=True))
    warnings = tuple(joint.registration.warnings)
    return JointReading(settled, joint, fields, fields, warnings, fits=fits, alone=counts, fixed=fixed)


def with_registration(joint: JointReading, registration: tomo.Registration) -> JointReading:
    """The same counts in another frame, whose warnings take the place of those of the frame before."""
    told = set(joint.registration.warnings)
    others = tuple(warning for warning in joint.warnings if warning not in told)
    readings = replace(joint.readings, registration=registration)
    return replace(joint, readings=readings, warnings=(*others, *registration.warnings))


def views_of(joint: JointReading, hard: bool) -> list[tomo.View]:
    """Views as the reconstruction takes them; columns cut by the image's edge say nothing of their count."""
    known, likelihoods = [], []
    for fit, counts in zip(joint.fits, joint.counts, strict=True):
        cut = (fit.flags & FitFlag.AT_EDGE) != 0
        known.append(np.where(cut, -1, counts.count))
        likelihoods.append(np.where(cut[:, None], 0.0, counts.log_likelihood))
    return tomo.make_views(
        joint.registration,
        counts=known if hard else None,
        log_likelihoods=None if hard else likelihoods,
        fields_of_view=joint.beyond,
    )
