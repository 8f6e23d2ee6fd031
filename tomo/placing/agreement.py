"""Agreement of views: planes of atoms that two views share hold the same number of atoms in both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from ..arrays import Floats
from ..errors import check_kind
from .planes import PlaneSums


@dataclass(frozen=True)
class BiasPrior:
    """What two views may disagree by, beyond the errors of their counts.

    Attributes
    ----------
    scale : float
        Standard deviation of a common relative error of one view against the other.
    slope : float
        The same for one that grows linearly from plane to plane (tilt, thickness, contamination).
    per_column : float
        Standard deviation of a common error of the counts of all columns of one view [atoms].
    relative : float
        Standard deviation of each plane's own relative error.
    floor : float
        Variance of each plane's sum: weak columns missed or invented at the rim [atoms^2].

    `floor` and `per_column` are for columns of ten atoms or fewer; in thicker particles they grow with the
    mean thickness. What causes them is an error of cross-sections, and no scale of the counts must win
    because it makes the same error look small.
    """

    scale: float = 0.03
    slope: float = 0.03
    per_column: float = 0.1
    relative: float = 0.02
    floor: float = 1.0


COUNTED = BiasPrior()
#: For counts whose scale is not settled yet: only the shape of the plane sums tells.
UNSETTLED = BiasPrior(scale=0.3, slope=0.05, per_column=0.7, relative=0.04, floor=2.0)
THICK = 10.0  # atoms of a column, from where errors grow with the thickness
FACTORS = np.sqrt(2.0) ** np.arange(21)  # trial factors on the variance, 1 to 1024
FREEDOM, TOLERANT_STEPS = 4, 4  # of Student's t, and of fitting it
TRUSTED_PLANES = 50.0  # whose errors are independent
EXCESS_PRIOR = 1.5  # standard deviation of the log of the factor by which variances are too small
# Planes that run into the edge of an image: mean share of the atoms that lie beyond it, and the probability
# that what is left says nothing (columns at an edge are often miscounted). Without such planes 23 of 36
# unseen sets with a cut image are placed right, not 28.
OUT_OF_SIGHT, ASTRAY = 0.25, 0.05


@dataclass(frozen=True)
class PairAgreement:
    """How well two views agree.

    Attributes
    ----------
    normal : tuple of 3 int
        Normal of the planes that were compared.
    planes : int
        Number of sums compared.
    first_total, second_total : float
        Atoms in them in either view.
    relative_difference : float
        Root mean square of the differences over that of the sums, as counted.
    relative_remainder : float
        The same after the slow bias is taken off.
    bias : float
        Slow relative excess of the first view over the second, at the middle plane.
    bias_std : float
        Its standard deviation.
    excess : float
        Most likely factor on the expected variance, after the bias; 1 if all is as expected.
    log_likelihood : float
        See `agreement_log_likelihood`.
    """

    normal: tuple[int, int, int]
    planes: int
    first_total: float
    second_total: float
    relative_difference: float
    relative_remainder: float
    bias: float
    bias_std: float
    excess: float
    log_likelihood: float


def agreement_log_likelihood(sums: PlaneSums, prior: BiasPrior = COUNTED) -> float:
    """Log likelihood ratio that the sums of two views are of the same atoms, against unrelated ones.

    The differences are Gaussian with the variance of the counts and of the planes' own errors, plus slow
    biases - proportional to the sums, sloping from plane to plane, or the same for every column of a
    view - whose coefficients are integrated out under Gaussian priors. Where differences remain larger,
    a common factor on the variance is taken at its most likely value under a broad prior: counts of real
    images are less good than they say. Unrelated sums differ by as much as the sums themselves are.

    A plane that runs into the edge of one image holds there as many atoms as in the other one, or fewer: what
    lies beyond the edge is distributed exponentially.

    Parameters
    ----------
    sums : PlaneSums
        Planes that one view does not see whole are used where both have columns.
    prior : BiasPrior
        How much bias is expected.

    Returns
    -------
    float
        Above zero if the sums agree; every agreeing plane adds its share.

    Raises
    ------
    InputError
        If `sums` do not come from `plane_sums`.

    Examples
    --------
    >>> from tomo import plane_sums
    >>> from tomo.phantoms import random_particle, views_of
    >>> first, second = views_of(random_particle(300, "rough", seed=1), [(1, 0, 0), (1, 1, 0)])
    >>> other = views_of(random_particle(300, "rough", seed=2), [(1, 1, 0)])[0]
    >>> same = agreement_log_likelihood(plane_sums(first, second))
    >>> same > agreement_log_likelihood(plane_sums(first, other))
    True
    """
    check_kind("sums", sums, PlaneSums)
    check_kind("prior", prior, BiasPrior)
    return float(_evidence(sums.only_seen(), prior)[0] + _of_partly_seen(sums, prior))


def log_likelihoods(sums: PlaneSums, prior: BiasPrior) -> Floats:
    """`agreement_log_likelihood` (...) of many pairs of views at once, all but `plane` of shape (..., m).

    Planes without a column in either view say nothing.
    """
    if sums.seen.all():
        return _evidence(sums, prior)[0]
    return np.asarray(_evidence(sums.emptied(~sums.seen), prior)[0] + _of_partly_seen(sums, prior))


def tolerant_log_likelihood(
    sums: PlaneSums, prior: BiasPrior = COUNTED, bends: Floats | None = None
) -> Floats:
    """As `agreement_log_likelihood`, for choosing between counts that all agree more or less, (...).

    Some planes of real images are wrong by more than any prior of their errors foresees (the tip of a rod,
    the edge of the field), and errors are alike from plane to plane. Here the planes' own errors follow
    Student's t with 4 degrees of freedom (posterior of the biases by Laplace's approximation), and n planes
    count as n / (1 + n / 50); 0 without planes that both see.

    Atoms and variance may be those of many counts of the same columns at once, (..., m); `bends` (..., m, b)
    are further slow biases of each plane's difference, scaled to standard deviations of 1 [atoms].
    """
    seen = sums.only_seen()
    partly = _of_partly_seen(sums, prior)
    trusted = 1 + (len(seen.plane) + np.count_nonzero(~sums.seen & sums.in_both)) / TRUSTED_PLANES
    if not len(seen.plane):
        return np.asarray(partly / trusted)
    difference = seen.difference
    variance = variance_of_planes(seen, prior)
    design = _design(seen, prior)
    if bends is not None:
        design = np.concatenate([design, bends[..., sums.seen, :] * seen.in_both[:, None]], axis=-1)
    coefficients, information, scaled = robust_fit(design, difference, variance)
    t = -0.5 * (FREEDOM + 1) * np.log1p(scaled / FREEDOM).sum(axis=-1)
    t -= 0.5 * (coefficients**2).sum(axis=-1) + 0.5 * np.linalg.slogdet(information)[1]
    unrelated = _unrelated(seen, variance)
    null = -0.5 * (difference**2 / unrelated + np.log(unrelated / variance)).sum(axis=-1)
    return np.asarray((t - null + partly) / trusted)


def robust_fit(design: Floats, values: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
    """Most likely coefficients under unit Gaussian priors and errors of Student's t, by reweighting.

    Of a `design` (..., m, c) to values and variances of their errors (..., m). Given are the coefficients
    (..., c), the inverse of their covariance (..., c, c), and the squares of what is left over in units of
    the variances (..., m).
    """
    weight = np.ones(values.shape)
    for _ in range(TOLERANT_STEPS):
        weighted = (design * (weight / variance)[..., None]).swapaxes(-1, -2)
        information = np.eye(design.shape[-1]) + weighted @ design
        coefficients = np.linalg.solve(information, weighted @ values[..., None])
        scaled = (values - (design @ coefficients)[..., 0]) ** 2 / variance
        weight = (FREEDOM + 1) / (FREEDOM + scaled)
    return np.asarray(coefficients[..., 0], dtype=float), information, scaled


def pair_agreement(sums: PlaneSums, prior: BiasPrior = COUNTED) -> PairAgreement:
    """Figures that say how well two views agree.

    Parameters
    ----------
    sums : PlaneSums
        Only planes that both views see are used.
    prior : BiasPrior
        How much bias is expected.

    Returns
    -------
    PairAgreement

    Raises
    ------
    InputError
        If `sums` do not come from `plane_sums`.

    Examples
    --------
    >>> from tomo import plane_sums
    >>> from tomo.phantoms import random_particle, views_of
    >>> first, second = views_of(random_particle(300, "rough", seed=1), [(1, 0, 0), (1, 1, 0)])
    >>> agreement = pair_agreement(plane_sums(first, second))
    >>> agreement.normal, agreement.relative_difference
    ((0, 0, 1), 0.0)
    """
    check_kind("sums", sums, PlaneSums)
    check_kind("prior", prior, BiasPrior)
    seen = sums.only_seen()
    likelihood, coefficients, covariance, excess = _evidence(seen, prior)
    first, second, difference = seen.first, seen.second, seen.difference
    design = _design(seen, prior)
    size = max(float(np.sqrt(np.mean((first + second) ** 2 / 4))), 1e-9) if len(first) else 1.0
    rms = [
        float(np.sqrt(np.mean(d**2))) / size if len(d) else 0.0
        for d in (difference, difference - design @ coefficients)
    ]
    return PairAgreement(
        sums.normal,
        len(first),
        float(first.sum()),
        float(second.sum()),
        rms[0],
        rms[1],
        float(coefficients[0]) * prior.scale,
        float(np.sqrt(covariance[0, 0])) * prior.scale,
        float(excess),
        float(likelihood),
    )


def _design(sums: PlaneSums, prior: BiasPrior) -> Floats:
    """Slow biases of the difference, each scaled to a prior of standard deviation 1; (..., m, 4).

    None in planes where one view has no column: no error of cross-sections makes columns vanish. (The
    columns of a rod are alike: views placed beside each other would agree with all counts near nothing.)
    """
    mean, position = (sums.first + sums.second) / 2, sums.plane.astype(float)
    beyond = 1 + np.abs(position).max(initial=0.0)
    low = np.min(np.where(sums.in_either, position, beyond), axis=-1, keepdims=True, initial=beyond)
    high = np.max(np.where(sums.in_either, position, -beyond), axis=-1, keepdims=True, initial=-beyond)
    slope = (position - (low + high) / 2) / np.maximum((high - low) / 2, 1e-9)
    design = np.zeros((*mean.shape, 4))
    design[..., 0] = prior.scale * mean
    design[..., 1] = prior.slope * mean * slope
    for k, atoms, columns in ((2, sums.first, sums.first_columns), (3, sums.second, sums.second_columns)):
        design[..., k] = common_shift(atoms, columns, prior)
    return design * sums.in_both[..., None]


def _unrelated(sums: PlaneSums, variance: Floats) -> Floats:
    """Variance of the differences of unrelated sums: as large as the sums are, (..., m).

    Planes in which one view has no column speak for no placing, however few atoms they hold: for them it is
    as large as makes the difference most likely. (Errors grow with the sums, and views placed beside each
    other would gain by the thin planes at their ends.)
    """
    planes = np.maximum(np.count_nonzero(sums.in_either, axis=-1, keepdims=True), 1)
    typical = (sums.first**2 + sums.second**2).sum(axis=-1, keepdims=True) / planes + variance
    alone = np.maximum(sums.difference**2, variance)
    return np.where(sums.in_both, typical, alone)


def _of_partly_seen(sums: PlaneSums, prior: BiasPrior) -> Floats:
    """Log likelihood ratio of planes in which both views have columns, but which not both see whole, (...).

    An exponential distribution of the atoms out of sight, folded with the Gaussian errors of the difference.
    """
    use = ~sums.seen & sums.in_both
    if not use.any():
        return np.zeros(sums.difference.shape[:-1])
    some = sums.emptied(~use)
    variance = variance_of_planes(some, prior) + (prior.scale * (some.first + some.second) / 2) ** 2
    for atoms, columns in ((some.first, some.first_columns), (some.second, some.second_columns)):
        variance = variance + common_shift(atoms, columns, prior) ** 2
    planes = np.maximum(np.count_nonzero(use, axis=-1, keepdims=True), 1)
    unrelated = (some.first**2 + some.second**2).sum(axis=-1, keepdims=True) / planes + variance
    beyond = OUT_OF_SIGHT * np.sqrt(unrelated / 2)
    error = np.sqrt(variance)

    def more(difference: Floats) -> Floats:
        """ln of the density of what one view has more, if the other one does not see all."""
        density = 0.5 * variance / beyond**2 - difference / beyond - np.log(beyond)
        return np.asarray(density + log_ndtr(difference / error - error / beyond))

    difference = some.difference
    either = np.logaddexp(more(difference), more(-difference)) - np.log(2)
    related = np.where(
        sums.first_seen, more(difference), np.where(sums.second_seen, more(-difference), either)
    )
    apart = -0.5 * (difference**2 / unrelated + np.log(2 * np.pi * unrelated))
    ratio = np.logaddexp(np.log(1 - ASTRAY) + related - apart, np.log(ASTRAY))
    return np.asarray(np.where(use, ratio, 0.0).sum(axis=-1))


def variance_of_planes(sums: PlaneSums, prior: BiasPrior) -> Floats:
    """Variance of each plane's difference beside the slow biases, (..., m) [atoms^2]."""
    both = sums.first + sums.second
    floor = prior.floor * thickness(both, sums.first_columns + sums.second_columns) ** 2
    return sums.variance + (prior.relative * both / 2) ** 2 + floor[..., None]


def common_shift(atoms: Floats, columns: Floats, prior: BiasPrior) -> Floats:
    """What an error common to all columns of a view changes the sums of its planes by, (..., m) [atoms]."""
    return np.asarray(prior.per_column * thickness(atoms, columns)[..., None] * columns)


def thickness(atoms: Floats, columns: Floats) -> Floats:
    """Mean atoms of a column over `THICK`, at least 1; (...) of the sums of planes (..., m)."""
    return np.asarray(np.maximum(1.0, atoms.sum(axis=-1) / np.maximum(columns.sum(axis=-1), 1.0) / THICK))


def _evidence(sums: PlaneSums, prior: BiasPrior) -> tuple[Floats, Floats, Floats, Floats]:
    """Log likelihood ratio, bias coefficients with their covariance, and the excess of the variance.

    (...), (..., 4), (..., 4, 4) and (...) of sums (..., m).
    """
    difference = sums.difference
    variance = variance_of_planes(sums, prior)
    unrelated = _unrelated(sums, variance)
    design = _design(sums, prior)
    weighted = (design / variance[..., None]).swapaxes(-1, -2)
    strength, axes = np.linalg.eigh(weighted @ design)
    moment = (axes.swapaxes(-1, -2) @ (weighted @ difference[..., None]))[..., 0]
    total = (difference**2 / variance).sum(axis=-1, keepdims=True)
    planes = np.count_nonzero(sums.in_either, axis=-1)[..., None]
    # -2 ln likelihood for every factor on the variance, (..., factors), the biases integrated out (Woodbury)
    factors, by_factor = FACTORS[:, None], strength[..., None, :]
    chi2 = total / FACTORS - (moment[..., None, :] ** 2 / (factors * (factors + by_factor))).sum(axis=-1)
    log_det = planes * np.log(FACTORS) + np.log1p(by_factor / factors).sum(axis=-1)
    cost = chi2 + log_det + (np.log(FACTORS) / EXCESS_PRIOR) ** 2
    excess = FACTORS[np.argmin(cost, axis=-1)]
    spread = excess[..., None] / (excess[..., None] + strength)
    null = (difference**2 / unrelated + np.log(unrelated / variance)).sum(axis=-1)
    coefficients = (axes @ (spread * moment / excess[..., None])[..., None])[..., 0]
    covariance = (axes * spread[..., None, :]) @ axes.swapaxes(-1, -2)
    return 0.5 * (null - cost.min(axis=-1)), coefficients, covariance, excess
