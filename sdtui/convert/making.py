"""A planned network: its packages, and how close they are to torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec

from sdtui.bundle.bundle import entry_sha256, packages
from sdtui.bundle.manifest import NetworkEntry, NetworkRole
from sdtui.conversion import ConversionRequest, NetworkReport
from sdtui.convert.accuracy import measure
from sdtui.convert.assembly import WeightFile
from sdtui.convert.building import Builder
from sdtui.convert.checkpoint.safetensors_file import release_pages
from sdtui.convert.encoding.encodings import Linear, Palette, PaletteBits
from sdtui.convert.halves import halve
from sdtui.convert.network import Storage, write_network
from sdtui.convert.plan import Made, NetworkPlan, Size, StageName, function_name, label
from sdtui.convert.program import Program, trace
from sdtui.convert.source import Source

Tell = Callable[[StageName, float], None]

NO_SIZE: Size = (0, 0)
"""Stands in for the size of a network that has nothing to do with pictures."""

THRESHOLDS: Mapping[str, float] = {
    "fp32": 90.0,
    "fp16": 55.0,
    "linear-8": 35.0,
    "palette-8": 35.0,
    "palette-6": 28.0,
    "palette-4": 18.0,
    "palette-3": 13.0,
    "palette-2": 8.0,
    "palette-1": 4.0,
}
"""What each kind of storage reaches at least, in dB, on networks that were converted well."""


def compression(request: ConversionRequest, network: NetworkPlan) -> Palette | Linear | None:
    """How the weights of ``network`` are compressed."""
    if not network.compressed:
        return None
    if request.linear:
        return Linear(8)
    return Palette(cast(PaletteBits, request.nbits), request.group_size) if request.nbits else None


def convert(
    builder: Builder, request: ConversionRequest, network: NetworkPlan, folder: Path, tell: Tell
) -> dict[NetworkRole, NetworkEntry]:
    """Write the packages of ``network`` to ``folder``; returns what the manifest says of them.

    Programs that differ in role or size only share their weights on disk. Raises
    :class:`ConversionError`, OSError.
    """
    sizes = network.sizes or (NO_SIZE,)
    stored: dict[int, WeightFile] = {}
    entries: dict[NetworkRole, NetworkEntry] = {}

    def on_bytes(done: int) -> None:
        release_pages()  # a weight is read once
        tell("storing", min(done / (2 * network.parameters), 1.0))

    for number, role in enumerate(network.roles):
        programs: dict[Size, tuple[Program, ...]] = {}
        for size in sizes:
            tell("tracing", (number * len(sizes) + len(programs)) / (len(sizes) * len(network.roles)))
            source = builder.source(role, size)
            storage = _storage(source, request, network)
            program = trace(source, request.target, storage.precision)
            programs[size] = halve(program) if network.halves else (program,)
        entry = _entry(role, request, network)
        for half, file in enumerate(_halves(entry)):
            for package, functions in _packages(file, half, entry, programs, sizes).items():
                weights = write_network(
                    functions,
                    folder / package,
                    source,
                    target=request.target,
                    storage=storage,
                    shared=stored.get(half),
                    on_bytes=on_bytes,
                )
                stored.setdefault(half, weights)
        entries[role] = msgspec.structs.replace(entry, sha256=entry_sha256(folder, entry))
    return entries


def compare(
    builder: Builder,
    request: ConversionRequest,
    network: NetworkPlan,
    folder: Path,
    entries: Mapping[NetworkRole, NetworkEntry],
    tell: Tell,
) -> Made:
    """Run each package on the portable runtime against torch. Raises :class:`ConversionError`.

    In the bundle's own size with every probe, in others with the last one.
    """
    sizes = network.sizes or (NO_SIZE,)
    made: dict[NetworkRole, NetworkEntry] = {}
    reports = []
    for number, (role, entry) in enumerate(entries.items()):
        ratios = []
        for place, size in enumerate(sizes):
            source = builder.source(role, size)
            if place:
                source = replace(source, probes=source.probes[-1:])

            def on_probe(fraction: float, before: int = number * len(sizes) + place) -> None:
                tell("comparing", (before + fraction) / (len(sizes) * len(entries)))

            second = entry.second_half if place == 0 or entry.functions else None
            ratios.append(
                measure(
                    source,
                    folder / (entry.sizes.get(label(size), entry.file) if place else entry.file),
                    second_half=folder / second if second else None,
                    function=entry.functions.get(label(size)),
                    on_probe=on_probe,
                )
            )
        made[role] = msgspec.structs.replace(entry, psnr=round(min(ratios), 1))
        reports.append(_report(made[role], source, request, network, folder))
    return Made(entries=made, reports=reports)


def _storage(source: Source, request: ConversionRequest, network: NetworkPlan) -> Storage:
    precision = "fp32" if source.needs_fp32 else request.precision
    return Storage(precision, compression(request, network))


def _entry(role: NetworkRole, request: ConversionRequest, network: NetworkPlan) -> NetworkEntry:
    """Where the packages of a role will be, and how their weights are kept."""
    stem, kept = network.stem(role), compression(request, network)
    others = network.sizes[1:]
    return NetworkEntry(
        file=f"{stem}Chunk1.mlpackage" if network.halves else f"{stem}.mlpackage",
        second_half=f"{stem}Chunk2.mlpackage" if network.halves else None,
        sha256="",
        nbits=kept.nbits if kept else None,
        encoding={Palette: "palettized", Linear: "linear"}.get(type(kept)),
        sizes={} if request.multifunction else {label(s): f"{stem}_{label(s)}.mlpackage" for s in others},
        functions={label(s): function_name(s, network.sizes) for s in others}
        if request.multifunction
        else {},
    )


def _halves(entry: NetworkEntry) -> tuple[str, ...]:
    return (entry.file,) if entry.second_half is None else (entry.file, entry.second_half)


def _packages(
    file: str,
    half: int,
    entry: NetworkEntry,
    programs: Mapping[Size, tuple[Program, ...]],
    sizes: tuple[Size, ...],
) -> dict[str, dict[str, Program]]:
    """The functions of each package that is made for one half, the bundle's own size first."""
    if entry.functions:
        return {file: {function_name(size, sizes): programs[size][half] for size in sizes}}
    files = (file, *(entry.sizes[label(size)] for size in sizes[1:]))
    return {name: {"main": programs[size][half]} for name, size in zip(files, sizes, strict=True)}


def _report(
    entry: NetworkEntry, source: Source, request: ConversionRequest, network: NetworkPlan, folder: Path
) -> NetworkReport:
    kept = compression(request, network)
    key = kept.key.partition("-g")[0] if kept else "fp32" if source.needs_fp32 else request.precision
    return NetworkReport(
        network=network.key if network.name else source.role,
        file=entry.file,
        parameters=network.parameters,
        bytes=_size(folder, entry),
        psnr=entry.psnr,
        threshold=THRESHOLDS[key] if request.minimum_psnr is None else request.minimum_psnr,
        nbits=entry.nbits,
        seconds=0.0,
        peak_memory=0,
    )


def _size(folder: Path, entry: NetworkEntry) -> int:
    """Bytes on disk; a file that several packages share counts once."""
    found = {}
    for package in packages(entry):
        for file in (folder / package).rglob("*"):
            status = file.stat()
            if file.is_file():
                found[status.st_dev, status.st_ino] = status.st_size
    return sum(found.values())
