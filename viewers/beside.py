"""The images beside the atoms of a result folder: one of them is shown with its columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .atoms import PICKED_COLOUR
from .display import numbers_when_near, tell_colours
from .picked import on_line

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Points

    from tomo.result import Reconstruction

OF_SPECIES = "atoms_"
"""Before the names of species in a table of columns of several, the counted one first."""
RING = 0.2
"""Width of the ring around the column of a clicked atom, as a share of its disc."""
SHARE_OF_CANVAS = 0.92
"""That an image fills."""


def of_folder(folder: Path) -> dict[str, str]:
    """Metadata of the layers of one result, by which atoms, images and columns find each other."""
    return {"folder": str(folder.absolute())}


def beside_atoms(folder: Path, name: str) -> dict[str, str]:
    """Metadata of the layers of one image of a run, by which they find each other and the atoms of their run.

    Names of layers do not tell: napari changes them where two results in one window have images of one
    name. `folder` is that of the result, `name` that of the image in its run.
    """
    return {"beside_atoms": name, **of_folder(folder)}


def image_names(viewer: Viewer, folder: str | None) -> list[str]:
    """Layers of the images beside the atoms of a result folder, the last added first, as in napari's list."""
    return [layer.name for layer in reversed(viewer.layers) if _is_beside(layer, folder, "Image")]


def _is_beside(layer: Any, folder: str | None, kind: str, name: str | None = None) -> bool:
    """Whether a layer of a kind belongs to one image of a result folder, or to any of them."""
    found = layer.metadata.get("beside_atoms")
    own = found is not None and layer.metadata.get("folder") == folder and type(layer).__name__ == kind
    return own and name in (None, found)


def columns_of_image(viewer: Viewer, folder: str | None, name: str) -> Points | None:
    """Layer of the columns of an image of a result folder."""
    return next((layer for layer in viewer.layers if _is_beside(layer, folder, "Points", name)), None)


def counted_words(columns: Points | None) -> str:
    """What the colours of a run's columns are: atoms, of the counted species where there are several."""
    names = [] if columns is None else [str(name) for name in columns.features]
    counted = [f"{name.removeprefix(OF_SPECIES)} " for name in names if name.startswith(OF_SPECIES)]
    return f"colour: {''.join(counted[:1])}atoms in the column"


def show_image(viewer: Viewer, name: str) -> None:
    """Show one layer's image with its columns and nothing else, whole and in the middle of the canvas."""
    image = viewer.layers[name]
    columns = columns_of_image(viewer, image.metadata["folder"], image.metadata["beside_atoms"])
    for layer in viewer.layers:
        layer.visible = layer.name == name or (columns is not None and layer.name == columns.name)
    viewer.dims.ndisplay = 2
    viewer.canvas.background_color_override = None
    low, high = image.extent.world
    span = np.maximum(high - low, 1e-6)
    viewer.scene.camera.center = tuple((low + high) / 2)
    viewer.scene.camera.zoom = SHARE_OF_CANVAS * float(np.min(np.asarray(viewer.canvas.size) / span))
    viewer.canvas.overlays["scale_bar"].visible = True
    if columns is not None:
        columns.face_colorbar.visible = True
        numbers_when_near(viewer, columns)
        tell_colours(viewer, counted_words(columns))
        viewer.layers.selection.active = columns


def select_columns(viewer: Viewer, result: Reconstruction, folder: str | None, site: np.ndarray) -> None:
    """Select the column of every image of a folder that a site of the counted species lies in and ring it."""
    for view in result.views:
        columns = columns_of_image(viewer, folder, view.name)
        if columns is None or "h" not in columns.features:
            continue
        features = columns.features
        sites = np.column_stack([np.asarray(features[axis], float) for axis in "hkl"])
        on_lattice = np.flatnonzero(np.isfinite(sites).all(axis=1))
        here = on_lattice[on_line(sites[on_lattice].astype(int), site, view)]
        columns.selected_data = set(here.tolist())  # napari's own mark is a thin line
        columns.border_color = PICKED_COLOUR
        columns.border_width = np.where(np.isin(np.arange(len(columns.data)), here), RING, 0.0)
