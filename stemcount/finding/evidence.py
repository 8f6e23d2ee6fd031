"""Which of two sets of columns explains an image better.

More columns always leave less of an image. As in the maximum a posteriori (MAP) rule for the number of
columns (Fatermans, Van Aert and den Dekker, Ultramicroscopy 201 (2019) 81) each has therefore a price in the
logarithm of the probability; here it depends on what the lattice of the others says of its place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..fitting.joint import model_of
from .between import ColumnsApart
from .complete import needed_significance
from .lattice import lattice_translations, support
from .scene import Scene
from .significance import Revision

Floats = NDArray[np.float64]

NUMBER = 2.0  # price of one of a background
IRREGULAR = 0.1  # fall of a set's regularity at which another one is refused


def misfit(columns: Revision | ColumnsApart, scene: Scene) -> float:
    """Mean squared residual of their fit in units of the noise's variance."""
    valid = columns.problem.valid
    residual = (scene.data - model_of(columns.problem, columns.state))[valid]
    return float(np.mean(residual**2 / scene.variance[valid]))


def better(
    trial: Revision, best: Revision, scene: Scene, translations: Floats | None = None, numbers: float = 0.0
) -> bool:
    """Whether another set of columns explains the image better.

    What counts is twice minus the log of the posterior probability, up to a constant,

        sum (d - m)^2 / v + sum_n z_n^2,

    d the image, m the model, v the variance of the noise and z_n the significance that column n needs: one
    where the lattice wants it costs less than one that stands anywhere. The variance of the noise is
    raised by the misfit of the better of the two fits, which differs from pair to pair: of three sets, each
    may be better than the next in a circle. So a trial is only ever compared with the best so far. So many
    `numbers` that its background has more than the other one's cost it 2 each (Akaike, IEEE Trans. Autom.
    Control 19 (1974) 716): light that follows noise, or columns not found yet, must not make them needless.
    """
    n = float(np.count_nonzero(scene.valid))
    numbers += len(trial.problem.basis) - len(best.problem.basis)
    old, new = misfit(best, scene), misfit(trial, scene)
    return n * (old - new) / max(min(old, new), 1.0) > (
        price(trial.points, translations) - price(best.points, translations) + NUMBER * numbers
    )


def regularity(points: Floats) -> float:
    """Share of the lattice's translations that lead from a column to another, mean over the columns."""
    translations = lattice_translations(points)
    return float(np.mean(support(points, points, translations))) / max(len(translations), 1)


def price(points: Floats, translations: Floats | None = None) -> float:
    """Sum of the squared significances that columns need [noise variances]; see `better`."""
    if translations is None:
        translations = lattice_translations(points)
    return float(np.sum(needed_significance(points, points, translations) ** 2))


def spoilt(best: Revision, again: Revision | None, scene: Scene) -> bool:
    """Whether columns judged once more, from their places alone, have lost their lattice for nothing.

    Judging begins without a halo. Where peaks overlap and have tails, it then finds one wide peak in the
    place of two or three, which explain the image less well. Where columns were joined, two may explain it
    better than the one that is there, as where rows were scanned twice, but those joined keep the lattice.
    """
    if again is None or not better(best, again, scene):
        return False
    return regularity(again.points) < regularity(best.points) - IRREGULAR
