"""What the terminal can show, as far as it says so without being asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

ColourDepth = Literal["truecolor", "256", "16", "grey", "mono"]


def colour_depth(environment: Mapping[str, str], console: str | None = None) -> ColourDepth:
    """How many colours to draw with.

    ``console`` is what Rich made of this terminal (``truecolor``, ``256``, ``standard``), where it
    has looked already: it decides what colours leave the process. ``NO_COLOR`` (any value but the
    empty one, https://no-color.org) leaves shades of grey, as Textual draws everything then; ``mono``
    is a terminal that knows nothing but characters.
    """
    if environment.get("NO_COLOR"):
        return "mono" if console is None and environment.get("TERM", "") in ("", "dumb") else "grey"
    if console is not None:
        return {"truecolor": "truecolor", "256": "256"}.get(console, "16")  # type: ignore[return-value]
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    term = environment.get("TERM", "")
    if term in ("", "dumb"):
        return "mono"
    if term.endswith("direct") or term in ("xterm-kitty", "xterm-ghostty"):
        return "truecolor"
    return "256" if "256color" in term else "16"
