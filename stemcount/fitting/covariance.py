"""Error bars of the joint fit from the Fisher information, column by column.

With weights W, pixel variances s^2 and derivatives J the covariance of the fitted parameters is
(J'WJ)^-1 (J'W s^2 W J) (J'WJ)^-1. When W = 1 / s^2, J'WJ is the Fisher information and its inverse the
Cramer-Rao bound (den Dekker et al., Ultramicroscopy 104 (2005) 83). A pull towards
values known with variance 1 / P adds P to both J'WJ and the matrix in the middle: what the pull
leaves open is part of the error (the posterior's covariance, (J'WJ + P)^-1, when W = 1 / s^2). The
inverse of a sparse matrix is dense, but a column feels its distant neighbours hardly at all: its own block of
the inverse is computed from the columns whose peaks overlap with it, and the few shared
parameters are added exactly.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import bsr_matrix, diags

from ..arrays import Floats, Ints
from ..kernels import jit
from .normal_equations import Bordered, inverse_of, solve_local

TOGETHER = 2**18  # numbers in the windows that are solved at a time: 2 MB, which caches hold


@jit
def _windows(columns: Ints, indptr: Ints, indices: Ints, blocks: Floats, extra: Floats, out: Floats) -> None:
    """Parts of a block-sparse matrix that belong to the neighbours of some columns, `extra` on the diagonal.

    `out` (c, m k, m k) is filled, in the order of the m neighbours that each of the columns has.
    """
    k = blocks.shape[1]
    slot = np.full(len(indptr) - 1, -1, dtype=np.int64)
    out[:] = 0.0
    for c in range(len(columns)):
        members, window = indices[indptr[columns[c]] : indptr[columns[c] + 1]], out[c]
        for a in range(len(members)):
            slot[members[a]] = a
        for a in range(len(members)):
            m = members[a]
            for e in range(indptr[m], indptr[m + 1]):
                b = slot[indices[e]]
                if b >= 0:
                    for p in range(k):
                        for q in range(k):
                            window[a * k + p, b * k + q] = blocks[e, p, q]
            for q in range(k):
                window[a * k + q, a * k + q] += extra[m, q]
        slot[members] = -1


def _window_stack(columns: Ints, indptr: Ints, indices: Ints, blocks: Floats, extra: Floats) -> Floats:
    """`_windows` of columns that have equally many neighbours."""
    size = (indptr[columns[0] + 1] - indptr[columns[0]]) * blocks.shape[1]
    out = np.empty((len(columns), size, size))
    _windows(columns, indptr, indices, blocks, extra, out)
    return out


def _inverse_columns(
    indptr: Ints, indices: Ints, bread: Floats, extra: Floats, columns: Ints
) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Columns of bread^-1 that belong to each of some columns, within the window of its neighbours.

    Columns with m neighbours are taken together, as many as `TOGETHER` numbers hold. Yields for each such
    group which of the columns they are (c,), the place of each among its neighbours (c,), and the columns of
    the inverse (c, m k, k). Solved by numpy: Numba takes seconds to compile a call of LAPACK.
    """
    k = bread.shape[1]
    neighbours = np.diff(indptr)[columns]
    for m in np.unique(neighbours):
        alike = np.flatnonzero(neighbours == m)
        step = max(TOGETHER // int(m * k) ** 2, 1)
        for group in (alike[i : i + step] for i in range(0, len(alike), step)):
            some = columns[group]
            own = np.argmax(indices[indptr[some][:, None] + np.arange(m)] == some[:, None], axis=1)
            unit = np.zeros((len(some), m, k, k))
            unit[np.arange(len(some)), own] = np.eye(k)
            windows = _window_stack(some, indptr, indices, bread, extra)
            z = np.linalg.solve(windows, unit.reshape(len(some), m * k, k))
            yield group, own, np.asarray(z, dtype=float)


def pair_correlation(local: bsr_matrix) -> bsr_matrix:
    """Correlations of the parameters of columns that overlap, of the same sparsity as A.

    `local` is A of the normal equations (n k, n k), with the weights 1 / variance.
    """
    n, k = len(local.indptr) - 1, local.blocksize[0]
    blocks = np.empty(local.data.shape)
    indptr, indices = local.indptr.astype(np.int64), local.indices.astype(np.int64)
    inverse = _inverse_columns(indptr, indices, local.data, np.zeros((n, k)), np.arange(n))
    for group, _, z in inverse:
        m = z.shape[1] // k
        blocks[indptr[group][:, None] + np.arange(m)] = z.reshape(-1, m, k, k).transpose(0, 1, 3, 2)
    covariance = bsr_matrix((blocks, local.indices, local.indptr), shape=local.shape)
    scale = diags(1 / np.sqrt(np.maximum(covariance.diagonal(), np.finfo(float).tiny)))
    correlation = (scale @ covariance @ scale).tobsr(local.blocksize)
    np.clip(correlation.data, -1.0, 1.0, out=correlation.data)
    return correlation


def own_covariance(system: Bordered, meat: Bordered, extra: Floats, columns: Ints) -> Floats:
    """Covariance (m, k, k) of some columns' own parameters, the shared parameters being known.

    For the arguments see `column_covariance`.
    """
    a, k = system.local, system.local.blocksize[0]
    extra = extra.reshape(-1, k)
    out = np.empty((len(columns), k, k))
    indptr, indices = a.indptr.astype(np.int64), a.indices.astype(np.int64)
    inverse = _inverse_columns(indptr, indices, a.data, extra, columns)
    for group, own, z in inverse:
        if meat is system:
            out[group] = z.reshape(len(z), -1, k, k)[np.arange(len(z)), own]
        else:
            between = _window_stack(columns[group], indptr, indices, meat.local.data, extra)
            out[group] = z.transpose(0, 2, 1) @ (between @ z)
    return out


def column_covariance(
    system: Bordered, meat: Bordered, extra: Floats, shared_extra: Floats
) -> tuple[Floats, Floats]:
    """Covariance of each column's own parameters, (n, k, k), and of the shared ones, (s, s).

    `system` are the normal equations with the weights of the fit, `meat` the same with W s^2 W in place of W;
    `extra` (N,) is P of the columns' parameters, and `shared_extra` (s,) is added to the diagonal of the
    shared ones.
    """
    a, k = system.local, system.local.blocksize[0]
    n = a.shape[0] // k
    out = own_covariance(system, meat, extra, np.arange(n))
    if system.shared.shape[0] == 0:
        return out, np.zeros((0, 0))
    z = solve_local(a, system.border, extra, tolerance=1e-6)
    schur = inverse_of(system.shared + np.diag(shared_extra) - system.border.T @ z)
    cross = meat.border.T @ z
    spread = meat.local @ z + extra[:, None] * z
    shared = schur @ (meat.shared - cross - cross.T + z.T @ spread) @ schur
    rows = z.reshape(n, k, -1)
    out += np.einsum("nis,st,njt->nij", rows, shared, rows)
    if meat is not system:  # else the shared parameters are independent of what is left of the columns
        left = (solve_local(a, meat.border - spread, extra, tolerance=1e-6) @ schur).reshape(n, k, -1)
        both = np.einsum("nis,njs->nij", left, rows)
        out -= both + both.transpose(0, 2, 1)
    return out, shared
