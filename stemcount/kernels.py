"""How functions are compiled: they run side by side in threads, and their code is kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit


def _kept_on_disk(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function, and keep its code on disk where any folder for it can be written to."""
    options["nogil"] = True
    compiled: Callable[..., Any]
    try:
        compiled = njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds neither the program's folder nor the user's writable
        compiled = njit(**options)(function)
    return compiled


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function as it is written: sums are taken in its order.

    With Numba's `fastmath` the compiler would order them, and in another way where it finds some functions
    on disk than where it compiles all: the last bits of results would change from start to start. Loops
    that add to the elements of an array are as fast without it.
    """
    return _kept_on_disk(function)


def jit_internal(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that only compiled ones call: what Python would call it by takes long to compile."""
    return _kept_on_disk(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def forget_stale(folder: Path) -> None:
    """Delete the machine code that an older program left in the `__pycache__` folders of a package.

    Numba looks at the file of a function to see whether its code on disk is stale, but not at those of the
    functions that it calls (numba's documentation, "Notes on Caching").
    """
    sources = [path.read_bytes() for path in sorted(folder.rglob("*.py"))]
    now = hashlib.sha256(b"\0".join(text for text in sources if b"@jit" in text)).hexdigest()
    kept = folder / "__pycache__" / "kernels.sha256"
    with suppress(OSError):  # a folder that cannot be written to has no code to delete
        if not kept.exists() or kept.read_text() != now:
            for code in folder.rglob("__pycache__/*.nb[ic]"):
                code.unlink(missing_ok=True)
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(now)


forget_stale(Path(__file__).parent)
