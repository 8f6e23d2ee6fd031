"""Images of crystals of several elements: mixed columns, a width for each element, channelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, check_number, check_whole
from ..images.calibration import positive
from ..images.image import ZoneAxisImage
from .elements import SYMBOLS, Z_EXPONENT, atomic_number
from .simulate import Floats, atom_positions, projected_columns, simulate_columns

GOLD = 0.014  # cross-section of one gold atom, HAADF 60-130 mrad at 300 kV, about [A^2]


def simulate_compound(
    species: Sequence[str],
    positions: ArrayLike,
    zone_axis: tuple[int, int, int],
    *,
    pixel_size: float = 0.2,
    dose: float | None = 1e5,
    seed: int | None = 0,
    width: float | Mapping[str, float] = 0.5,
    atom_cross_section: Mapping[str, float] | None = None,
    channelling_length: float | None = 1600.0,
    tail: tuple[float, float] = (0.0, 1.0),
    spread: float = 0.0,
    background: float = 0.0,
    border: float = 5.0,
    angle: float = 0.0,
    name: str = "simulated",
) -> tuple[ZoneAxisImage, dict[str, NDArray]]:
    """Image of a crystal of several elements along a zone axis, and its true columns.

    Every atom adds a Gaussian of its element's width and of the volume

        v = v1 exp(-q / Q),

    where v1 is the cross-section of a lone atom, q the sum of the atomic numbers above it in its column
    (and half its own), and Q the channelling length: atoms deep in a heavy column see less of the beam. A
    column's cross-section therefore depends on how many atoms of each element it holds, bends with its
    thickness, and depends a little on their order. This stands for multislice where speed matters more
    than scattering physics.

    Parameters
    ----------
    species : sequence of n str
        Chemical symbol of each atom.
    positions : (n, 3) array of float
        Atoms in the crystal's cubic axes [A]. They may be displaced from their sites.
    zone_axis : tuple of 3 int
        Viewing direction [uvw].
    pixel_size : float
        [A]
    dose : float, optional
        Electrons per area [1/A^2]; None for no noise.
    seed : int, optional
        Of the noise.
    width : float or mapping of symbol to float
        rho of the peaks [A].
    atom_cross_section : mapping of symbol to float, optional
        v1 of each element [A^2]; by default 0.014 (Z / 79)^1.7.
    channelling_length : float, optional
        Q [sum of atomic numbers]; None for volumes in proportion to the number of atoms.
    tail : tuple of 2 float
        Fraction of the volume in a wider Gaussian, and its width relative to rho.
    spread : float
        Relative standard deviation of the volumes of equal columns, 0..0.3: thermal motion and the specimen
        make them differ whatever the dose.
    background : float
        [fractions of the incident beam]
    border : float
        Empty margin around the crystal [A].
    angle : float
        Rotation of the crystal in the image, from x towards y [degrees].
    name : str

    Returns
    -------
    image : ZoneAxisImage
    truth : dict of arrays
        ``x``, ``y`` [A], ``cross_section`` [A^2] of each column, and ``count_Pb`` and so on for each
        element; ``column`` (n,), the column of each atom; ``rotation`` (3, 3) and ``offset`` (3,) [A]
        with xyz_image = rotation @ xyz_crystal + offset.

    Raises
    ------
    InputError
        If species and positions do not belong together, an element is unknown, a width or
        cross-section is missing, or another argument is out of its range.

    Examples
    --------
    >>> atoms = [[0, 0, 0], [0, 0, 3.05], [3.05, 0, 0]]
    >>> image, truth = simulate_compound(["Pb", "Se", "Se"], atoms, (0, 0, 1), dose=None)
    >>> truth["count_Pb"], truth["count_Se"]
    (array([1, 0]), array([1, 1]))
    """
    atoms = atom_positions(positions)
    symbols, elements = _symbols_of(species, len(atoms))
    check_number("spread", spread)
    if seed is not None:
        check_whole("seed", seed, 0)
    if not 0 <= spread <= 0.3:
        raise InputError(f"spread must be a relative standard deviation between 0 and 0.3, got {spread!r}.")
    numbers = {symbol: float(atomic_number(symbol)) for symbol in elements}
    usual = {symbol: GOLD * (z / 79) ** Z_EXPONENT for symbol, z in numbers.items()}
    v1 = _per_element(
        "atom_cross_section", usual if atom_cross_section is None else atom_cross_section, elements
    )
    rho = _per_element("width", width, elements)
    scene = projected_columns(atoms, zone_axis, angle, border)
    column, x, y = scene.column, scene.x, scene.y
    volume = np.array([v1[s] for s in symbols])
    if channelling_length is not None:
        positive(channelling_length, name, "channelling_length")
        above = _summed_above(column, scene.depth, np.array([numbers[s] for s in symbols]))
        volume = volume * np.exp(-above / channelling_length)
    scatter = 1 + spread * np.random.default_rng([1, seed or 0]).normal(size=len(x)).clip(-3, 3)
    volume = volume * scatter[column]
    # one peak for each element of a column, all at the column's place
    index = np.searchsorted(elements, symbols)
    keys, peak = np.unique(column * len(elements) + index, return_inverse=True)
    image = simulate_columns(
        x[keys // len(elements)],
        y[keys // len(elements)],
        np.bincount(peak, volume),
        shape=scene.shape(pixel_size, border),
        pixel_size=pixel_size,
        width=np.array([rho[elements[k]] for k in keys % len(elements)]),
        tail=tail,
        background=background,
        dose=dose,
        seed=seed,
        zone_axis=zone_axis,
        name=name,
    )
    counts = {f"count_{s}": np.bincount(column[index == k], minlength=len(x)) for k, s in enumerate(elements)}
    truth = {"x": x, "y": y, "cross_section": np.bincount(column, volume), **counts}
    return image, truth | {"column": column, "rotation": scene.rotation, "offset": scene.offset}


def _symbols_of(species: Sequence[str], atoms: int) -> tuple[NDArray[np.str_], list[str]]:
    """Element of each atom, and the elements in order."""
    symbols = np.asarray(species, dtype=str)
    if symbols.shape != (atoms,):
        raise InputError(f"species must name {atoms} elements, one per position, got {symbols.size}.")
    elements = sorted(set(symbols.tolist()))
    for symbol in elements:
        if symbol not in SYMBOLS:
            raise InputError(f"species {symbol!r} is not a chemical symbol such as 'Au'.")
    return symbols, elements


def _per_element(what: str, values: float | Mapping[str, float], elements: Sequence[str]) -> dict[str, float]:
    """One positive value for every element."""
    known = values if isinstance(values, Mapping) else dict.fromkeys(elements, values)
    for symbol in elements:
        value = known.get(symbol)
        if not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
            raise InputError(f"{what}: expected a positive value for {symbol}, got {value!r}.")
    return {symbol: float(known[symbol]) for symbol in elements}


def _summed_above(column: NDArray[np.int64], depth: Floats, amount: Floats) -> Floats:
    """Sum of the amounts of the atoms above each one in its column, and half its own."""
    order = np.lexsort((depth, column))
    running = np.cumsum(amount[order])
    first = np.flatnonzero(np.diff(column[order], prepend=-1))
    before = np.repeat(running[first] - amount[order][first], np.diff(np.append(first, len(order))))
    out = np.empty(len(amount))
    out[order] = running - before - amount[order] / 2
    return out
