"""Settings of [reconstruction] that reach the reconstruction."""

import numpy as np
import pytest

import tomo
from stemcount.cli.all_views.reconstruction import reconstruct_project
from stemcount.cli.project_file.project import load_project
from stemcount.cli.run import Run
from tomo.phantoms import add_vacancies, random_particle, views_of


@pytest.mark.parametrize(("line", "missing"), [("", 1), ("vacancies = false", 0)])
def test_a_vacancy_is_filled_if_the_project_says_so(tmp_path, project_file, gold, line, missing):
    solid = random_particle(600, "faceted", seed=4)
    holed = add_vacancies(solid, np.random.default_rng(1), 1)
    project = load_project(project_file(f"{gold}\n[reconstruction]\nruns = 2\n{line}\n"))
    views = views_of(holed, [(1, 1, 0), (1, 0, 0), (0, 1, 0)])
    result = reconstruct_project(Run(project, tmp_path), views)
    assert len(solid) - len(result.occupied()) == missing
    assert any("vacancies = false fills" in text for text in result.warnings) == bool(missing)
    assert result.crystal == tomo.fcc("Au", a=4.08)
