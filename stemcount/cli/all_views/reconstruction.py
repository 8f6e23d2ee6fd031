"""Repeated reconstructions with the settings of a project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tomo

from ..project_file.project import Project


def reconstruct_project(
    project: Project,
    views: Sequence[tomo.View],
    out: Path,
    progress: bool | Callable[[float], None],
    **constraints: Any,
) -> tomo.Reconstruction:
    """`tomo.reconstruct` as [reconstruction] says; finished runs are kept in the result folder `out`."""
    settings = project.reconstruction
    return tomo.reconstruct(
        views,
        runs=settings.runs,
        method=settings.method,
        seed=settings.seed,
        workers=settings.workers,
        crystal=project.crystal.crystal(),
        edge_weight=settings.edge_weight,
        vacancies=settings.vacancies,
        progress=progress,
        checkpoint=out / "stages" / "runs",
        **constraints,
    )
