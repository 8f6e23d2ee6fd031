"""What several commands ask of their arguments."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from stemcount.errors import InputError


def parse_zone_axis(text: str) -> tuple[int, int, int]:
    """Read a zone axis written as 1,1,0 or [1 -1 0] or 110; InputError if it is none."""
    compact = re.fullmatch(r"\[?\s*(-?\d)(-?\d)(-?\d)\s*\]?", text)
    numbers = list(compact.groups()) if compact else re.findall(r"[^\s,\[\]]+", text)
    try:
        u, v, w = (int(number) for number in numbers)
    except ValueError:
        raise InputError(f"zone axis {text!r}: expected three integers such as 1,1,0.") from None
    if (u, v, w) == (0, 0, 0):
        raise InputError(f"zone axis {text!r}: at least one index must differ from 0.")
    return u, v, w


def parse_signal(text: str | None) -> str | int | None:
    """Which image of a file: its title, or its number."""
    return int(text) if text is not None and text.isdecimal() else text


def check_folder(path: Path) -> None:
    """Make sure that files can be written in a folder, or raise an InputError.

    A folder that was not there is not left: what is written makes it, and a command that is refused before
    leaves nothing.
    """
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"--out {path}: cannot write there ({error.strerror}).") from error
    finally:
        with suppress(OSError):  # another run may write there by now
            for folder in new:
                folder.rmdir()


def file_to_write(out: Path | None, default: Path) -> Path:
    """The file that a command writes: `out`, or in it where it is a folder; InputError if it cannot be."""
    path = default if out is None else out / default.name if out.is_dir() else out
    if not path.exists() or path.is_file():  # what is there and no file is a pipe
        check_folder(path.parent)
    return path
