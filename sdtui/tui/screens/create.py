"""The main screen: the picture, and everything to make the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import OptionList, Static

from sdtui.terminal.capabilities import ColourDepth
from sdtui.tui.draft import Draft
from sdtui.tui.session import Session
from sdtui.tui.widgets.canvas import Canvas
from sdtui.tui.widgets.header import Header
from sdtui.tui.widgets.key_line import KeyLine
from sdtui.tui.widgets.library import Library, Model
from sdtui.tui.widgets.memory import MemoryGauge
from sdtui.tui.widgets.progress_line import ProgressLine, Standing
from sdtui.tui.widgets.prompt_editor import PromptEditor
from sdtui.tui.widgets.queue import Queue
from sdtui.tui.widgets.recent import RecentStrip
from sdtui.tui.widgets.request_panel import RequestPanel, RequestView

if TYPE_CHECKING:
    from PIL import Image

DRAWERS = ("library", "queue", "negative", "recent")
PARTS = ("prompt", "negative", "request", "library", "queue", "recent")
WIDE = (110, 34)
SMALLEST = (60, 16)


class Create(Screen[None]):
    """Draws a session. What is a pane where there is room is a drawer where there is not."""

    AUTO_FOCUS = "#prompt"

    def __init__(self, depth: ColourDepth) -> None:
        super().__init__()
        self._depth = depth

    def compose(self) -> ComposeResult:
        yield Header()
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Library(id="library")
                yield Queue(id="queue")
            with Vertical(id="centre"):
                yield Canvas(self._depth, id="canvas")
                yield ProgressLine()
            with Vertical(id="right"):
                yield RequestPanel(id="request")
                yield MemoryGauge()
        with Horizontal(id="prompt-title", classes="title-line"):
            yield Static("PROMPT", classes="title")
            yield Static(id="tokens")
        yield PromptEditor(id="prompt", placeholder="what should the picture show?", walks=True)
        yield Static("NEGATIVE", id="negative-title", classes="title")
        yield PromptEditor(id="negative", placeholder="what should it not show?", walks=False)
        yield RecentStrip(self._depth, id="recent")
        yield KeyLine()

    # ---- what to show -----------------------------------------------------------------------

    def show(self, session: Session, models: tuple[Model, ...], retry_key: str) -> None:
        """Draw the session as it is now."""
        draft = session.draft
        current = next((model for model in models if model.reference == (draft.model or "starter")), None)
        self.query_one(Header).show(current.label if current else draft.model or "starter", session.engine)
        self.query_one(Library).show(models, current.reference if current else "")
        self.query_one(Queue).show(session.engine.jobs)
        self.query_one(ProgressLine).standing = Standing(
            session.engine,
            session.notice,
            hint="ctrl+g makes a picture" if not session.recent else "",
            retry_key=retry_key if session.can_retry else "",
        )
        self.query_one(RequestPanel).view = RequestView(
            draft, _size(draft, current), session.shown_request, session.opened
        )
        self.query_one(MemoryGauge).engine = session.engine
        self.query_one(RecentStrip).show(session.recent, session.unseen, session.opened)
        prompt = self.query_one("#prompt", PromptEditor)
        prompt.offer(session.suggestion)
        prompt.compare(session.shown_request.prompt if session.shown_request else None)
        self.write(draft)

    def write(self, draft: Draft) -> None:
        """Make the editors read what the draft says."""
        self.query_one("#prompt", PromptEditor).set_text(draft.prompt)
        self.query_one("#negative", PromptEditor).set_text(draft.negative_prompt)

    def show_image(self, image: Image.Image | None) -> None:
        """Put a picture on the canvas."""
        self.query_one(Canvas).show(image)

    def show_tokens(self, count: int, limit: int) -> None:
        """Say how much of the model's prompt length is used."""
        over = count > limit
        text = f"{count} of {limit} tokens" + (", the rest is cut off" if over else "")
        self.query_one("#tokens", Static).update(
            Content.styled(text, "$error" if over else "$foreground-muted")
        )

    # ---- where to be ------------------------------------------------------------------------

    def part(self, name: str) -> Widget:
        """What takes the keys in a part of the screen."""
        widget = self.query_one(f"#{name}")
        return widget.query_one(OptionList) if name in ("library", "queue") else widget

    def open(self, name: str) -> None:
        """Go to a part; where it is a drawer, open it."""
        self.close_drawers()
        if name in DRAWERS:
            self.add_class(f"-{name}")
        self.part(name).focus()

    def close(self) -> None:
        """Back to the prompt, every drawer shut."""
        self.close_drawers()
        self.query_one("#prompt").focus()

    def close_drawers(self) -> None:
        """Shut every drawer, wherever the cursor is."""
        self.remove_class(*(f"-{name}" for name in DRAWERS))

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        wide = width >= WIDE[0] and height >= WIDE[1]
        tiny = width < SMALLEST[0] or height < SMALLEST[1]
        self.set_class(wide, "-wide")
        self.set_class(tiny, "-tiny")
        self.set_class(not wide and not tiny, "-compact")


def _size(draft: Draft, model: Model | None) -> str:
    width = draft.width or (model.width if model else None)
    height = draft.height or (model.height if model else None)
    return f"{width} × {height}" if width and height else ""
