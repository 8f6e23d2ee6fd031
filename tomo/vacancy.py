"""Vacancies inside a crystal that the counts leave no other explanation for."""

from __future__ import annotations

import numpy as np

from .anneal import Annealer, _flip

#: Log-odds [nats] at which a vacancy is believed.
EVIDENCE = 3.0


def open_evident_vacancies(state: Annealer) -> int:
    """Take out atoms whose neighbours are all there, where the counts make that the better story.

    The edge weight is that of the surface and says nothing of vacancies; that any given atom is
    missing is taken to be as unlikely as one in all atoms of the crystal. So a vacancy needs
    counts that win ln(atoms) + `EVIDENCE`. Errors of +-1 that meet at one site by chance do not
    pay for that unless counts are nearly exact, and then they hardly meet.

    Parameters
    ----------
    state : Annealer
        Changed in place.

    Returns
    -------
    int
        Number of atoms taken out.
    """
    layout, marginal = state.layout, state._state[5]
    inside = np.flatnonzero(state.occupied & (state.around == layout.degree))
    lines = layout.line[inside]
    n_atoms = max(int(np.count_nonzero(state.occupied)), 1)
    price = float(np.log(n_atoms)) + EVIDENCE
    opened = 0
    while len(inside):
        gain = -marginal[2 * lines + 1].sum(axis=1)
        best = int(np.argmax(gain))
        if not gain[best] > price:
            break
        _flip(int(inside[best]), state._fixed, state._state)
        opened += 1
        keep = state.around[inside] == layout.degree[inside]
        keep[best] = False
        inside, lines = inside[keep], lines[keep]
    return opened
