"""What the compiled functions have in common: how they are compiled, and their random numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


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
    """Compile a function; threads run it side by side, and its code is kept on disk."""
    return _kept_on_disk(function)


def jit_internal(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that only compiled ones call: what Python would call it by takes long to compile."""
    return _kept_on_disk(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def jit_inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function into those that call it: handing arrays over costs more than a proposal."""
    return _kept_on_disk(function, inline="always")


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


def random_state(seed: np.random.SeedSequence) -> NDArray[np.uint64]:
    """State (1,) uint64 of the kernels' random numbers."""
    return np.asarray(seed.generate_state(1, np.uint64), dtype=np.uint64)


#: Entries of `_EXPONENTIAL`, a power of two.
_LEVELS = 4096
#: Quantiles of the exponential distribution.
_EXPONENTIAL = -np.log((np.arange(_LEVELS) + 0.5) / _LEVELS)


@jit_inline
def random_bits(rng: NDArray[np.uint64]) -> np.uint64:
    """Next 64 bits of splitmix64 (Steele, Lea & Flood 2014, OOPSLA 453)."""
    rng[0] += np.uint64(0x9E3779B97F4A7C15)
    z = rng[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@jit_inline
def below(bits: np.uint64, n: int) -> int:
    """Integer below n < 2**31 by the upper 32 of random bits; its bias, n / 2**32, does not matter here."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))  # type: ignore[return-value]


@jit_inline
def unit(bits: np.uint64) -> float:
    """Number 0..1 by the upper 53 of random bits."""
    return np.float64(bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@jit_inline
def exponential(bits: np.uint64) -> float:
    """Number of the exponential distribution of mean 1 by the lower 12 of random bits.

    A move at temperature T is accepted when it costs less than T times one.
    """
    return _EXPONENTIAL[bits & np.uint64(_LEVELS - 1)]  # type: ignore[no-any-return]
