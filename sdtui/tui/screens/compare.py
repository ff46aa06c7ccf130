"""Two pictures side by side, and what differs between their requests."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from sdtui.terminal.capabilities import ColourDepth
from sdtui.tui import messages, wishes
from sdtui.tui.difference import changed_words
from sdtui.tui.request_rows import differences, label
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.session import Picture, failure_line
from sdtui.tui.shelf import Shelf
from sdtui.tui.widgets.canvas import Canvas
from sdtui.tui.widgets.key_hints import KeyHints

HINTS = {
    "compare.left": "left one",
    "compare.right": "right one",
    "compare.alone": "one at a time",
    "compare.take": "take its request",
    "compare.close": "close",
}
LABEL, COLUMN = 16, 24


class Compare(ClosesOnce[None]):
    """One of the two is the chosen one. Shown one at a time, in one place, they blink into each other."""

    CSS_PATH = "compare.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "choose(0)", "choose the left one", id="compare.left"),
        Binding("right", "choose(1)", "choose the right one", id="compare.right"),
        Binding("up", "scroll(-1)", "differences above", id="compare.up"),
        Binding("down", "scroll(1)", "differences below", id="compare.down"),
        Binding("space", "alone", "show one at a time, or both", id="compare.alone"),
        Binding("enter", "take", "take the chosen one's request into the editor", id="compare.take"),
        Binding("escape,f3,equals_sign", "dismiss", "close", id="compare.close"),
    ]

    def __init__(self, pair: tuple[Picture, Picture], depth: ColourDepth) -> None:
        super().__init__()
        self._pair = pair
        self._depth = depth
        self._chosen = 1
        self._shelf = Shelf(self._hear)

    def compose(self) -> ComposeResult:
        with Horizontal(id="pair"):
            for index in range(2):
                with Vertical(classes="side", id=f"side-{index}"):
                    yield Static(classes="head")
                    yield Canvas(self._depth, id=f"picture-{index}")
        with VerticalScroll(id="differences", can_focus=False):
            yield Static(_differences(*self._pair))
        yield KeyHints(HINTS)

    def on_mount(self) -> None:
        self._shelf.start()
        for picture in self._pair:
            self._shelf.image(picture)
        self.action_choose(self._chosen)

    def on_unmount(self) -> None:
        self._shelf.finish()

    def _hear(self, message: Message) -> None:
        if self.is_running:
            self.post_message(message)

    @on(messages.ImageLoaded)
    def _add_image(self, event: messages.ImageLoaded) -> None:
        for index, picture in enumerate(self._pair):
            if picture.id == event.identity:
                self.query_one(f"#picture-{index}", Canvas).show(event.image)

    @on(messages.WentWrong)
    def _complain(self, event: messages.WentWrong) -> None:
        event.stop()
        line = Content.assemble(("✗ ", "bold $error"), failure_line(event.error))
        self.query_one("#differences Static", Static).update(
            Content("\n").join([line, _differences(*self._pair)])
        )

    def action_choose(self, index: int) -> None:
        self._chosen = index
        for side, picture in enumerate(self._pair):
            chosen = side == index
            self.query_one(f"#side-{side}").set_class(chosen, "-chosen")
            text = f"{'▸' if chosen else ' '} PICTURE {picture.id}{'  ♥' if picture.favourite else ''}"
            self.query_one(f"#side-{side} .head", Static).update(
                Content.styled(text, "bold $accent" if chosen else "$foreground-muted")
            )

    def action_scroll(self, by: int) -> None:
        self.query_one("#differences").scroll_relative(y=by, animate=False)

    def action_alone(self) -> None:
        self.toggle_class("-alone")

    def action_take(self) -> None:
        self.app.post_message(wishes.Take(self._pair[self._chosen]))


def _differences(one: Picture, other: Picture) -> Content:
    """The two prompts with their own words underlined, and a row for each setting that differs."""
    lines: list[Content] = []
    for field in ("prompt", "negative_prompt"):
        left, right = getattr(one.request, field), getattr(other.request, field)
        if left == right:
            continue
        lines += [_text(label(field), left, right), _text("", right, left)]
    if not lines:
        lines.append(Content.styled("the same prompts", "$foreground-muted"))
    rows = differences(one, other)
    lines += [
        Content.assemble((f"{name:<{LABEL}}", "$foreground-muted"), f"{left:<{COLUMN}} ", right)
        for name, left, right in rows
    ]
    if not rows:
        lines.append(Content.styled("the same settings", "$foreground-muted"))
    return Content("\n").join(lines)


def _text(name: str, text: str, compared: str) -> Content:
    content = Content(text.replace("\n", " ") or "–")
    for start, end in changed_words(text, compared):
        content = content.stylize("underline", start, end)
    return Content.assemble((f"{name:<{LABEL}}", "$foreground-muted"), content)
