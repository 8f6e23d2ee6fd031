"""`stemcount view` and `stemcount export`: a result out of the program."""

from __future__ import annotations

from pathlib import Path

import stemcount
import tomo
from stemcount.errors import InputError


def view_path(path: Path) -> None:
    """Open a result folder, a reconstruction or an image in napari and wait until it is closed."""
    try:
        import napari
    except ImportError as error:
        raise InputError(f"stemcount view: needs napari; install stemcount[gui] ({error}).") from error
    import viewers

    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    if path.is_dir() or (path.suffix == ".h5" and _holds_reconstruction(path)):
        viewers.view_atoms(tomo.load_reconstruction(path))
    else:
        image = stemcount.load_image(path)
        fit = stemcount.fit_columns(image, stemcount.find_columns(image))
        viewers.view_columns(image, fit)
    napari.run()


def _holds_reconstruction(path: Path) -> bool:
    """Whether an HDF5 file is one of ours rather than an image."""
    try:
        tomo.load_reconstruction(path)
    except InputError:
        return False
    except ValueError:
        return False
    return True


def export_result(folder: Path, format: str, out: Path | None) -> Path:
    """Write the atoms of a result in another format; return the file."""
    import viewers

    if format not in viewers.EXPORT_FORMATS:
        raise InputError(f"--format {format}: expected one of {', '.join(viewers.EXPORT_FORMATS)}.")
    result = tomo.load_reconstruction(folder)
    path = out or (folder if folder.is_dir() else folder.parent) / f"atoms.{format}"
    viewers.export(result, path, format)
    return path
