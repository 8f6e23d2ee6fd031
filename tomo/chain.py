"""One Markov chain over the occupancies of the grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .chain_moves import MOVE_SHARES, add_conditionals, flip, jump_all, propose, set_marginals
from .kernels import random_state
from .layout import lines_of, neighbours_of
from .problem import Problem

#: Pieces of the crystal that are kept are at least this share of the largest.
_PIECE = 0.1


class Prior(NamedTuple):
    """What is known of crystals before the counts: P(s) ~ exp(-w edges(s) - v second_edges(s) + m atoms(s)).

    Broken bonds between nearest neighbours alone fix how much more {100} facets cost than {111}
    ones; those between second neighbours leave it to the crystal (Mackenzie, Moore & Nicholas
    1962, J. Phys. Chem. Solids 23, 185).

    Attributes
    ----------
    edge_weight : float
        w, the price of an occupied-vacant neighbour pair [nats].
    chemical_potential : float
        m, what an atom is worth by itself [nats].
    second_weight : float
        v >= 0, the price of an occupied-vacant pair of second neighbours [nats].
    """

    edge_weight: float
    chemical_potential: float = 0.0
    second_weight: float = 0.0


@dataclass(frozen=True)
class Lattice:
    """What never changes during a chain, laid out for the kernels; S sites, V views, L lines.

    Attributes
    ----------
    neighbours : (S, 12) int32
        Row of each neighbour; S where it is no candidate.
    second : (S, 6) int32
        The same of the second neighbours.
    degree : (S, 2) int8
        Nearest and second neighbours of each site without those that no view shows.
    line : (S, V) int32
        Line of each site in each view; L where nothing is known.
    line_start : (L + 2,) int64
        Sites of line l are ``line_sites[line_start[l]:line_start[l + 1]]``; the last line is one of no cost.
    line_sites : (n,) int32
        See `line_start`.
    table_start : (L + 1,) int64
        Where each line's table begins; the last one is a line of no cost.
    sites : (S, 3) int32
        Grid indices.
    low, cells : (3,) int64, (i, j, k) int32
        Dense look-up: site (h, k, l) has row ``cells[(h - low_h) // 2, k - low_k, l - low_l]``.
    vacancies : bool
        Atoms inside the crystal may be missing.
    """

    neighbours: NDArray[np.int32]
    second: NDArray[np.int32]
    degree: NDArray[np.int8]
    line: NDArray[np.int32]
    line_start: NDArray[np.int64]
    line_sites: NDArray[np.int32]
    table_start: NDArray[np.int64]
    sites: NDArray[np.int32]
    low: NDArray[np.int64]
    cells: NDArray[np.int32]
    vacancies: bool


def lattice_of(problem: Problem, vacancies: bool = False) -> Lattice:
    """Lay out a problem for the chain kernels."""
    line, line_start, line_sites = lines_of(problem)
    low = problem.sites.min(axis=0).astype(np.int64)
    local = problem.sites.astype(np.int64) - low
    shape = local.max(axis=0) + 1
    cells = np.full((shape[0] // 2 + 1, shape[1], shape[2]), -1, np.int32)
    cells[local[:, 0] // 2, local[:, 1], local[:, 2]] = np.arange(problem.n_sites, dtype=np.int32)
    return Lattice(
        *neighbours_of(problem),
        line,
        np.append(line_start, line_start[-1]),  # the line of no cost has no sites
        line_sites,
        np.asarray(problem.table_start, np.int64),
        np.ascontiguousarray(problem.sites, dtype=np.int32),
        low,
        cells,
        vacancies,
    )


class Chain:
    """State of one chain: occupancy, counts and the list of flippable sites.

    Parameters
    ----------
    lattice : Lattice
        See `lattice_of`.
    occupied : (S,) bool
        Where the chain starts.
    seed : numpy.random.SeedSequence
        Source of its random numbers.
    """

    def __init__(self, lattice: Lattice, occupied: NDArray[np.bool_], seed: np.random.SeedSequence) -> None:
        n_sites = len(lattice.sites)
        self.lattice = lattice
        self.rng = random_state(seed)
        self.occupied = np.zeros(n_sites + 1, np.uint8)
        self.occupied[:n_sites] = occupied
        self.around = np.zeros((n_sites + 1, 2), np.int8)
        self.around[:n_sites, 0] = self.occupied[lattice.neighbours].sum(axis=1)
        self.around[:n_sites, 1] = self.occupied[lattice.second].sum(axis=1)
        n_lines = len(lattice.table_start) - 1
        # The line of no cost owns three zeros at the end of the table, and its count stays at one.
        self.place = np.append(lattice.table_start[:-1], lattice.table_start[-1] + 1)
        counts = np.bincount(lattice.line[occupied].ravel(), minlength=n_lines + 1)[:n_lines]
        self.place[:n_lines] += counts
        around = self.around[:n_sites, 0]
        flippable = (around > 0) & (around < lattice.degree[:, 0])
        rows = np.flatnonzero(flippable).astype(np.int32)
        self.listed = np.zeros(n_sites, np.int32)
        self.listed[: len(rows)] = rows
        self.slot = np.full(n_sites + 1, -1, np.int32)
        self.slot[rows] = np.arange(len(rows))
        self.n_listed = np.array([len(rows)])
        self._marginal = np.zeros(2 * len(self.place))
        self._table = np.zeros(int(lattice.table_start[-1]))
        self._padded = padded(self._table)

    @classmethod
    def restored(
        cls, lattice: Lattice, occupied: NDArray[np.bool_], listed: NDArray[np.int32], rng: np.uint64
    ) -> Chain:
        """A chain that goes on as one with this occupancy, list of flippable sites and random state would."""
        chain = cls(lattice, occupied, np.random.SeedSequence(0))
        chain.listed[: len(listed)] = listed
        chain.slot[listed] = np.arange(len(listed))
        chain.rng[0] = rng
        return chain

    def _with(self, table: NDArray[np.float64]) -> tuple[Any, ...]:
        """Lattice, state and costs for the kernels."""
        t = self.lattice
        state = (
            self.occupied,
            self.around,
            self.place,
            self.listed,
            self.slot,
            self.n_listed,
            self._marginal,
        )
        if table is not self._table:
            self._table, self._padded = table, padded(table)
            set_marginals(state, self._padded)
        fixed = (t.neighbours, t.second, t.degree, t.line)
        return (*fixed, t.line_start, t.line_sites, t.sites, t.low, t.cells), state, self._padded

    def run(self, table: NDArray[np.float64], prior: Prior, beta: float, proposals: int) -> int:
        """Make so many proposals at inverse temperature ``beta``; returns how many were accepted."""
        if self.n_listed[0] == 0:
            return 0
        accepted = propose(
            *self._with(table),
            _numbers(prior),
            float(beta),
            int(proposals),
            self.rng,
            MOVE_SHARES,
            self.lattice.vacancies,
        )
        return int(accepted)

    def sweep(self, table: NDArray[np.float64], prior: Prior, sweeps: int) -> None:
        """Make so many times as many proposals at temperature 1 as there are flippable sites."""
        for _ in range(sweeps):
            self.run(table, prior, 1.0, int(self.n_listed[0]))

    def tidy(self) -> None:
        """Remove pieces apart from the crystal; without vacancies, fill the holes in it too."""
        t = self.lattice
        n_sites = len(t.sites)
        bond = np.stack([np.repeat(np.arange(n_sites), 12), t.neighbours.ravel()])
        # The last node is the vacuum around all candidates.
        label = _pieces(bond[:, self.occupied[bond[0]] == self.occupied[bond[1]]], n_sites + 1)
        size = np.bincount(label, minlength=n_sites + 1)
        inside = self.occupied[:-1] > 0
        largest = size[label[:-1][inside]].max(initial=0)
        wrong = inside & (size[label[:-1]] < _PIECE * largest)
        if not t.vacancies:
            wrong |= ~inside & (label[:-1] != label[-1])
        for i in np.flatnonzero(wrong):
            flip(int(i), *self._with(self._table))

    def measure(self, table: NDArray[np.float64], prior: Prior, certainty: NDArray[np.float64]) -> None:
        """Add each site's conditional probability of being occupied to ``certainty`` ((S,))."""
        lattice, state, _ = self._with(table)
        add_conditionals(lattice[2], lattice[3], state, _numbers(prior), certainty)

    def jump(self, groups: tuple[Any, Any, Any], table: NDArray[np.float64], prior: Prior) -> int:
        """Propose to reverse groups of sites, see `tomo.jumps`; returns how many were."""
        return int(jump_all(*groups, *self._with(table), _numbers(prior), self.rng, self.lattice.vacancies))

    @property
    def state(self) -> NDArray[np.bool_]:
        """Copy of the occupancy, (S,) bool."""
        return np.asarray(self.occupied[:-1] > 0)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Atoms on each line, (L,)."""
        return np.asarray(self.place[:-1] - self.lattice.table_start[:-1])

    def edges(self) -> NDArray[np.int64]:
        """Occupied-vacant pairs of nearest and of second neighbours, (2,)."""
        inside = self.occupied[:-1] > 0
        return np.sum((self.lattice.degree - self.around[:-1])[inside], axis=0, dtype=np.int64)

    def energy(self, table: NDArray[np.float64], prior: Prior) -> float:
        """Energy of the present state."""
        nearest, second = self.edges()
        shape = prior.edge_weight * nearest + prior.second_weight * second
        return float(
            table[self.place[:-1]].sum() + shape - prior.chemical_potential * int(self.occupied.sum())
        )


def _numbers(prior: Prior) -> tuple[float, float, float]:
    return float(prior.edge_weight), float(prior.chemical_potential), float(prior.second_weight)


def _pieces(bond: NDArray[np.int64], n: int) -> NDArray[np.int32]:
    """Label of the connected piece of each of n nodes, given bonds (2, m)."""
    graph = coo_matrix((np.ones(bond.shape[1], np.int8), (bond[0], bond[1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])


def padded(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cost tables with the three zeros of the line of no cost."""
    return np.append(table, np.zeros(3))
