"""What a public function does not take is named in one sentence; results show themselves in one line."""

from types import SimpleNamespace

import numpy as np
import pytest

import tomo
from tomo import observables, phantoms

GOLD = tomo.fcc("Au", a=4.08)
LEAD = tomo.core_shell(tomo.rock_salt("Pb", "Se", 6.1), tomo.zinc_blende("Cd", "Se", 6.1), "Pb")
SITES = phantoms.random_particle(150, "rough", seed=2)
SHOWN = [phantoms.indexed_columns(SITES, axis, GOLD) for axis in [(0, 0, 1), (1, 1, 0)]]
INDEXINGS, COUNTS = zip(*SHOWN, strict=True)
READINGS = [[tomo.Reading(0.0, n, np.full(len(n), 0.1))] for n in COUNTS]
XY = INDEXINGS[0].x, INDEXINGS[0].y
WRONG = (None, "words", object(), [np.nan], {})
LONG = np.zeros((9, 9))  # printed on several lines


@pytest.fixture(scope="module")
def registration():
    return tomo.register_views(INDEXINGS, COUNTS)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: type(wrong).__name__)
def test_it_is_named(wrong, registration):
    views = tomo.make_views(registration, counts=COUNTS)
    for name, call in (
        ("views", lambda: tomo.check_counts(SITES, wrong or [wrong])),
        ("view", lambda: tomo.count_consistency(SITES, wrong)),
        ("first", lambda: tomo.plane_sums(wrong, views[1])),
        ("sums", lambda: tomo.pair_agreement(wrong)),
        ("crystal", lambda: tomo.column_types((1, 1, 0), wrong)),
        ("core", lambda: tomo.core_shell(wrong, GOLD, "Au")),
        ("crystal", lambda: tomo.fcc("Au", wrong)),
        ("indexings", lambda: tomo.register_views(wrong or [wrong], COUNTS)),
        ("expected_counts|entries", lambda: tomo.register_views(INDEXINGS, wrong)),
        ("registration", lambda: tomo.make_views(wrong, counts=COUNTS)),
        ("indexing", lambda: tomo.strain_map(wrong)),
        ("column_sites|sites", lambda: tomo.tilt_of(INDEXINGS[0], wrong, SITES)),
        ("extent", lambda: tomo.lattice_columns(INDEXINGS[0], wrong)),
        ("probability|log_posterior", lambda: tomo.reading_of(0.0, wrong)),
        ("problem", lambda: tomo.freedom(wrong, None)),
        ("path|result", lambda: tomo.write_xyz(wrong, "atoms.xyz")),
        ("shell", lambda: tomo.core_shell_particle(GOLD, shell=wrong)),
        ("particles", lambda: tomo.plan_experiment(100, [(1, 0, 0)], count_error=0.1, particles=wrong)),
        ("rng", lambda: phantoms.peel(SITES, wrong, 0.1)),
        ("floor|layer", lambda: observables.composition_profile({}, wrong, (0, 0, 1))),
        (
            "positions: expected a mapping",
            lambda: observables.composition_profile(wrong or {}, [(0, 0, 0)], (0, 0, 1)),
        ),
        ("prior: expected a BiasPrior", lambda: tomo.pair_agreement(tomo.plane_sums(*views), wrong)),
        ("sublattices", lambda: tomo.Crystal("fcc", 4.08, wrong or [wrong])),
        ("phases", lambda: tomo.Crystal("fcc", 4.08, GOLD.sublattices, wrong or [wrong])),
        ("target", lambda: tomo.core_shell(GOLD, GOLD, wrong)),
        ("placing", lambda: tomo.choose_readings(INDEXINGS, READINGS, placing=wrong or [wrong])),
        ("facets", lambda: observables.interfaces(SITES, wrong or [wrong], [], LEAD)),
        ("columns", lambda: observables.interfaces(SITES, [], wrong or [wrong], LEAD)),
        ("family", lambda: observables.interfaces(SITES, [], [], LEAD, family=wrong)),
        ("sites", lambda: observables.interfaces(wrong or "", [], [], LEAD)),
        ("normal", lambda: observables.composition_profile({}, [(0, 0, 0)], wrong)),
        ("core_xy", lambda: observables.sublattice_shift(wrong or "", [], [], [], (1, 0))),
        ("lines", lambda: tomo.zone_geometry((1, 1, 0)).positions(wrong or "", 4.08)),
    ):
        with pytest.raises(tomo.InputError, match=name) as error:
            call()
        assert str(error.value).endswith(".")
        assert "\n" not in str(error.value)


def test_what_does_not_fit_together_is_named(registration):
    views = tomo.make_views(registration, counts=COUNTS)
    problem = tomo.build_problem(views)
    rng = np.random.default_rng(0)
    few = [counts[:-1] for counts in COUNTS]
    edges = [(0.0, 1.0), None]
    for name, call in (
        ("zone_axes: expected at least one", lambda: tomo.plan_experiment(100, [], count_error=0.1)),
        ("runs: expected an integer", lambda: tomo.reconstruct(views, runs=LONG)),
        ("threshold: expected a number", lambda: tomo.reconstruct(views, runs=1).occupied(LONG)),
        ("certainty: expected one value for each", lambda: observables.number_of_atoms(LONG)),
        ("vacancies: expected True or False", lambda: tomo.sample_posterior(problem, vacancies="no")),
        ("name: expected a str", lambda: tomo.index_columns(*XY, (0, 0, 1), GOLD, name=LONG)),
        ("n_atoms: expected an integer of at most", lambda: phantoms.polyhedron(2**70, rng)),
        ("n_steps: expected an integer of at most", lambda: phantoms.add_steps(SITES, rng, 2**70)),
        ("aspect: expected an elongation", lambda: phantoms.polyhedron(100, rng, aspect=-1.0)),
        ("sites: there are none", lambda: phantoms.one_piece(np.zeros((0, 3), int))),
        ("either counts or log_likelihoods", lambda: tomo.make_views(registration)),
        ("but counts of shape", lambda: tomo.make_views(registration, counts=few)),
        ("one entry for each of 2 views", lambda: tomo.unseen_sites(registration, [None])),
        (
            "count_probabilities of shape",
            lambda: tomo.register_views(INDEXINGS, COUNTS, count_probabilities=few),
        ),
        ("left, right, top, bottom", lambda: tomo.register_views(INDEXINGS, COUNTS, fields_of_view=edges)),
        ("a list of readings for each view", lambda: tomo.choose_readings(INDEXINGS, [None, None])),
        (
            "views: expected 2, as registered",
            lambda: tomo.smoother_crystal(registration, COUNTS, views[:1], 0.5),
        ),
        (
            "column_sites: expected",
            lambda: tomo.tilt_of(INDEXINGS[0], registration.column_sites[0][1:], SITES),
        ),
        ("column_sites is empty", lambda: tomo.View((1, 0, 0), np.zeros((0, 3), int), counts=[])),
        ("array of grid indices", lambda: tomo.View((1, 0, 0), [0, 0, 0], counts=[1])),
        ("item 1 is str, expected a tomo.View", lambda: tomo.build_problem([views[0], "view"])),
        ("client: only", lambda: tomo.reconstruct(views, method="sample", client=SimpleNamespace(scatter=1))),
        ("runs: expected an integer of at most", lambda: tomo.reconstruct(views, runs=10**30)),
        ("edge_weight: expected a number", lambda: tomo.solve_exact(problem, 10**30)),
        ("time_limit: expected a number", lambda: tomo.solve_exact(problem, 0.5, time_limit=LONG)),
        ("start: expected", lambda: tomo.solve_exact(problem, 0.5, start=[[1], [1, 2]])),
        ("start: expected", lambda: tomo.sample_posterior(problem, start=[[1], [1, 2]])),
        ("occupied: expected", lambda: problem.misfit([[1], [1, 2]])),
        ("strict: expected True or False", lambda: tomo.build_problem(views, strict=LONG)),
        ("name: expected a str", lambda: tomo.View((1, 0, 0), [(0, 0, 0)], counts=[1], name=LONG)),
        ("column 0 is at", lambda: tomo.index_columns(XY[0] + 1e300, XY[1], (0, 0, 1), GOLD)),
        ("path: expected the name", lambda: tomo.load_reconstruction(3)),
        (
            "cross-sections, one a column",
            lambda: tomo.index_columns(*XY, (0, 0, 1), GOLD, cross_section=[1.0]),
        ),
    ):
        with pytest.raises(tomo.InputError, match=name) as error:
            call()
        assert str(error.value).endswith(".")


def test_a_site_between_the_grid_lines_is_on_none():
    with pytest.raises(tomo.InputError, match="whole numbers"):
        tomo.zone_geometry((1, 1, 0)).lines([(0.5, 0.5, 0)])


def test_results_show_themselves_in_one_line(registration):
    problem = tomo.build_problem(tomo.make_views(registration, counts=COUNTS))
    solution = tomo.solve_exact(problem)
    same = tomo.compare_sites(SITES, SITES)
    assert repr(INDEXINGS[1]).startswith("<Indexing, zone axis (1, 1, 0): ")
    assert repr(registration).startswith("<Registration: view 1, view 2, consistent, margin ")
    assert repr(solution) == f"<ExactSolution: {solution.occupied.sum()} atoms, energy 0, proven>"
    assert repr(problem).endswith("lines, views [001] [110]>")
    assert repr(tomo.freedom(problem, solution)).endswith(" movable>")
    assert repr(same) == f"<Comparison: 0 missed and 0 false of {len(SITES)} atoms>"
