"""What the residual of a fit holds beyond noise is in its error bars."""

import numpy as np
import pytest
from scipy import ndimage

from stemcount import ZoneAxisImage, fit_columns
from stemcount.fitting.fit import make_problem, run_fit, weights_of
from stemcount.fitting.fit_input import Choice
from stemcount.fitting.joint import model_of, normal_equations, stepped
from stemcount.fitting.misfit import answers

PX = 0.2
N = 7


def scene(seed, spacing=2.4, jitter=0.0, tail=0.0, dose=2e4):
    """Image with Poisson noise (rows, cols), positions and cross-sections; rows set off by `jitter` [A]."""
    rng = np.random.default_rng(seed)
    x, y = (v.ravel() * spacing + 5 for v in np.meshgrid(np.arange(N), np.arange(N)))
    volume = rng.integers(2, 15, N * N) * 0.03
    size = int((x.max() + 5) / PX)
    place = np.arange(size) * PX
    across, down = rng.normal(0, 1, (2, size, 1)) * jitter
    image = np.full((size, size), 0.01)
    for k in range(N * N):
        square = (place + across - x[k]) ** 2 + (place[:, None] + 0.4 * down - y[k]) ** 2
        for share, width in ((1 - tail, 0.6), (tail, 1.2)):
            image += share * volume[k] * np.exp(-square / (2 * width**2)) / (2 * np.pi * width**2)
    scale = dose * PX**2
    return rng.poisson(image * scale) / scale, np.column_stack([x, y]), volume


def scores(disturb, seeds=4, **kind):
    """Errors of the cross-sections over their standard deviations, and the misfit of each of them.

    A factor that all cross-sections have in common is left out: it is no error of one column.
    """
    found, factors = [], []
    for seed in range(seeds):
        data, start, volume = scene(seed, **kind)
        fit = fit_columns(ZoneAxisImage(disturb(data, seed), PX), start)
        weight = 1 / fit.cross_section_std**2
        common = np.sum(weight * volume * fit.cross_section) / np.sum(weight * volume**2)
        found.append((fit.cross_section - common * volume) / fit.cross_section_std)
        factors.append(fit.misfit)
    return np.array(found), np.array(factors)


def test_white_noise_is_noise():
    z, factors = scores(lambda data, _: data, seeds=8)
    assert np.median(factors) == 1.0
    assert factors.max() < 1.6
    assert 0.8 < z.std() < 1.1


def smoothed(data, _):
    return ndimage.gaussian_filter(data, 1.0)


def clouded(data, seed):
    cloud = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=data.shape), 1.5)
    return data + 0.006 * cloud / cloud.std()


def same(data, _):
    return data


@pytest.mark.parametrize(
    ("disturb", "kind", "without"),
    [
        (smoothed, {}, 2.3),
        (clouded, {}, 2.0),
        (same, {"jitter": 0.1, "dose": 1e5}, 1.2),
        (same, {"tail": 0.2, "dose": 1e5}, 2.5),
    ],
)
def test_what_is_not_noise_widens_the_error_bars(disturb, kind, without):
    """Smoothed images, correlated noise, rows set off, and tails that the model lacks."""
    z, factors = scores(disturb, **kind)
    assert 0.6 < z.std() < 2.0
    assert (z * np.sqrt(factors)).std() > without  # with the noise alone, as strong as it is left


@pytest.mark.parametrize("size", [1.1, 3.0])
def test_speckle_is_known_from_beside_the_particle(size):
    """The fit takes it up: the residual alone would show a quarter of these errors."""

    def on_film(data, seed):
        film = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=data.shape), size / PX)
        return data + 0.006 * film / film.std()

    z, factors = scores(on_film, seeds=6)
    assert 0.75 < z.std() < 1.3
    assert (z * np.sqrt(factors)).std() > 4


def test_a_place_that_went_wrong_has_its_own_error_bars():
    data, start, _ = scene(0, dose=1e5)
    spoiled = data.copy()
    for row in range(20, 40, 2):  # the first two rows of columns
        spoiled[row] = np.roll(data[row], 1)
    fit, good = (fit_columns(ZoneAxisImage(image, PX, dose=1e5), start) for image in (spoiled, data))
    first, far = start[:, 1] < 7, start[:, 1] > 15
    assert np.median(fit.misfit[first]) > 2
    assert np.median(fit.misfit[far]) < 1.5
    np.testing.assert_allclose(fit.noise_std[far], good.noise_std[far], rtol=0.1)


def test_the_linear_fit_follows_its_own_derivatives():
    """An image that a small step makes is answered with that step."""
    data, start, _ = scene(0)
    image, choice = ZoneAxisImage(data, PX), Choice(widths="common", pull=0.0)
    problem = make_problem(image, start, np.zeros(len(start), dtype=np.int64), choice)
    problem, state, law = run_fit(problem, image, choice, seen=True)
    model = model_of(problem, state)
    weight = weights_of(problem, law)(model)
    system, _, _, curvature = normal_equations(problem, state, weight, model)
    rng = np.random.default_rng(0)
    own = 1e-4 * rng.normal(size=(len(start), 3))
    own[:, 2] *= np.median(state.volume)
    shared = 1e-4 * np.array([0.01, 1.0])
    change = model_of(problem, stepped(problem, state, own, shared)) - model
    step, shared_step = answers(problem, state, system, curvature, lambda _: weight * change, 1)
    assert np.corrcoef(step[:, 0], own.ravel())[0, 1] > 0.999
    np.testing.assert_allclose(shared_step[:, 0], shared, rtol=0.1)


def test_the_same_bits_every_time():
    data, start, _ = scene(1, jitter=0.1, dose=1e5)
    one, two = (fit_columns(ZoneAxisImage(data, PX), start) for _ in range(2))
    np.testing.assert_array_equal(one.misfit, two.misfit)
    np.testing.assert_array_equal(one.cross_section_std, two.cross_section_std)


def test_equal_weights_know_it_too():
    data, start, volume = scene(0)
    image = ZoneAxisImage(clouded(data, 0), PX)
    fit = fit_columns(image, start, likelihood="least_squares", widths="common")
    assert np.median(fit.misfit) > 1.4
    assert 0.6 < np.std((fit.cross_section - volume) / fit.cross_section_std) < 1.5
