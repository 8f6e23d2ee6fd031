"""Back to hyperspy: images, models and maps of the columns as signals with calibrated axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats
from .errors import InputError, as_numbers
from .fitting.model import background_image, model_image
from .fitting.voronoi import cell_radius, nearest_column
from .images.calibration import image_axes
from .images.image import ZoneAxisImage
from .images.load import ImageLike, as_image
from .results import AtomCounts, ColumnFit, check_atom_counts, check_fit

if TYPE_CHECKING:
    from hyperspy.signals import Signal2D


def image_signal(image: ImageLike, data: ArrayLike | None = None, title: str | None = None) -> Signal2D:
    """A hyperspy signal with the calibration and metadata of an image.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
        Of a signal, axes (in their own unit) and metadata are taken over; of a `ZoneAxisImage` the pixel
        size, offset and name, and zone axis and dose into the metadata under ``stemcount``.
    data : (rows, cols) array, optional
        Values to put on these axes, e.g. a residual; the image itself by default.
    title : str, optional
        ``metadata.General.title``; the image's by default.

    Returns
    -------
    hyperspy.signals.Signal2D

    Raises
    ------
    InputError
        If the data do not have the shape of the image.

    Examples
    --------
    >>> image = ZoneAxisImage(np.ones((4, 5)), pixel_size=0.2, zone_axis=(1, 1, 0))
    >>> signal = image_signal(image, title="ones")
    >>> signal.axes_manager[0].scale, signal.axes_manager[0].units, signal.metadata.General.title
    (0.2, 'Å', 'ones')
    """
    own = as_image(image)
    as_numbers("data", own.data if data is None else data)  # refuses what is no image; its type is kept
    values = own.data.copy() if data is None else np.array(data)
    if values.shape != own.data.shape:
        raise InputError(f"{own.name}: data have shape {values.shape}, the image has shape {own.data.shape}.")
    from hyperspy.signals import Signal2D

    if isinstance(image, ZoneAxisImage):
        axes = [
            {"name": name, "size": size, "scale": own.pixel_size, "offset": offset, "units": "Å"}
            for name, size, offset in zip("yx", values.shape, own.offset[::-1], strict=True)
        ]
        metadata = _metadata(own)
    else:
        axes = [{**axis.get_axis_dictionary(), "navigate": False} for axis in image_axes(image)]
        metadata = image.metadata.as_dictionary()
    signal = Signal2D(values, axes=axes, metadata=metadata)
    if title is not None:
        signal.metadata.General.title = title
    return signal


def _metadata(image: ZoneAxisImage) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if image.zone_axis is not None:
        known["zone_axis"] = list(image.zone_axis)
    if image.dose is not None:
        known |= {"dose": float(image.dose), "intensity_unit": "fraction of the incident beam"}
    return {"General": {"title": image.name}, **({"stemcount": known} if known else {})}


def result_signals(image: ImageLike, fit: ColumnFit, counts: AtomCounts | None = None) -> dict[str, Signal2D]:
    """What was found in an image as hyperspy signals with the image's axes and metadata.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
        The image that was fitted.
    fit : ColumnFit
    counts : AtomCounts, optional

    Returns
    -------
    dict of hyperspy.signals.Signal2D
        ``"model"``, ``"residual"`` (image minus model) and ``"background"`` [image units], and maps in which
        each pixel holds the value of its nearest column, NaN far from all of them: ``"cross_section"`` [image
        units x A^2], and with counts ``"count"`` and ``"count_probability"``, the probability of that count.

    Raises
    ------
    InputError
        If `image` is no image, `fit` no fit, or `counts` are not those of its columns.

    Examples
    --------
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 7.9], [4.0, 4.1], [1.0, 2.0], shape=(40, 60), pixel_size=0.2)
    >>> signals = result_signals(image, stemcount.fit_columns(image, [(5.0, 4.0), (7.9, 4.1)]))
    >>> sorted(signals)
    ['background', 'cross_section', 'model', 'residual']
    >>> signals["cross_section"].data[20, [25, 40]].round(2)
    array([1., 2.])
    """
    own = as_image(image)
    model = model_image(own, fit)
    found: dict[str, Floats] = {
        "model": model,
        "residual": own.data - model,
        "background": background_image(own, fit),
        "cross_section": column_map(own, fit, fit.cross_section),
    }
    if counts is not None:
        check_atom_counts(counts)
        found["count"] = column_map(own, fit, counts.count)
        found["count_probability"] = column_map(own, fit, counts.count_probability)
    return {
        name: image_signal(image, values, f"{own.name}: {name.replace('_', ' ')}")
        for name, values in found.items()
    }


def column_map(image: ImageLike, fit: ColumnFit, values: ArrayLike) -> Floats:
    """Map in which each pixel holds the value of its nearest column.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
    fit : ColumnFit
    values : (n,) array
        One value for each column.

    Returns
    -------
    (rows, cols) float
        NaN further than 1.5 times the typical distance of neighbours from all columns, and where the image
        is not valid.

    Raises
    ------
    InputError
        If `image` is no image, `fit` no fit, or there is not one value for each column.

    Examples
    --------
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 7.9], [4.0, 4.1], [1.0, 2.0], shape=(40, 60), pixel_size=0.2)
    >>> fit = stemcount.fit_columns(image, [(5.0, 4.0), (7.9, 4.1)])
    >>> column_map(image, fit, [10, 20])[20, [2, 25, 40]]
    array([nan, 10., 20.])
    """
    own = as_image(image)
    check_fit(fit)
    numbers = as_numbers(f"{own.name}: values", values)
    if numbers.shape != (len(fit),):
        raise InputError(
            f"{own.name}: expected one value for each of {len(fit)} columns, got {numbers.shape}."
        )
    cell = nearest_column(own, fit.x, fit.y, cell_radius(fit.x, fit.y))
    found = np.full(own.data.shape, np.nan)
    found[cell >= 0] = numbers[cell[cell >= 0]]
    return found
