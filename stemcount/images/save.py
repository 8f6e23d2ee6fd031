"""Writing an image with its calibration, zone axis and dose."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..signals import image_signal
from ..whole_file import whole_file
from .files import quiet
from .load import ImageLike, as_image, masked_pixels


def save_image(image: ImageLike, path: Path | str) -> None:
    """Write an image as a calibrated HyperSpy file, in single precision, which `load_image` reads back.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
        The image; zone axis, dose and the pixels that are not `valid` go into the metadata under
        ``stemcount``. The `drift` of an average and the `name` are not kept.
    path : path
        File to write, ``.hspy`` or ``.zspy``; its folder is made where there is none.

    Raises
    ------
    InputError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from stemcount import ZoneAxisImage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_image(ZoneAxisImage(np.ones((4, 5)), 0.2, (1, 1, 0)), f"{folder}/image.hspy")
    """
    own = as_image(image)
    finite = np.where(np.isfinite(own.data), own.data, own.filled)  # a file with others is refused
    signal = image_signal(image, finite.astype(np.float32))
    if own.valid is not None:
        signal.metadata.set_item("stemcount.not_valid", masked_pixels(signal.data, own.valid))
    with quiet():
        try:
            if Path(path).suffix.lower() in ("", ".zspy"):  # named by HyperSpy; a folder of many files
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                signal.save(path, overwrite=True)
            else:
                with whole_file(path) as unfinished:
                    signal.save(unfinished, overwrite=True)
        except Exception as error:  # each of hyperspy's writers has its own
            raise InputError(f"{path}: the image cannot be written ({error}); expected .hspy.") from error
