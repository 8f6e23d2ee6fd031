"""hyperspy in and out: signals wherever images are taken, results on the image's own axes."""

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

import stemcount
from stemcount import InputError


@pytest.fixture(scope="module")
def image():
    """Nine columns, one of them twice as strong, away from the origin of coordinates."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(4.0, 12, 2.9), np.arange(4.0, 12, 2.9)))
    volume = np.where(np.arange(9) == 4, 2.0, 1.0)
    made = stemcount.simulate_columns(
        x, y, volume, shape=(72, 80), pixel_size=0.19, dose=1e5, seed=0, zone_axis=(1, 0, 0), name="square"
    )
    return replace(made, offset=(30.0, -7.5))


@pytest.fixture(scope="module")
def signal(image):
    """The same in nm, with metadata of a microscope."""
    made = hs.signals.Signal2D(image.data.copy())
    for axis, offset in zip(made.axes_manager.signal_axes, image.offset, strict=True):
        axis.scale, axis.offset, axis.units = image.pixel_size / 10, offset / 10, "nm"
    made.metadata.General.title = "square"
    made.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 300)
    made.metadata.set_item("stemcount.dose", image.dose)
    return made


@pytest.fixture(scope="module")
def fit(image):
    return stemcount.fit_columns(image, stemcount.find_columns(image))


def calibration(signal):
    return [(a.name, a.size, a.scale, a.offset, a.units) for a in signal.axes_manager.signal_axes]


def test_a_signal_will_do_wherever_an_image_does(image, signal, fit):
    np.testing.assert_allclose(stemcount.find_columns(signal), stemcount.find_columns(image), atol=1e-9)
    seeds = np.column_stack([fit.x, fit.y])
    again = stemcount.fit_columns(signal, seeds)
    np.testing.assert_allclose(again.cross_section, fit.cross_section, rtol=1e-6)
    assert len(stemcount.complete_columns(signal, again)) == 9
    np.testing.assert_allclose(
        stemcount.model_image(signal, fit), stemcount.model_image(image, fit), atol=1e-9
    )
    assert stemcount.background_image(signal, fit).shape == image.data.shape
    assert len(stemcount.integrate_cells(signal, fit).cross_section) == 9
    assert stemcount.average_series([signal, signal], register=False).dose == 2 * image.dose
    part = stemcount.region_of_interest(signal, 31, 40, -6, 2)
    assert part.data.shape < image.data.shape
    assert stemcount.normalise(signal, 0.0, 2.0).data.max() == pytest.approx(image.data.max() / 2)


def test_a_lazy_signal_will_do(signal, image):
    np.testing.assert_array_equal(stemcount.as_image(signal.as_lazy()).data, image.data)


def test_results_come_back_on_the_axes_and_with_the_metadata_of_the_signal(signal, image, fit):
    counts = stemcount.count_atoms(fit.cross_section, n_components=2)
    found = stemcount.result_signals(signal, fit, counts)
    assert set(found) == {
        "model", "residual", "background", "cross_section", "count", "count_probability"
    }  # fmt: skip
    for name, result in found.items():
        assert calibration(result) == calibration(signal), name
        assert result.metadata.Acquisition_instrument.TEM.beam_energy == 300
    assert found["residual"].metadata.General.title == "square: residual"
    np.testing.assert_allclose(found["model"].data + found["residual"].data, image.data)
    middle = found["count"].isig[found["count"].data.shape[1] // 2, found["count"].data.shape[0] // 2]
    assert int(middle.data.squeeze()) == 2
    assert found["count_probability"].data[np.isfinite(found["count"].data)].min() > 0.9
    assert signal.metadata.General.title == "square"  # the user's signal is left alone


def test_an_image_becomes_a_signal_and_comes_back(image, tmp_path):
    signal = stemcount.image_signal(image)
    back = stemcount.as_image(signal)
    assert (back.pixel_size, back.offset, back.zone_axis, back.dose, back.name) == (
        image.pixel_size, image.offset, image.zone_axis, image.dose, "square"
    )  # fmt: skip
    np.testing.assert_array_equal(back.data, image.data)
    signal.data[:] = 0
    assert image.data.any()  # a copy
    signal.save(tmp_path / "signal.hspy")
    assert stemcount.load_image(tmp_path / "signal.hspy").offset == image.offset


def test_a_map_holds_each_columns_value_around_it_and_nothing_far_away(image, fit):
    found = stemcount.column_map(image, fit, np.arange(9))
    row = np.rint((fit.y - image.offset[1]) / image.pixel_size).astype(int)
    col = np.rint((fit.x - image.offset[0]) / image.pixel_size).astype(int)
    np.testing.assert_array_equal(found[row, col], np.arange(9))
    assert np.isnan(found[-1, -1])
    corner = np.zeros(image.data.shape, bool)
    corner[-1, -1] = True
    masked = replace(image, valid=corner)
    assert np.isnan(stemcount.column_map(masked, fit, np.arange(9))).all()


def test_mistakes_are_named(image, fit, signal):
    with pytest.raises(InputError, match=r"Signal2D, got ndarray; an array becomes one"):
        stemcount.find_columns(image.data)
    with pytest.raises(InputError, match="got str"):
        stemcount.fit_columns("image.tif", [(1.0, 2.0)])
    with pytest.raises(InputError, match="no calibration"):
        stemcount.find_columns(hs.signals.Signal2D(image.data))
    with pytest.raises(InputError, match="a stack of shape"):
        stemcount.find_columns(hs.stack([signal, signal]))
    with pytest.raises(InputError, match=r"data have shape \(2, 2\)"):
        stemcount.image_signal(image, np.zeros((2, 2)))
    with pytest.raises(InputError, match="one value for each of 9 columns"):
        stemcount.column_map(image, fit, [1.0])
    uneven = hs.signals.Signal2D(
        image.data,
        axes=[
            {"axis": np.arange(72.0) ** 2, "name": "y", "units": "nm"},
            {"axis": np.arange(80.0) ** 2, "name": "x", "units": "nm"},
        ],
    )
    with pytest.raises(InputError, match="not evenly spaced"):
        stemcount.find_columns(uneven)
