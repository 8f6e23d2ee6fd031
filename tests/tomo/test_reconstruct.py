"""Reconstruction from views: known answers, noise, and what must hold whatever the input."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

import tomo
from tomo.energy.prior import Prior
from tomo.ensemble import _that_count
from tomo.phantoms import harden, random_particle, soft_views_of, views_of
from tomo.remarks import odd_runs

THREE = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]


def wrong(result, truth) -> float:
    """(missed + false) / atoms."""
    found = {tuple(s) for s in result.occupied().tolist()}
    return len(found ^ {tuple(s) for s in np.asarray(truth).tolist()}) / len(truth)


@pytest.fixture(scope="module")
def particle():
    return random_particle(500, "rough", seed=3)


def pieces(sites) -> int:
    return len(sites) - len(tomo.phantoms.one_piece(sites))


class TestPerfect:
    @pytest.mark.parametrize(
        "axes",
        [
            THREE,
            [(1, 0, 0), (0, 1, 0), (0, 0, 1)],
            [(1, 1, 0), (1, -1, 0), (0, 0, 1)],
            [(1, 1, 1), (1, 1, 2), (1, -1, 0)],
        ],
        ids=str,
    )
    def test_exact_counts_of_three_views_give_the_particle(self, particle, axes):
        result = tomo.reconstruct(views_of(particle, axes), runs=2)
        assert wrong(result, particle) <= 0.005

    def test_two_views(self):
        faceted = random_particle(500, "faceted", seed=1)
        assert wrong(tomo.reconstruct(views_of(faceted, THREE[::2]), runs=2), faceted) <= 0.02

    @pytest.mark.parametrize("method", ["anneal", "sample"])
    def test_of_two_crystals_with_the_same_counts_one_is_shown(self, method):
        grid = np.argwhere(np.ones((9, 9, 5), dtype=bool))
        block = grid[grid.sum(axis=1) % 2 == 0]
        one, other = [(2, 1, 5), (6, 5, 5)], [(2, 5, 5), (6, 1, 5)]  # atoms on its top, seen along x and y
        views = views_of(np.concatenate([block, one]), [(1, 0, 0), (0, 1, 0)])
        for seed in range(3):
            result = tomo.reconstruct(views, method=method, seed=seed)
            shown = {tuple(site) for site in result.occupied().tolist()}
            assert shown in [{*map(tuple, block.tolist()), *atoms} for atoms in (one, other)]
            if method == "sample":
                certainty = dict(zip(map(tuple, result.sites.tolist()), result.certainty, strict=True))
                assert all(0.3 < certainty[site] < 0.7 for site in one + other)
            else:
                np.testing.assert_allclose(result.certainty, result.runs.mean(axis=0), rtol=1e-7)
            (said,) = (text for text in result.warnings if "expected to be wrong" in text)
            assert "2 atoms and 2 empty sites are doubtful" in said

    def test_one_view_gives_a_crystal_with_its_counts(self, particle):
        (view,) = views_of(particle, [(1, 1, 0)])
        result = tomo.reconstruct([view], runs=1)
        np.testing.assert_array_equal(tomo.reproject(result.occupied(), view), view.counts)
        assert pieces(result.occupied()) == 0

    def test_runs_of_one_view_are_laid_upon_each_other(self, particle):
        result = tomo.reconstruct(views_of(particle, [(1, 1, 0)]), runs=3)
        assert any("along one zone axis" in text for text in result.warnings)
        assert (result.certainty == 1).mean() > 0.7
        assert (result.runs.sum(axis=1) == len(particle)).all()

    def test_vacancies_where_they_are_allowed(self):
        solid = random_particle(300, "faceted", seed=4)
        holed = tomo.phantoms.add_vacancies(solid, np.random.default_rng(1), 2)
        axes = [*THREE, (0, 0, 1), (1, 1, 1)]
        found = tomo.reconstruct(views_of(holed, axes), runs=2, vacancies=True)
        assert wrong(found, holed) <= 0.01
        assert found.diagnostics["vacancies"] == [2, 2]

    def test_a_cavity_stays_open_where_it_is_allowed(self):
        """What an atom is worth at the surface does not fill a cavity."""
        solid = random_particle(700, "rough", seed=3)
        holed = solid[np.linalg.norm(solid - solid.mean(axis=0), axis=1) > 3.2]
        views = soft_views_of(holed, [(1, 0, 0), (1, 1, 0)], width=0.2, seed=3)
        assert wrong(tomo.reconstruct(views, runs=2, vacancies=True), holed) < 0.01

    def test_evident_vacancies_are_found_unless_forbidden(self):
        solid = random_particle(600, "faceted", seed=4)
        holed = tomo.phantoms.add_vacancies(solid, np.random.default_rng(1), 1)
        views = views_of(holed, THREE)
        found = tomo.reconstruct(views, runs=2)
        assert wrong(found, holed) == 0
        assert found.diagnostics["vacancies"] == [1, 1]
        assert any("leave 1 place inside the crystal empty" in text for text in found.warnings)
        filled = tomo.reconstruct(views, runs=2, vacancies=False)
        assert wrong(filled, solid) == 0
        assert filled.diagnostics["vacancies"] == [0, 0]

    @pytest.mark.parametrize(
        ("opened", "said"),
        [
            ([1, 1], "leave 1 place inside the crystal empty;"),
            ([0, 2], "leave 2 places inside the crystal empty in 1 of 2 runs;"),
            ([3, 2], "leave up to 3 places inside the crystal empty;"),
            ([0, 0], None),
        ],
    )
    def test_how_many_runs_left_places_empty_is_told(self, opened, said):
        problem = SimpleNamespace(slides=False)
        runs = [SimpleNamespace(vacancies=n, energy=0.0, free_energy=0.0) for n in opened]
        found = odd_runs(problem, runs, len(runs))
        assert [said in text for text in found] == [True] if said else found == ()

    def test_sampling_tells_of_vacancies_that_it_fills(self):
        solid = random_particle(300, "faceted", seed=4)
        holed = tomo.phantoms.add_vacancies(solid, np.random.default_rng(1), 1)
        site = next(s for s in solid.tolist() if s not in holed.tolist())

        def told(atoms, vacancies=None):
            views = soft_views_of(atoms, THREE, width=0.1, seed=1)
            result = tomo.reconstruct(views, 2, "sample", vacancies=vacancies)
            return views, [text for text in result.warnings if text.startswith("vacancies")]

        assert told(solid)[1] == told(holed, vacancies=False)[1] == []
        views, (said,) = told(holed)
        assert said.startswith("vacancies: 1 place inside")
        for view in views:
            on_line = tomo.reproject([site], view)
            assert f"column {int(np.argmax(on_line))} of {view.name}" in said

    def test_no_vacancies_from_wrong_counts(self):
        solid = random_particle(1000, "faceted", seed=4)
        for seed in range(3):
            result = tomo.reconstruct(views_of(solid, THREE, 0.2, seed), runs=1)
            assert result.diagnostics["vacancies"] == [0]


class TestNoisy:
    def test_wrong_counts_cost_few_atoms(self, particle):
        result = tomo.reconstruct(views_of(particle, THREE, 0.2, seed=1), runs=4)
        assert wrong(result, particle) <= 0.03

    def test_soft_counts_beat_hard_ones(self):
        hard = soft = 0.0
        for seed in range(4):
            truth = random_particle(500, "rough", seed=10 + seed)
            views = soft_views_of(truth, THREE, width=0.45, seed=seed)
            soft += wrong(tomo.reconstruct(views, runs=2), truth)
            hard += wrong(tomo.reconstruct([harden(v) for v in views], runs=2), truth)
        assert soft < hard / 1.5

    def test_a_column_without_a_count_is_no_constraint(self, particle):
        views = views_of(particle, THREE)
        counts = views[0].counts.copy()
        counts[::5] = -1
        views[0] = tomo.View(views[0].zone_axis, views[0].column_sites, counts=counts)
        assert wrong(tomo.reconstruct(views, runs=2), particle) <= 0.01

    def test_unseen_lines_may_hold_atoms(self, particle):
        views = views_of(particle, THREE)
        view = views[0]
        cut = view.column_sites[:, 2] > view.column_sites[:, 2].max() - 3
        views[0] = tomo.View(
            view.zone_axis,
            view.column_sites[~cut],
            counts=view.counts[~cut],
            unseen_sites=view.column_sites[cut],
        )
        assert wrong(tomo.reconstruct(views, runs=2), particle) <= 0.01


class TestInvariants:
    def test_same_seed_same_bits_whatever_the_workers(self, particle):
        views = views_of(particle, THREE, 0.3, seed=2)
        one, two = (tomo.reconstruct(views, runs=3, seed=5, workers=w) for w in (1, 3))
        np.testing.assert_array_equal(one.runs, two.runs)
        np.testing.assert_array_equal(one.energy, two.energy)
        assert one.diagnostics == two.diagnostics

    def test_fewer_runs_are_a_prefix_of_more(self, particle):
        views = views_of(particle, THREE, 0.3, seed=2)
        few, more = (tomo.reconstruct(views, runs=n, seed=5) for n in (1, 2))
        assert few.energy[0] == more.energy[0]

    def test_one_piece_without_holes(self, particle):
        result = tomo.reconstruct(views_of(particle, THREE, 0.5, seed=2), runs=3)
        for run in result.runs:
            sites = result.sites[run]
            assert pieces(sites) == 0
            around = (sites[:, None] + tomo.grid.NEIGHBOUR_VECTORS).reshape(-1, 3)
            places, contacts = np.unique(around, axis=0, return_counts=True)
            vacant = tomo.grid.SiteIndex(sites)(places) < 0
            assert contacts[vacant].max() < 12

    def test_energies(self, particle):
        result = tomo.reconstruct(views_of(particle, THREE, 0.2, seed=1), runs=3, edge_weight=0.7)
        assert result.edge_weight == pytest.approx(0.7)
        assert result.diagnostics["chemical_potential"] == 0
        voted = np.array(result.diagnostics["voted_energy"])
        assert (result.energy <= voted + 1e-6).all()
        assert np.ptp(result.energy) < 0.02 * abs(result.energy).max()

    def test_weights_are_found_from_the_views(self, particle):
        clean, noisy = (
            tomo.reconstruct(views_of(particle, THREE, p, seed=1), runs=1).diagnostics for p in (0.0, 0.4)
        )
        assert max(clean["count_error"]) < 0.05
        assert 0.25 < np.mean(noisy["count_error"]) < 0.55
        assert 0.3 < clean["edge_weight"] < 2

    def test_a_turned_crystal_gives_the_turned_result(self, particle):
        turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
        direct = tomo.reconstruct(views_of(particle, THREE), runs=1)
        turned = tomo.reconstruct(views_of(particle @ turn.T, [tuple(turn @ a) for a in THREE]), runs=1)
        assert wrong(direct, particle) <= 0.005
        assert wrong(turned, particle @ turn.T) <= 0.005


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"counts": [1, -2]}, r"view \[100\], column 1: count -2"),
            ({"counts": [1, np.nan]}, r"column 1: count nan"),
            ({"counts": [1, 1.5]}, r"column 1: count 1.5"),
            ({"counts": [1]}, r"counts has shape \(1,\), expected \(2,\)"),
            ({"counts": None}, "either counts or log_likelihood"),
            ({"column_sites": [(0, 0, 0), (0, 1, 0)]}, r"column 1: \(0, 1, 0\) is not on the fcc grid"),
            ({"column_sites": [(0, 0, 0), (0, 0.5, 0.5)]}, "column 1: .* is not a grid site"),
            ({"column_sites": [(0, 0, 0), (10**6, 0, 0)]}, "column 1: a grid index of 1000000 is farther"),
            ({"column_sites": [(0, 0, 0), (4, 0, 0)]}, "columns 0 and 1 lie on the same grid line"),
            ({"zone_axis": (0, 0, 0)}, "no direction"),
            ({"zone_axis": (0.5, 0, 0)}, "three integers"),
            ({"weight": 0}, "weight must be a positive number"),
            ({"unseen_sites": [(2, 1, 1)]}, "column 1 is also listed in unseen_sites"),
            ({"counts": None, "log_likelihood": [[0, np.nan], [0, 0]]}, "column 0: log_likelihood"),
            ({"unfound": [False, True]}, r"view \[100\]: unfound needs log_likelihood"),
            ({"counts": None, "log_likelihood": [[0, -1]] * 2, "unfound": [1, 0]}, "2 times True or False"),
            ({"counts": None, "log_likelihood": [[0, 0], [-np.inf, -np.inf]]}, "column 1: log_likelihood"),
        ],
    )
    def test_view(self, change, message):
        given = {"zone_axis": (1, 0, 0), "column_sites": [(0, 0, 0), (0, 1, 1)], "counts": [1, 1]}
        with pytest.raises(tomo.InputError, match=message):
            tomo.View(**(given | change))

    def test_count_above_the_line_length(self, particle):
        views = views_of(particle, THREE)
        counts = views[1].counts.copy()
        counts[7] += 20
        views[1] = tomo.View(views[1].zone_axis, views[1].column_sites, counts=counts)
        with pytest.raises(
            tomo.InputError, match=r"view \[010\], column 7: \d+ atoms were counted, but .* room for only"
        ):
            tomo.reconstruct(views)

    def test_inconsistent_totals(self, particle):
        views = views_of(particle, THREE)
        halved = tomo.View(views[0].zone_axis, views[0].column_sites, counts=(views[0].counts + 1) // 2)
        with pytest.raises(tomo.InputError, match=r"views \[100\] and \[010\]: their counts sum to"):
            tomo.reconstruct([halved, *views[1:]])

    def test_views_of_different_crystals(self, particle):
        view = views_of(particle, THREE)[0]
        other = views_of(particle + np.array([0, 60, 60]), [(0, 1, 0)])[0]
        with pytest.raises(tomo.InputError, match="not of one crystal"):
            tomo.reconstruct([view, other])

    def test_disagreement_within_noise_is_a_warning(self, particle):
        views = views_of(particle, THREE, 0.3, seed=4)
        counts = views[0].counts.copy()
        counts[:40] += 1
        views[0] = tomo.View(views[0].zone_axis, views[0].column_sites, counts=counts)
        result = tomo.reconstruct(views, runs=1)
        assert any("their counts sum to" in text for text in result.warnings)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"runs": 0}, "runs"),
            ({"method": "guess"}, "method"),
            ({"seed": -1}, "seed"),
            ({"workers": 0}, "workers"),
            ({"edge_weight": -1}, "edge_weight"),
            ({"vacancies": "no"}, "vacancies: expected True or False, got 'no'"),
            ({"connected": 2}, "connected"),
            ({"strict": None}, "strict"),
            ({"client": "tcp://localhost:8786"}, "client: expected a dask"),
        ],
    )
    def test_arguments(self, particle, arguments, message):
        with pytest.raises(tomo.InputError, match=message):
            tomo.reconstruct(views_of(particle, THREE), **arguments)

    def test_no_counts(self, particle):
        sites = views_of(particle, THREE)[0].column_sites
        view = tomo.View((1, 0, 0), sites, counts=np.full(len(sites), -1))
        with pytest.raises(tomo.InputError, match="no column of any view has a known count"):
            tomo.reconstruct([view])

    def test_no_views(self):
        with pytest.raises(tomo.InputError, match="at least one view"):
            tomo.reconstruct([])


@pytest.fixture(scope="module")
def result(particle):
    views = views_of(particle, THREE, 0.2, seed=1)
    return tomo.reconstruct(views, runs=3, crystal=tomo.fcc("Au", 4.08))


class TestResult:
    def test_saved_and_loaded(self, result, tmp_path):
        for path in (tmp_path / "a.h5", tmp_path / "folder"):
            result.save(path)
            loaded = tomo.load_reconstruction(path)
            for name in ("sites", "certainty", "runs", "energy"):
                np.testing.assert_array_equal(getattr(loaded, name), getattr(result, name))
            for name in ("crystal", "method", "seed", "edge_weight", "diagnostics", "warnings"):
                assert getattr(loaded, name) == getattr(result, name)
            for mine, theirs in zip(loaded.views, result.views, strict=True):
                assert (mine.zone_axis, mine.name, mine.weight) == (
                    theirs.zone_axis,
                    theirs.name,
                    theirs.weight,
                )
                np.testing.assert_array_equal(mine.counts, theirs.counts)

    def test_extended_xyz_is_read_by_ase(self, result, tmp_path):
        ase_io = pytest.importorskip("ase.io")
        atoms = ase_io.read(result.write_xyz(tmp_path / "atoms.xyz"))
        own = result.to_ase()
        assert set(atoms.get_chemical_symbols()) == {"Au"}
        np.testing.assert_allclose(atoms.positions, 4.08 / 2 * result.occupied(), atol=1e-5)
        np.testing.assert_allclose(atoms.positions, own.positions, atol=1e-5)
        np.testing.assert_allclose(atoms.arrays["certainty"], own.arrays["certainty"], atol=1e-6)
        assert not atoms.pbc.any()
        assert atoms.cell.rank == 0

    def test_agreement(self, result):
        views, planes = result.agreement()
        for agreement in views:
            expected = tomo.reproject(result.occupied(), agreement.view)
            np.testing.assert_array_equal(agreement.reprojected, expected)
            off = np.abs(expected - agreement.counts)
            assert sorted(agreement.disagreeing) == np.flatnonzero(off).tolist()
            assert agreement.outside == 0
        assert len(planes) == 3
        for shared in planes:
            assert shared.normal in ((0, 0, 1), (0, 0, -1))
            assert shared.reprojected.sum() == len(result.occupied())
            assert shared.complete.all()

    def test_no_file(self, tmp_path):
        with pytest.raises(tomo.InputError, match="no such file"):
            tomo.load_reconstruction(tmp_path / "nothing.h5")
        (tmp_path / "text.h5").write_text("no")
        with pytest.raises(tomo.InputError, match="not a readable reconstruction"):
            tomo.load_reconstruction(tmp_path / "text.h5")

    def test_a_file_of_which_a_part_is_overwritten_is_named(self, result, tmp_path):
        content = result.save(tmp_path).read_bytes()
        for part in (b'"expected_wrong"', b"certainty"):
            path = tmp_path / "damaged.h5"
            path.write_bytes(content.replace(part, b"\xff" * len(part)))
            with pytest.raises(tomo.InputError, match="not a readable reconstruction"):
                tomo.load_reconstruction(path)

    def test_no_crystal(self, particle):
        plain = tomo.reconstruct(views_of(particle, THREE), runs=1)
        with pytest.raises(tomo.InputError, match="the crystal is not known"):
            plain.to_ase()


def test_all_cubic_axes_have_their_lines(particle):
    for axis in itertools.product((-1, 0, 1, 2), repeat=3):
        if any(axis):
            (view,) = views_of(particle, [axis])
            assert view.counts.sum() == len(particle)


def test_views_problems_and_results_print_on_one_line():
    views = views_of([(0, 0, 0), (1, 1, 0), (1, 0, 1)], [(1, 0, 0), (0, 1, 0)])
    result = tomo.reconstruct(views, runs=2)
    assert repr(views[0]) == "<View [100], zone axis (1, 0, 0): 3 columns, 3 atoms>"
    assert repr(result) == "<Reconstruction: 3 atoms, views [100] [010], anneal, 2 runs, 0 warnings>"
    assert repr(tomo.build_problem(views)) == "<Problem: 3 candidate sites, 6 lines, views [100] [010]>"
    (own, _), (shared,) = result.agreement()
    assert repr(own) == "<ViewAgreement [100]: 0 of 3 columns differ>"
    assert repr(shared) == "<PlaneAgreement [100] [010]: 2 planes (0, 0, 1) of 3 and 3 atoms>"
    assert tomo.View((1, 1, 0), [(0, 0, 0)], counts=[-1], name=None).name == "[110]"


def test_an_atom_whose_column_was_not_found_is_found_by_the_light_there(tmp_path):
    particle = random_particle(200, "stepped", seed=3)
    views = soft_views_of(particle, [(1, 0, 0), (1, 1, 0), (0, 1, 0)], width=0.15, seed=1)
    shown = []
    for view in views:
        single = view.best_counts == 1
        faint = np.where(single[:, None], 0.1 * view.log_likelihood, view.log_likelihood)
        shown.append(
            tomo.View(view.zone_axis, view.column_sites, log_likelihood=faint, unfound=single, name=view.name)
        )
    assert sum(int(view.unfound.sum()) for view in shown) > 5
    result = tomo.load_reconstruction(tomo.reconstruct(shown, runs=2).save(tmp_path))
    assert wrong(result, particle) < 0.01
    for agreement, view in zip(result.agreement()[0], shown, strict=True):
        summary = agreement.summary()
        np.testing.assert_array_equal(agreement.view.unfound, view.unfound)
        assert summary["columns"] == view.found.sum()
        assert 0 < summary["atoms_outside"] <= agreement.reprojected[view.unfound].sum()


def test_a_seed_of_any_length_is_saved(tmp_path):
    seed = 2**127 + 1  # as those that numpy.random.SeedSequence draws
    result = tomo.reconstruct(views_of([(0, 0, 0), (1, 1, 0)], THREE), runs=1, seed=seed)
    assert tomo.load_reconstruction(result.save(tmp_path)).seed == seed


def test_count_probabilities_are_tempered_only_if_asked():
    particle = random_particle(150, "rough", seed=4)
    views = []
    for view in views_of(particle, [(1, 0, 0), (0, 1, 0), (1, 1, 0)]):
        off = np.random.default_rng(5).integers(-1, 2, len(view.counts))  # most of them wrong, all sure
        likely = np.abs(np.arange(14) - (view.counts + off)[:, None])
        views.append(tomo.View(view.zone_axis, view.column_sites, log_likelihood=-6.0 * likely))
    scales = [
        tomo.reconstruct(views, runs=1, strict=False, tempered=tempered).diagnostics["likelihood_scale"]
        for tempered in (True, False)
    ]
    assert max(scales[0]) < 0.9
    assert scales[1] == [1.0, 1.0, 1.0]


def test_a_plate_of_two_layers_is_not_filled_to_a_ball():
    """As counting has it, a column's light may be that of an outlier, whatever the column holds."""
    grid = np.argwhere(np.ones((21, 21, 21), dtype=bool)) - 10
    grid = grid[(grid.sum(axis=1) == 0) | (grid.sum(axis=1) == 2)]
    plate = grid[np.linalg.norm(np.cross(grid, [1, 1, 1]), axis=1) < 14]
    views = [
        tomo.View(view.zone_axis, view.column_sites, log_likelihood=np.logaddexp(view.log_likelihood, -7.0))
        for view in soft_views_of(plate, [(1, 0, 0), (1, 1, 0)], 0.15)
    ]
    assert wrong(tomo.reconstruct(views, runs=1), plate) == 0


def test_runs_that_froze_far_above_the_lowest_do_not_count():
    """Six of ten melted to a ball while hot: neither they nor the chains from them say anything."""

    def run(energy):
        return SimpleNamespace(energy=energy, edges=400, second_edges=200)

    costs = SimpleNamespace(prior=Prior(1.0, 4.0, 0.5))
    runs = [run(e) for e in (300.0, 340.0, 301.0, 700.0, 710.0, 690.0, 650.0, 800.0, 334.9, 900.0)]
    assert _that_count(runs, costs).tolist() == [0, 2, 8]  # within 5 % of 500 for the edges, and 10
    assert _that_count(runs[3:4], costs).tolist() == [0]


def test_certainties_are_those_of_the_runs_that_count(monkeypatch):
    views = soft_views_of(random_particle(120, "rough", seed=3), [(1, 0, 0), (0, 1, 0)], 0.5)
    monkeypatch.setattr("tomo.ensemble._that_count", lambda *_: np.array([2]))
    found = tomo.reconstruct(views, runs=4, workers=1)
    assert found.runs.shape[0] == 4
    assert not found.runs.all(axis=0)[found.runs[2]].all(), "runs differ"
    assert np.array_equal(found.certainty, found.runs[2].astype(float))
    assert any(warning.startswith("runs: 3 of 4 froze") for warning in found.warnings)
