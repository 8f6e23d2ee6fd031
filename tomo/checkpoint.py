"""Finished runs on disk, so that a stopped ensemble goes on where it was."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .problem import Problem
from .schedule import AnnealedRun

#: Changes whenever the same seed would give other runs.
_VERSION = 3


def ensemble_key(problem: Problem, *settings: object) -> str:
    """Digest of everything that the runs depend on but their number."""
    digest = hashlib.sha256(repr((_VERSION, settings)).encode())
    for array in (problem.sites, problem.neighbours, problem.line, problem.table, problem.table_start):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


class RunFolder:
    """Folder of finished runs; those of other problems or settings are left alone.

    Parameters
    ----------
    path : str or Path
        Made if it does not exist.
    key : str
        From `ensemble_key`.

    Raises
    ------
    InputError
        If the folder cannot be made.
    """

    def __init__(self, path: str | Path, key: str) -> None:
        self._path, self._key = Path(path), key
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"checkpoint {path}: cannot be made ({error.strerror}).") from error

    def _file(self, number: int) -> Path:
        return self._path / f"{self._key}_run_{number:05d}.npz"

    def save(self, number: int, run: AnnealedRun) -> None:
        """Write one run; the file appears whole or not at all."""
        partial = self._file(number).with_suffix(f".{os.getpid()}.partial")
        values = {name: getattr(run, name) for name in AnnealedRun.__dataclass_fields__ if name != "occupied"}
        try:
            with open(partial, "wb") as file:
                np.savez_compressed(
                    file, packed=np.packbits(run.occupied), n_sites=len(run.occupied), **values
                )
            partial.replace(self._file(number))
        except OSError as error:
            raise InputError(f"checkpoint {self._path}: cannot be written ({error.strerror}).") from error

    def load(self, number: int) -> AnnealedRun | None:
        """A finished run, or None where there is none or its file is damaged."""
        try:
            with np.load(self._file(number)) as data:
                occupied: NDArray[np.bool_] = np.unpackbits(data["packed"], count=int(data["n_sites"])) > 0
                numbers = {
                    name: data[name].item() for name in AnnealedRun.__dataclass_fields__ if name != "occupied"
                }
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            return None
        return AnnealedRun(occupied=occupied, **numbers)
