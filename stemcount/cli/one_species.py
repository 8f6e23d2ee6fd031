"""`stemcount run` for crystals of one sublattice: every column's atoms, and all atoms.

    images -> columns -> counts -> grid lines -> common frame -> views -> atoms

Called by `run_project` when the crystal has one sublattice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import tomo
from stemcount.errors import InputError

from .all_views.confirm import confirm_crystal, confirm_placing
from .all_views.doubts import with_rivals, with_scale_in_doubt, with_smoother_crystal
from .all_views.reconstruction import reconstruct_as, reconstruct_project
from .all_views.rim import with_rim
from .all_views.settle import settle
from .all_views.views import JointReading, read_together, views_of
from .one_image.columns import GivenImage
from .one_image.field_of_view import seen_field
from .one_image.image_checks import (
    edge_warning,
    faint_warning,
    refusals_tell,
    scatter_warning,
    tilt_warning,
    tilts_of,
    told,
    warnings_of,
)
from .one_image.measured import MeasuredImage, measured_image
from .one_image.side_by_side import Step, side_by_side, threads_for
from .project_file.project import Project
from .result_folder import outputs
from .result_folder.store import remember, stage_key
from .result_folder.tables import result_table, strain_table, write_table
from .run import Run


def run_one_species(run: Run, images: Sequence[GivenImage]) -> tomo.Reconstruction:
    """Reconstruct a project's particle and write its result folder."""
    project = run.project
    works = [measured_image(project, given, run.kept) for given in images]
    threads = threads_for([given.image for given in images], project.reconstruction.workers)
    with side_by_side(works, threads) as measured:
        stages = [_image_stage(run, given, steps) for given, steps in zip(images, measured, strict=True)]
    with _images_blamed(run, stages):
        joint = _joint_stage(run, stages)
        run.tell("joint", joint)
        with run.stage("reconstruction"):
            views = views_of(joint, hard=project.reconstruction.counts == "hard")
            result = reconstruct_project(run, _with_rims(project, joint, stages, views))
        tilts = tilts_of(joint.registration, result.occupied(0.5))
        with run.stage("checks"):
            joint, result = _confirmed(project, joint, stages, result, views, tilts)
    result = replace(result, warnings=_warnings(stages, joint, result))
    run.tell("reconstruction", result)
    with run.stage("writing"):
        _write_results(run, stages, joint, result, tilts)
    return result


@contextmanager
def _images_blamed(run: Run, stages: Sequence[MeasuredImage]) -> Iterator[None]:
    """Views that contradict each other are refused with what is wrong with their images, which may be why.

    Figures of their counts are drawn, too.
    """
    tilts = told(tilt_warning(s.image.name, None, s.faults.drawn_out) for s in stages)
    try:
        with refusals_tell([*warnings_of(stages), *tilts]):
            yield
    except (InputError, tomo.InputError):
        for stage in stages:
            run.draw(outputs.count_figures(stage.image, stage.fit, stage.counts))
        raise


def _image_stage(run: Run, given: GivenImage, steps: Iterator[Step]) -> MeasuredImage:
    """Fit, count and index one image; its table and the figure of its fit are written at once."""
    label, image = given.section.label, given.image
    outputs.save_new_image(run.out / label, image)
    fit = run.take(f"{label}: columns", steps)
    run.tell(f"{label}: columns", (image, fit))
    with run.stage(f"{label}: figures"):
        run.draw([outputs.fit_figure(image, fit)])
    counts = run.take(f"{label}: counts", steps)
    run.tell(f"{label}: counts", (image, fit, counts))
    outputs.write_columns(run.out / label, image, result_table(fit, counts))
    stage: MeasuredImage = run.take(f"{label}: lattice", steps)
    return stage


def _joint_stage(run: Run, stages: list[MeasuredImage]) -> JointReading:
    """Settle every view's counts and its place in the common frame together."""
    project, reconstruct = run.project, reconstruct_as(run.project)
    fits = tuple(stage.fit for stage in stages)
    counts = tuple(stage.counts for stage in stages)
    extents = [seen_field(stage.image) for stage in stages]
    axes = [stage.indexing.zone_axis for stage in stages]
    fixed = tuple(None if section.fixed is None else section.fixed.view() for section in project.image)

    def settled() -> JointReading:
        read = read_together(fits, counts, [stage.indexing for stage in stages], extents, fixed)
        joint = confirm_placing(settle(read, reconstruct), reconstruct)
        # how well the images fixed the totals, before a reading was chosen
        readings = replace(joint.readings, totals=read.readings.totals)
        return replace(joint, readings=readings, fits=(), alone=(), fixed=())  # which are kept by themselves

    with run.stage("views together"):
        settings = project.reconstruction
        asked = project.crystal.crystal(), fixed, settings.seed, settings.vacancies
        key = stage_key(fits, counts, extents, axes, *asked)
        joint = remember(run.kept / "joint.npz", key, settled)
    return replace(joint, fits=fits, alone=counts, fixed=fixed)


def _with_rims(
    project: Project, joint: JointReading, stages: list[MeasuredImage], views: list[tomo.View]
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
            view = with_rim(view, joint, number, stage.image, project.fit_of(section))
        shown.append(view)
    return shown


def _confirmed(
    project: Project,
    joint: JointReading,
    stages: list[MeasuredImage],
    result: tomo.Reconstruction,
    views: list[tomo.View],
    tilts: list[tomo.Tilt | None],
) -> tuple[JointReading, tomo.Reconstruction]:
    """What the crystal says of the images it was found from, added to the warnings and to its certainties."""
    settings = project.reconstruction
    joint = confirm_crystal(joint, result.occupied(0.5), settings.vacancies)
    warnings, smoother = joint.warnings, None
    if not any(joint.beyond):  # of what an image cuts off, nobody knows how smooth it is
        smoother = tomo.smoother_crystal(
            joint.registration,
            joint.expected,
            views,
            result.edge_weight,
            count_probabilities=joint.probabilities,
            seed=settings.seed,
            workers=settings.workers,
            vacancies=settings.vacancies,
        )
        warnings += () if smoother is None else (smoother.warning,)
    shown = [*zip(stages, joint.counts, joint.fields, result.views, tilts, strict=True)]
    unlike = told(scatter_warning(s.image.name, s.fit, counts) for s, counts, *_ in shown)
    if len(stages) == 1:  # an image alone may be read with classes as broad as it likes
        unlike = []
    if unlike:  # which makes a crystal ragged, too
        result = with_scale_in_doubt(project, joint, result)
    elif smoother is not None:
        result = with_smoother_crystal(result, smoother.sites)
    else:
        result = with_rivals(result, joint.others)
    edges = [
        edge_warning(s.image.name, s.fit, s.indexing, seen_field(s.image))
        for s, _, field, *_ in shown
        if field is None
    ]
    faint = [faint_warning(s.image.name, s.fit, counts, view) for s, counts, _, view, _ in shown]
    tilted = [tilt_warning(s.image.name, tilt, s.faults.drawn_out) for s, *_, tilt in shown]
    joint = replace(joint, warnings=(*warnings, *unlike))
    return joint, replace(result, warnings=(*result.warnings, *told([*edges, *faint, *tilted])))


def _warnings(
    stages: list[MeasuredImage], joint: JointReading, result: tomo.Reconstruction
) -> tuple[str, ...]:
    """Everything the user should know before trusting the result, by weight.

    First what may make all of it wrong, then what is wrong with the images, then how many atoms are in doubt
    and what could not be seen.
    """
    # a vote among runs that differ need not hold counts that a run holds, nor a run those that the vote holds
    crystals = (result.occupied(0.5), result.sites[result.runs[result.energy.argmin()]])
    found = min((tomo.check_counts(sites, result.views) for sites in crystals), key=len)
    return tuple(dict.fromkeys([*found, *joint.warnings, *warnings_of(stages), *result.warnings]))


def _write_results(
    run: Run,
    stages: list[MeasuredImage],
    joint: JointReading,
    result: tomo.Reconstruction,
    tilts: list[tomo.Tilt | None],
) -> None:
    """Write the result folder, with the tables in the common frame."""
    images: dict[str, Any] = {}
    figures: list[outputs.Drawn] = []
    views = zip(stages, joint.counts, joint.registration.column_sites, tilts, strict=True)
    for stage, counts, sites, tilt in views:
        image, fit, indexing = stage.image, stage.fit, stage.indexing
        folder = run.out / image.name
        write_table(folder / "columns.csv", result_table(fit, counts, sites, indexing.counted))
        write_table(folder / "lattice.csv", strain_table(indexing))
        images[image.name] = outputs.image_summary(image, fit, counts, indexing)
        images[image.name] |= {**stage.faults.summary(), "tilt": tilt and asdict(tilt)}
        figures += [outputs.fit_figure(image, fit), *outputs.count_figures(image, fit, counts)]
        if indexing.field.degree > 1:
            figures.append(outputs.strain_figure(image, fit, indexing))
    outputs.write_result(run, result, images, figures, registration=joint.summary())
