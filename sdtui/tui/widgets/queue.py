"""What is being made, and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sdtui.diffusion.events import Step
from sdtui.engine.protocol import Conversion, Job, Way
from sdtui.tui.converting import advance_of
from sdtui.tui.engine_view import EngineView
from sdtui.tui.figures import shortened
from sdtui.tui.widgets.lines import Lines, fill


class Entry(msgspec.Struct, frozen=True):
    """A line of the queue: the job's name, what it makes, and how far it is in three characters."""

    job: str
    text: str
    running: bool
    figure: str


def entry_of(job: Job | Conversion) -> Entry:
    """A picture by its prompt and step, a conversion by its name and percentage."""
    running = job.state == "running"
    if isinstance(job, Conversion):
        return Entry(
            job.job, f"convert {job.request.name}", running, advance_of(job).percent if running else ""
        )
    step = str(job.progress.index) if isinstance(job.progress, Step) else ""
    return Entry(job.job, job.request.prompt, running, step)


class Queue(Vertical):
    """The pictures in their order, then the conversions.

    One can be taken out, the running one too, and a waiting picture be made earlier or later.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("delete,backspace", "remove", "take out of the queue", id="queue.remove", show=False),
        Binding("u,shift+up", "move('up')", "make it earlier", id="queue.up", show=False),
        Binding("d,shift+down", "move('down')", "make it later", id="queue.down", show=False),
        Binding("f,shift+home", "move('first')", "make it next", id="queue.first", show=False),
    ]

    @dataclass(eq=False, repr=False)
    class Removed(Message):
        """The person does not want this job any more."""

        job: str

    @dataclass(eq=False, repr=False)
    class Moved(Message):
        """The person wants this job made earlier or later."""

        job: str
        way: Way

    entries: tuple[Entry, ...] = ()

    def compose(self) -> ComposeResult:
        yield Static(self._title(), classes="title")
        yield Lines(id="jobs", compact=True)

    def show(self, engine: EngineView) -> None:
        """List the engine's jobs."""
        jobs: tuple[Job | Conversion, ...] = (*engine.jobs, *engine.conversions)
        entries = tuple(map(entry_of, jobs))
        if entries == self.entries:
            return
        before, self.entries = self.entries, entries
        options = self.query_one(OptionList)
        self.query_one(Static).update(self._title())
        if [entry.job for entry in before] == [entry.job for entry in entries]:
            for index, entry in enumerate(entries):
                if entry != before[index]:
                    options.replace_option_prompt_at_index(index, self._line(entry))
            return
        self._list()

    def on_resize(self) -> None:
        self._list()

    def _list(self) -> None:
        options = self.query_one(OptionList)
        names = [entry.job for entry in self.entries]
        place = names.index(current) if (current := self._current) in names else options.highlighted or 0
        fill(options, [Option(self._line(entry), id=entry.job) for entry in self.entries], place)

    @property
    def _current(self) -> str | None:
        """The job under the cursor."""
        option = self.query_one(OptionList).highlighted_option
        return option.id if option else None

    def action_remove(self) -> None:
        if self._current:
            self.post_message(self.Removed(self._current))

    def action_move(self, way: Way) -> None:
        if self._current:
            self.post_message(self.Moved(self._current, way))

    def _title(self) -> str:
        return f"QUEUE  {len(self.entries) or '–'}"

    def _line(self, entry: Entry) -> Content:
        mark = "▶" if entry.running else " "
        columns = max(8, self.query_one(OptionList).size.width - 6)
        text = shortened(entry.text, columns)
        return Content.assemble(
            (f"{mark} ", "$accent"), f"{text:<{columns}}", (f"{entry.figure:>3}", "$foreground-muted")
        )
