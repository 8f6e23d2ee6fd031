"""What a run says of one image: nothing of a good one, one sentence for each fault of a bad one."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import stemcount
import tomo
from stemcount.cli.one_image.image_checks import (
    edge_warning,
    faint_warning,
    fault_warnings,
    faults_of,
    image_warnings,
    repeated_warnings,
    scatter_warning,
    tilt_warning,
)

PLATINUM = tomo.fcc("Pt", a=3.92)


def checked(x, y, change=lambda image: image, dose=1e5, background=0.0, **settings):
    rng = np.random.default_rng(1)
    volume = 0.03 * rng.integers(1, 9, len(x))
    size = tuple(int((v.max() + 5) / 0.2) for v in (y, x))
    image = change(
        stemcount.simulate_columns(
            x,
            y,
            volume,
            shape=size,
            pixel_size=0.2,
            dose=dose,
            background=background,
            seed=0,
            name="pt_001",
        )
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
    faults = faults_of(image, stemcount.fit_columns(image, np.column_stack([x + 5, y + 5])))
    numbers = faults.summary()
    assert numbers["saturated_share"] == 0
    assert 0 <= numbers["elongation"]["growth"] < 0.03
    assert numbers["structure_beside"]["excess"] == pytest.approx(1, abs=0.2)
    assert not faults.glows
    assert replace(faults, glow=0.2).glows
    assert not replace(faults, glow=None).glows
    assert not numbers["slopes"]
    (told,) = fault_warnings(image, replace(faults, slopes=True))
    assert "slopes" in told
    assert 'background = "plane"' in told
    json.dumps(numbers)

    def said(halo):
        return fault_warnings(image, replace(faults, glow=0.2), halo)

    assert "light around the particle falls off" in "".join(said((0.0, 1.0)))
    (counted,) = set(said((0.3, 4.0))) - set(said((0.0, 1.0)))
    assert "30 % of the columns' light lies around them, about 4.0 A wide" in counted
    assert len(said((0.3, 4.0))) == len(said((0.0, 1.0)))  # one sentence or the other


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


def test_empty_corners_of_a_stepped_rim_are_no_missed_columns(square):
    x, y = square
    row, place = np.divmod(np.arange(len(x)), 12)
    full = ~(np.isin(row, (0, 11)) & (place % 2 == 1) & (place < 11))
    indexing = tomo.index_columns(x[full], y[full], (0, 0, 1), PLATINUM)
    assert len(tomo.missing_columns(indexing)[0]) == 10
    assert checked(x[full], y[full]) == []


def test_noise_of_an_interpolated_image_is_no_film(square):
    x, y = square

    def turned(image):
        return replace(image, data=ndimage.shift(image.data, 0.5, order=1, mode="nearest"), dose=None)

    (said,) = checked(x + 4, y + 4, change=turned, dose=1e4, background=0.01)
    assert "the image was turned, enlarged or smoothed" in said


def test_a_neighbour_is_no_film(square):
    x, y = square

    def with_neighbour(image):
        rows, cols = np.indices(image.data.shape) * 0.2
        lattice = np.sin(2 * rows) ** 2 * np.sin(2 * cols) ** 2 * 0.02
        return replace(image, data=image.data + np.where((rows < 6) & (cols < 6), lattice, 0.0))

    said = checked(x + 12, y + 12, change=with_neighbour, background=0.002)
    assert len(said) == 1
    x, y = map(int, re.search(r"most of it lies in one place, near x = (\d+), y = (\d+) A", said[0]).groups())
    assert max(x, y) < 6


def test_columns_of_one_atom_that_noise_may_hide_are_told(square):
    x, y = square
    rng = np.random.default_rng(1)
    volume = 0.03 * rng.integers(1, 9, len(x))
    view = tomo.View((0, 0, 1), [(0, 0, 0)], counts=[1])
    for dose, hidden in [(1e5, False), (5e2, True)]:
        settings = {"shape": (165, 165), "pixel_size": 0.2, "dose": dose, "background": 0.002, "seed": 0}
        image = stemcount.simulate_columns(x, y, volume, **settings)
        fit = stemcount.fit_columns(image, np.column_stack([x, y]))
        counts = stemcount.count_atoms(fit.cross_section, n_components=8, cross_section_std=fit.noise_std)
        assert (faint_warning("pt_001", fit, counts, view) is not None) == hidden, dose


def test_an_edge_through_columns_is_told(square):
    x, y = square
    indexing = tomo.index_columns(x, y, (0, 0, 1), PLATINUM)
    image = stemcount.simulate_columns(x, y, np.full(len(x), 0.1), shape=(165, 165), pixel_size=0.2)
    fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    for left, told in [(3.0, False), (4.9, True)]:
        said = edge_warning("pt_001", fit, indexing, (left, 40.0, 0.0, 40.0))
        assert (said is not None) == told


def test_light_all_around_the_particle_is_told(square):
    x, y = square

    def contaminated(image):
        v, u = np.indices(image.data.shape) * 0.2
        light = 0.1 * np.exp(-((u - u.mean()) ** 2 + (v - v.mean()) ** 2) / (2 * 14.0**2))
        return replace(image, data=image.data + light)

    (said,) = [s for s in checked(x + 6, y + 6, change=contaminated) if "halo" in s]
    assert said.startswith("pt_001: light around the particle falls off over several A")


def test_an_image_that_is_given_twice_is_told():
    rng = np.random.default_rng(0)
    one, other = (stemcount.ZoneAxisImage(rng.random((9, 9)), 0.2, (1, 0, 0), name=n) for n in "ab")
    assert repeated_warnings([one, other]) == []
    (said,) = repeated_warnings([one, other, replace(one, zone_axis=(1, 1, 0), name="c")])
    assert said.startswith("a and c are the same image")


@pytest.mark.parametrize(("angle", "fault"), [(1.5, False), (5.4, True)])
def test_a_tilt_too_large_to_show_columns_is_called_a_fault(angle, fault):
    said = tilt_warning("a", tomo.Tilt(angle, 10.0, 100.0), None)
    assert f"by about {angle} deg" in said
    assert ("stacking fault" in said) == fault


@pytest.mark.parametrize(
    ("tilt", "told"), [(None, True), (tomo.Tilt(0.2, 0.0, 4.0), False), (tomo.Tilt(2.0, 0.0, 4.0), True)]
)
def test_drawn_out_columns_that_do_not_stand_aside_are_no_tilt(tilt, told):
    """An upright crystal, seen as such within 0.1 deg; within 1 deg nobody knows."""
    said = tilt_warning("a", tilt, stemcount.Elongation(0.05, 10.0, 20.0))
    assert (said is not None) == told


@pytest.mark.parametrize(("spread", "told"), [(0.0, False), (0.03, False), (0.3, True)])
def test_columns_whose_atoms_are_unlike_are_told(square, spread, told):
    """Counted as they are; each atom as bright as others give or take a `spread`."""
    x, y = square
    rng = np.random.default_rng(1)
    atoms = rng.integers(1, 9, len(x))
    volume = 0.03 * (atoms + spread * np.sqrt(atoms) * rng.normal(size=len(x)))
    settings = {"shape": (165, 165), "pixel_size": 0.2, "dose": 1e5, "seed": 0}
    image = stemcount.simulate_columns(x, y, np.maximum(volume, 0.01), **settings)
    fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    alone = stemcount.count_atoms(fit.cross_section, cross_section_std=fit.noise_std, n_components=8)
    counts = stemcount.recount(alone, fit.cross_section, fit.noise_std, atoms)
    said = scatter_warning("pt_001", fit, counts)
    assert (said is not None) == told, said
    assert not told or ("atoms of more than one element" in said and "snapshots" in said)


def test_light_of_columns_that_another_fit_finds_is_no_structure(monkeypatch):
    x, y = (g.ravel() * 2.5 + 8.0 for g in np.mgrid[0:5, 0:5])
    image = stemcount.simulate_columns(x, y, np.full(25, 0.1), shape=(140, 140), pixel_size=0.2, dose=1e5)
    fit = stemcount.fit_columns(image, np.column_stack([x, y]))
    peaks = replace(fit, cross_section=np.where(np.arange(25) < 21, 0.0, fit.cross_section))
    told = []
    monkeypatch.setattr(stemcount, "background_structure", lambda *given: told.append(given[2]))
    faults_of(image, fit)
    faults_of(image, fit, peaks)
    assert told[0] is None
    assert told[1] == pytest.approx(np.column_stack([fit.x, fit.y])[21:])
