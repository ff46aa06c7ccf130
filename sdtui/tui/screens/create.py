"""The main screen: the picture, and everything to make the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.geometry import Offset, Size
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import OptionList, Static, TextArea

from sdtui.request import GenerationRequest
from sdtui.terminal.capabilities import ColourDepth
from sdtui.tui.commands import COMMANDS
from sdtui.tui.draft import Draft
from sdtui.tui.session import Session
from sdtui.tui.widgets.canvas import Canvas
from sdtui.tui.widgets.header import Header
from sdtui.tui.widgets.key_hints import KeyHints
from sdtui.tui.widgets.library import Library, Model
from sdtui.tui.widgets.memory import MemoryGauge
from sdtui.tui.widgets.progress_line import ProgressLine, Standing
from sdtui.tui.widgets.prompt_editor import PromptEditor
from sdtui.tui.widgets.prompt_title import PromptTitle
from sdtui.tui.widgets.queue import Queue
from sdtui.tui.widgets.recent import RecentStrip
from sdtui.tui.widgets.request_panel import RequestPanel, RequestView

if TYPE_CHECKING:
    from PIL import Image

DRAWERS = ("library", "queue", "negative", "recent")
PARTS = ("prompt", "negative", "request", "library", "queue", "recent")
WIDE = (110, 34)
VAST = 180
"""Columns from which the panes beside the picture have more of them: it is as high as it can be."""
SMALLEST = (60, 16)
SHOWN = [command for command in COMMANDS if command.shown != "never"]
HINTS = (
    {command.id: command.title for command in SHOWN},
    {command.id: command.brief for command in SHOWN},
    {command.id: command.brief for command in SHOWN if command.shown == "always"},
)
"""What the last line says of the keys, in more words and in fewer."""
IN_PARTS = {
    "request": {
        "request.less": "less",
        "request.more": "more",
        "request.lock": "lock the seed",
        "request.clear": "usual value",
        "request.undo": "undo",
    },
    "library": {"library.details": "details"},
    "queue": {
        "queue.remove": "take it out",
        "queue.first": "next",
        "queue.up": "earlier",
        "queue.down": "later",
    },
    "recent": {
        "recent.take": "take it",
        "recent.compare": "compare",
        "recent.start-from": "start from it",
        "recent.vary": "X/Y sheet",
    },
}
"""The keys of a part while the cursor is in it."""
BACK = {"generate": "generate", "close": "back to the prompt"}


class Create(Screen[None]):
    """Shows a session, and writes into it what the person does to its draft and its pictures.

    What is a pane where there is room is a drawer where there is not.
    """

    AUTO_FOCUS = "#prompt"

    @dataclass(eq=False, repr=False)
    class Edited(Message):
        """The person changed the session: draw it again, and remember it."""

    def __init__(self, session: Session, depth: ColourDepth) -> None:
        super().__init__()
        self._session = session
        self.depth = depth

    def compose(self) -> ComposeResult:
        """What the first frame needs; :meth:`furnish` brings the rest."""
        draft = self._session.draft
        self._suit(self.app.size)
        yield Header()
        with Horizontal(id="body"):
            yield Vertical(id="left")
            with Vertical(id="centre"):
                yield Canvas(self.depth, id="canvas")
                yield ProgressLine()
            with Vertical(id="right"):
                yield RequestPanel(id="request")
        yield PromptTitle()
        yield PromptEditor(
            draft.prompt,
            id="prompt",
            placeholder="what should the picture show?",
            walks=True,
            vocabulary=self._session.words,
        )
        yield KeyHints(*HINTS)

    async def furnish(self) -> None:
        """Bring in the panes that no key needs at once: they would delay the first frame."""
        negative = self._session.draft.negative_prompt
        with self.app.batch_update():
            await self.query_one("#left").mount(Library(id="library"), Queue(id="queue"))
            await self.query_one("#right").mount(MemoryGauge())
            await self.mount(
                Static("NEGATIVE", id="negative-title", classes="title"),
                PromptEditor(
                    negative,
                    id="negative",
                    placeholder="what should it not show?",
                    walks=False,
                    vocabulary=self._session.negative_words,
                ),
                RecentStrip(self.depth, id="recent"),
                before=self.query_one(KeyHints),
            )

    @property
    def _prompt(self) -> PromptEditor:
        return self.query_one("#prompt", PromptEditor)

    # ---- what to show -----------------------------------------------------------------------

    def show(self, models: tuple[Model, ...]) -> None:
        """Draw the session as it is now. The editors are left alone: they are ahead of it."""
        session, draft = self._session, self._session.draft
        current = next((model for model in models if model.reference == (draft.model or "starter")), None)
        compared = session.shown_request
        self.query_one(Header).show(current.label if current else draft.model or "starter", session.engine)
        self.query_one(Library).show(models, current.reference if current else "")
        self.query_one(Queue).show(session.engine)
        self.query_one(ProgressLine).standing = Standing(
            session.engine,
            session.line,
            retry_key=self.key_of("retry") if session.can_retry else "",
        )
        self.query_one(RequestPanel).view = RequestView(
            draft, _size(draft, current), compared, session.opened
        )
        gauge = self.query_one(MemoryGauge)
        gauge.engine, gauge.forecast = session.engine, session.forecast
        gauge.weights = current.size if current else None
        gauge.unload_key = self.key_of("unload")
        self.query_one(RecentStrip).show(session.recent, session.unseen, session.opened, session.marked)
        self._prompt.offer(session.suggestion)
        self._prompt.compare(compared.prompt if compared else None)

    def show_image(self, image: Image.Image | None, *, passing: bool) -> None:
        """Put a picture on the canvas, or a preview of it; where there is none yet, say how one is made."""
        hint = f"{self.key_of('generate')} makes a picture"
        self.query_one(Canvas).show(image, hint, passing=passing)

    def show_tokens(self, count: int, limit: int) -> None:
        """Say how much of the model's prompt length is used."""
        self.query_one(PromptTitle).tokens = count, limit

    def key_of(self, command: str) -> str:
        """The key that a command has now, as people write it; empty while it has no use."""
        bindings = (active.binding for active in self.active_bindings.values() if active.enabled)
        key = next((binding.key for binding in bindings if binding.id == command), "")
        return key.split(",")[0]

    # ---- what is written --------------------------------------------------------------------

    def gather(self) -> None:
        """Take into the session what stands in the editors and in the request panel."""
        draft = self.query_one(RequestPanel).written(self._session.draft)
        draft = draft.replace(prompt=self._prompt.text)
        for negative in self.query("#negative").results(PromptEditor):  # it is furnished a moment later
            draft = draft.replace(negative_prompt=negative.text)
        self._session.write(draft)

    def use(self, draft: Draft) -> None:
        """Go on from this draft: for once the editors follow it."""
        self._session.write(draft)
        self._prompt.set_text(draft.prompt)
        for negative in self.query("#negative").results(PromptEditor):
            negative.set_text(draft.negative_prompt)
        self.post_message(self.Edited())

    def take(self, request: GenerationRequest) -> None:
        """Go on from a picture's request."""
        self.gather()
        self._session.take(request)
        self.close()
        self.use(self._session.draft)

    @on(TextArea.Changed)
    def _written(self) -> None:
        before = self._session.draft
        self.gather()
        if self._session.draft != before:
            self.post_message(self.Edited())

    @on(PromptEditor.Walked)
    def _walked(self, event: PromptEditor.Walked) -> None:
        self.gather()
        if self._session.walk_prompts(event.by):
            self.use(self._session.draft)

    @on(RequestPanel.Changed)
    def _request_changed(self, event: RequestPanel.Changed) -> None:
        self._session.write(event.draft)
        self.query_one(RequestPanel).heard(event.draft)
        self.gather()
        self.post_message(self.Edited())

    @on(RequestPanel.Refused)
    def _request_refused(self, event: RequestPanel.Refused) -> None:
        self._session.complain(event.error)
        self.post_message(self.Edited())

    @on(Library.Chosen)
    def _model_chosen(self, event: Library.Chosen) -> None:
        self.use(self._session.draft.replace(model=event.model.reference))
        self.close()

    @on(RecentStrip.Opened)
    def _picture_opened(self, event: RecentStrip.Opened) -> None:
        self._session.open(event.picture)
        self.post_message(self.Edited())

    # ---- where to be ------------------------------------------------------------------------

    def part(self, name: str) -> Widget:
        """What takes the keys in a part of the screen."""
        widget = self.query_one(f"#{name}")
        return widget.query_one(OptionList) if name in ("library", "queue") else widget

    def places(self) -> dict[str, Offset]:
        """Where the parts in sight begin."""
        parts = {name: self.query_one(f"#{name}") for name in PARTS}
        return {name: part.content_region.offset for name, part in parts.items() if part.region.area}

    def open(self, name: str) -> None:
        """Go to a part; where it is a drawer, open it."""
        self.close_drawers()
        if name in DRAWERS:
            self.add_class(f"-{name}")
        self.part(name).focus()

    def close(self) -> None:
        """Back to the prompt and to the picture in the making, every drawer shut."""
        self._session.open(None)
        self.close_drawers()
        self._prompt.focus()
        self.post_message(self.Edited())

    @on(events.DescendantFocus)
    def _enter(self, event: events.DescendantFocus) -> None:
        """Tell the keys of the part that the cursor is in."""
        names = {widget.id for widget in event.widget.ancestors_with_self}
        part = next((IN_PARTS[name] for name in PARTS if name in names and name in IN_PARTS), None)
        self.query_one(KeyHints).forms = ({**part, **BACK},) if part else HINTS

    def close_drawers(self) -> None:
        """Shut every drawer, wherever the cursor is."""
        self.remove_class(*(f"-{name}" for name in DRAWERS))

    def on_resize(self, event: events.Resize) -> None:
        self._suit(event.size)

    def _suit(self, size: Size) -> None:
        """Panes or drawers, as there is room for."""
        wide = size.width >= WIDE[0] and size.height >= WIDE[1]
        tiny = size.width < SMALLEST[0] or size.height < SMALLEST[1]
        self.set_class(wide, "-wide")
        self.set_class(wide and size.width >= VAST, "-vast")
        self.set_class(tiny, "-tiny")
        self.set_class(not wide and not tiny, "-compact")


def _size(draft: Draft, model: Model | None) -> str:
    width = draft.width or (model.width if model else None)
    height = draft.height or (model.height if model else None)
    return f"{width} × {height}" if width and height else ""
