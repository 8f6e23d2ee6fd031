"""`stemcount run` for crystals of one sublattice: every column's atoms, and all atoms.

    images -> columns -> counts -> grid lines -> common frame -> views -> atoms

Called by `run_project` when the crystal has one sublattice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stemcount
import tomo
from stemcount.errors import InputError
from stemcount.fitting.magnified import beyond_noise, scan_or_crystal
from stemcount.images.image import ZoneAxisImage
from stemcount.results import AtomCounts, ColumnFit
from tomo.placing.indexing import LEAST_COLUMNS
from tomo.placing.lattice_maps import magnification

from .all_views.confirm import confirm_crystal, confirm_placing
from .all_views.doubts import with_rivals, with_scale_in_doubt, with_smoother_crystal
from .all_views.reconstruction import reconstruct_as, reconstruct_project
from .all_views.rim import with_rim
from .all_views.settle import settle
from .all_views.views import JointReading, expected_counts, read_together, views_of
from .one_image.columns import (
    GivenImage,
    clarity_gained,
    count_image,
    few_columns,
    fit_image,
    fit_undistorted,
    fit_with_tails,
)
from .one_image.faint import find_and_fit
from .one_image.field_of_view import seen_field
from .one_image.image_checks import (
    ImageFaults,
    edge_warnings,
    faint_warnings,
    faults_of,
    image_warnings,
    refusals_tell,
    repeated_warnings,
    scatter_warnings,
    tilt_warnings,
    tilts_of,
)
from .one_image.lattice_checks import resolution_warnings
from .one_image.own_library import own_library
from .one_image.side_by_side import Step, side_by_side, threads_for
from .project_file.project import Project
from .result_folder import outputs
from .result_folder.store import remember, stage_key
from .result_folder.tables import result_table, strain_table, write_table

if TYPE_CHECKING:
    from .pipeline import Clock, Watcher


@dataclass(frozen=True)
class ImageStage:
    """What is known of one image before the views are put together."""

    image: ZoneAxisImage
    fit: ColumnFit
    counts: AtomCounts
    indexing: tomo.Indexing
    faults: ImageFaults
    warnings: tuple[str, ...] = ()


def run_one_species(
    project: Project,
    images: Sequence[GivenImage],
    out: Path,
    clock: Clock,
    tell: Watcher,
    progress: bool | Callable[[float], None],
    figures: bool,
) -> tomo.Reconstruction:
    """Reconstruct a project's particle and write its result folder; takes what `run_species` takes."""
    works = [_measured(project, given, out / "stages") for given in images]
    threads = threads_for([given.image for given in images], project.reconstruction.workers)
    with side_by_side(works, threads) as measured:
        stages = [
            _image_stage(given, steps, out, clock, tell, figures)
            for given, steps in zip(images, measured, strict=True)
        ]
    with _images_blamed(stages, out if figures else None):
        joint = _joint_stage(project, stages, out, clock)
        tell("joint", joint)
        with clock("reconstruction"):
            views = views_of(joint, [s.fit for s in stages], hard=project.reconstruction.counts == "hard")
            shown = _with_rims(project, joint, stages, views)
            result = reconstruct_project(project, shown, out, progress)
        tilts = tilts_of(joint.registration, result.occupied(0.5))
        with clock("checks"):
            joint, result = _confirmed(project, joint, stages, result, views, tilts)
    result = replace(result, warnings=_warnings(stages, joint, result))
    tell("reconstruction", result)
    with clock("writing"):
        _write_results(project, stages, joint, result, tilts, out, clock, figures)
    return result


@contextmanager
def _images_blamed(stages: Sequence[ImageStage], out: Path | None) -> Iterator[None]:
    """Views that contradict each other are refused with what is wrong with their images, which may be why.

    Figures of their counts are drawn into the folder `out`, if there is one.
    """
    try:
        names, drawn = [s.image.name for s in stages], [s.faults.drawn_out for s in stages]
        with refusals_tell([*_image_warnings(stages), *tilt_warnings(names, [None] * len(stages), drawn)]):
            yield
    except (InputError, tomo.InputError):
        if out is not None:
            for stage in stages:
                _save_figures(outputs.count_figures(stage.image, stage.fit, stage.counts), out)
        raise


def _measured(project: Project, given: GivenImage, kept: Path) -> Iterator[Any]:
    """One image's fit; its counts; its lattice and faults.

    Where columns have wide tails, they are fitted and counted with and without the light of these, and what
    falls into classes the more clearly is taken. Where the lattice is distorted, they are counted with and
    without what a scan would have done to their cross-sections; the widths of the peaks and the classes
    together tell whether it was the scan. The library of a known microscope comes last: it tells how many
    atoms they hold, not which light is theirs.
    """
    section, image = given.section, given.image
    label, crystal, settings = section.label, project.crystal.crystal(), project.fit_of(section)
    expected = (section.zone_axis, crystal)
    key = stage_key(image, settings.model_dump(), given.positions, expected)

    def fitted() -> tuple[ColumnFit, bool]:
        if given.positions is None:
            return find_and_fit(image, section.zone_axis, settings, crystal)
        return fit_image(image, given.positions, settings), False

    def counted(fit: ColumnFit, name: str, **library: Any) -> AtomCounts:
        settings = given.counting | library
        return remember(
            kept / f"{label}_{name}.npz", stage_key(fit, settings), lambda: count_image(fit, settings)
        )

    def indexed(fit: ColumnFit) -> tomo.Indexing:
        return tomo.index_columns(
            fit.x, fit.y, section.zone_axis, crystal, cross_section=fit.cross_section, name=label
        )

    def clearer(
        one: tuple[ColumnFit, str], other: tuple[ColumnFit, str], in_favour: float
    ) -> tuple[ColumnFit, str]:
        """Of two fits and the names of their counts the one that falls into classes the more clearly."""
        gained = clarity_gained(one[0], counted(*one), other[0], counted(*other))
        return other if in_favour + gained > 0 else one

    def with_tails() -> tuple[ColumnFit | None]:
        return (fit_with_tails(image, plain, settings),)

    plain, by_fourier = remember(kept / f"{label}_fit.npz", key, fitted)
    fit, name = plain, "counts"
    if len(plain) < LEAST_COLUMNS:
        yield plain
        raise InputError(few_columns(image, len(plain)))
    # a library tells what columns scatter, but not how much of that its own simulation puts into tails
    if "library" not in given.counting:
        (other,) = remember(kept / f"{label}_tails.npz", stage_key(plain, key), with_tails)
        if other is not None:
            fit, name = clearer((fit, name), (other, "counts_tails"), 0.0)
    indexing = None
    with suppress(tomo.InputError):  # that there is no lattice is said when columns are counted
        indexing = indexed(fit)
        larger = magnification(indexing)
        if beyond_noise(fit, larger):
            refit = partial(fit_undistorted, image, fit, settings, larger)
            even = remember(kept / f"{label}_undistorted.npz", stage_key(fit, larger, key), refit)
            by_widths = scan_or_crystal(image, plain, larger)
            fit, name = clearer((fit, name), (even, f"{name}_undistorted"), by_widths)
    yield fit
    doubtful: list[str] = []
    if given.positions is None and indexing is not None:
        doubtful = resolution_warnings(image, plain, indexing)
    counts = counted(fit, name)
    if project.microscope is not None:
        library = own_library(project, section.zone_axis, counts, kept)
        counts = counted(fit, f"{name}_library", library=library, library_scale="free")
    yield counts
    indexing = indexing or indexed(fit)
    faults = faults_of(image, plain)
    warnings = [*doubtful, *image_warnings(image, fit, indexing, by_fourier, faults)]
    yield ImageStage(image, fit, counts, indexing, faults, tuple(warnings))


def _image_stage(
    given: GivenImage,
    steps: Iterator[Step],
    out: Path,
    clock: Clock,
    tell: Watcher,
    figures: bool,
) -> ImageStage:
    """Fit, count and index one image; its table and the figure of its fit are written at once."""
    label, image = given.section.label, given.image
    folder = out / label
    saved = outputs.save_new_image(folder, image)
    fit = clock.take(f"{label}: columns", steps)
    tell(f"{label}: columns", (image, fit))
    with clock(f"{label}: figures"):
        if figures:
            _save_figures([outputs.fit_figure(image, fit)], out)
    counts = clock.take(f"{label}: counts", steps)
    tell(f"{label}: counts", (image, fit, counts))
    if not saved:
        stemcount.save_image(image, folder / "image.hspy")
    write_table(folder / "columns.csv", result_table(fit, counts))
    stage: ImageStage = clock.take(f"{label}: lattice", steps)
    return stage


def _joint_stage(project: Project, stages: list[ImageStage], out: Path, clock: Clock) -> JointReading:
    """Settle every view's counts and its place in the common frame together."""
    settings, reconstruct = project.reconstruction, reconstruct_as(project)
    fits = [stage.fit for stage in stages]
    counts = [stage.counts for stage in stages]
    extents = [seen_field(stage.image) for stage in stages]
    axes = [stage.indexing.zone_axis for stage in stages]
    fixed = [None if section.fixed is None else section.fixed.view() for section in project.image]

    def settled() -> JointReading:
        read = read_together(fits, counts, [stage.indexing for stage in stages], extents, fixed)
        joint = settle(read, fits, counts, fixed, reconstruct)
        joint = confirm_placing(joint, fits, fixed, reconstruct)
        # how well the images fixed the totals, before a reading was chosen
        return replace(joint, readings=replace(joint.readings, totals=read.readings.totals))

    with clock("views together"):
        asked = project.crystal.crystal(), fixed, settings.seed, settings.vacancies
        key = stage_key(fits, counts, extents, axes, *asked)
        return remember(out / "stages" / "joint.npz", key, settled)


def _with_rims(
    project: Project, joint: JointReading, stages: list[ImageStage], views: list[tomo.View]
) -> list[tomo.View]:
    """The views with what their images show beside the columns that were found.

    What the user named as columns, or counted hard, is all there is. Where the particle glows, or its
    columns have a halo, the light beside them is not of atoms there.
    """
    if project.reconstruction.counts == "hard":
        return views
    shown = []
    for number, (view, stage, section) in enumerate(zip(views, stages, project.image, strict=True)):
        if section.columns is None and not stage.faults.glows and not stage.fit.halo[0]:
            counts = joint.counts[number]
            view = with_rim(
                view, joint.registration, number, stage.fit, counts, stage.image, project.fit_of(section)
            )
        shown.append(view)
    return shown


def _confirmed(
    project: Project,
    joint: JointReading,
    stages: list[ImageStage],
    result: tomo.Reconstruction,
    views: list[tomo.View],
    tilts: list[tomo.Tilt | None],
) -> tuple[JointReading, tomo.Reconstruction]:
    """What the crystal says of the images it was found from, added to the warnings and to its certainties."""
    fits = [stage.fit for stage in stages]
    joint = confirm_crystal(joint, fits, result.occupied(0.5), project.reconstruction.vacancies)
    names = [stage.image.name for stage in stages]
    warnings, smoother = joint.warnings, None
    if not any(joint.beyond):  # of what an image cuts off, nobody knows how smooth it is
        settings = project.reconstruction
        smoother = tomo.smoother_crystal(
            joint.registration,
            expected_counts(joint),
            views,
            result.edge_weight,
            count_probabilities=[counts.probability for counts in joint.counts],
            seed=settings.seed,
            workers=settings.workers,
            vacancies=settings.vacancies,
        )
        warnings += () if smoother is None else (smoother.warning,)
    edges = [(stage.fit, stage.indexing, seen_field(stage.image)) for stage in stages]
    # an image alone may be read with classes as broad as it likes
    unlike = scatter_warnings(names, fits, joint.counts) if len(stages) > 1 else []
    if unlike:  # which makes a crystal ragged, too
        result = with_scale_in_doubt(project, joint, fits, result)
    elif smoother is not None:
        result = with_smoother_crystal(result, smoother.sites)
    else:
        result = with_rivals(result, joint.others)
    unseen = [
        *edge_warnings(names, joint.fields, edges),
        *faint_warnings(names, fits, joint.counts, result.views),
        *tilt_warnings(names, tilts, [stage.faults.drawn_out for stage in stages]),
    ]
    joint = replace(joint, warnings=(*warnings, *unlike))
    return joint, replace(result, warnings=(*result.warnings, *unseen))


def _warnings(stages: list[ImageStage], joint: JointReading, result: tomo.Reconstruction) -> tuple[str, ...]:
    """Everything the user should know before trusting the result, by weight.

    First what may make all of it wrong, then what is wrong with the images, then how many atoms are in doubt
    and what could not be seen.
    """
    # a vote among runs that differ need not hold counts that a run holds, nor a run those that the vote holds
    crystals = (result.occupied(0.5), result.sites[result.runs[result.energy.argmin()]])
    found = min((tomo.check_counts(sites, result.views) for sites in crystals), key=len)
    return tuple(dict.fromkeys([*found, *joint.warnings, *_image_warnings(stages), *result.warnings]))


def _image_warnings(stages: Sequence[ImageStage]) -> list[str]:
    """What is to be said of the images, whatever comes of them."""
    same = repeated_warnings([stage.image for stage in stages])
    return [*same, *(warning for stage in stages for warning in stage.warnings)]


def _write_results(
    project: Project,
    stages: list[ImageStage],
    joint: JointReading,
    result: tomo.Reconstruction,
    tilts: list[tomo.Tilt | None],
    out: Path,
    clock: Clock,
    figures: bool,
) -> None:
    """Write tables in the common frame, the reconstruction and the summary; draw figures and report."""
    images = {}
    views = zip(stages, joint.counts, joint.registration.column_sites, tilts, strict=True)
    for stage, counts, sites, tilt in views:
        label = stage.image.name
        on_grid = stage.indexing.counted
        write_table(out / label / "columns.csv", result_table(stage.fit, counts, sites, on_grid))
        write_table(out / label / "lattice.csv", strain_table(stage.indexing))
        images[label] = outputs.image_summary(stage.image, stage.fit, counts, stage.indexing)
        images[label] |= {**stage.faults.summary(), "tilt": tilt and asdict(tilt)}
    result.save(out)
    result.write_xyz(out / "atoms.xyz")
    summary = outputs.write_summary(project, result, images, clock.seconds, out, registration=joint.summary())
    if figures:
        _write_report(project, stages, joint, result, out, summary)


def _write_report(
    project: Project,
    stages: list[ImageStage],
    joint: JointReading,
    result: tomo.Reconstruction,
    out: Path,
    summary: dict[str, Any],
) -> None:
    """Draw what was not drawn with the stages, and put all on one page."""
    import viewers

    figures = _save_figures(outputs.result_figures(result), out)  # the answer first
    for stage, counts in zip(stages, joint.counts, strict=True):
        name, caption, _ = outputs.fit_figure(stage.image, stage.fit)
        figures.append((caption, outputs.figure_path(out / "figures", name)))  # drawn with its stage
        figures += _save_figures(outputs.count_figures(stage.image, stage.fit, counts), out)
        if stage.indexing.field.degree > 1:
            figures += _save_figures([outputs.strain_figure(stage.image, stage.fit, stage.indexing)], out)
    title = outputs.report_title(project, len(stages))
    viewers.write_report(out / "report.html", title, summary, figures)


def _save_figures(drawn: Iterable[outputs.Drawn], out: Path) -> list[tuple[str, Path]]:
    """Draw figures into the result folder; caption and file of each."""
    return [(text, outputs.save_figure(out / "figures", name, make)) for name, text, make in drawn]
