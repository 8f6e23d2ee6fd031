"""Error bars of the joint fit from the Fisher information, column by column.

With weights W, pixel variances s^2 and derivatives J the covariance of the fitted parameters is
(J'WJ)^-1 (J'W s^2 W J) (J'WJ)^-1, which is the Cramer-Rao bound when W = 1 / s^2. A pull towards
values known with variance 1 / P adds P to both J'WJ and the matrix in the middle: what the pull
leaves open is part of the error (the posterior's covariance, (J'WJ + P)^-1, when W = 1 / s^2). The
inverse of a sparse matrix is dense, but a column feels its distant neighbours hardly at all: its own block of
the inverse is computed from the columns whose peaks overlap with it, and the few shared
parameters are added exactly.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import bsr_matrix, diags

from .normal_equations import Bordered, inverse_of, solve_local

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def _window(members: Ints, slot: Ints, indptr: Ints, indices: Ints, blocks: Floats, extra: Floats) -> Floats:
    """Part of a block-sparse matrix of some columns, in the order of their slots, `extra` on its diagonal."""
    k = blocks.shape[1]
    window = np.zeros((len(members) * k, len(members) * k))
    for a in range(len(members)):
        m = members[a]
        for e in range(indptr[m], indptr[m + 1]):
            b = slot[indices[e]]
            if b >= 0:
                window[a * k : (a + 1) * k, b * k : (b + 1) * k] = blocks[e]
        for q in range(k):
            window[a * k + q, a * k + q] += extra[m, q]
    return window


@njit(cache=True, nogil=True)
def _own_blocks(
    indptr: Ints, indices: Ints, bread: Floats, meat: Floats, extra: Floats, columns: Ints, out: Floats
) -> None:
    """Block of (bread^-1 meat bread^-1) of each of some columns within the window of its neighbours.

    Where the meat is the bread this is bread^-1, and `meat` may be left empty.
    """
    n, k = len(indptr) - 1, bread.shape[1]
    slot = np.full(n, -1, dtype=np.int64)
    for place, c in enumerate(columns):
        members = indices[indptr[c] : indptr[c + 1]]
        size = len(members)
        own = 0
        for a in range(size):
            slot[members[a]] = a
            if members[a] == c:
                own = a
        right = np.zeros((size * k, k))
        for q in range(k):
            right[own * k + q, q] = 1.0
        z = np.linalg.solve(_window(members, slot, indptr, indices, bread, extra), right)
        if len(meat) == 0:
            out[place] = z[own * k : (own + 1) * k]
        else:
            out[place] = z.T @ (_window(members, slot, indptr, indices, meat, extra) @ z)
        for a in range(size):
            slot[members[a]] = -1


@njit(cache=True, nogil=True)
def _pair_blocks(indptr: Ints, indices: Ints, bread: Floats, out: Floats) -> None:
    """Blocks of bread^-1 of all pairs of columns, each within the window of the first one's neighbours."""
    n, k = len(indptr) - 1, bread.shape[1]
    slot, nothing = np.full(n, -1, dtype=np.int64), np.zeros((n, k))
    for c in range(n):
        first, last = indptr[c], indptr[c + 1]
        members = indices[first:last]
        for a in range(len(members)):
            slot[members[a]] = a
        right = np.zeros((len(members) * k, k))
        right[slot[c] * k : (slot[c] + 1) * k] = np.eye(k)
        z = np.linalg.solve(_window(members, slot, indptr, indices, bread, nothing), right)
        for a in range(len(members)):
            out[first + a] = z[a * k : (a + 1) * k].T
            slot[members[a]] = -1


def pair_correlation(local: bsr_matrix) -> bsr_matrix:
    """Correlations of the parameters of columns that overlap, of the same sparsity as A.

    Parameters
    ----------
    local : (n k, n k) block-sparse
        A of the normal equations, with the weights 1 / variance.
    """
    blocks = np.zeros(local.data.shape)
    indptr, indices = local.indptr.astype(np.int64), local.indices.astype(np.int64)
    _pair_blocks(indptr, indices, local.data, blocks)
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
    out = np.zeros((len(columns), k, k))
    indptr, indices = a.indptr.astype(np.int64), a.indices.astype(np.int64)
    middle = meat.local.data if meat is not system else np.zeros((0, k, k))
    _own_blocks(indptr, indices, a.data, middle, extra.reshape(-1, k), columns, out)
    return out


def column_covariance(
    system: Bordered, meat: Bordered, extra: Floats, shared_extra: Floats
) -> tuple[Floats, Floats]:
    """Covariance of each column's own parameters, and of the shared ones.

    Parameters
    ----------
    system : Bordered
        Normal equations with the weights of the fit.
    meat : Bordered
        The same with W s^2 W in place of W.
    extra : (N,) float
        P of the columns' parameters.
    shared_extra : (s,) float
        Added to the diagonal of the shared parameters.

    Returns
    -------
    (n, k, k) float and (s, s) float
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
