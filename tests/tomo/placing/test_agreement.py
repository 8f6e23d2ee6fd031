"""Agreement of plane sums, and the joint choice of readings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomo import (
    InputError,
    Reading,
    View,
    agreement_log_likelihood,
    choose_readings,
    fcc,
    index_columns,
    pair_agreement,
    plane_sums,
    reading_of,
    zone_geometry,
)
from tomo.phantoms import column_counts, random_particle, soft_views_of, views_of
from tomo.placing.agreement import UNSETTLED, BiasPrior, tolerant_log_likelihood
from tomo.placing.planes import PlaneSums

axes = st.sampled_from(
    [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 1, 1), (1, 1, 2), (2, 1, 0)]
)


@settings(max_examples=25, deadline=None)
@given(axes, axes, st.integers(0, 20))
def test_planes_of_a_crystal_hold_the_same_in_both_views(first, second, seed):
    if first == second:
        return
    one, two = views_of(random_particle(80, "rough", seed), [first, second])
    sums = plane_sums(one, two)
    np.testing.assert_array_equal(sums.first, sums.second)
    assert sums.first.sum() == one.counts.sum()
    assert sums.seen.all()
    assert agreement_log_likelihood(sums) > 0


def test_soft_counts_bring_their_variance():
    one, two = soft_views_of(random_particle(300, "rough", 1), [(1, 0, 0), (1, 1, 0)], 0.3)
    sums = plane_sums(one, two)
    assert (sums.variance > 0).any()
    assert pair_agreement(sums).excess < 2


def test_planes_with_unknown_or_unseen_columns_are_left_out():
    sites = [(0, 0, 0), (0, 1, 1), (0, 0, 2)]
    one = View((1, 0, 0), sites, counts=[2, -1, 1])
    two = View((0, 1, 0), [(0, 0, 0), (0, 1, 1)], counts=[2, 1], unseen_sites=[(0, 0, 2)])
    sums = plane_sums(one, two)
    known = {(int(p), bool(s)) for p, s in zip(sums.plane, sums.seen, strict=True)}
    assert known == {(0, True), (1, False), (2, False)}
    assert pair_agreement(sums).planes == 1


def test_agreement_falls_with_shift_and_with_errors():
    one, two = views_of(random_particle(800, "stepped", 2), [(1, 0, 0), (1, 1, 0)])
    good = agreement_log_likelihood(plane_sums(one, two))
    moved = View((1, 1, 0), two.column_sites + np.array([0, 0, 2]), counts=two.counts)
    assert agreement_log_likelihood(plane_sums(one, moved)) < good - 5
    other = views_of(random_particle(800, "stepped", 40), [(1, 1, 0)])[0]
    assert agreement_log_likelihood(plane_sums(one, other)) < good - 10
    assert pair_agreement(plane_sums(one, other)).excess > 2


def test_slow_bias_is_told_from_disagreement():
    one, two = views_of(random_particle(1500, "rough", 4), [(1, 0, 0), (1, 1, 0)])
    low = View((1, 1, 0), two.column_sites, counts=np.rint(two.counts * 0.9).astype(int))
    pair = pair_agreement(plane_sums(one, low))
    assert pair.relative_difference > 0.08
    assert pair.relative_remainder < 0.04
    assert pair.bias > 0.03
    lower = View((1, 1, 0), two.column_sites, counts=np.rint(two.counts * 0.6).astype(int))
    loose = agreement_log_likelihood(plane_sums(one, lower), UNSETTLED)
    assert loose > agreement_log_likelihood(plane_sums(one, lower))


def test_a_plane_that_one_image_does_not_show_whole_may_hold_fewer_atoms_there_but_not_more():
    planes = np.arange(10)
    atoms, columns = np.full(10, 30.0), np.full(10, 6.0)
    whole, cut = planes >= 0, planes < 0

    def agreement(second, first_seen=whole):
        sums = PlaneSums((0, 0, 1), planes, atoms, second, 0.2 * columns, columns, columns, first_seen, cut)
        assert not len(sums.only_seen().plane)
        return agreement_log_likelihood(sums), tolerant_log_likelihood(sums)

    shares = [1.0, 0.8, 0.4, 1.5]
    for all_there, some_there, little, too_many in zip(*(agreement(s * atoms) for s in shares), strict=True):
        assert min(all_there, some_there) > little + 3
        assert some_there > 0 > too_many
    assert agreement(1.2 * atoms, first_seen=cut)[0] > agreement(1.2 * atoms)[0] + 5  # either may lack some


def test_no_planes_say_nothing():
    one = View((1, 0, 0), [(0, 0, 0)], counts=[-1])
    two = View((0, 1, 0), [(0, 0, 0)], counts=[1])
    assert agreement_log_likelihood(plane_sums(one, two)) == 0.0


GOLD = fcc("Au", a=4.08)
THREE = [(0, 0, 1), (1, 0, 0), (1, 1, 0)]


def look(sites, zone_axes, rng):
    indexings, counts = [], []
    for axis in zone_axes:
        columns, atoms = column_counts(sites, axis)
        zone = zone_geometry(axis)
        points = zone.positions(zone.lines(columns), GOLD.a) + rng.normal(0, 0.03, (len(atoms), 2))
        indexings.append(index_columns(*points.T, axis, GOLD))
        wrong = np.where(rng.random(len(atoms)) < 0.15, rng.choice([-1, 1], len(atoms)), 0)
        counts.append(np.maximum(atoms + wrong, 1).astype(float))
    return indexings, counts


def readings_of(counts):
    """The right reading last, after wrong ones that look as good to the view itself."""
    top = counts.max()
    wrong = [
        counts + 1,
        np.maximum(counts - 1, 1),
        np.rint(counts * (top + 1) / top),
        np.maximum(counts // 2, 1),
    ]
    return [Reading(0.0, c, np.full(len(c), 0.2)) for c in [*wrong, counts]]


@pytest.mark.parametrize(("zone_axes", "seed"), [(THREE, 0), ([(1, 1, 0), (1, 0, 0), (0, 1, 0)], 1)])
def test_views_settle_each_others_order(zone_axes, seed):
    sites = random_particle(700, ("rough", "stepped")[seed], seed)
    indexings, counts = look(sites, zone_axes, np.random.default_rng(seed))
    joint = choose_readings(indexings, [readings_of(c) for c in counts])
    assert joint.chosen == (4, 4, 4)
    assert all(p.sum() == pytest.approx(1) and p.argmax() == 4 for p in joint.posterior)
    assert joint.margin > 0
    assert joint.registration.verdict == "consistent"
    for total, error in joint.totals:
        assert abs(total - len(sites)) < 3 * error


def test_one_view_wrong_is_put_right():
    indexings, counts = look(random_particle(700, "rough", 3), THREE, np.random.default_rng(3))
    first = [counts[0] + 1, counts[0]]
    alternatives = [
        [
            Reading(2.0, first[0], np.full(len(first[0]), 0.2)),
            Reading(0.0, first[1], np.full(len(first[0]), 0.2)),
        ],
        *([Reading(0.0, c, np.full(len(c), 0.2))] for c in counts[1:]),
    ]
    joint = choose_readings(indexings, alternatives)
    assert joint.chosen == (1, 0, 0)
    assert joint.before[0, 1].relative_difference > joint.registration.pairs[0, 1].relative_difference


def test_one_view_alone_takes_its_own_best():
    indexings, counts = look(random_particle(200, "rough", 3), THREE[:1], np.random.default_rng(3))
    readings = readings_of(counts[0])
    readings[2] = Reading(3.0, readings[2].expected, readings[2].variance)
    assert choose_readings(indexings, [readings]).chosen == (2,)


def test_bad_readings():
    indexings, counts = look(random_particle(200, "rough", 3), THREE[:1], np.random.default_rng(3))
    with pytest.raises(InputError, match="no readings"):
        choose_readings(indexings, [[]])
    with pytest.raises(InputError, match="expected counts"):
        choose_readings(indexings, [[Reading(0.0, counts[0][1:], counts[0][1:])]])
    with pytest.raises(InputError, match="lists of readings"):
        choose_readings(indexings, [])


def test_reading_of_probabilities():
    reading = reading_of(-1.5, [[0.0, 0.5, 0.5], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(reading.expected, [1.5, 1.0])
    np.testing.assert_allclose(reading.variance, [0.25, 0.0])


@pytest.mark.parametrize("difference", [0.0, 0.8])
def test_biases_are_integrated_out(difference):
    """One plane of ten atoms, errors of variance 1, a common relative error of a tenth: x of variance 1."""
    ten, columns = np.array([10.0]), np.array([5.0])
    first, second = ten + difference / 2, ten - difference / 2
    sums = PlaneSums(
        (0, 0, 1),
        np.array([0]),
        first,
        second,
        np.array([1.0]),
        columns,
        columns,
        np.array([True]),
        np.array([True]),
    )
    priors = [BiasPrior(scale=s, slope=0.0, per_column=0.0, relative=0.0, floor=0.0) for s in (0.1, 0.0)]
    x = np.linspace(-10, 10, 20_001)
    normal = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)

    def gain(error):
        """ln of the likelihood with the bias over that without."""
        return np.log(np.sum(error(difference - x) * normal) * (x[1] - x[0]) / error(difference))

    gaussian = np.subtract(*(agreement_log_likelihood(sums, prior) for prior in priors))
    assert gaussian == pytest.approx(gain(lambda d: np.exp(-(d**2) / 2)), abs=1e-4)
    student = np.subtract(*(tolerant_log_likelihood(sums, prior) for prior in priors))
    assert student * (1 + 1 / 50) == pytest.approx(gain(lambda d: (1 + d**2 / 4) ** -2.5), abs=0.12)
