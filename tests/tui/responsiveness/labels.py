"""What a changed label costs on the link."""

from __future__ import annotations

from tests.tui.responsiveness import stage
from tests.tui.responsiveness.figure import Figure

LIMIT = 200.0


def measure() -> list[Figure]:
    """Bytes for one letter in the prompt, and for one more step in the request."""
    with stage.home(20), stage.studio() as terminal:
        stage.furnished(terminal)
        terminal.type(b"q")
        sizes = {}
        for what, key in {
            "a letter in the prompt": b"q",
            "the way into the request": stage.REQUEST,
            "a number in the request": stage.RIGHT,
        }.items():
            terminal.quiet(1.0)
            before = len(terminal.sent)
            terminal.type(key)
            terminal.quiet(0.8)
            sizes[what] = len(terminal.sent) - before
        terminal.type(stage.QUIT)
        terminal.ended()
    limits = {"a letter in the prompt": LIMIT, "a number in the request": LIMIT}
    return [Figure(f"sent for {what}", size, "B", limits.get(what)) for what, size in sizes.items()]
