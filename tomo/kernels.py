"""What the compiled functions have in common: how they are compiled, and their random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function; threads run it side by side, and its code is kept on disk."""
    compiled: Callable[..., Any] = njit(cache=True, nogil=True)(function)
    return compiled


def jit_inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function into those that call it: handing arrays over costs more than a proposal."""
    compiled: Callable[..., Any] = njit(cache=True, nogil=True, inline="always")(function)
    return compiled


def random_state(seed: np.random.SeedSequence) -> NDArray[np.uint64]:
    """State (1,) uint64 of the kernels' random numbers."""
    return np.asarray(seed.generate_state(1, np.uint64), dtype=np.uint64)


@jit_inline
def random_bits(rng: NDArray[np.uint64]) -> np.uint64:
    """Next 64 bits of splitmix64 (Steele, Lea & Flood 2014, OOPSLA 453)."""
    rng[0] += np.uint64(0x9E3779B97F4A7C15)
    z = rng[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
