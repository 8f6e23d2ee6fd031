"""Borders of one value, which shifting, turning or registering an image leaves where nothing was recorded."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..arrays import Bools, Floats

SOLID = 0.9  # share of a padded region without holes or fringes; a dark ground cut off at 0 is ragged
STEP = 0.01  # of the image's range: a padded region ends abruptly, a ground without noise does not
AROUND = np.ones((3, 3), bool)


def padding(data: Floats) -> Bools:
    """Pixels (rows, cols) at the borders of an image that were filled in with one value.

    They are exactly equal, lie together at the border without holes, and what was recorded begins beside them
    with a step.

    Examples
    --------
    >>> recorded = np.random.default_rng(0).normal(5.0, 0.3, (20, 30))
    >>> int(padding(recorded).sum())
    0
    >>> recorded[:, :4] = 0.0
    >>> int(padding(recorded).sum())
    80
    """
    border = np.concatenate([data[0], data[-1], data[:, 0], data[:, -1]])
    values, times = np.unique(border, return_counts=True)
    value = values[times.argmax()]
    equal = np.pad(data == value, 2, mode="edge")
    solid = ndimage.binary_opening(equal, AROUND)
    connected, filled = (_at_border(region)[2:-2, 2:-2] for region in (equal, solid))
    beside = ndimage.binary_dilation(filled, AROUND) & ~filled
    nothing = np.zeros(data.shape, bool)
    least = max(SOLID * connected.sum(), min(data.shape))  # a line of pixels along the shorter side
    if not beside.any() or filled.sum() < least:
        return nothing
    step = np.quantile(np.abs(data[beside] - value), 0.05)
    return filled if step > STEP * np.ptp(data) else nothing


def _at_border(region: Bools) -> Bools:
    """The parts of a region that reach the border of the image."""
    labels, _ = ndimage.label(region)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.isin(labels, np.unique(edge[edge > 0]))
