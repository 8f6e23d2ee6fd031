"""Columns that stand beside their line, inside the lattice and outside of it."""

import numpy as np
import pytest

import tomo
from tomo.placing.holes import in_holes

GOLD = tomo.fcc("Au", a=4.08)
AXES = [(1, 1, 1), (1, 1, 2), (1, 1, 0), (1, 0, 0)]


def patch(axis):
    """Lines (n, 2) of a patch of the projected lattice and where they are [A]; the first is in the middle."""
    zone = tomo.zone_geometry(axis)
    lines = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)), -1).reshape(-1, 2)
    place = zone.positions(lines, GOLD.a)
    order = np.argsort(np.linalg.norm(place, axis=1), kind="stable")[:60]
    return zone, lines[order], place[order]


@pytest.mark.parametrize("axis", AXES)
def test_a_column_pushed_aside_keeps_its_line_and_one_outside_the_rim_does_not(axis):
    zone, _, place = patch(axis)
    gap = zone.spacing(GOLD.a)
    beyond = 1.2 * place[np.argmax(place[:, 0])] + [0.0, 0.45 * gap]
    moved = np.vstack([place + np.where(np.arange(60) == 0, 0.4 * gap, 0.0)[:, None] * [0.8, 0.6], beyond])
    found = tomo.index_columns(*moved.T, axis, GOLD)
    assert found.keep[0]
    assert found.doubtful[0]
    assert found.keep[1:60].all()
    steps = found.lines[1:60] - found.lines[0]
    assert (steps != 0).any(axis=1).all()  # a line of its own
    assert np.linalg.norm(zone.positions(steps, GOLD.a), axis=1).min() == pytest.approx(gap)


def test_a_peak_beside_a_line_that_has_its_column_is_still_dropped():
    zone, _, place = patch((1, 1, 1))
    moved = np.vstack([place, place[0] + [0.4 * zone.spacing(GOLD.a), 0.0]])
    found = tomo.index_columns(*moved.T, (1, 1, 1), GOLD)
    assert found.keep[:60].all()
    assert not found.keep[60]


def test_columns_that_fill_holes_enclose_others_in_turn():
    zone, lines, _ = patch((1, 1, 1))
    gone = np.arange(60) < 3  # three that touch each other
    assert np.array_equal(in_holes(lines, ~gone, zone), gone)


@pytest.mark.parametrize("axis", AXES)
def test_a_straight_rim_encloses_nothing(axis):
    zone, *_ = patch(axis)
    half = np.stack(np.meshgrid(np.arange(-5, 6), np.arange(-5, 1)), -1).reshape(-1, 2)
    for turn in ([[1, 0], [0, 1]], [[0, 1], [1, 0]]):
        lines = np.vstack([half, [(0, 1)]]) @ turn
        near = np.arange(len(lines)) < len(half)
        assert not in_holes(lines, near, zone).any()


def test_the_line_of_a_column_that_was_dropped_need_not_be_empty():
    """A corner of the particle, which nothing encloses, stands aside; the other view counts its atoms."""
    sites = tomo.phantoms.random_particle(400, "rough", seed=2)
    indexings, counts = [], []
    for axis in ((1, 1, 1), (1, 1, 0)):
        columns, atoms = tomo.phantoms.column_counts(sites, axis)
        zone = tomo.zone_geometry(axis)
        place = zone.positions(zone.lines(columns), GOLD.a)
        if axis == (1, 1, 1):
            corner = int(np.argmax(place[:, 0]))
            place[corner] += [0.42 * zone.spacing(GOLD.a), 0.0]
        indexings.append(tomo.index_columns(*place.T, axis, GOLD))
        counts.append(atoms)
    assert not indexings[0].keep[corner]
    registration = tomo.register_views(indexings, counts)
    first, second = tomo.make_views(registration, counts=counts)
    zone = tomo.zone_geometry((1, 1, 1))
    assert np.array_equal(zone.lines(first.unseen_sites), zone.lines(registration.column_sites[0][[corner]]))
    assert second.unseen_sites is None
