"""The rooms' import rule, read from the source, and what importing costs."""

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import stemcount
import tomo
import tomo.observables
import viewers

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("stemcount", "tomo", "viewers")


def imported_rooms(path: Path) -> set[str]:
    """Packages of ours that a module imports by name, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found & set(ROOMS)


def modules(room: str) -> list[Path]:
    return [path for path in sorted((ROOT / room).rglob("*.py")) if "cli" not in path.relative_to(ROOT).parts]


@pytest.mark.parametrize(
    ("room", "forbidden"), [("stemcount", {"tomo", "viewers"}), ("tomo", {"stemcount", "viewers"})]
)
def test_imports_go_one_way(room, forbidden):
    guilty = {str(path): imported_rooms(path) & forbidden for path in modules(room)}
    assert not {path: names for path, names in guilty.items() if names}


def test_nothing_imports_the_command_line():
    for room in ROOMS:
        for path in modules(room):
            if path.name == "__main__.py":
                continue
            assert "stemcount.cli" not in path.read_text(encoding="utf-8") or room == "viewers", path


def loaded_by(code: str) -> set[str]:
    script = f"import sys; {code}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_packages_loads_nothing_heavy():
    loaded = loaded_by("import stemcount, tomo, viewers")
    assert not loaded & {"numpy", "numba", "hyperspy", "napari", "qtpy", "matplotlib"}


def test_the_command_line_starts_without_the_libraries():
    loaded = loaded_by("import stemcount.cli.app")
    assert not loaded & {"numpy", "numba", "hyperspy", "napari", "qtpy", "matplotlib", "pydantic"}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_exists_and_is_documented(room):
    package = __import__(room)
    for name in package.__all__:
        documented = getattr(package, name)
        if callable(documented):
            assert documented.__doc__, f"{room}.{name} has no docstring"


def test_results_of_arrays_can_be_asked_whether_they_are_the_same():
    """The == of arrays has no truth value, and so `fit in fits` would raise."""
    checked = 0
    for package in (stemcount, tomo, tomo.observables, viewers):
        for name in package.__all__:
            public = getattr(package, name)
            if not dataclasses.is_dataclass(public):
                continue
            if any("ndarray" in str(kind) for kind in get_type_hints(public).values()):
                assert public.__eq__ is object.__eq__, name
                checked += 1
    assert checked > 0
