"""A benchmark as people read it, and as they publish it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sdtui.bench.benchmark import Benchmark, significant
from sdtui.bench.measurement import Load, Measurement, Ratios
from sdtui.conversion_page import aligned, amount

NOTHING = "–"
COLUMNS = (
    "Device",
    "OS",
    "Model",
    "Variant",
    "`--compute-unit`",
    "`--attention-implementation`",
    "End-to-End Latency (s)",
    "Diffusion Speed (iter/s)",
    "Peak Memory (GB)",
)
"""Those of Apple's table, with what its caption says, and memory."""


def page(benchmark: Benchmark) -> list[str]:
    """A column for each way that was measured, a row for each figure, and what has to be said of them."""
    measured, request = benchmark.measurements, benchmark.measurements[0].request
    machine = benchmark.machine
    lines = [
        f"{machine.name}, {amount(machine.memory)}, {machine.os} ({machine.build})",
        f"{benchmark.model.title}, {_size(benchmark)}, {request.steps} steps, {request.scheduler},"
        f" guidance {request.guidance_scale:g}; median of {measured[0].repeat}",
        "",
    ]
    rows = [("", *(each.runtime for each in measured))]
    rows += [(name, *cells) for name, cells in _figures(measured)]
    lines += aligned(rows)
    if benchmark.ratios:
        lines += ["", *aligned([("of diffusers'", *_RATIOS), *map(_ratio_row, benchmark.ratios)])]
    return [*lines, *(f"! {note}" for note in _notes(benchmark))]


def markdown(benchmark: Benchmark) -> list[str]:
    """A table with a row for each measurement, to be pasted where others compare."""
    rows = [
        COLUMNS,
        ("---",) * len(COLUMNS),
        *(_published(benchmark, each) for each in benchmark.measurements),
    ]
    return [f"| {' | '.join(row)} |" for row in rows]


def busy_words(benchmark: Benchmark) -> str:
    """Why the figures of a busy machine are not to be published."""
    return (
        f"the machine was busy ({benchmark.load_average:g} processes wanted its"
        f" {benchmark.machine.cores} processors): it takes less when it is not"
    )


# ---- for people ----------------------------------------------------------------------------


def _figures(measured: tuple[Measurement, ...]) -> Iterator[tuple[str, list[str]]]:
    yield "libraries, imported once", [_seconds(each.start) for each in measured]
    yield "load, first", [_seconds(each.cold.seconds) for each in measured]
    yield "  with its first step", [_seconds(each.cold.started) for each in measured]
    yield "load, again", [_seconds(each.warm.seconds) for each in measured]
    yield "  with its first step", [_seconds(each.warm.started) for each in measured]
    yield "text", [_seconds(each.text) for each in measured]
    yield "first step", [_seconds(each.steps.first) for each in measured]
    yield "step", [_seconds(each.steps.median) for each in measured]
    yield (
        "  between",
        [f"{significant(each.steps.fastest)} and {_seconds(each.steps.slowest)}" for each in measured],
    )
    yield "decode", [_seconds(each.decode) for each in measured]
    yield "one picture, end to end", [_seconds(each.end_to_end) for each in measured]
    yield "speed", [f"{significant(each.rate)} it/s" for each in measured]
    yield "overhead", [_percent(each.overhead) for each in measured]
    yield "memory, at most", [_memory(each, amount) for each in measured]
    yield "weights on disk", [amount(each.weights) for each in measured]


_RATIOS = ("load, first", "with a step", "load, again", "with a step", "step", "end to end", "memory")


def _ratio_row(ratios: Ratios) -> tuple[str, ...]:
    loads = (ratios.cold_load, ratios.cold_start, ratios.warm_load, ratios.warm_start)
    figures = (*loads, ratios.step, ratios.end_to_end, ratios.memory)
    return (ratios.runtime, *(f"{figure:.2f}" for figure in figures))


def _notes(benchmark: Benchmark) -> Iterator[str]:
    for each in benchmark.measurements:
        yield f"{each.runtime}: first load with {_state(each.cold)}, again with {_state(each.warm)}"
        if each.agreement is not None:
            yield f"{each.runtime}: its picture agrees with sdtui's at {each.agreement:.1f} dB"
    for failure in benchmark.failures:
        yield f"{failure.variant}: {failure.told}"
    if benchmark.busy:
        yield busy_words(benchmark)


def _state(load: Load) -> str:
    """In which state a load found the machine."""
    told = "an unknown part" if load.cached is None else f"{load.cached:.0%}"
    compiled = f" and {load.compiled} compiled" if load.compiled else ""
    return f"{told} of its files in memory{compiled}"


def _seconds(seconds: float) -> str:
    return f"{significant(seconds)} s"


def _percent(part: float | None) -> str:
    return NOTHING if part is None else f"{part:.1%}"


# ---- for publishing ------------------------------------------------------------------------


def _published(benchmark: Benchmark, measurement: Measurement) -> tuple[str, ...]:
    model, machine = benchmark.model, benchmark.machine
    bits = f"{model.nbits:g}-bit {model.encoding or ''}".strip() if model.nbits else "16-bit"
    theirs = measurement.program == "diffusers"
    variant = f"{_size(benchmark)}, {measurement.request.steps} steps"
    cells = (
        machine.name,
        machine.os,
        model.title,
        variant if theirs else f"{variant}, {bits}",
        _unit(measurement),
        f"`{model.attention}`" if model.attention and not theirs else NOTHING,
        significant(measurement.end_to_end),
        significant(measurement.rate),
        _memory(measurement, lambda size: significant(size / 1e9)),
    )
    return tuple(" ".join(cell.replace("|", "\\|").split()) for cell in cells)


def _unit(measurement: Measurement) -> str:
    """Core ML's units as Apple writes them; else what ran the networks."""
    runner, _, units = measurement.runtime.partition(" ")
    return f"`{units.upper().replace('-', '_')}`" if runner == "coreml" else measurement.runtime


def _memory(measurement: Measurement, said: Callable[[int], str]) -> str:
    own = said(measurement.memory)
    gpu = measurement.accelerator_memory
    return f"{own} + {said(gpu)} GPU" if gpu else own


def _size(benchmark: Benchmark) -> str:
    return f"{benchmark.model.width} × {benchmark.model.height}"
