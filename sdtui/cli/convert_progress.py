"""What a person, or a script, sees of a conversion while it runs: on stderr, stdout holds the report."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import msgspec

from sdtui.conversion import ConversionEvent, Forecast, NetworkReport, Stage
from sdtui.conversion_page import amount, clock, forecast_page, spoken, stage_words

if TYPE_CHECKING:
    import rich.progress


class Report(Protocol):
    """Follows a conversion."""

    def hear(self, event: ConversionEvent) -> None:
        """It came further."""


@contextlib.contextmanager
def report_on(*, as_json: bool) -> Iterator[Report]:
    """A report on a conversion: JSON lines, a progress bar on a terminal, or a line now and then."""
    if as_json:
        yield EventLines()
    elif sys.stderr.isatty():
        with contextlib.closing(Bar()) as bar:
            yield bar
    else:
        yield Lines()


class EventLines:
    """One JSON object a line: ``event`` and what the event knows."""

    def hear(self, event: ConversionEvent) -> None:
        facts = msgspec.to_builtins(event)
        line = {"event": facts.pop("type"), **facts}
        print(json.dumps(line, ensure_ascii=False), file=sys.stderr, flush=True)


class Lines:
    """A line for each stage that begins, and for each network that is done."""

    def __init__(self) -> None:
        self._stage = ""

    def hear(self, event: ConversionEvent) -> None:
        match event:
            case Forecast():
                _say(*forecast_page(event))
            case Stage() if stage_words(event) != self._stage:
                self._stage = stage_words(event)
                left = f"  {clock(event.remaining)} left" if event.remaining is not None else ""
                _say(f"{event.fraction:4.0%}  {self._stage}  {clock(event.elapsed)}{left}")
            case NetworkReport():
                _say(done(event))


class Bar:
    """One bar for the whole conversion; what is done scrolls up above it."""

    def __init__(self) -> None:
        self._bar: rich.progress.Progress | None = None

    def hear(self, event: ConversionEvent) -> None:
        match event:
            case Forecast():
                self._scroll_up("\n".join(forecast_page(event)))
            case Stage():
                left = f"{clock(event.remaining)} left" if event.remaining is not None else ""
                self._show(stage_words(event), event.fraction, f"{event.fraction:4.0%}  {left}")
            case NetworkReport():
                self._scroll_up(done(event))

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _scroll_up(self, text: str) -> None:
        if self._bar is None:
            _say(text)
        else:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _show(self, what: str, fraction: float, figures: str) -> None:
        if self._bar is None:
            self._bar = _make_bar()
            self._bar.add_task("", total=1.0, figures="")
            self._bar.start()
        self._bar.update(self._bar.tasks[0].id, description=what, figures=figures, completed=fraction)


def _make_bar() -> rich.progress.Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )


def done(network: NetworkReport) -> str:
    """A finished network in one line."""
    accuracy = "not compared" if network.psnr is None else f"{network.psnr:.1f} dB of {network.threshold:g}"
    took = f"{clock(network.seconds)}, {amount(network.peak_memory)}" if network.seconds else "was there"
    below = "" if network.faithful else "  below the threshold"
    return f"done  {spoken(network.network)}  {amount(network.bytes)}, {accuracy}, {took}{below}"


def _say(*lines: str) -> None:
    print(*lines, sep="\n", file=sys.stderr, flush=True)
