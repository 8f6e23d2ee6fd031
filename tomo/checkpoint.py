"""Finished runs, and segments of sampling, on disk: what was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .annealing.schedule import AnnealedRun
from .arrays import Bools
from .errors import InputError, check_path
from .problem import Problem
from .whole_file import whole_file


@cache
def program_digest(folder: Path) -> str:
    """Digest of the sources in a package's folder: another program gives other results, whatever its version.

    A version under development changes without a new number.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def ensemble_key(problem: Problem, *settings: object) -> str:
    """Digest of everything that the runs depend on but their number."""
    digest = hashlib.sha256(repr((program_digest(Path(__file__).parent), settings)).encode())
    around = problem.neighbours, problem.second_neighbours
    for array in (problem.sites, *around, problem.line, problem.table, problem.table_start):
        digest.update(np.ascontiguousarray(array).tobytes())
    for name, optional in (("worth", problem.worth), ("opened", problem.opened)):
        if optional is not None:
            digest.update(name.encode() + optional.tobytes())
    return digest.hexdigest()[:16]


class Folder:
    """Folder of numbered files of arrays; those of other problems or settings are left alone.

    It is made if it does not exist (InputError if it cannot be); `key` comes from `ensemble_key`, `kind` says
    what the files hold, and is part of their names.
    """

    def __init__(self, path: str | Path, key: str, kind: str) -> None:
        if path == "":  # would be the folder that the program happens to run in
            raise InputError("checkpoint: expected the path of a folder, got an empty one.")
        check_path(path)
        self._path, self._prefix = Path(path), f"{key}_{kind}"
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"checkpoint {path}: cannot be made ({error.strerror}).") from error

    def _file(self, number: int) -> Path:
        return self._path / f"{self._prefix}_{number:05d}.npz"

    def save(self, number: int, values: Mapping[str, ArrayLike]) -> None:
        """Write one file; it appears whole or not at all."""
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in values.items()}
        try:
            with whole_file(self._file(number)) as unfinished:
                np.savez_compressed(unfinished, **arrays)
        except OSError as error:
            raise InputError(f"checkpoint {self._path}: cannot be written ({error.strerror}).") from error

    def load(self, number: int) -> dict[str, NDArray[Any]] | None:
        """Values of one file, or None where there is none or it is damaged."""
        try:
            with np.load(self._file(number)) as data:
                return {name: data[name] for name in data.files}
        except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile):
            return None


class RunFolder:
    """Folder of finished annealing runs; takes what `Folder` takes."""

    def __init__(self, path: str | Path, key: str) -> None:
        self._folder = Folder(path, key, "run")

    def save(self, number: int, run: AnnealedRun) -> None:
        """Write one run; the file appears whole or not at all."""
        values = vars(run) | {"occupied": np.packbits(run.occupied)}
        self._folder.save(number, values)

    def load(self, number: int) -> AnnealedRun | None:
        """A finished run, or None where there is none or its file is damaged."""
        data = self._folder.load(number)
        if data is None:
            return None
        try:
            probability = data.pop("probability")
            occupied: Bools = np.unpackbits(data.pop("occupied"), count=len(probability)) > 0
            return AnnealedRun(occupied, probability, **{name: value.item() for name, value in data.items()})
        except (KeyError, TypeError, ValueError):
            return None
