"""Registration: bringing the indexed views of one particle into one crystal frame.

Every view names its lines up to a whole shift and a proper rotation that maps its projected grid to
itself. All rotations and shifts are scored by the atoms in planes that views share (`tomo.placing.agreement`)
and by the centre of mass; a beam of the best candidates is carried from view to view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Bools, Ints
from ..errors import InputError, as_numbers, check_kind, check_kinds, check_list
from .agreement import COUNTED, PairAgreement
from .counted_lines import LEAST_VARIANCE, CountedLines, moments
from .displaced import displaced_share
from .indexing import Indexing, names_of
from .placement import Candidate, centred, place_views
from .support import rank_by_room
from .verdict import agreement_of_pairs, judge

COUNT_VARIANCE = 0.3  # of a column's count where no probabilities are given
THIN_MARGIN = 5.0  # log units; below, the runner-up is worth a warning
INSIDE = 0.4  # column spacings, the roots of the area of a column's cell
SAME_ATOMS = 0.005  # share of the atoms; placings that differ in fewer are one
ANGLE_TOLERANCE = 20.0  # of an orientation that the user fixed [deg]

Field = tuple[float, float, float, float]


@dataclass(frozen=True)
class FixedView:
    """What the user knows of a view's place in the common frame.

    Attributes
    ----------
    direction : tuple of 3 int, optional
        A crystal direction [uvw] whose direction in the image is known.
    angle : float
        Angle of its projection in the image, from x (right) towards y (down) [deg]; good to 20 deg.
    site : tuple of 3 int, optional
        A grid site whose place in the image is known. Sites fix shifts only if the first view and
        another one have one: all views may be moved together.
    position : tuple of 2 float, optional
        That place (x, y) in the image [A]; the nearest column's line is taken.
    """

    direction: tuple[int, int, int] | None = None
    angle: float = 0.0
    site: tuple[int, int, int] | None = None
    position: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Registration:
    """Views of one particle in one frame.

    Attributes
    ----------
    indexings : tuple of Indexing
        The views as they were given, each in its own frame.
    column_sites : tuple of (n, 3) int
        For each view, one grid site (h, k, l) on each column's line, in the common frame.
    used : tuple of (n,) bool
        For each view, the columns that are on a line of the counted sublattice.
    candidates : tuple of Candidate
        The chosen one first; equivalent ones (the inverted crystal, a common shift) left out.
    margin : float
        What speaks for the chosen placing beyond the next one that puts atoms elsewhere [log units]: the
        scores of the candidates, or from `choose_readings` all readings together.
    elsewhere : float
        Share of the atoms that this next one puts elsewhere, at least.
    pairs : dict of (int, int) to PairAgreement
        How well each two views agree.
    verdict : str
        "consistent", "biased" (one view counts slowly varying but clearly more than another), "poor"
        (the views disagree more than their errors explain), "contradictory" (`stemcount run` found that the
        crystal which fits all views best does not hold the counts of one) or "single".
    remarks : tuple of str
        What else deserves attention, one sentence each.
    """

    indexings: tuple[Indexing, ...]
    column_sites: tuple[Ints, ...]
    used: tuple[Bools, ...]
    candidates: tuple[Candidate, ...]
    margin: float
    elsewhere: float
    pairs: dict[tuple[int, int], PairAgreement]
    verdict: str
    remarks: tuple[str, ...]

    def __repr__(self) -> str:
        views = ", ".join(names_of(self.indexings))
        return f"<Registration: {views}, {self.verdict}, margin {self.margin:.1f}>"

    @property
    def warnings(self) -> tuple[str, ...]:
        """The remarks, and that another placing is nearly tied where one is."""
        remedy = "a further view or a fixed orientation"
        return *self.remarks, *told_if_tied(self.margin, self.elsewhere, remedy)


def register_views(
    indexings: Sequence[Indexing],
    expected_counts: Sequence[ArrayLike],
    *,
    count_probabilities: Sequence[ArrayLike | None] | None = None,
    fields_of_view: Sequence[Field | None] | None = None,
    fixed: Sequence[FixedView | None] | None = None,
) -> Registration:
    """Bring indexed views of one particle into one frame.

    Parameters
    ----------
    indexings : sequence of Indexing
        One for each view.
    expected_counts : sequence of (n,) float
        Expected number of atoms of the counted sublattice in each column of each view.
    count_probabilities : sequence of (n, kmax + 1) float, optional
        P(k atoms) of each column; gives the errors of the plane sums.
    fields_of_view : sequence of (left, right, top, bottom), optional
        Edges of each image [A] where it may cut the particle; None where it does not.
    fixed : sequence of FixedView, optional
        What the user knows of each view's orientation and place.

    Returns
    -------
    Registration
        Two views leave their common crystal and its inverse undecided; one of them is taken.

    Raises
    ------
    InputError
        If the views cannot be of the same particle; the sentence says which planes disagree by how
        much.

    Examples
    --------
    >>> import numpy as np
    >>> import tomo
    >>> crystal = tomo.fcc("Au", a=4.08)
    >>> sites = tomo.phantoms.random_particle(400, "rough", seed=2)
    >>> shown = [tomo.phantoms.indexed_columns(sites, axis, crystal) for axis in [(0, 0, 1), (1, 1, 0)]]
    >>> indexings, counts = zip(*shown, strict=True)
    >>> tomo.register_views(indexings, counts).verdict
    'consistent'
    """
    check_kinds("indexings", indexings, Indexing)
    if not indexings:
        raise InputError("register_views: no views were given; expected at least one.")
    views = counted_lines(indexings, expected_counts, count_probabilities, fields_of_view, fixed)
    candidates = rank_by_room(views, place_views(views, COUNTED))
    return registration_of(indexings, views, candidates, candidates)


def registration_of(
    indexings: Sequence[Indexing],
    views: list[CountedLines],
    candidates: list[Candidate],
    ranked: list[Candidate],
) -> Registration:
    """Judge the first candidate and put the result together; the margin is that of the placings as `ranked`.

    InputError if the views cannot be of the same particle.
    """
    pairs = agreement_of_pairs(views, candidates[0])
    verdict, remarks = judge(pairs, views, names_of(indexings))
    margin, elsewhere = lead(views, ranked)
    candidates = [centred(c, views) for c in candidates]
    best = candidates[0]
    sites = tuple(x.zone.sites(best.placed(v, x.zone, x.lines)) for v, x in enumerate(indexings))
    return Registration(
        indexings=tuple(indexings),
        column_sites=sites,
        used=tuple(x.counted for x in indexings),
        candidates=tuple(candidates),
        margin=margin,
        elsewhere=elsewhere,
        pairs=pairs,
        verdict=verdict,
        remarks=tuple(remarks),
    )


def lead(views: list[CountedLines], ranked: list[Candidate]) -> tuple[float, float]:
    """By how much the first placing leads the next that puts atoms elsewhere [log units], and the share of
    the atoms that this one puts there; infinity and 0 where there is none."""
    for rival, elsewhere in other_placings(views, ranked):
        return float(ranked[0].score - rival.score), elsewhere
    return float("inf"), 0.0


def told_if_tied(margin: float, elsewhere: float, remedy: str) -> tuple[str, ...]:
    """That another placing is nearly as likely, where it is."""
    if margin >= THIN_MARGIN:
        return ()
    return (
        f"another placing of the views is nearly as likely as this one ({max(margin, 0.0):.1f} log units"
        f" less) and puts {100 * elsewhere:.0f} % of the atoms elsewhere; {remedy} would decide.",
    )


def other_placings(views: list[CountedLines], ranked: list[Candidate]) -> Iterator[tuple[Candidate, float]]:
    """Candidates that do not hold the same atoms as the first, and the share of the atoms they put elsewhere.

    A symmetric particle has several placings; which of those is taken does not matter.
    """
    for candidate in ranked[1:]:
        share = displaced_share(views, ranked[0], candidate)
        if share >= SAME_ATOMS:
            yield candidate, share


def counted_lines(
    indexings: Sequence[Indexing],
    expected_counts: Sequence[ArrayLike],
    count_probabilities: Sequence[ArrayLike | None] | None = None,
    fields_of_view: Sequence[Field | None] | None = None,
    fixed: Sequence[FixedView | None] | None = None,
) -> list[CountedLines]:
    """Check what `register_views` was given and keep what placing needs."""
    check_list("expected_counts", expected_counts)  # the others may be None
    for what, values in (
        ("expected_counts", expected_counts),
        ("count_probabilities", count_probabilities),
        ("fields_of_view", fields_of_view),
        ("fixed", fixed),
    ):
        if values is None:
            continue
        check_list(what, values)
        if len(values) != len(indexings):
            raise InputError(f"register_views: {len(indexings)} views but {len(values)} entries in {what}.")
    views = []
    for number, (indexing, name) in enumerate(zip(indexings, names_of(indexings), strict=True)):
        atoms = as_numbers(f"{name}: counts", expected_counts[number])
        if atoms.shape != (len(indexing),):
            raise InputError(f"{name}: {len(indexing)} columns but counts of shape {atoms.shape}.")
        variance = np.full(len(atoms), COUNT_VARIANCE)
        table = None if count_probabilities is None else count_probabilities[number]
        if table is not None:
            p = as_numbers(f"{name}: count_probabilities", table)
            if p.ndim != 2 or len(p) != len(indexing):
                raise InputError(
                    f"{name}: {len(indexing)} columns but count_probabilities of shape {p.shape}."
                )
            variance = moments(p)[1] + LEAST_VARIANCE
        use = indexing.counted & np.isfinite(atoms)
        if not use.any() or atoms[use].sum() <= 0:
            raise InputError(f"{name}: no atoms were counted on lines of the counted sublattice.")
        field = None if fields_of_view is None else fields_of_view[number]
        inside = None if field is None else lines_inside(indexing, field)
        rotations, shift = _fixed_part(indexing, None if fixed is None else fixed[number], name)
        views.append(
            CountedLines(
                indexing.zone_axis, indexing.lines[use], atoms[use], variance[use], inside, rotations, shift
            )
        )
    return views


def _fixed_part(
    indexing: Indexing, fixed: FixedView | None, name: str
) -> tuple[tuple[int, ...], dict[int, tuple[int, int]] | None]:
    """Rotations that agree with what the user fixed, and the shift in each if a site was fixed."""
    geometry = indexing.zone
    turns = geometry.plane_rotations()
    allowed = tuple(range(len(turns)))
    if fixed is None:
        return allowed, None
    check_kind(f"{name}: fixed", fixed, FixedView)
    if fixed.direction is not None:
        flat = geometry.fractional(fixed.direction)
        if not np.abs(flat).max() > 1e-9:
            raise InputError(
                f"{name}: direction {list(fixed.direction)} is along the beam; take another one."
            )
        own = np.linalg.inv(turns.astype(float)) @ flat
        x, y = (indexing.matrix @ geometry.plane_basis @ own.T).round(12)
        gap = (np.degrees(np.arctan2(y, x)) - fixed.angle + 180) % 360 - 180
        allowed = tuple(int(r) for r in np.flatnonzero(np.abs(gap) < ANGLE_TOLERANCE))
        if not allowed:
            raise InputError(
                f"{name}: no orientation of the lattice puts {list(fixed.direction)} at"
                f" {fixed.angle:g} deg; the nearest is off by {np.abs(gap).min():.0f} deg."
            )
    if fixed.site is None or fixed.position is None:
        return allowed, None
    guess = indexing.matrix @ geometry.plane_basis * indexing.crystal.a / 2
    line = np.linalg.solve(guess, np.asarray(fixed.position, dtype=float) - indexing.offset)
    for _ in range(5):  # Newton steps through the distortion
        miss = np.asarray(fixed.position) - indexing.line_positions(line[None])[0]
        line = line + np.linalg.solve(guess, miss)
    target = geometry.lines(fixed.site)[0]
    shifts = {r: target - turns[r] @ np.rint(line).astype(np.int64) for r in allowed}
    return allowed, {r: (int(s[0]), int(s[1])) for r, s in shifts.items()}


def lines_inside(indexing: Indexing, field: Field) -> Ints:
    """Lines (m, 2) whose columns the image shows in full: `INSIDE` its edges or farther."""
    edges = as_numbers("fields_of_view", field)
    if edges.shape != (4,) or not np.isfinite(edges).all():
        raise InputError(f"fields_of_view: expected (left, right, top, bottom) in A, got {field!r}.")
    left, right, top, bottom = edges.tolist()
    corners = np.array([(x, y) for x in (left, right) for y in (top, bottom)])
    basis = indexing.matrix @ indexing.zone.plane_basis * indexing.crystal.a / 2
    rim = np.linalg.solve(basis, (corners - indexing.offset).T).T
    low, high = np.floor(rim.min(axis=0)).astype(int) - 2, np.ceil(rim.max(axis=0)).astype(int) + 3
    grid = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
    lines = np.stack(grid, axis=-1).reshape(-1, 2)
    x, y = indexing.line_positions(lines).T
    margin = INSIDE * indexing.scale * np.sqrt(indexing.zone.cell_area(indexing.crystal.a))
    inside = (x > left + margin) & (x < right - margin) & (y > top + margin) & (y < bottom - margin)
    return np.asarray(lines[inside])
