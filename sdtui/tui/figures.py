"""Numbers and bars as people read them, always as wide as the last time."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEVELS = "▁▂▃▄▅▆▇█"
TOP_LEVEL = 4


def gigabytes(count: int) -> str:
    """Bytes in units of 2^30, four characters: `` 2.1``, ``  24``; ``0.02`` of what is small."""
    amount = count / 2**30
    if 0 < amount < 0.095:
        return f"{amount:4.2f}"
    return f"{amount:4.1f}" if amount < 100 else f"{amount:4.0f}"


def whole_gigabytes(count: int) -> str:
    """Bytes in units of 2^30, rounded: what a machine is sold with."""
    return str(max(1, round(count / 2**30)))


def size_on_disk(count: int) -> str:
    """Bytes in the largest fitting decimal unit: ``22 MB``, ``1.0 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def clock(seconds: float) -> str:
    """Minutes and seconds, rounded up so that 0:00 means done."""
    whole = math.ceil(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def graph(values: Sequence[int], columns: int) -> str:
    """The latest values as block glyphs, newest at the right; the highest is half a cell and a bit."""
    latest = list(values)[-columns:]
    top = max(values, default=0) or 1
    glyphs = "".join(LEVELS[round(value * TOP_LEVEL / top)] for value in latest)
    return glyphs.rjust(columns)


def bar(done: float, columns: int) -> tuple[str, str]:
    """A progress bar's two parts: what is done, and what is left. ``done`` is from 0 to 1.

    They differ in weight, not only in colour; half a column counts.
    """
    halves = round(min(1.0, max(0.0, done)) * columns * 2)
    full = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return full, "─" * (columns - len(full))


def shortened(text: str, columns: int) -> str:
    """One line of at most ``columns`` characters, the end cut off with an ellipsis."""
    line = text.replace("\n", " ").strip()
    return line if len(line) <= columns else line[: max(0, columns - 1)] + "…"


def shortened_path(path: str, columns: int) -> str:
    """A path of at most ``columns`` characters, the beginning cut off: its name is at the end."""
    return path if len(path) <= columns else "…" + path[len(path) - columns + 1 :]
