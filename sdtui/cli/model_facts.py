"""A model as ``sdtui models`` shows it: for programs as JSON, for people as lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from sdtui.bundle import Bundle, reference
from sdtui.bundle.bundle import packages
from sdtui.bundle.manifest import NetworkEntry
from sdtui.settings import places


def facts(bundle: Bundle) -> dict[str, Any]:
    """Everything known of a model. ``bytes`` are those on disk, a file that networks share once;
    ``compiled_bytes`` those that Core ML's compiled networks of it take in the cache.
    """
    manifest = bundle.manifest
    return {
        "model": reference(bundle),
        "name": manifest.name,
        "title": manifest.title,
        "description": manifest.description,
        "licence": manifest.licence,
        "source": manifest.source,
        "family": manifest.family,
        "width": manifest.width,
        "height": manifest.height,
        "sizes": sizes(bundle),
        "token_length": manifest.token_length,
        "attention": manifest.attention,
        "target": manifest.target,
        "adapters": [msgspec.to_builtins(adapter) for adapter in manifest.adapters],
        "bytes": disk_bytes(bundle.path),
        "compiled_bytes": _compiled_bytes(bundle),
        "hash": bundle.hash,
        "path": str(bundle.path),
        "networks": {role: _network(bundle, entry) for role, entry in manifest.networks.items()},
        "controlnets": {name: _network(bundle, entry) for name, entry in manifest.controlnets.items()},
    }


def lines(bundle: Bundle) -> Iterator[str]:
    """The same for a person: what is empty or known by default is left out."""
    manifest, known = bundle.manifest, facts(bundle)
    for name in ("model", "title", "description", "family"):
        yield from _line(name, known[name])
    yield from _line("size", ", ".join(size.replace("x", " × ") for size in known["sizes"]))
    for name in ("attention", "target", "source", "licence"):
        yield from _line(name, known[name])
    for adapter in manifest.adapters:
        tokens = f": {' '.join(adapter.tokens)}" if adapter.tokens else f" at {adapter.weight:g}"
        yield from _line(adapter.kind, adapter.name + tokens)
    yield from _line("disk", megabytes(known["bytes"]))
    if known["compiled_bytes"]:
        yield from _line("compiled", f"{megabytes(known['compiled_bytes'])} in the cache")
    for name in ("path", "hash"):
        yield from _line(name, known[name])
    yield ""
    for label, entry in bundle.entries.items():
        yield _network_line(label.replace("_", " "), entry, _network(bundle, entry)["bytes"])


def sizes(bundle: Bundle) -> list[str]:
    """The sizes that it makes, its own first: ``512x512``."""
    manifest = bundle.manifest
    others = {size for entry in manifest.networks.values() for size in (*entry.sizes, *entry.functions)}
    own = f"{manifest.width}x{manifest.height}"
    return [own, *sorted(others - {own})]


def disk_bytes(*folders: Path) -> int:
    """What ``folders`` take on disk: a file under several names counts once."""
    found = (file.stat() for folder in folders for file in folder.rglob("*") if file.is_file())
    return sum({(file.st_dev, file.st_ino): file.st_size for file in found}.values())


def megabytes(count: int) -> str:
    """``123 MB``."""
    return f"{count / 1e6:,.0f} MB"


def _compiled_bytes(bundle: Bundle) -> int:
    if not places().compiled.is_dir():  # as everywhere but on a Mac
        return 0
    from sdtui.runtime.apple.entries import compiled_bytes

    return compiled_bytes(bundle.path)


def _network(bundle: Bundle, entry: NetworkEntry) -> dict[str, Any]:
    return {
        "file": entry.file,
        "second_half": entry.second_half,
        "sizes": sorted({*entry.sizes, *entry.functions}),
        "bytes": disk_bytes(*(bundle.path / package for package in packages(entry))),
        "nbits": entry.nbits,
        "encoding": entry.encoding,
        "psnr": entry.psnr,
    }


def _network_line(label: str, entry: NetworkEntry, size: int) -> str:
    bits = f"{entry.nbits:g} bits" if entry.nbits else "mixed bits" if entry.encoding else "16 bits"
    encoding = f"{bits} {entry.encoding}" if entry.encoding else bits
    accuracy = f"{entry.psnr:.1f} dB" if entry.psnr is not None else "not measured"
    files = " + ".join(filter(None, (entry.file, entry.second_half)))
    return f"{label:16} {megabytes(size):>9}  {encoding:18} {accuracy:>12}  {files}"


def _line(name: str, value: object) -> Iterator[str]:
    if value:
        yield f"{name.replace('_', ' '):12} {value}"
