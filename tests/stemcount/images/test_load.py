"""Loading: calibrations in any length unit, metadata, and one clear sentence for each mistake."""

from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import tifffile
from PIL import Image

import stemcount
from stemcount import InputError, ZoneAxisImage, load_image, load_series


def signal(units="nm", scale=0.02, data=None, ratio=1.0, offset=0.0):
    s = hs.signals.Signal2D(np.arange(20.0).reshape(4, 5) if data is None else data)
    for axis, factor in zip(s.axes_manager.signal_axes, (1.0, ratio), strict=True):
        axis.units, axis.scale, axis.offset = units, scale * factor, offset
    return s


@pytest.mark.parametrize(
    ("units", "scale"),
    [
        ("nm", 0.02),
        ("Å", 0.2),
        ("A", 0.2),
        ("angstrom", 0.2),
        ("Ångström", 0.2),
        ("\u212b", 0.2),
        ("Angstrom", 0.2),
        ("pm", 20.0),
        ("um", 2e-5),
        ("µm", 2e-5),
        ("m", 2e-11),
        ("NM", 0.02),
        ("PM", 20.0),
        ("ANGSTROM", 0.2),
        ("Angstroms", 0.2),
        ("Ang", 0.2),
        ("ang.", 0.2),
    ],
)
def test_any_length_unit(units, scale):
    assert load_image(signal(units, scale)).pixel_size == pytest.approx(0.2)


@pytest.mark.parametrize("suffix", ["hspy", "hdf5", "tif", "emd", "rpl"])
def test_file_formats_keep_calibration(tmp_path, suffix):
    path = tmp_path / f"particle.{suffix}"
    signal(offset=0.1).save(path, file_format="HSPY" if suffix == "hdf5" else None)
    image = load_image(path, zone_axis=(1, 1, 0))
    assert image.pixel_size == pytest.approx(0.2)
    assert image.offset == pytest.approx((1.0, 1.0))
    assert image.name == "particle"
    assert image.zone_axis == (1, 1, 0)
    np.testing.assert_array_equal(image.data, np.arange(20.0).reshape(4, 5))


@pytest.mark.parametrize(("unit", "size"), [("nm", 0.02), ("A", 0.2), ("\\u00C5", 0.2), ("micron", 2e-5)])
def test_tiff_that_was_calibrated_in_imagej(tmp_path, unit, size):
    path = tmp_path / "particle.tif"
    data = np.arange(20, dtype=np.uint16).reshape(4, 5)
    tifffile.imwrite(path, data, imagej=True, resolution=(1 / size, 1 / size), metadata={"unit": unit})
    assert load_image(path).pixel_size == pytest.approx(0.2)


def test_grey_pictures_saved_with_colours(tmp_path):
    path = tmp_path / "picture.tif"
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    tifffile.imwrite(path, np.stack([grey] * 3, axis=-1), photometric="rgb")
    np.testing.assert_array_equal(load_image(path, pixel_size=0.2).data, grey)
    tifffile.imwrite(path, np.stack([grey, grey, 2 * grey], axis=-1), photometric="rgb")
    with pytest.raises(InputError, match="holds a picture in colours; expected real numbers"):
        load_image(path, pixel_size=0.2)


def test_grey_picture_with_an_opacity(tmp_path):
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    for name, picture in (("la", np.dstack([grey, np.full_like(grey, 255)])), ("l", grey)):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(load_image(tmp_path / f"{name}.png", pixel_size=0.2).data, grey)
    (tmp_path / "no.png").write_text("no picture")
    with pytest.raises(InputError, match=r"no\.png: seems cut off or damaged"):
        load_image(tmp_path / "no.png")


def test_frames_of_a_series(tmp_path):
    path = tmp_path / "series.hspy"
    data = np.arange(60.0).reshape(3, 4, 5)
    signal(data=data, offset=0.1).save(path)
    frames = load_series(path, zone_axis=(1, 0, 0))
    assert [frame.name for frame in frames] == ["series_1", "series_2", "series_3"]
    np.testing.assert_array_equal([frame.data for frame in frames], data)
    assert {(frame.pixel_size, frame.offset, frame.zone_axis) for frame in frames} == {
        (0.2, (1.0, 1.0), (1, 0, 0))
    }
    tifffile.imwrite(tmp_path / "series.tif", data.astype(np.float32), photometric="minisblack")
    assert [f.pixel_size for f in load_series(tmp_path / "series.tif", pixel_size=0.3)] == [0.3] * 3
    signal().save(tmp_path / "one.hspy")
    with pytest.raises(InputError, match=r"one\.hspy: holds no series"):
        load_series(tmp_path / "one.hspy")


def test_metadata_travel_with_the_file(tmp_path):
    image = ZoneAxisImage(np.ones((6, 7)), 0.2, (1, 1, 2), offset=(1.0, 2.0), dose=1e5, name="a")
    stemcount.save_image(image, tmp_path / "a.hspy")
    again = load_image(tmp_path / "a.hspy")
    assert (again.zone_axis, again.dose, again.pixel_size) == ((1, 1, 2), 1e5, pytest.approx(0.2))
    assert again.offset == pytest.approx((1.0, 2.0))


def test_borders_that_were_filled_in_are_not_used():
    """Strips and a wedge, as registering and turning leave them; not a dark ground that was cut off at 0."""
    rng = np.random.default_rng(0)
    data = rng.poisson(20.0, (60, 70)).astype(float)
    assert load_image(signal(data=data)).valid is None
    assert load_image(signal(data=np.clip(data - 20, 0, None))).valid is None
    i, j = np.indices(data.shape)
    outside = (i < 5) | (j >= 66) | (i + 0.2 * j < 12)
    image = load_image(signal(data=np.where(outside, 0.0, data)))
    np.testing.assert_array_equal(image.used, ~outside)
    columns = stemcount.simulate_columns([6.0], [6.0], [1.0], shape=(60, 60), pixel_size=0.2)
    assert load_image(stemcount.image_signal(columns, columns.data)).valid is None


def test_an_image_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: the image cannot be written"):
        stemcount.save_image(ZoneAxisImage(np.ones((6, 7)), 0.2), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_given_values_are_stronger_than_the_file():
    s = signal("1/nm")
    s.metadata.set_item("stemcount.zone_axis", [1, 0, 0])
    image = load_image(s, zone_axis=(1, 1, 1), pixel_size=0.3, name="mine")
    assert (image.pixel_size, image.zone_axis, image.name) == (0.3, (1, 1, 1), "mine")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lambda: "nowhere.tif", ["nowhere.tif", "no such file"]),
        (lambda: signal(""), ["no calibration", "pixel_size"]),
        (lambda: signal("px"), ["no calibration"]),
        (lambda: signal("pix"), ["no calibration"]),
        (lambda: signal("[]"), ["no calibration"]),
        (lambda: signal("1/nm"), ["1/nm", "not a length"]),
        (lambda: signal("banana"), ["banana"]),
        (lambda: signal("nm^-1"), ["nm^-1", "not a length", "real space"]),
        (lambda: signal("mrad"), ["mrad", "not a length"]),
        (lambda: signal("um", 0.02), ["200 A", "columns of atoms", "pixel_size"]),
        (lambda: signal("nm", 1e-6), ["1e-05 A", "columns of atoms"]),
        (lambda: signal(data=np.ones((3, 4, 5))), ["stack", "(3, 4, 5)", "average"]),
        (lambda: signal(data=np.ones((2, 3, 4, 5))), ["diffraction", "(2, 3, 4, 5)"]),
        (lambda: hs.signals.Signal1D(np.ones((3, 4, 50))), ["spectra", "(3, 4, 50)"]),
        (lambda: hs.signals.Signal1D(np.ones(50)), ["spectra", "(50,)"]),
        (lambda: hs.signals.Signal1D(np.ones((4, 50))), ["spectra", "(4, 50)"]),
        (lambda: signal(data=np.ones((4, 5), complex)), ["complex128 pixels", "real numbers"]),
        (lambda: signal(data=np.full((4, 5), None)), ["object pixels", "real numbers"]),
        (lambda: signal(data=np.full((4, 5), np.nan)), ["20 pixels", "NaN"]),
        (lambda: signal(ratio=1.5), ["square"]),
        (lambda: 7, ["file name"]),
    ],
)
def test_mistakes_are_named(source, words):
    with pytest.raises(InputError) as error:
        load_image(source())
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def velox(tmp_path, monkeypatch):
    """A file of two detectors and a spectrum."""
    images = [signal(), signal(data=np.arange(20.0).reshape(4, 5) + 100), hs.signals.Signal1D(np.ones(9))]
    for one, title in zip(images, ("DF4", "BF", "EDS"), strict=True):
        one.metadata.General.title = title
    path = tmp_path / "velox.emd"
    path.touch()
    monkeypatch.setattr(hs, "load", lambda _, **hints: images)
    return path


@pytest.mark.parametrize("which", ["BF", "bf", 2])
def test_one_of_several_detectors_is_chosen(velox, which):
    assert load_image(velox, signal=which).data.min() == 100


@pytest.mark.parametrize(
    ("which", "told"),
    [(None, ""), ("DF2", ", and signal = 'DF2' names none"), (3, ", and signal = 3 names none"), (0, "")],
)
def test_images_that_a_file_holds_together_are_named(velox, which, told):
    with pytest.raises(InputError) as error:
        load_image(velox, signal=which)
    assert f"velox.emd: holds 2 images (1 'DF4', 2 'BF'){told}" in str(error.value)
    assert "choose it with signal" in str(error.value)


def test_a_file_of_two_images(tmp_path):
    """As the NCEM's emd holds them: a group for each."""
    path = tmp_path / "two.emd"
    signal().save(path)
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visit(names.append)
        (group,) = (file[name].parent for name in names if name.endswith("/data"))
        group.parent.copy(group, "BF")
        group.parent["BF/data"][...] += 100
    assert [image.pixel_size for image in stemcount.load_images(path)] == pytest.approx([0.2, 0.2])
    with pytest.raises(InputError, match=r"two\.emd: holds 2 images"):
        load_image(path)
    assert {load_image(path, signal=n).data.min() for n in (1, 2)} == {0, 100}


def test_a_wrong_name_of_the_only_image_is_told(tmp_path):
    signal().save(tmp_path / "one.hspy")
    with pytest.raises(InputError, match=r"holds 1 image \(.*\), and signal = 'BF' names none"):
        load_image(tmp_path / "one.hspy", signal="BF")


def test_the_one_image_next_to_other_data_is_taken(tmp_path, monkeypatch):
    """As a STEM image stored with its Fourier transform, a series and spectra."""
    others = [
        signal(data=np.ones((3, 4, 5))),
        signal(data=np.ones((4, 5), complex)),
        hs.signals.Signal1D(np.ones((4, 5))),
    ]
    path = tmp_path / "several.emd"
    path.touch()
    monkeypatch.setattr(hs, "load", lambda _, **hints: [*others, signal()])
    assert load_image(path).pixel_size == pytest.approx(0.2)
    monkeypatch.setattr(hs, "load", lambda _, **hints: others)
    words = (
        r"several\.emd: holds 3 data sets, none of them an image \(a stack .*, spectra of shape \(4, 5\)\)"
    )
    with pytest.raises(InputError, match=words):
        load_image(path)
    monkeypatch.setattr(hs, "load", lambda _, **hints: [])
    with pytest.raises(InputError, match=r"several\.emd: holds no image"):
        load_image(path)


@pytest.mark.parametrize("suffix", ["hspy", "emd"])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: signal("1/nm"), "which is not a length"),
        (lambda: signal(data=np.ones((4, 5), complex)), "complex"),
        (lambda: signal(data=np.ones((3, 4, 5))), "stack of shape"),
    ],
    ids=["diffraction", "complex", "stack"],
)
def test_files_of_other_data_are_refused(tmp_path, suffix, wrong, words):
    path = tmp_path / f"other.{suffix}"
    wrong().save(path)
    with pytest.raises(InputError, match=rf"other\.{suffix}: .*{words}.*expected"):
        load_image(path)


@pytest.mark.parametrize("pixel_size", [20, 2e-4])
def test_a_pixel_size_in_another_unit_is_told(pixel_size):
    with pytest.raises(
        InputError, match=rf"pixel_size = {pixel_size:g} A cannot show .* 0.2 for 0.02 nm or 20 pm"
    ):
        load_image(signal("nm", 0.02), pixel_size=pixel_size)


@pytest.mark.parametrize("pixel_size", [None, 0.2])
def test_a_line_of_spectra_is_no_image(tmp_path, pixel_size):
    """Neither its array of two axes nor a given pixel size makes it one."""
    path = tmp_path / "line.hspy"
    hs.signals.Signal1D(np.ones((4, 50))).save(path)
    with pytest.raises(InputError, match=r"line\.hspy: holds spectra of shape \(4, 50\)"):
        load_image(path, pixel_size=pixel_size)


@pytest.mark.parametrize("name", ["broken.dm3", "broken.emd", "broken.xyz", "broken.hspy"])
def test_unreadable_files_are_named(tmp_path: Path, name):
    (tmp_path / name).write_text("this is no image")
    with pytest.raises(InputError, match=name):
        load_image(tmp_path / name)


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(InputError, match="folder"):
        load_image(tmp_path)


@pytest.mark.parametrize("zone_axis", [(1, 1), (0, 0, 0), (1, 0.5, 0), "abc"])
def test_zone_axis_is_three_integers(zone_axis):
    with pytest.raises(InputError, match="zone_axis"):
        load_image(signal(), zone_axis=zone_axis)


def test_a_file_is_read_here_whatever_cluster_is_connected(tmp_path):
    """Its workers need not see the file, and one that is gone would never answer."""
    dask = pytest.importorskip("dask")
    stemcount.save_image(ZoneAxisImage(np.ones((8, 9)), 0.2), tmp_path / "particle.hspy")

    def elsewhere(*_, **__):
        raise AssertionError("read by a cluster")

    with dask.config.set(scheduler=elsewhere):
        assert load_image(tmp_path / "particle.hspy").data.shape == (8, 9)


def test_a_saved_image_keeps_which_pixels_are_valid(tmp_path):
    """Unless the image was turned since: a mask would then lie elsewhere."""
    data = np.random.default_rng(0).normal(5.0, 0.3, (40, 50))
    data[4, 7] = np.nan
    valid = np.ones(data.shape, bool)
    valid[4, 7] = valid[20:25, 30] = False
    stemcount.save_image(ZoneAxisImage(data, 0.2, valid=valid), tmp_path / "masked.hspy")
    np.testing.assert_array_equal(stemcount.load_image(tmp_path / "masked.hspy").used, valid)
    turned = hs.load(tmp_path / "masked.hspy").isig[:, ::-1]
    assert stemcount.load_image(turned).used.all()
