"""What fitting and counting hand on: small frozen tables of arrays, one entry a column."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntFlag

import numpy as np

from .arrays import Floats, Ints
from .errors import check_kind


class FitFlag(IntFlag):
    """Why a column's fit deserves doubt; the flags of one column add up.

    Attributes
    ----------
    GOOD
        0: no doubt.
    AT_EDGE
        1: part of the peak lies outside the field of view or the valid pixels.
    OVERLAP
        2: closer to a neighbour than the peaks can be told apart.
    AT_BOUND
        4: height or width stopped at a bound.
    MOVED
        8: ended far from its start position.
    RESIDUAL
        16: the model leaves structure at the column well above the noise.
    ADDED
        32: found from the residual or the lattice after a first fit.
    """

    GOOD = 0
    AT_EDGE = 1
    OVERLAP = 2
    AT_BOUND = 4
    MOVED = 8
    RESIDUAL = 16
    ADDED = 32


@dataclass(frozen=True, eq=False)
class ColumnFit:
    """Fitted columns of one image.

    Attributes
    ----------
    x, y : (n,) float
        Column centres [A].
    height : (n,) float
        eta of eta exp(-r^2 / 2 rho^2) [image units].
    width : (n,) float
        rho [A].
    cross_section : (n,) float
        Volume under the peak, 2 pi eta rho^2 for a Gaussian [image units x A^2]; with a halo that of both.
    cross_section_std : (n,) float
        Its standard deviation [image units x A^2].
    background : (m,) float
        Coefficients of the background model, its constant first [image units]; see
        `stemcount.fitting.background` for the others.
    residual_sum_of_squares : float
        Sum over the used pixels of (image - model)^2 [image units^2].
    flags : (n,) int
        Sum of `FitFlag` values.
    peak : tuple
        Peak shape and its shared parameters, as `model_image` reads them.
    x_std, y_std : (n,) float
        Standard deviations of the position [A].
    column_type : (n,) int
        Type of each column where the fit distinguished several (0 otherwise).
    misfit : (n,) float
        Factors, at least 1, by which the variances of the cross-sections exceed those that the noise alone
        would give, because the residual or the surroundings show more than noise; see
        `stemcount.fitting.misfit`. The standard deviations over their square roots are those of the noise
        alone, as strong as it is left at the scale of the peaks (`stemcount.images.noise`).
    halo : tuple of 2 float
        Share of the cross-sections that lies in a halo around the peaks, and its radius [A], see
        `stemcount.fitting.halo`; 0 where the peaks are all.
    magnification : (n,) float, or 1.0
        Factors by which the scan has enlarged the area around each column: the volumes under the peaks are so
        many times the cross-sections, see `stemcount.fitting.magnified`.
    light : (rows, cols) float, or 0.0
        Light that was known to lie beneath the columns, and to which the background is added [image units].
    """

    x: Floats
    y: Floats
    height: Floats
    width: Floats
    cross_section: Floats
    cross_section_std: Floats
    background: Floats
    residual_sum_of_squares: float
    flags: Ints
    peak: tuple[str, tuple[float, ...]]
    x_std: Floats
    y_std: Floats
    column_type: Ints
    misfit: Floats | float = 1.0
    halo: tuple[float, float] = (0.0, 1.0)
    magnification: Floats | float = 1.0
    light: Floats | float = 0.0

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"<ColumnFit: {len(self)} columns, {self.peak[0]} peaks>"

    @property
    def noise_std(self) -> Floats:
        """Standard deviations of the cross-sections by the noise alone (n,) [image units x A^2].

        What counting wants: other errors are part of the width of its classes, which it finds itself, and
        a known variance that is too large could not be undone.
        """
        return self.cross_section_std / np.sqrt(self.misfit)

    @property
    def volume(self) -> Floats:
        """Volumes under the peaks (n,), with their halo, as the image shows them [image units x A^2]."""
        return self.cross_section * self.magnification


def check_fit(fit: object) -> None:
    """Raise an InputError unless it is a fit."""
    check_kind("fit", fit, ColumnFit, "a ColumnFit, as fit_columns returns it")


@dataclass(frozen=True, eq=False)
class Mixture:
    """A 1D Gaussian mixture of one order, fitted to cross-sections.

    Attributes
    ----------
    mean : (n_components,) float
        Component means, ascending [units of the cross-section].
    width : (n_components,) float
        Standard deviation of each component (all equal for a shared width).
    weight : (n_components,) float
        Share of the columns in each component; sums to 1.
    negative_log_likelihood : float
        - sum_n ln p(V_n).
    entropy : float
        EN = - sum_nk t_nk ln t_nk of the responsibilities.
    icl : float
        Integrated classification likelihood 2 NLL + 2 EN + 2 k ln N (Biernacki et al., IEEE Trans. Pattern
        Anal. Mach. Intell. 22 (2000) 719), of k components and N columns.
    bic, aic : float
        2 NLL + 2 k ln N and 2 NLL + 4 k (Schwarz, Ann. Stat. 6 (1978) 461; Akaike, IEEE Trans. Autom. Control
        19 (1974) 716), as there are 2 k free parameters.
    """

    mean: Floats
    width: Floats
    weight: Floats
    negative_log_likelihood: float
    entropy: float
    icl: float
    bic: float
    aic: float

    def __repr__(self) -> str:
        return f"<Mixture: {self.n_components} components, ICL {self.icl:.2f}>"

    @property
    def n_components(self) -> int:
        """Order of the mixture."""
        return len(self.mean)


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One reading of the cross-sections: which number of atoms each class mean stands for.

    Attributes
    ----------
    mean : (kmax + 1,) float
        Expected cross-section of k atoms, k = 0..kmax; mean[0] = 0 [units of the cross-section].
    width : (kmax + 1,) float
        Standard deviation of the cross-section of columns of k atoms.
    weight : (kmax + 1,) float
        Share of the columns that hold k atoms.
    offset : int
        Atoms in the thinnest class that occurs, minus 1.
    n_components : int
        Number of classes that occur between the thinnest and the thickest.
    log_posterior : float
        Log probability of this reading against the others, not normalised.
    """

    mean: Floats
    width: Floats
    weight: Floats
    offset: int
    n_components: int
    log_posterior: float

    def __repr__(self) -> str:
        first, last = self.offset + 1, self.offset + self.n_components
        return f"<Hypothesis: classes of {first} to {last} atoms, log posterior {self.log_posterior:.2f}>"


def check_reading(reading: object) -> None:
    """Raise an InputError unless it is a reading."""
    words = "a Hypothesis, such as counts.chosen or one of counts.alternatives"
    check_kind("reading", reading, Hypothesis, words)


@dataclass(frozen=True, eq=False)
class AtomCounts:
    """Atoms in each column, with their probabilities.

    Attributes
    ----------
    count : (n,) int
        Most probable number of atoms under the reading that was chosen.
    log_likelihood : (n, kmax + 1) float
        ln P(V | k atoms), k = 0..kmax.
    probability : (n, kmax + 1) float
        P(k atoms | V); each row sums to 1. Where the program found the order it is the mean over all
        readings, and the last entry holds what some of them give to more than kmax atoms, too.
    mixtures : tuple of Mixture
        The plain mixture of every order tried, order 1 first.
    icl : (n_orders,) float
        ICL of those mixtures.
    n_components : int
        Number of classes in the reading that was chosen.
    offset : int
        Atoms in the thinnest class, minus 1.
    chosen : Hypothesis
        The reading that was chosen; its means and widths give `log_likelihood`.
    alternatives : tuple of Hypothesis
        All readings considered, the most probable first.
    verdict : str
        "decided", "undecidable" or "given" (the user fixed the order).
    reason : str
        Why, in one sentence.
    total_std : float
        How far `count.sum()` is expected to be from the true total [atoms]: the spread of the totals of all
        readings about it, and the errors of single counts. Where a reading was given, or the views together
        chose it, of single counts alone.
    """

    count: Ints
    log_likelihood: Floats
    probability: Floats
    mixtures: tuple[Mixture, ...]
    icl: Floats
    n_components: int
    offset: int
    chosen: Hypothesis
    alternatives: tuple[Hypothesis, ...] = field(default=())
    verdict: str = "decided"
    reason: str = ""
    total_std: float = 0.0

    def __repr__(self) -> str:
        return (
            f"<AtomCounts: {self.count.sum()} atoms in {len(self.count)} columns, "
            f"{self.n_components} classes, {self.verdict}>"
        )

    @property
    def count_probability(self) -> Floats:
        """Probability (n,) of the count given for each column."""
        return np.take_along_axis(self.probability, self.count[:, None], axis=1)[:, 0]

    def with_choice_of(self, other: AtomCounts) -> AtomCounts:
        """The same atoms, with what was tried for `other`, its verdict and reason."""
        return replace(
            self,
            mixtures=other.mixtures,
            icl=other.icl,
            alternatives=other.alternatives,
            verdict=other.verdict,
            reason=other.reason,
        )


def check_atom_counts(counts: object) -> None:
    """Raise an InputError unless they are counts."""
    check_kind("counts", counts, AtomCounts, "AtomCounts, as count_atoms returns them")
