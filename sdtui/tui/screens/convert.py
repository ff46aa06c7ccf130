"""The conversion dialog: what becomes a model, what that takes, and how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from sdtui.conversion import ConversionRequest, Forecast
from sdtui.conversion_page import forecast_page, report_page
from sdtui.engine.converter import rooted
from sdtui.engine.protocol import Failure
from sdtui.errors import SdtuiError
from sdtui.settings import places
from sdtui.tui.conversion_draft import ATTENTIONS, BITS, TARGETS, ConversionDraft
from sdtui.tui.converting import advance_of
from sdtui.tui.figures import bar
from sdtui.tui.forecaster import Forecaster
from sdtui.tui.messages import Forecasted
from sdtui.tui.path_suggester import PathSuggester
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.session import Session, failure_line
from sdtui.tui.widgets.choice import Choice

PAUSE_SECONDS = 0.5
"""How long typing pauses before a forecast is asked for."""

LABELS = {
    "source": "source",
    "output": "name",
    "attention": "attention",
    "target": "runs on",
    "bits": "bits",
    "sizes": "sizes",
    "loras": "LoRAs",
    "networks": "networks",
    "controlnets": "ControlNets",
    "refiner": "refiner",
    "vae": "VAE",
}


class Convert(ClosesOnce[ConversionRequest | None], ModalScreen[ConversionRequest | None]):
    """Writes the session's conversion draft; dismisses with the request when the person starts it.

    ``written`` is called when the draft has changed.
    """

    CSS_PATH = "convert.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "convert", id="convert.start", show=False, priority=True),
        Binding("down", "app.focus_next", "next row", id="convert.next", show=False, priority=True),
        Binding("up", "app.focus_previous", "row above", id="convert.before", show=False, priority=True),
        Binding("enter", "app.focus_next", "next row", id="convert.on", show=False),
        Binding("ctrl+f", "look", "forecast", id="convert.forecast", show=False, priority=True),
        Binding("escape", "dismiss", "close; what is written stays", id="convert.close", show=False),
    ]

    def __init__(self, session: Session, forecaster: Forecaster, written: Callable[[], object]) -> None:
        super().__init__()
        self._session = session
        self._forecaster = forecaster
        self._written = written
        self._pause: Timer | None = None
        self._reported = session.converted

    def compose(self) -> ComposeResult:
        draft = self._session.conversion
        with Vertical(id="convert"):
            yield Static("CONVERT", classes="title")
            for name, widget in self._rows(draft):
                with Horizontal(classes="row"):
                    yield Static(LABELS[name], classes="label")
                    yield widget
            with VerticalScroll(id="outcome-scroll", can_focus=False):
                yield Static(id="outcome")
            yield Static(id="converting")
            yield Static(id="keys")

    def _rows(self, draft: ConversionDraft) -> Iterator[tuple[str, Widget]]:
        paths = PathSuggester()
        yield "source", _text("source", draft, "a diffusers folder, a .safetensors file or a Hub name", paths)
        yield "output", _text("output", draft, "")
        yield "attention", Choice(ATTENTIONS, draft.attention, id="attention")
        yield "target", Choice(TARGETS, draft.target, id="target")
        yield "bits", Choice([str(bits) for bits in BITS], str(draft.bits), id="bits")
        yield "sizes", _text("sizes", draft, "the model's own, or 512x512, 512x768")
        yield "loras", _text("loras", draft, "none, or file.safetensors:0.8, …", paths)
        yield "networks", _text("networks", draft, "all there are, or unet, vae-decoder, …")
        yield "controlnets", _text("controlnets", draft, "none, or folders and Hub names, …", paths)
        yield "refiner", _text("refiner", draft, "none, or the refiner of an SDXL", paths)
        yield "vae", _text("vae", draft, "its own, or another", paths)

    def on_mount(self) -> None:
        self.query_one("#keys", Static).update(self._keys())
        self.query_one("#source", Input).focus()
        self._look()
        self.show()

    # ---- what is written --------------------------------------------------------------------

    def gather(self) -> None:
        """Take into the session what stands in the rows."""
        rows = {row.id or "": row.value for row in (*self.query(Input), *self.query(Choice))}
        self._session.conversion = msgspec.convert({**rows, "bits": int(rows["bits"])}, ConversionDraft)

    @on(Input.Changed)
    @on(Choice.Changed)
    def _changed(self) -> None:
        before = self._session.conversion
        self.gather()
        if self._session.conversion != before:
            self._written()
            if self._pause is not None:
                self._pause.stop()
            self._pause = self.set_timer(PAUSE_SECONDS, self._look)

    @on(Input.Submitted)
    def _next(self) -> None:
        self.focus_next()

    # ---- what it will take ------------------------------------------------------------------

    def action_look(self) -> None:
        (self.focused or self).call_later(self._look, asked=True)

    def _look(self, *, asked: bool = False) -> None:
        """Tell what the conversion as it is written takes, or what is wrong with it.

        Unless the person ``asked``, nothing is fetched or unpacked for that.
        """
        self.gather()
        self._forecaster.forget()
        name = self._session.conversion.replace(output="").name or "named after the source"
        self.query_one("#output", Input).placeholder = f"{name}, in the models folder"
        if not self._session.conversion.source.strip():
            self._say(Content(""))
            return
        try:
            request = self._request()
        except SdtuiError as error:
            self._mutter(failure_line(error))
            return
        if self._known(request):
            return
        if asked or _costs_nothing(request):
            self._mutter("looking at it…")
            self._forecaster.ask(request)
        elif not Path(request.source).is_absolute():
            self._mutter(f"{request.source} is no file here: taken as a name on the Hub, not looked up yet")
        else:
            self._mutter("^f tells what it takes: for that, the weights are unpacked or fused")

    def _known(self, request: ConversionRequest) -> bool:
        """Show what there is to know already of a bundle that is being made, or was made here."""
        made = self._session.converted
        for each in self._session.engine.conversions:
            if each.request.output == request.output:
                self._say(_table(each.forecast) if each.forecast else Content("it is being converted"))
                return True
        if made is not None and made.path == request.output:
            self._say(Content("\n".join(report_page(made))))
            return True
        return False

    def _request(self) -> ConversionRequest:
        return rooted(self._session.conversion.request(places().models))

    @on(Forecasted)
    def _answered(self, event: Forecasted) -> None:
        event.stop()
        match event.answer:
            case Failure():
                self._say(_loss(event.answer))
            case Forecast():
                self._say(_table(event.answer))

    def action_start(self) -> None:
        # The key overtakes the letters before it, which wait in their row's own queue.
        (self.focused or self).call_later(self._start)

    def _start(self) -> None:
        self.gather()
        try:
            request = self._request()
        except SdtuiError as error:
            self._say(_loss(error))
            return
        self._mutter("starting…")
        self.run_worker(self._hand_over(request))

    async def _hand_over(self, request: ConversionRequest) -> None:
        await asyncio.to_thread(self._forecaster.end)
        self.dismiss(request)

    def on_unmount(self) -> None:
        self._forecaster.forget()

    # ---- drawing ----------------------------------------------------------------------------

    def show(self) -> None:
        """Draw how far the engine is with a conversion, and its report when it is there."""
        if self._session.converted is not self._reported:
            self._reported = self._session.converted
            self._look()
        converting = self._session.engine.converting
        line = self.query_one("#converting", Static)
        line.display = converting is not None
        if converting is not None:
            advance = advance_of(converting)
            what = f"{converting.request.name}  {advance.what}"
            figures = f"{advance.percent}  {advance.left}"
            columns = max(4, self.query_one("#convert").content_size.width - len(what) - len(figures) - 4)
            full, left = bar(advance.done, columns)
            line.update(
                Content.assemble(what, "  ", (full, "$accent"), (left, "$foreground-disabled"), "  ", figures)
            )

    def _mutter(self, text: str) -> None:
        self._say(Content.styled(text, "$foreground-muted"))

    def _say(self, content: Content) -> None:
        self.query_one("#outcome", Static).update(content)

    def _keys(self) -> Content:
        keys = (("^s", "convert"), ("^f", "forecast"), ("↑↓", "row"), ("→", "complete"), ("escape", "close"))
        parts = [Content.assemble((key, "bold $accent"), f" {what}") for key, what in keys]
        return Content("  ").join(parts)


def _text(field: str, draft: ConversionDraft, hint: str, suggester: PathSuggester | None = None) -> Input:
    return Input(getattr(draft, field), placeholder=hint, suggester=suggester, id=field, compact=True)


def _costs_nothing(request: ConversionRequest) -> bool:
    """Whether it can be looked at where it lies."""
    return Path(request.source).is_dir() and not request.loras and not request.embeddings


def _table(forecast: Forecast) -> Content:
    head, *networks, whole = forecast_page(forecast)[: len(forecast.networks) + 2]
    lines = [
        Content.styled(head, "$foreground-muted"),
        *map(Content, networks),
        Content.styled(whole, "bold"),
        *(Content.styled(f"! {warning}", "$error") for warning in forecast.warnings),
    ]
    return Content("\n").join(lines)


def _loss(failure: Failure | SdtuiError) -> Content:
    return Content.assemble(("✗ ", "bold $error"), failure_line(failure))
