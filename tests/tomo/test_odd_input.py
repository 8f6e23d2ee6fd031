"""What a stranger may hand to `tomo.reconstruct`: odd crystals come out right, odd input gets a sentence."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tomo
from tomo.grid import NEIGHBOUR_VECTORS, SiteIndex, line_keys
from tomo.phantoms import random_particle, soft_views_of, views_of

AXES = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, -1), (1, 1, 1), (1, 1, 2), (3, 1, 0)]
THREE = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]


def grown(n_atoms, seed):
    """A crystal grown atom by atom, in one piece."""
    rng = np.random.default_rng(seed)
    atoms = [(0, 0, 0)]
    while len(atoms) < n_atoms:
        step = NEIGHBOUR_VECTORS[rng.integers(12)]
        site = tuple((np.array(atoms[rng.integers(len(atoms))]) + step).tolist())
        if site not in atoms:
            atoms.append(site)
    return np.array(atoms)


@st.composite
def odd_views(draw):
    """A few views of a few atoms: counts off by one, unknown, or out of the field of view."""
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    atoms = grown(draw(st.integers(1, 25)), seed)
    axes = draw(st.lists(st.sampled_from(AXES), min_size=1, max_size=5))
    unknown, unseen = draw(st.sampled_from([0.0, 0.3])), draw(st.sampled_from([0.0, 0.2]))
    views = []
    for view in views_of(atoms, axes, draw(st.sampled_from([0.0, 0.3])), seed=seed):
        counts, sites = view.counts.copy(), view.column_sites
        counts[rng.random(len(counts)) < unknown] = -1
        shown = rng.random(len(counts)) >= unseen
        shown[0] = True
        counts[0] = max(counts[0], 1)
        views.append(
            tomo.View(view.zone_axis, sites[shown], counts=counts[shown], unseen_sites=sites[~shown])
        )
    return views


@settings(max_examples=25, deadline=None)
@given(odd_views(), st.sampled_from(["anneal", "sample"]), st.sampled_from([None, True, False]))
def test_any_views_give_atoms_where_the_views_allow_them(views, method, vacancies):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = tomo.reconstruct(views, runs=2, method=method, vacancies=vacancies, workers=1, strict=False)
    assert np.isfinite(result.energy).all()
    assert ((result.certainty > 0) & (result.certainty <= 1 + 1e-6)).all()
    assert len(result.occupied()) > 0 or any("atoms: none of about" in text for text in result.warnings)
    for view in views:
        allowed = np.concatenate([view.column_sites, view.unseen_sites])
        lines = line_keys(result.sites, view.zone_axis)
        assert np.isin(lines, line_keys(allowed, view.zone_axis)).all()


@pytest.mark.parametrize("n_atoms", [1, 2, 3, 7, 15])
@pytest.mark.parametrize("method", ["anneal", "sample"])
def test_a_few_atoms_in_three_views(n_atoms, method):
    atoms = random_particle(200, "rough", n_atoms)
    atoms = atoms[np.argsort((atoms**2).sum(axis=1), kind="stable")[:n_atoms]]
    result = tomo.reconstruct(views_of(atoms, THREE), runs=2, method=method)
    assert np.array_equal(result.occupied(), atoms[np.lexsort(atoms.T[::-1])])


@pytest.mark.parametrize(
    ("atoms", "axes"),
    [
        (random_particle(300, "rough", 3), [(1, 1, 1), (1, 1, 2), (3, 1, 0)]),
        (random_particle(300, "rough", 3), [*THREE, (0, 0, 1), (1, 1, 1)]),
        (random_particle(300, "rough", 3), [(501, 300, 1), (7, -2, 3)]),
        (np.stack([np.arange(400), np.arange(400), 0 * np.arange(400)], axis=1), [(1, 0, 0), (0, 1, 1)]),
    ],
    ids=["no common axis", "five views", "high indices", "chain"],
)
def test_exact_counts_of_unusual_axes_and_shapes(atoms, axes):
    result = tomo.reconstruct(views_of(atoms, axes), runs=2)
    assert (SiteIndex(atoms)(result.occupied()) >= 0).all()
    assert len(result.occupied()) == len(atoms)


def test_a_view_without_any_known_count_says_where_atoms_may_be():
    atoms = random_particle(300, "rough", 3)
    first, *others = views_of(atoms, THREE)
    for nothing in (
        {"counts": np.full(first.n_columns, -1)},
        {"log_likelihood": np.zeros((first.n_columns, 9))},
    ):
        silent = tomo.View(first.zone_axis, first.column_sites, **nothing)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = tomo.reconstruct([silent, *others], runs=2)
        assert np.array_equal(result.occupied(), atoms)


@pytest.mark.parametrize("step", [(2, 0, 0), (0, 4, 0)])
def test_atoms_without_nearest_neighbours_are_found_or_missed_with_a_warning(step):
    atoms = np.array([(0, 0, 0), (2, 0, 0), (4, 0, 0)]) + np.array([0, 0, 1])[:, None] * np.array(step)
    result = tomo.reconstruct(views_of(atoms, THREE), runs=2)
    told = any(text.startswith("atoms: ") and "of about 3 counted" in text for text in result.warnings)
    assert told == (len(result.occupied()) < len(atoms))
    sampled = tomo.reconstruct(views_of(atoms, THREE), runs=2, method="sample")
    assert len(sampled.occupied()) == len(atoms)


@pytest.mark.parametrize("method", ["anneal", "sample"])
def test_one_view_of_one_atom_is_told_to_decide_nothing(method):
    result = tomo.reconstruct([tomo.View((1, 1, 0), [(0, 0, 0)], counts=[1])], runs=2, method=method)
    assert any("along one zone axis" in text for text in result.warnings)
    assert len(result.occupied()) > 0 or any("atoms: none of about" in text for text in result.warnings)


def test_a_view_given_twice_is_told():
    views = views_of(random_particle(100, "rough", 3), THREE, 0.2, seed=1)
    result = tomo.reconstruct([*views, views[0]], runs=1)
    assert any("[100] and [100] are the same" in text for text in result.warnings)


def with_soft(change):
    views = soft_views_of(random_particle(100, "rough", 3), THREE, 0.2, 1)
    return [tomo.View(v.zone_axis, v.column_sites, log_likelihood=change(v.log_likelihood)) for v in views]


def normalised(table):
    p = np.exp(table - table.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def test_a_constant_added_to_soft_counts_changes_nothing():
    plain = tomo.reconstruct(with_soft(lambda table: table), runs=2)
    shifted = tomo.reconstruct(with_soft(lambda table: table + 64.0), runs=2)
    assert np.array_equal(plain.occupied(), shifted.occupied())


ONE = {"zone_axis": (1, 1, 0), "column_sites": [(0, 0, 0), (1, -1, 0)], "counts": [2, 3]}


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (lambda: tomo.View(**ONE), "expected a list of tomo.View, got View"),
        (
            lambda: [tomo.View(**(ONE | {"counts": ["a", 1]}))],
            r"view \[110\]: counts must be an array of numbers",
        ),
        (lambda: [tomo.View(**(ONE | {"column_sites": [(0, 0, 0), (1, 1)]}))], "array of numbers"),
        (
            lambda: [tomo.View(**(ONE | {"counts": np.ma.array([2, 3], mask=[False, True])}))],
            r"view \[110\], column 1: count nan",
        ),
        (lambda: [tomo.View(**(ONE | {"counts": [0, 0]}))], "all counts are 0"),
        (lambda: [tomo.View(**(ONE | {"counts": [2, 300_000]}))], r"view \[110\], column 1: 300000 atoms"),
        (
            lambda: [
                tomo.View(**(ONE | {"zone_axis": (700, 1, 1), "column_sites": [(0, 0, 0), (9e4, 0, 9e4)]}))
            ],
            "too far from the origin",
        ),
        (lambda: with_soft(normalised), r"view \[100\]: .* these are probabilities"),
    ],
)
def test_one_sentence_for(views, message):
    with pytest.raises(tomo.InputError, match=message):
        tomo.reconstruct(views(), runs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crystal": "Au"}, "crystal: expected a tomo.Crystal"),
        ({"edge_weight": "strong"}, "edge_weight: expected a number"),
        ({"runs": 2.0}, "runs: expected an integer"),
        ({"excluded_sites": [(0.5, 0.5, 0)]}, "excluded_sites, excluded 0: .* not a grid site"),
        ({"site_worth": 3.0}, "site_worth: expected sites"),
        ({"site_worth": ([(0, 0, 0)], [1.0, 2.0])}, "site_worth: expected 1 finite numbers"),
        ({"site_worth": ([(0, 0, 0)], [np.inf])}, "site_worth: expected 1 finite numbers"),
    ],
)
def test_one_sentence_for_arguments(arguments, message):
    with pytest.raises(tomo.InputError, match=message):
        tomo.reconstruct(views_of(random_particle(100, "rough", 3), THREE), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chemical_potential": np.nan}, "chemical_potential: expected a number"),
        ({"chains": 2.5}, "chains: expected an integer"),
        ({"seed": -1}, "seed: expected an integer"),
        ({"workers": 0}, "workers: expected an integer"),
        ({"start": np.ones(3, bool)}, "start: expected [0-9]+ times True or False"),
    ],
)
def test_one_sentence_for_the_sampler(arguments, message):
    problem = tomo.build_problem(views_of(random_particle(100, "rough", 3), THREE))
    with pytest.raises(tomo.InputError, match=message):
        tomo.sample_posterior(problem, **({"chains": 2} | arguments))


def test_particles_beyond_memory_are_refused():
    with pytest.raises(tomo.InputError, match="n_atoms: expected an integer of at most"):
        random_particle(10**9)


PARTICLE = random_particle(100, "rough", 3)


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        (2.04 * PARTICLE, r"row 0, .* is not a grid site; expected three integers"),
        (PARTICLE * np.nan, "is not a grid site"),
        (np.concatenate([PARTICLE, [(1, 0, 0)]]), "even for all or odd for all"),
        (PARTICLE[:, :2], r"expected an \(n, 3\) array of grid indices"),
        ("atoms", r"expected an \(n, 3\) array of grid indices"),
        ([(1, 1, 0), (2,)], r"expected an \(n, 3\) array of grid indices"),
    ],
    ids=["positions", "nan", "other grid", "two columns", "words", "ragged"],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda sites: tomo.compare_sites(sites, PARTICLE),
        tomo.observables.coordination_numbers,
        tomo.observables.surface_atoms,
        tomo.observables.facet_atoms,
        tomo.observables.facets,
        lambda sites: tomo.observables.layers(sites, (0, 0, 1)),
        lambda sites: tomo.observables.over_runs(sites, np.ones((2, len(sites)), bool), len),
        lambda sites: tomo.reproject(sites, views_of(PARTICLE, THREE)[0]),
        lambda sites: views_of(sites, THREE),
    ],
    ids=[
        "compare",
        "coordination",
        "surface",
        "facet atoms",
        "facets",
        "layers",
        "runs",
        "reproject",
        "views",
    ],
)
def test_sites_are_grid_indices_wherever_they_are_taken(use, sites, message):
    with pytest.raises(tomo.InputError, match=message):
        use(sites)


def test_the_grid_of_another_sublattice_is_taken():
    odd = PARTICLE + np.array([1, 0, 0])
    for count in (tomo.observables.coordination_numbers, tomo.observables.facet_atoms):
        assert np.array_equal(count(odd.tolist()), count(PARTICLE))


def test_one_sentence_for_what_is_asked_of_a_result(tmp_path):
    views = views_of(PARTICLE, THREE)
    result = tomo.reconstruct(views, runs=1, crystal=tomo.fcc("Au", 4.08))
    problem, _ = tomo.costs_of(result)
    for call, message in (
        (lambda: result.occupied("0.5"), "threshold: expected a number, got '0.5'"),
        (lambda: result.atoms(None), "threshold: expected a number, got None"),
        (lambda: tomo.costs_of(views), "result: expected one of tomo.reconstruct, got list"),
        (lambda: tomo.sample_posterior(views), "problem: expected one of tomo.build_problem, got list"),
        (lambda: tomo.solve_exact(problem, "a"), "edge_weight: expected a number of at least 0, got 'a'"),
        (
            lambda: tomo.solve_exact(problem, chemical_potential=np.nan),
            "chemical_potential: expected a number",
        ),
        (lambda: tomo.solve_exact(problem, time_limit=None), "time_limit: expected a number of at least 0"),
        (lambda: tomo.freedom(problem, None), "solution: expected a proven one"),
        (lambda: tomo.build_problem(views, count_error="a"), "count_error: expected a share"),
        (lambda: tomo.reproject(PARTICLE, views[0], [1.0]), "weights: expected 82 values"),
        (lambda: tomo.observables.number_of_atoms([0.5, 2.0]), "certainty: 2 of site 1 is not between"),
        (lambda: views_of(PARTICLE, THREE, seed=-1), "seed: expected an integer"),
        (lambda: soft_views_of(PARTICLE, THREE, "a"), "width: expected a positive share"),
        (lambda: tomo.reconstruct(views, checkpoint=""), "checkpoint: expected the path of a folder"),
    ):
        with pytest.raises(tomo.InputError, match=message):
            call()


def test_a_name_of_two_lines_is_written_on_one(tmp_path):
    view = views_of(PARTICLE, [(1, 1, 0)])[0]
    named = tomo.View(view.zone_axis, view.column_sites, counts=view.counts, name="first\nday")
    assert named.name == "first day"
    result = tomo.reconstruct([named], runs=1, crystal=tomo.fcc("Au", 4.08))
    lines = result.write_xyz(tmp_path / "atoms.xyz").read_text().splitlines()
    assert len(lines) == int(lines[0]) + 2
