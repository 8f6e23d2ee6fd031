"""Several results in one napari window, the first of them compared with the second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tomo
from stemcount import InputError
from tomo.result_file import holds_reconstruction

from .atoms import view_atoms
from .display import lay_out
from .plugin import STRUCTURES, get_reader
from .result_folder import is_result_folder, view_result, why_no_atoms

if TYPE_CHECKING:
    from napari import Viewer


def view_compared(paths: Sequence[Path], *, show: bool = True) -> Viewer:
    """Open a napari window with several results, and show where the first differs from the second.

    The others are there as if they had been dropped into the window: the panel's *compare with* lists them.
    `paths` are result folders and files of reconstructions; after the first one structure files (``.xyz``),
    too. InputError if one of them is no result, or one without atoms, napari is not installed or there is
    no display.
    """
    for place, path in enumerate(paths):
        _check(path, structure=place > 0)
    first = paths[0]
    if first.is_dir():
        viewer = view_result(first, show=show)
    else:
        viewer = view_atoms(tomo.load_reconstruction(first), show=show)
    own = viewer.layers["atoms"]

    from napari.layers import Layer

    for path in paths[1:]:
        if (read := get_reader(str(path))) is not None:
            for data in read(str(path)):
                viewer.add_layer(Layer.create(*data))
    viewer.layers.selection.active = own
    lay_out()  # the panel follows, and frames the atoms: that would show them again
    panel = viewer.window.dock_widgets["Atoms"]
    panel.controls.compared.compare(1)
    return viewer


def _check(path: Path, structure: bool) -> None:
    """Raise an InputError unless there are atoms at a path."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    if path.is_dir() and is_result_folder(path):
        if (said := why_no_atoms(path)) is not None:
            raise InputError(f"{path}: nothing to compare. {said}")
    elif not (holds_reconstruction(path) or (structure and path.suffix.lower() in STRUCTURES)):
        raise InputError(
            f"{path}: expected a result to compare with another"
            + (", or a structure file (.xyz)." if structure else "; images are seen one at a time.")
        )
