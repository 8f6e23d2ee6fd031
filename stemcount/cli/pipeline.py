"""`stemcount run`: from a project file, or from images in memory, to a result folder.

Every finished stage is kept in OUT/stages under a hash of what it depends on, so a stopped run goes on
where it was, and changing one setting repeats only what depends on it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError
from tqdm import tqdm

import tomo
from stemcount.errors import InputError
from stemcount.images.image import ZoneAxisImage
from stemcount.images.load import ImageLike, as_image, usable_pixels

from .commands.parsing import check_folder
from .core_shell import run_species
from .one_image.columns import GivenImage, counting_settings, given_positions, load_project_image
from .one_species import run_one_species
from .progress import bars_wanted, compiling_told, stage_log, ticking
from .project_file.project import Project, ReconstructionSection, checked_project, folder_name, load_project
from .project_file.project_mistakes import first_mistake
from .result_folder.outputs import REFUSED, drop_earlier_result, set_result_aside
from .run import Run


def run_project(
    project_path: Path | str,
    out: Path | str,
    *,
    runs: int | None = None,
    method: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    progress: bool | Callable[[float], None] = True,
    on_stage: Callable[[str, Any], None] | None = None,
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
        Show progress bars and warnings on stderr; or call with the finished share, 0..1, of the last and
        longest stage, the reconstruction. What it raises stops the run.
    on_stage : callable, optional
        Called as on_stage(name, result) whenever a stage is finished, e.g. to show it in a window.
    figures : bool
        Draw the figures and write the report; they take more than half of a small particle's time.

    Returns
    -------
    tomo.Reconstruction
        Its `warnings` are all that the run has to say, those of the images included.

    Raises
    ------
    InputError
        For a mistake in the project file or images that cannot be what the project says.
    """
    project = with_settings(load_project(project_path), runs=runs, method=method, seed=seed, workers=workers)
    return _run(project, None, Path(out), progress, on_stage, figures)


def run_images(
    images: Sequence[ImageLike],
    crystal: Mapping[str, Any],
    out: Path | str | None = None,
    *,
    progress: bool | Callable[[float], None] = False,
    figures: bool = False,
    **tables: Mapping[str, Any],
) -> tomo.Reconstruction:
    """Reconstruct a particle from images in memory, for scripts that go through many of them.

    Parameters
    ----------
    images : sequence of stemcount.ZoneAxisImage or hyperspy Signal2D
        One for each zone axis, which each must have.
    crystal : mapping
        As [crystal] of a project file: ``{"structure": "fcc", "species": ["Au"], "a": 4.08}``.
    out : path, optional
        Result folder; by default one that is thrown away.
    progress, figures
        As for `run_project`.
    **tables : mapping
        `fit`, `counting`, `microscope` and `reconstruction`, with the keys of a project file's tables.

    Returns
    -------
    tomo.Reconstruction

    Raises
    ------
    InputError
        For a wrong setting and images that cannot be what is said of them.

    Examples
    --------
    ::

        images = [stemcount.ZoneAxisImage(a, 0.2, (1, 1, 0)), stemcount.ZoneAxisImage(b, 0.2, (1, 0, 0))]
        gold = {"structure": "fcc", "species": ["Au"], "a": 4.08}
        result = run_images(images, gold, reconstruction={"method": "sample", "seed": 1, "workers": 1})
        print(len(result.occupied(0.5)), result.warnings)
    """
    loaded = [_with_usable_pixels(image) for image in images]
    names = [folder_name(image.name) for image in loaded]
    loaded = [
        replace(image, name=f"{name}_{number}" if names.count(name) > 1 else name)
        for number, (image, name) in enumerate(zip(loaded, names, strict=True), start=1)
    ]
    sections = [{"file": i.name, "name": i.name, "zone_axis": i.zone_axis} for i in loaded]
    project = checked_project({"crystal": crystal, "image": sections, **tables}, Path("run_images"))
    with nullcontext(out) if out is not None else TemporaryDirectory() as folder:
        return _run(project, loaded, Path(folder), progress, None, figures)


def _with_usable_pixels(image: ImageLike) -> ZoneAxisImage:
    """An image from memory, of which nobody has said which pixels may be used, as a file's is loaded."""
    if not isinstance(image, ZoneAxisImage) or image.valid is not None:
        return as_image(image)
    return replace(image, valid=usable_pixels(image.data, image.pixel_size))


def _run(
    project: Project,
    images: Sequence[ZoneAxisImage] | None,
    out: Path,
    progress: bool | Callable[[float], None],
    on_stage: Callable[[str, Any], None] | None,
    figures: bool,
) -> tomo.Reconstruction:
    """All stages of a project, whose images are loaded unless they are given."""
    check_folder(out)
    several_species = len(project.crystal.crystal().sublattices) > 1
    steps = (1 if several_species else 4) * len(project.image) + 4
    shown = progress is True
    bars = shown and bars_wanted()
    told = compiling_told() if shown else nullcontext()
    with told, tqdm(total=steps, disable=not bars, leave=False) as bar, ticking(bar):
        say = bar.set_description if bars else stage_log() if shown else None
        run = Run(project, out, figures, progress if callable(progress) else bars, on_stage, say, bar)
        with run.stage("loading"):  # all at once, so that a wrong file is told before any work is done
            images = images or [load_project_image(project, section) for section in project.image]
            given = [
                GivenImage(
                    section, image, given_positions(project, section), counting_settings(project, index)
                )
                for index, (section, image) in enumerate(zip(project.image, images, strict=True))
            ]
        with _earlier_result_aside(out, shown):
            result = run_species(run, given) if several_species else run_one_species(run, given)
    if shown:
        for warning in result.warnings:
            print(f"warning: {warning}", file=sys.stderr)
    return result


@contextmanager
def _earlier_result_aside(out: Path, say: bool) -> Iterator[None]:
    """Keep the folder's earlier result aside until there is a new one; a run that ends without says where.

    A run that is refused leaves the sentence why in the folder, beside what it measured, and what is wrong
    with its images, if anything.

    A full disc is told of without a file's name; then it is the folder's disc.
    """
    aside = set_result_aside(out)
    (out / REFUSED).unlink(missing_ok=True)
    try:
        yield
    except BaseException as error:  # a refusal, a mistake of the program, Ctrl-C
        notes = getattr(error, "__notes__", [])
        if isinstance(error, InputError | tomo.InputError):
            with suppress(OSError):  # the sentence itself is told in any case
                out.mkdir(parents=True, exist_ok=True)
                (out / REFUSED).write_text("".join(f"{said}\n" for said in (error, *notes)), encoding="utf-8")
            if say:
                print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)
        if isinstance(error, OSError) and error.errno == ENOSPC and error.filename is None:
            error.filename = str(out)
        if aside is not None:
            note = f"The earlier result is in {aside}."
            error.add_note(note)
            if say:
                print(note, file=sys.stderr)
        raise
    drop_earlier_result(out)


def with_settings(project: Project, **overrides: Any) -> Project:
    """The project with the given [reconstruction] settings in place of its own; None leaves one alone."""
    given = {name: value for name, value in overrides.items() if value is not None}
    section = project.reconstruction.model_dump() | given
    try:
        changed = ReconstructionSection(**section)
    except ValidationError as error:
        raise InputError(f"--{first_mistake(error, given, ReconstructionSection)}") from error
    return project.model_copy(update={"reconstruction": changed})
