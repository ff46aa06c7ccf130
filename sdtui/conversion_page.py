"""A forecast and a report as lines of text, for any terminal."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.conversion import ConversionReport, Forecast, NetworkReport, Stage

GAP = "  "
Row = Sequence[str]


def forecast_page(forecast: Forecast) -> list[str]:
    """A line for each network and one for all of them, then the warnings."""
    head = ("network", "parameters", "memory", "disk", "time")
    rows = [
        (
            spoken(each.network),
            count(each.parameters),
            amount(each.memory),
            amount(each.disk),
            clock(each.seconds),
        )
        for each in forecast.networks
    ]
    parameters = sum(each.parameters for each in forecast.networks)
    whole = (
        "in all",
        count(parameters),
        amount(forecast.memory),
        amount(forecast.disk),
        clock(forecast.seconds),
    )
    return [*aligned([head, *rows, whole]), *warning_lines(forecast.warnings)]


def report_page(report: ConversionReport) -> list[str]:
    """A line for each network and what became of it, a line for the bundle, then the warnings."""
    head = ("network", "size", "bits", "dB", "wanted", "time", "memory", "")
    rows = [report_row(each) for each in report.networks]
    size = sum(each.bytes for each in report.networks)
    summary = f"{report.family}, {amount(size)}, {clock(report.seconds)}: {report.path}"
    return [*aligned([head, *rows]), summary, *warning_lines(report.warnings)]


def report_row(network: NetworkReport) -> Row:
    """One network of a report."""
    was_there = not network.seconds
    return (
        spoken(network.network),
        amount(network.bytes),
        "16" if network.nbits is None else f"{network.nbits:g}",
        "–" if network.psnr is None else f"{network.psnr:.1f}",
        f"{network.threshold:g}",
        "was there" if was_there else clock(network.seconds),
        "" if was_there else amount(network.peak_memory),
        "" if network.faithful else "below",
    )


def stage_words(stage: Stage) -> str:
    """What is going on: ``unet: tracing``."""
    return f"{spoken(stage.network)}: {spoken(stage.stage)}" if stage.network else spoken(stage.stage)


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """One line for each warning."""
    return [f"! {warning}" for warning in warnings]


def aligned(rows: Sequence[Row]) -> list[str]:
    """Rows of equally many cells as lines, the first column flush left and the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append(GAP.join(cells).rstrip())
    return lines


def amount(size: int) -> str:
    """Bytes in the largest fitting decimal unit: ``860 kB``, ``22 MB``, ``1.7 GB``."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def count(number: int) -> str:
    """A count of parameters: ``860 M``."""
    if number >= 1e9:
        return f"{number / 1e9:.1f} G"
    return f"{number / 1e6:.0f} M" if number >= 1e6 else f"{number / 1e3:.0f} k"


def clock(seconds: float) -> str:
    """``0:07``, ``12:40``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spoken(name: str) -> str:
    """A network or a stage as people read it."""
    return name.replace("_", " ")
