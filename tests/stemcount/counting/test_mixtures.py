"""Plain mixtures: known answers, published values, invariants and the edges of the input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stemcount


def classes(seed: int, n_classes: int, n: int, width: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.integers(1, n_classes + 1, n)
    return label + width * rng.standard_normal(n), label


class TestPerfect:
    def test_separate_classes_are_found_with_their_parameters(self) -> None:
        values, label = classes(0, 5, 400, 0.05)
        best = min(stemcount.fit_mixtures(values, 10), key=lambda mixture: mixture.icl)
        assert best.n_components == 5
        assert best.mean == pytest.approx(np.arange(1, 6), abs=0.02)
        assert best.width == pytest.approx(np.full(5, 0.05), rel=0.1)
        assert best.weight == pytest.approx(np.bincount(label)[1:] / 400, abs=1e-3)

    def test_one_component_is_the_normal_distribution(self) -> None:
        values, _ = classes(1, 3, 50, 0.2)
        mixture = stemcount.fit_mixtures(values, 1)[0]
        assert mixture.mean[0] == pytest.approx(values.mean())
        assert mixture.width[0] == pytest.approx(values.std())
        expected = 0.5 * 50 * (1 + np.log(2 * np.pi * values.var()))
        assert mixture.negative_log_likelihood == pytest.approx(expected)
        assert mixture.entropy == pytest.approx(0, abs=1e-9)

    def test_criteria_follow_their_definitions(self) -> None:
        values, _ = classes(2, 4, 200, 0.3)
        for mixture in stemcount.fit_mixtures(values, 6):
            k, nll = mixture.n_components, mixture.negative_log_likelihood
            density = mixture.weight * np.exp(-0.5 * ((values[:, None] - mixture.mean) / mixture.width) ** 2)
            density /= np.sqrt(2 * np.pi) * mixture.width
            t = density / density.sum(axis=1, keepdims=True)
            entropy = -np.sum(t * np.log(np.maximum(t, 1e-300)))
            assert nll == pytest.approx(-np.log(density.sum(axis=1)).sum(), rel=1e-9)
            assert mixture.entropy == pytest.approx(entropy, rel=1e-6, abs=1e-6)
            assert mixture.icl == pytest.approx(2 * nll + 2 * entropy + 2 * k * np.log(200))
            assert mixture.bic == pytest.approx(2 * nll + 2 * k * np.log(200))
            assert mixture.aic == pytest.approx(2 * nll + 4 * k)


class TestPublished:
    def test_pt_ir_likelihood_is_reached_at_every_order(self, shared_data) -> None:
        data = np.load(shared_data / "ptir.npz")
        mixtures = stemcount.fit_mixtures(data["ref_volumes"], 20)
        gain = data["ref_negLogLik"] - [mixture.negative_log_likelihood for mixture in mixtures]
        assert gain.min() > -1e-9
        assert mixtures[0].icl == pytest.approx(-309.96, abs=0.01)
        assert mixtures[9].icl == pytest.approx(-190.84, abs=0.1)

    def test_pt_ir_counts_are_equal_at_ten_components(self, shared_data) -> None:
        data = np.load(shared_data / "ptir.npz")
        counts = stemcount.count_atoms(data["ref_volumes"], n_components=10)
        assert np.array_equal(counts.count, data["ref_counts"])
        assert counts.count.sum() == 798
        assert counts.verdict == "given"


class TestInvariants:
    @settings(max_examples=15, deadline=None)
    @given(seed=st.integers(0, 1000), n_classes=st.integers(1, 8), n=st.integers(20, 700))
    def test_likelihood_never_falls_with_the_order(self, seed: int, n_classes: int, n: int) -> None:
        values, _ = classes(seed, n_classes, n, 0.3)
        nll = [mixture.negative_log_likelihood for mixture in stemcount.fit_mixtures(values, 12)]
        assert np.diff(nll).max() < 1e-6

    @settings(max_examples=10, deadline=None)
    @given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 100))
    def test_unit_of_the_cross_section_does_not_matter(self, scale: float, seed: int) -> None:
        values, _ = classes(seed, 4, 100, 0.2)
        for one, other in zip(
            stemcount.fit_mixtures(values, 5), stemcount.fit_mixtures(values * scale, 5), strict=True
        ):
            assert other.mean == pytest.approx(one.mean * scale, rel=1e-4)

    def test_order_of_the_columns_does_not_matter(self) -> None:
        values, _ = classes(3, 4, 150, 0.2)
        one, other = stemcount.fit_mixtures(values, 6), stemcount.fit_mixtures(values[::-1], 6)
        assert [m.icl for m in one] == [m.icl for m in other]

    def test_dose_widens_the_upper_classes(self) -> None:
        values, _ = classes(4, 6, 600, 0.1)
        mixture = stemcount.fit_mixtures(values, 6, dose=100.0)[5]
        variance = mixture.width**2
        assert np.diff(variance) == pytest.approx(np.diff(mixture.mean) / 100.0, rel=1e-6)


class TestDegenerate:
    def test_equal_values_have_one_component(self) -> None:
        mixtures = stemcount.fit_mixtures(np.full(10, 3.0), 5)
        assert len(mixtures) == 1
        assert mixtures[0].mean[0] == pytest.approx(3.0)

    def test_no_more_components_than_different_values(self) -> None:
        mixtures = stemcount.fit_mixtures([1.0, 2.0, 3.0, 3.0], 10)
        assert len(mixtures) == 3
        assert np.all(np.isfinite([m.icl for m in mixtures]))

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([1.0, np.nan], "NaN"),
            ([[1.0, 2.0]], "one value per column"),
            ([1.0], "at least 2"),
        ],
    )
    def test_bad_cross_sections_are_named(self, values: list, message: str) -> None:
        with pytest.raises(stemcount.InputError, match=message):
            stemcount.fit_mixtures(values)

    def test_bad_settings_are_named(self) -> None:
        with pytest.raises(stemcount.InputError, match="max_components"):
            stemcount.fit_mixtures([1.0, 2.0], 0)
        with pytest.raises(stemcount.InputError, match="dose"):
            stemcount.fit_mixtures([1.0, 2.0], dose=-1.0)
