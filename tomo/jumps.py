"""Jumps of a chain between the modes that other chains have found.

Where counts are sharp, chains freeze in modes that differ by a handful of sites here and there,
and no sequence of small moves of fair probability leads from one to the other. But where two
frozen states differ, they say themselves which sites must change together: groups of differing
sites that share no line with other groups, and larger ones that share no bond either. Every
group becomes a move: if the chain holds one of the two patterns on these sites, propose the
other. As both patterns of a fixed list propose each other, min(1, exp(-dE)) leaves the posterior
as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .chain import Chain, Lattice, Prior

#: Groups of more sites hardly ever fit; groups beyond this number are not kept.
_LARGEST, _MOST = 300, 5000
#: Inverse temperatures by which a copy of a chain comes down to its mode, and sweeps at each.
_QUENCH, _QUENCH_SWEEPS = (2.0, 4.0, 8.0), 10


@dataclass(frozen=True, eq=False)
class Jumps:
    """A list of groups of sites that change together.

    Attributes
    ----------
    start : (n + 1,) int64
        Group g has the sites ``sites[start[g]:start[g + 1]]``.
    sites : (m,) int32
    pattern : (m,) uint8
        Their states in one of the two modes; the other has the opposite.
    """

    start: NDArray[np.int64]
    sites: NDArray[np.int32]
    pattern: NDArray[np.uint8]


NO_JUMPS = Jumps(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.uint8))


def quenched(chain: Chain, table: NDArray[np.float64], prior: Prior) -> tuple[float, NDArray[np.bool_]]:
    """Energy and occupancy of the mode a chain is in; the chain itself stays as it is."""
    copy = Chain(chain.lattice, chain.state, np.random.SeedSequence(int(chain.rng[0])))
    for beta in _QUENCH:
        copy.sweep(beta * table, Prior(*(beta * value for value in prior)), _QUENCH_SWEEPS)
    return copy.energy(table, prior), copy.state


def learn_jumps(lattice: Lattice, modes: list[tuple[float, NDArray[np.bool_]]], known: Jumps) -> Jumps:
    """Add the differences between the best mode and each of the others to the known jumps.

    Parameters
    ----------
    lattice : Lattice
    modes : list of (energy, occupancy)
        From `quenched`, one of each chain.
    known : Jumps
    """
    best = modes[int(np.argmin([energy for energy, _ in modes]))][1]
    groups = {
        _key(sites, pattern): (sites, pattern)
        for sites, pattern in zip(
            np.split(known.sites, known.start[1:-1]), np.split(known.pattern, known.start[1:-1]), strict=True
        )
        if len(sites)
    }
    for _, mode in modes:
        differ = np.flatnonzero(mode != best).astype(np.int32)
        for sites in _groups(lattice, differ, bonds=True) + _groups(lattice, differ, bonds=False):
            if 1 < len(sites) <= _LARGEST and len(groups) < _MOST:
                pattern = best[sites].astype(np.uint8)
                groups.setdefault(_key(sites, pattern), (sites, pattern))
    if not groups:
        return NO_JUMPS
    length = [len(sites) for sites, _ in groups.values()]
    return Jumps(
        np.concatenate([[0], np.cumsum(length)]).astype(np.int64),
        np.concatenate([sites for sites, _ in groups.values()]),
        np.concatenate([pattern for _, pattern in groups.values()]),
    )


def jump(chain: Chain, jumps: Jumps, table: NDArray[np.float64], prior: Prior) -> int:
    """Propose every jump once; returns how many were accepted."""
    if len(jumps.sites) == 0:
        return 0
    return chain.jump((jumps.start, jumps.sites, jumps.pattern), table, prior)


def _key(sites: NDArray[np.int32], pattern: NDArray[np.uint8]) -> bytes:
    """The same for a pattern and its opposite."""
    return sites.tobytes() + (pattern ^ pattern[0]).tobytes()


def _groups(lattice: Lattice, differ: NDArray[np.int32], bonds: bool) -> list[NDArray[np.int32]]:
    """Sites of ``differ`` in groups that share no line and, with ``bonds``, no bond."""
    n_lines = len(lattice.table_start) - 1
    row = np.full(len(lattice.sites) + 1, -1)
    row[differ] = np.arange(len(differ))
    around = row[lattice.neighbours[differ]]
    i, d = np.nonzero((around >= 0) & bonds)
    j, v = np.nonzero(lattice.line[differ] < n_lines)
    size = len(differ) + n_lines
    ends = np.concatenate([i, j]), np.concatenate([around[i, d], len(differ) + lattice.line[differ][j, v]])
    graph = coo_matrix((np.ones(len(ends[0]), np.int8), ends), shape=(size, size))
    label = connected_components(graph, directed=False)[1][: len(differ)]
    order = np.argsort(label, kind="stable")
    return np.split(differ[order], np.flatnonzero(np.diff(label[order])) + 1) if len(differ) else []
