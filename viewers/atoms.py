"""The atoms of a reconstruction in napari: spheres by certainty, with the controls to look inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

import tomo

from .agreement_figures import measured_counts, view_name
from .atom_data import Selection, atom_properties, colour_scales, visible
from .atom_figures import atom_positions, lattice_parameter, oblique_view
from .atom_table import atom_table, species_rgba, sphere_diameters
from .column_figures import column_distance
from .display import (
    LayerData,
    add_panel,
    coloured_by,
    lay_out,
    open_window,
    sphere_look,
    tell_colours,
)
from .geometry import view_rotation
from .options import check_result
from .style import DIFFERENCE_COLORMAP

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Points

    from tomo import View
    from tomo.result import Reconstruction


CANVAS_COLOUR = "#eceef1"
"""Behind the atoms: light, so that doubtful atoms, which are dark, stand out."""
DARK = 2
"""Atoms too many or too few from which on the disc of a column is too dark for black numbers."""
DISC, TOUCHING_DISC = 0.8, 1.0
"""Diameters of the discs of columns [distances between columns]."""
MANY_DISCS = 1000
"""More discs than this are too small to be seen one by one: they touch and hide the atoms behind."""
AXES_BOX_COLOUR = "#2b2f36c0"
"""Behind the axes: dark, since napari draws two yellow and cyan whatever the canvas; atoms shine through."""
PICKED_COLOUR = "#e0218a"
"""Around atoms that were clicked: a colour that no colour map holds."""


def atom_layer_data(result: Reconstruction, name: str = "atoms") -> tuple[Any, dict[str, Any], str]:
    """Positions and display settings of the atoms as napari takes them from a reader.

    Atoms of one species are coloured by certainty, of several by species. The layer's axes are x, y, z of
    the crystal in this order, which napari's default orientation shows as a right-handed frame. The layer
    holds the atoms that are drawn, not all candidate sites: napari 0.9 ignores a layer's ``shown`` mask
    when all its axes are displayed, and a small layer is fast. ``metadata`` holds the rest: the
    reconstruction, and the table of its sites, whose neighbours take a second to find in a large crystal.
    """
    table = atom_table(result)
    drawn = visible(table, Selection())
    features = {**atom_properties(table), "species": table.species}
    properties: dict[str, Any] = {
        "name": name,
        "features": {key: values[drawn] for key, values in features.items()},
        "size": sphere_diameters(result, table)[drawn],
        "border_color": PICKED_COLOUR,
        "metadata": {"reconstruction": result, "table": table},
        **sphere_look(result.crystal is not None),
    }
    if result.companions:
        properties["face_color"] = species_rgba(result, table)[drawn]
    else:
        scale = colour_scales(table)["certainty"]
        properties |= coloured_by("certainty", scale.colormap, scale.limits)
    return table.positions[drawn], properties, "points"


def count_layer_data(
    result: Reconstruction, view: View, threshold: float = 0.5, run: int | None = None
) -> LayerData:
    """Measured and reprojected counts of a view, as labelled discs in front of the atoms.

    White discs hold the count that both agree on. Where they differ the disc is red (more atoms than
    measured) or blue (fewer), and "8−1" says that 8 were measured and one less was reconstructed. Columns
    without atoms in both, as there are around a core, have no disc.

    Atoms are sites of at least the certainty `threshold`, or those of one of the repeated runs.
    """
    direction = np.asarray(view.zone_axis, float)
    direction /= np.linalg.norm(direction)
    lines = atom_positions(result, view.column_sites)
    lines = every = lines - np.outer(lines @ direction, direction)
    front = float((atom_positions(result) @ direction).min(initial=0.0)) - lattice_parameter(result)
    measured = measured_counts(view)
    atoms = result.occupied(threshold) if run is None else result.sites[result.runs[run]]
    reprojected = tomo.reproject(atoms, view)
    filled = (measured != 0) | (reprojected != 0)
    if filled.any():
        lines, measured, reprojected = lines[filled], measured[filled], reprojected[filled]
    difference = np.nan_to_num(reprojected - measured)
    label = [
        "?" if np.isnan(m) else f"{m:.0f}" if m == r else f"{m:.0f}{r - m:+.0f}".replace("-", "−")
        for m, r in zip(measured, reprojected, strict=True)
    ]
    ink = np.where(np.abs(difference) < DARK, "black", "white")
    distance = column_distance(*(every @ view_rotation(view.zone_axis).T)[:, :2].T)
    properties: dict[str, Any] = {
        "name": f"counts {view_name(view)}",
        "features": {"difference": difference, "label": np.array(label), "ink": ink},
        **coloured_by("difference", DIFFERENCE_COLORMAP, (-2.0, 2.0)),
        "size": (TOUCHING_DISC if len(lines) > MANY_DISCS else DISC) * distance,
        "border_width": 0,
        "shading": "none",
        # so small that "10−1" stays within its disc
        "text": {"string": "{label}", "size": 0.2 * distance, "scaling": True, "color": {"feature": "ink"}},
        "axis_labels": ("x", "y", "z"),
    }
    if result.crystal is not None:
        properties["units"] = ("angstrom",) * 3
    return lines + front * direction, properties, "points"


def look_along(viewer: Viewer, direction: ArrayLike) -> None:
    """Turn the camera so that the electrons' direction [uvw] points into the screen."""
    rotation = view_rotation(direction)
    viewer.scene.camera.set_view_direction(tuple(rotation[2]), tuple(-rotation[1]))


def add_atoms(viewer: Viewer, result: Reconstruction) -> Points:
    """Put the atoms into a napari window as one layer, with its colour bar."""
    positions, properties, _ = atom_layer_data(result)
    layer = viewer.add_points(positions, **properties)
    frame_atoms(viewer, layer)
    return layer


def frame_atoms(viewer: Viewer, layer: Points) -> None:
    """Set a window up for a layer of `atom_layer_data`: 3D, light behind the atoms, axes, scale, colours."""
    result = layer.metadata["reconstruction"]
    layer.face_colorbar.visible = not result.companions
    layer.visible = True
    for other in viewer.layers:  # images would lie across the atoms, and other atoms within them
        another = "reconstruction" in other.metadata and other.unique_id != layer.unique_id
        if another or other.metadata.get("beside_atoms"):
            other.visible = False
    viewer.dims.ndisplay = 3
    look_along(viewer, oblique_view(result))
    # other layers, e.g. hidden images, do not count; a layer without atoms has no extent
    low, high = layer.extent.world if len(layer.data) else np.zeros((2, 3))
    camera = viewer.scene.camera
    camera.center = tuple((low + high) / 2)
    camera.zoom = 0.8 * min(viewer.canvas.size) / max(float(np.linalg.norm(high - low)) / np.sqrt(1.5), 1.0)
    viewer.canvas.background_color_override = CANVAS_COLOUR
    axes = viewer.canvas.overlays["axes"]
    axes.box, axes.box_color = True, AXES_BOX_COLOUR
    axes.visible = True
    viewer.canvas.overlays["scale_bar"].visible = True


def name_colours(viewer: Viewer, layer: Points) -> None:
    """Say what the colours of atoms mean while they are shown; the atom viewer, once opened, says more."""
    if layer.metadata["reconstruction"].companions:
        tell_colours(viewer)
        return
    words = f"colour: {colour_scales(layer.metadata['table'])['certainty'].label}"
    tell_colours(viewer, words)

    def hidden(_: Any) -> None:
        if not layer.visible and viewer.canvas.overlays["text"].text == words:
            tell_colours(viewer)

    layer.events.visible.connect(hidden)


def view_atoms(result: Reconstruction, *, show: bool = True) -> Viewer:
    """Open a napari window with the atoms of a reconstruction in 3D.

    Spheres are coloured by certainty; a panel holds the threshold, the planes to show, buttons that
    look along each view's zone axis, and what is known of the atom under a click. In a script, call
    ``napari.run()`` afterwards to keep the window open.

    Parameters
    ----------
    result : tomo.Reconstruction
    show : bool
        Show the window at once.

    Returns
    -------
    napari.Viewer

    Raises
    ------
    InputError
        If napari is not installed or there is no display.

    Examples
    --------
    >>> viewer = view_atoms(result, show=False)
    >>> [layer.name for layer in viewer.layers]
    ['atoms']
    >>> viewer.close()
    """
    check_result(result)
    viewer = open_window("atoms", show, ndisplay=3)

    from .atom_panel import AtomPanel

    layer = add_atoms(viewer, result)
    add_panel(viewer, AtomPanel(viewer), "Atoms")
    lay_out()
    frame_atoms(viewer, layer)
    return viewer
