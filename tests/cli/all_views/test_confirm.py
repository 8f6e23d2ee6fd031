"""The crystal that was found against the columns of every image: agreement passes, contradiction is told."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli.all_views.confirm import confirm_crystal, confirm_placing
from stemcount.cli.all_views.outcomes import Outcome
from stemcount.cli.all_views.views import OtherCrystal, read_together, with_registration
from stemcount.results import ColumnFit

GOLD = tomo.fcc("Au", a=4.08)
SEARCH = partial(tomo.reconstruct, crystal=GOLD, seed=0, workers=1)
AXES = [(1, 0, 0), (1, 1, 0)]


def fitted(x, y, cross_section):
    """A fit whose columns are all good."""
    n = len(x)
    zero, none = np.zeros(n), np.zeros(n, dtype=int)
    std = np.full(n, 0.001)
    return ColumnFit(
        x, y, zero, zero + 0.6, cross_section, std, zero[:1], 0.0, none, ("gaussian", ()), zero, zero, none
    )


@pytest.fixture(scope="module")
def case():
    """Two views of a particle read together, and its crystal."""
    sites, rng = tomo.phantoms.random_particle(400, "rough", seed=8), np.random.default_rng(8)
    fits = []
    for axis in AXES:
        columns, atoms = tomo.phantoms.column_counts(sites, axis)
        zone = tomo.zone_geometry(axis)
        x, y = zone.positions(zone.lines(columns), GOLD.a).T
        fits.append(fitted(x, y, 0.04 * atoms**0.95 + rng.normal(0, 0.006, len(atoms))))
    indexings = [
        tomo.index_columns(f.x, f.y, axis, GOLD, name=f"image{n}")
        for n, (f, axis) in enumerate(zip(fits, AXES, strict=True))
    ]
    extents = [(f.x.min() - 9, f.x.max() + 9, f.y.min() - 9, f.y.max() + 9) for f in fits]
    counts = [stemcount.count_atoms(f.cross_section, cross_section_std=f.cross_section_std) for f in fits]
    joint = read_together(fits, counts, indexings, extents)
    views = tomo.make_views(joint.registration, counts=[c.count for c in joint.counts])
    return joint, tomo.reconstruct(views, runs=2, seed=0, crystal=GOLD).occupied(0.5)


def places(joint):
    """The right place of the second view, and one two columns aside."""
    right = joint.registration.candidates[0]
    (first, (along, across)) = right.shifts
    return right, replace(right, shifts=(first, (along + 2, across)))


def test_the_crystal_of_the_views_passes(case):
    joint, sites = case
    assert confirm_crystal(joint, sites) is joint


def test_counts_made_to_fit_do_not_hide_a_contradiction(case):
    joint, sites = case
    middle = sites[np.abs(sites[:, 2] - np.median(sites[:, 2])) > 2]  # half of the columns without some atoms
    broad = tuple(
        replace(c, chosen=replace(c.chosen, width=np.full_like(c.chosen.width, 0.04))) for c in joint.counts
    )
    with pytest.raises(tomo.InputError, match=r"image0, image1 contradict each other.*same particle"):
        confirm_crystal(replace(joint, counts=broad), middle)
    for allowed in (None, True):
        with pytest.raises(tomo.InputError) as raised:
            confirm_crystal(replace(joint, counts=broad), middle, allowed)
        assert ("vacancies = true" in str(raised.value)) == (not allowed), "advice that was followed"
    cut = replace(joint, counts=broad, beyond=((0.0, 9.0, 0.0, 9.0), None))
    tied = with_registration(cut, replace(joint.registration, margin=1.0))
    with pytest.raises(tomo.InputError):
        confirm_crystal(cut, middle)
    told = confirm_crystal(tied, middle).warnings
    assert "contradict each other" in told[0]
    assert any("another placing" in warning for warning in told)


def test_an_image_that_cannot_tell_its_class_width_contradicts_less(case):
    """Of two equally probable readings, the one with broad classes expects columns that are an atom off."""
    joint, sites = case
    columns, first = np.unique(sites[:, 1:], axis=0, return_index=True)
    fewer = np.delete(sites, first[np.random.default_rng(0).random(len(columns)) < 0.1], axis=0)

    def with_broad(counts):
        narrow = counts.chosen
        broad = replace(narrow, width=np.full_like(narrow.width, 0.04))
        return replace(counts, alternatives=(narrow, broad))

    unsure = replace(joint, counts=tuple(with_broad(counts) for counts in joint.counts))
    assert confirm_crystal(joint, fewer).registration.verdict == "contradictory"
    assert confirm_crystal(unsure, fewer) is unsure


def test_a_lesser_contradiction_is_a_verdict(case):
    joint, sites = case
    columns, first = np.unique(
        sites[:, 1:], axis=0, return_index=True
    )  # one atom of some columns along [100]
    lost = first[np.random.default_rng(0).random(len(columns)) < 0.1]
    confirmed = confirm_crystal(joint, np.delete(sites, lost, axis=0))
    assert confirmed.registration.verdict == "contradictory"
    assert "contradict each other" in confirmed.warnings[0]


def test_a_placing_that_was_nearly_tied_stays_so_when_its_settled_counts_confirm_it(case):
    joint, _ = case
    tied = replace(joint.registration, margin=0.8, elsewhere=0.02)
    confirmed = confirm_placing(with_registration(joint, tied), SEARCH)
    assert confirmed.summary()["margin_to_runner_up"] == 0.8
    assert [w for w in confirmed.warnings if "another placing" in w] == [
        "another placing of the views is nearly as likely as this one (0.8 log units less) and puts 2 % of"
        " the atoms elsewhere; a further view or a fixed orientation would decide."
    ]


def test_a_view_that_its_settled_counts_put_elsewhere_is_moved_there(case):
    joint, _ = case
    right, aside = places(joint)
    moved = with_registration(joint, replace(joint.registration, candidates=[aside]))
    confirmed = confirm_placing(moved, SEARCH)
    assert confirmed.registration.candidates[0].placing == right.placing
    assert confirmed.registration.verdict == "consistent"
    for again, before in zip(confirmed.counts, joint.counts, strict=True):
        assert np.mean(again.count != before.count) < 0.02


@pytest.mark.parametrize("same", [True, False])
def test_a_move_that_leaves_the_crystal_as_it_was_leaves_no_doubt_of_the_placing(case, same, monkeypatch):
    joint, sites = case
    right, aside = places(joint)
    sure = replace(joint.registration, candidates=[aside], margin=20.0)
    crystals = {aside.placing: sites, right.placing: sites[:, [1, 0, 2]] if same else sites[::2]}
    register = tomo.register_views
    monkeypatch.setattr(
        "stemcount.cli.all_views.confirm.tomo.register_views",
        lambda *a, **k: replace(register(*a, **k), margin=0.3),
    )
    monkeypatch.setattr(
        "stemcount.cli.all_views.confirm.recount_until_consistent",
        lambda reading, *_: Outcome(reading, sites=crystals[reading.registration.candidates[0].placing]),
    )
    confirmed = confirm_placing(with_registration(joint, sure), SEARCH)
    assert confirmed.registration.margin == (20.0 if same else 0.3)
    assert any("another placing" in warning for warning in confirmed.warnings) is not same


@pytest.mark.parametrize("better", [True, False])
def test_a_placing_that_crystals_decided_is_overturned_by_a_better_crystal_alone(case, better, monkeypatch):
    joint, sites = case
    right, aside = places(joint)
    moved = with_registration(joint, replace(joint.registration, candidates=[aside], margin=20.0))
    register = tomo.register_views
    monkeypatch.setattr(
        "stemcount.cli.all_views.confirm.tomo.register_views",
        lambda *a, **k: replace(register(*a, **k), margin=0.3),
    )

    def settled(reading, *_):
        here = reading.registration.candidates[0].placing == aside.placing
        surplus = int(here == better)  # atoms that the crystal holds too many in every column
        held = tuple(counts.count + surplus for counts in reading.counts)
        return Outcome(reading, held, len(sites), sites=sites if here else sites[::2])

    monkeypatch.setattr("stemcount.cli.all_views.confirm.recount_until_consistent", settled)
    monkeypatch.setattr(
        "stemcount.cli.all_views.confirm.contradictions", lambda *_: ()
    )  # two columns aside is wrong
    confirmed = confirm_placing(moved, SEARCH)
    assert confirmed.registration.candidates[0].placing == (right if better else aside).placing


def test_the_crystal_of_a_place_that_views_left_is_another_one_and_those_beside_it_too(case, monkeypatch):
    joint, sites = case
    right, aside = places(joint)
    known = (OtherCrystal(sites[::3], 0.2), OtherCrystal(sites, 0.3))
    moved = with_registration(joint, replace(joint.registration, candidates=[aside]))
    crystals = {aside.placing: sites[::2], right.placing: sites}

    def settled(reading, *_):
        held = tuple(counts.count for counts in reading.counts)
        atoms = crystals[reading.registration.candidates[0].placing]
        return Outcome(reading, held, len(sites), sites=atoms)

    monkeypatch.setattr("stemcount.cli.all_views.confirm.recount_until_consistent", settled)
    others = confirm_placing(replace(moved, others=known), SEARCH).others
    assert [len(other.sites) for other in others] == [len(sites[::2]), len(sites[::3])]  # not what is shown
    # the two places are equally probable, and 0.2 is two fifths of what was left for the old crystal
    np.testing.assert_allclose([other.probability for other in others], np.array([1, 0.4]) / 2.4)


@pytest.mark.parametrize("most", [0, 3000])
def test_an_old_place_whose_counts_do_not_settle_leaves_no_other_crystal(case, most, monkeypatch):
    """Nor do those of many columns, which are not settled there: both ended in an assertion."""
    joint, sites = case
    right, aside = places(joint)
    moved = with_registration(joint, replace(joint.registration, candidates=[aside]))

    def settled(reading, *_):
        if reading.registration.candidates[0].placing == aside.placing:
            return Outcome(reading)
        return Outcome(reading, tuple(counts.count for counts in reading.counts), len(sites), sites=sites)

    monkeypatch.setattr("stemcount.cli.all_views.confirm.recount_until_consistent", settled)
    monkeypatch.setattr("stemcount.cli.all_views.confirm.MOST_COLUMNS", most)
    known = (OtherCrystal(sites[::3], 0.2),)
    confirmed = confirm_placing(replace(moved, others=known), SEARCH)
    assert confirmed.registration.candidates[0].placing == right.placing
    assert confirmed.others == ()


def test_one_view_contradicts_nothing(case):
    joint, sites = case
    alone = replace(joint, counts=joint.counts[:1])
    assert confirm_placing(alone, SEARCH) is alone
    assert confirm_crystal(alone, sites) is alone
