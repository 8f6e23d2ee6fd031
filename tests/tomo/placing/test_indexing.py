"""Indexing: columns on the projected grid, from perfect to badly distorted."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tomo
from tomo import (
    Crystal,
    InputError,
    Sublattice,
    fcc,
    index_columns,
    missing_columns,
    strain_map,
    zone_geometry,
)
from tomo.phantoms import column_counts, random_particle
from tomo.placing.indexing import amid_others, detached, in_contact, in_holes
from tomo.placing.lattice_maps import magnification

GOLD = fcc("Au", a=4.08)
AXES = [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2), (2, 1, 0), (0, 1, 3), (1, -1, 0), (3, 2, 1)]


HOLE_AXES = [(1, 1, 1), (1, 1, 2), (1, 1, 0), (1, 0, 0)]


def rotation(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def columns_of(axis, n_atoms=400, kind="rough", seed=0):
    sites, _ = column_counts(random_particle(n_atoms, kind, seed), axis)
    lines = zone_geometry(axis).lines(sites)
    return lines, zone_geometry(axis).positions(lines, GOLD.a)


def share_right(indexing, lines, n):
    """Share of the first n columns on the right line, up to a symmetry of the projected grid and a shift."""
    best = 0
    for turn in zone_geometry(indexing.zone_axis).plane_rotations():
        gap = indexing.lines[:n] - lines @ turn.T
        best = max(best, np.unique(gap, axis=0, return_counts=True)[1].max())
    return best / n


class TestPerfect:
    @pytest.mark.parametrize("axis", [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 3), (2, 2, 1)])
    def test_a_lattice_sheared_by_nine_per_cent(self, axis):
        lines, points = columns_of(axis)
        sheared = points @ rotation(0.7).T @ np.array([[1.0, 0.09], [0.0, 1.0]]).T
        found = index_columns(*sheared.T, axis, GOLD)
        assert share_right(found, lines, len(lines)) == 1
        assert found.shear == pytest.approx(0.094, abs=0.002)

    @pytest.mark.parametrize("axis", AXES)
    def test_every_zone_axis(self, axis):
        lines, points = columns_of(axis)
        points = points @ rotation(0.7).T + (12.0, -3.0)
        found = index_columns(*points.T, axis, GOLD)
        assert share_right(found, lines, len(lines)) == 1
        assert found.keep.all()
        assert not found.doubtful.any()
        assert found.residual.max() < 1e-6
        assert found.scale == pytest.approx(1)
        assert found.shear == pytest.approx(0, abs=1e-6)
        np.testing.assert_allclose(found.line_positions(found.lines), points, atol=1e-6)
        np.testing.assert_array_equal(found.zone.lines(found.column_sites), found.lines)

    def test_rotation_is_the_smallest_of_the_equivalent_ones(self):
        _, points = columns_of((0, 0, 1))
        found = index_columns(*(points @ rotation(np.radians(80)).T).T, (0, 0, 1), GOLD)
        assert found.rotation == pytest.approx(-10, abs=1e-6)

    def test_same_answer_for_moved_and_renumbered_columns(self):
        lines, points = columns_of((1, 1, 0))
        order = np.random.default_rng(0).permutation(len(points))
        found = index_columns(*(points + 55.5)[order].T, (1, 1, 0), GOLD)
        assert share_right(found, lines[order], len(lines)) == 1


class TestNoisy:
    @settings(max_examples=10, deadline=None)
    @given(
        axis=st.sampled_from(AXES),
        seed=st.integers(0, 10_000),
        angle=st.floats(-np.pi, np.pi),
        scale=st.floats(0.92, 1.08),
    )
    def test_noise_shear_missing_and_spurious_columns(self, axis, seed, angle, scale):
        rng = np.random.default_rng(seed)
        lines, points = columns_of(axis, int(rng.integers(250, 900)), seed=seed % 7)
        kept = rng.random(len(points)) > 0.05
        lines, points = lines[kept], points[kept]
        shear = np.eye(2) + rng.uniform(-0.01, 0.01, (2, 2))
        points = points @ (scale * rotation(angle) @ shear).T
        extent = np.ptp(points, axis=0)
        noise = min(0.08, 0.08 * zone_geometry(axis).spacing(GOLD.a))
        points = points + rng.normal(0, noise, points.shape)
        spurious = points.min(axis=0) + rng.random((len(points) // 40, 2)) * extent
        found = index_columns(*np.concatenate([points, spurious]).T, axis, GOLD)
        assert share_right(found, lines, len(lines)) > 0.99
        assert found.scale == pytest.approx(scale, rel=0.015)

    @pytest.mark.parametrize("axis", [(1, 0, 0), (1, 1, 0), (1, 1, 1)])
    def test_drift_and_row_jitter(self, axis):
        rng = np.random.default_rng(3)
        lines, points = columns_of(axis, 3000)
        x, y = (points / np.abs(points).max()).T
        points = points + np.column_stack([1.5 * y**2 + 0.8 * x * y - 0.6 * y**3, 0.7 * x**2])
        points[:, 0] += rng.normal(0, 0.08, 400)[np.digitize(points[:, 1], np.linspace(-40, 40, 399))]
        found = index_columns(*points.T, axis, GOLD)
        assert share_right(found, lines, len(lines)) == 1
        assert found.keep.all()
        assert np.abs(found.displacement).max() > 0.5

    def test_second_column_on_a_line_is_dropped(self):
        _, points = columns_of((1, 0, 0))
        double = np.concatenate([points, points[:3] + 0.15])
        found = index_columns(*double.T, (1, 0, 0), GOLD)
        assert np.flatnonzero(~found.keep).tolist() == [len(points) + k for k in range(3)]
        strong = np.concatenate([np.ones(len(points)), np.full(3, 2.0)])
        noisy = double + np.random.default_rng(0).normal(0, 0.1, double.shape)
        kept = index_columns(*noisy.T, (1, 0, 0), GOLD, cross_section=strong).keep
        assert kept.sum() == len(points)

    def test_missing_columns_are_named(self):
        _, points = columns_of((1, 1, 0), 900, "faceted")
        centre = np.argsort(np.linalg.norm(points - points.mean(axis=0), axis=1))[[0, 12]]
        found = index_columns(*np.delete(points, centre, axis=0).T, (1, 1, 0), GOLD)
        places = missing_columns(found)[0]
        for gone in points[centre]:
            assert np.linalg.norm(places - gone, axis=1).min() < 1e-6

    def test_strain_of_a_stretched_image(self):
        _, points = columns_of((1, 0, 0), 2000)
        x = points[:, 0]
        stretched = np.column_stack([x + 0.001 * x**2, points[:, 1]])
        strain = strain_map(index_columns(*stretched.T, (1, 0, 0), GOLD))
        slope = np.polyfit(x, strain["exx"], 1)[0]
        assert slope == pytest.approx(0.002, rel=0.1)
        assert np.abs(strain["eyy"]).max() < 0.005

    def test_magnification_of_a_stretched_image(self):
        _, points = columns_of((1, 0, 0), 2000)
        x = points[:, 0]
        stretched = np.column_stack([x + 0.001 * x**2, points[:, 1]])
        found = index_columns(*stretched.T, (1, 0, 0), GOLD)
        strain, larger = strain_map(found), magnification(found)
        np.testing.assert_allclose(larger, (1 + strain["exx"]) * (1 + strain["eyy"]), atol=1e-4)
        np.testing.assert_allclose(magnification(found, found.lines), larger)
        assert np.abs(magnification(index_columns(*points.T, (1, 0, 0), GOLD)) - 1).max() < 1e-9


class TestDegenerate:
    @pytest.mark.parametrize("true", AXES[:6])
    def test_wrong_zone_axis_is_refused(self, true):
        _, points = columns_of(true, 200)
        points = points + np.random.default_rng(0).normal(0, 0.03, points.shape)
        for axis in AXES[:6]:
            if axis != true:
                with pytest.raises(InputError, match=r"view image: the .*columns form"):
                    index_columns(*points.T, axis, GOLD, name="image")

    @pytest.mark.parametrize("axis", AXES[:6])
    @pytest.mark.parametrize("scale", [0.8, 2**0.5])
    def test_wrong_scale_is_refused(self, axis, scale):
        _, points = columns_of(axis)
        with pytest.raises(InputError, match=r"scale is off|form a lattice"):
            index_columns(*(scale * points).T, axis, GOLD)

    def test_the_sentence_names_what_was_found(self):
        _, points = columns_of((1, 0, 0))
        with pytest.raises(InputError, match=r"2\.65 x 2\.65 A.*scale is off by \+30 %.* and a\."):
            index_columns(*(1.3 * points).T, (1, 0, 0), GOLD, name="a")
        with pytest.raises(InputError, match="that of <1 0 0>"):
            index_columns(*points.T, (1, 1, 0), GOLD, name="a")

    def test_a_single_layer_lacks_lines(self):
        i, j = (index.ravel() - 6 for index in np.indices((12, 12)))
        layer = np.column_stack([i + j, i - j]) * 2.04
        with pytest.raises(
            InputError, match=r"\+41 %, check pixel size and a; or is it a single layer of atoms"
        ):
            index_columns(*layer.T, (0, 0, 1), GOLD)
        hexagons = np.column_stack([2 * i + j, np.sqrt(3) * j]) * 2.04 / np.sqrt(2)
        with pytest.raises(
            InputError, match=r"\+73 %, check pixel size and a; or is it a single layer of atoms"
        ):
            index_columns(*hexagons.T, (1, 1, 1), GOLD)

    def test_a_second_crystal_is_asked_for(self):
        i, j = (index.ravel() for index in np.indices((12, 12)))
        first = np.column_stack([i, j]) * 2.04
        both = np.concatenate([first, first @ rotation(0.4).T + [40, 3]])
        with pytest.raises(InputError, match=r"such a lattice is there.*second crystal"):
            index_columns(*both.T, (0, 0, 1), GOLD)

    @pytest.mark.parametrize(
        "points", [np.random.default_rng(1).random((80, 2)) * 25, np.outer(np.arange(30), (1.0, 2.0))]
    )
    def test_no_lattice(self, points):
        with pytest.raises(InputError, match="form"):
            index_columns(*points.T, (1, 0, 0), GOLD)

    def test_bad_input(self):
        with pytest.raises(InputError, match="too few"):
            index_columns([0, 2, 4], [0, 0, 0], (1, 0, 0), GOLD)
        with pytest.raises(InputError, match="equal length"):
            index_columns([0, 2, 4], [0, 0], (1, 0, 0), GOLD)
        with pytest.raises(InputError, match=r"column 3 is at .*; expected a position"):
            index_columns([0, 2, 4, np.nan, 1, 1, 1, 1], np.zeros(8), (1, 0, 0), GOLD)

    def test_twenty_columns(self):
        i, j = np.divmod(np.arange(20), 5)
        noise = np.random.default_rng(0).normal(0, 0.1, (2, 20))
        x, y = zone_geometry((1, 1, 0)).positions(np.column_stack([i, j]), GOLD.a).T + noise
        found = index_columns(x, y, (1, 1, 0), GOLD)
        assert share_right(found, np.column_stack([i, j]), 20) == 1


class TestReference:
    @pytest.mark.parametrize("name", ["au_particle", "au_particle_tilted", "au_wedge_110"])
    def test_simulated_images(self, shared_data, name):
        with h5py.File(shared_data / f"{name}.h5") as file:
            atoms = np.rint(file["atoms/xyz_A"][:] / (GOLD.a / 2)).astype(int)
            atoms[:, 0] += atoms[0].sum() % 2
            for zone in (z for z in file if z.startswith("zone")):
                group = file[zone]
                axis = tuple(int(c) for c in zone[5:])
                of_atom = group["atom_column_index"][:]
                first = np.array([np.flatnonzero(of_atom == k)[0] for k in range(of_atom.max() + 1)])
                lines = zone_geometry(axis).lines(atoms[first])
                for key in ("column_xy_px", "column_xy_px_distorted"):
                    if key in group:
                        found = index_columns(*(group[key][:] * group.attrs["pixel_A"]).T, axis, GOLD)
                        assert share_right(found, lines, len(lines)) == 1
                        assert found.keep.all()

    @pytest.mark.parametrize("axis", ["100", "110"])
    def test_experimental_rod(self, shared_data, axis):
        rod = np.load(shared_data / f"aurod_{axis}.npz")
        points = rod["xy_px"] * float(rod["pixel_size"])
        found = index_columns(*points.T, rod["zone_axis"], GOLD, name=axis)
        known = np.column_stack([rod["column_index"], np.ones(len(points))])[found.keep]
        change = np.linalg.lstsq(known, found.lines[found.keep], rcond=None)[0]
        off = np.abs(known @ (np.rint(2 * change) / 2) - found.lines[found.keep]).max(axis=1) > 0.3
        assert found.keep.mean() > 0.985
        assert off.mean() < 0.001

    def test_core_shell_columns_get_their_type(self, shared_data):
        core_shell = Crystal(
            "core_shell",
            6.10,
            (Sublattice("Pb", (0, 0, 0)), Sublattice("Se", (1, 0, 0)), Sublattice("Cd", (1.5, 0.5, 0.5))),
        )
        with h5py.File(shared_data / "pbse_cdse.h5") as file:
            group = file["zone_110"]
            points = group["column_xy_px"][:] * group.attrs["pixel_A"]
            found = index_columns(*points.T, (1, 1, 0), core_shell)
            for number, species in enumerate(["Pb", "Se", "Cd"]):
                np.testing.assert_array_equal(found.column_type == number, group[f"count_{species}"][:] > 0)


def square(rows, cols):
    return 2.04 * np.stack(np.meshgrid(np.arange(cols), np.arange(rows)), -1).reshape(-1, 2).astype(float)


def test_two_columns_of_another_particle():
    points = np.vstack([square(8, 8), [[-15, -15], [-17, -14.2], [-15.6, -17]]])
    points[64:66] = np.rint(points[64:66] / 2.04) * 2.04  # two of them lie on lines of the first
    indexing = index_columns(points[:, 0], points[:, 1], (0, 0, 1), GOLD)
    assert indexing.keep.tolist() == 64 * [True] + 3 * [False]


def test_a_column_in_contact_and_one_behind_a_missed_one_are_attached():
    points = np.vstack([square(8, 8), [[16.32, 4.08], [-4.08, 4.08]]])
    assert not detached(in_contact(points, 4.08), np.ones(66, dtype=bool)).any()


def test_the_lattice_may_go_on_in_another_piece():
    points = np.vstack([square(8, 8), square(3, 3) + np.array([15 * 2.04, 0])])
    assert not detached(in_contact(points, 4.08), np.ones(73, dtype=bool)).any()
    near = np.ones(73, dtype=bool)
    near[67:] = False  # but not where most of its columns stand aside
    assert detached(in_contact(points, 4.08), near).nonzero()[0].tolist() == list(range(64, 73))


@pytest.mark.parametrize("angle", [0.25, 0.5, 0.7])
def test_a_crystal_that_touches_in_another_orientation_is_left_out(angle):
    """A quarter of its columns lies on lines of the first one by chance, amid others that do not."""
    other = square(5, 6) @ rotation(angle).T
    other += [8 * 2.04 - other[:, 0].min() + 0.3, 2.0]
    points = np.vstack([square(9, 9), other])
    found = index_columns(*points.T, (0, 0, 1), GOLD)
    assert found.keep[:81].all()
    assert np.count_nonzero(found.keep[81:]) <= 2


def test_columns_on_lines_beside_a_few_that_are_not_are_kept():
    points = np.vstack([square(6, 6), [[12.6, 1.0], [12.9, 5.2], [4.9, 12.5]]])
    near = np.arange(39) < 36
    assert not amid_others(in_contact(points, GOLD.a), near).any()
    assert not amid_others(in_contact(points, GOLD.a), np.ones(39, dtype=bool)).any()


def patch(axis):
    """Lines (n, 2) of a patch of the projected lattice and where they are [A]; the first is in the middle."""
    zone = tomo.zone_geometry(axis)
    lines = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)), -1).reshape(-1, 2)
    place = zone.positions(lines, GOLD.a)
    order = np.argsort(np.linalg.norm(place, axis=1), kind="stable")[:60]
    return zone, lines[order], place[order]


@pytest.mark.parametrize("axis", HOLE_AXES)
def test_a_column_pushed_aside_keeps_its_line_and_one_outside_the_rim_does_not(axis):
    zone, _, place = patch(axis)
    gap = zone.spacing(GOLD.a)
    beyond = 1.2 * place[np.argmax(place[:, 0])] + [0.0, 0.45 * gap]
    moved = np.vstack([place + np.where(np.arange(60) == 0, 0.4 * gap, 0.0)[:, None] * [0.8, 0.6], beyond])
    found = tomo.index_columns(*moved.T, axis, GOLD)
    assert found.keep[0]
    assert found.doubtful[0]
    assert found.keep[1:60].all()
    steps = found.lines[1:60] - found.lines[0]
    assert (steps != 0).any(axis=1).all()  # a line of its own
    assert np.linalg.norm(zone.positions(steps, GOLD.a), axis=1).min() == pytest.approx(gap)


def test_a_peak_beside_a_line_that_has_its_column_is_still_dropped():
    zone, _, place = patch((1, 1, 1))
    moved = np.vstack([place, place[0] + [0.4 * zone.spacing(GOLD.a), 0.0]])
    found = tomo.index_columns(*moved.T, (1, 1, 1), GOLD)
    assert found.keep[:60].all()
    assert not found.keep[60]


def test_columns_that_fill_holes_enclose_others_in_turn():
    zone, lines, _ = patch((1, 1, 1))
    gone = np.arange(60) < 3  # three that touch each other
    assert np.array_equal(in_holes(lines, ~gone, zone), gone)


@pytest.mark.parametrize("axis", HOLE_AXES)
def test_a_straight_rim_encloses_nothing(axis):
    zone, *_ = patch(axis)
    half = np.stack(np.meshgrid(np.arange(-5, 6), np.arange(-5, 1)), -1).reshape(-1, 2)
    for turn in ([[1, 0], [0, 1]], [[0, 1], [1, 0]]):
        lines = np.vstack([half, [(0, 1)]]) @ turn
        near = np.arange(len(lines)) < len(half)
        assert not in_holes(lines, near, zone).any()


def test_the_line_of_a_column_that_was_dropped_need_not_be_empty():
    """A corner of the particle, which nothing encloses, stands aside; the other view counts its atoms."""
    sites = tomo.phantoms.random_particle(400, "rough", seed=2)
    indexings, counts = [], []
    for axis in ((1, 1, 1), (1, 1, 0)):
        columns, atoms = tomo.phantoms.column_counts(sites, axis)
        zone = tomo.zone_geometry(axis)
        place = zone.positions(zone.lines(columns), GOLD.a)
        if axis == (1, 1, 1):
            aside = int(np.argmax(place[:, 0]))
            place[aside] += [0.42 * zone.spacing(GOLD.a), 0.0]
        indexings.append(tomo.index_columns(*place.T, axis, GOLD))
        counts.append(atoms)
    assert not indexings[0].keep[aside]
    registration = tomo.register_views(indexings, counts)
    first, second = tomo.make_views(registration, counts=counts)
    zone = tomo.zone_geometry((1, 1, 1))
    assert np.array_equal(zone.lines(first.unseen_sites), zone.lines(registration.column_sites[0][[aside]]))
    assert second.unseen_sites is None
