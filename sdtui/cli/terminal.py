"""What the terminal answers, and one picture by each protocol: to look at, not to judge."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from sdtui.terminal.answers import CellSize, Report

COLUMNS, ROWS = 20, 10


def show_terminal() -> None:
    """Print both; without a terminal only what can be known without asking."""
    from sdtui.terminal.opening import cell_of_window, inquire

    dialogue = inquire(os.environ)
    told = list(_answers(dialogue.report)) if dialogue else [("terminal", "none could be asked")]
    if dialogue and dialogue.beyond:
        told += [(f"{name}, around tmux", what) for name, what in _answers(dialogue.beyond)]
    print()
    for name, what in told:
        print(f"  {name:26} {what}")
    _half_blocks()
    if dialogue and sys.stdout.isatty():
        wrapped = dialogue.beyond is not None
        _others(cell_of_window(sys.stdout.fileno()) or dialogue.report.cell, wrapped)


def _answers(report: Report) -> Iterator[tuple[str, str]]:
    yield "version", report.version or "no answer"
    numbers = ", ".join(map(str, sorted(report.attributes)))
    yield "attributes", (numbers or "none") if report.complete else "no answer"
    yield "kitty's graphics", "OK" if report.kitty_graphics else "no answer"
    yield "a cell", f"{report.cell.width} × {report.cell.height} pixels" if report.cell else "no answer"
    yield (
        "the window",
        f"{report.window.width} × {report.window.height} pixels" if report.window else "no answer",
    )


def _half_blocks() -> None:
    from rich.console import Console
    from rich.style import Style
    from rich.text import Text

    from sdtui.doctor.card import card
    from sdtui.terminal.capabilities import colour_depth
    from sdtui.terminal.halfblock import half_blocks

    console = Console()
    depth = colour_depth(os.environ, console.color_system)
    print("\nhalf blocks")
    for row in half_blocks(card(), min(2 * COLUMNS, console.width), 2 * ROWS, depth).cells:
        line = Text()
        for cell in row:
            line.append(cell.char, Style(color=_hex(cell.foreground), bgcolor=_hex(cell.background)))
        console.print(line)


def _others(cell: CellSize | None, wrapped: bool) -> None:
    """Each below its name; a terminal that does not know a protocol shows nothing there, or boxes."""
    from sdtui.doctor.card import card
    from sdtui.terminal import kitty
    from sdtui.terminal.drawing import Box, Drawn, draw

    identity = kitty.IDENTITIES[os.getpid() % len(kitty.IDENTITIES)]
    box = Box(COLUMNS, ROWS, cell, identity, wrapped)
    names: dict[Drawn, str] = {"kitty": "kitty", "iterm2": "iTerm2", "sixel": "sixel"}
    for protocol, name in names.items():
        data = b"".join(piece.data for piece in draw(protocol, card(), box, sys.maxsize))
        room = "\n" * ROWS + f"\x1b[{ROWS}A"  # scrolls now, so that the picture need not
        print(f"\n{name}\n{room}\x1b7{data.decode('ascii')}\x1b8", end="")
        if protocol == "kitty":
            _print_placeholders(identity)
        else:
            print(f"\x1b[{ROWS}B", end="", flush=True)


def _print_placeholders(identity: int) -> None:
    from sdtui.terminal.kitty import following, placeholder

    for row in range(ROWS):
        print(f"\x1b[38;5;{identity}m{placeholder(row, 0)}{following(COLUMNS - 1)}\x1b[0m", flush=True)


def _hex(rgb: tuple[int, int, int] | None) -> str | None:
    return None if rgb is None else "#{:02x}{:02x}{:02x}".format(*rgb)
