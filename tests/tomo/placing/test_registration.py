"""Registration: random particles, real and simulated data with known answers, and refusals."""

import h5py
import numpy as np
import pytest

from tomo import (
    FixedView,
    InputError,
    build_problem,
    fcc,
    index_columns,
    make_views,
    register_views,
    zone_geometry,
)
from tomo.compare import same_placing
from tomo.phantoms import column_counts, random_particle

GOLD = fcc("Au", a=4.08)
THREE = [(0, 0, 1), (1, 0, 0), (1, 1, 0)]
COPLANAR = [(1, 1, 0), (1, 0, 0), (0, 1, 0)]


def look(sites, axes, rng, count_error=0.15, missing=0.05):
    """Indexed views of a particle at random rotations, with wrong counts and weak columns missing."""
    indexings, counts, truth = [], [], []
    for number, axis in enumerate(axes):
        columns, atoms = column_counts(sites, axis)
        seen = rng.random(len(atoms)) >= missing * np.exp(1.0 - atoms)
        columns, atoms = columns[seen], atoms[seen]
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = zone_geometry(axis).positions(zone_geometry(axis).lines(columns), GOLD.a) @ turn.T
        points = 1.02 * points + rng.normal(0, 0.04, points.shape)
        indexings.append(index_columns(*points.T, axis, GOLD, name=f"image{number}"))
        wrong = np.where(rng.random(len(atoms)) < count_error, rng.choice([-1, 1], len(atoms)), 0)
        counts.append(np.maximum(atoms + wrong, 0).astype(float))
        truth.append(columns)
    return indexings, counts, truth


def is_right(found, truth, axes):
    sites = [sites[use] for sites, use in zip(found.column_sites, found.used, strict=True)]
    return same_placing(sites, [true[use] for true, use in zip(truth, found.used, strict=True)], axes)


def register(sites, axes, rng, **how):
    indexings, counts, truth = look(sites, axes, rng, **how)
    found = register_views(indexings, counts)
    return found, is_right(found, truth, axes)


class TestPerfect:
    @pytest.mark.parametrize(
        "axes",
        [
            THREE,
            COPLANAR,
            [(1, 1, 0), (1, -1, 0)],
            [(1, 1, 1), (1, 1, 0)],
            [(1, 1, 2), (1, 1, 0)],
            [(2, 1, 0), (0, 0, 1)],
        ],
    )
    def test_exact_counts(self, axes):
        sites = random_particle(500, "rough", 3)
        found, right = register(sites, axes, np.random.default_rng(0), count_error=0, missing=0)
        assert right
        assert found.verdict == "consistent"
        assert found.margin > 5

    def test_order_of_the_views_does_not_matter(self):
        sites = random_particle(200, "rough", 5)
        for axes in (THREE, THREE[::-1]):
            assert register(sites, axes, np.random.default_rng(1))[1]

    def test_views_rebuild_the_problem(self):
        """The registered views hold the true particle: every atom lies on a candidate site."""
        sites = random_particle(400, "stepped", 1)
        indexings, counts, _ = look(sites, THREE, np.random.default_rng(2), count_error=0, missing=0)
        views = make_views(register_views(indexings, counts), counts=[c.astype(int) for c in counts])
        problem = build_problem(views)
        assert len(sites) <= problem.n_sites < 1.5 * len(sites)
        assert sum(v.counts.sum() for v in views) == 3 * len(sites)

    def test_one_view(self):
        indexings, counts, _ = look(random_particle(200, "rough", 1), [(1, 1, 0)], np.random.default_rng(0))
        found = register_views(indexings, counts)
        assert found.verdict == "single"
        assert found.margin == np.inf


class TestNoisy:
    @pytest.mark.parametrize(
        ("axes", "kind", "seed"),
        [
            (THREE, "stepped", 0),
            (THREE, "rough", 1),
            (COPLANAR, "stepped", 0),
            (COPLANAR, "rod", 2),
            (THREE[::2], "rough", 1),
            (THREE[::2], "rod", 2),
        ],
    )
    def test_random_particles(self, axes, kind, seed):
        rng = np.random.default_rng(seed)
        sites = random_particle(500, kind, seed + 1)
        found, right = register(sites, axes, rng, count_error=0.25)
        assert right
        assert found.verdict == "consistent"

    def test_simulated_particle(self, shared_data):
        rng = np.random.default_rng(0)
        indexings, counts, truth = [], [], []
        with h5py.File(shared_data / "au_particle.h5") as file:
            atoms = np.rint(file["atoms/xyz_A"][:] / (GOLD.a / 2)).astype(int)
            atoms[:, 0] += atoms[0].sum() % 2
            for axis in THREE:
                group = file["zone_{}{}{}".format(*axis)]
                points = group["column_xy_px"][:] * group.attrs["pixel_A"]
                indexings.append(index_columns(*points.T, axis, GOLD))
                number = group["count_Au"][:]
                wrong = np.where(rng.random(len(number)) < 0.2, rng.choice([-1, 1], len(number)), 0)
                counts.append(np.maximum(number + wrong, 0).astype(float))
                of_atom = group["atom_column_index"][:]
                truth.append(atoms[[np.flatnonzero(of_atom == k)[0] for k in range(len(number))]])
        for views in ((0, 1, 2), (0, 1), (0, 2), (1, 2)):
            found = register_views([indexings[v] for v in views], [counts[v] for v in views])
            assert is_right(found, [truth[v] for v in views], [THREE[v] for v in views])
            assert found.verdict == "consistent"

    def test_experimental_rod_cut_by_the_field_of_view(self, shared_data):
        indexings, counts, fields, rods = [], [], [], []
        for axis in ("100", "110"):
            rod = np.load(shared_data / f"aurod_{axis}.npz")
            pixel = float(rod["pixel_size"])
            rows, cols = rod["image"].shape
            indexings.append(index_columns(*(rod["xy_px"] * pixel).T, rod["zone_axis"], GOLD, name=axis))
            counts.append(rod["count"].astype(float))
            fields.append((-pixel / 2, (cols - 0.5) * pixel, -pixel / 2, (rows - 0.5) * pixel))
            rods.append(rod)
        found = register_views(indexings, counts, fields_of_view=fields)
        shifts = []
        for sites, used, rod in zip(found.column_sites, found.used, rods, strict=True):
            level, plane = sites[used, 2], rod["column_index"][used, 0]
            sign = 1 if np.ptp(level - plane) < np.ptp(level + plane) else -1
            values, number = np.unique(level - sign * plane, return_counts=True)
            shifts.append((sign, values[number.argmax()]))
            assert number.max() > 0.999 * used.sum()
        assert shifts[0] == shifts[1]
        pair = found.pairs[0, 1]
        assert pair.planes > 90
        assert pair.first_total == pytest.approx(pair.second_total, rel=0.01)
        views = make_views(found, counts=[c.astype(int) for c in counts], fields_of_view=fields)
        for view, used in zip(views, found.used, strict=True):
            assert view.n_columns == used.sum()
            # what is unseen lies at the cut end of the rod, not beyond its tip
            assert 0 < len(view.unseen_sites) < 0.2 * view.n_columns


class TestCut:
    @pytest.mark.parametrize(
        "axes", [[(1, 0, 0), (1, 1, 0)], [(1, 1, 0), (1, -1, 0)], [(1, 0, 0), (1, 1, 0), (0, 1, 0)]]
    )
    @pytest.mark.parametrize("seed", [6])
    def test_rod_longer_than_the_images(self, axes, seed):
        """Each image shows about 70 % of a rod that lies along x; where it is cut differs."""
        rng = np.random.default_rng(seed)
        sites = random_particle(1500, "rod", seed)
        start = sites[:, 2].min() + 0.3 * np.ptp(sites[:, 2])
        indexings, counts, truth, fields = [], [], [], []
        for axis in axes:
            columns, atoms = column_counts(sites, axis)
            zone = zone_geometry(axis)
            up = zone.rotation[:2] @ (0.0, 0.0, 1.0)
            turn = np.array([[up[0], up[1]], [-up[1], up[0]]])
            points = zone.positions(zone.lines(columns), GOLD.a) @ turn.T + rng.normal(
                0, 0.05, (len(atoms), 2)
            )
            edge = GOLD.a / 2 * start + rng.uniform(-4, 4)
            seen = points[:, 0] > edge + 0.3
            points, atoms = points[seen], atoms[seen]
            fields.append((edge, points[:, 0].max() + 6, points[:, 1].min() - 6, points[:, 1].max() + 6))
            indexings.append(index_columns(*points.T, axis, GOLD))
            wrong = np.where(rng.random(len(atoms)) < 0.2, rng.choice([-1, 1], len(atoms)), 0)
            counts.append(np.maximum(atoms + wrong, 0).astype(float))
            truth.append(columns[seen])
        found = register_views(indexings, counts, fields_of_view=fields)
        assert is_right(found, truth, axes)
        assert found.verdict == "consistent"
        assert min(pair.planes for pair in found.pairs.values()) > 10


class TestFixed:
    def test_direction_and_site(self):
        sites = random_particle(400, "rough", 7)
        axes = THREE[1:]
        indexings, counts, truth = look(sites, axes, np.random.default_rng(4), missing=0)
        free = register_views(indexings, counts)
        fixed = []
        for indexing, true in zip(indexings, truth, strict=True):
            zone = indexing.zone
            far = np.argmax(np.abs(true[:, 2]))
            up = np.polyfit(true[:, 2], np.column_stack([indexing.x, indexing.y]), 1)[0]
            fixed.append(
                FixedView(
                    direction=(0, 0, 1),
                    angle=float(np.degrees(np.arctan2(up[1], up[0]))),
                    site=tuple(int(c) for c in true[far]),
                    position=(indexing.x[far], indexing.y[far]),
                )
            )
            assert zone.lines(true[[far]]).shape == (1, 2)
        found = register_views(indexings, counts, fixed=fixed)
        assert is_right(free, truth, axes)
        for sites_found, true, axis in zip(found.column_sites, truth, axes, strict=True):
            zone = zone_geometry(axis)
            np.testing.assert_array_equal(zone.lines(sites_found), zone.lines(true))

    def test_impossible_angle(self):
        indexings, counts, _ = look(random_particle(200, "rough", 7), [(1, 1, 0)], np.random.default_rng(4))
        along = np.degrees(
            np.arctan2(*(indexings[0].matrix @ indexings[0].zone.rotation[:2] @ (0.0, 0.0, 1.0))[::-1])
        )
        with pytest.raises(InputError, match="no orientation of the lattice"):
            register_views(indexings, counts, fixed=[FixedView(direction=(0, 0, 1), angle=along + 60)])
        with pytest.raises(InputError, match="along the beam"):
            register_views(indexings, counts, fixed=[FixedView(direction=(1, 1, 0))])


class TestRefused:
    def test_views_of_different_particles(self):
        rng = np.random.default_rng(0)
        one = look(random_particle(900, "stepped", 0), THREE, rng)
        other = look(random_particle(900, "stepped", 50), THREE, rng)
        with pytest.raises(InputError, match=r"cannot be views of the same particle: .* shared planes"):
            register_views([*one[0][:2], other[0][2]], [*one[1][:2], other[1][2]])

    def test_counts_of_one_view_too_high(self):
        indexings, counts, _ = look(random_particle(900, "rough", 2), THREE, np.random.default_rng(0), 0.1)
        counts[2] = np.rint(1.15 * counts[2])
        found = register_views(indexings, counts)
        assert found.verdict == "biased"
        assert any("image2 counts" in w for w in found.warnings)

    def test_parallel_axes(self):
        indexings, counts, _ = look(
            random_particle(200, "rough", 2), [(1, 0, 0)] * 2, np.random.default_rng(0)
        )
        with pytest.raises(InputError, match="parallel"):
            register_views(indexings, counts)

    def test_bad_input(self):
        indexings, counts, _ = look(random_particle(200, "rough", 2), [(1, 0, 0)], np.random.default_rng(0))
        with pytest.raises(InputError, match="counts of shape"):
            register_views(indexings, [counts[0][1:]])
        with pytest.raises(InputError, match="entries in expected_counts"):
            register_views(indexings, [])
        with pytest.raises(InputError, match="no atoms were counted"):
            register_views(indexings, [0 * counts[0]])
        with pytest.raises(InputError, match="no views"):
            register_views([], [])
