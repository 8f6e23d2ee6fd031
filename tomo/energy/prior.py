"""What is known of crystals before the counts."""

from __future__ import annotations

from typing import NamedTuple


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
