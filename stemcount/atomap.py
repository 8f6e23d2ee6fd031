"""Columns from and for atomap (Nord et al., Adv. Struct. Chem. Imaging 3 (2017) 9), which may be absent.

An atomap lattice holds sublattices; their positions are in pixels with centres at whole numbers, as
everywhere in this program. Its files are HDF5: attributes and ``image_data`` of the lattice at the top, and
a group ``<name>_sublattice`` for each sublattice with ``atom_positions`` (n, 2) [pixels] and its calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .arrays import Floats, Ints
from .errors import InputError, check_path
from .images.calibration import length_of_unit
from .images.load import ImageLike, as_image
from .results import ColumnFit, check_fit
from .whole_file import whole_file

GROUP_ENDING = "_sublattice"
PLOT_COLOURS = ("red", "blue", "green", "orange", "purple", "cyan")


@dataclass(frozen=True, eq=False)
class AtomapColumns:
    """Column positions that atomap found.

    Attributes
    ----------
    positions : (n, 2) float
        x, y [A]: seeds for `fit_columns`.
    column_type : (n,) int
        Which sublattice each column belongs to.
    sublattices : tuple of str
        Their names.
    """

    positions: Floats
    column_type: Ints
    sublattices: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<AtomapColumns: {len(self.positions)} columns of {', '.join(self.sublattices)}>"


@dataclass(frozen=True)
class _Sublattice:
    """Name, positions [pixels], pixel size and its unit of one sublattice, wherever it comes from."""

    name: str
    pixels: Floats
    pixel_size: float
    unit: str


def columns_from_atomap(source: Any, image: ImageLike | None = None) -> AtomapColumns:
    """Column positions of an atomap lattice.

    Parameters
    ----------
    source : path, Atom_Lattice or Sublattice
        HDF5 file that atomap's `Atom_Lattice.save` wrote, or an atomap object.
    image : ZoneAxisImage or hyperspy Signal2D, optional
        The image that the positions are of: its pixel size and offset turn pixels into A. Without it the
        calibration that atomap took over is used.

    Returns
    -------
    AtomapColumns

    Raises
    ------
    InputError
        If the source is no atomap lattice, or has no calibration and no image is given.

    Examples
    --------
    >>> import stemcount, tempfile
    >>> image = stemcount.simulate_columns([5.0, 7.9], [4.0, 4.1], [1.0, 2.0], shape=(40, 60), pixel_size=0.2)
    >>> fit = stemcount.fit_columns(image, [(5.0, 4.0), (7.9, 4.1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     columns = columns_from_atomap(save_atomap(image, fit, f"{folder}/lattice.hdf5"), image)
    >>> columns.positions.round(1)
    array([[5. , 4. ],
           [7.9, 4.1]])
    """
    label = str(source) if isinstance(source, str | Path) else type(source).__name__
    found = _read(Path(source)) if isinstance(source, str | Path) else _of_object(source, label)
    if not sum(len(sublattice.pixels) for sublattice in found):
        raise InputError(f"{label}: holds no column positions; expected an atomap lattice with sublattices.")
    positions = []
    for sublattice in found:
        if image is not None:
            own = as_image(image)
            positions.append(sublattice.pixels * own.pixel_size + np.array(own.offset))
        else:
            unit = length_of_unit(sublattice.unit, f"{label}: sublattice {sublattice.name}", "x")
            positions.append(sublattice.pixels * sublattice.pixel_size * unit)
    return AtomapColumns(
        np.concatenate(positions),
        np.repeat(np.arange(len(found)), [len(p) for p in positions]),
        tuple(sublattice.name for sublattice in found),
    )


def _of_object(source: Any, label: str) -> list[_Sublattice]:
    """Sublattices of an `Atom_Lattice`, or the one that is given."""
    members = source.sublattice_list if hasattr(source, "sublattice_list") else [source]
    try:
        return [
            _Sublattice(
                str(member.name),
                np.column_stack([member.x_position, member.y_position]).astype(float).reshape(-1, 2),
                float(member.pixel_size),
                str(getattr(member, "units", "pixel")),
            )
            for member in members
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{label}: expected a file name, an atomap Atom_Lattice or Sublattice ({error})."
        ) from error


def _read(path: Path) -> list[_Sublattice]:
    """Sublattices of a file, in atomap's own order."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected an HDF5 file that atomap wrote.")
    found: list[tuple[int, _Sublattice]] = []
    try:
        with h5py.File(path, "r") as file:
            for key, group in file.items():
                if key.endswith(GROUP_ENDING) and "atom_positions" in group:
                    name = str(group.attrs.get("name", "")) or key.removesuffix(GROUP_ENDING)
                    sublattice = _Sublattice(
                        name,
                        np.asarray(group["atom_positions"], float).reshape(-1, 2),
                        float(group.attrs.get("pixel_size", 1.0)),
                        str(group.attrs.get("units", "pixel")),
                    )
                    found.append((int(group.attrs.get("sublattice_index", len(found))), sublattice))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not an HDF5 file that atomap wrote ({error}).") from error
    return [sublattice for _, sublattice in sorted(found, key=lambda item: item[0])]


def save_atomap(image: ImageLike, fit: ColumnFit, path: str | Path) -> Path:
    """Write fitted columns as an atomap file, one sublattice for each column type.

    ``atomap.api.load_atom_lattice_from_hdf5(path)`` opens it as an `Atom_Lattice` with the image, the
    positions and the peak widths as sigma_x = sigma_y.

    Parameters
    ----------
    image : ZoneAxisImage or hyperspy Signal2D
        The image that was fitted.
    fit : ColumnFit
    path : str or Path
        File to write, ``.hdf5``; replaced if it exists. Its folder is made where there is none.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If `image` is no image, `fit` no fit, or the file cannot be written.

    Examples
    --------
    >>> import stemcount, tempfile
    >>> image = stemcount.simulate_columns([5.0, 7.9], [4.0, 4.1], [1.0, 2.0], shape=(40, 60), pixel_size=0.2)
    >>> fit = stemcount.fit_columns(image, [(5.0, 4.0), (7.9, 4.1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_atomap(image, fit, f"{folder}/lattice.hdf5").name
    'lattice.hdf5'
    """
    own = as_image(image)
    check_fit(fit)
    check_path(path)
    path = Path(path)
    pixels = (np.column_stack([fit.x, fit.y]) - own.offset) / own.pixel_size
    try:
        with whole_file(path) as unfinished, h5py.File(unfinished, "w") as file:
            file.attrs.update(atom_lattice_type="Atom_Lattice", name=own.name, pixel_separation=10)
            for name in ("image_data", "original_image_data"):
                file.create_dataset(name, data=own.data, compression="gzip")
            for index, kind in enumerate(np.unique(fit.column_type)):
                members = fit.column_type == kind
                group = file.create_group(f"type_{kind}{GROUP_ENDING}")
                group.attrs.update(
                    name=f"type_{kind}",
                    sublattice_index=index,
                    pixel_size=own.pixel_size,
                    units="Å",
                    pixel_separation=0.0,
                    plot_color=PLOT_COLOURS[index % len(PLOT_COLOURS)],
                    zone_axis_names_byte=np.zeros(0),
                )
                for name in ("original_image_data", "modified_image_data"):
                    group.create_dataset(name, data=own.data, compression="gzip")
                width = fit.width[members] / own.pixel_size
                values = {"atom_positions": pixels[members], "sigma_x": width, "sigma_y": width}
                for name, array in {**values, "rotation": np.zeros(len(width))}.items():
                    group.create_dataset(name, data=array)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error}).") from error
    return path
