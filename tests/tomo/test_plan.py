import numpy as np
import pytest

from tomo import InputError, plan_experiment

AXES = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]


def test_more_count_errors_make_more_wrong_atoms():
    plans = [plan_experiment(300, AXES, count_error=p, particles=2, runs=4) for p in (0.0, 0.6)]
    assert plans[0].mean < 0.01
    assert plans[0].mean < plans[1].mean < 0.15
    assert plans[1].spread >= 0
    assert np.all(plans[1].atoms > 200)
    foretold = [plan.expected_wrong.sum() / plan.atoms.sum() for plan in plans]
    assert foretold[0] < 0.01 < foretold[1] < 3 * plans[1].mean + 0.02


def test_soft_counts_and_annealing():
    plan = plan_experiment(
        300, AXES[::2], class_width=0.3, particles=2, method="anneal", runs=3, kind="faceted"
    )
    assert plan.wrong_share.shape == (2,)
    assert plan.mean < 0.1


def test_a_single_view_is_judged_wherever_the_crystal_lies_along_the_beam():
    plan = plan_experiment(200, [(1, 1, 0)], count_error=0.0, particles=2, method="anneal", runs=2)
    assert plan.mean < 0.15


def test_hopeless_counts_are_answered_not_refused():
    """Totals of the views that differ by half are noise here: the particle is known to be one."""
    plan = plan_experiment(100, AXES[::2], class_width=5.0, particles=2, method="anneal", runs=2)
    assert plan.mean > 0.3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "count_error"),
        ({"count_error": 0.1, "class_width": 0.2}, "class_width"),
        ({"class_width": 0.0}, "class_width: expected more than 0"),
        ({"count_error": 0.1, "kind": "round"}, "kind"),
        ({"count_error": 0.1, "particles": 0}, "particles"),
    ],
)
def test_bad_arguments_are_named(change, word):
    with pytest.raises(InputError, match=word):
        plan_experiment(200, AXES, **change)


def test_one_direction_twice_is_refused():
    with pytest.raises(InputError, match="along one line"):
        plan_experiment(200, [(1, 0, 0), (2, 0, 0)], count_error=0.1)
