"""Noise of an image: variance of a pixel as a straight line in its expected intensity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_BINS = 24
FLOOR = 1e-2  # of the mean variance: the least that a pixel may have


@dataclass(frozen=True)
class NoiseLaw:
    """Variance = constant + slope x intensity, never below `floor` [image units^2]."""

    constant: float
    slope: float
    floor: float

    def variance(self, model: Floats) -> Floats:
        """Variance of pixels with expected intensity `model`."""
        return np.maximum(self.constant + self.slope * model, self.floor)


def white_noise(residual: Floats, valid: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """Square of each 2 x 2 pixels' mixed second difference / 2, whose mean is the white noise's variance.

    Misfit of the model changes slowly from pixel to pixel and hardly contributes.
    """
    d = (residual[:-1, :-1] - residual[1:, :-1] - residual[:-1, 1:] + residual[1:, 1:]) / 2
    used = valid[:-1, :-1] & valid[1:, :-1] & valid[:-1, 1:] & valid[1:, 1:]
    return d**2, used


def estimate_noise(data: Floats, model: Floats, valid: NDArray[np.bool_]) -> NoiseLaw:
    """Line through the mean squared pixel-to-pixel differences of bins of equal model intensity."""
    square, used = white_noise(data - model, valid)
    level = (model[:-1, :-1] + model[1:, :-1] + model[:-1, 1:] + model[1:, 1:])[used] / 4
    square = square[used]
    order = np.argsort(level)
    parts = np.array_split(order, min(N_BINS, max(len(order) // 50, 1)))
    m = np.array([level[p].mean() for p in parts])
    v = np.array([square[p].mean() for p in parts])
    mean = float(v.mean())
    if mean <= 0:
        return NoiseLaw(1.0, 0.0, 1.0)
    floor = FLOOR * mean
    constant, slope = mean, 0.0
    for _ in range(3):
        # a mean of squares scatters in proportion to itself
        weight = 1 / np.maximum(constant + slope * m, floor)
        design = np.column_stack([np.ones_like(m), m])
        if np.ptp(m) > 0:
            constant, slope = np.linalg.lstsq(design * weight[:, None], v * weight, rcond=None)[0]
        if slope <= 0:
            constant, slope = mean, 0.0
    return NoiseLaw(float(constant), float(slope), floor)
