"""An image with its columns in napari: counts, model, residual and doubts as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import stemcount
from stemcount import InputError, ZoneAxisImage
from stemcount.results import check_fit

from .column_figures import DOUBT, check_counts, column_distance, cross_section_unit, residual_image
from .display import LayerData, coloured_by, lay_out, numbers_when_near, open_window, tell_colours
from .style import COUNT_COLORMAP, DIFFERENCE_COLORMAP, grey_limits

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Points

    from stemcount import AtomCounts, ColumnFit
    from stemcount.images.load import ImageLike


def image_frame(image: ZoneAxisImage) -> dict[str, Any]:
    """Scale, shift, units and axis names that put pixels at their positions in A."""
    return {
        "scale": (image.pixel_size, image.pixel_size),
        "translate": (image.offset[1], image.offset[0]),
        "units": ("angstrom", "angstrom"),
        "axis_labels": ("y", "x"),
    }


def image_layer_data(image: ZoneAxisImage) -> LayerData:
    """The image as napari takes it from a reader."""
    data = image.data
    properties = {
        "name": image.name,
        "colormap": "gray",
        "contrast_limits": grey_limits(data[image.used]),
        "metadata": {"zone_axis_image": image},
        **image_frame(image),
    }
    return data, properties, "image"


def image_of_layer(layer: Image) -> ZoneAxisImage:
    """The zone-axis image behind a napari layer.

    The layer was opened by stemcount, or it is 2D with a length unit (napari's own readers give pixels);
    InputError where it is neither.
    """
    if "zone_axis_image" in layer.metadata:
        return layer.metadata["zone_axis_image"]
    if layer.ndim != 2 or getattr(layer, "rgb", False):
        raise InputError(f"layer {layer.name!r}: expected a 2D grey image.")
    try:
        factors = [float((1 * unit).to("angstrom").magnitude) for unit in layer.units]
    except Exception as error:  # pint raises several kinds for units that are not lengths
        raise InputError(
            f"layer {layer.name!r} has no pixel size; open the file with stemcount, or set the layer's"
            " scale and units (a length)."
        ) from error
    sizes = np.asarray(layer.scale) * factors
    if not np.isclose(sizes[0], sizes[1], rtol=1e-3):
        raise InputError(f"layer {layer.name!r}: pixels must be square, got {sizes[0]:g} x {sizes[1]:g} A.")
    offset = np.asarray(layer.translate) * factors
    data = np.asarray(layer.data, float)
    return ZoneAxisImage(data, float(sizes[0]), offset=(float(offset[1]), float(offset[0])), name=layer.name)


def column_layer_data(fit: ColumnFit, counts: AtomCounts | None = None) -> LayerData:
    """Fitted columns as points, coloured by count if there are counts, else by cross-section."""
    features: dict[str, Any] = {
        "cross_section": np.asarray(fit.cross_section, float),
        "cross_section_std": np.asarray(fit.cross_section_std, float),
        "flags": np.asarray(fit.flags, int),
    }
    if counts is not None:
        features["count"] = np.asarray(counts.count, float)  # napari takes integers for categories
        features["doubt"] = 1.0 - counts.count_probability
    return points_of_columns(fit.x, fit.y, features)


def points_of_columns(x: NDArray, y: NDArray, features: dict[str, Any], name: str = "columns") -> LayerData:
    """Columns at x, y [A] as discs coloured by the feature ``count``, or else by ``cross_section``."""
    shown = "count" if "count" in features else "cross_section"
    values = np.asarray(features[shown], float)
    limits = _ends(values)
    size = 0.62 * column_distance(x, y)
    properties: dict[str, Any] = {
        "name": name,
        "features": features,
        **coloured_by(shown, COUNT_COLORMAP, limits),
        "border_width": 0,
        "size": size,
        "units": ("angstrom", "angstrom"),
        "axis_labels": ("y", "x"),
    }
    if shown == "count":
        properties["text"] = count_text(size, limits, shown)
    return np.column_stack([y, x]), properties, "points"


def _ends(values: NDArray) -> tuple[float, float]:
    """Values at the ends of a colour map: the least and the largest, or beside it if all are equal."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return (low, high) if low < high else (low - 0.5, low + 0.5)


COLOUR_CHOICES = {
    "count": COUNT_COLORMAP,
    "cross_section": COUNT_COLORMAP,
    "doubt": "magma",
    "flags": "magma",
}
"""What columns can be coloured by, and the colour maps."""


def colour_columns(layer: Points, name: str) -> bool:
    """Colour a layer of `column_layer_data` by one of `COLOUR_CHOICES` and write counts into it.

    Returns False if the layer has no such feature.
    """
    if name not in layer.features or not len(layer.data):
        return False
    values = np.asarray(layer.features[name], float)
    features = dict(layer.features)
    features[name] = values  # napari takes integers for categories
    layer.features = features
    layer.face_color = name
    layer.face_colormap = COLOUR_CHOICES[name]
    layer.face_contrast_limits = _ends(values)
    layer.face_colorbar.visible = True
    if "count" in features:
        layer.text = count_text(float(np.max(layer.size)), _ends(values), name)
    layer.refresh_colors()
    return True


def count_text(size: float, limits: tuple[float, float], coloured_by: str) -> dict[str, Any]:
    """Counts written into discs of that diameter [A], white on dark discs and black on bright ones.

    `limits` are the values at the ends of the colour map, `coloured_by` the feature that colours the discs.
    Returned is what a points layer takes as `text`.
    """
    steps = {"colors": [[1, 1, 1, 1], [0, 0, 0, 1]], "controls": [0, 0.6, 1], "interpolation": "zero"}
    colour = {"feature": coloured_by, "colormap": steps, "contrast_limits": limits}
    return {
        "string": "{count:.0f}",
        "size": 0.42 * size,
        "scaling": True,
        "color": colour,
        "anchor": "center",
    }


def colour_words(name: str, unit: str) -> str:
    """What the colours of columns mean that are coloured by one of `COLOUR_CHOICES`."""
    words = {
        "count": "atoms in the column",
        "cross_section": f"cross-section ({unit})",
        "doubt": "probability that the count is wrong",
        "flags": "sum of the fit's flags",
    }
    return f"colour: {words[name]}"


def flag_names(value: int) -> list[str]:
    """What the sum of a column's flags says, in words.

    Examples
    --------
    >>> flag_names(stemcount.FitFlag.AT_EDGE | stemcount.FitFlag.MOVED)
    ['at edge', 'moved']
    """
    return [str(flag.name).lower().replace("_", " ") for flag in stemcount.FitFlag if flag and value & flag]


def flag_layer_data(fit: ColumnFit, counts: AtomCounts | None) -> LayerData | None:
    """Rings around columns that deserve doubt; None if there are none.

    The feature ``reason`` says why; with this layer selected napari's status bar shows it for the column
    under the mouse. Written beside all columns, neighbours' reasons would cover each other.
    """
    flags = np.asarray(fit.flags)
    reasons = [", ".join(flag_names(value)) for value in flags]
    if counts is not None:
        reasons = [
            ", ".join(filter(None, [reason, f"P({count}) = {p:.2f}" if p < DOUBT else ""]))
            for reason, count, p in zip(reasons, counts.count, counts.count_probability, strict=True)
        ]
    doubtful = np.array([bool(reason) for reason in reasons], bool)
    if not doubtful.any():
        return None
    features = {"reason": np.array([reason for reason in reasons if reason])}
    properties = {
        "name": "doubts",
        "features": features,
        "face_color": "transparent",
        "border_color": "#ff8c42",
        "border_width": 0.12,
        "size": 0.85 * column_distance(fit.x, fit.y),
        "visible": False,
        "units": ("angstrom", "angstrom"),
        "axis_labels": ("y", "x"),
    }
    return np.column_stack([fit.y, fit.x])[doubtful], properties, "points"


def column_layers(image: ZoneAxisImage, fit: ColumnFit | None, counts: AtomCounts | None) -> list[LayerData]:
    """All layers of one image: itself, model, residual, columns and doubts, bottom first."""
    layers = [image_layer_data(image)]
    if fit is None:
        return layers
    model = stemcount.model_image(image, fit)
    residual, limit = residual_image(image, model)
    frame = image_frame(image)
    shared = layers[0][1]["contrast_limits"]
    for name, data, colormap, limits in (
        ("model", model, "gray", shared),
        ("residual", residual, DIFFERENCE_COLORMAP, (-limit, limit)),
    ):
        look = {"name": name, "colormap": colormap, "contrast_limits": limits, "visible": False}
        layers.append((data, {**look, **frame}, "image"))
    layers.append(column_layer_data(fit, counts))
    doubts = flag_layer_data(fit, counts)
    return layers if doubts is None else [*layers, doubts]


def add_columns(
    viewer: Viewer, image: ZoneAxisImage, fit: ColumnFit | None, counts: AtomCounts | None
) -> None:
    """Put an image with its columns into a napari window."""
    columns: Points | None = None
    for data, properties, kind in column_layers(image, fit, counts):
        if kind == "image":
            viewer.add_image(data, **properties)
        else:
            layer = viewer.add_points(data, **properties)
            if properties["name"] == "columns":
                layer.face_colorbar.visible = True
                columns = layer
    if columns is not None:
        viewer.layers.selection.active = columns
        shown = "cross_section" if counts is None else "count"
        tell_colours(viewer, colour_words(shown, cross_section_unit(image)))
    viewer.canvas.overlays["scale_bar"].visible = True
    viewer.reset_view()
    if columns is not None:
        numbers_when_near(viewer, columns)


def view_columns(
    image: ImageLike, fit: ColumnFit | None = None, counts: AtomCounts | None = None, *, show: bool = True
) -> Viewer:
    """Open a napari window with an image, its columns and their counts.

    Layers: image, model, residual, columns (coloured by count, or by cross-section) and doubts
    (flags of the fit, improbable counts). In a script, call ``napari.run()`` afterwards to keep the
    window open.

    Parameters
    ----------
    image : stemcount.ZoneAxisImage or hyperspy Signal2D
    fit : stemcount.ColumnFit, optional
    counts : stemcount.AtomCounts, optional
    show : bool
        Show the window at once.

    Returns
    -------
    napari.Viewer

    Raises
    ------
    InputError
        If napari is not installed or there is no display, there are counts and no fit, or the counts are
        those of another number of columns.

    Examples
    --------
    >>> viewer = view_columns(image, fit, counts, show=False)
    >>> [layer.name for layer in viewer.layers][:3]
    ['au_110', 'model', 'residual']
    >>> viewer.close()
    """
    image = stemcount.as_image(image)
    if fit is not None:
        check_fit(fit)
    if counts is not None:
        if fit is None:
            raise InputError("counts: there is no fit that says where they belong; give the fit, too.")
        check_counts(counts, len(fit))
    viewer = open_window(image.name, show)
    lay_out()
    add_columns(viewer, image, fit, counts)
    return viewer
