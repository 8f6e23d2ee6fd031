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
from scipy.sparse import bsr_matrix
from scipy.spatial import cKDTree

from ..arrays import Floats, Ints
from ..kernels import jit
from .inner_products import pair_products

BLOCK_REACH = 4.0  # widths within which overlaps count in A; the gradient uses the whole peak
PAIR_REACH = 6.0  # widths between two columns beyond which their overlap, exp(-9), is left out of A
MOST_STEPS = 300  # of conjugate gradients
MANY = 4  # right-hand sides from which scipy's product takes up to twice as long as `_multiply`


@dataclass(frozen=True)
class Bordered:
    """The matrices of the normal equations of n columns of k own parameters each; lengths in pixels.

    Attributes
    ----------
    local : (n k, n k) block-sparse
        A, of the columns' own parameters.
    border : (n k, s) float
        B.
    shared : (s, s) float
        C, of the shared parameters.
    """

    local: bsr_matrix
    border: Floats
    shared: Floats


def overlapping_pairs(x: Floats, y: Floats, reach: float) -> tuple[Ints, Ints]:
    """Every column with itself and its neighbours within `reach`, as CSR pointers and indices."""
    tree = cKDTree(np.column_stack([x, y]))
    pairs = tree.query_pairs(reach, output_type="ndarray")
    n = len(x)
    own = np.arange(n)
    first = np.concatenate([own, pairs[:, 0], pairs[:, 1]])
    second = np.concatenate([own, pairs[:, 1], pairs[:, 0]])
    start = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(first, minlength=n), out=start[1:])
    # no pair comes twice: sorted as one number they are in the order of the first, then of the second
    return start, np.sort(first * n + second) % n


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
    pair_products(start, neighbour, blocks, weight, x, y, volume, width, *tail, reach)
    size = len(x) * kinds
    return bsr_matrix((blocks, neighbour, start), shape=(size, size))


def diagonal_blocks(matrix: bsr_matrix) -> Floats:
    """The (n, k, k) blocks on the diagonal of A."""
    rows = np.repeat(np.arange(len(matrix.indptr) - 1), np.diff(matrix.indptr))
    return np.asarray(matrix.data[rows == matrix.indices])


@jit
def _multiply(
    indptr: Ints, indices: Ints, blocks: Floats, extra: Floats, vectors: Floats, out: Floats
) -> None:
    """`out` (N, s) = (A + diag(extra)) vectors, summed in the order of scipy's product."""
    k = blocks.shape[1]
    for n in range(len(indptr) - 1):
        mine, own = out[n * k : (n + 1) * k], vectors[n * k : (n + 1) * k]
        mine[:] = 0.0
        for e in range(indptr[n], indptr[n + 1]):
            other = vectors[indices[e] * k : (indices[e] + 1) * k]
            for p in range(k):
                for q in range(k):
                    for s in range(vectors.shape[1]):
                        mine[p, s] += blocks[e, p, q] * other[q, s]
        for p in range(k):
            for s in range(vectors.shape[1]):
                mine[p, s] += extra[n * k + p] * own[p, s]


def _product(matrix: bsr_matrix, extra: Floats, vectors: Floats) -> Floats:
    """(A + diag(extra)) times vectors (N, s)."""
    if vectors.shape[1] < MANY:
        return np.asarray(matrix @ vectors + extra[:, None] * vectors)
    out = np.empty_like(vectors)
    _multiply(matrix.indptr, matrix.indices, matrix.data, extra, vectors, out)
    return out


def solve_local(matrix: bsr_matrix, right: Floats, extra: Floats, tolerance: float) -> Floats:
    """Solve (A + diag(extra)) z = right (N, s) by conjugate gradients, all right-hand sides at once.

    Steps and norms are those of the preconditioned method (Golub and Van Loan, Matrix Computations, 4th ed.,
    11.5). `matrix` is A, block-sparse (N, N), `extra` (N,) holds damping and pull. The residual to be
    reached, relative to the right-hand side, is `tolerance`: rough steps do while a fit is iterated, because
    its gradient stays exact. z is as close as `MOST_STEPS` steps come.
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
    for _ in range(MOST_STEPS):
        if np.all((rho <= goal) | ~going):
            break
        q = _product(matrix, extra, search)
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
    """Step of the columns' own parameters (N,) and of the shared ones (s,), or (N, r) and (s, r).

    For `tolerance` see `solve_local`.
    """
    right = gradient.reshape(len(gradient), -1)
    r = right.shape[1]
    z = solve_local(system.local, np.column_stack([right, system.border]), extra, tolerance)
    own, along = z[:, :r], z[:, r:]
    if len(shared_gradient) == 0:
        return own.reshape(gradient.shape), shared_gradient
    # BLAS would start threads for these slender products
    onto_border = np.einsum("Ns,Nt->st", system.border, z)
    schur = system.shared + np.diag(shared_extra) - onto_border[:, r:]
    step = inverse_of(schur) @ (shared_gradient.reshape(-1, r) - onto_border[:, :r])
    return (own - along @ step).reshape(gradient.shape), step.reshape(shared_gradient.shape)


def inverse_of(schur: Floats) -> Floats:
    """Pseudo-inverse after scaling to a unit diagonal: the parameters have different units."""
    scale = 1 / np.sqrt(np.maximum(np.abs(np.diagonal(schur)), 1e-300))
    return np.asarray(np.linalg.pinv(schur * np.outer(scale, scale), rcond=1e-10) * np.outer(scale, scale))
