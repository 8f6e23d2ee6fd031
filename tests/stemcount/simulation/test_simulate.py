"""Simulated images: volumes, frame and noise are what they claim."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemcount import InputError, simulate_columns, simulate_compound, simulate_crystal
from stemcount.simulation.simulate import view_rotation


def fcc_block(n=4, a=4.08):
    h = np.array([(i, j, k) for i in range(n) for j in range(n) for k in range(n) if (i + j + k) % 2 == 0])
    return h * a / 2


@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3), st.floats(-180, 180))
@settings(max_examples=50, deadline=None)
def test_rotation_is_proper_and_looks_along_the_beam(u, v, w, angle):
    if (u, v, w) == (0, 0, 0):
        return
    r = view_rotation((u, v, w), angle)
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(r) == pytest.approx(1)
    np.testing.assert_allclose(r @ np.array([u, v, w]) / np.linalg.norm([u, v, w]), [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("zone_axis", [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2), (2, 1, 0)])
def test_every_atom_is_in_the_column_above_it(zone_axis):
    atoms = fcc_block()
    _, truth = simulate_crystal(atoms, zone_axis, dose=None, angle=12.0)
    xyz = atoms @ truth["rotation"].T + truth["offset"]
    assert truth["count"].sum() == len(atoms)
    np.testing.assert_allclose(xyz[:, 0], truth["x"][truth["column"]], atol=1e-9)
    np.testing.assert_allclose(xyz[:, 1], truth["y"][truth["column"]], atol=1e-9)


@pytest.mark.parametrize("pixel_size", [0.1, 0.2, 0.4])
def test_sum_of_the_pixels_is_the_cross_section(pixel_size):
    n = int(16 / pixel_size)
    image = simulate_columns(
        [8.03], [7.91], [2.5], shape=(n, n), pixel_size=pixel_size, width=0.6, tail=(0.2, 2.0)
    )
    assert image.data.sum() * pixel_size**2 == pytest.approx(2.5, rel=1e-4)
    i, j = np.unravel_index(np.argmax(image.data), image.data.shape)
    assert abs(j * pixel_size - 8.03) <= pixel_size / 2 + 1e-9
    assert abs(i * pixel_size - 7.91) <= pixel_size / 2 + 1e-9


def test_noise_has_the_variance_of_counted_electrons():
    kind = {"shape": (200, 200), "pixel_size": 0.2, "background": 0.05, "dose": 1e4}
    image = simulate_columns([], [], [], seed=1, **kind)
    assert image.data.var() == pytest.approx(0.05 / (1e4 * 0.04), rel=0.03)
    same = simulate_columns([], [], [], seed=1, **kind)
    np.testing.assert_array_equal(image.data, same.data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [np.nan]}, "must be finite"),
        ({"x": ["a"]}, "x: expected an array of numbers"),
        ({"width": 0}, "width: expected rho above 0"),
        ({"width": [0.6, 0.6]}, "width: expected one number"),
        ({"background": np.nan}, "background: expected finite"),
        ({"pixel_size": 0}, "pixel_size"),
        ({"shape": 9}, "shape: expected rows and columns"),
        ({"shape": (9.5, 9)}, "shape: expected an integer"),
        ({"shape": (0, 9)}, "shape: expected an integer of at least 1"),
        ({"seed": "a"}, "seed: expected an integer"),
        ({"dose": np.inf}, "dose: expected a positive number"),
        ({"dose": 1e30}, "dose: 1e\\+30 electrons per A\\^2 are more than can be counted"),
    ],
)
def test_one_sentence_for(change, message):
    given = {"x": [1.0], "y": [1.0], "cross_section": [1.0], "shape": (9, 9), "pixel_size": 0.2, "dose": 1e3}
    with pytest.raises(InputError, match=message):
        simulate_columns(**given | change)


def test_mistakes_are_named():
    with pytest.raises(InputError, match="pixel_size"):
        simulate_crystal(fcc_block(), (1, 0, 0), pixel_size=0)
    with pytest.raises(InputError, match="one value"):
        simulate_columns([1.0], [1.0, 2.0], [1.0], shape=(9, 9), pixel_size=0.2)
    with pytest.raises(InputError, match="dose"):
        simulate_columns([1.0], [1.0], [1.0], shape=(9, 9), pixel_size=0.2, dose=-1.0)
    with pytest.raises(InputError, match="negative"):
        simulate_columns([1.0], [1.0], [1.0], shape=(9, 9), pixel_size=0.2, dose=1.0, background=-1.0)
    with pytest.raises(InputError, match="positions"):
        simulate_crystal([[1.0, 2.0]], (1, 0, 0))
    with pytest.raises(InputError, match="zone_axis"):
        simulate_crystal(fcc_block(), (0, 0, 0))


@pytest.mark.parametrize("axis", [(0.5, 0.5, 1), "110", None, (0, 0, 0), (1, 1)])
def test_a_zone_axis_that_is_none_is_named(axis):
    with pytest.raises(InputError, match="three integers"):
        simulate_crystal([[0, 0, 0]], axis)
    with pytest.raises(InputError, match="three integers"):
        simulate_compound(["Au"], [[0, 0, 0]], axis)


def test_a_tail_needs_a_share_and_a_width():
    for tail in (None, (0.1,), (2.0, 1.0), (0.1, 0.0), ("a", "b")):
        with pytest.raises(InputError, match="tail"):
            simulate_columns([1.0], [1.0], [1.0], shape=(9, 9), pixel_size=0.3, tail=tail)
