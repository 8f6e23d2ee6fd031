"""Do the chains agree? R-hat and effective sample sizes of rounds of measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats

#: Sites less certain than this either way are looked at one by one.
UNDECIDED = 0.02
_R_HAT_LIMIT = 1.1
_SITE_R_HAT_LIMIT = 1.2
#: Energies closer than half a nat are alike.
_ENERGY_VARIANCE = 0.25
_MORE = "take more chains (runs; --runs on the command line)"


@dataclass(frozen=True)
class Convergence:
    """How well independent rounds of measurement agree.

    A site of certainty c is occupied or not, so a draw of it has the variance c (1 - c). If the certainties
    from m single rounds have the variance s^2, then

        R-hat = 1 / sqrt(1 - s^2 / (c (1 - c))),        effective sample size = m c (1 - c) / s^2.

    Attributes
    ----------
    r_hat : float
        Split R-hat of the energy, see `split_r_hat`; 1 is perfect.
    site_r_hat : float
        R-hat that 95 % of the undecided sites stay below.
    effective_sample_size : float
        Effective number of independent draws behind the certainty of the median undecided site.
    undecided : int
        Sites with a certainty between 0.02 and 0.98.
    disagreeing : int
        Those of them with R-hat above 1.2.
    """

    r_hat: float
    site_r_hat: float
    effective_sample_size: float
    undecided: int
    disagreeing: int

    def warnings(self) -> tuple[str, ...]:
        """One sentence for each sign that the chains have not converged."""
        found = []
        # Where all rounds hold the same atoms, their energies do not matter.
        if self.r_hat > _R_HAT_LIMIT and self.undecided:
            found.append(
                f"The chains differ in energy (R-hat {self.r_hat:.2f}): they have not converged,"
                f" and the certainties may be wrong; {_MORE}."
            )
        if self.disagreeing > 0.05 * self.undecided and self.disagreeing > 5:
            found.append(
                f"The chains disagree about {self.disagreeing} of {self.undecided} undecided sites"
                f" (R-hat above {_SITE_R_HAT_LIMIT}): their certainties are rough; {_MORE}."
            )
        return tuple(found)


def split_r_hat(traces: Floats, least: float = 1e-12) -> float:
    """R-hat of m traces (m, 2 n) of one quantity, each cut in two halves of n values.

    R-hat^2 = (n - 1) / n + (B / n) / W, with W the mean of the variances within the halves and B / n the
    variance of their means (Gelman et al., Bayesian Data Analysis, 3rd ed., 11.4; Vehtari et al.,
    Bayesian Anal. 16 (2021) 667). Differences much below the square root of ``least``, the smallest W,
    do not matter: where the counts decide everything, chains stand still.

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(size=(4, 1000))
    >>> bool(split_r_hat(draws) < 1.01), bool(split_r_hat(draws + np.arange(4)[:, None]) > 1.2)
    (True, True)
    """
    n = traces.shape[1] // 2
    halves = np.concatenate([traces[:, :n], traces[:, -n:]])
    within = float(halves.var(axis=1, ddof=1).mean())
    between = float(halves.mean(axis=1).var(ddof=1))
    return float(np.sqrt((n - 1) / n + between / max(within, least)))


def convergence_of(means: NDArray[np.float32], energies: Floats) -> Convergence:
    """Agreement of m rounds: certainty of every site from each alone (m, S), and energies along it (m, n)."""
    certainty = means.mean(axis=0, dtype=float)
    undecided = (certainty > UNDECIDED) & (certainty < 1 - UNDECIDED)
    r_hat = split_r_hat(energies, least=_ENERGY_VARIANCE)
    if not undecided.any():
        return Convergence(r_hat, 1.0, float(energies.size), 0, 0)
    c = certainty[undecided]
    spread = means[:, undecided].var(axis=0, ddof=1, dtype=float)
    # c (1 - c) is all of a draw's variance, between and within rounds
    ratio = np.minimum(spread / (c * (1 - c)), 0.999)
    site = 1 / np.sqrt(1 - ratio)
    size = len(means) / np.maximum(ratio, 1 / energies.shape[1])
    return Convergence(
        r_hat,
        float(np.quantile(site, 0.95)),
        float(np.median(size)),
        int(undecided.sum()),
        int((site > _SITE_R_HAT_LIMIT).sum()),
    )
