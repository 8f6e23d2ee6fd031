"""Compiled algebra of the small matrices of `stemcount.counting.curve_kernel`.

No BLAS is called: threads of a BLAS would cost more than they bring.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats
from ..kernels import jit_internal


@jit_internal
def factor(matrix: Floats) -> float:
    """Cholesky factor of a positive definite matrix, in place below the diagonal; ln det."""
    n = matrix.shape[0]
    log_det = 0.0
    for j in range(n):
        pivot = matrix[j, j]
        for m in range(j):
            pivot -= matrix[j, m] * matrix[j, m]
        pivot = max(pivot, 1e-12 * abs(matrix[j, j]) + 1e-300)
        log_det += np.log(pivot)
        root = np.sqrt(pivot)
        matrix[j, j] = root
        for i in range(j + 1, n):
            rest = matrix[i, j]
            for m in range(j):
                rest -= matrix[i, m] * matrix[j, m]
            matrix[i, j] = rest / root
    return log_det


@jit_internal
def solve(matrix: Floats, right: Floats) -> None:
    """Solve matrix x = right for positive definite `matrix` (destroyed); x replaces `right`."""
    factor(matrix)
    n = matrix.shape[0]
    for i in range(n):
        for m in range(i):
            right[i] -= matrix[i, m] * right[m]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for m in range(i + 1, n):
            right[i] -= matrix[m, i] * right[m]
        right[i] /= matrix[i, i]


@jit_internal
def times(matrix: Floats, vector: Floats) -> Floats:
    """Matrix times vector."""
    out = np.zeros(vector.size)
    for i in range(vector.size):
        for j in range(vector.size):
            out[i] += matrix[i, j] * vector[j]
    return out


@jit_internal
def add_block(block: Floats, first: int, matrix: Floats) -> None:
    """Add a square block to a matrix, along the diagonal from row `first` on."""
    for i in range(block.shape[0]):
        for j in range(block.shape[0]):
            matrix[first + i, first + j] += block[i, j]
