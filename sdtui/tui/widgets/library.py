"""The models that are installed."""

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

from sdtui.tui.figures import shortened, size_on_disk
from sdtui.tui.widgets.lines import Lines, fill


class Model(msgspec.Struct, frozen=True):
    """An installed model: what a request calls it, its title, picture size, and bytes on disk."""

    reference: str
    title: str
    width: int
    height: int
    size: int

    @property
    def label(self) -> str:
        """Its title and size, for the header."""
        square = self.width == self.height
        return f"{self.title} · {self.width} px" if square else f"{self.title} · {self.width} × {self.height}"


class Library(Vertical):
    """A list to choose the model from, and a way to more of them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "details", "everything known of this model", id="library.details", show=False),
    ]

    @dataclass(eq=False, repr=False)
    class DetailsWanted(Message):
        """The person wants to know all about this model."""

        model: Model

    @dataclass(eq=False, repr=False)
    class Chosen(Message):
        """The person wants this model."""

        model: Model

    @dataclass(eq=False, repr=False)
    class MoreWanted(Message):
        """The person wants a model that is not here."""

    models: tuple[Model, ...] = ()
    current: str = ""

    def compose(self) -> ComposeResult:
        yield Static("LIBRARY", classes="title")
        yield Lines(id="models", compact=True)

    def show(self, models: tuple[Model, ...], current: str) -> None:
        """List the models, the current one marked."""
        if (models, current) == (self.models, self.current):
            return
        self.models, self.current = models, current
        self._list()

    def on_resize(self) -> None:
        self._list()

    def _list(self) -> None:
        options = self.query_one(OptionList)
        more = Content.styled("  + convert a model…", "$foreground-muted")
        fill(options, [*map(self._line, self.models), more], options.highlighted or 0)

    def _line(self, model: Model) -> Content:
        mark = "▸" if model.reference == self.current else " "
        size = size_on_disk(model.size)
        columns = max(8, self.query_one(OptionList).size.width - len(size) - 3)
        # Titles cut off at their ends look alike; what requests call a model never does.
        title = model.title if len(model.title) <= columns else shortened(model.reference, columns)
        return Content.assemble((f"{mark} ", "$accent"), f"{title:<{columns}} ", (size, "$foreground-muted"))

    def action_details(self) -> None:
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None and highlighted < len(self.models):
            self.post_message(self.DetailsWanted(self.models[highlighted]))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_index < len(self.models):
            self.post_message(self.Chosen(self.models[event.option_index]))
        else:
            self.post_message(self.MoreWanted())
