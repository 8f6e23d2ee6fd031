"""Simulated annealing of the occupancy of the grid.

Minimises E(s) = sum_l table_l[count_l(s)] + w edges(s) + v second_edges(s) - m atoms(s) by Metropolis
moves at a temperature T that the caller lets fall (Kirkpatrick, Gelatt & Vecchi 1983, Science 220, 671);
see `tomo.anneal_moves` for the moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .anneal_moves import MOVE_SHARES, State, flip, prepare, propose, set_marginals
from .chain import Prior
from .layout import Layout


class Annealer:
    """State of one annealing run.

    Parameters
    ----------
    layout : Layout
        From `layout_of`.
    table : (T,) float
        Cost of every count on every line, in the order of `Problem.table`.
    prior : Prior
        Edge weights and chemical potential.
    occupied : (S,) bool
        Where the run starts.
    rng : (1,) uint64
        State of its random numbers, changed in place; see `random_state`.
    """

    def __init__(
        self,
        layout: Layout,
        table: NDArray[np.float64],
        prior: Prior,
        occupied: NDArray[np.bool_],
        rng: NDArray[np.uint64],
    ) -> None:
        n_sites, n_lines = len(layout.degree), len(layout.table_start) - 1
        self.layout = layout
        self.rng = rng
        self.state = State(
            occupied=np.append(occupied, False).astype(np.int8),
            gap=np.zeros((n_sites + 1, 2), np.int8),
            listed=np.zeros(n_sites, np.int32),
            slot=np.full(n_sites + 1, -1, np.int32),
            counts=np.zeros(n_lines + 1, np.int32),
            marginal=np.zeros(2 * n_lines + 2),
            n_listed=np.zeros(len(layout.block_start) - 1, np.int64),
        )
        self.set_energy(table, prior)
        prepare(self.layout, self.state)

    def set_energy(self, table: NDArray[np.float64], prior: Prior) -> None:
        """Go on with other costs."""
        self.prior = Prior(*map(float, prior))
        self.layout = self.layout._replace(table=np.ascontiguousarray(table, dtype=np.float64))
        set_marginals(self.layout, self.state)

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Copy of the occupancy, (S,) bool."""
        return np.asarray(self.state.occupied[:-1] > 0)

    @property
    def n_boundary(self) -> int:
        """Number of boundary sites."""
        return int(self.state.n_listed.sum())

    @property
    def line_counts(self) -> NDArray[np.int64]:
        """Atoms on every line, (L,) int."""
        return self.state.counts[:-1].astype(np.int64)

    @property
    def around(self) -> NDArray[np.int64]:
        """Occupied neighbours of every site, (S,) int."""
        # The kernels keep degree - 2 occupied neighbours.
        return (self.layout.degree.astype(np.int64) - self.state.gap[:-1, 0]) // 2

    @property
    def second_around(self) -> NDArray[np.int64]:
        """Occupied second neighbours of every site, (S,) int."""
        return (self.layout.second_degree.astype(np.int64) - self.state.gap[:-1, 1]) // 2

    def copy(self, occupied: NDArray[np.bool_]) -> Annealer:
        """Another occupancy with the same costs and the same source of random numbers."""
        return Annealer(self.layout, self.layout.table, self.prior, occupied, self.rng)

    def misfit(self) -> float:
        """Cost of the counts."""
        return float(self.layout.table[self.layout.table_start[:-1] + self.line_counts].sum())

    def misfit_without(self, sites: NDArray[np.int64]) -> NDArray[np.float64]:
        """Change of the counts' cost on taking out any one of the atoms at `sites` (n,), (n,) float."""
        marginal = self.state.marginal
        return np.asarray(marginal[2 * self.layout.line[sites] + 1].sum(axis=1))

    def flip(self, site: int) -> None:
        """Take an atom out, or put one in."""
        flip(site, self.layout, self.state)

    def energy(self) -> float:
        """Misfit + edge weights x edges - chemical potential x atoms."""
        inside = self.state.occupied[:-1] > 0
        edges = int((self.layout.degree - self.around)[inside].sum())
        second = int((self.layout.second_degree - self.second_around)[inside].sum())
        atoms = int(np.count_nonzero(inside))
        prior = self.prior
        shape = prior.edge_weight * edges + prior.second_weight * second
        return self.misfit() + shape - prior.chemical_potential * atoms

    def run(
        self, proposals: int, temperature: float, guard: int = 0, least_weight: float = 0.0
    ) -> tuple[int, int]:
        """Make proposals at one temperature.

        Parameters
        ----------
        proposals : int
        temperature : float
            In units of the energy.
        guard : int
            Bits `ONE_PIECE` and `NO_HOLES`: refuse moves that may violate these.
        least_weight : float
            Raise the edge weights in proportion until the first is at least this times the
            temperature, so that the crystal does not melt where only the counts are to be softened.

        Returns
        -------
        accepted, changed : int
            Accepted moves, and those among them that changed the energy.
        """
        weight = max(self.prior.edge_weight, least_weight * float(temperature))
        raised = weight / self.prior.edge_weight if self.prior.edge_weight > 0 else 1.0
        accepted, changed = propose(
            self.layout,
            self.state,
            Prior(weight, self.prior.chemical_potential, raised * self.prior.second_weight),
            int(proposals),
            float(temperature),
            int(guard),
            MOVE_SHARES,
            self.rng,
        )
        return accepted, changed
