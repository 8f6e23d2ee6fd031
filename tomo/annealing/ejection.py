"""Ejection chains: flips that each repair a line that the one before has spoilt.

Where counts are sharp, a crystal can only change by several sites at once: for two views the
corners of a parallelogram, for three in a plane those of a hexagon. A chain starts with any
boundary site; as long as the energy has not come down, it goes on with the site on one of the last
one's lines that gives that line its count back at the least cost (Glover 1996, Discrete Appl. Math.
65, 223). Chains that lead nowhere are undone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..energy.occupancy import flip, flip_cost
from ..kernels import below, exponential, jit, jit_internal, random_bits
from .anneal import Annealer

#: Most sites of a chain.
DEPTH = 8


def run_chains(annealer: Annealer, n_chains: int, temperature: float, noise: float) -> int:
    """Try so many chains on an annealing run; returns how many were kept.

    A chain is kept as soon as its energy is below `temperature` times a random number of mean 1. Its next
    site is the cheapest one after `noise` times a random number of mean 1 is taken off each.
    """
    costs = int(n_chains), float(temperature), float(noise)
    return int(_chains(annealer.layout, annealer.state, annealer.prior, *costs, annealer.rng))


@jit_internal
def _next(path: Any, n: int, layout: Any, state: Any, prior: Any, noise: float, rng: Any) -> int:
    """The site to go on with after path[n - 1], or -1."""
    line, line_start, line_sites = layout.line, layout.line_start, layout.line_sites
    occupied, gap, marginal, slot = state.occupied, state.gap, state.marginal, state.slot
    n_lines = len(line_start) - 1
    last = path[n - 1]
    best, chosen = np.inf, -1
    for v in range(line.shape[1]):
        row = line[last, v]
        if row == n_lines:
            continue
        for place in range(line_start[row], line_start[row + 1]):
            j: Any = np.int64(line_sites[place])  # as in `anneal_moves`: else flips are compiled twice
            if slot[j] < 0 or occupied[j] != occupied[last]:
                continue
            used = False
            for m in range(n):
                used |= path[m] == j
            if used:
                continue
            value = flip_cost(j, line, occupied, gap, marginal, prior) - noise * exponential(random_bits(rng))
            if value < best:
                best, chosen = value, j
    return chosen


@jit
def _chains(
    layout: Any, state: Any, prior: Any, n_chains: int, temperature: float, noise: float, rng: Any
) -> int:
    """`run_chains` on the arrays: to each slab its share of the chains."""
    listed, n_listed, block_start = state.listed, state.n_listed, layout.block_start
    total_listed = max(n_listed.sum(), 1)
    path = np.zeros(DEPTH, np.int64)
    kept = 0
    for b in range(len(n_listed)):
        for _ in range(n_chains * n_listed[b] // total_listed):
            r = random_bits(rng)
            site: Any = np.int64(listed[block_start[b] + below(r, n_listed[b])])
            limit = temperature * exponential(r)
            total, n = 0.0, 0
            while site >= 0 and n < DEPTH:
                total += flip_cost(site, layout.line, state.occupied, state.gap, state.marginal, prior)
                flip(site, layout, state)
                path[n] = site
                n += 1
                if total <= limit:
                    break
                site = _next(path, n, layout, state, prior, noise, rng) if n < DEPTH else -1
            if total <= limit:
                kept += 1
                continue
            for m in range(n):
                flip(path[n - 1 - m], layout, state)
    return kept
