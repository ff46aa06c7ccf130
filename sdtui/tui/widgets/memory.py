"""What the engine and the machine hold in memory."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sdtui.tui.engine_view import EngineView
from sdtui.tui.figures import gigabytes, graph, whole_gigabytes


class MemoryGauge(Widget):
    """Engine now and at most, a graph of the last minute, and the machine."""

    engine: reactive[EngineView] = reactive(EngineView)

    def render(self) -> Content:
        lines = [Content.styled("MEMORY", "$foreground-muted")]
        memory = self.engine.memory
        if memory is None:
            return Content("\n").join([*lines, Content.styled("engine   –", "$foreground-muted")])
        lines += [
            Content.assemble(
                ("engine  ", "$foreground-muted"),
                gigabytes(memory.engine),
                ("   peak ", "$foreground-muted"),
                gigabytes(memory.engine_peak),
            ),
            Content.styled(graph(self.engine.trace, self.size.width), "$accent 50%"),
            Content.assemble(
                ("machine ", "$foreground-muted"),
                gigabytes(memory.machine),
                ("     of ", "$foreground-muted"),
                f"{whole_gigabytes(memory.machine_total):>4}",
            ),
        ]
        return Content("\n").join(lines)
