"""Fixtures that several packages share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of reference data outside the repository; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("STEMCOUNT_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"reference data not found in {folder}; set STEMCOUNT_DATA")
    return folder
