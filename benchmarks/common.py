"""What several benchmarks share: where the reference data are, names of views, scores against the truth."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomo.grid import SiteIndex

if TYPE_CHECKING:
    import stemcount
    import tomo

DATA = Path(os.environ.get("STEMCOUNT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
NO_DATA = f"reference data not found in {DATA}; set STEMCOUNT_DATA"
SAME_COLUMN = 0.8  # A from a true column, within which a fitted one is that


def in_brackets(axes: Iterable[Iterable[int]], between: str = "") -> str:
    """Zone axes as they are written: [100][1-10]."""
    return between.join("[" + "".join(map(str, axis)) + "]" for axis in axes)


def bins_of(certainty: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of the bins 0..0.1..1 each certainty falls into."""
    return np.minimum((10 * certainty).astype(int), 9)


def calibration_error(certainty: NDArray[np.float64], there: NDArray[np.bool_]) -> float:
    """Mean distance of stated certainty and true share over bins of certainty, weighted by their size."""
    gaps = np.bincount(bins_of(certainty), certainty - there, minlength=10)
    return float(np.abs(gaps).sum() / len(certainty))


def certainty_at(sites: NDArray[np.int64], result: tomo.Reconstruction) -> NDArray[np.float64]:
    """Certainty of given sites; 0 where the result lists none."""
    row = SiteIndex(result.sites)(sites)
    return np.where(row >= 0, result.certainty[row], 0.0)


def true_counts(
    fit: stemcount.ColumnFit, places: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """True atoms (n,) of fitted columns, from true places (m, 2) [A] and counts (m,), and which are real.

    A column without a true one near it holds none.
    """
    distance = np.hypot(fit.x[:, None] - places[:, 0], fit.y[:, None] - places[:, 1])
    real = distance.min(axis=1) < SAME_COLUMN
    return np.where(real, counts[distance.argmin(axis=1)], 0), real
