"""Readings that are nearly tied, told apart by the crystals they lead to."""

from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli.all_views.outcomes import BELIEVED, Outcome, credibility, evidence, other_crystals
from stemcount.cli.all_views.settle import (
    MOST_COLUMNS,
    _best_placed,
    _of_a_single_layer,
    _stretched,
    _told_apart,
    recount_until_consistent,
    settle,
)
from stemcount.cli.all_views.views import read_together
from stemcount.results import Hypothesis

GOLD = tomo.fcc("Au", a=4.08)
SEARCH = partial(tomo.reconstruct, crystal=GOLD, seed=0, workers=1)


@dataclass(frozen=True)
class Joint:
    """What of a joint reading telling apart looks at."""

    counts: tuple
    registration: object = None
    warnings: tuple = ()
    readings: object = field(default_factory=lambda: SimpleNamespace(rivals=(), placings=()))
    others: tuple = ()
    fits: tuple = ()
    alone: tuple = ()

    @property
    def names(self):
        return ["image"] * len(self.counts)


def outcome(values, held, width=0.2):
    """Settled with classes at whole numbers and a crystal that holds so many atoms on each column."""
    k = np.arange(9.0)
    reading = Hypothesis(k, np.full(9, width), np.full(9, 1 / 9), 0, 8, 0.0)
    counts = replace(stemcount.counts_from_hypothesis(values, reading), verdict="undecidable")
    fit = SimpleNamespace(cross_section=values, noise_std=np.full(len(values), 0.05))
    return Outcome(Joint((counts,), fits=(fit,), alone=(counts,)), (held,))


def reconstructed(sites, runs, energy):
    """What settling asks of a reconstruction, its crystals without edges."""
    diagnostics = dict.fromkeys(("edges", "second_edges"), [0] * len(runs)) | {"voted_energy": energy}
    weights = {"edge_weight": 0.0, "second_weight": 0.0}
    return SimpleNamespace(sites=sites, runs=runs, diagnostics=diagnostics | weights)


@pytest.fixture
def columns():
    rng = np.random.default_rng(3)
    atoms = rng.integers(1, 7, 150)
    return atoms + 0.2 * rng.standard_normal(150), atoms


def test_starts_that_end_in_one_crystal_leave_nothing_undecided(columns):
    values, atoms = columns
    sites = tomo.phantoms.random_particle(120, "rough", seed=1)
    turned = sites[:, [1, 0, 2]] + [2, 0, 0]
    ends = [replace(outcome(values, atoms), sites=found) for found in (sites, turned)]
    counts = _told_apart(ends).joint.counts[0]
    assert counts.verdict == "decided"
    assert "one crystal" in counts.reason


def test_of_crystals_that_explain_the_cross_sections_alike_the_smoother_one_is_taken(columns):
    given = outcome(*columns)
    ragged = replace(given, atoms=520, edges=(1180, 830), weights=(0.5, 0.1), surface=-120.0)
    smooth = replace(given, atoms=500, edges=(1080, 800), weights=(0.7, 0.1), surface=-80.0)
    assert _told_apart([ragged, smooth]).atoms == 500
    larger = replace(smooth, atoms=4000, edges=(4320, 3200), surface=-320.0)  # the same shape
    assert np.ptp(evidence([smooth, larger])) < 1e-6


def test_a_rod_is_not_taken_for_a_ragged_ball(columns):
    """The ball has fewer edges for its size, the rod the more orderly surface: neither speaks for it."""
    values, atoms = columns
    given = outcome(values, atoms)
    ball = replace(given, atoms=389, edges=(950, 628), weights=(0.5, 0.4), surface=-387.0)
    rod = replace(given, atoms=269, edges=(800, 560), weights=(1.8, 0.3), surface=-12.0)
    assert np.ptp(evidence([ball, rod])) < 1e-6
    less_well = outcome(values + 1, atoms + 1 + (np.arange(150) < 1))  # other counts, one column off
    less_well = replace(rod, joint=less_well.joint, held=less_well.held)
    told = _told_apart([ball, less_well])
    assert told.atoms == 389
    assert told.joint.counts[0].verdict == "undecidable"


def test_of_counts_in_proportion_the_more_orderly_crystal_is_taken(columns):
    """A layer has more edges than what is thicker, and its classes may not be as narrow: neither counts."""
    ones = np.ones(150, dtype=int)
    values = ones + 0.02 * columns[0]
    layer = replace(outcome(values, ones, 0.3), atoms=150, edges=(1280, 390), weights=(1, 0), surface=-60.0)
    ragged = outcome(3 * values, 3 * ones, 0.1)
    ragged = replace(ragged, atoms=450, edges=(1890, 1020), weights=(1, 0), surface=-310.0)
    assert _told_apart([ragged, layer]).atoms == 150
    orderly = replace(ragged, surface=-20.0)  # a cube along two of its faces
    assert _told_apart([orderly, layer]).atoms == 450
    assert _told_apart([layer, orderly]).atoms == 450


def read_alone(log_posterior, classes, verdict="undecidable"):
    """What a view alone may be read as."""
    readings = [
        SimpleNamespace(log_posterior=p, n_components=n) for p, n in zip(log_posterior, classes, strict=True)
    ]
    return SimpleNamespace(alternatives=readings, verdict=verdict)


def test_one_atom_is_left_in_columns_that_may_all_hold_the_same_number():
    counts = tuple(SimpleNamespace(count=np.array(n)) for n in ([3, 3, 3], [3, 6, 0]))
    several, perhaps_one = read_alone([0.0, -9.0], [2, 1]), read_alone([0.0, -2.0], [4, 1])
    assert _of_a_single_layer(Joint(counts, alone=(perhaps_one, several))) == pytest.approx(1 / 3)
    assert _of_a_single_layer(Joint(counts, alone=(several, perhaps_one))) == pytest.approx(1 / 4.5)
    assert _of_a_single_layer(Joint(counts, alone=(several, several))) == 1
    assert _of_a_single_layer(Joint(counts, alone=(perhaps_one, read_alone([0.0], [2], "given")))) == 1


def test_the_crystal_that_explains_the_cross_sections_is_taken(columns):
    values, atoms = columns
    wrong = np.where(np.arange(150) % 3 == 0, atoms + 1, atoms)
    right = outcome(values, atoms, width=0.21)
    told = _told_apart([outcome(values, wrong), right]).joint
    assert told.counts[0].verdict == "decided"
    assert told.counts[0].chosen is right.joint.counts[0].chosen


def test_crystals_that_explain_them_as_well_stay_undecided(columns):
    values, atoms = columns
    assert (
        _told_apart([outcome(values, atoms), outcome(values + 1, atoms + 1)]).joint.counts[0].verdict
        == "undecidable"
    )


def test_a_lead_is_believed_in_part_and_none_is_more_probable_than_what_is_shown(columns):
    values, atoms = columns
    wrong = np.where(np.arange(150) == 7, atoms + 1, atoms)
    ends = [outcome(values, held) for held in (atoms, wrong)]
    lead = evidence(ends) @ (1, -1)
    assert 2 < lead < 20
    odds = np.exp(-BELIEVED * lead)
    assert credibility(ends).tolist() == pytest.approx([1 / (1 + odds), odds / (1 + odds)])
    assert credibility(ends[::-1]).tolist() == pytest.approx([0.5, 0.5])


def test_other_crystals_are_those_that_differ_each_once(columns):
    sites = tomo.phantoms.random_particle(120, "rough", seed=1)
    end = replace(outcome(*columns), sites=sites)
    turned, another = (
        replace(end, sites=moved)
        for moved in (sites[:, [1, 0, 2]] + [2, 0, 0], tomo.phantoms.random_particle(120, "rough", seed=2))
    )
    found = other_crystals(end, [end, turned, another, another])
    assert [other.sites is another.sites for other in found] == [True]
    assert found[0].probability == pytest.approx(0.5)
    far = replace(another, held=(columns[1] + 1,))
    assert other_crystals(end, [far]) == ()  # a thousand log units behind
    assert other_crystals(replace(end, held=None), [another]) == ()


@dataclass(frozen=True)
class Readings:
    """What holds a registration."""

    registration: object


@dataclass(frozen=True)
class Frame:
    """What of a registration the choice of a placing looks at."""

    margin: float = 1.0
    elsewhere: float = 0.1
    warnings: tuple = ("nearly tied",)


def placed(end):
    """The same outcome in a frame whose warning its joint reading has."""
    readings = Readings(Frame())
    return replace(
        end, joint=replace(end.joint, registration=Frame(), readings=readings, warnings=("nearly tied",))
    )


def test_the_placing_whose_crystal_explains_the_cross_sections_is_taken(columns):
    values, atoms = columns
    wrong = np.where(np.arange(150) % 3 == 0, atoms + 1, atoms)
    one, other = placed(outcome(values, wrong)), placed(outcome(values, atoms))
    for ends in ((one, [other]), (other, [one]), (replace(one, held=None), [other])):
        best = _best_placed(*ends)
        assert best.held is other.held
        assert best.joint.readings.registration.margin > 20
    assert _best_placed(one, [replace(other, held=None)]).held is one.held
    unsettled = replace(one, held=None)
    assert _best_placed(unsettled, [unsettled]) is unsettled


def test_placings_that_settle_to_one_crystal_are_no_alternatives(columns):
    sites = tomo.phantoms.random_particle(120, "rough", seed=1)
    end = replace(placed(outcome(*columns)), sites=sites)
    turned = replace(end, sites=sites[:, [1, 0, 2]] + [2, 0, 0])
    best = _best_placed(end, [turned])
    assert best.joint.readings.registration.margin == np.inf
    another = replace(end, sites=tomo.phantoms.random_particle(120, "rough", seed=2))
    assert _best_placed(end, [turned, another]).joint.readings.registration.margin == 0.0


def shown(sites, axes, scatter, seed):
    """Fits, indexings and true counts of a particle's views, whose cross-sections scatter so much."""
    rng = np.random.default_rng(seed)
    fits, indexings, truth = [], [], []
    for axis in axes:
        lines, atoms = tomo.phantoms.column_counts(sites, axis)
        zone = tomo.zone_geometry(axis)
        x, y = zone.positions(zone.lines(lines), GOLD.a).T
        values = np.maximum(atoms**0.9 + scatter * rng.standard_normal(len(atoms)), 0.2)
        std, good = np.full(len(values), 0.05), np.zeros(len(values), dtype=int)
        fits.append(SimpleNamespace(cross_section=values, noise_std=std, flags=good, width=0.5))
        indexings.append(tomo.index_columns(x, y, axis, GOLD))
        truth.append(atoms)
    return fits, indexings, truth


def test_two_views_whose_sums_leave_readings_tied_are_settled():
    """Alone neither view is decided; together they are, and every column is counted as its class allows."""
    sites = tomo.phantoms.random_particle(120, "stepped", seed=5)
    fits, indexings, truth = shown(sites, [(1, 0, 0), (1, 1, 0)], 0.25, seed=5)
    alone = [stemcount.count_atoms(f.cross_section, cross_section_std=f.noise_std) for f in fits]
    extents = [(i.x.min() - 30, i.x.max() + 30, i.y.min() - 30, i.y.max() + 30) for i in indexings]
    joint = settle(read_together(fits, alone, indexings, extents), SEARCH)
    for counts, atoms in zip(joint.counts, truth, strict=True):
        assert counts.verdict == "decided"
        assert np.mean(counts.count == atoms) > 0.85


def test_nothing_is_learned_from_a_crystal_that_cannot_hold_the_counts(monkeypatch, columns):
    """That of a particle with a cavity: its columns would have classes as wide as the steps between them."""
    values, atoms = columns
    fit = SimpleNamespace(cross_section=values, noise_std=np.full(150, 0.05))
    counts = outcome(values, atoms, width=0.05).joint.counts * 2
    joint = Joint(counts, SimpleNamespace(used=(np.ones(150, dtype=bool),) * 2), fits=(fit, fit))
    monkeypatch.setattr("stemcount.cli.all_views.settle.views_of", lambda *_, **__: [None, None])
    run = reconstructed(np.zeros((1, 3)), np.ones((1, 1), bool), [0.0])
    for held, settles in ((atoms, True), (np.random.default_rng(1).permutation(atoms), False)):
        monkeypatch.setattr("tomo.reproject", lambda *_, held=held: held)
        end = recount_until_consistent(joint, lambda *_, **__: run)
        assert (end.held is not None) == settles
        assert (end.joint is joint) != settles


def test_an_atom_less_in_every_column_is_tried_however_decided_the_choice_was(monkeypatch, columns):
    """All views together read one too high, and no plane sum tells: its crystal explains them less well."""
    values, atoms = columns
    right = outcome(values, atoms)
    chosen = replace(right.joint.counts[0], count=atoms + 1, verdict="decided")
    start = replace(right.joint, counts=(chosen,))
    high = replace(right, joint=start, held=(atoms + (np.arange(150) % 3 == 0),))
    tried = []

    def settled(joint, *_):
        tried.append(int(joint.counts[0].count.sum() - atoms.sum()))
        return right if tried[-1] == 0 else high

    monkeypatch.setattr("stemcount.cli.all_views.settle.recount_until_consistent", settled)
    monkeypatch.setattr(
        "stemcount.recount", lambda counts, *given: replace(counts, count=np.maximum(given[-1], 0))
    )
    found = settle(start, SEARCH)
    assert tried == [150, 0, 300]
    assert found.counts[0].count.tolist() == right.joint.counts[0].count.tolist()
    assert found.counts[0].verdict == "decided"


@pytest.mark.parametrize("sure", [False, True])
def test_where_nothing_settles_fewer_atoms_in_each_column_are_tried_unless_a_view_is_sure(
    monkeypatch, columns, sure
):
    values, atoms = columns
    right = outcome(values, atoms)
    both = replace(
        right.joint, counts=2 * right.joint.counts, fits=2 * right.joint.fits, alone=2 * right.joint.alone
    )
    right = replace(right, joint=both, held=2 * right.held)
    verdicts = "undecidable", "decided" if sure else "undecidable"
    start = replace(
        both, counts=tuple(replace(both.counts[0], count=3 * atoms, verdict=verdict) for verdict in verdicts)
    )
    start = replace(start, alone=start.counts)
    monkeypatch.setattr(
        "stemcount.cli.all_views.settle.recount_until_consistent",
        lambda joint, *_: right if np.array_equal(joint.counts[0].count, atoms) else Outcome(joint),
    )
    monkeypatch.setattr("stemcount.recount", lambda counts, *given: replace(counts, count=given[-1]))
    found = settle(start, SEARCH).counts[0].count
    assert np.array_equal(found, 3 * atoms if sure else right.joint.counts[0].count)


def test_where_a_rival_settles_an_atom_less_and_more_are_tried_but_not_far_fewer(monkeypatch, columns):
    values, atoms = columns
    right = outcome(values, atoms)
    chosen = replace(right.joint.counts[0], count=3 * atoms)
    start = replace(right.joint, counts=(chosen,), readings=SimpleNamespace(rivals=((1,),), placings=()))
    tried = []

    def settled(joint, *_):
        tried.append(int(joint.counts[0].count.sum()))
        return Outcome(joint) if joint is start else right

    monkeypatch.setattr("stemcount.cli.all_views.settle.recount_until_consistent", settled)
    monkeypatch.setattr("stemcount.cli.all_views.settle.read_as", lambda *_, **__: right.joint)
    monkeypatch.setattr("stemcount.recount", lambda counts, *given: replace(counts, count=given[-1]))
    settle(start, SEARCH)
    n = int(right.joint.counts[0].count.sum())
    assert tried == [3 * atoms.sum(), n, n - 150, n + 150]


def test_a_column_of_one_atom_keeps_it_where_fewer_are_tried(monkeypatch, columns):
    values, atoms = columns
    atoms = np.where(np.arange(len(atoms)) < 9, 0, atoms)  # of no atom, too
    joint = outcome(values, atoms).joint
    joint = replace(joint, counts=(replace(joint.counts[0], count=atoms),))
    monkeypatch.setattr("stemcount.recount", lambda counts, *given: replace(counts, count=given[-1]))
    (found,) = _stretched(joint, 1 / 4).counts
    assert np.array_equal(found.count, np.where(atoms < 6, np.minimum(atoms, 1), 2))


def test_of_blurred_counts_an_atom_less_or_more_is_not_tried(monkeypatch, columns):
    """The classes of whatever is supposed come out narrow, and would settle with a crystal that is wrong."""
    blurred = outcome(*columns, width=1.2)
    joint = blurred.joint
    started = []

    def settled(start, *_):
        started.append(start)
        return Outcome(start) if start is joint else replace(blurred, joint=start)

    monkeypatch.setattr("stemcount.cli.all_views.settle.recount_until_consistent", settled)
    found = settle(joint, SEARCH)
    assert started == [joint]
    assert found.counts == joint.counts


@pytest.mark.slow
def test_a_particle_with_a_cavity_is_settled_where_vacancies_are_allowed():
    sites = tomo.phantoms.random_particle(450, "rough", seed=2)
    away = np.linalg.norm(sites - sites.mean(axis=0) - 0.2, axis=1)
    fits, indexings, truth = shown(sites[away > 3], [(1, 0, 0), (1, 1, 0), (0, 0, 1)], 0.15, seed=2)
    alone = [stemcount.count_atoms(f.cross_section, cross_section_std=f.noise_std) for f in fits]
    extents = [(i.x.min() - 30, i.x.max() + 30, i.y.min() - 30, i.y.max() + 30) for i in indexings]
    joint = read_together(fits, alone, indexings, extents)
    ends = [recount_until_consistent(joint, partial(SEARCH, vacancies=allowed)) for allowed in (None, True)]
    right = [
        [np.mean(c.count == n) for c, n in zip(end.joint.counts, truth, strict=True)] if end.held else [0.0]
        for end in ends
    ]
    assert min(right[1]) > 0.97
    assert min(right[0]) < 0.9


def test_counts_are_learned_from_one_run_and_not_from_two_together(monkeypatch, columns):
    """Two runs that hold the same counts differ in one atom: together they would have one too many."""
    values, atoms = columns
    sites = np.array([(0, 0, 0), (1, 1, 0), (1, -1, 0)])
    runs = np.array([[True, True, False], [True, False, True]])
    fit = SimpleNamespace(cross_section=values, noise_std=np.full(150, 0.05))
    joint = outcome(values, atoms, width=0.05).joint
    joint = replace(
        joint,
        counts=joint.counts * 2,
        registration=SimpleNamespace(used=(np.ones(150, bool),) * 2),
        fits=(fit, fit),
    )
    shown = []
    monkeypatch.setattr("stemcount.cli.all_views.settle.views_of", lambda *_, **__: [None, None])
    result = reconstructed(sites, runs, [7.0, 6.0])
    monkeypatch.setattr("tomo.reproject", lambda crystal, _: (shown.append(crystal.tolist()), atoms)[1])
    assert recount_until_consistent(joint, lambda *_, **__: result).atoms == 2
    assert all(crystal == [[0, 0, 0], [1, -1, 0]] for crystal in shown)


def test_rivals_of_many_columns_are_not_tried_and_the_verdict_stays(monkeypatch):
    """Settling each start of a large particle would take minutes: what is undecided remains so."""
    one = outcome(np.ones(4), np.ones(4, dtype=int))
    joint = one.joint
    large = SimpleNamespace(cross_section=np.ones(MOST_COLUMNS + 1))
    monkeypatch.setattr(
        "stemcount.cli.all_views.settle.recount_until_consistent", lambda *_: replace(one, joint=joint)
    )
    found = settle(replace(joint, fits=(large,)), SEARCH)
    assert found.counts[0].verdict == "undecidable"
    assert "image: the order of the mixture is undecidable" in found.warnings[0]


def test_where_the_start_does_not_settle_a_rival_that_does_is_taken(monkeypatch, columns):
    values, atoms = columns
    right = outcome(values, atoms, width=0.21)
    joint = outcome(values, atoms).joint
    decided = replace(joint.counts[0], verdict="decided")
    joint = replace(joint, counts=(decided,), readings=SimpleNamespace(rivals=((1,),), placings=()))
    left = iter([Outcome(joint), right])
    monkeypatch.setattr(
        "stemcount.cli.all_views.settle.recount_until_consistent", lambda *_: next(left, Outcome(joint))
    )
    monkeypatch.setattr("stemcount.cli.all_views.settle.read_as", lambda *_, **__: None)
    stepped = []
    monkeypatch.setattr("stemcount.cli.all_views.settle._stepped", lambda found, *_: stepped.append(found))
    found = settle(joint, SEARCH)
    assert found.counts[0].chosen is right.joint.counts[0].chosen
    assert [start.counts[0].chosen is found.counts[0].chosen for start in stepped] == [True, True]


def test_the_crystal_of_another_placing_is_one_of_the_others(monkeypatch, columns):
    here, there = (
        replace(placed(outcome(*columns)), sites=tomo.phantoms.random_particle(120, "rough", seed=seed))
        for seed in (1, 2)
    )
    joint = replace(here.joint, readings=SimpleNamespace(rivals=(), placings=(1,)))
    monkeypatch.setattr("stemcount.cli.all_views.settle._stepped", lambda *_: joint)
    monkeypatch.setattr("stemcount.cli.all_views.settle.read_as", lambda *_, **__: None)
    monkeypatch.setattr("stemcount.cli.all_views.settle.with_registration", lambda end, *_: end)
    monkeypatch.setattr(
        "stemcount.cli.all_views.settle.recount_until_consistent",
        lambda start, *_: there if start is None else replace(here, joint=joint),
    )
    others = settle(joint, SEARCH).others
    assert [other.sites is there.sites for other in others] == [True]
    assert others[0].probability == pytest.approx(0.5)


def test_a_view_that_is_sure_alone_and_overturned_by_the_others_is_refused(monkeypatch, columns):
    values, atoms = columns
    joint = outcome(values, atoms).joint
    own = replace(joint.counts[0], count=2 * atoms, verdict="decided")
    monkeypatch.setattr(
        "stemcount.cli.all_views.settle.recount_until_consistent", lambda start, *_: Outcome(start)
    )
    with pytest.raises(tomo.InputError, match=r"image alone surely shows .* same particle"):
        settle(replace(joint, alone=(own,)), SEARCH)
    unsure = replace(own, verdict="undecidable")
    assert settle(replace(joint, alone=(unsure,)), SEARCH).counts[0].verdict == "undecidable"
