"""Normal equations of the joint fit: sparse blocks of overlapping columns, bordered by shared ones.

Every column has its own parameters (x, y, volume and, if asked, width); a few parameters are
shared by the image (background, common widths, tail). Gauss-Newton's normal equations are then

    [ A   B ] [columns]   [g]
    [ B'  C ] [shared ] = [h]

with A block-sparse, one block for each pair of columns whose peaks overlap, so that memory and
time grow linearly with the number of columns. A is solved by conjugate gradients with its
diagonal blocks as preconditioner, the shared part through the Schur complement C - B' A^-1 B.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import bsr_matrix
from scipy.spatial import cKDTree

from .peaks import fill_basis, window

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK_REACH = 4.0  # widths within which overlaps count in A; the gradient uses the whole peak
PAIR_REACH = 6.0  # widths between two columns beyond which their overlap, exp(-9), is left out of A


@dataclass(frozen=True)
class Bordered:
    """The matrices A (sparse), B and C of the normal equations, parameters in pixels."""

    local: bsr_matrix
    border: Floats  # (n * k, s)
    shared: Floats  # (s, s)


def overlapping_pairs(x: Floats, y: Floats, reach: float) -> tuple[Ints, Ints]:
    """Every column with itself and its neighbours within `reach`, as CSR pointers and indices."""
    tree = cKDTree(np.column_stack([x, y]))
    pairs = tree.query_pairs(reach, output_type="ndarray")
    n = len(x)
    own = np.arange(n)
    first = np.concatenate([own, pairs[:, 0], pairs[:, 1]])
    second = np.concatenate([own, pairs[:, 1], pairs[:, 0]])
    order = np.lexsort((second, first))
    start = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(first, minlength=n), out=start[1:])
    return start, second[order].astype(np.int64)


@njit(cache=True, nogil=True, fastmath=True)
def _project(
    residual: Floats,
    shared: Floats,
    weight: Floats,
    x: Floats,
    y: Floats,
    volume: Floats,
    width: Floats,
    fraction: float,
    ratio: float,
    reach: Floats,
    gradient: Floats,
    border: Floats,
) -> None:
    """Inner products of each column's derivatives with the weighted residual and the shared images."""
    rows, cols = residual.shape
    n_shared = shared.shape[0]
    kinds = gradient.shape[1]
    basis = np.empty((kinds, 0))
    for n in range(len(x)):
        j0, j1 = window(x[n], reach[n], cols)
        i0, i1 = window(y[n], reach[n], rows)
        if i1 <= i0 or j1 <= j0:
            continue
        size = (i1 - i0) * (j1 - j0)
        if basis.shape[1] < size:
            basis = np.empty((kinds, size))
        fill_basis(basis, x[n], y[n], volume[n], width[n], fraction, ratio, i0, i1, j0, j1)
        for k in range(kinds):
            total = 0.0
            p = 0
            for i in range(i0, i1):
                for j in range(j0, j1):
                    b = basis[k, p] * weight[i, j]
                    basis[k, p] = b
                    total += b * residual[i, j]
                    p += 1
            gradient[n, k] = total
            for s in range(n_shared):
                total = 0.0
                p = 0
                for i in range(i0, i1):
                    for j in range(j0, j1):
                        total += basis[k, p] * shared[s, i, j]
                        p += 1
                border[n * kinds + k, s] = total


@njit(cache=True, nogil=True, fastmath=True)
def _fill_blocks(
    start: Ints,
    neighbour: Ints,
    blocks: Floats,
    weight: Floats,
    x: Floats,
    y: Floats,
    volume: Floats,
    width: Floats,
    fraction: float,
    ratio: float,
    reach: Floats,
) -> None:
    """Inner products of the derivatives of every overlapping pair, over the pixels both cover."""
    rows, cols = weight.shape
    kinds = blocks.shape[1]
    mine = np.empty((kinds, 0))
    other = np.empty((kinds, 0))
    for n in range(len(x)):
        a0, a1 = window(x[n], reach[n], cols)
        b0, b1 = window(y[n], reach[n], rows)
        size = max((b1 - b0) * (a1 - a0), 0)
        if mine.shape[1] < size:
            mine = np.empty((kinds, size))
            other = np.empty((kinds, size))
        if size == 0:
            continue
        fill_basis(mine, x[n], y[n], volume[n], width[n], fraction, ratio, b0, b1, a0, a1)
        p = 0
        for i in range(b0, b1):
            for j in range(a0, a1):
                for k in range(kinds):
                    mine[k, p] *= weight[i, j]
                p += 1
        for e in range(start[n], start[n + 1]):
            m = neighbour[e]
            if m < n:
                continue
            j0, j1 = window(x[m], reach[m], cols)
            i0, i1 = window(y[m], reach[m], rows)
            j0, j1, i0, i1 = max(j0, a0), min(j1, a1), max(i0, b0), min(i1, b1)
            if i1 <= i0 or j1 <= j0:
                continue
            fill_basis(other, x[m], y[m], volume[m], width[m], fraction, ratio, i0, i1, j0, j1)
            for k in range(kinds):
                for q in range(kinds):
                    total = 0.0
                    p = 0
                    for i in range(i0, i1):
                        base = (i - b0) * (a1 - a0) - a0
                        for j in range(j0, j1):
                            total += mine[k, base + j] * other[q, p]
                            p += 1
                    blocks[e, k, q] = total
            if m > n:
                for f in range(start[m], start[m + 1]):
                    if neighbour[f] == n:
                        for k in range(kinds):
                            for q in range(kinds):
                                blocks[f, q, k] = blocks[e, k, q]


def project(
    residual: Floats,
    shared: Floats,
    weight: Floats,
    x: Floats,
    y: Floats,
    volume: Floats,
    width: Floats,
    tail: tuple[float, float],
    reach: Floats,
    kinds: int,
) -> tuple[Floats, Floats]:
    """Gradient (n, kinds) of the columns' own parameters and the border B (n * kinds, s)."""
    gradient = np.zeros((len(x), kinds))
    border = np.zeros((len(x) * kinds, len(shared)))
    _project(residual, shared, weight, x, y, volume, width, *tail, reach, gradient, border)
    return gradient, border


def local_blocks(
    weight: Floats,
    x: Floats,
    y: Floats,
    volume: Floats,
    width: Floats,
    tail: tuple[float, float],
    kinds: int,
) -> bsr_matrix:
    """The sparse matrix A of the columns' own parameters."""
    reach = BLOCK_REACH * width
    start, neighbour = overlapping_pairs(x, y, PAIR_REACH * float(width.max(initial=0.0)))
    blocks = np.zeros((len(neighbour), kinds, kinds))
    _fill_blocks(start, neighbour, blocks, weight, x, y, volume, width, *tail, reach)
    size = len(x) * kinds
    return bsr_matrix((blocks, neighbour, start), shape=(size, size))


def diagonal_blocks(matrix: bsr_matrix) -> Floats:
    """The (n, k, k) blocks on the diagonal of A."""
    rows = np.repeat(np.arange(len(matrix.indptr) - 1), np.diff(matrix.indptr))
    return np.asarray(matrix.data[rows == matrix.indices])


def solve_local(
    matrix: bsr_matrix, right: Floats, extra: Floats, tolerance: float = 1e-3, max_iter: int = 300
) -> Floats:
    """Solve (A + diag(extra)) z = right by conjugate gradients, all right-hand sides at once.

    Parameters
    ----------
    matrix : (N, N) block-sparse
    right : (N, s) float
    extra : (N,) float
        Added to the diagonal (damping and pull).
    tolerance : float
        Residual to be reached, relative to the right-hand side; rough steps do while a fit is
        iterated, because its gradient stays exact.
    """
    k = matrix.blocksize[0]
    blocks = diagonal_blocks(matrix)
    index = np.arange(k)
    blocks[:, index, index] += extra.reshape(-1, k)
    inverse = np.linalg.inv(blocks)

    def precondition(r: Floats) -> Floats:
        return np.matmul(inverse, r.reshape(-1, k, r.shape[1])).reshape(r.shape)

    z = np.zeros_like(right)
    r = right.copy()
    p = precondition(r)
    search = p.copy()
    rho = np.einsum("ns,ns->s", r, p)
    goal = tolerance**2 * np.maximum(rho, np.finfo(float).tiny)
    going = np.ones(len(rho), dtype=bool)
    for _ in range(max_iter):
        if np.all((rho <= goal) | ~going):
            break
        q = matrix @ search + extra[:, None] * search
        curvature = np.einsum("ns,ns->s", search, q)
        # blocks of far pairs are left out, which can cost the matrix a direction: leave it alone
        going &= curvature > 0
        step = np.where(going, rho / np.where(going, curvature, 1.0), 0.0)
        z += step * search
        r -= step * q
        p = precondition(r)
        new = np.einsum("ns,ns->s", r, p)
        search = p + (new / np.maximum(rho, np.finfo(float).tiny)) * search
        rho = new
    return z


def solve_bordered(
    system: Bordered,
    gradient: Floats,
    shared_gradient: Floats,
    extra: Floats,
    shared_extra: Floats,
    tolerance: float = 1e-3,
) -> tuple[Floats, Floats]:
    """Step of the columns' own parameters (N,) and of the shared ones (s,).

    For `tolerance` see `solve_local`.
    """
    z = solve_local(system.local, np.column_stack([gradient, system.border]), extra, tolerance)
    if len(shared_gradient) == 0:
        return z[:, 0], shared_gradient
    schur = system.shared + np.diag(shared_extra) - system.border.T @ z[:, 1:]
    step = inverse_of(schur) @ (shared_gradient - system.border.T @ z[:, 0])
    return z[:, 0] - z[:, 1:] @ step, step


def inverse_of(schur: Floats) -> Floats:
    """Pseudo-inverse after scaling to a unit diagonal: the parameters have different units."""
    scale = 1 / np.sqrt(np.maximum(np.abs(np.diagonal(schur)), 1e-300))
    return np.asarray(np.linalg.pinv(schur * np.outer(scale, scale), rcond=1e-10) * np.outer(scale, scale))
