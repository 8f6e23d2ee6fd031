"""Saturation, tilt and support films: seen where they are, not where they are not."""

import numpy as np
import pytest
from scipy import ndimage

import stemcount
from stemcount.fitting.faults import glow


def image_of(tilt=0.0, drawn_out=0.0, dose=1e5, seed=0):
    """Columns of 1-12 atoms 2.5 A apart, their atoms spread along x in proportion to their number."""
    rng = np.random.default_rng(seed)
    x, y = (g.ravel() * 2.5 + 5.0 for g in np.mgrid[0:8, 0:8])
    atoms = rng.integers(1, 13, len(x))
    owner = np.repeat(np.arange(len(x)), atoms)
    place = np.concatenate([np.arange(n) - (n - 1) / 2 for n in atoms])
    along = x[owner] + tilt * place + drawn_out * np.where(np.arange(len(owner)) % 2, 1, -1)
    image = stemcount.simulate_columns(
        along,
        y[owner],
        np.full(len(owner), 0.03),
        shape=(140, 140),
        pixel_size=0.2,
        width=0.6,
        dose=dose,
        seed=seed,
    )
    return image, stemcount.fit_columns(image, np.column_stack([x, y]))


@pytest.mark.parametrize("seed", range(4))
def test_an_upright_crystal_is_not_called_tilted(seed):
    assert stemcount.elongation(*image_of(seed=seed)).chi_square < 14


def test_a_tilted_crystal_is_seen_with_its_direction():
    found = stemcount.elongation(*image_of(tilt=0.06))
    assert found.chi_square > 14
    assert abs((found.angle + 90) % 180 - 90) < 10


def test_a_drift_that_draws_out_all_columns_is_no_tilt():
    assert stemcount.elongation(*image_of(drawn_out=0.15)).chi_square < 14


def test_few_columns_say_nothing():
    image, fit = image_of()
    some = stemcount.fit_columns(image, np.column_stack([fit.x, fit.y])[:10])
    assert stemcount.elongation(image, some) is None


@pytest.mark.parametrize(
    "what", ["saturated_share", "elongation", "background_structure", "model_image", "background_image"]
)
def test_images_and_fits_are_told_apart(what):
    image = stemcount.simulate_columns([5.0], [5.0], [1.0], shape=(60, 60), pixel_size=0.2)
    use = getattr(stemcount, what)
    with pytest.raises(stemcount.InputError, match="expected a ZoneAxisImage"):
        use(image.data) if what == "saturated_share" else use(image.data, None)
    if what != "saturated_share":
        with pytest.raises(stemcount.InputError, match="fit: expected a ColumnFit"):
            use(image, [(5.0, 5.0)])


@pytest.mark.parametrize("dose", [300.0, 1e4, None])
def test_a_clean_image_is_not_saturated(dose):
    assert stemcount.saturated_share(image_of(dose=dose)[0]) == 0


def test_cut_off_values_are_seen():
    image = image_of()[0]
    cut = stemcount.ZoneAxisImage(np.minimum(image.data, np.quantile(image.data, 0.99)), 0.2)
    assert stemcount.saturated_share(cut) == pytest.approx(0.01, abs=0.002)
    masked = stemcount.ZoneAxisImage(cut.data, 0.2, valid=cut.data < cut.data.max())
    assert stemcount.saturated_share(masked) == 0


def test_what_was_cut_off_is_fitted_by_its_flanks():
    image, fit = image_of()
    cut = stemcount.ZoneAxisImage(np.minimum(image.data, 0.6 * np.quantile(image.data, 0.999)), 0.2)
    again = stemcount.fit_columns(cut, np.column_stack([fit.x, fit.y]))
    thick = fit.cross_section > 0.27  # nine atoms and more
    np.testing.assert_allclose(again.cross_section[thick], fit.cross_section[thick], rtol=0.04)
    assert np.all(again.cross_section_std[thick] > fit.cross_section_std[thick])
    np.testing.assert_array_equal(again.flags & stemcount.FitFlag.AT_EDGE, 0)


@pytest.mark.parametrize("level", [0.4, 0.7])
def test_plateaus_of_cut_off_columns_are_no_columns(level):
    image, fit = image_of(dose=3e4)
    cut = stemcount.ZoneAxisImage(np.minimum(image.data, level * np.quantile(image.data, 0.999)) + 0.3, 0.2)
    assert len(stemcount.find_columns(cut)) == len(fit)


def test_the_elongation_is_a_quarter_of_the_difference_of_the_variances():
    """Two halves of a column at a distance 2 d add d^2 to the variance along their line."""
    x, y = (5 + 4 * grid.ravel().astype(float) for grid in np.mgrid[:8, :8])
    thickness = np.append(1.0, np.random.default_rng(0).uniform(0.2, 1, 63))
    apart = 0.5 * np.sqrt(0.1 * thickness)  # of peaks 0.5 A wide: a tenth of their variance
    image = stemcount.simulate_columns(
        np.append(x, x), np.append(y - apart, y + apart), np.tile(0.05 * thickness, 2), shape=(380, 380),
        pixel_size=0.1, width=0.5,
    )  # fmt: skip
    found = stemcount.elongation(image, stemcount.fit_columns(image, np.column_stack([x, y])))
    assert found.growth == pytest.approx(0.1 / 4, rel=0.05)
    assert found.angle == pytest.approx(90, abs=1)


def on_film(contrast, seed=0, dose=1e5, level=1e-3):
    """A particle on a film: speckle with the resolution of the image, `contrast` its relative variation."""
    rng = np.random.default_rng(seed)
    x, y = (g.ravel() * 2.5 + 9.0 for g in np.mgrid[0:8, 0:8])
    speckle = ndimage.gaussian_filter(rng.normal(size=(175, 175)), 0.5 / 0.2)
    film = np.maximum(level * (1 + contrast * speckle / speckle.std()), 0)
    image = stemcount.simulate_columns(
        x,
        y,
        0.03 * rng.integers(1, 13, len(x)),
        shape=film.shape,
        pixel_size=0.2,
        background=film,
        dose=dose,
        seed=seed,
    )
    return image, stemcount.fit_columns(image, np.column_stack([x, y]))


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_does_not_say_whether_an_image_was_interpolated(seed):
    assert stemcount.background_structure(*on_film(0.0, seed)).beyond == 1.0


@pytest.mark.parametrize("dose", [3e3, 3e4, 3e5])
@pytest.mark.parametrize("level", [1e-4, 0.03])
def test_an_even_background_has_no_structure(dose, level):
    found = stemcount.background_structure(*on_film(0.0, dose=dose, level=level, seed=int(dose)))
    assert found.chance > 1e-3
    assert found.level == pytest.approx(level, rel=0.2)


def test_the_speckle_of_a_film_is_seen_with_its_strength():
    found = stemcount.background_structure(*on_film(0.3))
    assert found.chance < 1e-6
    # the filter takes off half of the variance of speckle as fine as the columns
    assert found.amplitude == pytest.approx(0.3e-3 / np.sqrt(2), rel=0.4)


def test_a_slope_of_the_background_is_no_structure():
    image, fit = on_film(0.0)
    slope = np.linspace(0, 0.01, 175)[:, None] * np.ones(175)
    rng = np.random.default_rng(1)
    scale = 1e5 * 0.2**2
    image = stemcount.ZoneAxisImage(rng.poisson((image.data + slope) * scale) / scale, 0.2)
    assert stemcount.background_structure(image, fit).chance > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_a_hill_of_the_background_is_no_structure(seed):
    image, fit = on_film(0.0, seed=seed)
    y, x = np.indices(image.data.shape) * 0.2
    hill = 0.2 * np.exp(-0.5 * ((x - 8) ** 2 + (y - 26) ** 2) / 14.0**2)
    rng = np.random.default_rng(seed)
    scale = 1e5 * 0.2**2
    image = stemcount.ZoneAxisImage(rng.poisson((image.data + hill) * scale) / scale, 0.2)
    fit = stemcount.fit_columns(image, np.column_stack([fit.x, fit.y]), background="smooth")
    assert stemcount.background_structure(image, fit).chance > 1e-4


def test_faint_columns_that_are_known_are_no_structure():
    """A row of columns beside the particle that hardly show, as those of a lighter species at its surface."""
    x, y = (g.ravel() * 2.5 + 10.0 for g in np.mgrid[0:8, 0:8])
    row = np.column_stack([np.full(8, 33.0), np.arange(8) * 2.5 + 10.0])
    image = stemcount.simulate_columns(
        np.append(x, row[:, 0]), np.append(y, row[:, 1]), np.append(np.full(64, 0.1), np.full(8, 3e-3)),
        shape=(200, 250), pixel_size=0.2, width=0.5, background=0.002, dose=2e5, seed=1,
    )  # fmt: skip
    fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    assert stemcount.background_structure(image, fit).chance < 1e-4
    assert stemcount.background_structure(image, fit, row).chance > 1e-3


def test_an_image_full_of_columns_shows_no_background():
    image, fit = image_of()
    assert stemcount.background_structure(image, fit) is None


def on_light(light, tail=(0.0, 1.0), margin=12.0):
    """A square of columns with light under and around it, from the coordinates of the pixels [A]."""
    x, y = (g.ravel() * 2.5 + margin for g in np.mgrid[0:7, 0:7])
    side = round((15 + 2 * margin) / 0.2)
    v, u = np.indices((side, side)) * 0.2
    image = stemcount.simulate_columns(
        x,
        y,
        np.full(len(x), 0.15),
        shape=(side, side),
        pixel_size=0.2,
        tail=tail,
        background=np.broadcast_to(light(u, v), (side, side)),
        dose=2e4,
        seed=0,
    )
    return glow(image, stemcount.fit_columns(image, np.column_stack([x, y])))


@pytest.mark.parametrize(
    "light",
    [
        lambda x, y: 0.002,
        lambda x, y: 0.002 + 0.002 * x,
        lambda x, y: 0.002 + 0.1 * np.exp(-((x - 6) ** 2 + (y - 8) ** 2) / 32),
    ],
    ids=["even", "slope", "spot at a corner"],
)
def test_light_that_is_not_all_around_is_no_glow(light):
    assert on_light(light) < 0.1


def test_tails_of_the_probe_and_contamination_over_all_of_the_particle_glow():
    assert 0.15 < on_light(lambda x, y: 0.002, tail=(0.3, 6.0)) < 0.45
    assert on_light(lambda x, y: 0.03 * np.exp(-((x - 19) ** 2 + (y - 20) ** 2) / 200)) > 0.15


def test_an_image_without_a_margin_says_nothing_of_glow():
    assert on_light(lambda x, y: 0.002, margin=3.0) is None
