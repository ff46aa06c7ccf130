"""The command line. Light: no command imports more than it needs."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdtui.settings import TerminalImages


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` (those of the process, when None) give; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    from sdtui.cli.errors import exit_code_of

    return exit_code_of(lambda: _command(words) if words else _studio(), debug="--debug" in words)


def _studio() -> int:
    return open_studio(None)


def open_studio(terminal_images: TerminalImages | None) -> int:
    """Open the studio on this terminal; pictures are shown as the settings say, unless told otherwise."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
        from sdtui.cli.errors import CommandLineError

        raise CommandLineError(
            "the studio cannot open", "this is no terminal", "open one, or use `sdtui generate`"
        )
    # Nothing else before it: typer would delay the first frame. So would the garbage collector, which
    # finds none while everything is being made; the studio lets it in again after that frame.
    gc.disable()
    from sdtui.terminal.opening import open_terminal

    opening = open_terminal(os.environ)  # it answers while the studio is being imported
    try:
        from sdtui.tui.app import run

        return run(opening, terminal_images)
    finally:
        if opening is not None:
            opening.close()


def _command(words: list[str]) -> int:
    from sdtui.cli.commands import run_command

    return run_command(words)
