"""Certainties where the images leave the number of atoms open."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli import one_species
from stemcount.cli.all_views import doubts
from stemcount.cli.all_views.doubts import (
    mixed,
    other_scales,
    scaled_counts,
    with_rivals,
    with_scale_in_doubt,
    with_smoother_crystal,
)
from stemcount.cli.all_views.outcomes import Outcome
from stemcount.cli.all_views.view_readings import moments
from stemcount.cli.all_views.views import JointReading, OtherCrystal
from stemcount.cli.pipeline import run_images
from stemcount.results import Hypothesis
from tomo.placing.smoother import SmootherCrystal

ROW = np.array([(0, 0, 2 * n) for n in range(6)])


@dataclass(frozen=True)
class Joint:
    """What of a joint reading the number of atoms is judged by."""

    counts: tuple
    registration: object
    readings: object
    fits: tuple

    @property
    def expected(self):
        return [moments(counts)[0] for counts in self.counts]


def read(values, width=0.3):
    """Counts with a class at every whole number up to 8."""
    k = np.arange(9.0)
    return stemcount.counts_from_hypothesis(
        values, Hypothesis(k, np.full(9, width), np.full(9, 1 / 9), 0, 8, 0.0)
    )


def joint_of(counts, fit, total, std):
    """One view, all of whose columns take part, that alone shows so many atoms."""
    registration = SimpleNamespace(used=(np.ones(len(counts.count), dtype=bool),))
    return Joint((counts,), registration, SimpleNamespace(totals=((total, std),)), (fit,))


def result_of(atoms, expected_wrong=0.0):
    """A result that holds the first so many sites of a row for sure."""
    sites = ROW[:atoms]
    return tomo.Reconstruction(
        sites=sites,
        certainty=np.ones(atoms),
        runs=np.ones((2, atoms), dtype=bool),
        energy=np.zeros(2),
        views=(),
        method="anneal",
        seed=0,
        edge_weight=0.5,
        diagnostics={"expected_wrong": expected_wrong},
        warnings=("other: stays.", "certainty: goes."),
    )


def row_of(atoms):
    """The first so many sites of a row, all of them sure."""
    return ROW[:atoms], np.ones(atoms)


def test_cross_sections_are_read_as_so_many_times_more_atoms():
    fit = SimpleNamespace(cross_section=np.array([1.0, 2.0, 4.0]), noise_std=np.full(3, 1e-6))
    counts = read(fit.cross_section)
    assert scaled_counts(counts, fit, 2.0).count.tolist() == [2, 4, 8]
    assert scaled_counts(counts, fit, 0.5).count[1:].tolist() == [1, 2]
    assert len(scaled_counts(counts, fit, 2.0).chosen.mean) == 17
    as_wide = replace(counts, chosen=replace(counts.chosen, width=0.1 + 0.05 * np.arange(9)))
    twice = scaled_counts(as_wide, fit, 2.0).chosen
    assert twice.mean[[2, 4, 8]].tolist() == pytest.approx([1, 2, 4])
    assert twice.width[[2, 4, 8]].tolist() == pytest.approx([0.15, 0.2, 0.3])


def test_certainties_are_the_mean_over_crystals_of_more_and_fewer_atoms():
    found = mixed(result_of(4, 0.3), [row_of(2), row_of(6)], [1 / 3, 1 / 3], "they differ")
    assert found.certainty.tolist() == pytest.approx([1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert found.sites.tolist() == ROW.tolist()
    assert found.runs.sum() == 2 * 4
    assert found.diagnostics["expected_wrong"] == pytest.approx(0.3 / 3 + 2 / 3 + 2 / 3)
    assert found.diagnostics["other_crystals"] == pytest.approx(2 / 3)
    assert found.warnings[0] == "other: stays."
    assert found.warnings[1] == "certainty: they differ; about 1 of 4 atoms are expected to be wrong."


def test_the_crystal_stays_whatever_the_others_say():
    found = mixed(result_of(4), [row_of(6), row_of(6)], [0.45, 0.45], "")
    assert found.occupied().tolist() == ROW[:4].tolist()
    assert found.certainty[4] == pytest.approx(0.5)
    assert found.diagnostics["expected_wrong"] == pytest.approx(0.9 * 2)


def test_others_that_say_the_same_leave_the_result_as_it_is():
    result = result_of(4)
    assert mixed(result, [row_of(4)], [0.5], "") is result


def test_a_more_probable_crystal_is_laid_over_the_result():
    stump = np.array([(0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 3, 0), (1, -1, 0)])
    result = replace(result_of(5), sites=stump)
    turned = stump[:4, [2, 0, 1]] + (4, 2, 2)
    found = with_smoother_crystal(result, turned)
    assert found.diagnostics["expected_wrong"] == pytest.approx(0.9)
    assert found.certainty.tolist() == pytest.approx([1.0, 0.5, 1.0, 1.0, 1.0])
    assert with_smoother_crystal(result, stump[:, [2, 0, 1]]) is result
    assert with_smoother_crystal(result, stump[:0]) is result


def test_rivals_enter_as_they_are_probable_wherever_they_lie():
    stump = np.array([(0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 3, 0), (1, -1, 0)])
    result = replace(result_of(5), sites=stump)
    turned, longer = stump[:4, [2, 0, 1]] + (4, 2, 2), np.vstack([stump, [(4, 4, 0), (5, 5, 0)]])
    found = with_rivals(result, [OtherCrystal(turned, 0.2), OtherCrystal(longer, 0.3)])
    assert found.occupied().tolist() == sorted(stump.tolist())
    assert sorted(found.certainty) == pytest.approx([0.3, 0.3, 0.8, 1.0, 1.0, 1.0, 1.0])
    assert found.diagnostics["expected_wrong"] == pytest.approx(0.2 * 1 + 0.3 * 2)
    assert found.diagnostics["other_crystals"] == pytest.approx(0.5)
    assert "read or placed otherwise" in found.warnings[1]
    assert with_rivals(result, []) is result


@pytest.mark.parametrize("smoother", [None, ROW[:2]])
def test_rivals_count_where_no_other_doubt_is_raised(monkeypatch, smoother):
    others = (OtherCrystal(ROW[:3], 0.4),)
    joint = JointReading((), SimpleNamespace(registration=None), (), (), (), others)
    found = None if smoother is None else SmootherCrystal(smoother, "mirrored")
    monkeypatch.setattr(one_species, "confirm_crystal", lambda joint, *_: joint)
    monkeypatch.setattr(tomo, "smoother_crystal", lambda *_, **__: found)
    settings = SimpleNamespace(seed=0, workers=1, vacancies=None)
    project = SimpleNamespace(reconstruction=settings)
    joint, result = one_species._confirmed(project, joint, [], result_of(5), [], [])
    assert result.diagnostics["other_crystals"] == pytest.approx(0.4 if smoother is None else 0.9)
    assert joint.warnings == (() if smoother is None else ("mirrored",))


@pytest.fixture
def counted(monkeypatch):
    """Counts of 60 columns, their fit, and settling that ends where `ends` says, by number of atoms."""
    values = np.repeat([2.0, 4.0, 6.0], 20)
    fit = SimpleNamespace(cross_section=values, noise_std=np.full(60, 0.01))
    ends = {}

    def settled(joint, *_):
        atoms = int(joint.counts[0].count.sum())
        held = ends.get("held", lambda _: None)(atoms)
        return Outcome(joint, held, atoms)

    monkeypatch.setattr(doubts, "recount_until_consistent", settled)
    return read(values), fit, ends


def test_totals_are_as_probable_as_the_images_say_where_nothing_settles(counted):
    counts, fit, _ = counted
    found = other_scales(joint_of(counts, fit, 240.0, 60.0), None)
    assert [other.weight for other in found] == pytest.approx([1 / 3, 1 / 3])
    few, many = (int(other.joint.counts[0].count.sum()) for other in found)
    assert few == pytest.approx(240 * np.exp(-0.25 * 1.5**0.5), rel=0.1)  # of whole atoms
    assert many == pytest.approx(240 * np.exp(0.25 * 1.5**0.5), rel=0.1)


def test_no_total_is_more_than_a_factor_of_two_in_doubt(counted):
    counts, fit, _ = counted
    found = other_scales(joint_of(counts, fit, 240.0, 2400.0), None)
    few, many = (int(other.joint.counts[0].count.sum()) for other in found)
    assert few == pytest.approx(240 / 2 ** (1.5**0.5), rel=0.2)
    assert many == pytest.approx(240 * 2 ** (1.5**0.5), rel=0.1)


def test_no_other_number_of_atoms_is_more_probable_than_the_one_that_is_shown(counted):
    counts, fit, ends = counted
    own = int(counts.count.sum())
    ends["held"] = lambda atoms: (np.zeros(60, int) if atoms == own else counts.count * atoms // own,)
    found = other_scales(joint_of(counts, fit, 240.0, 60.0), None)
    assert [other.weight for other in found] == pytest.approx([1 / 3, 1 / 3])


def test_counts_that_the_user_fixed_are_in_no_doubt(counted, monkeypatch):
    counts, fit, _ = counted
    monkeypatch.setattr(doubts, "other_scales", None)
    joint, result = joint_of(counts, fit, 240.0, 60.0), result_of(4)
    assert counts.verdict == "given"
    assert with_scale_in_doubt(None, joint, result) is result


def test_a_total_that_is_known_leaves_no_other(counted):
    counts, fit, _ = counted
    assert other_scales(joint_of(counts, fit, 240.0, 0.0), None) == []


def test_crystals_that_explain_the_cross_sections_worse_do_not_count(counted):
    counts, fit, ends = counted
    ends["held"] = lambda _: (np.repeat([2, 4, 6], 20),)
    found = other_scales(joint_of(counts, fit, 240.0, 60.0), None)
    assert all(other.weight < 1e-6 for other in found)


def test_settling_that_overturns_a_sure_total_is_not_believed(counted):
    counts, fit, ends = counted
    ends["held"] = lambda _: (np.repeat([2, 4, 6], 20),)
    found = other_scales(joint_of(counts, fit, 200.0, 5.0), None)
    assert [other.weight for other in found] == pytest.approx([1 / 3, 1 / 3])


def test_numbers_of_atoms_with_which_the_views_contradict_each_other_do_not_count(counted, monkeypatch):
    counts, fit, _ = counted
    own = int(counts.count.sum())

    def refused_elsewhere(joint, *_):
        atoms = int(joint.counts[0].count.sum())
        if atoms != own:
            raise tomo.InputError("their counts are too different for one crystal.")
        return Outcome(joint, (np.repeat([2, 4, 6], 20),), atoms)

    monkeypatch.setattr(doubts, "recount_until_consistent", refused_elsewhere)
    assert other_scales(joint_of(counts, fit, 240.0, 60.0), None) == []


def test_a_run_tells_most_of_the_wrong_atoms_of_a_mirrored_image(tmp_path, monkeypatch):
    sites = tomo.phantoms.random_particle(120, "stepped", seed=0)
    images = [
        stemcount.simulate_crystal(
            sites * 2.04, axis, pixel_size=0.18, width=0.5, atom_cross_section=0.04, dose=5e4, angle=20 * n
        )[0]
        for n, axis in enumerate([(1, 1, 0), (1, 0, 0)])
    ]
    images = [replace(images[0], name="v0", data=images[0].data[:, ::-1]), replace(images[1], name="v1")]
    gold = {"structure": "fcc", "species": ["Au"], "a": 4.08}
    result = run_images(images, gold, tmp_path, reconstruction={"workers": 1})
    found = tomo.compare_sites(result.occupied(), sites)
    assert found.missed + found.false > 20
    assert result.diagnostics["expected_wrong"] > 0.6 * (found.missed + found.false)
    assert any("the much smoother crystal is probably the right one" in said for said in result.warnings)

    # columns that differ make a crystal ragged: then the number of atoms is what is in doubt
    monkeypatch.setattr(one_species, "scatter_warning", lambda *_: "columns differ")
    monkeypatch.setattr(
        one_species, "with_scale_in_doubt", lambda *given: replace(given[-1], warnings=("certainty: total",))
    )
    result = run_images(images, gold, tmp_path, reconstruction={"workers": 1})
    assert {"columns differ", "certainty: total"} < set(result.warnings)
    assert not any("probably the right one" in said for said in result.warnings)
