"""`stemcount plan`: a forecast before the experiment."""

import pytest

import tomo
from stemcount.cli.commands.plan import print_plan


def forecast(**given):
    settings = {
        "count_error": None,
        "class_width": None,
        "kind": "faceted",
        "particles": 2,
        "method": "anneal",
    }
    return print_plan(["100", "0,1,0", "110"], 200, **(settings | given), seed=0, workers=2)


def test_exact_counts_of_three_views_leave_little_open(capsys):
    plan = forecast(count_error=0.0)
    assert plan.mean <= 0.02
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4
    assert said[2].startswith("expect ")
    assert said[3] == f"the reconstructions themselves foretell {100 * plan.expected_wrong.sum() / 406:.2f} %"


def test_wrong_counts_cost_atoms():
    assert forecast(count_error=0.5).mean >= forecast(count_error=0.0).mean


def test_one_kind_of_error_must_be_given():
    with pytest.raises(tomo.InputError, match="count_error or class_width"):
        forecast()
