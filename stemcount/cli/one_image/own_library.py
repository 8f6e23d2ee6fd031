"""A library of the cross-sections that an image's own microscope gives, simulated within the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import stemcount
from stemcount.results import AtomCounts

from ..commands.library import SETTING_ERROR
from ..project_file.project import Project, ZoneAxis
from ..result_folder.store import remember, stage_key

BLOCK = 10  # atoms: libraries end at a multiple, so that images along axes of one kind share theirs


def own_library(project: Project, zone_axis: ZoneAxis, counts: AtomCounts, kept: Path) -> NDArray[np.float64]:
    """V(1..n) of the project's crystal in its microscope, and with each setting changed: (n, 4) [A^2].

    n is at least what any reading of the image without a library, `counts`, takes its thickest column for.
    The crystal is the same along axes that differ by signs and order only. Kept in the folder `kept`.
    """
    microscope = project.microscope
    assert microscope is not None
    thickest = max(reading.offset + reading.n_components - 1 for reading in counts.alternatives)
    atoms = BLOCK * int(np.ceil(thickest / BLOCK))
    kind = sorted(map(abs, zone_axis), reverse=True)

    def simulated() -> NDArray[np.float64]:
        return stemcount.simulate_library(
            project.crystal.name,
            project.crystal.a,
            (kind[0], kind[1], kind[2]),
            atoms,
            setting_error=SETTING_ERROR,
            **microscope.model_dump(),
        )

    asked = project.crystal.name, project.crystal.a, kind, atoms, microscope.model_dump()
    name = f"library_{'_'.join(map(str, kind))}_{atoms}.npz"
    return remember(kept / name, stage_key(*asked), simulated)
