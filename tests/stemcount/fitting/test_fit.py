"""The joint fit: perfect, noisy and degenerate images with known answers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stemcount
from stemcount import FitFlag, InputError, ZoneAxisImage, fit_columns, model_image, simulate_columns
from stemcount.fitting.fit import first_state, make_problem
from stemcount.fitting.fit_input import Choice
from stemcount.fitting.joint import model_of, normal_equations, objective


def grid(n=4, spacing=2.5, start=5.0):
    x, y = (v.ravel() * spacing + start for v in np.meshgrid(np.arange(n), np.arange(n)))
    return x, y


def image_of(x, y, volume, px=0.2, **kind):
    rows, cols = int((max(y) + 5) / px), int((max(x) + 5) / px)
    return simulate_columns(x, y, volume, shape=(rows, cols), pixel_size=px, **kind)


def test_a_background_of_pixels_has_the_shape_of_the_image():
    x, y = grid()
    image = image_of(x, y, np.ones(16))
    with pytest.raises(InputError, match="must have the shape of the image"):
        fit_columns(image, np.column_stack([x, y]), background=np.zeros((3, 4)))


class TestPerfect:
    """Noise-free images are explained to the last digit, whatever the pixel size."""

    @pytest.mark.parametrize("px", [0.1, 0.15, 0.2, 0.3, 0.4])
    def test_pixel_size_does_not_bias_volumes(self, px):
        x, y = grid()
        volume = np.linspace(0.02, 0.5, 16)
        image = image_of(x, y, volume, px, width=0.6, background=0.01)
        fit = fit_columns(image, np.column_stack([x + 0.1, y - 0.08]), widths="common", pull=0.0)
        np.testing.assert_allclose(fit.cross_section, volume, rtol=1e-4)
        np.testing.assert_allclose(fit.x, x, atol=1e-4)
        np.testing.assert_allclose(fit.y, y, atol=1e-4)
        np.testing.assert_allclose(fit.width, 0.6, rtol=1e-4)
        np.testing.assert_allclose(fit.background, [0.01], atol=1e-6)
        np.testing.assert_allclose(fit.height, volume / (2 * np.pi * 0.6**2), rtol=1e-3)

    def test_pixels_that_integrate_only_widen_the_peak(self):
        x, y = grid(3)
        px, fine = 0.4, 8
        kind = {"shape": (60 * fine, 60 * fine), "pixel_size": px / fine, "width": 0.6}
        shift = px / 2 - px / fine / 2  # centre of the first large pixel
        data = simulate_columns(x + shift, y + shift, np.ones(9), **kind).data
        image = ZoneAxisImage(data.reshape(60, fine, 60, fine).mean(axis=(1, 3)), px)
        fit = fit_columns(image, np.column_stack([x, y]), widths="common", pull=0.0)
        np.testing.assert_allclose(fit.cross_section, 1.0, rtol=2e-3)
        np.testing.assert_allclose(fit.width, np.sqrt(0.6**2 + px**2 / 12), rtol=2e-3)
        np.testing.assert_allclose(fit.x, x, atol=2e-3)

    def test_image_origin_is_respected(self):
        image = image_of([5.0, 7.5], [5.0, 5.2], [1.0, 2.0])
        moved = ZoneAxisImage(image.data, 0.2, offset=(100.0, -50.0))
        fit = fit_columns(moved, [[105.0, -45.0], [107.5, -44.8]])
        np.testing.assert_allclose(fit.x, [105.0, 107.5], atol=1e-3)
        np.testing.assert_allclose(fit.y, [-45.0, -44.8], atol=1e-3)
        np.testing.assert_allclose(model_image(moved, fit), image.data, atol=1e-4 * image.data.max())

    @pytest.mark.parametrize(
        ("kind", "slopes"),
        [("plane", [0.03, 0.01, -0.008]), ("smooth", [0.03, 0.01, -0.008, 0.004, 0, 0.003])],
    )
    def test_backgrounds(self, kind, slopes):
        from stemcount.fitting.background import background_from_coefficients

        x, y = grid()
        level = background_from_coefficients(np.array(slopes), (87, 87))
        image = simulate_columns(x, y, np.full(16, 0.3), shape=(87, 87), pixel_size=0.2, background=level)
        fit = fit_columns(image, np.column_stack([x, y]), background=kind, widths="common")
        np.testing.assert_allclose(fit.cross_section, 0.3, rtol=1e-3)
        np.testing.assert_allclose(stemcount.background_image(image, fit), level, atol=1e-4)

    def test_widths_of_two_types(self):
        x, y = grid()
        types = np.arange(16) % 2
        image = image_of(x, y, np.full(16, 0.4), width=np.where(types == 0, 0.5, 0.7))
        fit = fit_columns(image, np.column_stack([x, y]), widths="per_type", column_type=types)
        np.testing.assert_allclose(fit.width, np.where(types == 0, 0.5, 0.7), rtol=1e-3)
        np.testing.assert_array_equal(fit.column_type, types)

    def test_a_type_without_light_is_no_broader_than_the_others(self):
        """It would be as broad as the light that no column explains."""
        x, y = grid()
        image = image_of(x, y, np.full(16, 0.4), width=0.5, dose=1e4, seed=0)
        i, j = np.indices(image.data.shape)
        blob = 0.003 * np.exp(-((i - 40) ** 2 + (j - 40) ** 2) / (2 * 12.0**2))
        image = replace(image, data=image.data + blob)
        places = np.concatenate([np.column_stack([x, y]), np.column_stack([x, y]) + 1.2])
        types = np.repeat([0, 1], 16)
        fit = fit_columns(image, places, widths="per_type", column_type=types, pull=0.1)
        assert fit.width[0] == pytest.approx(0.5, rel=0.05)
        assert fit.width[-1] < 0.8

    def test_the_pull_of_widths_of_types_is_the_slope_of_what_is_minimised(self):
        x, y = grid()
        image = image_of(x, y, np.full(16, 0.4))
        types = np.arange(16) % 2
        problem = make_problem(image, np.column_stack([x, y]), types, Choice(widths="per_type"))
        state, weight = first_state(problem), np.ones(image.data.shape)
        state = replace(state, width=problem.group_width * np.where(types == 0, 0.7, 1.4))
        pulled = replace(problem, width_spread=0.3)
        model = model_of(problem, state)
        without, with_pull = (normal_equations(p, state, weight, model) for p in (problem, pulled))
        widths = slice(len(problem.basis), len(problem.basis) + 2)
        gained = (with_pull[2] - without[2])[widths]
        stiffer = np.diag(with_pull[0].shared - without[0].shared)[widths]

        def cost(step):
            moved = replace(state, width=state.width + np.where(types == 0, step, 0.0))
            return objective(pulled, moved, weight, model) - objective(problem, moved, weight, model)

        assert gained[0] == pytest.approx(-(cost(1e-3) - cost(-1e-3)) / 4e-3)
        assert gained[1] < 0 < gained[0]
        np.testing.assert_allclose(stiffer, 1 / 0.3**2)
        assert cost(0.0) == pytest.approx(float(np.sum((gained * 0.3) ** 2)))

    def test_tails_are_learned(self):
        x, y = grid(5)
        volume = np.linspace(0.1, 0.5, 25)
        image = image_of(x, y, volume, tail=(0.25, 2.0), width=0.5)
        fit = fit_columns(image, np.column_stack([x, y]), peak="tailed", widths="common")
        np.testing.assert_allclose(fit.cross_section, volume, rtol=0.01)
        np.testing.assert_allclose(fit.peak[1], [0.25, 2.0], rtol=0.05)
        np.testing.assert_allclose(model_image(image, fit), image.data, atol=2e-3 * image.data.max())


class TestNoisy:
    """Errors are those that the noise makes inevitable, and the error bars say so."""

    @pytest.mark.parametrize(("spacing", "options"), [(1.6, {"widths": "common"}), (2.4, {})])
    def test_error_bars_are_honest(self, spacing, options):
        x, y = grid(6, spacing)
        volume = np.random.default_rng(0).integers(1, 12, 36) * 0.03
        scores, shifts = [], []
        for seed in range(8):
            image = image_of(x, y, volume, dose=2e4, seed=seed, background=0.01)
            start = np.column_stack([x, y]) + np.random.default_rng(seed).normal(0, 0.1, (36, 2))
            fit = fit_columns(image, start, **options)
            scores.append((fit.cross_section - volume) / fit.cross_section_std)
            shifts.append((fit.x - x) / fit.x_std)
            assert np.hypot(fit.x - x, fit.y - y).max() < 0.5
        assert 0.85 < np.std(scores) < 1.15
        assert abs(np.mean(scores)) < 0.25
        assert 0.8 < np.std(shifts) < 1.15

    def test_error_bars_are_honest_where_widths_scatter(self):
        x, y = grid(8, 2.0)
        scores = []
        for seed in range(4):
            rng = np.random.default_rng(seed)
            volume, width = rng.integers(2, 15, 64) * 0.03, 0.6 * rng.normal(1, 0.06, 64)
            image = image_of(x, y, volume, dose=2e4, seed=seed, background=0.01, width=width)
            fit = fit_columns(image, np.column_stack([x, y]))
            scores.append((fit.cross_section - volume) / fit.cross_section_std)
        assert 0.85 < np.std(scores) < 1.08  # 1.14 where the bars leave out what the pull on widths does

    def test_least_squares_knows_the_noise_too(self):
        x, y = grid(6, 2.4)
        volume = np.random.default_rng(0).integers(2, 12, 36) * 0.03
        scores = []
        for seed in range(8):
            image = image_of(x, y, volume, dose=2e4, seed=seed, background=0.01)
            image = ZoneAxisImage(image.data, image.pixel_size)  # dose not known
            fit = fit_columns(image, np.column_stack([x, y]), likelihood="least_squares", widths="common")
            scores.append((fit.cross_section - volume) / fit.cross_section_std)
        assert 0.85 < np.std(scores) < 1.15

    def test_pull_holds_what_the_data_do_not(self):
        x, y = grid()
        volume = np.where(np.arange(16) == 5, 1e-4, 0.5)
        image = image_of(x, y, volume, dose=3e3, seed=2, background=0.02)
        fit = fit_columns(image, np.column_stack([x, y]))
        assert np.hypot(fit.x - x, fit.y - y)[5] < 1.2
        assert np.hypot(fit.x - x, fit.y - y)[volume > 0.1].max() < 0.15
        assert (fit.cross_section >= 0).all()
        assert (fit.height >= 0).all()

    @pytest.mark.parametrize("likelihood", ["poisson", "least_squares"])
    @pytest.mark.parametrize("widths", ["common", "per_type", "per_column"])
    @pytest.mark.parametrize("spacing", [1.6, 2.04])
    def test_single_atoms_beside_sixty_do_not_run_away(self, spacing, widths, likelihood):
        x, y = grid(6, spacing)
        rim = (np.minimum(x, y) < 5.1) | (np.maximum(x, y) > x.max() - 0.1)
        volume = 0.03 * np.where(rim, 1, 60)
        image = image_of(x, y, volume, dose=5e3, seed=0, background=0.005)
        angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 36)
        start = np.column_stack([x + 0.3 * np.cos(angle), y + 0.3 * np.sin(angle)])
        types = rim.astype(int) if widths == "per_type" else None
        fit = fit_columns(image, start, widths=widths, likelihood=likelihood, column_type=types)
        away = np.hypot(fit.x - x, fit.y - y)
        assert away[~rim].max() < 0.15
        assert (away[rim] < 0.8).all() or fit.flags[rim][away[rim] >= 0.8].all()
        assert np.sqrt(np.mean(away[rim] ** 2)) < 0.4
        assert np.median(fit.cross_section[rim]) == pytest.approx(0.03, rel=0.3)

    def test_different_widths_are_found_only_where_they_are(self):
        rng = np.random.default_rng(3)
        x, y = grid(7)
        seeds = np.column_stack([x, y])
        equal = fit_columns(image_of(x, y, np.full(49, 0.4), dose=1e5, seed=1), seeds)
        width = 0.6 * rng.normal(1, 0.05, 49)
        other = fit_columns(image_of(x, y, np.full(49, 0.4), dose=1e5, seed=1, width=width), seeds)
        assert equal.width.std() < 0.01 * 0.6
        assert np.corrcoef(other.width, width)[0, 1] > 0.9


class TestDegenerate:
    """Poor input gives a finite answer with a flag, or one clear sentence."""

    def test_two_seeds_on_one_column(self):
        image = image_of([5.0], [5.0], [1.0], dose=1e5, seed=0)
        fit = fit_columns(image, [[5.0, 5.0], [5.1, 5.0]])
        assert fit.cross_section.sum() == pytest.approx(1.0, rel=0.05)
        assert (fit.flags & FitFlag.OVERLAP).all()

    def test_column_at_the_edge_is_flagged(self):
        image = simulate_columns(
            [0.3, 5.0], [5.0, 5.0], [1, 1], shape=(50, 50), pixel_size=0.2, dose=1e5, seed=0
        )
        fit = fit_columns(image, [[0.3, 5.0], [5.0, 5.0]])
        assert fit.flags[0] & FitFlag.AT_EDGE
        assert not fit.flags[1] & FitFlag.AT_EDGE
        assert abs(fit.cross_section[0] - 1) < 5 * fit.cross_section_std[0] + 0.02

    def test_seed_where_nothing_is(self):
        image = image_of([5.0, 12.0], [5.0, 12.0], [1.0, 1.0], dose=1e5, seed=0, background=0.01)
        fit = fit_columns(image, [[5.0, 5.0], [12.0, 12.0], [5.0, 12.0]])
        assert 0 <= fit.cross_section[2] < 5 * fit.cross_section_std[2]

    @pytest.mark.parametrize("options", [{}, {"pull": 0.0}, {"widths": "common"}, {"background": 0.0}])
    def test_two_seeds_at_one_place_share_its_column(self, options):
        image = image_of([5.0], [5.0], [1.0], dose=1e5, seed=0)
        fit = fit_columns(image, [[5.0, 5.0], [5.0, 5.0]], **options)
        np.testing.assert_allclose(fit.cross_section, 0.5, rtol=0.02)
        assert (fit.flags & FitFlag.OVERLAP).all()
        assert (fit.cross_section_std > 1).all()  # only their sum is known

    @pytest.mark.parametrize("pull", [None, 0.0])
    def test_an_image_darker_than_its_background_has_no_columns(self, pull):
        image = image_of([5.0], [5.0], [1.0], dose=1e5, seed=0)
        fit = fit_columns(ZoneAxisImage(-image.data, 0.2), [[5.0, 5.0]], pull=pull)
        assert fit.cross_section[0] == 0
        assert fit.flags[0] & FitFlag.AT_BOUND

    def test_a_seed_where_all_pixels_are_masked_is_flagged(self):
        image = image_of([5.0, 9.0], [5.0, 5.0], [1.0, 1.0], dose=1e5, seed=0)
        data = image.data.copy()
        data[:, :20] = np.nan
        fit = fit_columns(ZoneAxisImage(data, 0.2, valid=np.isfinite(data)), [[2.0, 5.0], [9.0, 5.0]])
        assert np.isfinite(fit.cross_section).all()
        assert np.isfinite(fit.cross_section_std).all()
        assert fit.flags[0] & FitFlag.AT_EDGE
        assert fit.cross_section[1] == pytest.approx(1.0, rel=0.02)

    @pytest.mark.parametrize(
        ("data", "dose", "word"),
        [
            (np.zeros((40, 40)), None, "same value"),
            (np.ones((40, 40)), 1e4, "same value"),
            (np.arange(1.0).reshape(1, 1), None, "1 x 1 pixels are too few"),
            (np.arange(9.0).reshape(3, 3), None, "3 x 3 pixels are too few"),
            (-np.arange(1600.0).reshape(40, 40), 1e4, "mean is not positive"),
        ],
    )
    def test_images_that_cannot_show_columns_are_named(self, data, dose, word):
        with pytest.raises(InputError, match=word):
            fit_columns(ZoneAxisImage(data, 0.2, dose=dose), [[0.1, 0.1]])

    def test_an_image_without_a_valid_pixel_is_named(self):
        with pytest.raises(InputError, match="no pixel may be used"):
            ZoneAxisImage(np.ones((9, 9)), 0.2, valid=np.zeros((9, 9), dtype=bool))

    def test_masked_pixels_do_not_matter(self):
        x, y = grid(3)
        image = image_of(x, y, np.ones(9))
        valid = np.ones(image.data.shape, dtype=bool)
        valid[:10] = False
        data = np.where(valid, image.data, 50.0)
        fit = fit_columns(ZoneAxisImage(data, 0.2, valid=valid), np.column_stack([x, y]))
        np.testing.assert_allclose(fit.cross_section, 1.0, rtol=2e-3)

    @pytest.mark.parametrize(
        ("seeds", "options", "word"),
        [
            ([[1.0, 2.0, 3.0]], {}, "shape"),
            ([], {}, "shape"),
            ([[np.nan, 1.0]], {}, "finite"),
            ([[900.0, 1.0]], {}, "outside"),
            ([[5.0, 5.0]], {"peak": "lorentz"}, "peak"),
            ([[5.0, 5.0]], {"widths": "none"}, "widths"),
            ([[5.0, 5.0]], {"background": "hill"}, "background"),
            ([[5.0, 5.0]], {"likelihood": "l1"}, "likelihood"),
            ([[5.0, 5.0]], {"pull": -1.0}, "pull"),
            ([[5.0, 5.0]], {"column_type": [0, 1]}, "column_type"),
            ([[5.0, 5.0]], {"column_type": ["Pb"]}, "column_type must be 1 integers"),
            ("here", {}, "expected an array of numbers"),
            ([[5.0, 5.0]], {"background": None}, "background must be a finite number"),
            ([[5.0, 5.0]], {"pull": "a"}, "pull"),
            ([[5.0, 5.0]], {"max_iterations": 0}, "max_iterations: expected an integer of at least 1"),
            ([[5.0, 5.0]], {"background": np.nan}, "background must be a finite number"),
            ([[5.0, 5.0]], {"background": 100.0}, "background 100 is as bright as the brightest pixel"),
        ],
    )
    def test_mistakes_are_named(self, seeds, options, word):
        with pytest.raises(InputError, match=word):
            fit_columns(image_of([5.0], [5.0], [1.0]), seeds, **options)


def test_a_background_far_below_a_known_zero_is_named():
    x, y = grid(3)
    points = np.column_stack([x, y])
    image = image_of(x, y, np.linspace(0.1, 1, 9), dose=1e5, seed=0)
    assert np.isfinite(fit_columns(image, points, background=-0.5 * image.data.max()).cross_section).all()
    with pytest.raises(InputError, match="background -1 is further below zero than any pixel above it"):
        fit_columns(image, points, background=-1.0)


@given(st.floats(-6, 6), st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_any_intensity_unit(exponent, seed):
    x, y = grid(3)
    image = image_of(x, y, np.linspace(0.1, 1, 9), dose=1e4, seed=seed)
    scale = 10.0**exponent
    plain = fit_columns(ZoneAxisImage(image.data, 0.2), np.column_stack([x, y]))
    scaled = fit_columns(ZoneAxisImage(image.data * scale, 0.2), np.column_stack([x, y]))
    np.testing.assert_allclose(scaled.cross_section, plain.cross_section * scale, rtol=1e-6)
    np.testing.assert_allclose(scaled.cross_section_std, plain.cross_section_std * scale, rtol=1e-6)


def test_published_fit_of_the_experimental_particle(shared_data):
    """Pt/Ir: StatSTEM's common width and sum of squares, from its start positions."""
    with np.load(shared_data / "ptir.npz") as d:
        image = ZoneAxisImage(d["image"].astype(float), float(d["pixel_size"]), name="ptir")
        start, rho, volumes = d["start_xy"], float(d["ref_rho"][0]), d["ref_volumes"]
    fit = fit_columns(image, start, widths="common", background=0.0, likelihood="least_squares")
    assert fit.width[0] == pytest.approx(rho, abs=0.001)
    assert fit.residual_sum_of_squares <= 3.2286
    np.testing.assert_allclose(fit.cross_section, volumes, atol=0.01 * volumes.max())
    own = fit_columns(image, start, background=0.0, likelihood="least_squares")
    assert own.residual_sum_of_squares < fit.residual_sum_of_squares
    assert np.hypot(own.x - start[:, 0], own.y - start[:, 1]).max() < 1.0
    assert own.cross_section.max() < 1.2 * volumes.max()
