"""Data sets of the files that microscopes write, as hyperspy signals."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .nion import SUFFIXES as NION
from .nion import is_nion, nion_signals

# What hyperspy's reader of EMD files has to be told. Of Velox: spectra may be large and are not wanted; all
# frames beside them are, of which it would take the first. Of other programs: groups stay apart, whatever
# their names have in common. The data are left in the file until they are used.
EMD: dict[str, Any] = {
    "select_type": "images",
    "load_SI_image_stack": True,
    "stack_group": False,
    "lazy": True,
}
IMAGE_FOLDERS = (".zspy", ".zarr")  # suffixes of folders that hold one image
HDF5 = (".h5", ".hdf5")  # of many programs
PICTURES = (".png", ".bmp", ".jpg", ".jpeg", ".gif")
COLOURED = ("P", "PA", "RGB", "RGBA")  # modes of pictures that may have colours
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
EXTRAS = {
    ".zspy": "zspy",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".mrcz": "mrcz",
}  # of rosettasciio, that formats need


@contextmanager
def quiet() -> Iterator[None]:
    """Without hyperspy's and rosettasciio's messages and warnings: the user gets one sentence from us."""
    loggers = [logging.getLogger(n) for n in ("hyperspy", "rsciio", "hyperspy.io")]
    before = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(loggers, before, strict=True):
            log.setLevel(level)


def read_signals(path: Path) -> list[Any]:
    """All data sets of a file; InputError if there is no such file, or it cannot be read.

    Those of large files may stay in the file, which is then open until `close_signals` is called.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError(f"{path}: no such file; expected an image that hyperspy reads.")
    if path.is_dir() and suffix not in IMAGE_FOLDERS:
        raise InputError(f"{path}: is a folder; expected an image file.")
    with quiet():
        _require_hyperspy()
        try:
            signals = _read(path, suffix)
        except Exception as error:
            raise InputError(_complaint(path, suffix, error)) from error
    if suffix == ".emi" and not signals:
        raise InputError(
            f"{path}: no images of its were found beside it; expected {path.stem}_1.ser, ..., or give such a"
            " file instead."
        )
    return signals


def _require_hyperspy() -> None:
    """Hyperspy makes a folder for its settings when it is imported; where it cannot, no file is to blame."""
    try:
        import hyperspy.api  # noqa: F401
    except OSError as error:
        raise InputError(
            f"hyperspy cannot make a folder for its settings ({error.filename}: {error.strerror}); set HOME"
            " to one that can be written to."
        ) from error


def close_signals(signals: Sequence[Any]) -> None:
    """Close the file that signals left their data in."""
    with quiet():
        for signal in signals:
            if getattr(signal, "_lazy", False):
                signal.close_file()


def _read(path: Path, suffix: str) -> list[Any]:
    import hyperspy.api as hs

    if is_nion(path):
        return nion_signals(path)
    if suffix in PICTURES and (picture := _picture(path)) is not None:
        return [picture]
    if suffix == ".emd" or (suffix in HDF5 and _is_emd(path)):
        hints: dict[str, Any] = {"reader": "EMD", **EMD}
    else:
        hints = {"reader": "HSPY"} if suffix in HDF5 else {}
    try:
        loaded = hs.load([str(path)], **hints)  # a list: in a lone name, brackets would be a pattern
    except ValueError:
        if not hints.get("lazy"):
            raise
        loaded = hs.load([str(path)], **hints | {"lazy": False})  # its data are not in chunks
    signals = list(loaded) if isinstance(loaded, list | tuple) else [loaded]
    if suffix == ".emi":  # its images have no titles
        for signal in signals:
            signal.metadata.General.title = signal.metadata.get_item("General.original_filename", "")
    return signals


def _complaint(path: Path, suffix: str, error: Exception) -> str:
    """One sentence on a file that cannot be read, with the remedy where there is one."""
    from rsciio import IO_PLUGINS

    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    reason = reason[:200].rstrip(".")
    if suffix in EXTRAS and (isinstance(error, ModuleNotFoundError) or "imagecodecs" in reason):
        cure = f'pip install "rosettasciio[{EXTRAS[suffix]}]"'
        return f"{path}: reading it needs a Python package that is not installed ({reason}); try: {cure}"
    read = {f".{name.lower()}" for plugin in IO_PLUGINS for name in plugin["file_extensions"]}
    if suffix not in read | set(NION):
        what = f"files with the suffix {suffix}" if suffix else "files without a suffix"
        return f"{path}: hyperspy does not read {what}; expected dm3, dm4, emd, ser, mrc, tif, hspy, ..."
    if suffix == ".csv":  # some instruments keep their logs in such files
        return f"{path}: is a table, no image; expected dm3, dm4, emd, ser, mrc, tif, hspy, ..."
    if isinstance(error, OSError) and error.errno is not None:  # of the system, not of what is in the file
        return f"{path}: cannot be opened ({os.strerror(error.errno)})."
    if path.is_file() and path.stat().st_size == 0:
        return f"{path}: is empty; copy it again from the microscope."
    return seems_damaged(str(path), reason)


def seems_damaged(label: str, reason: str) -> str:
    """One sentence on a file whose content is not what its suffix promises."""
    return (
        f"{label}: seems cut off or damaged, or of another kind than its suffix says; copy it again from the"
        f" microscope (hyperspy cannot read it: {reason})."
    )


def _is_emd(path: Path) -> bool:
    """Whether a file with another suffix is one of the EMD format, which tells its version."""
    import h5py

    with h5py.File(path) as file:
        return any("version_major" in group.attrs for group in (file, *file.values()))


def _picture(path: Path) -> Any:
    """A picture that may have colours or an opacity, as a signal; None of others, which hyperspy reads.

    It cannot read a grey picture with an opacity, and takes one for grey whose green and blue are alike.
    """
    import hyperspy.api as hs
    from PIL import Image

    with Image.open(path) as picture:
        if picture.mode == "LA":
            return hs.signals.Signal2D(np.asarray(picture.getchannel("L")))
        if picture.mode in COLOURED:
            colours = np.ascontiguousarray(picture.convert("RGB"))
            return hs.signals.Signal2D(colours.view(RGB)[..., 0])
    return None
