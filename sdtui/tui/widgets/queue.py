"""What is being made, and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sdtui.diffusion.events import Step
from sdtui.engine.protocol import Job
from sdtui.tui.figures import shortened


class Queue(Vertical):
    """The jobs in their order; delete takes one out, the running one too."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("delete,backspace", "remove", "take out of the queue", id="queue.remove", show=False),
    ]

    @dataclass
    class Removed(Message):
        """The person does not want this job any more."""

        job: Job

    jobs: tuple[Job, ...] = ()

    def compose(self) -> ComposeResult:
        yield Static(self._title(), classes="title")
        yield OptionList(id="jobs", compact=True)

    def show(self, jobs: tuple[Job, ...]) -> None:
        """List these jobs."""
        if jobs == self.jobs:
            return
        before, self.jobs = self.jobs, jobs
        options = self.query_one(OptionList)
        self.query_one(Static).update(self._title())
        if [job.job for job in before] == [job.job for job in jobs]:
            for index, job in enumerate(jobs):
                if job != before[index]:
                    options.replace_option_prompt_at_index(index, self._line(job))
            return
        self._list()

    def on_resize(self) -> None:
        self._list()

    def _list(self) -> None:
        options = self.query_one(OptionList)
        highlighted = options.highlighted or 0
        options.clear_options()
        options.add_options(Option(self._line(job)) for job in self.jobs)
        options.highlighted = min(highlighted, len(self.jobs) - 1) if self.jobs else None

    def action_remove(self) -> None:
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None and highlighted < len(self.jobs):
            self.post_message(self.Removed(self.jobs[highlighted]))

    def _title(self) -> str:
        return f"QUEUE  {len(self.jobs) or '–'}"

    def _line(self, job: Job) -> Content:
        mark = "▶" if job.state == "running" else " "
        step = str(job.progress.index) if isinstance(job.progress, Step) else ""
        columns = max(8, self.query_one(OptionList).size.width - 6)
        prompt = shortened(job.request.prompt, columns)
        return Content.assemble(
            (f"{mark} ", "$accent"), f"{prompt:<{columns}}", (f"{step:>3}", "$foreground-muted")
        )
