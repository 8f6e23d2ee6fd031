"""Counts, compositions and crystal of several species settled together, and its parts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import tomo
from stemcount.cli.all_views import species
from stemcount.cli.all_views.species import (
    attempt,
    blended,
    climbed,
    remainder,
    renewed,
    undecided,
    with_compositions,
)
from stemcount.cli.all_views.species_views import (
    Settled,
    TypedView,
    bond_worth,
    excluded,
    grids,
    species_views,
)
from stemcount.cli.core_shell import doubtful, never_apart
from stemcount.cli.project_file.crystals import brightness
from stemcount.counting.composition import first_composition
from tomo.neighbours import bonds, filled_around

AXES = [(1, 1, 0), (1, 0, 0), (0, 1, 0)]
COHERENT = tomo.core_shell(tomo.rock_salt("Pb", "Se", 6.1), tomo.zinc_blende("Cd", "Se", 6.1), "Pb")
SHARED = tomo.core_shell(tomo.zinc_blende("Cd", "Se", 6.0), tomo.zinc_blende("Cd", "S", 6.0), "Se")


def views_of(particle: tomo.CoreShellParticle, spread: float) -> tuple[list[TypedView], list[np.ndarray]]:
    """What images of a particle would give in one frame: every column, its cross-section, its true atoms."""
    crystal, rng = particle.crystal, np.random.default_rng(0)
    bright, views, counts = brightness(crystal), [], []
    for axis in AXES:
        zone, types = tomo.zone_geometry(axis), tomo.column_types(axis, crystal)
        table: dict[tuple[int, ...], np.ndarray] = {}
        for s, sites in enumerate(particle.sites):
            kind = next(k for k, t in enumerate(types) if s in t.sublattices)
            places = zone.lines(sites) + zone.fractional(crystal.sublattices[s].offset) - types[kind].shift
            for i, j in np.rint(places).astype(int).tolist():
                table.setdefault((kind, i, j), np.zeros(len(particle.sites)))[s] += 1
        keys, atoms = np.array(list(table)), np.array(list(table.values()))
        values = 0.002 * (atoms * bright).sum(axis=1) * (1 + spread * rng.standard_normal(len(atoms)))
        empty = np.zeros(len(keys))
        columns = tomo.TypedColumns(axis, crystal, keys[:, 1:], keys[:, 0], empty, empty, str(axis))
        views.append(TypedView(columns, values, np.full(len(keys), 3e-4)))
        counts.append(atoms)
    return views, counts


def wrong(state: Settled, particle: tomo.CoreShellParticle) -> list[float]:
    """Share of wrong atoms of each sublattice; the frame is known."""
    shares = []
    for s, true in enumerate(particle.sites):
        have = {tuple(p) for p in state.results[s].occupied().tolist()}
        want = {tuple(p) for p in true.tolist()}
        shares.append(len(have ^ want) / len(want))
    return shares


class TestTogether:
    @pytest.mark.parametrize("crystal", [COHERENT, SHARED], ids=["rock salt in zinc blende", "one structure"])
    def test_the_crystal_is_found_from_counts_that_are_off(self, crystal):
        particle = tomo.core_shell_particle(crystal, 100, 6.0, seed=5)
        views, counts = views_of(particle, spread=0.03)
        start = [c * np.random.default_rng(1).uniform(0.8, 1.2, c.shape) for c in counts]
        atoms = len(particle.sites[tomo.common_sublattice(crystal)])
        state = attempt(views, start, 1.05 * atoms, 0, 1)
        assert max(wrong(state, particle)) < 0.1

    def test_same_seed_same_crystal_whatever_the_workers(self):
        particle = tomo.core_shell_particle(COHERENT, 60, 7.0, seed=6)
        views, counts = views_of(particle, spread=0.05)
        common = len(particle.sites[1])
        one, two = (attempt(views, counts, common, 3, workers) for workers in (1, 2))
        assert one.evidence == two.evidence
        assert all(np.array_equal(one.results[s].runs, two.results[s].runs) for s in range(3))

    @pytest.mark.parametrize("by_bonds", [True, False])
    def test_bonds_are_weighed_of_species_whose_partners_are_found_before(self, by_bonds):
        particle = tomo.core_shell_particle(COHERENT, 60, 7.0, seed=6)
        views, counts = views_of(particle, spread=0.05)
        state = attempt(views, counts, len(particle.sites[1]), 3, 1)
        given = []

        def reconstruct(views, taken, **rest):
            given.append(rest["site_worth"])
            return tomo.reconstruct(views, runs=1, workers=1, strict=False, excluded_sites=taken, **rest)

        species.every_species(views, replace(state, by_bonds=by_bonds), reconstruct)
        weighed = [worth is not None and np.ptp(worth[1]) > 0.5 for worth in given]
        assert weighed == [False, False, by_bonds]  # Pb, Cd, and Se, which is bonded with both


class TestAtomTooMany:
    """Se of a rock salt that Pb terminates, counted an atom too thick in all of its columns."""

    @pytest.fixture(scope="class")
    def stuck_and_best(self):
        crystal = tomo.rock_salt("Pb", "Se", 6.1)
        s = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), -1).reshape(-1, 3)
        s = s[(np.abs(s).sum(axis=1) <= 6) & (np.abs(s).max(axis=1) <= 4)]
        lead = s.sum(axis=1) % 2 == 0
        sites = (s[lead], s[~lead] - np.rint(crystal.sublattices[1].offset).astype(int))
        particle = SimpleNamespace(crystal=crystal, sites=sites)
        views, counts = views_of(particle, spread=0.02)
        start = tuple(c + (c > 0) * np.array([0.0, 1.0]) for c in counts)
        doubt = tuple(0.1 * c for c in start)
        first = with_compositions(views, Settled(start, doubt, (), {}, -np.inf))
        stuck = renewed(views, first, 0, 1)
        trials = [stuck]
        return particle, stuck, climbed(views, trials, 0, 1), trials

    def test_an_atom_less_in_each_column_is_tried(self, stuck_and_best):
        particle, stuck, best, trials = stuck_and_best
        assert wrong(stuck, particle)[1] > 0.1, "rounds alone do not lead away"
        assert max(wrong(best, particle)) < 0.02
        assert best.evidence == max(trial.evidence for trial in trials)

    def test_another_number_of_atoms_is_told_by_species(self, stuck_and_best):
        particle, stuck, best, _ = stuck_and_best
        assert undecided(particle.crystal, best, [best]) == ()
        near = replace(stuck, evidence=best.evidence - 4.0)
        (sentence,) = undecided(particle.crystal, best, [best, near])
        more, right = (len(state.results[1].occupied()) for state in (near, best))
        assert f", {more} Se are only 4 log units less likely" in sentence
        assert f", {right} Se;" in sentence
        assert undecided(particle.crystal, best, [replace(stuck, evidence=best.evidence - 40.0)]) == ()


class TestParts:
    def test_grids_put_the_core_first(self):
        names = [[SHARED.sublattices[s].species for s in group] for group in grids(SHARED)]
        assert names == [["Se", "S"], ["Cd"]]

    def test_on_one_grid_an_atom_more_of_one_is_an_atom_less_of_the_other(self):
        columns = tomo.TypedColumns(
            (1, 1, 0), SHARED, np.array([[0, 0]]), np.array([0]), np.zeros(1), np.zeros(1)
        )
        bright = brightness(SHARED)
        members = list(columns.types[0].sublattices)
        law = first_composition(0.002, bright[members])
        true = np.zeros((1, 3))
        true[0, members] = 3, 4  # Se, S
        view = TypedView(columns, law.predict(true[:, members]), np.array([1e-4]))
        guess = np.zeros((1, 3))
        guess[0, members] = 5, 2
        state = Settled((guess,), (np.zeros((1, 3)),), ((law, law),), {}, 0.0)
        core = species_views([view], state, (members[0],))[0]
        assert core.best_counts.tolist() == [3]

    def test_both_on_a_grid_may_change_at_once(self):
        """Five Cd look like four with two Zn: with the number of either held, the other would stay."""
        crystal = tomo.core_shell(tomo.zinc_blende("Cd", "Se", 6.0), tomo.zinc_blende("Zn", "Se", 6.0), "Cd")
        columns = tomo.TypedColumns(
            (1, 1, 0), crystal, np.array([[0, 0]]), np.array([0]), np.zeros(1), np.zeros(1)
        )
        group = next(g for g in grids(crystal) if len(g) > 1)
        kind = next(k for k in columns.types if group[0] in k.sublattices)
        columns = replace(columns, column_type=np.array([columns.types.index(kind)]))
        law = replace(first_composition(0.002, [2.2, 1.0]), spread=0.02)
        view = TypedView(columns, law.predict(np.array([[5, 0]])), np.array([1e-5]))
        guess = np.zeros((1, 3))
        guess[0, list(group)] = 4, 2
        state = Settled((guess,), (np.zeros((1, 3)),), ((law,) * len(columns.types),), {}, 0.0)
        (held,) = species_views([view], state, group)
        assert held.log_likelihood[0, 5] < -10
        (both,) = species_views([view], replace(state, free_core=True), group)
        table = both.log_likelihood[0]
        assert abs(table[5] - table[6]) < 1
        assert table[4] < -10

    def test_cadmium_has_no_place_beside_lead(self):
        particle = tomo.core_shell_particle(COHERENT, 60, 8.0, seed=7)
        views, counts = views_of(particle, spread=0.0)
        of = [{s: v.columns.holding(s) for s in range(3)} for v in views]
        soft = {
            s: [
                tomo.View(v.columns.zone_axis, v.columns.own_sites(s), counts=c[rows[s], s].astype(int))
                for v, c, rows in zip(views, counts, of, strict=True)
            ]
            for s in range(3)
        }
        lead = tomo.reconstruct(soft[0], runs=1, workers=1)
        out = {tuple(p) for p in excluded(COHERENT, 2, soft[2], {0: lead}).tolist()}
        assert out
        assert not out & {tuple(p) for p in particle.sites[2].tolist()}

    def test_places_of_few_bonds_are_excluded(self):
        crystal = tomo.rock_salt("Pb", "Se", 6.1)
        lead = np.array([s for s in np.ndindex(4, 4, 4) if sum(s) % 2 == 0])
        result = SimpleNamespace(occupied=lambda: lead)
        around = np.unique((lead[:, None] + bonds(crystal, 0, 1)).reshape(-1, 3), axis=0)
        views = [tomo.View(axis, *tomo.phantoms.column_counts(around, axis)) for axis in AXES]
        room = tomo.build_problem(views, strict=False).sites.astype(int)
        number = filled_around(room, bonds(crystal, 1, 0), lead)
        for least in (1, 4):
            out = excluded(crystal, 1, views, {0: result}, least)
            assert out.tolist() == room[number < least].tolist()

    def test_an_atom_is_worth_what_its_bonds_make_likely(self):
        """All places of two bonds and more are filled, and few of those of one."""
        crystal = tomo.rock_salt("Pb", "Se", 6.1)
        lead = np.array([s for s in np.ndindex(7, 7, 7) if sum(s) % 2 == 0])
        lead = lead[np.abs(lead - 3).sum(axis=1) < 7]
        result = SimpleNamespace(occupied=lambda: lead)
        around = np.unique((lead[:, None] + bonds(crystal, 0, 1)).reshape(-1, 3), axis=0)
        number = filled_around(around, bonds(crystal, 1, 0), lead)
        atoms = around[(number > 1) | (np.arange(len(number)) % 9 == 0)]
        views = [tomo.View(axis, *tomo.phantoms.column_counts(around, axis)) for axis in AXES]
        none = np.zeros((0, 3), dtype=int)
        sites, worth = bond_worth(crystal, 1, views, none, {0: result}, atoms)
        of_site = filled_around(sites, bonds(crystal, 1, 0), lead)
        mean = [worth[of_site == n].mean() for n in (1, 2, 3)]
        assert mean[0] < min(mean[1:]) - 1.0
        assert bond_worth(crystal, 1, views, none, {}, atoms) is None

    @pytest.mark.parametrize(("explained", "taken"), [(4.0, 2), (-3.0, 2), (-6.0, 1)])
    def test_atoms_of_few_bonds_have_to_explain_something(self, monkeypatch, explained, taken):
        """Of ten atoms each time."""

        def state(atoms: int, evidence: float, least: int) -> Settled:
            result = SimpleNamespace(occupied=lambda: np.zeros((atoms, 3)))
            return Settled((), (), (), {0: result}, evidence, least)

        rivals = {2: explained, 3: explained - 9.0, 4: explained - 99.0}
        monkeypatch.setattr(
            species, "renewed", lambda _, t, *rest: state(100 - 10 * t.bonds, rivals[t.bonds], t.bonds)
        )
        best = species.firmly_bonded([], state(90, 0.0, 1), 0, 1)
        assert best.bonds == taken

    def test_remainder_is_what_is_left(self):
        def result(sites: list, runs: list, wrong: float) -> tomo.Reconstruction:
            occupied = np.array(runs, dtype=bool)
            view = tomo.View((0, 0, 1), [(0, 0, 0)], counts=[1])
            rest = np.zeros(len(runs)), (view,), "anneal", 0, 1.0
            told = {"expected_wrong": wrong}
            return tomo.Reconstruction(
                np.array(sites), occupied.mean(axis=0), occupied, *rest, diagnostics=told
            )

        both = result([(0, 0, 0), (1, 1, 0), (2, 0, 0)], [[1, 1, 1], [1, 1, 0]], 0.75)
        rest = remainder(both, result([(1, 1, 0)], [[1], [0]], 0.5))
        assert rest.diagnostics["expected_wrong"] == 1.25
        assert rest.certainty.tolist() == [1.0, 0.5, 0.5]
        assert rest.runs.tolist() == [[True, False, True], [True, True, False]]

    def test_rounds_that_differ_leave_doubt(self):
        one, two = (Settled((np.full((2, 1), n),), (np.zeros((2, 1)),), (), {}, 0.0) for n in (2.0, 4.0))
        half = blended(one, two)
        assert half.counts[0].tolist() == [[3.0], [3.0]]
        assert half.doubt[0].tolist() == [[1.0], [1.0]]

    def test_rounds_that_explain_less_are_not_kept(self, monkeypatch):
        """The crystal may run away from the best trial, to 316 Se where there are 260."""
        evidence = iter([7.0, 12.0, *[5.0] * species.ROUNDS])

        def state(mean: float, explained: float) -> Settled:
            return Settled((np.full((2, 1), mean),), (np.zeros((2, 1)),), (), {}, explained)

        monkeypatch.setattr(species, "attempt", lambda *_: state(3.0, 10.0))
        monkeypatch.setattr(species, "climbed", lambda _, trials, *rest: trials[0])
        monkeypatch.setattr(species, "firmly_bonded", lambda _, best, *rest: best)
        monkeypatch.setattr(
            species, "improve", lambda _, before, *rest: state(before.counts[0][0, 0] + 2, 0.0)
        )
        monkeypatch.setattr(
            species, "with_compositions", lambda _, before: replace(before, evidence=next(evidence))
        )
        monkeypatch.setattr(species, "undecided", lambda *_: ())
        view = TypedView(SimpleNamespace(crystal=COHERENT), np.zeros(2), np.zeros(2))
        kept = species.settle([view] * 3, [], 10, 0, 1)
        assert kept.evidence == 12.0
        assert kept.counts[0].tolist() == [[5.0], [5.0]], "two rounds of half a step from 3"

    def test_rounds_ask_for_one_bond_and_weigh_bonds_and_one_that_changes_nothing_is_not_the_last(
        self, monkeypatch
    ):
        best, asked = Settled((np.ones((2, 1)),), (np.zeros((2, 1)),), (), {}, 0.0, bonds=3), []
        monkeypatch.setattr(species, "attempt", lambda *_: best)
        monkeypatch.setattr(species, "climbed", lambda _, trials, *rest: trials[0])
        monkeypatch.setattr(species, "firmly_bonded", lambda _, best, *rest: best)
        monkeypatch.setattr(species, "improve", lambda _, before, *rest: asked.append(before) or before)
        monkeypatch.setattr(species, "with_compositions", lambda _, state: state)
        monkeypatch.setattr(species, "undecided", lambda *_: ())
        view = TypedView(SimpleNamespace(crystal=COHERENT), np.zeros(2), np.zeros(2))
        kept = species.settle([view] * 3, [], 10, 0, 1)
        assert [(state.bonds, state.by_bonds) for state in [*asked, kept]] == [(1, True)] * 5

    @pytest.mark.parametrize(("axes", "said"), [(AXES[1:], True), (AXES, False)])
    def test_species_that_no_view_separates_are_named(self, axes, said):
        none, lines = np.zeros(0), np.zeros((0, 2), dtype=int)
        views = [
            TypedView(tomo.TypedColumns(axis, COHERENT, lines, none.astype(int), none, none), none, none)
            for axis in axes
        ]
        found = never_apart(views)
        assert (found is not None) is said
        assert not said or "Pb and Se share their columns in every view" in found


def test_a_second_placing_is_told_of_only_if_it_explains_nearly_as_much():
    from stemcount.cli.core_shell import close_placings

    assert close_placings([4000.0, 5000.0, 4200.0]) is None
    sentence = close_placings([4993.0, 5000.0, 4200.0])
    assert "7 log units" in sentence


def test_doubtful_atoms_are_told_by_species():
    """The target's own sentence does not speak of the others."""
    certainty, sites = np.ones(100), np.column_stack([2 * np.arange(100), np.zeros((100, 2))]).astype(int)
    companions = [
        tomo.result.Companion(name, (1.0, 0.0, 0.0), sites, certainty, np.ones((2, 100), bool))
        for name in ("Se", "Cd")
    ]
    assert doubtful(companions, [1.9, 0.0]) == ()
    (sentence,) = doubtful(companions, [1.0, 12.3])
    assert sentence.startswith("certainty of Cd: about 12 of its 100 atoms are expected to be wrong")
