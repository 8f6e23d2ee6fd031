import numpy as np
import pytest

from tomo import ChainSchedule, InputError, View, build_problem, compare_sites, sample_posterior
from tomo.grid import SiteIndex
from tomo.phantoms import harden, one_piece, random_particle, soft_views_of, views_of

AXES = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
SHORT = ChainSchedule(estimates=20, rounds=2, measurements=50)


def truth_of(problem, atoms):
    truth = np.zeros(problem.n_sites, dtype=bool)
    truth[SiteIndex(problem.sites)(atoms)] = True
    return truth


def wrong_fraction(problem, atoms, certainty):
    return ((certainty >= 0.5) != truth_of(problem, atoms)).sum() / len(atoms)


class TestPerfect:
    def test_exact_counts_give_the_crystal_and_certainty(self):
        atoms = random_particle(500, "stepped", seed=1)
        problem = build_problem(views_of(atoms, AXES))
        sample = sample_posterior(problem, seed=1, schedule=SHORT)
        assert wrong_fraction(problem, atoms, sample.certainty) == 0
        assert np.abs(sample.certainty - truth_of(problem, atoms)).mean() < 0.002
        assert sample.count_model.error.max() < 0.03
        assert sample.warnings == ()


class TestUneven:
    def test_single_atoms_and_pits_do_not_pass_for_wrong_counts(self):
        ball = random_particle(250, "faceted", seed=2)
        column = np.unique(ball @ [(1, 0), (-1, 0), (0, 1)], axis=0, return_inverse=True)[1].ravel()
        along, moved = ball @ (1, 1, 0), 2 * np.random.default_rng(1).integers(0, 3, (2, column.max() + 1))
        top, bottom = (np.full(column.max() + 1, -99) for _ in range(2))
        np.maximum.at(top, column, along)
        np.maximum.at(bottom, column, -along)
        kept = (along <= (top - moved[0])[column]) & (-along <= (bottom - moved[1])[column])
        atoms = one_piece(ball[kept])
        problem = build_problem(views_of(atoms, [(1, 1, 0), (1, 0, 1)]))
        sample = sample_posterior(problem, seed=1, schedule=SHORT)
        c = sample.certainty
        made = ((c >= 0.5) != truth_of(problem, atoms)).sum()
        assert sample.edge_weight < 0.45
        assert sample.count_model.error.max() < 0.02
        assert sample.convergence.site_r_hat < 1.5  # chains get from crystal to crystal
        assert abs(made - np.minimum(c, 1 - c).sum()) < 3 * np.sqrt((c * (1 - c)).sum()) + 2


class TestNoisy:
    @pytest.fixture(scope="class")
    @staticmethod
    def case():
        atoms = random_particle(700, "rough", seed=8)
        problem = build_problem(views_of(atoms, AXES, 0.3, seed=3), strict=False)
        return atoms, problem, sample_posterior(problem, seed=4, chains=4, schedule=SHORT)

    def test_few_atoms_are_wrong(self, case):
        atoms, problem, sample = case
        assert wrong_fraction(problem, atoms, sample.certainty) < 0.03

    def test_expected_errors_match_the_errors_made(self, case):
        """Sum of the probabilities to be wrong = number of wrong sites, within 3 standard deviations."""
        atoms, problem, sample = case
        c = sample.certainty
        expected = np.minimum(c, 1 - c).sum()
        spread = np.sqrt((c * (1 - c)).sum())
        made = ((c >= 0.5) != truth_of(problem, atoms)).sum()
        assert abs(made - expected) < 3 * spread + 2

    def test_count_errors_are_estimated(self, case):
        assert case[2].count_model.error == pytest.approx(np.full(3, 0.3), abs=0.1)

    def test_chains_agree(self, case):
        convergence = case[2].convergence
        assert convergence.r_hat < 1.1
        assert convergence.site_r_hat < 1.3
        assert convergence.effective_sample_size > 50

    def test_runs_are_draws(self, case):
        _, problem, sample = case
        assert sample.runs.shape == (4, problem.n_sites)
        assert np.abs(sample.runs.mean() - sample.certainty.mean()) < 0.01
        assert [d for d in sample.diagnostics if "r_hat" in d] == ["r_hat", "site_r_hat"]

    def test_same_seed_same_bits_whatever_the_workers(self, case):
        _, problem, sample = case
        for workers in (1, 3):
            again = sample_posterior(problem, seed=4, chains=4, schedule=SHORT, workers=workers)
            assert np.array_equal(again.certainty, sample.certainty)
            assert np.array_equal(again.runs, sample.runs)
        other = sample_posterior(problem, seed=5, chains=4, schedule=SHORT)
        assert not np.array_equal(other.certainty, sample.certainty)

    def test_soft_counts_beat_hard_ones(self):
        """Mean of -ln(probability given to the truth) over four particles."""
        score = np.zeros(2)
        for seed in range(4):
            atoms = random_particle(400, "rough", seed=seed)
            soft = soft_views_of(atoms, AXES, 0.38, seed=seed)
            for i, views in enumerate((soft, [harden(v) for v in soft])):
                problem = build_problem(views, strict=False)
                certainty = sample_posterior(problem, schedule=SHORT, chains=4).certainty
                right = np.where(truth_of(problem, atoms), certainty, 1 - certainty)
                score[i] -= np.log(np.maximum(right, 1e-3)).mean() / 4
        assert score[0] < 0.7 * score[1]
        assert score[1] < 0.05


class TestModes:
    def test_views_of_high_indices_split_no_crystal(self):
        """Their columns cross far outside the particle, too: there is room for a crystal in two pieces."""
        atoms = random_particle(600, "rough", seed=10)
        problem = build_problem(views_of(atoms, [(1, 0, 0), (10, 1, 0)], 0.1, seed=0))
        sample = sample_posterior(problem, chains=6, schedule=SHORT)
        assert (sample.runs != truth_of(problem, atoms)).sum(axis=1).max() < 0.1 * len(atoms)
        assert np.ptp(sample.energy) < 100

    def test_modes_of_one_weight_are_all_found_and_told(self):
        """A prism leans to one side or the other: [100] and [010] do not tell which."""
        grid = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        x, y, z = grid.T
        atoms = grid[((x + y + z) % 2 == 0) & (abs(x - y) <= 6) & (abs(x + y) <= 12) & (abs(z) <= 3)]
        problem = build_problem(views_of(atoms, [(1, 0, 0), (0, 1, 0)], 0.1, seed=0))
        sample = sample_posterior(problem, chains=8, schedule=SHORT)
        sides = [truth_of(problem, atoms * [sign, 1, 1]) for sign in (1, -1)]
        held = [((sample.runs != side).sum(axis=1) < 0.1 * len(atoms)).sum() for side in sides]
        assert min(held) > 0
        assert sum(held) == 8
        assert any("disagree" in warning for warning in sample.warnings)


class TestDegenerate:
    def test_one_view_says_that_it_does_not_know(self):
        atoms = random_particle(200, "faceted", seed=3)
        problem = build_problem(views_of(atoms, [(1, 1, 0)]))
        sample = sample_posterior(problem, chains=4, schedule=SHORT)
        assert len(sample.warnings) > 0 or sample.convergence.undecided > 20
        counts = problem.line_counts(sample.runs[0])
        assert np.abs(counts - problem.views[0].counts[problem.line_column]).mean() < 0.2

    def test_a_weight_that_is_given_is_kept(self):
        problem = build_problem(views_of(random_particle(200, "faceted"), AXES, 0.2))
        sample = sample_posterior(problem, edge_weight=0.6, count_error=0.1, chains=2, schedule=SHORT)
        assert sample.prior == (0.6, 0.0, 0.0)
        assert sample.count_model.error == pytest.approx([0.1, 0.1, 0.1])

    def test_unseen_lines_are_not_empty(self):
        """Columns that one view does not show are found from the other two."""
        atoms = random_particle(500, "faceted", seed=6)
        views = views_of(atoms, AXES)
        first = views[0]
        shown = first.column_sites[:, 2] > first.column_sites[:, 2].min() + 1
        cut = View(
            first.zone_axis,
            first.column_sites[shown],
            counts=first.counts[shown],
            unseen_sites=first.column_sites[~shown],
        )
        problem = build_problem([cut, *views[1:]])
        sample = sample_posterior(problem, chains=4, schedule=SHORT)
        assert wrong_fraction(problem, atoms, sample.certainty) < 0.02

    @pytest.mark.parametrize("axis", [(1, 1, 0), (1, 1, 1)])
    def test_chains_of_a_single_view_are_brought_to_one_depth(self, axis):
        """They slide along the beam; atoms that are wrong are as many as the certainties say."""
        atoms = random_particle(300, "rough", seed=4)
        problem = build_problem(views_of(atoms, [axis], 0.1, seed=1), strict=False)
        sample = sample_posterior(problem, chains=4, schedule=SHORT)
        shown = sample.certainty >= 0.5
        wrong = compare_sites(problem.sites[shown], atoms).wrong_fraction * len(atoms)
        told = np.minimum(sample.certainty, 1 - sample.certainty).sum()
        assert wrong < 0.2 * len(atoms)
        assert told < 0.25 * len(atoms)
        assert (sample.runs @ sample.certainty > 0.8 * sample.runs.sum(axis=1)).all()

    @pytest.mark.parametrize(
        ("argument", "word"),
        [
            ({"chains": 1}, "chains"),
            ({"edge_weight": -1.0}, "edge_weight"),
            ({"count_error": 1.5}, "count_error"),
            ({"start": np.ones(3, bool)}, "start"),
            ({"schedule": 5}, "schedule: expected a tomo.ChainSchedule, got 5"),
            ({"progress": 3}, "progress: expected True, False or a function"),
        ],
    )
    def test_bad_arguments_are_named(self, argument, word):
        problem = build_problem(views_of(random_particle(100, "faceted"), AXES))
        with pytest.raises(InputError, match=word):
            sample_posterior(problem, **argument)
