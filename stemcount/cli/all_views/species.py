"""Several species in the columns of all views: counts, composition and crystal settled together.

In turn, until nothing changes: what columns scatter is learned from the atoms that they are thought to hold
(`stemcount.counting.composition`), the atoms of one species are reconstructed from what is left when the
others are taken off, and the next species' atoms may not stand where they do. How many atoms there are in
all is tried from few to many, because too many explain the intensities as well as the room allows, and too
few grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

import tomo
from stemcount.arrays import Floats, Ints
from stemcount.counting.composition import Composition, first_composition, fit_composition
from tomo.grid import SiteIndex
from tomo.neighbours import near_filled

from ..interrupt import stop_if_asked
from .species_views import Settled, TypedView, bond_worth, excluded, grids, species_views

FEW = 2  # views; they leave much more room than the crystal fills
#: Atoms of the common sublattice that are tried first, relative to the room that the views leave.
SHARES = (0.65, 0.8, 0.9, 1.0)
SHARES_OF_FEW = (0.5, 0.55, 0.6, 0.65, 0.8)  # a ball fills less of what two views leave than of three
TRIAL_ROUNDS = 3  # for each
TIED_ROUNDS = 2  # of them with atoms as bright as their elements, where a wrong start would run away
ROUNDS = 8  # for the best, at most
FEWEST_ROUNDS = 4  # as other random numbers may find a crystal that differs by many sites at once
MOST_BONDS = 4  # that every atom is supposed to have, at most
WORTH = 0.5  # log units that an atom of few bonds has to explain; whether it is there is a choice of two
MOST_SHIFTS = 4  # times that an atom more or less of a species in each column is tried
PURSUED = 2  # of these changes, the likeliest
UNDECIDED = 20.0  # log units; another number of atoms that is less behind is worth a warning
OTHER = 0.03  # relative difference that makes it another number
STEADY, MOVED = 0.003, 0.25  # share of columns whose counts may still change, by more than so many atoms
FILLED = 0.3  # atoms that a column must seem to hold to teach what atoms scatter
QUICK_RUNS = 2
DOUBT = 0.01  # variance of a count above zero that all runs agree on


class Reconstruct(Protocol):
    """Reconstructs one species from its views, and from sites that others have taken.

    What else is given is handed on to `tomo.reconstruct`.
    """

    def __call__(self, views: Sequence[tomo.View], taken: Ints, **given: Any) -> tomo.Reconstruction: ...


def first_counts(views: Sequence[TypedView], phases: Sequence[Floats]) -> list[Floats]:
    """Atoms of each species in each column, up to a common factor, from the local amounts of the phases.

    A pure column's own intensity counts its atoms; in a mixed one the brightest species takes what the
    phases leave for it. Views where a species stands alone say how many atoms of it there are in all.

    `phases` are the amounts (n, n_phases) of each view from `tomo.phase_amounts`.
    """
    crystal, bright = views[0].columns.crystal, views[0].bright
    member = np.array([[s in p for p in crystal.phases] for s in range(len(crystal.sublattices))], float)
    found = []
    for view, amounts in zip(views, phases, strict=True):
        counts = np.zeros((len(view.columns), len(bright)))
        for number, kind in enumerate(view.columns.types):
            rows, members = view.columns.column_type == number, list(kind.sublattices)
            counts[np.ix_(rows, members)] = (amounts @ member.T)[rows][:, members]
            lead = max(members, key=lambda s: bright[s])
            rest = [s for s in members if s != lead]
            left = view.cross_section[rows] - counts[rows][:, rest] @ bright[rest]
            counts[rows, lead] = np.maximum(left, 0.0) / bright[lead]
        found.append(counts)
    for s in range(len(bright)):
        alone = [v for v, view in enumerate(views) if any(t.sublattices == (s,) for t in view.columns.types)]
        total = np.mean([found[v][:, s].sum() for v in alone or range(len(views))])
        for counts in found:
            counts[:, s] *= total / max(counts[:, s].sum(), 1e-300)
    return found


def settle(
    views: Sequence[TypedView],
    start: Sequence[Floats],
    room: int,
    seed: int,
    workers: int | None,
) -> Settled:
    """Settle counts, compositions and crystal; the number of atoms with the greatest evidence is taken.

    The views are in one frame; `start` is from `first_counts`, and `room` counts the sites of the common
    sublattice that are on a column of every view.
    """
    shares = SHARES_OF_FEW if len(views) <= FEW else SHARES
    trials = [attempt(views, start, share * room, seed, workers) for share in shares]
    best = climbed(views, trials, seed, workers)
    best = firmly_bonded(views, best, seed, workers)
    kept = state = replace(best, bonds=1, by_bonds=True, free_core=True)
    for number in range(ROUNDS):
        before, after = state, improve(views, state, seed + number, workers)
        state = with_compositions(views, blended(before, after))
        kept = max(kept, state, key=_merit)  # rounds may lead away, too
        pairs = zip(before.counts, state.counts, strict=True)
        moved = max(float(np.mean(np.abs(a - b) > MOVED)) for a, b in pairs)
        if number + 1 >= FEWEST_ROUNDS and moved < STEADY:
            break
    judged = replace(kept, evidence=best.evidence)  # as its rivals are: before the surface was learned
    return replace(kept, warnings=undecided(views[0].columns.crystal, judged, trials))


def climbed(views: Sequence[TypedView], trials: list[Settled], seed: int, workers: int | None) -> Settled:
    """The best of the trials, or what explains more with an atom more or less of a species in each column.

    An atom too many of one species in all of its columns leaves nearly equal steps from column to column; the
    composition's constant and the other species take up the rest, and no small change of the crystal leads
    away. Tried are the species and steps that explain the intensities best before the crystal is asked;
    every one that was tried is appended to the trials. Two species on one grid are left as they are: an atom
    less of one is an atom more of the other.
    """
    best = max(trials, key=lambda trial: trial.evidence)
    alone = [group[0] for group in grids(views[0].columns.crystal) if len(group) == 1]
    for _ in range(MOST_SHIFTS):
        steps = [shifted(views, best, s, step) for s in alone for step in (-1, 1)]
        likely = sorted(steps, key=lambda trial: -trial.evidence)[:PURSUED]
        rivals = [renewed(views, trial, seed, workers) for trial in likely]
        trials += rivals
        rival = max(rivals, key=lambda trial: trial.evidence)
        if rival.evidence <= best.evidence:
            break
        best = rival
    return best


def firmly_bonded(views: Sequence[TypedView], best: Settled, seed: int, workers: int | None) -> Settled:
    """The state, or what explains more if all atoms have more bonds with those of other species.

    Whether a surface is of one species or of both is hard to see where the darker one adds little to a
    column: the weight of smooth surfaces fills all places that have a bond, and the compositions learn from
    the false atoms. Without the places of few bonds they do not.
    """
    rival = best
    for least in range(best.bonds + 1, MOST_BONDS + 1):
        rival = renewed(views, replace(rival, bonds=least), seed, workers)
        best = max(best, rival, key=_merit)
        if _merit(rival) < _merit(best) - UNDECIDED:
            break
    return best


def _merit(state: Settled) -> float:
    """How well a state explains the intensities, each of its atoms having to explain a little."""
    return state.evidence - WORTH * sum(len(result.occupied()) for result in state.results.values())


def shifted(views: Sequence[TypedView], state: Settled, s: int, step: int) -> Settled:
    """The state with so many atoms more of a species in each column that holds any."""
    counts = tuple(of_view.copy() for of_view in state.counts)
    for of_view in counts:
        held = of_view[:, s] > FILLED
        of_view[held, s] = np.maximum(of_view[held, s] + step, 0.0)
    return with_compositions(views, replace(state, counts=counts))


def renewed(views: Sequence[TypedView], trial: Settled, seed: int, workers: int | None) -> Settled:
    """What a few rounds make of a trial.

    Few views leave so much room that atoms which seem dark in the first round become ever more and ever
    darker in the next: there all are held as bright as their elements at first. So are two species on one
    grid, of which a few very bright atoms look like many: else the brighter ones come out few, rough and ever
    brighter.
    """
    crystal = views[0].columns.crystal
    least = 1 if len(views) <= FEW else 2
    held = {s for group in grids(crystal) for s in group if len(group) >= least}
    for number in range(TRIAL_ROUNDS):
        if number < TIED_ROUNDS:
            trial = replace(trial, compositions=_tied(views, trial, held))
        trial = improve(views, trial, seed, workers)
    return trial


def undecided(crystal: tomo.Crystal, best: Settled, trials: Sequence[Settled]) -> tuple[str, ...]:
    """A sentence if quite other numbers of atoms explain the intensities nearly as well."""

    def numbers(trial: Settled) -> list[int]:
        return [len(trial.results[s].occupied()) for s in range(len(crystal.sublattices))]

    def other(trial: Settled) -> bool:
        return any(abs(n - m) > OTHER * max(m, 1) for n, m in zip(numbers(trial), numbers(best), strict=True))

    def named(trial: Settled) -> str:
        species = (sublattice.species for sublattice in crystal.sublattices)
        return ", ".join(f"{n} {name}" for n, name in zip(numbers(trial), species, strict=True))

    rival = max(filter(other, trials), key=lambda t: t.evidence, default=None)
    if rival is None or best.evidence - rival.evidence > UNDECIDED:
        return ()
    return (
        f"the number of atoms is undecided: {named(rival)} are only"
        f" {max(best.evidence - rival.evidence, 0.0):.0f} log units less likely than {named(best)};"
        " a view in which the species stand in columns of their own would decide.",
    )


def blended(before: Settled, after: Settled) -> Settled:
    """Halfway between two rounds, so that two crystals that explain each other's rest do not take turns."""
    counts = tuple((a + b) / 2 for a, b in zip(before.counts, after.counts, strict=True))
    doubt = tuple(
        (a + b) / 2 + ((c - d) / 2) ** 2
        for a, b, c, d in zip(before.doubt, after.doubt, before.counts, after.counts, strict=True)
    )
    return replace(after, counts=counts, doubt=doubt)


def attempt(
    views: Sequence[TypedView],
    start: Sequence[Floats],
    atoms: float,
    seed: int,
    workers: int | None,
) -> Settled:
    """What a few rounds make of a start with so many atoms of the common sublattice."""
    common = tomo.common_sublattice(views[0].columns.crystal)
    factor = atoms / float(np.mean([counts[:, common].sum() for counts in start]))
    counts = tuple(np.rint(c * factor) for c in start)
    doubt = tuple(0.1 * c + 0.2 * (c > 0) for c in counts)
    first = Settled(counts, doubt, _compositions(views, counts), {}, -np.inf)
    return renewed(views, first, seed, workers)


def improve(views: Sequence[TypedView], state: Settled, seed: int, workers: int | None) -> Settled:
    """One round: every species reconstructed anew, brightest first, and the compositions learned again."""

    def quick(views: Sequence[tomo.View], taken: Ints, **given: Any) -> tomo.Reconstruction:
        stop_if_asked()
        return tomo.reconstruct(
            views,
            runs=QUICK_RUNS,
            seed=seed,
            workers=workers,
            strict=False,
            excluded_sites=taken,
            **given,
        )

    return with_compositions(views, every_species(views, state, quick))


def every_species(views: Sequence[TypedView], state: Settled, reconstruct: Reconstruct) -> Settled:
    """Every species reconstructed in turn, the brightest grid first, each given those before it.

    Of two species on one grid, the atoms of both are found first, then which of them are the core's. What the
    views say of the latter is taken as it is: crystals drawn at first are so far off that they would take the
    best view's word for the least.
    """
    crystal, bright = views[0].columns.crystal, views[0].bright
    results: dict[int, tomo.Reconstruction] = {}
    for group in sorted(grids(crystal), key=lambda g: -max(bright[s] for s in g)):
        s = group[0]
        soft = species_views(views, state, group)
        shell_alone = not any(k in crystal.phases[0] for k in group)  # may lie around the core in pieces
        taken = excluded(crystal, s, soft, results, state.bonds)
        worth = None
        if state.by_bonds:
            before = np.concatenate([state.results[k].occupied() for k in group])
            worth = bond_worth(crystal, s, soft, taken, results, before)
        both = reconstruct(soft, taken, connected=not shell_alone, site_worth=worth)
        if len(group) > 1:
            state = with_counts(views, state, group, soft, both)
            soft = species_views(views, state, (s,))
            room = tomo.build_problem(soft, strict=False).sites.astype(np.int64)
            outside = room[~near_filled(room, np.zeros((1, 3), dtype=np.int64), both.occupied())]
            results[s] = reconstruct(soft, outside, connected=True, tempered=False)
            state = with_counts(views, state, (s,), soft, results[s])
            results[group[1]] = remainder(both, results[s])
            state = with_counts(views, state, (group[1],), soft, results[group[1]])
        else:
            results[s] = both
            state = with_counts(views, state, group, soft, both)
    return replace(state, results=results)


def remainder(both: tomo.Reconstruction, one: tomo.Reconstruction) -> tomo.Reconstruction:
    """The atoms of a grid that are not those of one species.

    An atom of theirs is wrong where the grid is, or where it was given to the wrong species.
    """
    row = SiteIndex(one.sites)(both.sites)  # -1, where there is none of theirs, takes what is appended
    certainty = both.certainty - np.append(one.certainty, 0.0)[row]
    runs = both.runs & ~np.pad(one.runs, ((0, 0), (0, 1)))[:, row]
    expected = both.diagnostics["expected_wrong"] + one.diagnostics["expected_wrong"]
    diagnostics = both.diagnostics | {"expected_wrong": expected}
    return replace(both, certainty=np.clip(certainty, 0.0, 1.0), runs=runs, diagnostics=diagnostics)


def with_counts(
    views: Sequence[TypedView],
    state: Settled,
    group: tuple[int, ...],
    soft: Sequence[tomo.View],
    result: tomo.Reconstruction,
) -> Settled:
    """The state with a species' counts taken from its reconstruction; of two species, the shell's."""
    counts, doubt = [c.copy() for c in state.counts], [d.copy() for d in state.doubt]
    s = group[-1]
    for v, (view, shown) in enumerate(zip(views, soft, strict=True)):
        rows = view.columns.holding(s)
        each = np.array([tomo.reproject(result.sites[run], shown) for run in result.runs])
        mean = tomo.reproject(result.sites, shown, result.certainty)
        if len(group) > 1:
            core = np.minimum(counts[v][rows, group[0]], mean)
            counts[v][rows, group[0]], mean = core, mean - core
        counts[v][rows, s] = mean
        doubt[v][rows, s] = each.var(axis=0) + DOUBT * (mean > 0)
    return replace(state, counts=tuple(counts), doubt=tuple(doubt))


def with_compositions(views: Sequence[TypedView], state: Settled) -> Settled:
    """The state with compositions learned from its counts, and their evidence."""
    compositions = _compositions(views, state.counts)
    evidence = 0.0
    for view, counts, of_view in zip(views, state.counts, compositions, strict=True):
        for number, kind in enumerate(view.columns.types):
            rows = view.columns.column_type == number
            evidence += of_view[number].evidence(
                view.cross_section[rows], view.std[rows], counts[rows][:, list(kind.sublattices)]
            )
    return replace(state, compositions=compositions, evidence=evidence)


def _compositions(
    views: Sequence[TypedView], counts: Sequence[Floats]
) -> tuple[tuple[Composition, ...], ...]:
    """What every column type of every view scatters."""
    found = []
    for view, numbers in zip(views, counts, strict=True):
        filled = numbers.sum(axis=1) > FILLED
        unit = _unit(view, numbers)
        of_view = []
        for number, kind in enumerate(view.columns.types):
            members = list(kind.sublattices)
            rows = filled & (view.columns.column_type == number)
            known = view.cross_section[rows], view.std[rows], numbers[rows][:, members]
            of_view.append(fit_composition(*known, view.bright[members], unit))
        found.append(tuple(of_view))
    return tuple(found)


def _tied(views: Sequence[TypedView], state: Settled, held: set[int]) -> tuple[tuple[Composition, ...], ...]:
    """The compositions, in columns of the held species those of atoms as bright as their elements."""
    return tuple(
        tuple(
            first_composition(_unit(view, numbers), view.bright[list(kind.sublattices)])
            if held.intersection(kind.sublattices)
            else learned
            for kind, learned in zip(view.columns.types, of_view, strict=True)
        )
        for view, numbers, of_view in zip(views, state.counts, state.compositions, strict=True)
    )


def _unit(view: TypedView, numbers: Floats) -> float:
    """Cross-section of an atom of brightness 1."""
    filled = numbers.sum(axis=1) > FILLED
    return float(view.cross_section[filled].sum() / max((numbers[filled] @ view.bright).sum(), 1e-300))
