"""What scripts read of a run."""

import json
from dataclasses import replace

import numpy as np

import tomo
from stemcount.cli.result_folder.outputs import in_a_sentence, write_json


def test_numbers_that_json_does_not_know_become_null(tmp_path):
    content = {"margin": np.inf, "rms": [np.float64("nan"), np.int64(3)], "shares": np.array([0.5, -np.inf])}
    write_json(tmp_path / "summary.json", content)

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    text = (tmp_path / "summary.json").read_text()
    assert json.loads(text, parse_constant=refuse) == {
        "margin": None,
        "rms": [None, 3],
        "shares": [0.5, None],
    }


def test_a_run_says_what_it_found():
    crystal = tomo.fcc("Au", 4.08)
    sites = tomo.phantoms.random_particle(60, seed=1)
    views = tomo.phantoms.views_of(sites, [(1, 0, 0), (1, 1, 0)])
    agreed = tomo.reconstruct(views, crystal=crystal, runs=2, seed=0)
    assert in_a_sentence(agreed) == f"{len(agreed.occupied(0.5))} Au atoms; the runs differ on 0 sites"
    doubted = replace(agreed, diagnostics={"expected_wrong": 6.04, "other_crystals": 0.9})
    assert in_a_sentence(doubted).endswith("; 6.0 expected to be wrong")
    drawn = tomo.reconstruct(views, crystal=crystal, method="sample", runs=2, seed=0)
    assert in_a_sentence(drawn).endswith("expected to be wrong")
