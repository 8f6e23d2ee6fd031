"""Writing an image with everything that is known of it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from .image import ZoneAxisImage


def save_image(image: ZoneAxisImage, path: Path | str) -> None:
    """Write an image as a calibrated HyperSpy file, which `load_image` reads back unchanged.

    Parameters
    ----------
    image : ZoneAxisImage
        The image; zone axis and dose go into the metadata under ``stemcount``.
    path : path
        File to write, ``.hspy`` or ``.zspy``.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_image(ZoneAxisImage(np.ones((4, 5)), 0.2, (1, 1, 0)), f"{folder}/image.hspy")
    """
    logging.getLogger("hyperspy").setLevel(logging.ERROR)
    import hyperspy.api as hs

    signal = hs.signals.Signal2D(image.data.astype(np.float32))
    for axis, label, offset in zip(signal.axes_manager.signal_axes, "xy", image.offset, strict=True):
        axis.name, axis.scale, axis.offset, axis.units = label, image.pixel_size, offset, "Å"
    signal.metadata.General.title = image.name
    if image.zone_axis is not None:
        signal.metadata.set_item("stemcount.zone_axis", list(image.zone_axis))
    if image.dose is not None:
        signal.metadata.set_item("stemcount.dose", float(image.dose))
        signal.metadata.set_item("stemcount.intensity_unit", "fraction of the incident beam")
    signal.save(path, overwrite=True)
