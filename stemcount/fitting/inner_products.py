"""Inner products of the derivatives of peaks: the sums over pixels that the joint fit spends its time on.

The derivatives of a Gaussian peak P = gx(j) gy(i) by its place, volume and width are P times polynomials
in u = j - x and v = i - y,

    dp/dx = V P u / w^2      dp/dy = V P v / w^2      dp/dV = P      dp/dw = V P ((u^2 + v^2) / w^2 - 2) / w,

and the product of two peaks is separable too. So one needs only the moments

    M_ab = sum_ij  h_ij gx(j) u^a  gy(i) v^b

of an image h (the weighted residual) or of the weights under a pair of peaks, a + b <= 2 or 4: five
multiplications a pixel instead of sixteen and an exponential. A tailed peak is the sum of two such.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Floats, Ints
from ..kernels import jit
from .peaks import window


@jit
def _polynomials(
    volume: float, width: float, part: float, share: float, ex: float, ey: float, out: Floats
) -> None:
    """Derivatives of one part of a peak, divided by its Gaussian, as polynomials.

    Rows: by x, y, volume, width. Columns: coefficients of 1, u, v, u^2 + v^2, with the peak's centre at
    (u, v) = (ex, ey). `part` is the width of the part, that grows with `width` in proportion.
    """
    out[:] = 0.0
    slope = volume * share / (part * part)
    out[0, 0], out[0, 1] = -slope * ex, slope
    out[1, 0], out[1, 2] = -slope * ey, slope
    out[2, 0] = share
    if out.shape[0] > 3:
        growth = slope / width
        out[3, 0] = growth * (ex * ex + ey * ey - 2.0 * part * part)
        out[3, 1], out[3, 2], out[3, 3] = -2.0 * growth * ex, -2.0 * growth * ey, growth


@jit
def _powers(centre: float, width: float, first: int, last: int, out: Floats) -> None:
    """Rows of `out`: the Gaussian times (k - centre)^a, a = 0, 1, ..., at pixels first <= k < last."""
    scale = 1.0 / (width * math.sqrt(2 * math.pi))
    for k in range(first, last):
        u = k - centre
        value = scale * math.exp(-0.5 * u * u / (width * width))
        for a in range(out.shape[0]):
            out[a, k - first] = value
            value *= u


@jit
def _moments(
    image: Floats, gx: Floats, gy: Floats, i0: int, i1: int, j0: int, j1: int, sums: Floats, out: Floats
) -> None:
    """Moments M_ab = sum_ij image_ij gx_aj gy_bi over rows i and columns j of the window, a + b < len(out).

    Rows are added up first, into `sums` (len(out), columns): a processor can do that for several columns at
    once without another order of any sum, which along a row it cannot. Four rows at a time, as it waits for
    the memory of `sums` otherwise.
    """
    degrees, wide = len(out), j1 - j0
    for b in range(degrees):
        sums[b, :wide] = 0.0
    in_fours = i1 - (i1 - i0) % 4
    for i in range(i0, in_fours, 4):
        first, second = image[i, j0:j1], image[i + 1, j0:j1]
        third, fourth = image[i + 2, j0:j1], image[i + 3, j0:j1]
        for b in range(degrees):
            g, line = gy[b, i - i0 :], sums[b]
            for j in range(wide):
                line[j] += (g[0] * first[j] + g[1] * second[j]) + (g[2] * third[j] + g[3] * fourth[j])
    for i in range(in_fours, i1):
        row = image[i, j0:j1]
        for b in range(degrees):
            g1, line = gy[b, i - i0], sums[b]
            for j in range(wide):
                line[j] += g1 * row[j]
    for b in range(degrees):
        for a in range(degrees - b):
            moment = 0.0
            for j in range(wide):
                moment += sums[b, j] * gx[a, j]
            out[a, b] = moment


@jit
def image_products(
    images: Floats,
    x: Floats,
    y: Floats,
    volume: Floats,
    width: Floats,
    fraction: float,
    ratio: float,
    reach: Floats,
    out: Floats,
) -> None:
    """Inner products of every column's derivatives with images (m, rows, cols), multiplied with the weights.

    `x`, `y`, `volume` and `width` (n,) are columns in pixels, `fraction` and `ratio` the tail of the peak,
    and `reach` (n,) is the distance from the column up to which pixels count. `out` (n, k, m) is filled; k =
    3 (x, y, volume) or 4 (and width).
    """
    kinds = out.shape[1]
    rows, cols = images.shape[1:]
    gx, gy = np.empty((3, cols)), np.empty((3, rows))
    sums, m = np.empty((3, cols)), np.empty((3, 3))
    polynomials = np.empty((kinds, 4))
    out[:] = 0.0
    for n in range(len(x)):
        j0, j1 = window(x[n], reach[n], cols)
        i0, i1 = window(y[n], reach[n], rows)
        if i1 <= i0 or j1 <= j0:
            continue
        for tail in range(2 if fraction > 0.0 else 1):
            part = width[n] * ratio if tail else width[n]
            _powers(x[n], part, j0, j1, gx)
            _powers(y[n], part, i0, i1, gy)
            share = fraction if tail else 1.0 - fraction
            _polynomials(volume[n], width[n], part, share, 0.0, 0.0, polynomials)
            for s in range(len(images)):
                _moments(images[s], gx, gy, i0, i1, j0, j1, sums, m)
                for k in range(kinds):
                    c = polynomials[k]
                    square = m[2, 0] + m[0, 2]
                    out[n, k, s] += c[0] * m[0, 0] + c[1] * m[1, 0] + c[2] * m[0, 1] + c[3] * square


@jit
def _add_products(moments: Floats, mine: Floats, other: Floats, block: Floats) -> None:
    """Add to `block` the inner products of two sets of polynomials."""
    kinds = len(mine)
    m = moments
    for k in range(kinds):
        # moments of 1, u, v and u^2 + v^2 under the first polynomial
        a, b, c, d = mine[k]
        one = a * m[0, 0] + b * m[1, 0] + c * m[0, 1]
        u = a * m[1, 0] + b * m[2, 0] + c * m[1, 1]
        v = a * m[0, 1] + b * m[1, 1] + c * m[0, 2]
        square = 0.0
        if kinds > 3:
            one += d * (m[2, 0] + m[0, 2])
            u += d * (m[3, 0] + m[1, 2])
            v += d * (m[2, 1] + m[0, 3])
            square = a * (m[2, 0] + m[0, 2]) + b * (m[3, 0] + m[1, 2]) + c * (m[2, 1] + m[0, 3])
            square += d * (m[4, 0] + 2.0 * m[2, 2] + m[0, 4])
        for q in range(kinds):
            e = other[q]
            block[k, q] += e[0] * one + e[1] * u + e[2] * v + e[3] * square


@jit
def pair_products(
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
    """Inner products of the derivatives of every overlapping pair, over the pixels both cover.

    `start` and `neighbour` are the pairs as CSR pointers and indices, every column with itself among them,
    and `weight` (rows, cols) is that of the pixels; for the columns see `image_products`. `blocks` (n_pairs,
    k, k) is filled; k = 3 (x, y, volume) or 4 (and width).
    """
    rows, cols = weight.shape
    kinds = blocks.shape[1]
    degrees = 5 if kinds > 3 else 3
    parts = 2 if fraction > 0.0 else 1
    own_x, own_y = np.empty((parts, degrees, cols)), np.empty((parts, degrees, rows))
    gx, gy = np.empty((degrees, cols)), np.empty((degrees, rows))
    hx, hy = np.empty((1, cols)), np.empty((1, rows))
    sums, moments = np.empty((degrees, cols)), np.empty((degrees, degrees))
    mine, other = np.empty((kinds, 4)), np.empty((kinds, 4))
    for n in range(len(x)):
        a0, a1 = window(x[n], reach[n], cols)
        b0, b1 = window(y[n], reach[n], rows)
        for p in range(parts):
            w = width[n] * ratio if p else width[n]
            _powers(x[n], w, a0, a1, own_x[p])
            _powers(y[n], w, b0, b1, own_y[p])
        for e in range(start[n], start[n + 1]):
            m = neighbour[e]
            if m < n:
                continue
            j0, j1 = window(x[m], reach[m], cols)
            i0, i1 = window(y[m], reach[m], rows)
            j0, j1, i0, i1 = max(j0, a0), min(j1, a1), max(i0, b0), min(i1, b1)
            blocks[e] = 0.0
            if i1 <= i0 or j1 <= j0:
                continue
            for p in range(parts):
                w = width[n] * ratio if p else width[n]
                _polynomials(volume[n], width[n], w, fraction if p else 1.0 - fraction, 0.0, 0.0, mine)
                for q in range(parts):
                    z = width[m] * ratio if q else width[m]
                    share = fraction if q else 1.0 - fraction
                    _polynomials(volume[m], width[m], z, share, x[m] - x[n], y[m] - y[n], other)
                    _powers(x[m], z, j0, j1, hx)
                    _powers(y[m], z, i0, i1, hy)
                    for a in range(degrees):
                        for j in range(j1 - j0):
                            gx[a, j] = own_x[p, a, j0 - a0 + j] * hx[0, j]
                        for i in range(i1 - i0):
                            gy[a, i] = own_y[p, a, i0 - b0 + i] * hy[0, i]
                    _moments(weight, gx, gy, i0, i1, j0, j1, sums, moments)
                    _add_products(moments, mine, other, blocks[e])
            for f in range(start[m], start[m + 1] if m > n else start[m]):
                if neighbour[f] == n:
                    blocks[f] = blocks[e].T
