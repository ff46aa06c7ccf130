"""What a terminal is asked, and how a question passes through tmux."""

from __future__ import annotations

VERSION = b"\x1b[>0q"
"""XTVERSION, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html."""
KITTY_GRAPHICS = b"\x1b_Gi=1,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
"""Whether one pixel would be taken, https://sw.kovidgoyal.net/kitty/graphics-protocol/."""
CELL_SIZE = b"\x1b[16t"
WINDOW_SIZE = b"\x1b[14t"
ATTRIBUTES = b"\x1b[c"
READY = b"\x1b[5n"
"""A device status report: answered when everything before it has been worked off."""

PROBE = VERSION + KITTY_GRAPHICS + CELL_SIZE + WINDOW_SIZE + ATTRIBUTES
"""The one batch. The attributes come last: no terminal leaves them unanswered."""


def through_tmux(sequence: bytes) -> bytes:
    """A sequence that tmux hands on to the terminal around it, where its ``allow-passthrough`` is on."""
    return b"\x1bPtmux;" + sequence.replace(b"\x1b", b"\x1b\x1b") + b"\x1b\\"
