"""Simulated annealing of the occupancy of the grid.

Minimises the energy of `tomo.energy.occupancy` by Metropolis moves at a temperature T that the caller lets
fall (Kirkpatrick, Gelatt & Vecchi 1983, Science 220, 671); see `tomo.annealing.moves` for the moves.
"""

from __future__ import annotations

from ..energy.occupancy import Occupancy
from .moves import propose


class Annealer(Occupancy):
    """State of one annealing run; see `Occupancy`."""

    def run(self, proposals: int, temperature: float, guard: int = 0, least_weight: float = 0.0) -> int:
        """Make proposals at one temperature; returns how many moves changed the energy.

        The temperature is in units of the energy; `guard` holds the bits `ONE_PIECE` and `NO_HOLES`, to
        refuse moves that may violate these. Edge weights are raised in proportion until the first is at least
        `least_weight` times the temperature, so that the crystal does not melt where only the counts are to
        be softened.
        """
        weight = max(self.prior.edge_weight, least_weight * float(temperature))
        raised = weight / self.prior.edge_weight if self.prior.edge_weight > 0 else 1.0
        prior = self.prior._replace(edge_weight=weight, second_weight=raised * self.prior.second_weight)
        return int(
            propose(self.layout, self.state, prior, int(proposals), float(temperature), int(guard), self.rng)
        )
