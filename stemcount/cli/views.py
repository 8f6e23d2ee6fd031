"""From counted images to views in one frame: readings and registration settled together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tomo
from stemcount.results import AtomCounts, ColumnFit, FitFlag

Field = tuple[float, float, float, float]


@dataclass(frozen=True)
class JointReading:
    """Counts of every view, the frame they share, and where each image cuts the particle.

    Attributes
    ----------
    counts : tuple of AtomCounts
        One for each view, under the reading that was chosen.
    registration : tomo.Registration
    fields : tuple of (left, right, top, bottom) or None
        Edges of an image [A] that cuts the particle; None where it does not.
    warnings : tuple of str
    """

    counts: tuple[AtomCounts, ...]
    registration: tomo.Registration
    fields: tuple[Field | None, ...]
    warnings: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """What the report says of the registration."""
        return {
            "verdict": self.registration.verdict,
            "margin_to_runner_up": self.registration.margin,
            "field_of_view_cuts": [field is not None for field in self.fields],
        }


def field_that_cuts(indexing: tomo.Indexing, extent: Field) -> Field | None:
    """The edges of an image if a column lies so near to one that the particle may go on beyond it."""
    left, right, top, bottom = extent
    x, y = indexing.x[indexing.keep], indexing.y[indexing.keep]
    near = min(x.min() - left, right - x.max(), y.min() - top, bottom - y.max())
    return extent if near < np.sqrt(indexing.zone.cell_area(indexing.crystal.a)) else None


def read_together(
    fits: Sequence[ColumnFit],
    counts: Sequence[AtomCounts],
    indexings: Sequence[tomo.Indexing],
    extents: Sequence[Field],
    crystal: tomo.Crystal,
) -> JointReading:
    """Bring the views into one frame.

    Raises
    ------
    InputError
        If the views cannot be of the same particle.
    """
    fields = tuple(field_that_cuts(*item) for item in zip(indexings, extents, strict=True))
    numbers = [np.arange(c.probability.shape[1]) for c in counts]
    registration = tomo.register_views(
        indexings,
        [c.probability @ k for c, k in zip(counts, numbers, strict=True)],
        crystal,
        count_probabilities=[c.probability for c in counts],
        fields_of_view=fields,
    )
    undecided = [
        f"{indexing.name}: the order of the mixture is undecidable: {c.reason}"
        for indexing, c in zip(indexings, counts, strict=True)
        if c.verdict == "undecidable"
    ]
    return JointReading(tuple(counts), registration, fields, (*undecided, *registration.warnings))


def views_of(joint: JointReading, fits: Sequence[ColumnFit], hard: bool) -> list[tomo.View]:
    """Views as the reconstruction takes them; columns cut by the image's edge say nothing of their count."""
    cut = [(fit.flags & FitFlag.AT_EDGE) != 0 for fit in fits]
    if hard:
        numbers = [np.where(c, -1, counts.count) for c, counts in zip(cut, joint.counts, strict=True)]
        return tomo.make_views(joint.registration, counts=numbers, fields_of_view=joint.fields)
    likelihoods = [
        np.where(c[:, None], 0.0, counts.log_likelihood) for c, counts in zip(cut, joint.counts, strict=True)
    ]
    return tomo.make_views(joint.registration, log_likelihoods=likelihoods, fields_of_view=joint.fields)
