"""What scripts read of a run."""

import json

import numpy as np

from stemcount.cli.outputs import write_json


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
