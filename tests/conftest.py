"""Fixtures that several packages share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import scipy.linalg  # noqa: F401  its BLAS is loaded, so that it can be limited
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of reference data outside the repository; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("STEMCOUNT_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"reference data not found in {folder}; set STEMCOUNT_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """BLAS has one thread: on cores that other programs keep busy its others wait by spinning."""
    with threadpool_limits(1, user_api="blas"):
        yield
