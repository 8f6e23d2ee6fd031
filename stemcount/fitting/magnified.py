"""Cross-sections in an image whose scan was distorted: the volumes under its peaks over its magnification.

A scan that drifts or sways while the image is recorded enlarges some of its parts and shrinks others. Peaks
are enlarged with them, not dimmed, so that the volume under the peak of a column of cross-section V is

    M V,    M = |det J| / |det J_mean|,

with J the derivatives of image positions by true ones there. A column of a dozen atoms needs no more than a
few per cent of distortion to seem one atom thicker or thinner.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..results import ColumnFit


def undistorted(fit: ColumnFit, magnification: NDArray[np.float64]) -> ColumnFit:
    """The fit with the cross-sections that columns have where the image is not magnified.

    Positions, heights and widths stay as the image shows them.

    Parameters
    ----------
    fit : ColumnFit
        Of n columns.
    magnification : (n,) float
        M of the area around each of them.

    Examples
    --------
    >>> import numpy as np
    >>> import stemcount
    >>> image = stemcount.simulate_columns([5.0, 9.0], [4.0, 4.0], [1.0, 1.1], shape=(40, 70), pixel_size=0.2)
    >>> fit = stemcount.fit_columns(image, [(5.0, 4.0), (9.0, 4.0)])
    >>> undistorted(fit, np.array([1.0, 1.1])).cross_section.round(2).tolist()
    [1.0, 1.0]
    """
    volume = fit.volume
    return replace(
        fit,
        cross_section=volume / magnification,
        cross_section_std=fit.cross_section_std * fit.magnification / magnification,
        magnification=magnification,
    )


def beyond_noise(fit: ColumnFit, magnification: NDArray[np.float64]) -> bool:
    """Whether the magnification changes the cross-section of any column by more than its noise."""
    return bool(np.any(np.abs(magnification - 1) * fit.volume > fit.noise_std))
