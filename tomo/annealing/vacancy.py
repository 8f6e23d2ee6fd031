"""Vacancies inside a crystal that the counts leave no other explanation for."""

from __future__ import annotations

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..energy.layout import layout_of
from ..energy.prior import Prior
from ..kernels import random_state
from ..problem import Problem
from ..repair import without_flaws
from .anneal import Annealer

#: Log-odds [nats] at which a vacancy is believed.
EVIDENCE = 3.0


def evident_vacancies(problem: Problem, table: Floats, prior: Prior, occupied: Bools) -> Ints:
    """Sites (m,) inside a crystal without holes, occupied (S,), that its counts say are empty.

    `table` and `prior` are what counts and edges cost, see `open_evident_vacancies`.
    """
    layout = layout_of(problem)
    whole = without_flaws(layout, occupied)
    state = Annealer(layout, table, prior, whole, random_state(np.random.SeedSequence(0)))
    open_evident_vacancies(state)
    return np.flatnonzero(whole & ~state.occupied)


def open_evident_vacancies(state: Annealer) -> int:
    """Take out atoms whose neighbours are all there, where the counts make that the better story.

    The edge weight is that of the surface and says nothing of vacancies; that any given atom is
    missing is taken to be as unlikely as one in all atoms of the crystal. So a vacancy needs
    counts that win ln(atoms) + `EVIDENCE`. Errors of +-1 that meet at one site by chance do not
    pay for that unless counts are nearly exact, and then they hardly meet. Returns the number of atoms
    taken out.
    """
    degree = state.layout.degree[:, 0]
    inside = np.flatnonzero(state.occupied & (state.around[:, 0] == degree) & ~state.layout.opened)
    n_atoms = max(int(np.count_nonzero(state.occupied)), 1)
    price = float(np.log(n_atoms)) + EVIDENCE
    opened = 0
    while len(inside):
        gain = -state.misfit_without(inside)
        best = int(np.argmax(gain))
        if not gain[best] > price:
            break
        state.flip(int(inside[best]))
        opened += 1
        keep = state.around[inside, 0] == degree[inside]
        keep[best] = False
        inside = inside[keep]
    return opened
