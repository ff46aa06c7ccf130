"""What the engine and the machine hold in memory, and what the next picture will."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sdtui.engine.protocol import Memory
from sdtui.tui.engine_view import EngineView
from sdtui.tui.figures import gigabytes, graph, whole_gigabytes
from sdtui.tui.memory_forecast import Forecast, share, verdict

LABEL = 8


class MemoryGauge(Widget):
    """Engine now and at most, a graph of the last minute, the machine, the model's weights, what comes.

    Where the machine has little left, ``unload_key`` is offered; it is empty where nothing can be unloaded.
    """

    engine: reactive[EngineView] = reactive(EngineView)
    weights: reactive[int | None] = reactive(None, layout=True)
    forecast: reactive[Forecast | None] = reactive(None, layout=True)
    unload_key: reactive[str] = reactive("", layout=True)

    def watch_engine(self, before: EngineView, now: EngineView) -> None:
        """A warning takes a line more; else a new figure moves nothing."""
        if _warned(before.memory) != _warned(now.memory):
            self.refresh(layout=True)

    def render(self) -> Content:
        lines = [Content.styled("MEMORY", "$foreground-muted")]
        memory = self.engine.memory
        if memory is None:
            return Content("\n").join([*lines, Content.styled("engine   –", "$foreground-muted")])
        lines += [
            self._line("engine", memory.engine, "peak", gigabytes(memory.engine_peak)),
            Content.styled(graph(self.engine.trace, self.size.width), "$accent 50%"),
            self._machine(memory),
        ]
        if self.weights is not None:
            lines.append(self._line("weights", self.weights, "", ""))
        if self.forecast is not None:
            lines.append(self._next(memory, self.forecast))
        if self.unload_key and _warned(memory):
            freed = gigabytes(memory.engine).strip()
            lines.append(Content.assemble((self.unload_key, "bold $accent"), f" unloads: {freed} less"))
        return Content("\n").join(lines)

    def _line(self, label: str, count: int, other: str, figure: str) -> Content:
        return Content.assemble(
            (f"{label:<{LABEL}}", "$foreground-muted"),
            gigabytes(count),
            (f"   {other:<5}", "$foreground-muted"),
            f"{figure:>4}",
        )

    def _machine(self, memory: Memory) -> Content:
        used = memory.machine / max(1, memory.machine_total)
        whole = whole_gigabytes(memory.machine_total)
        match verdict(used):
            case "fits":
                return self._line("machine", memory.machine, "of", whole)
            case "tight":
                warning = (f" {used:.0%} full", "bold $accent")
            case "too much":
                warning = (f" {used:.0%} full!", "bold $error")
        return Content.assemble(
            (f"{'machine':<{LABEL}}", "$foreground-muted"), gigabytes(memory.machine), f"/{whole}", warning
        )

    def _next(self, memory: Memory, forecast: Forecast) -> Content:
        part = share(memory, forecast.peak)
        word = verdict(part)
        about = " " if forecast.measured else "≈"
        colour = {"fits": "$foreground-muted", "tight": "bold $accent", "too much": "bold $error"}[word]
        words = word if word == "fits" else f"{word}: {part:.0%}"
        return Content.assemble(
            (f"{'next ' + about:<{LABEL}}", "$foreground-muted"),
            gigabytes(forecast.peak),
            "   ",
            (words, colour),
        )


def _warned(memory: Memory | None) -> bool:
    """Whether the machine has little left."""
    return memory is not None and verdict(memory.machine / max(1, memory.machine_total)) != "fits"
