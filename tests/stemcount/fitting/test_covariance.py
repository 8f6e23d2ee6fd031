"""Error bars against the plain inverse of the whole matrix."""

import numpy as np
import pytest
from scipy.sparse import bsr_matrix

from stemcount.fitting.covariance import column_covariance, pair_correlation
from stemcount.fitting.normal_equations import Bordered


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
