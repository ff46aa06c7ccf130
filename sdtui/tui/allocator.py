"""Memory that pictures took, back to the system: glibc keeps what is freed below something still in use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Have the C library return what it can; takes a millisecond, in which other threads go on."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    import ctypes

    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
