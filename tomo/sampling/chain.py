"""One Markov chain over the occupancies of the grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats
from ..energy.occupancy import Occupancy
from ..energy.prior import Prior
from ..kernels import random_state
from ..repair import fragments, holes
from .jumps import Jumps
from .moves import SHARES, SHARES_OF_TWO, add_conditionals, jump_all, propose

#: Pieces of the crystal that are kept are at least this share of the largest.
_PIECE = 0.1
#: Inverse temperatures by which a copy of a chain comes down to its mode, and sweeps at each.
_QUENCH, _QUENCH_SWEEPS = (2.0, 4.0, 8.0), 10


class Chain(Occupancy):
    """State of one chain; see `Occupancy`."""

    reversible = True

    def restored(self, occupied: Bools, listed: NDArray[np.int32], rng: np.uint64) -> Chain:
        """A chain that goes on as one with this occupancy, list of sites and random state would."""
        chain = self.copy(occupied)
        chain.state.listed[: len(listed)] = listed
        chain.state.slot[listed] = np.arange(len(listed))
        chain.rng = np.array([rng], dtype=np.uint64)
        return chain

    @property
    def listed(self) -> NDArray[np.int32]:
        """Sites that moves start from, in the order in which random numbers choose them."""
        return self.state.listed[: self.n_listed]

    def run(self, proposals: int) -> int:
        """Make so many proposals; returns how many were accepted."""
        if proposals <= 0 or self.n_listed == 0:
            return 0
        return self._propose(1, int(proposals))

    def sweep(self, sweeps: int, hot: bool = False) -> None:
        """Make so many times as many proposals as there are sites to start from."""
        self._propose(int(sweeps), 0, hot)

    def _propose(self, sweeps: int, proposals: int, hot: bool = False) -> int:
        """As in `propose`; while the chain is hot, single flips find the crystal, also that of two views."""
        shares = SHARES_OF_TWO if self.layout.line.shape[1] == 2 and not hot else SHARES
        return int(propose(self.layout, self.state, self.prior, sweeps, proposals, self.rng, shares))

    def jump(self, jumps: Jumps) -> int:
        """Propose every jump once; returns how many were accepted."""
        if len(jumps.sites) == 0:
            return 0
        return int(jump_all(jumps, self.layout, self.state, self.prior, self.rng))

    def tidy(self) -> None:
        """Remove pieces apart from the crystal; without vacancies, fill the holes in it too."""
        wrong = fragments(self.layout, self.occupied, _PIECE)
        if not self.layout.vacancies:
            wrong |= holes(self.layout, self.occupied)
        for site in np.flatnonzero(wrong):
            self.flip(int(site))

    def quenched(self) -> tuple[float, Bools]:
        """Energy and occupancy of the mode the chain is in; the chain itself stays as it is."""
        rng = random_state(np.random.SeedSequence(int(self.rng[0])))
        copy = Chain(self.layout, self.table, self.prior, self.occupied, rng)
        for beta in _QUENCH:
            copy.set_costs(beta * self.table, Prior(*(beta * value for value in self.prior)), beta)
            copy.sweep(_QUENCH_SWEEPS)
        copy.set_costs(self.table, self.prior)
        return copy.energy(), copy.occupied

    def measure(self, certainty: Floats) -> None:
        """Add each site's conditional probability of being occupied to ``certainty`` ((S,))."""
        add_conditionals(self.layout, self.state, self.prior, certainty)
