"""Finished stages on disk, so that a stopped run goes on where it was.

A stage's result is a tree of frozen dataclasses, tuples, numbers and numpy arrays. It is kept in one
.npz file: the arrays under running names and the tree as JSON. The file also holds a key, a hash of
everything the stage depends on, the program included; another key means another question, and the stage is
done again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import stemcount
import tomo
from stemcount.whole_file import whole_file
from tomo.checkpoint import program_digest

Result = TypeVar("Result")


def stage_key(*ingredients: Any) -> str:
    """Hash of what a stage depends on: the program, arrays by their bytes, dataclasses by fields."""
    programs = [program_digest(Path(str(package.__file__)).parent) for package in (stemcount, tomo)]
    digest = hashlib.sha256("".join(programs).encode())
    for item in ingredients:
        arrays: list[np.ndarray] = []
        digest.update(json.dumps(_encode(item, arrays), sort_keys=True).encode())
        for array in arrays:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def remember(path: Path, key: str, compute: Callable[[], Result]) -> Result:
    """Result of a stage: read from `path` if it answers the same question, else computed and kept.

    `path` is the stage's .npz file, `key` the `stage_key` of everything the result depends on.
    """
    kept = _load(path, key)
    if kept is not None:
        return kept  # type: ignore[no-any-return]
    result = compute()
    arrays: list[np.ndarray] = []
    tree = json.dumps({"key": key, "result": _encode(result, arrays)})
    named: dict[str, Any] = {f"a{i}": array for i, array in enumerate(arrays)}
    with whole_file(path) as unfinished:
        np.savez_compressed(unfinished, tree=np.array(tree), **named)
    return result


def _load(path: Path, key: str) -> Any:
    """The kept result, or None if there is none for this key."""
    try:
        with np.load(path) as file:
            tree = json.loads(str(file["tree"]))
            if tree["key"] != key:
                return None
            return _decode(tree["result"], file)
    except Exception:  # no file, a damaged one, another program's: whatever it is, the stage is computed
        return None


def _classes() -> dict[str, type]:
    """Dataclasses that stages hand on, by name: the public ones and those of the command line."""
    from stemcount.counting.composition import Composition

    from ..all_views import species, views

    found = [getattr(package, name) for package in (stemcount, tomo) for name in package.__all__]
    found += [views.JointReading, views.OtherCrystal, species.Settled, species.TypedView, Composition]
    return {c.__name__: c for c in found if isinstance(c, type) and dataclasses.is_dataclass(c)}


def _encode(item: Any, arrays: list[np.ndarray]) -> Any:
    if item is None or isinstance(item, str | bool):
        return item
    if isinstance(item, np.ndarray):
        arrays.append(item)
        return {"array": len(arrays) - 1}
    if isinstance(item, int | np.integer):
        return int(item)
    if isinstance(item, float | np.floating):
        return float(item)
    if isinstance(item, Path):
        return str(item)
    if isinstance(item, tuple | list):
        return {type(item).__name__: [_encode(part, arrays) for part in item]}
    if isinstance(item, dict):
        return {"dict": [[_encode(k, arrays), _encode(v, arrays)] for k, v in item.items()]}
    if dataclasses.is_dataclass(item):
        fields = {f.name: _encode(getattr(item, f.name), arrays) for f in dataclasses.fields(item) if f.init}
        return {"class": type(item).__name__, "fields": fields}
    raise TypeError(f"a stage cannot hold {type(item)}")


def _decode(tree: Any, arrays: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[f"a{tree['array']}"]
    if "tuple" in tree:
        return tuple(_decode(part, arrays) for part in tree["tuple"])
    if "list" in tree:
        return [_decode(part, arrays) for part in tree["list"]]
    if "dict" in tree:
        return {_decode(k, arrays): _decode(v, arrays) for k, v in tree["dict"]}
    cls = _classes()[tree["class"]]
    return cls(**{name: _decode(value, arrays) for name, value in tree["fields"].items()})
