"""The images beside the atoms of a result folder: one of them is shown with its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .atoms import PICKED_COLOUR
from .picked import on_line

if TYPE_CHECKING:
    from napari import Viewer

    from tomo.result import Reconstruction

RING = 0.2
"""Width of the ring around the column of a clicked atom, as a share of its disc."""
SHARE_OF_CANVAS = 0.92
"""That an image fills."""


def image_names(viewer: Viewer) -> list[str]:
    """Names of the images that lie beside atoms in a window, the last added first, as napari lists them."""
    return [
        layer.name
        for layer in reversed(viewer.layers)
        if layer.metadata.get("beside_atoms") and type(layer).__name__ == "Image"
    ]


def show_image(viewer: Viewer, name: str) -> None:
    """Show one image with its columns and nothing else, whole and in the middle of the canvas.

    Parameters
    ----------
    viewer : napari.Viewer
    name : str
        Layer of the image; its columns are in the layer "`name` columns", if there is one.
    """
    for layer in viewer.layers:
        layer.visible = layer.name in (name, f"{name} columns")
    viewer.dims.ndisplay = 2
    viewer.canvas.background_color_override = None
    low, high = viewer.layers[name].extent.world
    span = np.maximum(high - low, 1e-6)
    viewer.scene.camera.center = tuple((low + high) / 2)
    viewer.scene.camera.zoom = SHARE_OF_CANVAS * float(np.min(np.asarray(viewer.canvas.size) / span))
    viewer.canvas.overlays["scale_bar"].visible = True
    if f"{name} columns" in viewer.layers:
        columns = viewer.layers[f"{name} columns"]
        columns.face_colorbar.visible = True
        caption = viewer.canvas.overlays["text"]
        caption.text, caption.position, caption.visible = "colour: atoms in the column", "top_left", True
        viewer.layers.selection.active = columns


def select_columns(viewer: Viewer, result: Reconstruction, site: np.ndarray) -> None:
    """Select the column of every image that a site of the counted species lies in and ring it."""
    for view in result.views:
        name = f"{view.name} columns"
        if name not in viewer.layers or "h" not in viewer.layers[name].features:
            continue
        features = viewer.layers[name].features
        sites = np.column_stack([np.asarray(features[axis], float) for axis in "hkl"])
        on_lattice = np.flatnonzero(np.isfinite(sites).all(axis=1))
        here = on_lattice[on_line(sites[on_lattice].astype(int), site, view)]
        columns = viewer.layers[name]
        columns.selected_data = set(here.tolist())  # napari's own mark is a thin line
        columns.border_color = PICKED_COLOUR
        columns.border_width = np.where(np.isin(np.arange(len(columns.data)), here), RING, 0.0)
