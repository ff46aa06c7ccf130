"""Compiled networks: what Core ML has prepared on this Mac, and what that takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from sdtui.conversion_page import amount
from sdtui.doctor.finding import Finding
from sdtui.doctor.folders import held
from sdtui.settings import load_settings, places

SECTION = "caches"


class _Record(msgspec.Struct, frozen=True):
    """What we want of the record beside a compiled network: the networks on disk that it stands for."""

    sources: dict[str, str] = {}


def caches() -> Iterator[Finding]:
    """The compiled networks of each model, and of all together against the limit."""
    folder = places().cache / "coreml"
    models: dict[str, int] = {}
    entries = [each for each in folder.iterdir() if _is_entry(each)] if folder.is_dir() else []
    for each in entries:
        model = _model(each)
        models[model] = models.get(model, 0) + held(each)
    for model, size in sorted(models.items()):
        yield Finding(section=SECTION, subject=model, told=amount(size), figures={"bytes": size})
    total, limit = sum(models.values()), int(load_settings().compiled_cache_gigabytes * 1e9)
    over = total > limit
    yield Finding(
        section=SECTION, subject="compiled networks", level="note" if over else "ok",
        told=f"{len(entries) or 'none'}, {amount(total)} of at most {amount(limit)} in {folder}",
        remedy="the next one that is compiled makes the oldest go" if over else "",
        figures={"networks": len(entries), "bytes": total, "limit": limit},
    )  # fmt: skip


def _is_entry(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")


def _model(entry: Path) -> str:
    """The name of the model's folder that it was compiled from."""
    try:
        record = msgspec.json.decode((entry / "network.json").read_bytes(), type=_Record)
    except (OSError, ValueError, RecursionError):
        return "of unknown models"
    return next((Path(source).parent.name for source in record.sources), "of unknown models")
