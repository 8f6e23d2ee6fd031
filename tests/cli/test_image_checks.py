"""What a run says of one image: nothing of a good one, one sentence for each fault of a bad one."""

import json

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli.image_checks import faults_of, image_warnings

PLATINUM = tomo.fcc("Pt", a=3.92)


def checked(x, y, change=lambda image: image, **settings):
    rng = np.random.default_rng(1)
    volume = 0.03 * rng.integers(1, 9, len(x))
    size = tuple(int((v.max() + 5) / 0.2) for v in (y, x))
    image = change(
        stemcount.simulate_columns(x, y, volume, shape=size, pixel_size=0.2, dose=1e5, seed=0, name="pt_001")
    )
    fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    return image_warnings(image, fit, tomo.index_columns(fit.x, fit.y, (0, 0, 1), PLATINUM), **settings)


@pytest.fixture
def square():
    i, j = (g.ravel() for g in np.mgrid[0:12, 0:12])
    return 5.0 + 1.96 * i, 5.0 + 1.96 * j


def test_a_good_image_is_left_alone(square):
    assert checked(*square) == []


def test_pixels_that_were_left_out_are_told(square):
    x, y = square

    def with_mask(image):
        valid = np.ones(image.data.shape, bool)
        valid[[20, 60, 90], [30, 61, 90]] = False
        valid[:, :3] = False  # a border is none of them
        return stemcount.ZoneAxisImage(image.data, 0.2, valid=valid, name="pt_001")

    (said,) = checked(x, y, change=with_mask)
    assert said.startswith("pt_001: 3 pixels stand out of all neighbours")


def test_columns_beside_the_lattice(square):
    x, y = square
    rng = np.random.default_rng(0)
    beside = rng.choice(len(x), 12, replace=False)
    said = checked(np.append(x, x[beside] + 0.98), np.append(y, y[beside] + 0.98))
    assert len(said) == 1
    assert "lie on no line of the lattice" in said[0]


def test_columns_that_are_not_there(square):
    x, y = square
    keep = np.ones(len(x), dtype=bool)
    keep[[17, 20, 41, 44, 65, 68, 89, 92, 113, 116]] = False
    said = checked(x[keep], y[keep])
    assert len(said) == 1
    assert "10 places of the lattice inside the particle have no column" in said[0]


def test_columns_that_stand_aside_from_the_lattice(square):
    x, y = square
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, len(x))
    shift = np.where(np.arange(len(x)) % 5, 0.0, 0.45)
    said = checked(x + shift * np.cos(angle), y + shift * np.sin(angle))
    assert len(said) == 1
    assert "29 of 144 columns stand aside from the lattice, whose columns are 1.96 A apart" in said[0]


def test_a_saturated_detector(square):
    def cut(image):
        return stemcount.ZoneAxisImage(
            np.minimum(image.data, np.quantile(image.data, 0.98)), 0.2, dose=image.dose, name=image.name
        )

    said = checked(*square, change=cut)
    assert any("saturated" in sentence for sentence in said)
    assert all("pt_001" in sentence for sentence in said)


@pytest.mark.parametrize(("factor", "words"), [(1.04, "4.0 % larger"), (0.97, "3.0 % smaller"), (1.01, None)])
def test_a_wrong_calibration(square, factor, words):
    said = checked(*(factor * v for v in square))
    assert len(said) == (words is not None)
    assert all(f"pt_001: its lattice is {words}" in sentence for sentence in said)


def test_columns_placed_by_the_fourier_transform(square):
    assert "Fourier" in checked(*square, by_fourier=True)[0]


def test_a_support_film(square):
    x, y = square

    def on_film(image):
        rng = np.random.default_rng(2)
        speckle = np.kron(rng.uniform(0, 0.004, np.array(image.data.shape) // 4 + 1), np.ones((4, 4)))
        rows, cols = image.data.shape
        return stemcount.ZoneAxisImage(
            image.data + speckle[:rows, :cols], 0.2, dose=image.dose, name=image.name
        )

    said = checked(x + 4, y + 4, change=on_film)
    assert len(said) == 1
    assert "% of the incident beam) has structure" in said[0]


def test_faults_are_plain_numbers_whether_told_or_not(square):
    x, y = square
    rng = np.random.default_rng(1)
    volume, size = 0.03 * rng.integers(1, 9, len(x)), (190, 190)
    settings = {"shape": size, "pixel_size": 0.2, "dose": 1e5, "background": 0.002, "seed": 0}
    image = stemcount.simulate_columns(x + 5, y + 5, volume, **settings)
    numbers = faults_of(image, stemcount.fit_columns(image, np.column_stack([x + 5, y + 5]))).summary()
    assert numbers["saturated_share"] == 0
    assert 0 <= numbers["elongation"]["growth"] < 0.03
    assert numbers["structure_beside"]["excess"] == pytest.approx(1, abs=0.2)
    json.dumps(numbers)


@pytest.mark.parametrize("level", [1.0, 3.0])
def test_a_scale_bar_is_named_as_such(square, level):
    """Of the highest value in the image or above; neither a saturated detector nor a film."""
    x, y = square
    volume = 0.03 * np.random.default_rng(1).integers(1, 9, len(x))
    settings = {"pixel_size": 0.2, "dose": 1e5, "background": 0.002, "seed": 0}
    image = stemcount.simulate_columns(x + 5, y + 5, volume, shape=(200, 200), **settings)
    image.data[-14:-8, 20:70] = level * image.data.max()
    fit = stemcount.fit_columns(image, np.column_stack([x + 5, y + 5]))
    told = image_warnings(image, fit, tomo.index_columns(fit.x, fit.y, (0, 0, 1), PLATINUM))
    assert len(told) == 1
    assert "0.75 % of the pixels are beside the particle and have one value" in told[0]
