"""Files of Nion Swift, which hyperspy does not read.

A data item is an array and what Swift says of it, in JSON: a calibration of each axis and how many of them,
the last ones, are those of an image. An exported ``.ndata1`` is a zip archive of both. In the HDF5 files
``.nhdf`` (exported, of one or several items) and ``.h5`` (in a project) the text is an attribute of the
array.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARCHIVES = (".ndata", ".ndata1")
SUFFIXES = (*ARCHIVES, ".nhdf", ".h5")
CALIBRATIONS = ("dimensional_calibrations", "spatial_calibrations")  # the second in exports

Item = tuple[NDArray[Any], dict[str, Any]]


def is_nion(path: Path) -> bool:
    """Whether a file is one of Nion Swift's."""
    suffix = path.suffix.lower()
    if suffix != ".h5":  # which other programs write, too
        return suffix in SUFFIXES
    import h5py

    with h5py.File(path) as file:
        return "data" in file and "properties" in file["data"].attrs


def nion_signals(path: Path) -> list[Any]:
    """A file's items (``.ndata``, ``.ndata1``, ``.nhdf``, ``.h5``) as hyperspy signals, in its order."""
    items = _of_archive(path) if path.suffix.lower() in ARCHIVES else _of_hdf5(path)
    return [_signal(data, said) for data, said in items]


def _of_archive(path: Path) -> Iterator[Item]:
    with zipfile.ZipFile(path) as archive:
        data = np.load(io.BytesIO(archive.read("data.npy")))
        yield data, json.loads(archive.read("metadata.json"))


def _of_hdf5(path: Path) -> Iterator[Item]:
    import h5py

    with h5py.File(path) as file:
        found = file["data"]
        arrays = (
            [found] if isinstance(found, h5py.Dataset) else [found[k] for k in sorted(found, key=_number)]
        )
        for array in arrays:
            yield array[()], json.loads(array.attrs["properties"])


def _number(key: str) -> tuple[int, str]:
    return (int(key) if key.isdecimal() else -1, key)


def _signal(data: NDArray[Any], said: dict[str, Any]) -> Any:
    """One data item as a signal, whose last axes are those of a datum: two of an image."""
    from hyperspy.signals import BaseSignal

    calibrations = next((said[name] for name in CALIBRATIONS if name in said), None) or []
    if len(calibrations) != data.ndim:
        calibrations = [{}] * data.ndim
    first = data.ndim - int(said.get("datum_dimension_count", min(data.ndim, 2)))
    axes = [
        {
            "size": size,
            "scale": c.get("scale", 1.0),
            "offset": c.get("offset", 0.0),
            "units": c.get("units", ""),
            "navigate": axis < first,
        }
        for axis, (size, c) in enumerate(zip(data.shape, calibrations, strict=True))
    ]
    return BaseSignal(data, axes=axes, metadata={"General": {"title": said.get("title") or ""}})
