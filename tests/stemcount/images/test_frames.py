"""A series of frames: what was shifted comes together again."""

import numpy as np
import pytest
from hyperspy.signals import Signal2D

from stemcount import InputError, ZoneAxisImage, average_series, load_series, simulate_columns
from stemcount.images.frames import _refined, frame_shift, transform


def particle(shift, seed=None):
    x, y = (v.ravel() * 2.5 + 6 for v in np.meshgrid(np.arange(5), np.arange(4)))
    return simulate_columns(
        x + shift[0],
        y + shift[1],
        np.linspace(0.1, 0.9, 20),
        shape=(110, 120),
        pixel_size=0.2,
        dose=None if seed is None else 1e5,
        seed=seed,
    )


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.35, -1.15), (3.3, 2.1)])
def test_shifts_are_measured_to_a_fraction_of_a_pixel(shift):
    """Frames that share less are drawn together a little; single precision is none of it."""
    first, frame = particle((0.0, 0.0)).data, particle(shift).data
    found = frame_shift(transform(first), frame)
    np.testing.assert_allclose(found, np.divide(shift, 0.2), atol=0.05)
    spectra = [np.fft.rfft2(v - v.mean(), [240, 250]) for v in (first, frame)]
    correlation = np.fft.irfft2(spectra[1] * spectra[0].conj(), [240, 250])
    exact = [
        _refined(correlation, list(np.unravel_index(correlation.argmax(), (240, 250))), k) for k in (1, 0)
    ]
    np.testing.assert_allclose(found, exact, atol=1e-4)


def test_average_undoes_shifts_and_adds_doses():
    shifts = [(0.0, 0.0), (0.7, -0.5), (-0.33, 0.41)]
    frames = [particle(s, seed=k) for k, s in enumerate(shifts)]
    mean = average_series(frames)
    assert mean.dose == pytest.approx(3e5)
    inner = (slice(15, -15), slice(15, -15))
    difference = (mean.data - particle((0.0, 0.0)).data)[inner]
    assert np.sqrt(np.mean(difference**2)) < 0.02 * particle((0.0, 0.0)).data.max()
    with pytest.raises(InputError, match="frame 1"):
        average_series([frames[0], ZoneAxisImage(np.ones((3, 3)), 0.2)])
    with pytest.raises(InputError, match="at least one"):
        average_series([])


def test_a_stack_of_hyperspy_is_a_series():
    frames = [particle((s, 0.0), seed=k) for k, s in enumerate((0.0, 0.31, -0.4))]
    stack = Signal2D(np.array([frame.data for frame in frames]))
    with pytest.raises(InputError, match="give pixel_size"):
        average_series(stack)
    assert load_series(stack, (1, 1, 0), 0.3)[2].pixel_size == 0.3
    for axis in stack.axes_manager.signal_axes:
        axis.scale, axis.units = 0.02, "nm"
    stack.metadata.General.title = "HAADF"
    expected = average_series(frames).data
    for signal in (stack, stack.as_lazy()):
        np.testing.assert_array_equal(average_series(signal).data, expected)
        assert [frame.name for frame in load_series(signal)] == ["HAADF_1", "HAADF_2", "HAADF_3"]
    for no_series in (stack.inav[0], stack.T):
        with pytest.raises(InputError, match="HAADF: holds no series"):
            average_series(no_series)
    with pytest.raises(InputError, match="frames: expected a list of images, or a hyperspy Signal2D"):
        average_series(expected)
