"""A library of cross-sections by multislice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.constants import c, e, h, m_e
from scipy.fft import fft2, fftfreq, ifft2, next_fast_len
from scipy.special import j0

from ..errors import InputError, check_number, check_whole
from .metals import projected_scattering_factor
from .metals import thermal_displacement as debye_displacement
from .slab import Slab, fcc_slab

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Waves = NDArray[np.complex64]

BAND_LIMIT = 1.25  # largest angle of the waves / largest angle of one scattering onto the detector
BEAMS = 4  # directions of the incident beam for each snapshot of the atoms
CHANGED_EVERY = 4  # one snapshot in so many tells what another thermal displacement does, within 0.2 %
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
RADII = np.geomspace(1e-5, 12.0, 6000)  # where the phase of an atom is tabulated [A]
FREQUENCIES = 400  # at which its scattering amplitude is
_MOST = 100_000  # atoms of a column, and snapshots


def simulate_library(
    species: str,
    a: float,
    zone_axis: tuple[int, int, int],
    n_atoms: int,
    *,
    semi_convergence: float,
    detector: tuple[float, float],
    voltage: float = 300.0,
    thermal_displacement: float | None = None,
    snapshots: int = 32,
    seed: int = 0,
    setting_error: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Floats:
    r"""Cross-sections of columns of 1, 2, ... n atoms of an fcc metal, by multislice.

    In a slab whose columns all hold n atoms, the cross-section of a column is the integral of the image over
    its cell: the mean of the image times the area A of the cell. In a mean over all probe positions
    the plane waves that make the probe do not interfere [1]_, so that

    .. math::

        V(n) = A \left\langle \int_D |\psi_n(\mathbf{K}; \mathbf{k})|^2 \, d\mathbf{K} \right\rangle

    with the exit wave of one incident plane wave k below n atoms, the detector D and the average over all k
    in the aperture and over thermal motion (frozen phonons [2]_). Defocus, aberrations and the size of
    the source move intensity between pixels of a cell, and V(n) does not depend on them. A plane wave
    leaves V(1) to V(n) on its way through the slab. Scattering factors are those of Lobato and Van Dyck [3]_.

    Parameters
    ----------
    species : str
        Al, Ni, Cu, Rh, Pd, Ag, Ir, Pt, Au or Pb.
    a : float
        Lattice parameter [A].
    zone_axis : tuple of 3 int
        Viewing direction [uvw].
    n_atoms : int
        Atoms of the thickest column.
    semi_convergence : float
        Half the opening angle of the probe [mrad].
    detector : tuple of 2 float
        Inner and outer half angle of the annular detector [mrad].
    voltage : float
        [kV]
    thermal_displacement : float, optional
        Root mean square displacement of an atom along one direction [A]; by default that of the Debye
        model at 293 K.
    snapshots : int
        Arrangements of the moving atoms that are averaged. The random error, about half a per cent with 32,
        falls with the square root of their number.
    seed : int
        Of the thermal motion.
    setting_error : float, optional
        How well probe angle, detector angles and thermal displacement are known, as a relative standard
        error, such as 0.05: what each of them does to the library is then simulated, too.
    progress : callable, optional
        Called with the share that is done, 0..1.

    Returns
    -------
    (n_atoms,) or (n_atoms, 4) float
        V(1..n) [fractions of the incident beam x A^2], as `count_atoms` takes it for ``library``. With a
        `setting_error` in the first column; in the others with the probe's angle divided by 1 + error, both
        angles of the detector multiplied by it, and the thermal displacement multiplied by it.

    Raises
    ------
    InputError
        If a setting is impossible or the metal not known.

    References
    ----------
    .. [1] LeBeau et al., Ultramicroscopy 110 (2010) 118.
    .. [2] Loane, Xu and Silcox, Acta Cryst. A47 (1991) 267.
    .. [3] Lobato and Van Dyck, Acta Cryst. A70 (2014) 636.

    Examples
    --------
    >>> library = simulate_library(
    ...     "Al", 4.05, (1, 0, 0), 2, semi_convergence=20, detector=(50, 120), snapshots=2
    ... )
    >>> library.round(4)
    array([0.0006, 0.0012])
    """
    check_whole("n_atoms", n_atoms, 1, _MOST)
    check_whole("snapshots", snapshots, 1, _MOST)
    check_whole("seed", seed, 0)
    check_settings(voltage, semi_convergence, detector)
    _check_others(a, thermal_displacement, setting_error)
    motion = debye_displacement(species) if thermal_displacement is None else thermal_displacement
    factors = np.array([1.0] if setting_error is None else [1.0, 1 + setting_error])
    slab = fcc_slab(a, zone_axis, n_atoms)
    shares = _shares_of_beams(
        slab,
        species,
        voltage,
        semi_convergence,
        np.outer(factors, detector),
        factors * motion,
        snapshots,
        seed,
        progress,
    )
    library = shares[0, :, 0].mean(axis=-1) * slab.column_area
    return library if setting_error is None else library[:, None] * _changes(shares, factors[1])


def _shares_of_beams(
    slab: Slab,
    species: str,
    voltage: float,
    semi_convergence: float,
    detectors: Floats,
    motions: Floats,
    snapshots: int,
    seed: int,
    progress: Callable[[float], None] | None,
) -> Floats:
    """Share of each beam, from the aperture's middle outwards, on detectors (d, 2) [mrad] below 1..n atoms.

    An array (motions, n, d, beams), of `BEAMS` beams a snapshot. Thermal displacements after the first are
    simulated in a few snapshots, with the random numbers of the first; in the others they are nan.
    """
    wavelength = electron_wavelength(voltage)
    rings, alpha = 1e-3 * detectors / wavelength, 1e-3 * semi_convergence / wavelength
    limit = BAND_LIMIT * (rings.max() + alpha)
    k = frequencies(slab.size, limit)
    atom = scattering_amplitude(species, voltage, k, limit)
    propagator = np.where(k < limit, np.exp(-1j * np.pi * wavelength * slab.layer_spacing * k**2), 0.0)
    propagator = propagator.astype(np.complex64)
    seen = np.array([(k >= inner) & (k < outer) for inner, outer in rings])
    beams = aperture_beams(alpha, snapshots * BEAMS, slab.size)
    n_atoms = slab.layer.max() // slab.layers_per_atom + 1
    shares = np.full((len(motions), n_atoms, len(seen), len(beams)), np.nan)
    for i in range(snapshots):
        shifts = np.random.default_rng([seed, i]).standard_normal(slab.positions.shape)
        these = slice(i, None, snapshots)
        for m, motion in enumerate(motions if i % CHANGED_EVERY == 0 else motions[:1]):
            moved = slab.positions + motion * shifts
            shares[m, ..., these] = detected_shares(slab, moved, atom, propagator, seen, beams[these])
        if progress is not None:
            progress((i + 1) / snapshots)
    return shares


def _changes(shares: Floats, f: float) -> Floats:
    """Factors (n, 4) of a library: 1, and for each setting that is changed by a factor f.

    The beams fill the aperture from its middle outwards: the first n / f^2 of n fill that of a probe whose
    angle is divided by f (not multiplied, as it must not reach the detector).
    """
    base, other_detector, other_motion = shares[0, :, 0], shares[0, :, 1], shares[1, :, 0]
    n = base.shape[1]
    inside = np.clip(n / f**2 - np.arange(n), 0, 1)
    both = ~np.isnan(other_motion[0])
    mean = base.mean(axis=1)
    return np.column_stack(
        [
            np.ones(len(base)),
            base @ inside / inside.sum() / mean,
            other_detector.mean(axis=1) / mean,
            other_motion[:, both].mean(axis=1) / base[:, both].mean(axis=1),
        ]
    )


def check_settings(voltage: float, semi_convergence: float, detector: tuple[float, float]) -> None:
    """InputError for the first setting of a microscope that is impossible."""
    if np.shape(detector) != (2,):
        raise InputError(f"detector: expected its inner and outer angle in mrad, got {detector!r}.")
    inner, outer = detector
    for name, value in (
        ("voltage", voltage),
        ("semi_convergence", semi_convergence),
        ("detector", inner),
        ("detector", outer),
    ):
        check_number(name, value)
    if not 10 <= voltage <= 3000:
        raise InputError(f"voltage: expected kV, such as 300, got {voltage!r}.")
    if not 0 < semi_convergence <= 100:
        raise InputError(f"semi_convergence: expected mrad, got {semi_convergence!r}.")
    if not semi_convergence <= inner < outer <= 500:
        raise InputError(
            "detector: expected an inner and a larger outer angle in mrad, beyond the probe's"
            f" {semi_convergence:g} mrad, got {inner:g} and {outer:g}."
        )


def _check_others(a: float, displacement: float | None, error: float | None) -> None:
    """The same for what is not the microscope's."""
    check_number("a", a)
    if not 1 <= a <= 20:
        raise InputError(f"a: expected a lattice parameter in A, got {a!r}.")
    if displacement is not None:
        check_number("thermal_displacement", displacement)
        if not 0 <= displacement < 1:
            raise InputError(
                f"thermal_displacement: expected A along one direction, such as 0.08, got {displacement!r}."
            )
    if error is not None:
        check_number("setting_error", error)
        if not 0 < error <= 0.5:
            raise InputError(f"setting_error: expected a relative error, such as 0.05, got {error!r}.")


def electron_wavelength(voltage: float) -> float:
    """Relativistic wavelength of an electron [A] at a voltage [kV].

    Examples
    --------
    >>> round(electron_wavelength(300), 4)
    0.0197
    """
    energy = e * voltage * 1e3
    return float(h * c / np.sqrt(energy * (energy + 2 * m_e * c**2)) * 1e10)


def frequencies(size: Floats, limit: float) -> Floats:
    """Spatial frequencies |k| [1/A] of pixels on which waves up to a limit can be multiplied.

    The product of two waves reaches twice the limit. With frequencies up to 3/2 of it, what is folded back
    stays above the limit, where the propagator cuts it off.

    Returns
    -------
    (nx, ny) float
    """
    kx, ky = (fftfreq(n, length / n) for n, length in zip(_pixels(size, limit), size, strict=True))
    return np.asarray(np.hypot(kx[:, None], ky))


def _pixels(size: Floats, limit: float) -> list[int]:
    return [next_fast_len(int(np.ceil(3 * limit * length)), real=True) for length in size]  # of 2, 3, 5 only


def scattering_amplitude(species: str, voltage: float, k: Floats, limit: float) -> Waves:
    """Amplitude that an atom scatters out of a plane wave, in the eikonal approximation.

    2 pi integral (exp(i phase(r)) - 1) J0(2 pi k r) r dr [A^2], with the phase of the projected potential:
    wavelength x relativistic mass / rest mass x `projected_scattering_factor` (Kirkland, Advanced Computing
    in Electron Microscopy, 2nd ed., ch. 5). Taken from one curve for every k, it is exact on any pixels;
    the usual grid of phases needs pixels that resolve the nucleus: gold on 0.05 A becomes 13 % too bright.

    Parameters
    ----------
    species : str
        Chemical symbol.
    voltage : float
        [kV]
    k : array of float
        [1/A]
    limit : float
        Beyond this k the amplitude is set to zero [1/A].

    Returns
    -------
    array of complex, like k
        [A^2]
    """
    mass = 1 + e * voltage * 1e3 / (m_e * c**2)
    phase = mass * electron_wavelength(voltage) * projected_scattering_factor(species, RADII)
    weight = 2 * np.pi * RADII**2 * np.gradient(np.log(RADII)) * (np.exp(1j * phase) - 1)
    at = np.linspace(0.0, limit, FREQUENCIES)
    curve = j0(2 * np.pi * at[:, None] * RADII) @ weight
    return np.where(k < limit, np.interp(k, at, curve), 0.0).astype(np.complex64)


def aperture_beams(radius: float, n: int, size: Floats) -> Integers:
    """Plane waves that fill a round aperture evenly, as harmonics (n, 2) of a periodic box.

    The points of a sunflower, each moved to the nearest harmonic.

    Parameters
    ----------
    radius : float
        Of the aperture [1/A].
    n : int
        How many.
    size : (2,) float
        Edges of the box [A].
    """
    order = np.arange(n)
    r = radius * np.sqrt((order + 0.5) / n)
    angle = order * GOLDEN_ANGLE
    return np.rint(np.column_stack([r * np.cos(angle), r * np.sin(angle)]) * size).astype(np.int64)


def detected_shares(
    slab: Slab, positions: Floats, atom: Waves, propagator: Waves, seen: NDArray[np.bool_], beams: Integers
) -> Floats:
    """Share of each beam's electrons that falls on detectors below 1, 2, ... atoms a column.

    Each layer of atoms multiplies the waves by its transmission, 1 + the sum of what its atoms scatter; free
    space up to the next layer multiplies their Fourier transforms by the propagator.

    Parameters
    ----------
    slab : Slab
    positions : (n, 2) float
        Its atoms where they are now [A].
    atom : (nx, ny) complex
        `scattering_amplitude` of one of them [A^2].
    propagator : (nx, ny) complex
    seen : (d, nx, ny) bool
        Frequencies on each detector.
    beams : (m, 2) int
        Harmonics of the incident plane waves.

    Returns
    -------
    (n_atoms, d, m) float
    """
    waves = list(plane_waves(beams, atom.shape))  # one after the other, each stays in the processor's cache
    pixels = [np.flatnonzero(detector) for detector in seen]
    shares = np.empty((slab.layer.max() + 1, len(seen), len(beams)))
    for layer in range(len(shares)):
        scattered = ifft2(atom * structure_factor(positions[slab.layer == layer], slab.size, atom.shape))
        transmission = 1 + scattered * np.float32(atom.size / np.prod(slab.size))
        for m, wave in enumerate(waves):
            spectrum = fft2(transmission * wave, overwrite_x=True)
            spectrum *= propagator
            if (layer + 1) % slab.layers_per_atom == 0:
                power = [np.sum(np.abs(spectrum.ravel()[on]) ** 2, dtype=float) for on in pixels]
                shares[layer, :, m] = power
            waves[m] = ifft2(spectrum, overwrite_x=True)
    return shares[slab.layers_per_atom - 1 :: slab.layers_per_atom] / atom.size**2


def plane_waves(harmonics: Integers, shape: tuple[int, ...]) -> Waves:
    """Waves (m, nx, ny) of amplitude 1 with the given harmonics (m, 2) of the box."""
    x, y = (
        np.exp(2j * np.pi * np.outer(m, np.arange(n)) / n) for m, n in zip(harmonics.T, shape, strict=True)
    )
    return (x[:, :, None] * y[:, None, :]).astype(np.complex64)


def structure_factor(positions: Floats, size: Floats, shape: tuple[int, ...]) -> Waves:
    """Sum over the atoms of exp(-2 pi i k r) on the frequencies (nx, ny) of a periodic box."""
    x, y = (
        np.exp(-2j * np.pi * np.outer(fftfreq(n, 1 / n), r / length)).astype(np.complex64)
        for r, length, n in zip(positions.T, size, shape, strict=True)
    )
    return x @ y.T
