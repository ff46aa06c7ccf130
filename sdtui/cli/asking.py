"""Asking before something is lost."""

from __future__ import annotations

import sys

from sdtui.cli.errors import CommandLineError


def agreed(question: str, undone: str) -> bool:
    """Whether the person at the terminal says yes.

    Raises :class:`CommandLineError`, which says what is ``undone``, where nobody sits there.
    """
    if not sys.stdin.isatty():
        raise CommandLineError(undone, "nobody can be asked here", "add --yes")
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
