"""`stemcount run` for crystals of several sublattices: all species of all columns, and all atoms.

    images -> columns of known type -> common frame -> counts, compositions and crystal together -> atoms

Called by `run_project` when the crystal has more than one sublattice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

import stemcount
import tomo
from stemcount.arrays import Floats, Ints
from stemcount.errors import InputError
from tomo.result import Companion

from .all_views.reconstruction import reconstruct_project
from .all_views.species import FEW, UNDECIDED, attempt, every_species, first_counts, settle
from .all_views.species_views import Settled, TypedView, grids
from .interrupt import stop_if_asked
from .one_image.columns import GivenImage
from .one_image.image_checks import refusals_tell, told, warnings_of
from .one_image.side_by_side import side_by_side, threads_for
from .one_image.typed_images import TypedImage, typed_image
from .project_file.project import Project
from .result_folder.outputs import save_new_image
from .result_folder.store import remember, stage_key
from .result_folder.typed_outputs import write_typed_results
from .run import Run

CLOSE_FRAMES = 15.0  # log units within which placings of the views are tried in full
MOST_FRAMES = 4  # of them: two, each with its inverse
USUAL, USUAL_OF_FEW = 0.85, 0.55  # atoms of the common sublattice relative to the room of three or two views
DOUBTFUL, DOUBTFUL_SHARE = 2.0, 0.02  # expected wrong atoms of a species that are worth a word
PRESENT = 0.5  # atoms that a column must seem to hold to count as one of a species


@dataclass(frozen=True, eq=False)
class Placed:
    """Views in one frame and where all counts start.

    Attributes
    ----------
    views : tuple of TypedView
    start : tuple of (n, n_sublattices) float
        First counts, up to a common factor.
    room : int
        Sites of the common sublattice where columns of all views cross.
    """

    views: tuple[TypedView, ...]
    start: tuple[Floats, ...]
    room: int


def run_species(run: Run, images: Sequence[GivenImage]) -> tomo.Reconstruction:
    """Reconstruct all species of a project's particle and write its result folder."""
    project = run.project
    typed: list[TypedImage] = []
    works = [_measured(project, given, run.kept) for given in images]
    threads = threads_for([given.image for given in images], project.reconstruction.workers)
    with side_by_side(works, threads) as measured:
        for given, steps in zip(images, measured, strict=True):
            label = given.section.label
            save_new_image(run.out / label, given.image)
            typed.append(run.take(f"{label}: columns and types", steps))
            run.tell(f"{label}: columns", (given.image, typed[-1].fit))
    of_images = warnings_of(typed)
    state: Settled | None = None
    with refusals_tell(of_images):
        if project.reconstruction.species == "target":
            with run.stage("reconstruction"):
                views, result, warnings = target_alone(run, typed)
        else:
            with run.stage("views together"):
                views, state, warnings = settle_views(typed, project, run.kept)
            run.tell("joint", state)
            with run.stage("reconstruction"):
                result = reconstruct_species(run, views, state)
        _refuse_no_target(views[0].columns.crystal, len(result.occupied()))
    found = [*warnings, *told([never_apart(views)]), *of_images, *result.warnings]
    result = replace(result, warnings=tuple(dict.fromkeys(found)))
    run.tell("reconstruction", result)
    with run.stage("writing"):
        write_typed_results(run, typed, views, state, result)
    return result


def _measured(project: Project, given: GivenImage, kept: Path) -> Iterator[TypedImage]:
    """One image's columns and their types, as the only stage of its measurement."""
    yield typed_image(project, given, kept)


def never_apart(views: Sequence[TypedView]) -> str | None:
    """A sentence if two sublattices share their columns in every view, so that brightness alone tells them.

    Two species on one grid do so always; there the room that the other grid leaves helps.
    """
    crystal = views[0].columns.crystal
    pairs = combinations(range(len(crystal.sublattices)), 2)
    for first, second in pairs:
        if any(first in group and second in group for group in grids(crystal)):
            continue
        if all(
            any(first in kind.sublattices and second in kind.sublattices for kind in view.columns.types)
            for view in views
        ):
            names = " and ".join(crystal.sublattices[s].species for s in (first, second))
            return (
                f"{names} share their columns in every view, so that their brightness alone tells how many of"
                " each a column holds; a view that separates them, such as [110], would decide."
            )
    return None


def placings(images: Sequence[TypedImage]) -> tuple[list[Placed], Sequence[str]]:
    """Likely ways to bring the images into one frame, the likeliest first, and warnings.

    InputError if no column found in an image is of the sublattice that the phases have in common.
    """
    stop_if_asked()
    crystal = images[0].columns.crystal
    common = tomo.common_sublattice(crystal)
    for image in images:
        if not image.found[image.columns.holding(common)].any():
            species = crystal.sublattices[common].species
            raise InputError(
                f"{image.indexing.name}: none of the columns found in it holds {species}; do they form the"
                f' lattice of an fcc metal (structure = "fcc"), or is {species} too faint to be seen?'
            )
    own = [TypedView(i.columns, i.fit.cross_section, i.fit.noise_std) for i in images]
    start = first_counts(own, [i.phases for i in images])
    total = float(np.mean([counts[:, common].sum() for counts in start]))
    expected = float(np.mean([_atoms_of_a_sphere(i) for i in images]))
    frames = tomo.register_types(
        [i.columns for i in images], [counts[:, common] * expected / total for counts in start]
    )
    placed: list[Placed] = []
    for frame in frames:
        if len(placed) == MOST_FRAMES or (placed and frame.margin < -CLOSE_FRAMES):
            break
        views = tuple(
            replace(view, columns=columns) for view, columns in zip(own, frame.columns, strict=True)
        )
        placed.append(Placed(views, tuple(start), _room(views, images, common)))
    return placed, frames[0].warnings


def _atoms_of_a_sphere(image: TypedImage) -> float:
    """Atoms of one sublattice in a sphere of the particle's projected area."""
    crystal, geometry = image.columns.crystal, image.indexing.zone
    first = image.columns.column_type == np.argmax(np.bincount(image.columns.column_type[image.found]))
    area = np.count_nonzero(first & image.found) * geometry.cell_area(crystal.a)
    return float(2 / 3 * area * np.sqrt(4 * area / np.pi) / (crystal.a**3 / 4))


def _room(views: Sequence[TypedView], images: Sequence[TypedImage], sublattice: int) -> int:
    """Sites of a sublattice where columns that were found cross, one of each view."""
    shown = []
    for view, image in zip(views, images, strict=True):
        held = image.found[view.columns.holding(sublattice)]
        sites = view.columns.own_sites(sublattice)[held]
        shown.append(tomo.View(view.columns.zone_axis, sites, counts=np.ones(len(sites), dtype=np.int64)))
    return len(tomo.build_problem(shown, strict=False).sites)


def settle_views(
    images: Sequence[TypedImage], project: Project, kept: Path
) -> tuple[tuple[TypedView, ...], Settled, Sequence[str]]:
    """The common frame and everything that is settled in it; of several likely placings the best."""
    candidates, warnings = placings(images)
    options = project.reconstruction
    settings = (options.seed, options.workers)
    best = candidates[0]
    if len(candidates) > 1:  # a few rounds tell the right placing, mostly by far
        share = USUAL_OF_FEW if len(images) <= FEW else USUAL
        evidence = [attempt(c.views, c.start, share * c.room, *settings).evidence for c in candidates]
        best, warnings = candidates[int(np.argmax(evidence))], told([close_placings(evidence)])
    key = stage_key(best, options.seed)
    state = remember(kept / "settled.npz", key, lambda: settle(best.views, best.start, best.room, *settings))
    _refuse_no_target(best.views[0].columns.crystal, len(state.results[0].occupied()))
    return best.views, state, (*warnings, *state.warnings, *told([_left_free(best, state)]))


def _refuse_no_target(crystal: tomo.Crystal, atoms: int) -> None:
    """Raise InputError if the columns of all views together hold no atom of the target."""
    if atoms:
        return
    target, *others = (s.species for s in crystal.sublattices)
    raise InputError(
        f"{target} (target): the columns of all views together hold no atom of it beside"
        f" {' and '.join(others)}; check structure, species and a: a particle without core has the structure"
        ' of its shell, a metal structure = "fcc".'
    )


def _left_free(placed: Placed, state: Settled) -> str | None:
    """A sentence if so few views leave it to brightness which of the sites that they cross hold atoms."""
    if len(placed.views) > FEW:
        return None
    common = tomo.common_sublattice(placed.views[0].columns.crystal)
    filled = len(state.results[common].occupied())
    species = placed.views[0].columns.crystal.sublattices[common].species
    return (
        f"with {len(placed.views)} views, {filled} {species} atoms were put on {placed.room} sites that the"
        " views leave them, and the brightness of the columns alone says which: the atoms of every species"
        " may be wrong where the certainty is high; a third view would decide."
    )


def close_placings(evidence: Sequence[float]) -> str | None:
    """A sentence if the second of the placings that were tried explains the intensities nearly as well."""
    best, second = sorted(evidence, reverse=True)[:2]
    if best - second > UNDECIDED:
        return None
    return (
        f"another placing of the views is only {best - second:.0f} log units less likely than the one chosen,"
        " after the crystal was settled in both; a further view would decide."
    )


def reconstruct_species(run: Run, views: Sequence[TypedView], state: Settled) -> tomo.Reconstruction:
    """Repeated reconstructions of every species; the target's result, with the others as companions."""
    crystal = views[0].columns.crystal
    finished = 0

    def repeated(views: Sequence[tomo.View], taken: Ints, **given: Any) -> tomo.Reconstruction:
        nonlocal finished
        shown = share_of_all if callable(run.progress) else run.progress
        result = repeated_runs(run, views, excluded_sites=taken, progress=shown, **given)
        finished += 1
        return result

    def share_of_all(share: float) -> None:
        assert callable(run.progress)
        run.progress((finished + share) / len(crystal.sublattices))

    final = every_species(views, state, repeated)
    target, *others = (final.results[s] for s in range(len(crystal.sublattices)))
    companions = tuple(
        Companion(sublattice.species, _triple(sublattice.offset), r.sites, r.certainty, r.runs)
        for sublattice, r in zip(crystal.sublattices[1:], others, strict=True)
    )
    expected = [final.results[s].diagnostics["expected_wrong"] for s in range(len(crystal.sublattices))]
    diagnostics = target.diagnostics | {"expected_wrong_of_species": expected}
    warnings = (*target.warnings, *doubtful(companions, expected[1:]))
    return replace(target, companions=companions, diagnostics=diagnostics, warnings=warnings)


def doubtful(companions: Sequence[Companion], expected: Sequence[float]) -> tuple[str, ...]:
    """A sentence for each other species of whose atoms many are expected to be missed or false."""
    found = []
    for companion, wrong in zip(companions, expected, strict=True):
        atoms = len(companion.occupied())
        if wrong >= max(DOUBTFUL, DOUBTFUL_SHARE * atoms):
            found.append(
                f"certainty of {companion.species}: about {wrong:.0f} of its {atoms} atoms are expected to be"
                " wrong, as other crystals explain the images nearly as well."
            )
    return tuple(found)


def target_alone(
    run: Run, images: Sequence[TypedImage]
) -> tuple[tuple[TypedView, ...], tomo.Reconstruction, Sequence[str]]:
    """The target reconstructed as Bals et al. (2011) did: its columns counted, all other species ignored.

    The columns that seem to hold the target are counted from their intensities as if nothing else stood
    in them.
    """
    crystal = images[0].columns.crystal
    candidates, warnings = placings(images)
    placed = candidates[0]
    common = tomo.common_sublattice(crystal)
    expected = np.mean([_atoms_of_a_sphere(i) for i in images])
    total = np.mean([counts[:, common].sum() for counts in placed.start])
    soft = []
    for view, counts in zip(placed.views, placed.start, strict=True):
        held = view.columns.holding(0)
        core = counts[held, 0] * expected / total > PRESENT
        rows = held[core]
        atoms = stemcount.count_atoms(view.cross_section[rows], cross_section_std=view.std[rows])
        soft.append(
            tomo.View(
                view.columns.zone_axis,
                view.columns.own_sites(0)[core],
                log_likelihood=atoms.log_likelihood,
                name=view.columns.name,
            )
        )
    return placed.views, repeated_runs(run, soft), warnings


def repeated_runs(run: Run, soft: Sequence[tomo.View], **constraints: Any) -> tomo.Reconstruction:
    """What `reconstruct_project` makes of the views, whose counts may contradict each other."""
    if run.project.reconstruction.counts == "hard":
        soft = [replace(view, counts=view.best_counts, log_likelihood=None) for view in soft]
    return reconstruct_project(run, soft, strict=False, **constraints)


def _triple(offset: Sequence[float]) -> tuple[float, float, float]:
    return float(offset[0]), float(offset[1]), float(offset[2])
