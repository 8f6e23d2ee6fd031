"""Readings chosen together from made-up cross-sections; views of rods, whose columns are all alike."""

from dataclasses import replace

import numpy as np
import pytest

from tomo import Reading, choose_readings, fcc, reading_of
from tomo.phantoms import indexed_columns, random_particle
from tomo.placing import placement, reading_search
from tomo.placing.agreement import COUNTED, UNSETTLED, BiasPrior, agreement_log_likelihood
from tomo.placing.placement import Candidate, place_views
from tomo.placing.planes import PlaneSums
from tomo.placing.reading_evidence import Scored
from tomo.placing.registration import THIN_MARGIN, counted_lines

GOLD = fcc("Au", a=4.08)
AXES = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]


def indexed(sites, zone_axis):
    return indexed_columns(sites, zone_axis, GOLD)


def probabilities(measured, width):
    """P(k atoms) of columns in which so many atoms were measured with this error."""
    k = np.arange(measured.max() + 5)
    density = np.exp(-0.5 * ((measured[:, None] - k) / width) ** 2) * (k > 0) + 1e-9
    return density / density.sum(axis=1, keepdims=True)


def test_one_atom_in_every_column_does_not_win():
    """A reading without any spread agrees with itself in all planes of a rod, though it explains no view."""
    rng = np.random.default_rng(1)
    views = [indexed(random_particle(500, "rod", 1), axis) for axis in AXES]
    options = []
    for _, atoms in views:
        measured = atoms + 0.2 * rng.standard_normal(len(atoms))
        ones = reading_of(-250.0, np.tile([0.0, 1.0], (len(atoms), 1)))
        options.append([reading_of(0.0, probabilities(measured + off, 0.2)) for off in (0, -1, 1)] + [ones])
    joint = choose_readings([indexing for indexing, _ in views], options)
    assert joint.registration.verdict == "consistent"
    for (total, _), (_, atoms) in zip(joint.totals, views, strict=True):
        assert total == pytest.approx(atoms.sum(), rel=0.005)


def test_counts_as_blurred_as_they_say_do_not_lose_against_lower_ones_that_leave_more_room():
    """Errors of right counts fit into no crystal either; 6 % fewer atoms in every column do."""
    rng = np.random.default_rng(5)
    sites = random_particle(3000, "stepped", 5)
    views = [indexed(sites, axis) for axis in ((1, 0, 0), (0, 1, 0))]
    options = []
    for _, atoms in views:
        k = np.arange(atoms.max() + 5)
        sections = atoms + 0.4 * rng.standard_normal(len(atoms))
        density = np.exp(-0.5 * ((sections[:, None] - k) / 0.4) ** 2) * (k > 0)
        right = reading_of(1.0, density / density.sum(axis=1, keepdims=True))
        options.append([right, Reading(0.0, 0.94 * right.expected, right.variance)])
    assert choose_readings([indexing for indexing, _ in views], options).chosen == (0, 0)


def test_the_placing_is_that_of_all_readings_unless_the_room_is_against_it(monkeypatch):
    """One reading alone is far better placed elsewhere; the atoms of all say otherwise, by little."""
    right = Candidate(340.0, (0, 0), ((0, 0), (0, -1)))
    wrong = Candidate(380.0, (0, 0), ((0, 0), (0, 0)))
    only = np.zeros((1, 2), dtype=int)
    scored = {c.placing: Scored(only, np.array([e])) for c, e in ((right, 2.0), (wrong, 0.0))}
    read = [[np.ones(3)], [np.ones(3)]]
    monkeypatch.setattr(reading_search, "place_views", lambda views, prior, asked: [wrong, right])
    monkeypatch.setattr(reading_search, "rank_by_room", lambda views, candidates: candidates)
    found = reading_search.most_probable(read, scored)
    assert [c.placing for c in found.ranked] == [right.placing, wrong.placing]
    assert [c.score for c in found.ranked] == [2.0, 0.0]
    assert found.candidates == [right, wrong]
    cramped = replace(right, score=right.score - 10.0)
    monkeypatch.setattr(reading_search, "rank_by_room", lambda views, candidates: [wrong, cramped])
    assert reading_search.most_probable(read, scored).ranked[0].placing == wrong.placing


@pytest.mark.parametrize(("size", "variance", "tied"), [(100, 1.0, True), (400, 0.1, False)])
def test_placings_that_all_readings_leave_nearly_tied_are_told(size, variance, tied):
    """Blurred counts of a small rod do not say which way round a view is; sharp ones of a larger one do."""
    shown = [indexed(random_particle(size, "rod", seed=3), axis) for axis in ((1, 0, 0), (1, 1, 0))]
    options = [
        [Reading(0.0, s * n + off, np.full(len(n), variance)) for s in (1, 0.9) for off in (0, 1)]
        for _, n in shown
    ]
    indexings = [indexing for indexing, _ in shown]
    joint = choose_readings(indexings, options)
    assert (joint.registration.margin < THIN_MARGIN) == tied
    assert ("another placing of the views" in " ".join(joint.registration.warnings)) == tied
    assert bool(joint.placings) == tied
    for placing in joint.placings:
        other = choose_readings(indexings, options, placing=placing).registration
        assert other.candidates[0].rotations == placing[0]
        assert other.candidates[0].placing != joint.registration.candidates[0].placing


def test_a_placing_that_is_asked_for_is_among_the_candidates(monkeypatch):
    monkeypatch.setattr(placement, "WINDOW", 1.0)  # as if the particle were large
    shown = [indexed(random_particle(400, "rough", seed=2), axis) for axis in ((1, 0, 0), (1, 1, 0))]
    views = counted_lines([i for i, _ in shown], [atoms for _, atoms in shown], None, None, None)
    few = place_views(views, COUNTED)
    i, j = few[0].shifts[1]
    far = (few[0].rotations, (few[0].shifts[0], (i, j + 3)))
    far_too = place_views(views, COUNTED, far)
    assert far not in [c.placing for c in few]
    assert far_too[:-1] == few
    assert far_too[-1].placing == far


@pytest.mark.parametrize("prior", [BiasPrior(), UNSETTLED])
def test_no_bias_makes_columns_vanish(prior):
    """Two equal halves of a rod side by side share no plane; one upon the other, all."""
    n = 30
    planes, full, empty = np.arange(2 * n), np.repeat([27.0, 0.0], n), np.repeat([0.0, 27.0], n)
    sums = PlaneSums(
        (0, 0, 1), planes, 3.4 * full, 3.4 * empty, full + empty, full, empty, planes >= 0, planes >= 0
    )
    assert agreement_log_likelihood(sums, prior) < 0


def test_a_reading_that_overturns_no_view_is_a_rival():
    """Two layers, each view sure of its counts: a particle as thick as wide would have four times as many."""
    grid = np.argwhere(np.ones((17, 17, 2), dtype=bool))
    layers = grid[(grid.sum(axis=1) % 2 == 0) & (np.hypot(*(grid[:, :2] - 8).T) < 8)]
    views = [indexed(layers, axis) for axis in ((0, 0, 1), (1, 0, 1))]
    options = [
        [Reading(off, times * atoms, np.full(len(atoms), 0.02)) for times, off in ((1, 0.0), (4, -4.0))]
        for _, atoms in views
    ]
    joint = choose_readings([indexing for indexing, _ in views], options)
    assert joint.chosen == (1, 1)
    assert joint.rivals[-1] == (0, 0)
