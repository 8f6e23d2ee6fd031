"""Reconstructions as HDF5 files."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .crystal import Crystal, Sublattice
from .errors import InputError, check_path
from .result import Companion, Reconstruction
from .view import View
from .whole_file import whole_file

_KIND = "tomo.Reconstruction"
_FORMAT = 1
_FILE = "reconstruction.h5"
#: What h5py and the reading of texts raise where a file is none of ours, or parts of it are overwritten.
_DAMAGED = (OSError, KeyError, RuntimeError, TypeError, ValueError)
_VIEW_ARRAYS = ("column_sites", "counts", "log_likelihood", "unseen_sites", "unfound")


def save_reconstruction(result: Reconstruction, path: str | Path) -> Path:
    """Write a reconstruction; see `Reconstruction.save`."""
    check_path(path)
    path = Path(path)
    if path.is_dir() or path.suffix == "":
        path = path / _FILE
    try:
        with whole_file(path) as unfinished, h5py.File(unfinished, "w") as file:
            _write(file, result)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error
    return path


def load_reconstruction(path: str | Path) -> Reconstruction:
    """Read a reconstruction that `Reconstruction.save` wrote.

    Parameters
    ----------
    path : str or Path
        The file, or the folder that holds ``reconstruction.h5``.

    Returns
    -------
    Reconstruction

    Raises
    ------
    InputError
        If there is no such file or it is not a reconstruction.

    Examples
    --------
    >>> import tempfile, tomo
    >>> views = tomo.phantoms.views_of([(0, 0, 0), (1, 1, 0), (1, 0, 1)], [(1, 0, 0), (0, 1, 0)])
    >>> result = tomo.reconstruct(views, runs=2, crystal=tomo.fcc("Au", a=4.08))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loaded = load_reconstruction(result.save(folder))
    >>> loaded.occupied().tolist() == result.occupied().tolist()
    True
    """
    check_path(path)
    path = Path(path)
    if path.is_dir():
        path = path / _FILE
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a reconstruction.h5 or the folder that holds it.")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("kind") != _KIND:
                raise InputError(f"{path}: not a reconstruction of this program.")
            if int(file.attrs["format"]) > _FORMAT:
                raise InputError(
                    f"{path}: written by a newer version of stemcount ({file.attrs['program']}), which is"
                    " needed to read it."
                )
            return _read(file)
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{path}: not a readable reconstruction ({error}).") from error


def holds_reconstruction(path: str | Path) -> bool:
    """Whether `Reconstruction.save` wrote a file, readable or not, rather than another program."""
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("kind") == _KIND)
    except _DAMAGED:
        return False


def _write(file: h5py.File, result: Reconstruction) -> None:
    try:
        program = version("stemcount")
    except PackageNotFoundError:
        program = "unknown"
    file.attrs.update(
        kind=_KIND,
        format=_FORMAT,
        program=program,
        method=result.method,
        seed=str(result.seed),  # one of numpy.random.SeedSequence().entropy has 128 bits
        edge_weight=result.edge_weight,
    )
    # As data: an attribute holds 64 kB at most.
    file["diagnostics"] = json.dumps(result.diagnostics, default=_plain)
    file["warnings"] = json.dumps(list(result.warnings))
    for name in ("sites", "certainty", "energy"):
        file.create_dataset(name, data=getattr(result, name), compression="gzip")
    file.create_dataset("runs", data=result.runs, compression="gzip", dtype=bool)
    if result.crystal is not None:
        group = file.create_group("crystal")
        group.attrs.update(structure=result.crystal.structure, a=result.crystal.a)
        group.attrs["species"] = [s.species for s in result.crystal.sublattices]
        group.attrs["offsets"] = [s.offset for s in result.crystal.sublattices]
        group.attrs["phases"] = json.dumps(result.crystal.phases)
    for i, companion in enumerate(result.companions):
        group = file.create_group(f"companions/{i:03d}")
        group.attrs.update(species=companion.species, offset=companion.offset)
        for name in ("sites", "certainty", "runs"):
            group.create_dataset(name, data=getattr(companion, name), compression="gzip")
    for i, view in enumerate(result.views):
        group = file.create_group(f"views/{i:03d}")
        group.attrs.update(zone_axis=view.zone_axis, weight=view.weight, name=view.name)
        for name in _VIEW_ARRAYS:
            if getattr(view, name) is not None:
                group.create_dataset(name, data=getattr(view, name), compression="gzip")


def _read(file: h5py.File) -> Reconstruction:
    crystal = None
    if "crystal" in file:
        attributes = file["crystal"].attrs
        offsets = [tuple(float(c) for c in offset) for offset in attributes["offsets"]]
        crystal = Crystal(
            str(attributes["structure"]),
            float(attributes["a"]),
            tuple(Sublattice(str(s), o) for s, o in zip(attributes["species"], offsets, strict=True)),  # type: ignore[arg-type]
            tuple(tuple(phase) for phase in json.loads(attributes.get("phases", "[]"))),
        )
    views = []
    for name in sorted(file["views"]):
        group = file["views"][name]
        arrays = {key: group[key][...] for key in _VIEW_ARRAYS if key in group}
        axis = tuple(int(c) for c in group.attrs["zone_axis"])
        views.append(
            View(axis, **arrays, weight=float(group.attrs["weight"]), name=str(group.attrs["name"]))  # type: ignore[arg-type]
        )
    return Reconstruction(
        sites=file["sites"][...],
        certainty=file["certainty"][...],
        runs=file["runs"][...],
        energy=file["energy"][...],
        views=tuple(views),
        method=str(file.attrs["method"]),
        seed=int(file.attrs["seed"]),
        edge_weight=float(file.attrs["edge_weight"]),
        crystal=crystal,
        diagnostics=json.loads(file["diagnostics"][()]),
        warnings=tuple(json.loads(file["warnings"][()])),
        companions=tuple(_companion(file["companions"][name]) for name in sorted(file.get("companions", ()))),
    )


def _companion(group: h5py.Group) -> Companion:
    x, y, z = (float(c) for c in group.attrs["offset"])
    return Companion(
        species=str(group.attrs["species"]),
        offset=(x, y, z),
        sites=group["sites"][...],
        certainty=group["certainty"][...],
        runs=group["runs"][...],
    )


def _plain(item: Any) -> Any:
    if isinstance(item, np.ndarray):
        return item.tolist()
    if isinstance(item, np.generic):
        return item.item()
    raise TypeError(f"cannot save {type(item).__name__} among the diagnostics")
