"""An occupancy of the grid, and what is kept up to date with it: the state of annealing and of chains.

The energy of an occupancy s is

    E(s) = sum_l table_l[count_l(s)] + w edges(s) + v second_edges(s) - m atoms(s) - sum of the sites' worth.

What one atom more or less costs on every line is kept up to date, so that a proposal needs one look-up
for each view. Moves start from *listed* sites, kept in a list with O(1) insertion and removal. Which
these are is all that annealing and chains do not have in common:

- annealing lists the boundary: atoms with a vacant neighbour, an excluded place among them (where vacancies
  are allowed, all atoms), and vacant sites with an occupied one, so that a lonely atom and a closed hole can
  be mended at once. The list is in slabs, for the processor's cache.
- chains, whose layout is `reversible`, list the sites with neighbours of both kinds. This does not depend
  on the site itself, so that every flip has its reverse among the proposals, as fair draws need.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats, Ints
from ..kernels import below, jit, jit_inline, jit_internal
from .layout import Layout
from .prior import Prior


class State(NamedTuple):
    """An occupancy as the kernels keep it; S sites, L lines, B slabs.

    Attributes
    ----------
    occupied : (S + 1,) int8
        1 where there is an atom; the last entry stands for all that is no candidate.
    gap : (S + 1, 2) int8
        Nearest, and second, neighbours of each site less twice those that are occupied.
    table : (T + 3,) float
        Cost of every count on every line, in the order of `Problem.table`, and three zeros for the line
        of no cost.
    place : (L + 1,) int64
        Where the count of each line stands in the table; the last line is that of no cost.
    marginal : (2 L + 2,) float
        Cost of one atom more (even entries) and of one less (odd) on each line.
    listed : (S,) int32
        The listed sites of slab b are ``listed[block_start[b]:block_start[b] + n_listed[b]]``.
    slot : (S + 1,) int32
        Where a site is in that list; -1 where it is not.
    n_listed : (B,) int64
        See `listed`.
    """

    occupied: NDArray[np.int8]
    gap: NDArray[np.int8]
    table: Floats
    place: Ints
    marginal: Floats
    listed: NDArray[np.int32]
    slot: NDArray[np.int32]
    n_listed: Ints


@jit_internal
def _is_listed(
    j: int, occupied: Any, gap: Any, degree: Any, opened: Any, reversible: bool, vacancies: bool
) -> bool:
    """Whether moves start from site j: see the top of this module."""
    has_vacancy = opened[j] or gap[j, 0] > -degree[j, 0]
    has_atom = gap[j, 0] < degree[j, 0]
    if reversible:
        return has_vacancy and has_atom
    return has_vacancy or vacancies if occupied[j] else has_atom


@jit_inline
def _set_marginal(row: int, place: Any, table: Any, marginal: Any) -> None:
    """Cost of one atom more (even entries) and of one less (odd) on a line.

    More than a line's sites or less than none never happens; what stands there does not matter.
    """
    here = place[row]
    marginal[2 * row] = table[here + 1] - table[here]
    marginal[2 * row + 1] = table[here - 1] - table[here]


@jit
def set_marginals(state: Any) -> None:
    """Marginal costs of all lines for other costs."""
    for row in range(len(state.place)):
        _set_marginal(row, state.place, state.table, state.marginal)


@jit
def prepare(layout: Any, state: Any) -> None:
    """Fill places, marginal costs, gaps and list for the occupancy."""
    occupied, gap, place, line, block = state.occupied, state.gap, state.place, layout.line, layout.block
    n_sites, n_lines = len(block), len(place) - 1
    for i in range(n_sites):
        around, second = 0, 0
        for d in range(12):
            around += occupied[layout.neighbours[i, d]]
        for d in range(6):
            second += occupied[layout.second[i, d]]
        gap[i, 0] = layout.degree[i, 0] - 2 * around
        gap[i, 1] = layout.degree[i, 1] - 2 * second
        if _is_listed(i, occupied, gap, layout.degree, layout.opened, layout.reversible, layout.vacancies):
            state.slot[i] = layout.block_start[block[i]] + state.n_listed[block[i]]
            state.listed[state.slot[i]] = i
            state.n_listed[block[i]] += 1
        for v in range(line.shape[1]):
            if line[i, v] < n_lines:
                place[line[i, v]] += occupied[i]
    set_marginals(state)


@jit
def flip(i: int, layout: Any, state: Any) -> None:
    """Flip site i and bring everything up to date."""
    neighbours, second, degree, line = layout.neighbours, layout.second, layout.degree, layout.line
    occupied, gap, table, place, marginal, listed, slot, n_listed = state
    block, block_start = layout.block, layout.block_start
    opened, reversible, vacancies = layout.opened, layout.reversible, layout.vacancies
    n_sites, n_lines = len(degree), len(place) - 1
    step = 1 - 2 * occupied[i]
    occupied[i] += step
    for v in range(line.shape[1]):
        row = line[i, v]
        if row < n_lines:
            place[row] += step
            _set_marginal(row, place, table, marginal)
    for d in range(6):
        if second[i, d] < n_sites:
            gap[second[i, d], 1] -= 2 * step
    for d in range(13):
        j = neighbours[i, d] if d < 12 else i
        if j == n_sites:
            continue
        if d < 12:
            gap[j, 0] -= 2 * step
        here = slot[j]
        if _is_listed(j, occupied, gap, degree, opened, reversible, vacancies):
            if here < 0:
                b = block[j]
                slot[j] = block_start[b] + n_listed[b]
                listed[slot[j]] = j
                n_listed[b] += 1
        elif here >= 0:
            b = block[j]
            n_listed[b] -= 1
            last = listed[block_start[b] + n_listed[b]]
            listed[here] = last
            slot[last] = here
            slot[j] = -1


@jit_inline
def site_on(row: int, line_start: Any, line_sites: Any, bits: Any) -> int:
    """Site of a line by random bits."""
    start = line_start[row]
    return np.int64(line_sites[start + below(bits, line_start[row + 1] - start)])  # type: ignore[return-value]


@jit_inline
def flip_cost(i: int, line: Any, occupied: Any, gap: Any, marginal: Any, prior: Any) -> float:
    """Energy change on flipping site i."""
    s = occupied[i]
    shape = prior.edge_weight * gap[i, 0] + prior.second_weight * gap[i, 1] - prior.chemical_potential
    change = shape * (1 - 2 * s)
    for v in range(line.shape[1]):
        change += marginal[2 * line[i, v] + s]
    return change  # type: ignore[no-any-return]


@jit_inline
def exchange_cost(i: int, j: int, line: Any, occupied: Any, gap: Any, marginal: Any, prior: Any) -> float:
    """Energy change on exchanging the states of sites i and j, which differ; more if they are neighbours."""
    s = occupied[i]
    change = prior.edge_weight * (gap[i, 0] - gap[j, 0]) + prior.second_weight * (gap[i, 1] - gap[j, 1])
    change *= 1 - 2 * s
    for v in range(line.shape[1]):
        if line[i, v] != line[j, v]:
            change += marginal[2 * line[i, v] + s] + marginal[2 * line[j, v] + 1 - s]
    return change  # type: ignore[no-any-return]


class Occupancy:
    """An occupancy that moves change, with its costs and its source of random numbers.

    Parameters
    ----------
    layout : Layout
        From `layout_of`.
    table : (T,) float
        Cost of every count on every line, in the order of `Problem.table`.
    prior : Prior
        Edge weights and chemical potential.
    occupied : (S,) bool
        Where it starts.
    rng : (1,) uint64
        State of its random numbers, changed in place; see `random_state`.
    """

    #: Which sites moves start from: see the top of this module.
    reversible = False

    def __init__(
        self,
        layout: Layout,
        table: Floats,
        prior: Prior,
        occupied: Bools,
        rng: NDArray[np.uint64],
    ) -> None:
        layout = layout.for_chains() if self.reversible else layout
        n_sites, n_lines = len(layout.sites), len(layout.table_start) - 1
        self.layout = layout
        self.rng = rng
        self.state = State(
            occupied=np.append(occupied, False).astype(np.int8),
            gap=np.zeros((n_sites + 1, 2), np.int8),
            table=self._full(layout, table, 1.0),
            # The count of the line of no cost stays in the middle of its three zeros.
            place=layout.table_start + (np.arange(n_lines + 1) == n_lines),
            marginal=np.zeros(2 * n_lines + 2),
            listed=np.zeros(n_sites, np.int32),
            slot=np.full(n_sites + 1, -1, np.int32),
            n_listed=np.zeros(len(layout.block_start) - 1, np.int64),
        )
        self.table, self.prior = table, Prior(*map(float, prior))
        prepare(self.layout, self.state)

    @staticmethod
    def _full(layout: Layout, table: Floats, share: float) -> Floats:
        """The costs with those of each site by its worth, and of the line of no cost."""
        alone = np.stack([np.zeros(len(layout.worth)), -share * layout.worth], axis=1)
        return np.concatenate([table, alone.ravel(), np.zeros(3)])

    def set_costs(self, table: Floats, prior: Prior, share: float = 1.0) -> None:
        """Go on with other costs, and so much of the sites' worth."""
        self.table, self.prior = table, Prior(*map(float, prior))
        self.state.table[:] = self._full(self.layout, table, share)
        set_marginals(self.state)

    def copy(self, occupied: Bools) -> Self:
        """Another occupancy with the same costs and the same source of random numbers."""
        return type(self)(self.layout, self.table, self.prior, occupied, self.rng)

    @property
    def occupied(self) -> Bools:
        """Copy of the occupancy, (S,) bool."""
        return np.asarray(self.state.occupied[:-1] > 0)

    @property
    def n_listed(self) -> int:
        """Number of sites that moves start from."""
        return int(self.state.n_listed.sum())

    @property
    def _n_seen(self) -> int:
        """Number of the views' lines; those of single sites and of no cost are no counts."""
        return len(self.state.place) - 1 - len(self.layout.worth)

    @property
    def counts(self) -> Ints:
        """Atoms on every line, (L,) int."""
        return np.asarray((self.state.place - self.layout.table_start)[: self._n_seen])

    @property
    def around(self) -> Ints:
        """Occupied nearest and second neighbours of every site, (S, 2) int."""
        # The kernels keep degree - 2 occupied neighbours.
        return (self.layout.degree.astype(np.int64) - self.state.gap[:-1]) // 2

    def flip(self, site: int) -> None:
        """Take an atom out, or put one in."""
        flip(site, self.layout, self.state)

    def misfit(self) -> float:
        """Cost of the counts."""
        return float(self.table[self.state.place[: self._n_seen]].sum())

    def misfit_without(self, sites: Ints) -> Floats:
        """Cost of counts and worth lost on taking out any one of the atoms at `sites` (n,), (n,) float."""
        return np.asarray(self.state.marginal[2 * self.layout.line[sites] + 1].sum(axis=1))

    def cost_apart(self) -> Floats:
        """Energy change (S,) on filling each vacant site without atoms beside it; infinite for the others."""
        gap, degree, line = self.state.gap[:-1], self.layout.degree, self.layout.line
        apart = (gap[:, 0] == degree[:, 0]) & (self.state.occupied[:-1] == 0)
        prior = np.array([self.prior.edge_weight, self.prior.second_weight])
        cost = gap @ prior - self.prior.chemical_potential + self.state.marginal[2 * line].sum(axis=1)
        return np.asarray(np.where(apart, cost, np.inf))

    def edges(self) -> tuple[int, int]:
        """Occupied-vacant pairs of nearest and of second neighbours."""
        first, second = (self.layout.degree - self.around)[self.occupied].sum(axis=0)
        return int(first), int(second)

    def energy(self) -> float:
        """Misfit + edge weights x edges - chemical potential x atoms - worth of the sites."""
        prior, (edges, second) = self.prior, self.edges()
        shape = prior.edge_weight * edges + prior.second_weight * second
        if len(self.layout.worth):
            shape -= float(self.layout.worth[self.occupied].sum())
        return float(self.misfit() + shape - prior.chemical_potential * int(np.count_nonzero(self.occupied)))
