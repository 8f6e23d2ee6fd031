"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A name beside `path` to write to; the file gets its own name when this block ends without an error.

    A program that is stopped, or a disc that is full, then leaves an older file of that name as it was. The
    ending is kept, since writers take the format from it. What is no file, such as a pipe, is written to as
    it is, and the file behind a link is replaced, not the link. Folders that are not there yet are made.
    OSError if `path` is a folder, or cannot be replaced, or its folder cannot be made.
    """
    final = Path(os.path.realpath(path))
    if final.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if os.path.exists(path) and not os.path.isfile(path):  # asked by its own name: a pipe has no other
        yield Path(path)
        return
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # the sentence would be that there is such a file, which is what was asked for
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    unfinished = final.with_name(f".{final.stem[:60]}.{os.getpid()}{final.suffix}")
    try:
        yield unfinished
        unfinished.replace(final)
    finally:
        unfinished.unlink(missing_ok=True)
