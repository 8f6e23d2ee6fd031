"""Atoms of the common fcc metals: how they scatter electrons, and how far they move at room temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import atomic_mass, hbar, k
from scipy.integrate import quad
from scipy.special import k0, k1

from ..errors import InputError

Floats = NDArray[np.float64]

ROOM_TEMPERATURE = 293.0  # [K]


@dataclass(frozen=True)
class Metal:
    """One species.

    Attributes
    ----------
    mass : float
        [u]
    debye_temperature : float
        [K], from Kittel, Introduction to Solid State Physics, 8th ed., ch. 5.
    a, b : tuple of 5 float
        Of the electron scattering factor [A, A^2], from Lobato and Van Dyck, Acta Cryst. A70 (2014) 636.
    """

    mass: float
    debye_temperature: float
    a: tuple[float, ...]
    b: tuple[float, ...]


METALS = {
    "Al": Metal(
        26.98, 428.0,
        (2.83409562, -4.28004133, 4.42191681, -0.0345774472, 0.00352385941),
        (6.66235024, 0.551294722, 0.509328963, 0.111784837, 0.0167602352),
    ),
    "Ni": Metal(
        58.69, 450.0,
        (2.96908079, -75.7477069, 76.0398288, 0.0210162114, 0.000231151751),
        (5.04180949, 1.18275508, 1.16216546, 0.0337479088, 0.00278680862),
    ),
    "Cu": Metal(
        63.55, 343.0,
        (1.75207145, -43.0410523, 44.0705916, 0.0186876154, 0.000201727325),
        (6.18750498, 1.00266264, 0.985384311, 0.0302984704, 0.00255855599),
    ),
    "Rh": Metal(
        102.91, 480.0,
        (2.11352535, 2.58636316, 0.177063914, 0.00149737051, 2.05481446e-07),
        (9.65913726, 1.37106657, 0.0970353028, 0.00397128509, 0.000191355191),
    ),
    "Pd": Metal(
        106.42, 274.0,
        (0.642159796, 2.97914814, 0.168154426, 0.00133744214, 1.91410968e-07),
        (5.9747975, 1.43359433, 0.0909868401, 0.00362410137, 0.000180688914),
    ),
    "Ag": Metal(
        107.87, 225.0,
        (1.55317217, 2.63930365, 0.142015487, 0.0010085046, 1.9463843e-07),
        (8.15620236, 1.21600887, 0.0790098865, 0.00296547901, 0.000174593096),
    ),
    "Ir": Metal(
        192.22, 420.0,
        (1.59956578, 2.97534452, 0.695092678, 0.0148779627, 6.90549579e-05),
        (5.79244447, 1.55300983, 0.188626336, 0.0111763471, 0.000422772362),
    ),
    "Pt": Metal(
        195.08, 240.0,
        (2.04021564, 2.89922635, 0.636344084, 0.013207192, 5.67382193e-05),
        (6.6581943, 1.41337924, 0.174000105, 0.0100687805, 0.000403077106),
    ),
    "Au": Metal(
        196.97, 165.0,
        (1.67593467, 3.00486603, 0.595340013, 0.0117163187, 4.29678298e-05),
        (5.52231093, 1.38007223, 0.162229238, 0.0090181489, 0.000379277667),
    ),
    "Pb": Metal(
        207.2, 105.0,
        (3.60861021, 2.45056775, 0.4786395, 0.00887214235, 1.04001933e-05),
        (6.58162595, 1.02772853, 0.133533681, 0.00684861239, 0.000276388875),
    ),
}  # fmt: skip


def metal(species: str) -> Metal:
    """What is known of a metal.

    Raises
    ------
    InputError
        If it is none of `METALS`.
    """
    if not isinstance(species, str) or species not in METALS:
        raise InputError(f"species {species!r}: expected one of the fcc metals {', '.join(METALS)}.")
    return METALS[species]


def projected_scattering_factor(species: str, r: ArrayLike) -> Floats:
    """Fourier transform in two dimensions of the scattering factor of the first Born approximation.

    f(q) = sum_i a_i (2 + b_i q^2) / (1 + b_i q^2)^2, with q = 2 sin(theta) / wavelength and twice theta the
    angle of scattering, becomes

    sum_i a_i [2 pi / b_i K0(x_i) + 2 pi^2 r / b_i^(3/2) K1(x_i)] with x_i = 2 pi r / sqrt(b_i). Times the
    wavelength and the relativistic mass over the rest mass it is the phase that an atom gives to an electron.

    Parameters
    ----------
    species : str
        Chemical symbol.
    r : array of float
        Distance from the atom's line [A], larger than zero.

    Returns
    -------
    array of float
        [1/A]
    """
    distance = np.asarray(r, dtype=float)[..., None]
    a, b = np.array(metal(species).a), np.array(metal(species).b)
    x = 2 * np.pi * distance / np.sqrt(b)
    terms = 2 * np.pi / b * k0(x) + 2 * np.pi**2 * distance / b**1.5 * k1(x)
    return np.asarray(np.sum(a * terms, axis=-1))


def thermal_displacement(species: str, temperature: float = ROOM_TEMPERATURE) -> float:
    """Root mean square displacement of an atom along one direction, from the Debye model.

    u^2 = 3 hbar^2 / (m k D) [1/4 + (T/D)^2 integral_0^(D/T) x / (e^x - 1) dx], with the Debye temperature
    D (Warren, X-ray Diffraction (1969), ch. 11). Within about a tenth of measured ones.

    Parameters
    ----------
    species : str
        Chemical symbol.
    temperature : float
        T [K].

    Returns
    -------
    float
        [A]

    Examples
    --------
    >>> round(thermal_displacement("Au"), 2)
    0.09
    """
    atom = metal(species)
    ratio = atom.debye_temperature / temperature
    integral = quad(lambda x: x / np.expm1(x), 0.0, ratio)[0]
    square = 3 * hbar**2 / (atom.mass * atomic_mass * k * atom.debye_temperature)
    return float(np.sqrt(square * (0.25 + integral / ratio**2)) * 1e10)
