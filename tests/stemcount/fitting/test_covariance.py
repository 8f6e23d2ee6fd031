"""Error bars against the plain inverse of the whole matrix."""

import numpy as np
import pytest
from scipy.sparse import bsr_matrix

from stemcount.fitting import covariance
from stemcount.fitting.covariance import column_covariance, own_covariance, pair_correlation
from stemcount.fitting.normal_equations import MANY, Bordered, solve_local


@pytest.mark.parametrize("shared", [0, 2])
def test_equals_the_inverse_where_all_columns_overlap(shared):
    rng = np.random.default_rng(shared)
    n, k = 5, 4
    size = n * k
    jacobian = rng.normal(size=(200, size + shared))
    weight, variance = rng.uniform(0.5, 2, 200), rng.uniform(0.5, 2, 200)
    pull = rng.uniform(0, 50, size)

    def bordered(w):
        whole = (jacobian.T * w) @ jacobian
        local = bsr_matrix(whole[:size, :size], blocksize=(k, k))
        return Bordered(local, whole[:size, size:], whole[size:, size:]), whole

    (system, a), (meat, m) = bordered(weight), bordered(weight**2 * variance)
    prior = np.diag(np.append(pull, np.zeros(shared)))
    inverse = np.linalg.inv(a + prior)
    expected = inverse @ (m + prior) @ inverse
    own, common = column_covariance(system, meat, pull, np.zeros(shared))
    for c in range(n):
        block = slice(c * k, (c + 1) * k)
        np.testing.assert_allclose(own[c], expected[block, block], atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(common, expected[size:, size:], atol=1e-6 * np.abs(expected).max())


def test_correlations_of_columns_are_those_of_the_inverse():
    rng = np.random.default_rng(3)
    n, k = 5, 3
    jacobian = rng.normal(size=(200, n * k)) + rng.normal(size=(200, 1))
    whole = jacobian.T @ jacobian
    expected = np.linalg.inv(whole)
    expected /= np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    found = pair_correlation(bsr_matrix(whole, blocksize=(k, k)))
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-9)


@pytest.mark.parametrize("together", [1, 2**18])
def test_columns_with_few_and_many_neighbours_have_the_errors_of_the_whole_inverse(together, monkeypatch):
    monkeypatch.setattr(covariance, "TOGETHER", together)
    rng = np.random.default_rng(5)
    k, cluster = 3, np.repeat([0, 1, 2, 3, 4], [2, 1, 4, 2, 1])  # columns overlap within a cluster
    n = len(cluster)

    def clustered():
        jacobian = rng.normal(size=(100, n * k))
        return (jacobian.T @ jacobian) * np.kron(cluster[:, None] == cluster, np.ones((k, k)))

    whole, other, extra = clustered(), clustered(), rng.uniform(1, 2, n * k)
    shuffled = rng.permutation(n)
    order = (shuffled[:, None] * k + np.arange(k)).ravel()
    whole, other = whole[np.ix_(order, order)], other[np.ix_(order, order)]
    system, meat = (
        Bordered(bsr_matrix(m, blocksize=(k, k)), np.zeros((n * k, 0)), np.zeros((0, 0)))
        for m in (whole, other)
    )
    assert len(np.unique(np.diff(system.local.indptr))) == 3
    inverse = np.linalg.inv(whole + np.diag(extra))
    some = np.array([7, 0, 3, 9])
    for middle, expected in (
        (system, inverse),
        (meat, inverse @ (other + np.diag(extra)) @ inverse),
    ):
        found = own_covariance(system, middle, extra, some)
        for c, own in zip(some, found, strict=True):
            block = slice(c * k, (c + 1) * k)
            np.testing.assert_allclose(own, expected[block, block], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", [3, 4])
def test_right_hand_sides_are_solved_alike_however_many_there_are(k):
    rng = np.random.default_rng(k)
    jacobian = rng.normal(size=(200, 5 * k))
    matrix, extra = bsr_matrix(jacobian.T @ jacobian, blocksize=(k, k)), rng.uniform(0, 9, 5 * k)
    right = rng.normal(size=(5 * k, MANY + 2))
    together = solve_local(matrix, right, extra, 1e-9)
    np.testing.assert_allclose(together, np.linalg.solve(matrix.toarray() + np.diag(extra), right), rtol=1e-6)
    for i in range(right.shape[1]):
        alone = solve_local(matrix, right[:, i : i + 1], extra, 1e-9)
        np.testing.assert_allclose(alone[:, 0], together[:, i], rtol=1e-6)


def test_the_window_of_a_column_knows_nothing_of_the_one_before():
    whole = np.diag(np.arange(1.0, 6)) + np.diag([10.0, 20, 30, 40], 1) + np.diag([10.0, 20, 30, 40], -1)
    chain = bsr_matrix(whole, blocksize=(1, 1))
    columns = np.array([3, 1])
    rows = chain.indptr.astype(np.int64), chain.indices.astype(np.int64)
    windows = covariance._window_stack(columns, *rows, chain.data, np.zeros((5, 1)))
    for window, c in zip(windows, columns, strict=True):
        assert np.array_equal(window, whole[c - 1 : c + 2, c - 1 : c + 2])
