"""Finding and completing columns: all of them and nothing else, with nothing to set."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

import tomo
from stemcount import (
    FitFlag,
    InputError,
    ZoneAxisImage,
    complete_columns,
    find_columns,
    fit_columns,
    integrate_cells,
    simulate_columns,
    simulate_crystal,
)
from stemcount.finding.find import DARKER, LONG, elongated, finest_contrast, found_columns
from stemcount.finding.lattice import empty_sites, expected_places, lattice_translations, support
from stemcount.finding.scene import make_scene
from stemcount.finding.significance import judge
from tomo.phantoms import random_particle


def ball(radius, a=4.08):
    n = int(2 * radius / a) + 2
    h = np.array([(i, j, k) for i in range(-n, n + 1) for j in range(-n, n + 1) for k in range(-n, n + 1)])
    h = h[(h.sum(axis=1) % 2 == 0)] * a / 2
    return h[np.linalg.norm(h - [0.3, 0.2, 0.1], axis=1) < radius]


def missing_and_false(found, true, radius=0.7):
    distance, j = cKDTree(found).query(true)
    back = cKDTree(true).query(found)[1]
    ok = (distance < radius) & (back[j] == np.arange(len(true)))
    return len(true) - int(ok.sum()), len(found) - int(ok.sum())


@pytest.mark.parametrize("zone_axis", [(1, 0, 0), (1, 1, 0), (1, 1, 2)])
@pytest.mark.parametrize("dose", [None, 2e4])
def test_every_column_of_a_particle(zone_axis, dose):
    image, truth = simulate_crystal(ball(11.0), zone_axis, dose=dose, angle=8.0, width=0.5)
    found = find_columns(image)
    missing, false = missing_and_false(found, np.column_stack([truth["x"], truth["y"]]))
    assert false == 0
    assert missing <= (0 if dose is None else 1)


def test_a_faint_particle_needs_no_column_that_shows_by_itself():
    """At 3e3 e/A^2 its own noise was taken for a halo, which then took the columns' light."""
    sites = random_particle(300, "rough", seed=4) * 4.08 / 2
    image, truth = simulate_crystal(
        sites, (1, 1, 1), dose=3e3, width=0.5, background=0.02, angle=20.0, seed=4, pixel_size=0.2
    )
    missing, false = missing_and_false(
        find_columns(replace(image, dose=None)), np.column_stack([truth["x"], truth["y"]]), 0.6
    )
    assert missing <= 2
    assert false <= 2


class TestCloseColumns:
    """Columns nearer than three widths of their peaks, most of which are no maxima of the image."""

    @pytest.mark.parametrize(("zone_axis", "dose"), [((1, 1, 1), 3e4), ((1, 1, 2), 1e4)])
    def test_closest_rows_of_fcc(self, zone_axis, dose):
        image, truth = simulate_crystal(ball(9.0), zone_axis, dose=dose, angle=20.0, seed=2)
        missing, false = missing_and_false(
            find_columns(image), np.column_stack([truth["x"], truth["y"]]), 0.6
        )
        assert missing <= 1
        assert false <= 1

    def test_columns_that_only_their_lattice_shows(self):
        """1.5 A apart at 5e3 e/A^2: one wide peak explains two columns nearly as well as two do."""
        i, j = (v.ravel() for v in np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)))
        true = np.column_stack([1.474 * (i + 0.5 * j), 1.2765 * j])
        true = true[np.hypot(*true.T) < 9.0] + 15.0
        volume = 0.06 + 0.024 * (9.5 - np.hypot(*(true - 15.0).T))
        image = simulate_columns(
            *true.T, volume, shape=(152, 152), pixel_size=0.2, width=0.58, background=0.004, dose=5e3, seed=3
        )
        missing, false = missing_and_false(find_columns(image), true, 0.6)
        assert missing + false <= 3

    @pytest.mark.parametrize("seed", [0, 1])
    def test_columns_whose_tails_overlap(self, seed):
        """2.65 core widths apart with 30 % of their light in tails, as of [111] silver at 80 kV."""
        i, j = (v.ravel() for v in np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)))
        true = np.column_stack([1.67 * (i + 0.5 * j), 1.67 * 0.75**0.5 * j])
        true = true[np.hypot(*true.T) < 9.0] + 15.0
        volume = 0.02 + 0.01 * (9.5 - np.hypot(*(true - 15.0).T))
        core, tail = (
            simulate_columns(*true.T, volume, shape=(97, 97), pixel_size=0.31, width=width).data
            for width in (0.63, 1.48)
        )
        mean = 2e4 * 0.31**2
        seen = np.random.default_rng(seed).poisson(mean * (0.7 * core + 0.3 * tail)) / mean
        missing, false = missing_and_false(find_columns(ZoneAxisImage(seen, 0.31)), true, 0.6)
        assert missing == 0
        assert false <= 2

    @pytest.mark.parametrize("ratio", [1.0, 0.4])
    def test_dumbbells(self, ratio):
        sites = ball(10.0, a=5.65) / (5.65 / 2)
        atoms = np.concatenate([sites, sites + 0.5]) * 5.65 / 2
        each = np.repeat([0.03, 0.03 * ratio], len(sites))
        image, truth = simulate_crystal(atoms, (1, 1, 0), atom_cross_section=each, dose=3e4, seed=1, angle=30)
        true = np.column_stack([truth["x"], truth["y"]])
        missing, false = missing_and_false(find_columns(image), true, 0.6)
        assert missing + false <= 1

    def test_on_a_film_that_slopes(self):
        """The pairs fill the image, so that nothing beside them shows the slope."""
        x, y = (g.ravel() for g in np.meshgrid(3.0 + 4.0 * np.arange(5), 3.0 + 2.83 * np.arange(7)))
        x = np.concatenate([x, x + 1.41])
        y = np.concatenate([y, y])
        volume = 0.03 * np.random.default_rng(1).integers(3, 12, len(x))
        n = int((x.max() + 3.0) / 0.2)
        film = 0.07 * (0.5 + np.arange(n) / n)  # its rise is about half the height of a column
        settings = {"shape": (int((y.max() + 3.0) / 0.2), n), "pixel_size": 0.2, "width": 0.5, "dose": 3e4}
        image = simulate_columns(
            x, y, volume, background=np.tile(film, (settings["shape"][0], 1)), seed=1, **settings
        )
        missing, false = missing_and_false(find_columns(image), np.column_stack([x, y]), 0.6)
        assert missing == 0
        assert false <= 1


@pytest.mark.parametrize(("px", "unit"), [(0.07, 1.0), (0.2, 3e4), (0.4, 1.0)])
def test_pixel_size_and_unit_do_not_matter(px, unit):
    image, truth = simulate_crystal(
        ball(9.0), (1, 1, 0), pixel_size=px, dose=3e4, width=0.55, background=0.01
    )
    image = ZoneAxisImage(image.data * unit + 100 * unit, px)
    true = np.column_stack([truth["x"], truth["y"]])
    assert missing_and_false(find_columns(image), true) == (0, 0)


def test_single_atoms_beside_thick_columns():
    x, y = (v.ravel() * 2.04 + 6 for v in np.meshgrid(np.arange(9), np.arange(9)))
    count = np.where(x < 8.0, 1, np.where(x > 20.0, 1, 60))
    image = simulate_columns(
        x, y, 0.03 * count**0.9, shape=(140, 140), pixel_size=0.2, dose=3e4, seed=3, width=0.55
    )
    assert missing_and_false(find_columns(image), np.column_stack([x, y])) == (0, 0)


class TestScannedCrystal:
    """What scanning and the probe's halo do to a crystal with coarse pixels must not make columns."""

    PIXEL = 0.45

    def crystal(self, halo=0.0, slips=()):
        """fcc [110] of 17 x 12 rows, thicker in the middle; rows beyond a slip are displaced by 1 pixel."""
        i, j = (v.ravel() for v in np.meshgrid(np.arange(17.0), np.arange(24.0)))
        i, j = i[(i + j) % 2 == 0], j[(i + j) % 2 == 0]
        x, y = 12 + 2.04 * i, 12 + 1.4425 * j
        count = 3 + 40 * np.exp(-(((i - 8) / 6) ** 2) - ((j - 12) / 9) ** 2)
        size = {"shape": (130, 125), "pixel_size": self.PIXEL}
        image = simulate_columns(x, y, 0.03 * count * (1 - halo), width=0.8, **size).data
        image += simulate_columns(x + 0.8, y + 0.8, 0.03 * count * halo, width=2.4, **size).data
        shifted, place = image.copy(), y.copy()
        for row in slips:  # the scan repeats a row
            shifted[row + 1 :] = shifted[row:-1]
            place += self.PIXEL * (place > row * self.PIXEL)
        noisy = np.random.default_rng(2).poisson(0.01 * 2e4 + shifted * 2e4) / 2e4
        return ZoneAxisImage(noisy, self.PIXEL), np.column_stack([x, place])

    def test_skew_halo(self):
        image, true = self.crystal(halo=0.5)
        missing, false = missing_and_false(find_columns(image), true, 0.6)
        assert missing <= 1
        assert false <= 1

    def test_rows_scanned_twice(self):
        image, true = self.crystal(slips=(45, 70))
        assert missing_and_false(find_columns(image), true, 0.6) == (0, 0)


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((60, 60)),
        np.ones((3, 3)),
        *(np.random.default_rng(0).random(shape) for shape in ((2, 2), (5, 5), (1, 100), (200, 3))),
        np.random.default_rng(0).normal(5, 1, (120, 120)),
        np.random.default_rng(1).poisson(0.2, (120, 120)).astype(float),
    ],
    ids=["zeros", "tiny", "2 x 2", "5 x 5", "one row", "three columns", "noise", "counts"],
)
def test_image_without_columns(data):
    with pytest.raises(InputError, match=r"no atomic columns|the same value|too few to show"):
        find_columns(ZoneAxisImage(data, 0.2, name="empty"))


@pytest.mark.parametrize("kind", ["ramp", "blob", "two blobs"])
def test_smooth_structures_are_no_columns(kind):
    y, x = np.mgrid[:110, :120] * 0.2
    if kind == "ramp":
        level = 0.01 + 0.002 * x
    else:
        level = 0.01 + 0.3 * np.exp(-((x - 11) ** 2 + (y - 11) ** 2) / 18)
        level += (kind == "two blobs") * 0.2 * np.exp(-((x - 19) ** 2 + (y - 15) ** 2) / 18)
    noisy = np.random.default_rng(5).poisson(level * 1000) / 1000
    with pytest.raises(InputError, match="no atomic columns"):
        find_columns(ZoneAxisImage(noisy, 0.2, name="smooth"))


def test_dark_columns_are_told():
    image, _ = simulate_crystal(ball(7.0), (1, 0, 0), dose=2e4)
    assert finest_contrast(image)[1] > 1
    dark = ZoneAxisImage(image.data.max() - image.data, 0.2, name="bright field")
    assert finest_contrast(dark)[1] < DARKER  # told before anything is looked for between the columns
    with pytest.raises(InputError, match="dark on bright"):
        find_columns(dark)


def test_the_dark_voids_of_a_honeycomb_do_not_make_it_dark():
    """They are deeper than its columns are high; a crystal that fills the image is nowhere the brighter."""
    i, j = np.indices((12, 12))
    x, y = 2.9 * (j + 0.5 * (i % 2)).ravel(), 2.9 * np.sqrt(0.75) * i.ravel()
    x, y = np.concatenate([x, x]), np.concatenate([y, y + 2.9 / np.sqrt(3)])
    image = simulate_columns(x, y, np.full(len(x), 0.3), width=0.55, shape=(150, 160), pixel_size=0.17)
    skewness, brighter = finest_contrast(ZoneAxisImage(image.data[20:-20, 20:-20], 0.17))
    assert skewness < -0.5
    assert abs(brighter) < 0.2


class TestSmoothAreas:
    """Blurred outlines are sums of crowded equal peaks, as even films of crowded columns are."""

    @pytest.mark.parametrize(
        ("shape", "blur", "dose"),
        [
            ("disc", 0.4, 1e5),
            ("ellipse", 0.6, 3e4),
            ("square", 1.0, 5e4),
            ("ball", 0.7, 2e4),
        ],
    )
    def test_blurred_shape_is_refused(self, shape, blur, dose):
        y, x = np.mgrid[-12:12:0.2, -12:12:0.2]
        radius = {
            "disc": np.hypot(x, y),
            "ellipse": np.hypot(x, y / 0.6),
            "square": np.maximum(abs(x), abs(y)) + 1,
        }
        thickness = np.sqrt(np.maximum(1 - (radius["disc"] / 9) ** 2, 0))
        inside = thickness if shape == "ball" else (radius[shape] < 7.0).astype(float)
        level = 0.01 + 0.3 * ndimage.gaussian_filter(inside, blur / 0.2)
        noisy = np.random.default_rng(4).poisson(level * dose * 0.04) / (dose * 0.04)
        with pytest.raises(InputError, match=r"smooth: no atomic columns"):
            find_columns(ZoneAxisImage(noisy, 0.2, name="smooth"))

    @pytest.mark.parametrize("angle", [0.0, 50.0])
    def test_cluster_of_single_atoms(self, angle):
        image, truth = simulate_crystal(ball(4.5), (1, 1, 1), dose=6e4, angle=angle, width=0.75)
        assert set(truth["count"]) == {1}
        true = np.column_stack([truth["x"], truth["y"]])
        assert missing_and_false(find_columns(image), true, 0.6) == (0, 0)

    def test_even_film(self):
        x, y = (v.ravel() for v in np.meshgrid(np.arange(9) * 1.47 + 5, np.arange(9) * 1.47 + 5))
        size = {"shape": (115, 115), "pixel_size": 0.19, "width": 0.7}
        image = simulate_columns(x, y, np.full(81, 0.2), dose=1e5, seed=1, **size)
        assert missing_and_false(find_columns(image), np.column_stack([x, y]), 0.6) == (0, 0)

    def test_two_columns_within_two_widths(self):
        size = {"shape": (70, 70), "pixel_size": 0.16, "width": 0.65}
        image = simulate_columns([5.0, 6.2], [5.5, 5.5], [0.3, 0.3], dose=3e4, seed=0, **size)
        assert missing_and_false(find_columns(image), np.array([[5.0, 5.5], [6.2, 5.5]]), 0.4) == (0, 0)


def test_few_columns_need_no_lattice():
    image = simulate_columns(
        [5, 9, 7], [5, 6, 9], [1, 2, 1], shape=(70, 70), pixel_size=0.2, dose=1e4, seed=0
    )
    assert missing_and_false(find_columns(image), np.array([[5, 5], [9, 6], [7, 9]])) == (0, 0)


def test_completing_adds_and_drops():
    image, truth = simulate_crystal(ball(9.0), (1, 0, 0), dose=2e4)
    true = np.column_stack([truth["x"], truth["y"]])
    seeds = np.concatenate([true[3:], [[1.0, 1.0]]])
    whole = complete_columns(image, fit_columns(image, seeds))
    places = np.column_stack([whole.x, whole.y])
    assert missing_and_false(places, true) == (0, 0)
    added = (whole.flags & FitFlag.ADDED) > 0
    # neighbours are drawn into the holes, so that the places they left may be the added ones
    assert added.sum() >= 1
    assert not added.all()


def test_columns_that_the_lattice_asked_for_are_told():
    x, y = (v.ravel() for v in np.meshgrid(np.arange(5.0, 26, 2.5), np.arange(5.0, 26, 2.5)))
    volume = np.ones(81)
    volume[40] = 0.035  # buried between its neighbours
    image = simulate_columns(x, y, volume, shape=(155, 155), pixel_size=0.2, dose=2e4, seed=1, width=0.75)
    found = found_columns(image)
    points, added = found.points, found.added
    assert missing_and_false(points, np.column_stack([x, y])) == (0, 0)
    assert added[cKDTree(points).query([x[40], y[40]])[1]]
    assert np.count_nonzero(added) <= 2


def test_masked_pixels_hold_no_columns():
    image, truth = simulate_crystal(ball(9.0), (1, 0, 0), dose=2e4)
    valid = np.ones(image.data.shape, dtype=bool)
    valid[:, : image.data.shape[1] // 2] = False
    half = ZoneAxisImage(image.data, 0.2, dose=2e4, valid=valid)
    edge = image.data.shape[1] // 2 * 0.2
    true = np.column_stack([truth["x"], truth["y"]])
    found = find_columns(half)
    assert found[:, 0].min() > edge - 0.3
    assert missing_and_false(found, true[true[:, 0] > edge + 0.7])[0] == 0


class TestLattice:
    """Translations are the lattice's own, not those from one kind of column to another."""

    def test_dumbbells(self):
        i, j = (v.ravel() for v in np.meshgrid(np.arange(10), np.arange(10)))
        points = np.column_stack([i * 4.0 + j * 2.0, j * 3.0])
        points = np.concatenate([points, points + np.array([0.0, 1.4])])
        vectors = lattice_translations(points)
        assert len(vectors) == 6
        area = abs(np.linalg.det(vectors[[0, 2]]))
        assert area == pytest.approx(12.0, rel=0.02)

    def test_no_lattice_in_random_points(self):
        points = np.random.default_rng(0).uniform(0, 30, (100, 2))
        assert len(lattice_translations(points)) == 0
        assert len(lattice_translations(points[:5])) == 0

    def test_expected_places_follow_the_strain_of_the_surroundings(self):
        i, j = (v.ravel() for v in np.meshgrid(np.arange(8.0), np.arange(8.0)))
        true = np.column_stack([2.0 * i + 0.06 * j, 2.1 * j - 0.04 * i])
        points = true.copy()
        points[[0, 30]] += [[0.5, -0.4], [0.0, 0.5]]  # at a corner and inside
        places = expected_places(points, lattice_translations(points))
        error = np.hypot(*(places - true).T)
        assert error[30] < 0.05
        assert error[0] < 0.15
        assert error.max() < 0.15

    def test_empty_site_and_support(self):
        i, j = (v.ravel() * 2.0 for v in np.meshgrid(np.arange(6), np.arange(6)))
        points = np.column_stack([i, j])
        holed = np.delete(points, 14, axis=0)
        vectors = lattice_translations(holed)
        sites = empty_sites(holed, vectors, 1.0)
        assert cKDTree(sites).query(points[14])[0] < 0.2
        assert support(points[14:15], holed, vectors)[0] >= 4


class TestCells:
    """Nearest-column integration."""

    def test_sums_and_errors(self):
        x, y = (v.ravel() * 4.0 + 5 for v in np.meshgrid(np.arange(5), np.arange(5)))
        volume = np.linspace(0.1, 0.8, 25)
        scores = []
        for seed in range(6):
            image = simulate_columns(
                x, y, volume, shape=(130, 130), pixel_size=0.2, dose=1e4, seed=seed, background=0.002
            )
            fit = fit_columns(image, np.column_stack([x, y]))
            cells = integrate_cells(image, fit)
            scores.append((cells.cross_section - volume) / cells.cross_section_std)
        assert 0.7 < np.std(scores) < 1.3
        assert abs(np.mean(scores)) < 0.5
        np.testing.assert_allclose(cells.area[12], 16.0, rtol=0.05)

    def test_positions_alone(self):
        image = simulate_columns([5.0, 9.0], [5.0, 5.0], [1.0, 2.0], shape=(50, 70), pixel_size=0.2)
        cells = integrate_cells(image, [[5.0, 5.0], [9.0, 5.0]])
        np.testing.assert_allclose(cells.cross_section, [1.0, 2.0], rtol=0.01)
        with pytest.raises(InputError, match="shape"):
            integrate_cells(image, [1.0, 2.0])


@pytest.mark.parametrize(
    ("name", "zone", "key", "allowed"),
    [
        ("au_wedge_110", "zone_110", "image_dose5e3_seed0", (2, 1)),
        ("au_particle_tilted", "zone_001", "image_distorted_dose1e4_seed0", (1, 1)),
        ("pbse_cdse", "zone_110", "image_dose1e5_seed0", (1, 1)),
        ("pbse_cdse", "zone_100", "image_dose1e4_seed0", (3, 1)),  # single Cd atoms at the rim
    ],
)
def test_multislice_images(shared_data, name, zone, key, allowed):
    import h5py

    with h5py.File(shared_data / f"{name}.h5") as h:
        group = h[zone]
        place = "column_xy_px_distorted" if "distorted" in key else "column_xy_px"
        image, true = ZoneAxisImage(group[key][()], 0.2), group[place][()] * 0.2
    missing, false = missing_and_false(find_columns(image), true)
    assert missing <= allowed[0]
    assert false <= allowed[1]


def test_an_image_of_one_value_is_told():
    with pytest.raises(InputError, match="all pixels have the same value"):
        find_columns(ZoneAxisImage(np.ones((60, 60)), 0.2))


def test_a_crowded_row_that_lost_a_column_is_put_right_as_a_whole():
    """Without its columns laid on their lattice again, two are missed and ten stand 0.3-0.7 A aside."""
    sites = tomo.phantoms.random_particle(300, "stepped", seed=2)
    image, truth = simulate_crystal(
        sites * 3.62 / 2,
        (1, 1, 2),
        pixel_size=0.195,
        dose=7e4,
        width=0.638,
        atom_cross_section=0.042,
        channelling=0.95,
        background=0.015,
        border=6.0,
        angle=11.0,
    )
    found = find_columns(image)
    assert len(found) == len(truth["x"])
    assert cKDTree(found).query(np.column_stack([truth["x"], truth["y"]]))[0].max() < 0.25


@pytest.mark.parametrize(("moment", "two"), [(0.0, False), (0.75 * LONG, False), (1.4 * LONG, True)])
def test_two_columns_taken_for_one_are_told_by_their_second_moment(moment, two):
    """Equal columns at a distance s have the additional moment s^2 / 4 along their line."""
    x, y = (5 + 6 * grid.ravel().astype(float) for grid in np.mgrid[:3, :3])
    aside = 0.5 * np.sqrt(moment)  # half of s, for peaks 0.5 A wide
    image = simulate_columns(
        np.append(x - aside, x + aside), np.append(y, y), np.full(18, 0.1), shape=(220, 220), pixel_size=0.1,
        width=0.5, background=0.01, dose=1e6, seed=0,
    )  # fmt: skip
    scene = make_scene(image, 5.0, np.zeros(image.data.shape))
    assert elongated(judge(image, np.column_stack([x, y])), scene) is two
