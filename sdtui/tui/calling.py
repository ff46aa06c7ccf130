"""Calling somebody back who looks elsewhere: a long job has ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sdtui.terminal.questions import through_tmux
from sdtui.tui.engine_link import LinkEvent
from sdtui.tui.engine_view import EngineView

if TYPE_CHECKING:
    from sdtui.tui.app import Studio

LONG_SECONDS = 10.0
"""Who has waited for so long may look elsewhere."""
LONGEST = 80


def news(before: EngineView, event: LinkEvent) -> str:
    """What to call somebody back for: a job that took long has ended. Nothing for any other event."""
    from sdtui.diffusion.events import Step
    from sdtui.engine.protocol import Conversion, Failed, Finished

    match event:
        case Finished(_, request, result) if result.seconds.total >= LONG_SECONDS:
            return f"sdtui: {request.prompt} is done"
        case Failed(job, failure):
            known = before.job(job)
            took = known.progress.elapsed if known and isinstance(known.progress, Step) else 0.0
            return f"sdtui: {failure.what}" if took >= LONG_SECONDS else ""
        case Conversion() if event.state not in ("queued", "running"):
            if event.state != "cancelled" and any(each.job == event.job for each in before.conversions):
                return f"sdtui: the conversion of {event.request.name} has ended"
    return ""


def sequence(text: str, environment: Mapping[str, str]) -> str:
    """OSC 9 with a line of ``text``, which iTerm2, kitty, WezTerm and Ghostty show; tmux passes it on."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)[:LONGEST]
    code = f"\x1b]9;{line}\x07"
    return through_tmux(code.encode()).decode() if environment.get("TMUX") else code


def call(studio: Studio, text: str) -> None:
    """Ring the bell, and have the terminal show a notification."""
    studio.bell()
    if studio._driver is not None:
        studio._driver.write(sequence(text, os.environ))
