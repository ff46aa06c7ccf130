"""What this terminal can show, as far as it says so."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

from sdtui.doctor.finding import Finding
from sdtui.terminal.capabilities import ColourDepth, colour_depth
from sdtui.terminal.opening import cell_of_window, inquire
from sdtui.terminal.protocols import choose

SECTION = "terminal"
DEPTHS = {
    "truecolor": "16 million colours",
    "256": "256 colours",
    "16": "16 colours",
    "grey": "shades of grey (NO_COLOR)",
    "mono": "no colours",
}
NAMES = {
    "kitty": "kitty's graphics",
    "iterm2": "iTerm2's inline images",
    "sixel": "sixels",
    "halfblock": "half blocks",
    "none": "none",
}
SMALLEST = (60, 16)
"""Columns and rows that the studio needs for more than the prompt and the progress line."""


def screen() -> Iterator[Finding]:
    """Colours, size, and what lies between us and the terminal."""
    terminal = sys.stdout.isatty()
    depth = colour_depth(os.environ)
    yield Finding(
        section=SECTION, subject="colours", level="note" if depth == "mono" and terminal else "ok",
        told=DEPTHS[depth],
        remedy="set TERM to what this terminal is" if depth == "mono" and terminal else "",
        figures={"depth": depth},
    )  # fmt: skip
    if terminal:
        size = shutil.get_terminal_size()
        small = size.columns < SMALLEST[0] or size.lines < SMALLEST[1]
        yield Finding(
            section=SECTION, subject="size", level="note" if small else "ok",
            told=f"{size.columns} × {size.lines}",
            remedy=f"make it {SMALLEST[0]} × {SMALLEST[1]} or larger" if small else "",
            figures={"columns": size.columns, "rows": size.lines},
        )  # fmt: skip
    else:
        yield Finding(section=SECTION, subject="size", told="the output is no terminal")
    yield Finding(section=SECTION, subject="kind", told=_kind(os.environ))
    yield _pictures(depth)


def _pictures(depth: ColourDepth) -> Finding:
    """How the studio will show them, as the terminal says when it is asked."""
    dialogue = inquire(os.environ)
    if dialogue is None:
        return Finding(section=SECTION, subject="pictures", told="half blocks: no terminal could be asked")
    report = replace(dialogue.report, cell=cell_of_window(2) or dialogue.report.cell)
    choice = choose(report, os.environ, depth, dialogue.beyond)
    return Finding(
        section=SECTION, subject="pictures", told=f"{NAMES[choice.protocol]}: {choice.why}",
        figures={"protocol": choice.protocol, "answers": report.version, "complete": report.complete},
    )  # fmt: skip


def _kind(environment: Mapping[str, str]) -> str:
    names = [environment.get(name, "") for name in ("TERM_PROGRAM", "TERM")]
    told = ", ".join(dict.fromkeys(filter(None, names))) or "it does not say what it is"
    if environment.get("TMUX") or environment.get("STY"):
        told += ", inside tmux" if environment.get("TMUX") else ", inside screen"
    return f"{told}, over SSH" if environment.get("SSH_CONNECTION") else told
