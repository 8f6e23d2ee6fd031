"""Reconstructions with the settings of a project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tomo

from ..project_file.project import Project

Reconstruct = Callable[..., tomo.Reconstruction]  # `tomo.reconstruct` with some of its settings given


def reconstruct_as(project: Project) -> Reconstruct:
    """`tomo.reconstruct` of the project's crystal, with its seed and workers, and vacancies if it has any."""
    settings = project.reconstruction
    return partial(
        tomo.reconstruct,
        seed=settings.seed,
        workers=settings.workers,
        crystal=project.crystal.crystal(),
        vacancies=settings.vacancies,
    )


def reconstruct_project(
    project: Project,
    views: Sequence[tomo.View],
    out: Path,
    progress: bool | Callable[[float], None],
    **constraints: Any,
) -> tomo.Reconstruction:
    """All runs that [reconstruction] asks for; finished runs are kept in the result folder `out`."""
    settings = project.reconstruction
    return reconstruct_as(project)(
        views,
        runs=settings.runs,
        method=settings.method,
        edge_weight=settings.edge_weight,
        progress=progress,
        checkpoint=out / "stages" / "runs",
        **constraints,
    )
