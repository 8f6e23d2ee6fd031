"""Time series: the hidden Markov model against enumeration, simulated series and the reference frames."""

import itertools
import time

import numpy as np
import pytest

import stemcount
from stemcount.counting.series import forward_backward, transition_matrix


def series(seed: int, frames: int, n: int, width: float, change: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    atoms = [rng.integers(1, 8, n)]
    for _ in range(frames - 1):
        step = rng.choice([-1, 1], n) * (rng.random(n) < change)
        atoms.append(np.maximum(atoms[-1] + step, 1))
    truth = np.array(atoms)
    return truth + width * rng.standard_normal(truth.shape), truth


def test_a_count_stays_or_changes_by_few_atoms_rather_than_many() -> None:
    """From 0 atoms: 0.3^k / (0.3 + 0.09 + 0.027) of the changes lead to k."""
    transition = transition_matrix(3, 0.2)
    assert np.diag(transition) == pytest.approx(np.full(4, 0.8))
    assert transition[0, 1:] == pytest.approx(0.2 * np.array([0.3, 0.09, 0.027]) / 0.417)
    assert transition[1] == pytest.approx([0.2 * 0.3 / 0.69, 0.8, 0.2 * 0.3 / 0.69, 0.2 * 0.09 / 0.69])


def test_forward_backward_equals_enumeration() -> None:
    rng = np.random.default_rng(0)
    log_likelihood = rng.normal(size=(3, 2, 3))
    start, transition = np.array([0.2, 0.5, 0.3]), transition_matrix(2, 0.3)
    probability, stayed, log_evidence = forward_backward(log_likelihood, start, transition)
    expected, total_stayed, total_evidence = np.zeros((3, 2, 3)), 0.0, 0.0
    for column in range(2):
        paths = list(itertools.product(range(3), repeat=3))
        weight = np.array([
            start[p[0]] * transition[p[0], p[1]] * transition[p[1], p[2]]
            * np.exp(sum(log_likelihood[f, column, p[f]] for f in range(3)))
            for p in paths
        ])  # fmt: skip
        total_evidence += np.log(weight.sum())
        for path, share in zip(paths, weight / weight.sum(), strict=True):
            total_stayed += share * ((path[0] == path[1]) + (path[1] == path[2]))
            for f in range(3):
                expected[f, column, path[f]] += share
    assert probability == pytest.approx(expected)
    assert stayed == pytest.approx(total_stayed)
    assert log_evidence == pytest.approx(total_evidence)


def test_more_right_than_frame_by_frame() -> None:
    values, truth = series(1, 5, 120, 0.35, 0.05)
    found = stemcount.count_time_series(values, n_components=7)
    alone = [stemcount.count_atoms(frame, n_components=7).count for frame in values]
    assert np.mean(found.count == truth) > 0.93
    assert np.mean(found.count == truth) > np.mean(np.array(alone) == truth) + 0.05
    assert 0.01 < found.change_probability < 0.15


def test_atoms_that_stay_are_seen_to_stay() -> None:
    values, truth = series(2, 6, 100, 0.3, 0.0)
    found = stemcount.count_time_series(values)
    assert found.change_probability < 0.01
    assert np.mean(found.count == truth) > 0.98


def test_a_series_that_may_be_read_an_atom_higher_says_so() -> None:
    """No column of one atom tells how the curve begins: the probabilities hold both readings."""
    rng = np.random.default_rng(6)
    atoms = np.tile(rng.integers(2, 8, 80), (3, 1))
    found = stemcount.count_time_series(atoms**0.9 + 0.1 * rng.standard_normal(atoms.shape))
    assert found.verdict == "undecidable"
    assert "times as probable" in found.reason
    true = np.take_along_axis(found.probability, atoms[..., None], axis=2)
    assert true.mean() > 0.02
    assert found.probability.sum(axis=2) == pytest.approx(np.ones(atoms.shape))
    given = stemcount.count_time_series(atoms**0.9, n_components=6, offset=1)
    assert given.verdict == "given"


def test_missing_frames_are_filled_by_their_neighbours() -> None:
    values, truth = series(3, 5, 100, 0.15, 0.0)
    values[2, :50] = np.nan
    found = stemcount.count_time_series(values, n_components=7)
    assert np.mean(found.count[2, :50] == truth[2, :50]) > 0.97


def test_single_frame() -> None:
    values, truth = series(4, 1, 100, 0.1, 0.0)
    found = stemcount.count_time_series(values, n_components=7)
    assert np.mean(found.count == truth) > 0.97


def test_reference_frames_are_quick(shared_data) -> None:
    data = np.load(shared_data / "hmm_series.npz")
    stemcount.count_time_series(data["ref_cross_section"])  # compile
    start = time.process_time()
    found = stemcount.count_time_series(data["ref_cross_section"], library=data["library_cross_section"])
    assert time.process_time() - start < 2
    assert found.count.shape == (5, 117)
    assert found.probability.sum(axis=2) == pytest.approx(np.ones((5, 117)))


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0, 2.0], "frames"), ([[1.0, np.nan], [2.0, np.nan]], "column 1")],
)
def test_bad_series_are_named(values: list, message: str) -> None:
    with pytest.raises(stemcount.InputError, match=message):
        stemcount.count_time_series(values)


@pytest.mark.parametrize("word", ["n_components", "offset"])
def test_classes_of_a_library_take_no_second_word(word: str) -> None:
    values = np.repeat([[1.0, 2.0, 3.0]], 3, axis=0)
    with pytest.raises(stemcount.InputError, match=f"either {word} or library"):
        stemcount.count_time_series(values, library=[1.0, 2.0, 3.0], **{word: 1})
