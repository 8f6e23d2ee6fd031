"""`stemcount run`: from a project file to a result folder.

    images -> columns -> counts -> grid lines -> common frame -> views -> atoms

Every finished stage is kept in OUT/stages under a hash of what it depends on, so a stopped run goes on
where it was, and changing one setting repeats only what depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

import stemcount
import tomo
from stemcount.image import ZoneAxisImage
from stemcount.results import AtomCounts, ColumnFit

from . import outputs
from .columns import (
    count_image,
    counting_settings,
    fit_image,
    given_positions,
    load_project_image,
)
from .confirm import confirm_crystal, confirm_placing
from .faint import find_and_fit
from .image_checks import ImageFaults, faults_of, image_warnings, tilt_warnings, tilts_of
from .interrupt import stop_if_asked
from .parsing import make_folder
from .project import Project, ReconstructionSection, load_project
from .store import remember, stage_key
from .tables import result_table, strain_table, write_table
from .views import JointReading, read_together, recount_until_consistent, views_of

Watcher = Callable[[str, Any], None]


@dataclass(frozen=True)
class ImageStage:
    """What is known of one image before the views are put together."""

    image: ZoneAxisImage
    fit: ColumnFit
    counts: AtomCounts
    indexing: tomo.Indexing
    faults: ImageFaults
    warnings: tuple[str, ...] = ()


@dataclass
class Clock:
    """Seconds of wall and CPU time that each stage took."""

    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    bar: tqdm | None = None

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        stop_if_asked()
        wall, cpu = time.perf_counter(), time.process_time()
        if self.bar is not None:
            self.bar.set_description(stage)
        yield
        spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        self.seconds[stage] = {name: round(value, 3) for name, value in spent.items()}
        if self.bar is not None:
            self.bar.update()


def run_project(
    project_path: Path | str,
    out: Path | str,
    *,
    runs: int | None = None,
    method: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    progress: bool | Callable[[float], None] = True,
    on_stage: Watcher | None = None,
    figures: bool = True,
) -> tomo.Reconstruction:
    """Reconstruct a project's particle and write its result folder.

    Parameters
    ----------
    project_path : path
        Project file.
    out : path
        Result folder; made if need be. Stages that it already holds for the same input are not
        computed again.
    runs, method, seed, workers : optional
        Override the project's [reconstruction] section.
    progress : bool or callable
        Show progress bars on stderr; or call with the finished share, 0..1, of the last and longest stage,
        the reconstruction. What it raises stops the run.
    on_stage : callable, optional
        Called as on_stage(name, result) whenever a stage is finished, e.g. to show it in a window.
    figures : bool
        Draw the figures and write the report; they take more than half of a small particle's time.

    Returns
    -------
    tomo.Reconstruction

    Raises
    ------
    InputError
        For a mistake in the project file or images that cannot be what the project says.
    """
    project = with_settings(load_project(project_path), runs=runs, method=method, seed=seed, workers=workers)
    out = Path(out)
    make_folder(out)
    tell = on_stage or (lambda name, result: None)
    several_species = len(crystal_of(project).sublattices) > 1
    steps = (1 if several_species else 4) * len(project.image) + 4
    with tqdm(total=steps, disable=progress is not True, leave=False) as bar:
        clock = Clock(bar=bar)
        with clock("loading"):  # all at once, so that a wrong file is told before any work is done
            images = [load_project_image(project, section) for section in project.image]
        if several_species:
            from .core_shell import run_species

            result = run_species(project, images, out, clock, tell, progress, figures)
            for warning in result.warnings:
                tqdm.write(f"warning: {warning}")
            return result
        stages = [
            _image_stage(project, index, image, out, clock, tell, figures)
            for index, image in enumerate(images)
        ]
        joint = _joint_stage(project, stages, out, clock)
        tell("joint", joint)
        result = _reconstruct_stage(project, stages, joint, out, clock, progress)
        tilts = tilts_of(joint.registration, result.occupied(0.5))
        joint = _confirmed(joint, stages, result, tilts)
        tell("reconstruction", result)
        with clock("writing"):
            _write_results(project, stages, joint, result, tilts, out, clock, figures)
    for warning in _warnings(stages, joint, result):
        tqdm.write(f"warning: {warning}")
    return result


def with_settings(project: Project, **overrides: Any) -> Project:
    """The project with the given [reconstruction] settings in place of its own; None leaves one alone."""
    given = {name: value for name, value in overrides.items() if value is not None}
    section = project.reconstruction.model_dump() | given
    try:
        changed = ReconstructionSection(**section)
    except ValueError as error:
        name = next(iter(given))
        raise stemcount.InputError(f"--{name}: not a valid setting: {given}.") from error
    return project.model_copy(update={"reconstruction": changed})


def crystal_of(project: Project) -> tomo.Crystal:
    """The crystal that a project names."""
    return project.crystal.crystal()


def _image_stage(
    project: Project,
    index: int,
    image: ZoneAxisImage,
    out: Path,
    clock: Clock,
    tell: Watcher,
    figures: bool,
) -> ImageStage:
    """Fit, count and index one image; its table and figures are written at once."""
    section = project.image[index]
    label = section.label
    kept = out / "stages"
    with clock(f"{label}: columns"):
        given = given_positions(project, section)
        crystal = crystal_of(project)
        expected = (section.zone_axis, crystal)
        key = stage_key(image, project.fit.model_dump(), section.background, given, expected)

        def fitted() -> tuple[ColumnFit, bool]:
            if given is None:
                return find_and_fit(image, section, project.fit, crystal)
            return fit_image(image, given, project.fit, section.background), False

        fit, by_fourier = remember(kept / f"{label}_fit.npz", key, fitted)
    tell(f"{label}: columns", (image, fit))
    with clock(f"{label}: counts"):
        settings = counting_settings(project, index)
        key = stage_key(fit, settings)
        counts = remember(kept / f"{label}_counts.npz", key, lambda: count_image(fit, settings))
    tell(f"{label}: counts", (image, fit, counts))
    folder = out / label
    write_table(folder / "columns.csv", result_table(fit, counts, None, None))
    with clock(f"{label}: lattice"):
        crystal = crystal_of(project)
        indexing = tomo.index_columns(
            fit.x, fit.y, section.zone_axis, crystal, cross_section=fit.cross_section, name=label
        )
    with clock(f"{label}: figures"):
        drawn = (
            (outputs.fit_figure(image, fit), *outputs.count_figures(image, fit, counts)) if figures else ()
        )
        for name, _, make in drawn:
            outputs.save_figure(out / "figures", name, make)
    faults = faults_of(image, fit)
    warnings = image_warnings(image, fit, indexing, by_fourier, faults)
    return ImageStage(image, fit, counts, indexing, faults, tuple(warnings))


def _joint_stage(project: Project, stages: list[ImageStage], out: Path, clock: Clock) -> JointReading:
    """Settle every view's counts and its place in the common frame together."""
    crystal = crystal_of(project)
    settings = project.reconstruction
    fits = [stage.fit for stage in stages]
    counts = [stage.counts for stage in stages]
    extents = [stage.image.extent for stage in stages]
    axes = [stage.indexing.zone_axis for stage in stages]
    fixed = [None if section.fixed is None else section.fixed.view() for section in project.image]

    def settled() -> JointReading:
        joint = read_together(fits, counts, [stage.indexing for stage in stages], extents, crystal, fixed)
        joint = recount_until_consistent(joint, fits, crystal, settings.seed, settings.workers)
        return confirm_placing(joint, fits, crystal, fixed, settings.seed, settings.workers)

    with clock("views together"):
        key = stage_key(fits, counts, extents, axes, crystal, fixed, settings.seed)
        return remember(out / "stages" / "joint.npz", key, settled)


def _reconstruct_stage(
    project: Project,
    stages: list[ImageStage],
    joint: JointReading,
    out: Path,
    clock: Clock,
    progress: bool | Callable[[float], None],
) -> tomo.Reconstruction:
    """Repeated reconstructions from the views; finished runs are kept by `tomo.reconstruct`."""
    settings = project.reconstruction
    with clock("reconstruction"):
        return tomo.reconstruct(
            views_of(joint, [stage.fit for stage in stages], hard=settings.counts == "hard"),
            runs=settings.runs,
            method=settings.method,
            seed=settings.seed,
            workers=settings.workers,
            crystal=crystal_of(project),
            edge_weight=settings.edge_weight,
            progress=progress,
            checkpoint=out / "stages" / "runs",
        )


def _confirmed(
    joint: JointReading,
    stages: list[ImageStage],
    result: tomo.Reconstruction,
    tilts: list[tomo.Tilt | None],
) -> JointReading:
    """What the crystal says of the images it was found from, added to the warnings."""
    joint = confirm_crystal(joint, [stage.fit for stage in stages], result.occupied(0.5))
    names = [stage.image.name for stage in stages]
    return replace(joint, warnings=(*joint.warnings, *tilt_warnings(names, tilts)))


def _warnings(stages: list[ImageStage], joint: JointReading, result: tomo.Reconstruction) -> list[str]:
    """Everything the user should know before trusting the result."""
    found = tomo.check_counts(result.occupied(0.5), result.views)
    images = [warning for stage in stages for warning in stage.warnings]
    return list(dict.fromkeys([*found, *images, *joint.warnings, *result.warnings]))


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
        stemcount.save_image(stage.image, out / label / "image.hspy")
        write_table(out / label / "lattice.csv", strain_table(stage.indexing))
        images[label] = outputs.image_summary(stage.image, stage.fit, counts, stage.indexing)
        images[label] |= {**stage.faults.summary(), "tilt": tilt and asdict(tilt)}
    result.save(out)
    result.write_xyz(out / "atoms.xyz")
    summary = {
        "project": project.path.name,
        "crystal": project.crystal.model_dump(exclude_none=True),
        "atoms": outputs.atoms_summary(result),
        "images": images,
        "registration": joint.summary(),
        "agreement": outputs.agreement_summary(result),
        "reconstruction": outputs.reconstruction_summary(result),
        "warnings": _warnings(stages, joint, result),
        "seed": result.seed,
        "seconds": clock.seconds,
        "versions": outputs.versions(),
    }
    outputs.write_json(out / "summary.json", summary)
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

    figures: list[tuple[str, Path]] = []
    for stage, counts in zip(stages, joint.counts, strict=True):
        name, caption, _ = outputs.fit_figure(stage.image, stage.fit)
        figures.append((caption, outputs.figure_path(out / "figures", name)))  # drawn with its stage
        for name, caption, make in outputs.count_figures(stage.image, stage.fit, counts):
            figures.append((caption, outputs.save_figure(out / "figures", name, make)))
        if stage.indexing.field.degree > 1:
            name, caption, make = outputs.strain_figure(stage.image, stage.indexing)
            figures.append((caption, outputs.save_figure(out / "figures", name, make)))
    for name, caption, make in outputs.result_figures(result):
        figures.append((caption, outputs.save_figure(out / "figures", name, make)))
    title = f"{project.crystal.name} particle from {len(stages)} views"
    viewers.write_report(out / "report.html", title, summary, figures)
