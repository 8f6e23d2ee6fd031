"""`stemcount view` and `stemcount export`: a result out of the program."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import tomo
from stemcount.errors import InputError
from stemcount.finding.fitted import find_and_fit_columns
from stemcount.images.files import IMAGE_FOLDERS
from tomo.result_file import holds_reconstruction

from ..one_image.columns import load_image_or_average
from .parsing import file_to_write, parse_signal


def view_path(paths: Sequence[Path], pixel_size: float | None, signal: str | None, average: bool) -> None:
    """Open a result folder, a reconstruction or an image in napari and wait until it is closed.

    More `paths` than one are results: the first is compared with the second.
    `pixel_size` [A], `signal` and `average` are those of an image, as `stemcount fit` takes them.
    """
    try:
        import napari
    except ImportError as error:
        raise InputError(f"stemcount view: needs napari; install stemcount[gui] ({error}).") from error
    import viewers
    from viewers.compared_results import view_compared
    from viewers.plugin import STRUCTURES
    from viewers.result_folder import why_no_atoms

    if len(paths) > 1:
        view_compared(paths)
        napari.run()
        return
    path = paths[0]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    if path.is_dir() and path.suffix.lower() not in IMAGE_FOLDERS:
        viewers.view_result(path)
        if (said := why_no_atoms(path)) is not None:
            print(f"{path}: {said}", file=sys.stderr)
    elif holds_reconstruction(path):
        viewers.view_atoms(tomo.load_reconstruction(path))
    elif path.suffix.lower() in STRUCTURES:
        raise InputError(f"{path}: drop it into a napari window, or view the result folder that it is from.")
    else:
        image = load_image_or_average(path, average, None, pixel_size, parse_signal(signal))
        viewers.view_columns(image, find_and_fit_columns(image))
    napari.run()


def export_result(folder: Path, format: str, out: Path | None) -> Path:
    """Write the atoms of a result in another format; return the file."""
    import viewers

    format = format.lower()
    if format not in viewers.EXPORT_FORMATS:
        raise InputError(f"--format {format}: expected one of {', '.join(viewers.EXPORT_FORMATS)}.")
    result = tomo.load_reconstruction(folder)
    path = file_to_write(out, (folder if folder.is_dir() else folder.parent) / f"atoms.{format}")
    viewers.export(result, path, format)
    return path
