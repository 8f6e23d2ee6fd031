"""Reconstructions with the settings of a project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tomo

from ..project_file.project import Project
from ..run import Run

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


def reconstruct_project(run: Run, views: Sequence[tomo.View], **constraints: Any) -> tomo.Reconstruction:
    """All runs that [reconstruction] asks for; those that are finished are kept with the run's stages."""
    settings = run.project.reconstruction
    given = {
        "runs": settings.runs,
        "method": settings.method,
        "edge_weight": settings.edge_weight,
        "progress": run.progress,
        "checkpoint": run.kept / "runs",
    }
    return reconstruct_as(run.project)(views, **{**given, **constraints})
