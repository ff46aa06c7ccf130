"""One line that says how far the picture is, or what became of it."""

from __future__ import annotations

import msgspec
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sdtui.diffusion.events import Blocked, Decoding, Encoding, Loading, LoadingStage, PipelineEvent, Step
from sdtui.tui.engine_view import EngineView
from sdtui.tui.figures import bar, clock, shortened, shortened_path
from sdtui.tui.session import Notice

WIDE = 84
GAP = "   "
SHORTEST_PATH = 12
LOADING: dict[LoadingStage, str] = {
    "compiling": "compiling",
    "specialising": "preparing",
    "loading": "loading",
    "ready": "loading",
}
Parts = tuple[str, float | None, str]


class Standing(msgspec.Struct, frozen=True):
    """What there is to say: the engine's work, or else the last notice."""

    engine: EngineView
    notice: Notice | None = None
    retry_key: str = ""

    @property
    def failed(self) -> bool:
        """Whether the line tells of a failure: it may take more than one row then."""
        return not self.engine.jobs and self.notice is not None and self.notice.kind == "failed"


def stage(event: PipelineEvent | None, wide: bool) -> Parts:
    """A job's stage, how much of it is done (None: who knows), and the numbers beside the bar."""
    match event:
        case None:
            return "beginning", None, ""
        case Loading(network, index, total):
            name = event.note or f"{LOADING[event.stage]} {network.replace('_', ' ')}"
            last = f"  last time {clock(event.expected)}" if event.expected and event.expected >= 1 else ""
            return name, (index - 1) / total, f"{index}/{total}{last * wide}"
        case Encoding():
            return "encoding", 0.0, ""
        case Step(index, total):
            count = f"{index:>{len(str(total))}}/{total}"
            left = clock(event.remaining)
            if wide:
                return "denoising", index / total, f"{count}  {event.rate:5.1f} it/s  {left:>5} left"
            return "denoising", index / total, f"{count} {event.rate:4.1f} it/s {left:>4}"
        case Decoding():
            return "decoding", 1.0, ""
        case Blocked():
            return "blocked by the safety checker", 1.0, ""


class ProgressLine(Widget):
    """Stage, bar, steps, rate and time left; after a failure ``what — why — what to do``."""

    standing: reactive[Standing] = reactive(lambda: Standing(EngineView()))

    def watch_standing(self, standing: Standing) -> None:
        self.set_class(standing.failed, "-failed")

    def render(self) -> Content:
        engine, notice = self.standing.engine, self.standing.notice
        if engine.running:
            return self._working(engine.running.progress)
        if engine.waiting:
            return self._waiting(len(engine.waiting))
        if self.standing.failed and notice:
            key = self.standing.retry_key
            return Content.assemble(
                ("✗ ", "bold $error"), notice.text, (f"   {key} tries again" if key else "", "$accent")
            )
        if notice:
            return self._notice(notice)
        return Content("")

    def _working(self, event: PipelineEvent | None) -> Content:
        wide = self.size.width >= WIDE
        name, done, numbers = stage(event, wide)
        gap = "  " if wide else " "
        name = shortened(name, self.size.width - len(numbers) - 2 * len(gap))
        columns = max(0, self.size.width - len(name) - len(numbers) - 2 * len(gap))
        full, left = bar(done or 0.0, columns)
        return Content.assemble(
            name, gap, (full, "$accent"), (left, "$foreground-disabled"), gap, (numbers, "$foreground")
        )

    def _notice(self, notice: Notice) -> Content:
        text = shortened(notice.text, self.size.width)
        room = self.size.width - len(text) - len(GAP)
        file = GAP + shortened_path(notice.file, room) if notice.file and room > SHORTEST_PATH else ""
        return Content.assemble((text, "$foreground-muted"), (file, "$foreground-disabled"))

    def _waiting(self, count: int) -> Content:
        waiting = "your picture waits" if count == 1 else f"{count} pictures wait"
        why = (
            "the engine is starting" if self.standing.engine.link == "starting" else "the engine takes it up"
        )
        return Content.styled(f"{why} — {waiting}", "$foreground-muted")
