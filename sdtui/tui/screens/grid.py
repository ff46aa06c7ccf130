"""The X/Y sheet: which two settings are varied, through which values."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from sdtui.errors import SdtuiError
from sdtui.request import SEED_LIMIT, GenerationRequest
from sdtui.tui.axes import NOTHING, SETTINGS, WORDS, Axis, crossed, parse_axis
from sdtui.tui.figures import shortened
from sdtui.tui.request_rows import label
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.session import failure_line
from sdtui.tui.widgets.choice import Choice
from sdtui.tui.widgets.key_hints import KeyHints

NONE = "nothing"
HINTS = {
    "grid.start": "make them",
    "grid.next": "next row",
    "choice.next": "other setting",
    "grid.close": "close",
}
EXAMPLES = {
    "steps": "10-30:10",
    "guidance_scale": "4-10:3",
    "scheduler": "dpm++2m, euler, euler-a",
    "strength": "0.3-0.9:0.2",
    "variation_strength": "0-0.4:0.1",
    "blend": "0-1:0.25",
    "upscale": "1, 2",
    "upscale_strength": "0.3-0.7:0.2",
    "clip_skip": "0-2",
    "refiner_start": "0.6-1:0.2",
    "timestep_spacing": "leading, linspace, trailing",
    "sigmas": "karras, exponential, beta",
    "rng": "torch, numpy",
    "precision": "fp32, bf16, fp16",
    "compute_units": "cpu-and-ne, cpu-and-gpu",
}


class Grid(ClosesOnce[tuple[Axis, Axis] | None], ModalScreen[tuple[Axis, Axis] | None]):
    """Dismisses with the axes across and down; either may be :data:`~sdtui.tui.axes.NOTHING`."""

    CSS_PATH = "grid.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,ctrl+s", "start", "make the pictures and their sheet", id="grid.start", priority=True),
        Binding("down,tab", "app.focus_next", "next row", id="grid.next", priority=True),
        Binding("up,shift+tab", "app.focus_previous", "row above", id="grid.before", priority=True),
        Binding("escape", "dismiss", "close", id="grid.close"),
    ]

    def __init__(self, request: GenerationRequest) -> None:
        super().__init__()
        self._request = request

    def compose(self) -> ComposeResult:
        with Vertical(id="grid-dialog"):
            yield Static("X/Y SHEET", classes="title")
            yield Static(shortened(self._request.prompt, 80), id="grid-prompt")
            for side, words, setting in (("x", "across", "guidance_scale"), ("y", "down", "seed")):
                choices = [label(each) for each in SETTINGS]
                with Horizontal(classes="row"):
                    yield Static(words, classes="label")
                    yield Choice([*choices, NONE], label(setting), id=f"{side}-setting")
                    yield Input(self._example(setting), compact=True, id=f"{side}-values")
            yield Static(id="grid-outcome")
            yield KeyHints(HINTS)

    def on_mount(self) -> None:
        self.query_one("#x-setting").focus()
        self._look()

    def _example(self, setting: str) -> str:
        match setting:
            case "seed" | "variation_seed":
                first = self._request.seed or 0
                return ", ".join(str((first + index) % SEED_LIMIT) for index in range(3))
            case "width" | "height":
                return "512, 768"
            case "prompt":
                return f"{self._request.prompt.split()[0]}, another word"
            case _:
                return EXAMPLES.get(setting, "")

    @on(Choice.Changed)
    def _setting_changed(self, event: Choice.Changed) -> None:
        side = (event.choice.id or "")[0]
        self.query_one(f"#{side}-values", Input).value = self._example(self._setting(side))
        self._look()

    def _setting(self, side: str) -> str:
        shown = self.query_one(f"#{side}-setting", Choice).value
        return next((each for each in SETTINGS if label(each) == shown), "")

    def _axis(self, side: str) -> Axis:
        setting = self._setting(side)
        if not setting:
            return NOTHING
        return parse_axis(setting, self.query_one(f"#{side}-values", Input).value, self._request)

    def _axes(self) -> tuple[Axis, Axis]:
        """Both axes as they stand. Raises :class:`SdtuiError`."""
        x, y = self._axis("x"), self._axis("y")
        if x.setting == y.setting:
            raise SdtuiError("both settings are the same", "a sheet needs two", "choose another, or nothing")
        crossed(self._request, x, y)
        return x, y

    @on(Input.Changed)
    def _look(self) -> None:
        """Say how many pictures that is, or what is wrong."""
        try:
            x, y = self._axes()
        except SdtuiError as error:
            outcome = Content.assemble(("✗ ", "bold $error"), failure_line(error))
        else:
            count = len(x.values) * len(y.values)
            words = f"{len(x.values)} × {len(y.values)} = {count} pictures, and one sheet of them all"
            hint = "   values: 1, 2, 5-9:2" if WORDS not in (x.setting, y.setting) else ""
            outcome = Content.assemble(words, (hint, "$foreground-muted"))
        self.query_one("#grid-outcome", Static).update(outcome)

    def action_start(self) -> None:
        # The key overtakes the letters before it, which wait in their row's own queue.
        (self.focused or self).call_later(self._start)

    def _start(self) -> None:
        try:
            self.dismiss(self._axes())
        except SdtuiError:
            self._look()
