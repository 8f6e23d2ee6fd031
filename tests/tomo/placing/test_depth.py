"""How thick a particle must be for the widths that its views show, and counts brought to agree."""

import numpy as np
import pytest

from tomo import Reading, choose_readings, fcc, index_columns, zone_geometry
from tomo.phantoms import column_counts, random_particle
from tomo.placing.counted_lines import CountedLines
from tomo.placing.depth import depth_of, log_slack_density, within_columns
from tomo.placing.placement import Candidate, pair_sums
from tomo.placing.reconcile import CountCorrection, corrected, reconcile

FACTORS = np.array([1.0, 0.5, 0.7, 0.85, 1.18, 1.4, 2.0])
GOLD = fcc("Au", a=4.08)
TWO = [(1, 0, 0), (1, 1, 0)]
THREE = [(0, 0, 1), (1, 0, 0), (1, 1, 0)]


def readings_at(sites, zone_axes, factors=FACTORS, cut=None):
    """Every view's counts multiplied by each factor, and the views' true place."""
    read = []
    for axis in zone_axes:
        columns, counts = column_counts(sites, axis)
        inside = None
        if cut is not None:
            shown = columns[:, 2] > cut
            columns, counts = columns[shown], counts[shown]
            near = zone_geometry(axis).lines(columns)
            low, high = near.min(axis=0) - 40, near.max(axis=0) + 40
            frame = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), -1).reshape(-1, 2)
            inside = frame[zone_geometry(axis).sites(frame)[:, 2] > cut]
        lines = zone_geometry(axis).lines(columns)
        read.append(
            [
                CountedLines(
                    axis, lines, np.maximum(counts * f, 1.0), np.full(len(counts), 0.1), inside, (0,)
                )
                for f in factors
            ]
        )
    return read, Candidate(0.0, (0,) * len(zone_axes), ((0, 0),) * len(zone_axes))


def common_scale(depth, n_views):
    return depth.log_likelihood(np.repeat(np.arange(len(FACTORS))[:, None], n_views, axis=1))


@pytest.mark.parametrize("kind", ["faceted", "rough", "rod"])
@pytest.mark.parametrize(
    "zone_axes", [THREE, [(1, 0, 0), (0, 1, 0), (1, 1, 0)], [(1, 1, 1), (1, 1, 2), (1, 0, 0)]]
)
def test_three_views_fix_the_scale(zone_axes, kind):
    read, place = readings_at(random_particle(1200, kind, 3), zone_axes)
    score = common_scale(depth_of(read, place), 3)
    assert np.argmax(score) == 0
    # a needle seen askew has its thickness in small differences of large widths
    assert score[0] - score[1:].max() > (0 if kind == "rod" else 2)


@pytest.mark.parametrize("seed", range(3))
def test_two_views_bound_the_scale(seed):
    read, place = readings_at(random_particle(3000, "stepped", seed), TWO)
    score = common_scale(depth_of(read, place), 2)
    assert np.argmax(score) in (0, 3, 4)
    assert score[-1] < score.max() - 20  # no body of these widths is twice as thick
    assert score[1] < score.max() - 4


def test_views_at_right_angles_tell_more_than_oblique_ones():
    sites = random_particle(2000, "rough", 5)
    right, oblique = (
        common_scale(depth_of(*readings_at(sites, axes)), 2) for axes in ([(1, 0, 0), (0, 1, 0)], TWO)
    )
    assert right[0] - right[4] > oblique[0] - oblique[4]


def test_needle_seen_askew_is_not_ruled_out():
    sites = random_particle(1500, "rod", 0)
    score = common_scale(depth_of(*readings_at(sites, [(1, 1, 1), (1, 1, 0)])), 2)
    assert score[0] > score.max() - 1


def test_particle_cut_by_the_field_is_judged_by_whole_planes():
    sites = random_particle(4000, "rod", 2)
    read, place = readings_at(sites, TWO, cut=0)
    score = common_scale(depth_of(read, place), 2)
    assert np.argmax(score) in (0, 3, 4)
    assert score[-1] < score.max() - 20


def test_three_views_around_one_axis_fix_the_scale_of_what_all_see_whole():
    read, place = readings_at(random_particle(4000, "rod", 2), [(1, 0, 0), (0, 1, 0), (1, 1, 0)], cut=0)
    depth = depth_of(read, place)
    score = common_scale(depth, 3)
    assert depth.views == (0, 1, 2)
    assert np.argmax(score) == 0
    assert score[0] - score[1:].max() > 2


def test_beams_that_lie_close_together_say_less():
    sites = random_particle(1500, "rough", 8)
    apart, close = (
        depth_of(*readings_at(sites, axes)) for axes in (THREE, [(2, 1, 0), (1, 0, 0), (1, 1, 0)])
    )
    assert close.doubt > 5 * apart.doubt
    assert common_scale(close, 3)[0] > common_scale(close, 3).max() - 2


def test_one_view_says_nothing():
    assert depth_of(*readings_at(random_particle(300, "rough", 1), TWO[:1])) is None


def test_slack_is_one_sided():
    low, right, high = log_slack_density(np.array([-0.4, 0.03, 0.46]))
    assert right > high > low


def test_columns_without_gaps():
    view = CountedLines((1, 1, 0), np.array([[0, 0]]), np.array([2.0]), np.zeros(1), None, (0,))
    # two atoms at +- |110| / 2 of the half lattice parameter
    assert within_columns([view])[0] == pytest.approx(0.5)


class TestReconcile:
    def blurred(self, sites, zone_axes, wrong):
        views, place = readings_at(sites, zone_axes, [1.0])
        views = [v[0] for v in views]
        out = [
            CountedLines(v.zone_axis, v.lines, w(v.atoms), np.full(len(v.atoms), 1.2), None, (0,))
            for v, w in zip(views, wrong, strict=True)
        ]
        return out, place

    def test_bent_counts_are_brought_to_agree(self):
        sites = random_particle(6000, "rough", 4)
        wrong = (lambda n: n, lambda n: 1.03 * n + 0.2 * n * (1 - n / n.max()))
        views, place = self.blurred(sites, TWO, wrong)
        settled = [corrected(*item) for item in zip(views, reconcile(views, place), strict=True)]
        before, after = (pair_sums(v, place, 0, 1) for v in (views, settled))
        assert abs(before.first.sum() / before.second.sum() - 1) > 0.07
        assert abs(after.first.sum() / after.second.sum() - 1) < 0.01

    def test_sure_counts_that_agree_are_left_alone(self):
        views, place = readings_at(random_particle(500, "rough", 4), THREE, [1.0])
        assert reconcile([v[0] for v in views], place) == (CountCorrection(),) * 3

    def test_agreeing_blurred_counts_hardly_change(self):
        views, place = self.blurred(random_particle(2000, "rough", 1), THREE, [lambda n: n] * 3)
        for view, correction in zip(views, reconcile(views, place), strict=True):
            assert np.abs(correction(view.atoms) - view.atoms).max() < 0.02 * view.atoms.max()


def test_views_of_very_different_first_scale_are_placed_and_scaled():
    sites = random_particle(2500, "rod", 7)
    rng = np.random.default_rng(0)
    indexings, alternatives = [], []
    for axis, preferred in zip(TWO, (0.9, 0.3), strict=True):
        columns, counts = column_counts(sites, axis)
        zone = zone_geometry(axis)
        points = zone.positions(zone.lines(columns), GOLD.a) + rng.normal(0, 0.03, (len(counts), 2))
        indexings.append(index_columns(*points.T, axis, GOLD))
        noisy = counts + rng.normal(0, 0.5, len(counts))
        alternatives.append(
            [
                Reading(
                    3.0 if factor == preferred else 0.0,
                    np.maximum(noisy * factor, 0.5),
                    np.full(len(noisy), 0.9),
                )
                for factor in (0.3, 0.45, 0.6, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 2.5)
            ]
        )
    joint = choose_readings(indexings, alternatives)
    for total, error in joint.totals:
        assert abs(total / len(sites) - 1) < 0.2
        assert abs(total - len(sites)) < 2.5 * error
