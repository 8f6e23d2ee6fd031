"""Files as the programs of microscopes write them, for tests of how they are read.

Each writer keeps to what is published of its format and to what hyperspy's readers look for. Pixel sizes
are given in the unit that the program itself writes.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# --- Gatan DigitalMicrograph -------------------------------------------------------------------------------

DM_TYPES = {"i2": 1, "f4": 2, "c8": 3, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12}
DM_CODES = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "i1": 9, "u1": 10}  # of tags and arrays


class _DmTags:
    """A tree of tags: dicts are groups, lists groups without names, arrays and numbers data."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.number = ">q" if version == 4 else ">i"

    def _n(self, *values: int) -> bytes:
        return b"".join(struct.pack(self.number, v) for v in values)

    def group(self, content: dict[str, Any] | list[Any], root: bool = False) -> bytes:
        items = content.items() if isinstance(content, dict) else (("", v) for v in content)
        tags = b"".join(self.tag(name, value) for name, value in items)
        body = b"\x01\x00" + self._n(len(content)) + tags  # sorted, not open
        return self._n(len(body)) + body if self.version == 4 and not root else body

    def tag(self, name: str, value: Any) -> bytes:
        is_group = isinstance(value, dict | list)
        head = struct.pack(">bh", 20 if is_group else 21, len(name)) + name.encode("latin-1")
        if is_group:
            return head + self.group(value)
        size = b"\0" * 8 if self.version == 4 else b""
        return head + size + b"%%%%" + self.data(value)

    def data(self, value: Any) -> bytes:
        if isinstance(value, str):
            value = np.frombuffer(value.encode("utf-16-le"), "<u2")
        if isinstance(value, tuple):  # a struct of floats
            fields = [v for _ in value for v in (0, DM_CODES["f4"])]
            info = [15, 0, len(value), *fields]
            return self._n(len(info), *info) + struct.pack(f"<{len(value)}f", *value)
        if isinstance(value, np.ndarray):
            if value.dtype == "c8":
                info = [20, 15, 0, 2, 0, 6, 0, 6, value.size]
            else:
                info = [20, DM_CODES[value.dtype.str[1:]], value.size]
            return self._n(len(info), *info) + value.tobytes()
        code, form = (
            (8, "<B") if isinstance(value, bool) else (7, "<d") if isinstance(value, float) else (5, "<L")
        )
        return self._n(1, code) + struct.pack(form, value)


def dm_image(
    data: np.ndarray,
    scale: float | Sequence[float] = 1.0,
    units: str = "",
    origin: float = 0.0,
    name: str = "HAADF",
    rgb: bool = False,
) -> dict[str, Any]:
    """One entry of the list of images; `origin` is the pixel at which the scale has its zero."""
    shape = data.shape[:-1] if rgb else data.shape
    scales = [scale] * data.ndim if np.isscalar(scale) else list(scale)
    stored = np.ascontiguousarray(data).ravel()
    dimension = [
        {"Origin": float(origin), "Scale": float(s), "Units": units if k < 2 else ""}
        for k, (_, s) in enumerate(zip(shape, scales, strict=False))
    ]
    return {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": "Counts"},
                "Dimension": dimension,
                "DisplayCalibratedUnits": True,
            },
            "Data": stored.view("<u4") if rgb else stored,
            "DataType": 23 if rgb else DM_TYPES[data.dtype.str[1:]],
            "Dimensions": [int(s) for s in shape[::-1]],
            "PixelDepth": 4 if rgb else data.dtype.itemsize,
        },
        "ImageTags": {
            "DigiScan": {"Sample Time": 16.0},
            "Microscope Info": {"Voltage": 300000.0, "Illumination Mode": "STEM NANOPROBE"},
        },
        "Name": name,
        "UniqueID": [1, 2, 3, 4],
    }


def write_dm(path: Path, images: Sequence[dict[str, Any]], thumbnail: bool = True) -> None:
    """A .dm3 or .dm4 file, by its suffix, with the thumbnail first as DigitalMicrograph has it."""
    version = 4 if path.suffix.lower() == ".dm4" else 3
    small = dm_image(np.zeros((8, 8, 4), np.uint8), rgb=True, name="")
    tree: dict[str, Any] = {
        "ApplicationBounds": (0.0, 0.0, 1.0, 1.0),
        "DocumentObjectList": [{"ImageSource": 0}],
        "ImageList": [small, *images] if thumbnail else list(images),
        "InImageMode": True,
    }
    if thumbnail:
        tree["Thumbnails"] = [{"ImageIndex": 0, "SourceSize_Pixels": (8.0, 8.0)}]
    tags = _DmTags(version)
    body = tags.group(tree, root=True) + b"\0" * 8
    size = struct.pack(tags.number, len(body))
    path.write_bytes(struct.pack(">i", version) + size + struct.pack(">i", 1) + body)


# --- Thermo Fisher Velox -----------------------------------------------------------------------------------


def write_velox(
    path: Path,
    images: Sequence[tuple[str, np.ndarray]],
    pixel: float = 2e-11,
    unit: str = "m",
    offset: tuple[float, float] = (0.0, 0.0),
    version: int = 11,
    spectrum_image: bool = False,
    **storage: Any,
) -> None:
    """An .emd file of images (rows, cols) or stacks (frames, rows, cols), and their detectors' names."""
    names = list(dict.fromkeys(name for name, _ in images))
    detectors = {
        f"Detector-{k}": {"DetectorName": name, "DetectorType": "ScanningDetector", "Enabled": "true"}
        for k, name in enumerate(names)
    }

    def text(value: dict[str, Any]) -> np.ndarray:
        return np.array([json.dumps(value).encode()], dtype=object)

    def put(group: h5py.Group, name: str, value: dict[str, Any]) -> None:
        group.create_dataset(name, data=text(value), dtype=h5py.string_dtype("utf-8"))

    with h5py.File(path, "w") as file:
        put(file, "Version", {"format": "Velox", "version": str(version)})
        for k, (name, data) in enumerate(images):
            key = f"{k:032x}"
            frames = data[None] if data.ndim == 2 else data
            group = file.create_group(f"Data/Image/{key}")
            group.create_dataset(
                "Data", data=np.moveaxis(frames, 0, 2), chunks=(*frames.shape[1:], 1), **storage
            )
            metadata = {
                "Core": {"MetadataDefinitionVersion": "7.9"},
                "Instrument": {"InstrumentClass": "Titan", "Manufacturer": "FEI Company"},
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1600000000"}, "BeamType": ""},
                "Optics": {
                    "AccelerationVoltage": "300000",
                    "CameraLength": "0.115",
                    "BeamConvergence": "0.0212",
                },
                "Scan": {
                    "DwellTime": "2e-06",
                    "FrameTime": "0.6",
                    "ScanSize": {"width": "64", "height": "64"},
                },
                "CustomProperties": {"StemMagnification": {"type": "double", "value": "5.1e6"}},
                "Detectors": detectors,
                "BinaryResult": {
                    "AcquisitionUnit": "",
                    "CompositionType": "",
                    "DetectorIndex": str(names.index(name)),
                    "Encoding": "",
                    "Offset": {"x": str(offset[0]), "y": str(offset[1])},
                    "PixelSize": {"width": str(pixel), "height": str(pixel)},
                    "PixelUnitX": unit,
                    "PixelUnitY": unit,
                },
            }
            raw = np.frombuffer(json.dumps(metadata).encode().ljust(4096, b"\0"), np.uint8)
            group.create_dataset("Metadata", data=np.repeat(raw[:, None], len(frames), axis=1))
            if version < 11:
                operation = {"detector": name, "dataPath": f"/Data/Image/{key}"}
                put(file.require_group("Operations/StemInputOperation"), key, operation)
            elif spectrum_image:
                reference = f"/SharedProperties/ImageSeriesDataReference/{key}"
                put(file, reference, {"dataPath": f"/Data/Image/{key}"})
                put(file, f"/Displays/ImageDisplay/{key}", {"data": reference, "id": name})
        if spectrum_image:
            file.create_group("Data/SpectrumImage")


# --- TIA (.ser, .emi) --------------------------------------------------------------------------------------

TIA_TYPES = {"u1": 1, "u2": 2, "u4": 3, "i1": 4, "i2": 5, "i4": 6, "f4": 7, "f8": 8}


def write_ser(path: Path, frames: np.ndarray, pixel: float = 2e-11, of: int = 0, wide: bool = False) -> None:
    """Images (rows, cols) or series (frames, rows, cols) with the origin at the lower left; [m].

    A series that was to have more frames, `of` so many, was stopped. `wide` places are of TIA's 64-bit kind.
    """
    place, version = ("Q", 0x220) if wide else ("I", 0x210)
    frames = frames[None] if frames.ndim == 2 else frames
    number, (rows, cols) = len(frames), frames.shape[1:]
    element = b""
    places = []
    description, unit = b"Number", b""
    head_size = (34 if wide else 30) + 24 + len(description) + 4 + len(unit) + 4
    for frame in frames:
        places.append(head_size + len(element))
        calibration = struct.pack("<ddI", 0.0, pixel, 0)
        element += calibration * 2 + struct.pack("<HII", TIA_TYPES[frame.dtype.str[1:]], cols, rows)
        element += np.ascontiguousarray(frame[::-1]).tobytes() + struct.pack("<HHI", 0x4152, 0, 1600000000)
    offsets = head_size + len(element)
    head = struct.pack("<HHHIIII", 0x4949, 0x197, version, 0x4122, 0x4152, of or number, number)
    head += struct.pack(f"<{place}I", offsets, 1)
    head += struct.pack("<IddI", of or number, 0.0, 1.0, 0)
    head += struct.pack("<I", len(description)) + description + struct.pack("<I", len(unit)) + unit
    tags = [p + 50 + frames[0].nbytes for p in places]
    path.write_bytes(head + element + struct.pack(f"<{2 * number}{place}", *places, *tags))


def write_emi(path: Path, mode: str = "STEM nP SA Zoom Diffraction", detectors: int = 1) -> None:
    """The .emi beside the .ser files of an acquisition: of binary with one piece of XML for each detector."""
    description = {
        "Microscope": ("Microscope Titan 300 kV", ""),
        "Mode": (mode, ""),
        "High tension": ("300", "kV"),
    }
    rows = "".join(
        f"<Data><Label>{k}</Label><Value>{v}</Value><Unit>{u}</Unit></Data>"
        for k, (v, u) in description.items()
    )
    xml = (
        "<ObjectInfo><Uuid>x</Uuid><AcquireDate>Wed Feb 05 20:12:39 2020</AcquireDate>"
        "<AcquireInfo><DwellTimePath>2e-06</DwellTimePath></AcquireInfo>"
        f"<ExperimentalDescription><Root>{rows}</Root></ExperimentalDescription></ObjectInfo>"
    )
    path.write_bytes(b"JL\x02\x00" + (b"\x00\x01" + xml.encode()) * detectors + b"\x00")


# --- MRC ---------------------------------------------------------------------------------------------------

MRC_MODES = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "c8": 4, "u2": 6, "f2": 12}


def write_mrc(path: Path, data: np.ndarray, pixel: float = 0.2, fei: bool = False, order: str = "<") -> None:
    """A map of images, its size in A in the header, or, of `fei`, the pixel size in m in the extended one."""
    stack = data[None] if data.ndim == 2 else data
    sections, rows, cols = stack.shape
    statistics = [float(np.real(f(stack))) for f in (np.min, np.max, np.mean)]
    cell = [0.0, 0.0, 0.0] if fei else [cols * pixel, rows * pixel, 0.0]
    extended = 131072 if fei else 0
    head = struct.pack(f"{order}4i", cols, rows, sections, MRC_MODES[data.dtype.str[1:]])
    head += struct.pack(f"{order}6i6f3i", 0, 0, 0, cols, rows, sections, *cell, 90.0, 90.0, 90.0, 1, 2, 3)
    head += struct.pack(f"{order}3f2i", *statistics, 0, extended)
    head = head.ljust(196, b"\0") + struct.pack(f"{order}3f", 0.0, 0.0, 0.0)
    head += b"MAP " + (b"DA\0\0" if order == "<" else b"\x11\x11\0\0")
    block = np.zeros((1024, 32), f"{order}f4")
    if fei:
        block[:sections, 11] = pixel * 1e-10
    rest = block.tobytes() if fei else b""
    path.write_bytes(head.ljust(1024, b"\0") + rest + stack.astype(data.dtype.newbyteorder(order)).tobytes())


# --- EMD of the NCEM and of py4DSTEM -----------------------------------------------------------------------


def write_ncem(path: Path, images: dict[str, np.ndarray], pixel: float = 0.02, unit: str = "[n_m]") -> None:
    """EMD 0.2 as Berkeley's programs write it: x first, one group for each image."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        for name, data in images.items():
            group = file.create_group(f"data/{name}")
            group.attrs["emd_group_type"] = 1
            group.create_dataset("data", data=data.T)
            for k, size in enumerate(data.T.shape, start=1):
                dim = group.create_dataset(f"dim{k}", data=np.arange(size) * pixel)
                dim.attrs["name"], dim.attrs["units"] = "xyz"[k - 1], unit


def write_py4dstem(path: Path, images: dict[str, np.ndarray], pixel: float = 0.2, unit: str = "A") -> None:
    """EMD 1.0 as py4DSTEM writes it: virtual images beside the data cube that they come from."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"emd_group_type": "file", "version_major": 1, "version_minor": 0})
        root = file.create_group("datacube_root")
        root.attrs.update({"emd_group_type": "root", "python_class": "Root"})
        cube = root.create_group("datacube")
        cube.attrs.update({"emd_group_type": "array", "python_class": "DataCube"})
        cube.create_dataset("data", data=np.zeros((3, 4, 5, 6), np.uint16))
        for k in range(4):
            axis = cube.create_dataset(f"dim{k}", data=[0.0, pixel])
            axis.attrs.update({"name": ("Rx", "Ry", "Qx", "Qy")[k], "units": unit if k < 2 else "A^-1"})
        for name, data in images.items():
            group = cube.create_group(name)
            group.attrs.update({"emd_group_type": "array", "python_class": "VirtualImage"})
            group.create_dataset("data", data=data)
            for k in range(2):
                axis = group.create_dataset(f"dim{k}", data=[0.0, pixel])
                axis.attrs.update({"name": f"dim{k}", "units": unit})


# --- Nion Swift --------------------------------------------------------------------------------------------


def nion_properties(
    data: np.ndarray, pixel: float = 0.02, unit: str = "nm", title: str = "HAADF"
) -> dict[str, Any]:
    """What Swift says of a data item; its scale has its zero in the middle."""
    image = [{"offset": -s * pixel / 2, "scale": pixel, "units": unit} for s in data.shape[-2:]]
    frames = [{"offset": 0.0, "scale": 1.0, "units": ""}] * (data.ndim - 2)
    return {
        "title": title,
        "is_sequence": data.ndim == 3,
        "collection_dimension_count": 0,
        "datum_dimension_count": 2,
        "dimensional_calibrations": frames + image,
        "intensity_calibration": {"offset": 0.0, "scale": 1.0, "units": "counts"},
        "metadata": {"instrument": {"high_tension": 100000.0}},
    }


def write_ndata(path: Path, data: np.ndarray, **said: Any) -> None:
    """.ndata1 as it is exported, in which the calibrations have an older name."""
    properties = nion_properties(data, **said)
    properties["spatial_calibrations"] = properties.pop("dimensional_calibrations")
    stored = io.BytesIO()
    np.save(stored, data)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps(properties))
        archive.writestr("data.npy", stored.getvalue())


def write_nion_h5(path: Path, data: np.ndarray, **said: Any) -> None:
    """.h5 as it lies in a project."""
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data).attrs["properties"] = json.dumps(nion_properties(data, **said))


def write_nhdf(path: Path, images: dict[str, np.ndarray], **said: Any) -> None:
    """.nhdf as it is exported, of one or several data items."""
    with h5py.File(path, "w") as file:
        file.create_group("index").attrs["1"] = "{}"
        for k, (title, data) in enumerate(images.items()):
            item = file.create_dataset(f"data/{k}", data=data)
            item.attrs["properties"] = json.dumps(nion_properties(data, title=title, **said))
