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

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Ints
from ..energy.layout import Layout
from ..grid import connected_parts

#: Groups of more sites hardly ever fit; groups beyond this number are not kept.
_LARGEST, _MOST = 300, 5000


class Jumps(NamedTuple):
    """A list of groups of sites that change together.

    Attributes
    ----------
    start : (n + 1,) int64
        Group g has the sites ``sites[start[g]:start[g + 1]]``.
    sites : (m,) int32
    pattern : (m,) uint8
        Their states in one of the two modes; the other has the opposite.
    """

    start: Ints
    sites: NDArray[np.int32]
    pattern: NDArray[np.uint8]


NO_JUMPS = Jumps(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.uint8))


def learn_jumps(layout: Layout, modes: list[tuple[float, Bools]], known: Jumps) -> Jumps:
    """Add the differences between the best mode and each of the others to the known jumps.

    The modes, energy and occupancy (S,), are those of `Chain.quenched`.
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
        for sites in _groups(layout, differ, bonds=True) + _groups(layout, differ, bonds=False):
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


def _key(sites: NDArray[np.int32], pattern: NDArray[np.uint8]) -> bytes:
    """The same for a pattern and its opposite."""
    return sites.tobytes() + (pattern ^ pattern[0]).tobytes()


def _groups(layout: Layout, differ: NDArray[np.int32], bonds: bool) -> list[NDArray[np.int32]]:
    """Sites of ``differ`` in groups that share no line and, with ``bonds``, no bond."""
    n_lines = len(layout.table_start) - 1
    row = np.full(len(layout.sites) + 1, -1)
    row[differ] = np.arange(len(differ))
    around = row[layout.neighbours[differ]]
    i, d = np.nonzero((around >= 0) & bonds)
    j, v = np.nonzero(layout.line[differ] < n_lines)
    ends = np.concatenate([i, j]), np.concatenate([around[i, d], len(differ) + layout.line[differ][j, v]])
    label = connected_parts(*ends, len(differ) + n_lines)[: len(differ)]
    order = np.argsort(label, kind="stable")
    return np.split(differ[order], np.flatnonzero(np.diff(label[order])) + 1) if len(differ) else []
