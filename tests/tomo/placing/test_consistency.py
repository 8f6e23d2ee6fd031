"""Views that contradict each other are refused, consistent ones are left alone."""

from dataclasses import replace

import numpy as np
import pytest

import tomo
from tomo.phantoms import column_counts, random_particle, soft_views_of
from tomo.placing.registration import counted_lines
from tomo.placing.support import room_misfit, room_of

CRYSTAL = tomo.fcc("Pd", a=3.89)
THREE = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
SKEW = [(1, 0, 1), (1, 1, 0), (0, 0, 1)]


def seen(sites, axes, rng, mirrored=None, said=None):
    """Indexed views with exact counts; one may be mirrored, or said to be along another axis."""
    indexings, counts = [], []
    for number, axis in enumerate(axes):
        columns, atoms = column_counts(sites, axis)
        zone = tomo.zone_geometry(axis)
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        x, y = (
            zone.positions(zone.lines(columns), CRYSTAL.a) @ turn.T + rng.normal(0, 0.03, (len(atoms), 2))
        ).T
        named = (said or {}).get(number, axis)
        indexings.append(
            tomo.index_columns(-x if number == mirrored else x, y, named, CRYSTAL, name=f"image{number}")
        )
        counts.append(atoms.astype(float))
    return indexings, counts


def checked(indexings, counts):
    return tomo.check_registration(tomo.register_views(indexings, counts), counts)


def cut_at(share, indexing, counts, axis):
    """The left part of a view, and the field of view that ends there."""
    x, y = indexing.x, indexing.y
    edge = x.min() + share * np.ptp(x)
    kept = x < edge - 0.3
    left = tomo.index_columns(x[kept], y[kept], axis, CRYSTAL, name=indexing.name)
    return left, counts[kept], (x.min() - 6, edge, y.min() - 6, y.max() + 6)


@pytest.mark.parametrize("axes", [[(1, 1, 0), (0, 0, 1)], [(1, 1, 0), (1, -1, 2)]])
def test_columns_that_go_on_where_another_view_is_cut_have_room_there(axes):
    """And only for more atoms than the other view shows, not for fewer."""
    indexings, counts = seen(random_particle(180, "rough", seed=60), axes, np.random.default_rng(60))
    indexings[0], counts[0], field = cut_at(0.7, indexings[0], counts[0], axes[0])
    fields = [field, None]
    registration = tomo.register_views(indexings, counts, fields_of_view=fields)
    assert tomo.check_registration(registration, counts, fields_of_view=fields) == ()
    views = counted_lines(indexings, counts, fields_of_view=fields)
    placing = registration.candidates[0]
    room = room_of(views, placing)
    assert not room.goes_on[: len(counts[0])].any()  # the other view is whole
    assert room.goes_on[len(counts[0]) :].any()
    misfit = room_misfit(views, room)
    assert misfit < 0.2 * room_misfit(views, replace(room, goes_on=np.zeros_like(room.goes_on)))
    doubled = [replace(views[0], atoms=2 * views[0].atoms), views[1]]
    assert room_misfit(doubled, room) > 10 * misfit


@pytest.mark.parametrize(("axes", "kind", "seed"), [(THREE, "rough", 40), (SKEW, "stepped", 41)])
def test_views_of_one_particle_pass(axes, kind, seed):
    rng = np.random.default_rng(seed)
    indexings, counts = seen(random_particle(300, kind, seed=seed), axes, rng)
    assert checked(indexings, counts) == ()
    noisy = [np.maximum(c + rng.choice([-1, 1], len(c)) * (rng.random(len(c)) < 0.2), 0) for c in counts]
    assert checked(indexings, noisy) == ()


@pytest.mark.parametrize(("axes", "mirrored"), [(THREE, 0), (SKEW, 2)])
def test_a_mirrored_image_is_named(axes, mirrored):
    sites = random_particle(350, "rough", seed=7 + mirrored)
    indexings, counts = seen(sites, axes, np.random.default_rng(mirrored), mirrored=mirrored)
    with pytest.raises(tomo.InputError, match="one image is mirrored"):
        checked(indexings, counts)


def test_all_images_mirrored_is_told():
    axes = ((1, 1, 0), (1, 0, 1), (0, 1, 1))
    indexings, counts = seen(random_particle(350, "rough", seed=9), axes, np.random.default_rng(2))
    mirrored = [tomo.index_columns(-i.x, i.y, i.zone_axis, CRYSTAL, name=i.name) for i in indexings]
    assert checked(indexings, counts) == ()
    with pytest.raises(tomo.InputError, match="all images are mirrored"):
        checked(mirrored, counts)


def test_a_wrong_axis_of_the_same_family_is_named():
    sites = random_particle(350, "rough", seed=11)
    indexings, counts = seen(sites, THREE, np.random.default_rng(0), said={2: (0, 1, 1)})
    with pytest.raises(tomo.InputError, match=r"image2 is along \[1 1 0\]"):
        checked(indexings, counts)


def test_mirroring_one_of_two_views_in_a_mirror_plane_is_no_contradiction():
    """[001] mirrored and [110] not are both images of the crystal mirrored at (110)."""
    sites = random_particle(400, "rough", seed=3)
    assert checked(*seen(sites, [(0, 0, 1), (1, 1, 0)], np.random.default_rng(0), mirrored=0)) == ()


def test_counts_that_the_crystal_does_not_hold_are_said():
    sites = random_particle(400, "rough", seed=4)
    views = soft_views_of(sites, THREE, width=0.2, seed=1)
    assert tomo.check_counts(sites, views) == ()
    other = random_particle(400, "rough", seed=5)
    said = tomo.check_counts(other, views)
    assert len(said) == 3
    assert all("does not hold the counts" in w for w in said)


def test_counts_that_say_nothing_are_said():
    sites = random_particle(400, "rough", seed=4)
    said = tomo.check_counts(sites, soft_views_of(sites, [(1, 0, 0)], width=1.0, seed=1))
    assert len(said) == 1
    assert "probably miscounted" in said[0]


def test_expected_figures_are_those_of_right_counts():
    """Drawn from the model, the loss is what the likelihoods expect of it."""
    sites = random_particle(3000, "rough", seed=6)
    for width in (0.2, 0.4):
        for view in soft_views_of(sites, THREE, width=width, seed=2):
            found = tomo.count_consistency(sites, view)
            assert abs(found.deviation) < 4
            assert abs(found.differing - found.expected_differing) < 0.05


def test_hard_counts_differ_where_they_are_not_those_of_the_crystal():
    sites = random_particle(400, "rough", seed=4)
    columns, atoms = column_counts(sites, (1, 0, 0))
    counts = atoms.copy()
    counts[:3] += 1
    counts[3] = -1  # not known
    found = tomo.count_consistency(sites, tomo.View((1, 0, 0), columns, counts=counts))
    assert (found.loss, found.deviation, found.expected_differing) == (0, 0, 0)
    assert found.differing == pytest.approx(3 / (len(atoms) - 1))


def test_counts_that_tell_nothing_do_not_differ():
    view = tomo.View((1, 0, 0), [(0, 0, 0), (0, 1, 1)], log_likelihood=np.zeros((2, 4)))
    found = tomo.count_consistency([(0, 0, 0)], view)
    assert (found.loss, found.differing, found.expected_differing) == (0, 0, 0)
