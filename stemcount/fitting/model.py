"""The image that a fit predicts, and its background."""

from __future__ import annotations

import numpy as np

from ..arrays import Floats
from ..images.load import ImageLike, as_image
from ..results import ColumnFit, check_fit
from .background import background_from_coefficients
from .halo import halo_of
from .peaks import add_peaks


def background_image(image: ImageLike, fit: ColumnFit) -> Floats:
    """Background of a fit, over all pixels of the image.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
        The image that was fitted.
    fit : ColumnFit
        Result of `fit_columns`.

    Returns
    -------
    (rows, cols) float
        Background [image units].

    Raises
    ------
    InputError
        If `image` is no image or `fit` no fit.

    Examples
    --------
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0], [4.0], [1.0], shape=(40, 50), pixel_size=0.2,
    ...                                    background=0.3)
    >>> fit = stemcount.fit_columns(image, [(5.0, 4.0)])
    >>> level = background_image(image, fit)
    >>> level.shape, bool(abs(level - 0.3).max() < 1e-3)
    ((40, 50), True)
    """
    image = as_image(image)
    check_fit(fit)
    shape = image.data.shape[0], image.data.shape[1]
    return background_from_coefficients(fit.background, shape) + fit.light


def model_image(image: ImageLike, fit: ColumnFit) -> Floats:
    """Image that a fit predicts: background, all peaks and their halo, sampled at the pixel centres.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
        The image that was fitted; only its shape, pixel size and offset are used.
    fit : ColumnFit
        Result of `fit_columns`.

    Returns
    -------
    (rows, cols) float
        Model [image units]; ``image.data - model_image(image, fit)`` is the residual.

    Raises
    ------
    InputError
        If `image` is no image or `fit` no fit.

    Examples
    --------
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 7.9], [4.0, 4.1], [1.0, 2.0], shape=(40, 60), pixel_size=0.2)
    >>> fit = stemcount.fit_columns(image, [(5.0, 4.0), (7.9, 4.1)])
    >>> residual = image.data - model_image(image, fit)
    >>> bool(abs(residual).max() < 1e-3 * image.data.max())
    True
    """
    image = as_image(image)
    model = np.ascontiguousarray(background_image(image, fit))
    px = image.pixel_size
    share, radius = fit.halo
    peaks = model if share == 0 else np.zeros_like(model)
    add_peaks(
        peaks,
        (fit.x - image.offset[0]) / px,
        (fit.y - image.offset[1]) / px,
        (1 - share) * fit.volume / px**2,
        fit.width / px,
        *fit.peak[1],
    )
    if share > 0:
        model += peaks + share / (1 - share) * halo_of(peaks, radius / px)
    return model
