"""Files as microscopes write them: right pixels, pixel size and detector, and one sentence for the rest."""

import contextlib
import importlib.util
import sys
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

import stemcount
import tomo
from stemcount import InputError, load_image, load_images, load_series
from stemcount.cli.app import main
from stemcount.cli.pipeline import run_project

spec = importlib.util.spec_from_file_location("microscopes", Path(__file__).with_name("microscopes.py"))
microscopes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(microscopes)
dm_image, write_dm, write_velox = microscopes.dm_image, microscopes.write_dm, microscopes.write_velox

DATA = (np.arange(35 * 40).reshape(35, 40) * 7 % 120).astype(np.uint16)  # not square, and no symmetry
FRAMES = np.stack([DATA, DATA[::-1], DATA[:, ::-1]])
OTHER = DATA[::-1, ::-1]
COLOURS = np.stack([DATA, OTHER, DATA], axis=-1).astype(np.uint8)


def fei_tiff(path, data, pixel=2e-11):
    """As the programs of FEI's scanning microscopes export it."""
    text = f"[User]\r\nUser=me\r\n[Scan]\r\nPixelWidth={pixel}\r\nPixelHeight={pixel}\r\nDwelltime=1e-6\r\n"
    tifffile.imwrite(path, data, extratags=[(34682, "s", 0, text, True)], metadata=None)


def dm_tiff(path, data):
    """With the private tags of DigitalMicrograph; x first."""
    tags = [(65003 + k, "s", 0, "nm", True) for k in (0, 1)] + [
        (65009 + k, "d", 1, 0.02, True) for k in (0, 1)
    ]
    tifffile.imwrite(path, data, extratags=tags, metadata=None)


def imagej(unit, size):
    """By ImageJ, in any of its units."""
    return lambda path, data: tifffile.imwrite(
        path, data, imagej=True, resolution=(1 / size, 1 / size), metadata={"unit": unit}
    )


def resolution(unit, size):
    """With the specimen's pixel as the picture's resolution."""
    return lambda path, data: tifffile.imwrite(
        path, data, resolution=(1 / size, 1 / size), resolutionunit=unit, metadata=None
    )


def ser_and_emi(path, data):
    microscopes.write_ser(path.with_name(f"{path.stem}_1.ser"), data)
    microscopes.write_emi(path)


def dm(units, scale, **more):
    return lambda path, data: write_dm(path, [dm_image(data, scale, units, **more)])


def velox(**more):
    return lambda path, data: write_velox(path, [("HAADF", data)], **more)


FILES = {
    "nm.dm3": dm("nm", 0.02),
    "nm.dm4": dm("nm", 0.02),
    "um.dm4": dm("µm", 2e-5),
    "angstrom.dm4": dm("Å", 0.2),
    "m.emd": velox(),
    "old.emd": velox(version=7),
    "pm.emd": velox(pixel=20, unit="pm"),
    "nm.emd": velox(pixel=0.02, unit="nm"),
    "compressed.emd": velox(compression="gzip"),
    "ncem.emd": lambda path, data: microscopes.write_ncem(path, {"HAADF": data}),
    "py4dstem.emd": lambda path, data: microscopes.write_py4dstem(path, {"virtual": data}),
    "py4dstem.h5": lambda path, data: microscopes.write_py4dstem(path, {"virtual": data}),
    "one.ser": microscopes.write_ser,
    "wide.ser": lambda path, data: microscopes.write_ser(path, data, wide=True),
    "one.emi": ser_and_emi,
    "map.mrc": microscopes.write_mrc,
    "fei.mrc": lambda path, data: microscopes.write_mrc(path, data, fei=True),
    "swift.ndata1": microscopes.write_ndata,
    "swift.nhdf": lambda path, data: microscopes.write_nhdf(path, {"HAADF": data}),
    "swift.h5": microscopes.write_nion_h5,
    "fei.tif": fei_tiff,
    "dm.tif": dm_tiff,
    "micron.tif": imagej("micron", 2e-5),
    "micro.tif": imagej("\\u00B5m", 2e-5),
    "imagej.tiff": imagej("nm", 0.02),
    "cm.tif": resolution("CENTIMETER", 2e-9),
    "inch.tif": resolution("INCH", 2e-9 / 2.54),
    "IN CAPITALS.DM4": dm("nm", 0.02),
    "Au [110] #2*.dm4": dm("nm", 0.02),
}


@pytest.mark.parametrize("name", FILES)
def test_pixels_and_their_size(tmp_path, name):
    path = tmp_path / name
    FILES[name](path, DATA)
    image = load_image(path, zone_axis=(1, 1, 0))
    np.testing.assert_array_equal(image.data, DATA)
    assert image.pixel_size == pytest.approx(0.2, rel=1e-5)
    assert (image.name, image.zone_axis) == (path.stem, (1, 1, 0))
    assert image.dose is None  # no file says which intensity the whole beam has
    FILES[name](path, OTHER)  # the file is not left open


@pytest.mark.parametrize(
    ("suffix", "types"),
    [
        ("dm3", "u1 i1 u2 i2 u4 i4 f4 f8"),
        ("dm4", "u1 i1 u2 i2 u4 i4 f4 f8"),
        ("emd", "u1 i1 u2 i2 u4 i4 f4 f8"),
        ("ser", "u1 i1 u2 i2 u4 i4 f4 f8"),
        ("mrc", "u1 u2 i2 f4"),
        ("tif", "u1 i1 u2 i2 u4 i4 f4 f8"),
        ("ndata1", "u1 u2 i4 f4 f8"),
    ],
)
def test_numbers_of_any_kind(tmp_path, suffix, types):
    write = {
        k.split(".")[-1]: FILES[k]
        for k in ("nm.dm3", "nm.dm4", "m.emd", "one.ser", "map.mrc", "fei.tif", "swift.ndata1")
    }
    for kind in types.split():
        data = DATA.astype(kind)
        if data.dtype.kind != "u" and data.dtype.itemsize > 1:
            data = data - data.dtype.type(60)
        write[suffix](tmp_path / f"{kind}.{suffix}", data)
        np.testing.assert_array_equal(load_image(tmp_path / f"{kind}.{suffix}").data, data)


SERIES = {
    "stack.dm4": dm("nm", (0.02, 0.02, 1.0)),
    "stack.emd": velox(),
    "stack.ser": microscopes.write_ser,
    "stopped.ser": lambda path, data: microscopes.write_ser(path, data, of=9),
    "stack.mrc": microscopes.write_mrc,
    "stack.ndata1": microscopes.write_ndata,
    "stack.tif": lambda path, data: tifffile.imwrite(
        path, data, imagej=True, resolution=(50, 50), metadata={"unit": "nm", "axes": "TYX"}
    ),
}


@pytest.mark.parametrize("name", SERIES)
def test_series(tmp_path, name):
    """A stack is averaged in one line, as the sentence says; one of a single frame is an image."""
    path = tmp_path / name
    SERIES[name](path, FRAMES)
    with pytest.raises(InputError, match=rf"{name}: holds a stack of shape \(3, 35, 40\); .*load_series"):
        load_image(path)
    frames = load_series(path)
    np.testing.assert_array_equal([frame.data for frame in frames], FRAMES)
    assert frames[-1].name == f"{path.stem}_3"
    assert [f.name for f in frames[:2]] == [f"{path.stem}_1", f"{path.stem}_2"]
    assert frames[0].pixel_size == pytest.approx(0.2)
    np.testing.assert_allclose(stemcount.average_series(frames, register=False).data, FRAMES.mean(axis=0))
    del frames
    SERIES[name](path, FRAMES[:1])
    np.testing.assert_array_equal(load_image(path).data, DATA)


def test_offset_of_the_calibration(tmp_path):
    """In the file's unit, or as the pixel at which the scale is zero."""
    write_velox(tmp_path / "a.emd", [("HAADF", DATA)], offset=(-4e-10, 1e-9))
    assert load_image(tmp_path / "a.emd").offset == pytest.approx((-4.0, 10.0))
    write_dm(tmp_path / "a.dm4", [dm_image(DATA, 0.02, "nm", origin=5)])
    assert load_image(tmp_path / "a.dm4").offset == pytest.approx((-1.0, -1.0))
    microscopes.write_ndata(tmp_path / "a.ndata1", DATA)
    assert load_image(tmp_path / "a.ndata1").offset == pytest.approx((-4.0, -3.5))


@pytest.mark.parametrize("version", [7, 11])
def test_velox_file_of_several_detectors(tmp_path, version):
    """HAADF is taken unasked, and may be called by name; of others the user chooses one."""
    path = tmp_path / "several.emd"
    write_velox(path, [("BF", OTHER), ("HAADF", DATA), ("DF4", OTHER)], version=version)
    np.testing.assert_array_equal(load_image(path).data, DATA)
    np.testing.assert_array_equal(load_image(path, signal="haadf").data, DATA)
    np.testing.assert_array_equal(load_image(path, signal="BF").data, OTHER)
    assert [image.name for image in load_images(path)] == ["several BF", "several HAADF", "several DF4"]
    write_velox(path, [("BF", OTHER), ("DF4", DATA)], version=version)
    with pytest.raises(
        InputError, match=r"holds 2 images \(1 'BF', 2 'DF4'\); expected one: choose it with signal"
    ):
        load_image(path)
    np.testing.assert_array_equal(load_image(path, signal="DF4").data, DATA)


def test_velox_file_of_a_series_and_its_sum(tmp_path):
    """As with drift correction: the frames of the detectors, and the image that they became."""
    path = tmp_path / "dcfi.emd"
    write_velox(path, [("HAADF", FRAMES), ("BF", FRAMES), ("HAADF", DATA.astype(np.float32))])
    np.testing.assert_array_equal(load_image(path).data, DATA)
    np.testing.assert_array_equal(load_series(path)[1].data, FRAMES[1])
    write_velox(path, [("DF4", FRAMES), ("BF", FRAMES)])
    with pytest.raises(InputError, match=r"2 data sets, none of them an image .*average = true .*--average"):
        load_image(path)
    with pytest.raises(InputError, match=r"1 'DF4', 2 'BF'"):
        load_series(path)
    assert len(load_series(path, signal="BF")) == 3


def test_velox_file_of_a_spectrum_image(tmp_path):
    """Hyperspy's own choice is the first frame of many; and an element's map is not taken for the image."""
    path = tmp_path / "eds.emd"
    write_velox(path, [("HAADF", FRAMES), ("Au", OTHER)], spectrum_image=True)
    with pytest.raises(InputError, match="holds a stack"):
        load_image(path)
    np.testing.assert_array_equal([frame.data for frame in load_series(path)], FRAMES)
    np.testing.assert_array_equal(load_image(path, signal="Au").data, OTHER)
    write_velox(path, [("HAADF", DATA), ("Au", OTHER), ("Pd", OTHER)], spectrum_image=True)
    np.testing.assert_array_equal(load_image(path).data, DATA)


def test_velox_file_in_one_piece(tmp_path):
    """Whose data are not in chunks, as another program may have written it again."""
    path = tmp_path / "whole.emd"
    write_velox(path, [("HAADF", DATA)])
    with h5py.File(path, "a") as file:
        (group,) = file["Data/Image"].values()
        data = group["Data"][()]
        del group["Data"]
        group["Data"] = data
    np.testing.assert_array_equal(load_image(path).data, DATA)


def test_gatan_files_of_several_images(tmp_path):
    """The thumbnail is none of them."""
    path = tmp_path / "survey.dm4"
    write_dm(
        path, [dm_image(OTHER, 0.5, "nm", name="Survey Image"), dm_image(DATA, 0.02, "nm", name="SI HAADF")]
    )
    np.testing.assert_array_equal(load_image(path).data, DATA)
    write_dm(path, [dm_image(DATA, 0.02, "nm", name="ADF"), dm_image(OTHER, 0.02, "nm", name="BF")])
    with pytest.raises(InputError, match=r"1 'ADF', 2 'BF'"):
        load_image(path)
    write_dm(path, [dm_image(DATA, 0.02, "nm", name="")], thumbnail=False)
    np.testing.assert_array_equal(load_image(path).data, DATA)


def test_ncem_groups_whose_names_begin_alike_are_images_of_their_own(tmp_path):
    microscopes.write_ncem(tmp_path / "two.emd", {"ADF": DATA, "ADF 2": OTHER})
    np.testing.assert_array_equal(load_image(tmp_path / "two.emd", signal="ADF").data, DATA)
    np.testing.assert_array_equal(load_image(tmp_path / "two.emd", signal="ADF 2").data, OTHER)


def test_emi_of_two_detectors(tmp_path):
    microscopes.write_ser(tmp_path / "scan_1.ser", DATA)
    microscopes.write_ser(tmp_path / "scan_2.ser", OTHER)
    microscopes.write_emi(tmp_path / "scan.emi", detectors=2)
    with pytest.raises(InputError, match=r"1 'scan_1\.ser', 2 'scan_2\.ser'"):
        load_image(tmp_path / "scan.emi")
    np.testing.assert_array_equal(load_image(tmp_path / "scan.emi", signal="scan_2.ser").data, OTHER)
    microscopes.write_emi(tmp_path / "alone.emi")
    with pytest.raises(InputError, match=r"alone\.emi: no images .* expected alone_1\.ser"):
        load_image(tmp_path / "alone.emi")


def test_nion_file_of_several_images(tmp_path):
    path = tmp_path / "two.nhdf"
    microscopes.write_nhdf(path, {"MADF": OTHER, "HAADF": DATA})
    np.testing.assert_array_equal(load_image(path).data, DATA)
    np.testing.assert_array_equal(load_image(path, signal=1).data, OTHER)


def test_tiff_with_a_picture_of_the_image(tmp_path):
    """As JEOL's: a page of the image in colours with a scale bar, and one of the data."""
    with tifffile.TiffWriter(tmp_path / "two.tif") as file:
        file.write(np.stack([DATA, DATA, 0 * DATA], axis=-1).astype(np.uint8), photometric="rgb")
        file.write(DATA)
    np.testing.assert_array_equal(load_image(tmp_path / "two.tif", pixel_size=0.2).data, DATA)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("bar", [(255, 0, 0), (0, 255, 0), (255, 255, 0)])
def test_pictures_with_a_coloured_scale_bar(tmp_path, suffix, bar):
    """Grey with colours is read as grey; hyperspy would take red on grey for grey as well."""
    path = tmp_path / f"picture.{suffix}"
    picture = np.stack([DATA] * 3, axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(path)
    np.testing.assert_array_equal(load_image(path, pixel_size=0.2).data, DATA)
    picture[-3:, :20] = bar
    Image.fromarray(picture).save(path)
    with pytest.raises(InputError, match=rf"picture\.{suffix}: holds a picture in colours"):
        load_image(path, pixel_size=0.2)


def test_other_kinds_of_grey_pictures(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(300 * DATA).save(path)
    np.testing.assert_array_equal(load_image(path, pixel_size=0.2).data, 300 * DATA)
    Image.fromarray(DATA.astype(np.uint8)).convert("P").save(path)
    np.testing.assert_array_equal(load_image(path, pixel_size=0.2).data, DATA)


WRONG = {
    "diffraction.dm4": (dm("1/nm", 0.02), ["1/nm", "not a length"]),
    "uncalibrated.dm3": (dm("", 1.0), ["no calibration", "pixel_size"]),
    "wide.dm4": (dm("nm", (0.03, 0.02)), ["0.3 A wide", "0.2 A high", "square"]),
    "coarse.dm4": (dm("nm", 20.0), ["200 A", "columns of atoms"]),
    "diffraction.emd": (velox(pixel=2e8, unit="1/m"), ["not a length"]),
    "uncalibrated.emd": (velox(unit=""), ["no calibration", "pixel_size"]),
    "uncalibrated.mrc": (lambda path, data: microscopes.write_mrc(path, data, pixel=0.0), ["pixel_size"]),
    "uncalibrated.ndata1": (lambda path, data: microscopes.write_ndata(path, data, unit=""), ["pixel_size"]),
    "angles.nhdf": (
        lambda path, data: microscopes.write_nhdf(path, {"R": data}, unit="rad"),
        ["rad", "not a length"],
    ),
    "printed.tif": (resolution("INCH", 1 / 300), ["no calibration", "pixel_size"]),
    "inches.tif": (imagej("inch", 1 / 300), ["columns of atoms", "pixel_size"]),
    "complex.mrc": (lambda path, data: microscopes.write_mrc(path, data.astype("c8")), ["complex64 pixels"]),
    "cut.dm4": (lambda path, data: path.write_bytes(b"\0\0\0\4\0\0"), ["hyperspy cannot read it"]),
    "cut.emd": (lambda path, data: path.write_bytes(b"\x89HDF\r\n\x1a\n"), ["hyperspy cannot read it"]),
    "cut.h5": (lambda path, data: path.write_bytes(b"\x89HDF\r\n\x1a\n"), ["hyperspy cannot read it"]),
    "cut.nhdf": (lambda path, data: path.write_bytes(b"?"), ["hyperspy cannot read it"]),
    "cut.ndata1": (lambda path, data: path.write_bytes(b"PK"), ["hyperspy cannot read it"]),
    "other.h5": (lambda path, data: h5py.File(path, "w").close(), ["hyperspy cannot read it"]),
    "new.dm5": (
        lambda path, data: path.write_bytes(b"\x89HDF\r\n\x1a\n"),
        ["suffix .dm5", "expected dm3"],
    ),
    "nosuffix": (lambda path, data: path.write_bytes(b"?"), ["without a suffix", "expected dm3"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_sentence_for_what_cannot_be_read(tmp_path, name):
    write, words = WRONG[name]
    write(tmp_path / name, DATA)
    with pytest.raises(InputError) as error:
        load_image(tmp_path / name)
    said = str(error.value)
    assert said.startswith(f"{tmp_path / name}: ")
    assert "\n" not in said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    "name",
    "nm.dm3 nm.dm4 m.emd ncem.emd one.ser map.mrc swift.ndata1 swift.nhdf swift.h5 fei.tif".split(),
)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.9])
def test_files_that_are_cut_off(tmp_path, name, share):
    """As a copy that was broken off leaves them: said in words, not in those of the reader alone."""
    path = tmp_path / name
    FILES[name](path, DATA)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    said = "is empty; copy it again" if share == 0 else "seems cut off or damaged"
    with pytest.raises(InputError, match=said):
        load_image(path)


def test_damage_amid_the_data(tmp_path):
    """Which are left in the file until they are used."""
    path = tmp_path / "compressed.emd"
    noise = np.random.default_rng(0).integers(0, 60000, (200, 200)).astype(np.uint16)
    FILES[path.name](path, noise)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"compressed\.emd: seems cut off or damaged"):
        load_image(path)


def test_a_file_that_may_not_be_opened(tmp_path, monkeypatch):
    import hyperspy.api as hs

    def load(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hs, "load", load)
    (tmp_path / "a.dm4").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a\.dm4: cannot be opened \(Permission denied\)\."):
        load_image(tmp_path / "a.dm4")


@pytest.mark.parametrize(("name", "package"), [("lzw.tif", "imagecodecs"), ("x.zspy", "numcodecs")])
def test_packages_that_a_file_needs_are_named(tmp_path, monkeypatch, name, package):
    import hyperspy.api as hs

    def load(*_, **__):
        raise ModuleNotFoundError(f"No module named {package!r}")

    monkeypatch.setattr(hs, "load", load)
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"{package}.*pip install \"rosettasciio\["):
        load_image(tmp_path / name)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A small particle along three axes, as three programs save it: whole numbers, and a dark level."""
    folder = tmp_path_factory.mktemp("microscopes")
    sites = tomo.phantoms.random_particle(150, kind="rough", seed=3)
    text = ['[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = 4.08\n']
    names = ("one.dm4", "two.emd", "three.emi")
    for seed, (name, axis) in enumerate(zip(names, ((1, 1, 0), (1, 0, 0), (0, 0, 1)), strict=True)):
        image, _ = stemcount.simulate_crystal(sites * 4.08 / 2, axis, seed=seed, angle=10.0 * seed)
        data = np.clip(np.rint(image.data * 3e4 + 500), 0, 65535).astype(np.uint16)
        if name.endswith("emd"):
            write_velox(folder / name, [("BF", data.max() - data), ("HAADF", data)])
        else:
            FILES[{"one.dm4": "nm.dm4", "three.emi": "one.emi"}[name]](folder / name, data)
        text.append(f'[[image]]\nfile = "{name}"\nzone_axis = {list(axis)}\n')
    (folder / "project.toml").write_text("\n".join(text))
    return folder / "project.toml", sites


def test_a_run_on_three_formats(project, tmp_path):
    """From the files of a dm4, a Velox file of two detectors and TIA to the particle."""
    result = run_project(project[0], tmp_path / "out", runs=2, progress=False, figures=False)
    assert tomo.compare_sites(result.occupied(0.5), project[1]).wrong_fraction <= 0.02


@pytest.mark.parametrize("name", ["stack.emd", "diffraction.dm4", "picture.png"])
def test_a_run_on_what_is_no_image_ends_with_a_sentence(project, tmp_path, capsys, name):
    write = {
        "stack.emd": lambda path: write_velox(path, [("HAADF", FRAMES)]),
        "diffraction.dm4": lambda path: write_dm(path, [dm_image(DATA, 0.02, "1/nm")]),
        "picture.png": lambda path: Image.fromarray(COLOURS).save(path),
    }
    write[name](tmp_path / name)
    (tmp_path / "project.toml").write_text(project[0].read_text().replace("one.dm4", name))
    command = mock.patch.object(sys, "argv", ["stemcount", "run", "project.toml"])
    with contextlib.chdir(tmp_path), command, pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert name in said
    assert "expected" in said
    assert "Traceback" not in said
