"""The command line. Light: no command imports more than it needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` (those of the process, when None) give; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    from sdtui.cli.errors import exit_code_of

    return exit_code_of(lambda: _command(words) if words else _studio(), debug="--debug" in words)


def _studio() -> int:
    # The name of the module is all there is time for: typer would delay the first frame.
    from sdtui.tui.app import run

    return run()


def _command(words: list[str]) -> int:
    from sdtui.cli.commands import run_command

    return run_command(words)
