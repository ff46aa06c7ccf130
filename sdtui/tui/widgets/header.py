"""The first line: which model, how the engine is, and what memory it takes."""

from __future__ import annotations

import time

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sdtui.tui.converting import advance_of
from sdtui.tui.engine_view import EngineView
from sdtui.tui.figures import gigabytes, graph, whole_gigabytes

WIDE = 100
BREATH_SECONDS = 0.6


def light(engine: EngineView, lit: bool) -> tuple[str, str]:
    """The engine's light and its word. ``lit`` alternates while there is something to wait for."""
    match engine.link, engine.warmth:
        case "lost", _:
            return "✗", "gone"
        case "asleep", _:
            return "○", "asleep"
        case "starting", _:
            return "●" if lit else "○", "starting"
        case _, "loading":
            return "●" if lit else "◐", "loading"
        case _, "busy":
            return "▶", "busy"
        case _, "warm":
            return "●", "warm"
        case _:
            return "○", "cold"


class Header(Widget):
    """One line; what is less important goes first when it gets narrow."""

    model: reactive[str] = reactive("")
    engine: reactive[EngineView] = reactive(EngineView)

    def show(self, model: str, engine: EngineView) -> None:
        """Show this model's title and size, and the engine."""
        self.model = model
        self.engine = engine
        breathing = engine.link == "starting" or (engine.link == "on" and engine.warmth == "loading")
        self.auto_refresh = BREATH_SECONDS if breathing else None

    def render(self) -> Content:
        wide = self.size.width >= WIDE
        name = " sdtui   " if wide else " sdtui  "
        runtime = f" · {self.engine.runtime}" if wide and self.engine.runtime else ""
        left = Content.assemble((name, "bold $accent"), self.model, (runtime, "$foreground-muted"))
        right = self._engine(wide)
        room = self.size.width - left.cell_length - right.cell_length
        converting = self._converting(room)
        return Content.assemble(left, " " * max(1, room - converting.cell_length), converting, right)

    def _converting(self, room: int) -> Content:
        """How far a conversion is, in as many words as there is room for."""
        if self.engine.converting is None:
            return Content("")
        advance = advance_of(self.engine.converting)
        forms = (
            f"converting {self.engine.converting.request.name} {advance.percent}  {advance.left}   ",
            f"converting {advance.percent} {advance.left}  ",
            f"converting {advance.percent}  ",
            f"{advance.percent} ",
        )
        return Content.styled(next((form for form in forms if len(form) < room), ""), "$accent")

    def _engine(self, wide: bool) -> Content:
        engine = self.engine
        shape, word = light(engine, lit=int(time.monotonic() / BREATH_SECONDS) % 2 == 0)
        colour = "$error" if engine.link == "lost" else "$accent"
        parts: list[Content | str | tuple[str, str]] = [
            ("engine " if wide else "", "$foreground-muted"),
            (shape, colour),
            f" {word:<8}" if wide else f" {word}",
        ]
        if engine.memory:
            used, present = gigabytes(engine.memory.engine), whole_gigabytes(engine.memory.machine_total)
            parts += [
                f"  {used}" if wide else f" {used}",
                (f" of {present} GB  " if wide else f"/{present} GB ", "$foreground-muted"),
                (graph(engine.trace, 12 if wide else 6), "$accent 50%"),
            ]
        return Content.assemble(*parts, " ")
