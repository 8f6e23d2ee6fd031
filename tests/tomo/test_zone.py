"""Geometry of zone axes: exact, for any integers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomo import InputError, column_types, fcc, rock_salt, zinc_blende, zone_geometry
from tomo.placing.planes import bezout, shared_planes

indices = st.integers(-6, 6)
zone_axes = st.tuples(indices, indices, indices).filter(any)


def grid_sites(rng, n=60, size=30):
    sites = rng.integers(-size, size, (n, 3))
    sites[:, 2] += sites.sum(axis=1) % 2
    return sites


@given(zone_axes)
def test_basis_is_unimodular_in_the_grid(axis):
    zone = zone_geometry(axis)
    assert (zone.basis.sum(axis=0) % 2 == 0).all()
    assert round(np.linalg.det(zone.basis)) == 2  # the grid has one site in a volume of 2 (a/2)^3


@given(zone_axes)
def test_shortest_vector_along_the_axis(axis):
    zone = zone_geometry(axis)
    t = np.array(zone.t)
    assert not np.cross(t, axis).any()
    assert t @ np.array(axis) > 0
    half = t / 2
    assert not ((half == np.rint(half)).all() and half.sum() % 2 == 0)


@given(zone_axes)
def test_rotation_is_proper_and_turns_the_axis_into_the_beam(axis):
    zone = zone_geometry(axis)
    np.testing.assert_allclose(zone.rotation @ zone.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(zone.rotation) == pytest.approx(1)
    np.testing.assert_allclose(zone.rotation @ axis / np.linalg.norm(axis), (0, 0, 1), atol=1e-12)


@given(zone_axes, st.integers(0, 1000))
def test_lines_and_sites_go_round(axis, seed):
    zone = zone_geometry(axis)
    sites = grid_sites(np.random.default_rng(seed))
    lines = zone.lines(sites)
    back = zone.sites(lines)
    np.testing.assert_array_equal(zone.lines(back), lines)
    assert not np.cross(back - sites, zone.t).any()
    np.testing.assert_allclose(
        zone.positions(lines, 4.08), 2.04 * (sites @ zone.rotation.T)[:, :2], atol=1e-9
    )


@given(zone_axes)
def test_reduced_basis_is_the_shortest(axis):
    zone = zone_geometry(axis)
    steps = np.array([s for s in itertools.product(range(-3, 4), repeat=2) if any(s)])
    length = np.linalg.norm(zone.positions(steps, 2.0), axis=1)
    assert length.min() == pytest.approx(zone.spacing(2.0))
    assert zone.cell_area(2.0) == pytest.approx(2 / np.linalg.norm(zone.t))


@given(zone_axes)
def test_plane_rotations_form_a_group_that_keeps_lengths(axis):
    zone = zone_geometry(axis)
    turns = zone.plane_rotations()
    assert len(turns) in (2, 4, 6)
    np.testing.assert_array_equal(turns[0], np.eye(2))
    np.testing.assert_array_equal(turns[len(turns) // 2], -np.eye(2))
    known = {tuple(t.ravel()) for t in turns}
    assert {tuple((a @ b).ravel()) for a in turns for b in turns} == known
    for turn in turns:
        image = zone.plane_basis @ turn
        np.testing.assert_allclose(image.T @ image, zone.plane_basis.T @ zone.plane_basis, atol=1e-12)


@pytest.mark.parametrize(
    ("axis", "t"),
    [((1, 0, 0), (2, 0, 0)), ((1, 1, 0), (1, 1, 0)), ((2, 2, 2), (2, 2, 2)), ((1, 1, 2), (1, 1, 2))],
)
def test_known_vectors(axis, t):
    assert zone_geometry(axis).t == t


@pytest.mark.parametrize("axis", [(0, 0, 0), (1, 0), (0.5, 1, 0), "abc", (10**6, 1, 0)])
def test_bad_axes_are_refused(axis):
    with pytest.raises(InputError, match="zone axis"):
        zone_geometry(axis)


def test_sites_off_the_grid_are_refused():
    with pytest.raises(InputError, match="h \\+ k \\+ l must be even"):
        zone_geometry((1, 0, 0)).lines([(1, 0, 0)])


def test_column_types_of_compounds():
    salt, blende = rock_salt("Pb", "Se", 6.1), zinc_blende("Cd", "Se", 6.05)
    assert [t.sublattices for t in column_types((1, 0, 0), salt)] == [(0, 1)]
    assert [t.sublattices for t in column_types((1, 1, 0), salt)] == [(0,), (1,)]
    assert [t.sublattices for t in column_types((1, 1, 1), salt)] == [(0, 1)]
    assert len(column_types((1, 1, 0), blende)) == 2
    assert [t.shift for t in column_types((1, 0, 0), fcc("Au", 4.08))] == [(0.0, 0.0)]


@given(zone_axes, st.integers(0, 100))
def test_column_types_project_where_the_atoms_do(axis, seed):
    crystal = zinc_blende("Cd", "Se", 6.05)
    zone = zone_geometry(axis)
    site = grid_sites(np.random.default_rng(seed), 1)[0]
    anion = (site + np.array(crystal.sublattices[1].offset)) * crystal.a / 2
    seen = (zone.rotation @ anion)[:2]
    shift = next(t.shift for t in column_types(axis, crystal) if 1 in t.sublattices)
    fractional = np.linalg.solve(zone.plane_basis * crystal.a / 2, seen) - shift
    np.testing.assert_allclose(fractional, np.rint(fractional), atol=1e-6)


@given(st.integers(-30, 30), st.integers(-30, 30))
def test_bezout(p, q):
    if np.gcd(p, q) == 1:
        r, s = bezout(p, q)
        assert p * s - q * r == 1


@given(zone_axes, zone_axes, st.integers(0, 1000))
def test_lines_that_share_a_site_share_plane_and_class(first, second, seed):
    if not np.cross(first, second).any():
        with pytest.raises(InputError, match="parallel"):
            shared_planes(first, second)
        return
    planes = shared_planes(first, second)
    sites = grid_sites(np.random.default_rng(seed))
    own = zone_geometry(first).lines(sites) @ planes.of_first.T
    other = zone_geometry(second).lines(sites) @ planes.of_second.T
    np.testing.assert_array_equal(own[:, 0], other[:, 0])
    np.testing.assert_array_equal(own[:, 1] % planes.classes, other[:, 1] % planes.classes)
    np.testing.assert_array_equal(own[:, 0], sites @ planes.normal // planes.divisor)


def test_classes_are_no_finer_than_the_crossings():
    """Any line of one view meets any line of the other in the same plane and class, in one site."""
    for first, second in [((1, 0, 0), (0, 0, 1)), ((1, 1, 0), (1, -1, 0)), ((1, 1, 1), (1, 1, 2))]:
        planes = shared_planes(first, second)
        t, u = np.array(zone_geometry(first).t), np.array(zone_geometry(second).t)
        crossing = {
            tuple(c)
            for n, m in itertools.product(range(-3, 4), repeat=2)
            for c in (zone_geometry(first).lines([n * t + m * u]) @ planes.of_first.T)
        }
        assert {c[0] for c in crossing} == {0}
        assert {c[1] % planes.classes for c in crossing} == {0}
