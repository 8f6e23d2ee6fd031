"""Project files for the tests of the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def gold() -> str:
    """The smallest project: one image of a gold particle."""
    return """
[crystal]
structure = "fcc"
species = ["Au"]
a = 4.08

[[image]]
file = "au_110.hspy"
zone_axis = [1, 1, 0]
"""


@pytest.fixture
def project_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a project file of the given text into the test's folder."""

    def write(text: str) -> Path:
        path = tmp_path / "project.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
