"""A headless browser for tests that look at pages; they skip where there is none."""

import shutil
import subprocess
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def run_browser(page: Path, *options: str) -> str:
    """Open a page without network and return what the browser prints."""
    browser = next((path for name in NAMES if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium or Chrome on this machine")
    command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-dev-shm-usage"]
    command += ["--proxy-server=127.0.0.1:9", f"--user-data-dir={page.parent / 'browser'}", *options]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def picture_of(page: Path, width: int, height: int, *options: str) -> np.ndarray:
    """What the page looks like, (rows, cols, 3)."""
    png = page.with_suffix(".screenshot.png")
    run_browser(page, f"--window-size={width},{height}", f"--screenshot={png}", *options)
    return imageio.imread(png)[..., :3].astype(float)
