"""Whether views that contradict each other would agree if one of them were seen otherwise.

An image may be mirrored (the scan ran backwards, or the beam along -[uvw]), as may be all of them, or taken
along another axis of the same family, whose lattice looks the same. Both are rotations of the cubic point
group on the sites of one view: those that take its axis to the opposite one, and to another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..compare import cubic_operations
from ..zone import zone_geometry
from .agreement import COUNTED
from .counted_lines import CountedLines
from .placement import place_views
from .support import misfit_of

MOST_LINES = 3000  # of all views together; beyond, the search would take minutes
TRIED = 6  # placings of each alternative whose room is looked at
SCANS_AND_AXES = "check the scan directions (flip) and the zone axes with their signs"
ALIKE = 5.0  # log units within which alternatives are equally good


@dataclass(frozen=True)
class Alternative:
    """Another way to see one view.

    Attributes
    ----------
    view : int or None
        Which view; None if all.
    zone_axis : tuple of 3 int
        The zone axis it would have; of all views, that of the first.
    mirrored : bool
        Whether its image would be mirrored.
    gain : float
        How much better all views agree then [log units]: plane sums, centre of mass and room.
    misfit : float
        Chi-square a column of the counts against the room that the views leave; see `tomo.placing.support`.
    """

    view: int | None
    zone_axis: tuple[int, int, int]
    mirrored: bool
    gain: float
    misfit: float


def sentence_of(found: list[Alternative], names: list[str]) -> str:
    """What alternatives that fit equally well say. Which image is mirrored can seldom be told: mirroring one
    is often the same as mirroring the others."""
    ways = []
    mirrored = [a.view for a in found if a.mirrored]
    if None in mirrored:
        ways.append("if all images are mirrored")
    one = [names[view] for view in mirrored if view is not None]
    if one:
        ways.append(f"if one image is mirrored ({one[0]}, for instance)")
    for a in found:
        if not a.mirrored and a.view is not None:
            u, v, w = a.zone_axis
            ways.append(f"if {names[a.view]} is along [{u} {v} {w}]")
    return ", or ".join(ways[:3])


def better_alternatives(views: list[CountedLines], enough: float) -> list[Alternative]:
    """Other ways to see one of the views in which all agree better by `enough` log units.

    The best one and those within 5 log units of it, mirrored ones first; none if the crystal is too large for
    the search. The views may be in any frame.
    """
    if sum(len(view.lines) for view in views) > MOST_LINES:
        return []
    reference = _best_fit(views)[0]
    found = []
    every = [view for view in map(_mirrored, views) if view is not None]
    if len(every) == len(views):
        score, misfit = _best_fit(every)
        found.append(Alternative(None, views[0].zone_axis, True, score - reference, misfit))
    for number, view in enumerate(views):
        for changed, mirrored in _other_ways(view):
            others = [v.zone_axis for n, v in enumerate(views) if n != number]
            if any(not np.cross(changed.zone_axis, axis).any() for axis in others):
                continue
            score, misfit = _best_fit([*views[:number], changed, *views[number + 1 :]])
            found.append(Alternative(number, changed.zone_axis, mirrored, score - reference, misfit))
    found = [a for a in found if a.gain > enough]
    highest = max((a.gain for a in found), default=0.0)
    return sorted((a for a in found if a.gain > highest - ALIKE), key=lambda a: (not a.mirrored, -a.gain))


def _best_fit(views: list[CountedLines]) -> tuple[float, float]:
    """Score of the best placing, its room included, and its misfit a column."""
    columns = sum(len(view.lines) for view in views)
    tried = place_views(views, COUNTED)[:TRIED]
    misfits = [misfit_of(views, candidate) or 0.0 for candidate in tried]
    return max((c.score - 0.5 * columns * m, m) for c, m in zip(tried, misfits, strict=True))


def _other_ways(view: CountedLines) -> Iterator[tuple[CountedLines, bool]]:
    """The view mirrored, and along every other axis of its family (opposite directions are one)."""
    own = view.zone_axis
    opposite = (-own[0], -own[1], -own[2])
    seen = {own}
    for turn in rotations():
        u, v, w = (int(c) for c in turn @ own)
        upward = next(c for c in (u, v, w) if c) > 0
        if (u, v, w) not in seen and (upward or (u, v, w) == opposite):
            seen.add((u, v, w))
            yield turned(view, turn), (u, v, w) == opposite


def _mirrored(view: CountedLines) -> CountedLines | None:
    """The mirrored view, where its lattice has a mirror."""
    return next((way for way, mirrored in _other_ways(view) if mirrored), None)


def rotations() -> np.ndarray:
    """The 24 proper ones of the cubic operations."""
    operations = cubic_operations()
    return np.asarray(operations[np.linalg.det(operations) > 0])


def turned(view: CountedLines, turn: np.ndarray) -> CountedLines:
    """The view with its sites turned by a rotation of the point group."""
    own, other = view.zone, zone_geometry(turn @ view.zone_axis)
    inside = None if view.inside is None else other.lines(own.sites(view.inside) @ turn.T)
    return replace(
        view,
        zone_axis=other.zone_axis,
        lines=other.lines(own.sites(view.lines) @ turn.T),
        inside=inside,
        rotations=tuple(range(len(other.plane_rotations()))),
        fixed_shift=None,
    )
