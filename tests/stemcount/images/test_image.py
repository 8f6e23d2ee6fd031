"""What an image may be made of, and how it and what is measured on it print."""

import numpy as np
import pytest

from stemcount import (
    InputError,
    ZoneAxisImage,
    count_atoms,
    count_time_series,
    fit_columns,
    integrate_cells,
    simulate_columns,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"zone_axis": (1, 1)}, "zone_axis must be three integers"),
        ({"zone_axis": "110"}, "zone_axis must be three integers"),
        ({"zone_axis": (0, 0, 0)}, "zone_axis must be three integers"),
        ({"zone_axis": (1.5, 0, np.nan)}, "zone_axis must be three integers"),
        ({"dose": 0}, "dose must be a positive number"),
        ({"dose": np.nan}, "dose must be a positive number"),
        ({"pixel_size": -0.2}, "pixel_size"),
        ({"pixel_size": None}, "pixel_size"),
        ({"data": np.ones((4, 5), complex)}, "values are complex"),
        ({"zone_axis": (10**30, 0, 1)}, "zone_axis must be three integers"),
        ({"zone_axis": (10**400, 0, 1)}, "zone_axis must be three integers"),
        ({"pixel_size": True}, "pixel_size"),
        ({"data": [["a"]]}, "expected an array of numbers"),
        ({"data": [[1, 2], [3]]}, "expected an array of numbers"),
        ({"data": None}, "expected a 2D image"),
        ({"pixel_size": 2e-11}, "is pixel_size given in nm or m"),
        ({"data": np.ma.masked_all((4, 5))}, "no pixel may be used"),
        ({"valid": np.ones((4, 5))}, "valid must be an array of True and False"),
        ({"offset": 3}, "offset .*: expected 2 finite numbers"),
        ({"offset": (0, np.nan)}, "offset .*: expected 2 finite numbers"),
        ({"drift": 3}, "drift .*: expected a list of finite numbers"),
        ({"name": 3}, "name: expected text"),
    ],
)
def test_what_cannot_be_is_said_at_once(change, message):
    with pytest.raises(InputError, match=message):
        ZoneAxisImage(**{"data": np.ones((4, 5)), "pixel_size": 0.2} | change)


def test_masked_pixels_are_not_valid():
    data = np.arange(20.0).reshape(4, 5)
    data[0, 0] = np.nan
    mask = np.isnan(data)
    image = ZoneAxisImage(np.ma.array(data, mask=mask), 0.2)
    assert np.array_equal(image.valid, ~mask)
    valid = data != 7
    assert np.array_equal(ZoneAxisImage(np.ma.array(data, mask=mask), 0.2, valid=valid).valid, valid & ~mask)
    assert ZoneAxisImage(np.ma.array(np.ones((4, 5))), 0.2).valid is None


def test_a_zone_axis_may_be_any_three_numbers():
    image = ZoneAxisImage(np.ones((4, 5)), 0.2, zone_axis=np.array([1.0, -1.0, 0.0]))
    assert image.zone_axis == (1, -1, 0)
    assert all(type(index) is int for index in image.zone_axis)


def test_images_fits_and_counts_print_on_one_line():
    places = np.arange(5.0, 26.0, 3.0)
    x, y = (grid.ravel() for grid in np.meshgrid(places, places))
    volumes = np.repeat([1.0, 2.0, 3.0], [20, 20, 9])
    image = simulate_columns(
        x, y, volumes, shape=(150, 160), pixel_size=0.2, zone_axis=(1, 0, 0), name="gold"
    )
    fit = fit_columns(image, np.column_stack([x, y]))
    counts = count_atoms(fit.cross_section, n_components=3)
    assert repr(image) == "<ZoneAxisImage gold, zone axis (1, 0, 0): 150 x 160 pixels of 0.2 A>"
    assert repr(fit) == "<ColumnFit: 49 columns, gaussian peaks>"
    assert repr(counts) == "<AtomCounts: 87 atoms in 49 columns, 3 classes, given>"
    assert repr(counts.chosen).startswith("<Hypothesis: classes of 1 to 3 atoms, log posterior ")
    assert repr(counts.mixtures[2]).startswith("<Mixture: 3 components, ICL ")
    assert repr(integrate_cells(image, fit)) == "<CellIntegrals: 49 columns>"
    frames = np.array([fit.cross_section, fit.cross_section])
    assert repr(count_time_series(frames, n_components=3)).startswith(
        "<SeriesCounts: 49 columns in 2 frames, 3 classes, a count changes with a probability of"
    )
