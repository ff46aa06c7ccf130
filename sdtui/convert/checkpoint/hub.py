"""Checkpoints on the Hugging Face Hub: only the files that a conversion needs, in the Hub's own cache.

Everything but the choice of files is huggingface_hub's: ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME`` and
``HF_HUB_OFFLINE``, the cache, and going on where a download stopped.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sdtui.convert.checkpoint.checkpoint import HUB_NAME, Kind, Progress
from sdtui.convert.checkpoint.folder import COMPONENTS, TOKENIZERS
from sdtui.convert.checkpoint.weights import STEMS
from sdtui.convert.source import ConversionError
from sdtui.files import reason

VARIANTS = (".fp16", "", ".bf16", ".fp32")
"""Preferred precisions: a network's weights are float16 in the end, so half the download is the same."""

SETTINGS = (
    "config.json",
    "scheduler_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
)


def download(source: str, progress: Progress, kind: Kind | None = None) -> Path:
    """The folder or file that ``source`` is once it is here; ``kind`` fetches one network only.

    ``source`` is ``org/name``, or a single file in it, ``org/name/file.safetensors``. Without the Hub,
    what was downloaded before is used. Raises :class:`ConversionError`.
    """
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    matched = HUB_NAME.fullmatch(source)
    if matched is None:
        raise ConversionError(f"{source} is no Hub name", "it is not of the form org/name", "give one")
    organisation, repository, file = matched.groups()
    name = f"{organisation}/{repository}"
    try:
        listed = huggingface_hub.model_info(name, files_metadata=True).siblings or []
    except Exception as error:  # huggingface_hub changes its HTTP library, and so its errors
        before = None if isinstance(error, RepositoryNotFoundError) else _downloaded_before(name, file)
        if before is None:
            raise _explained(name, error) from error
        return before
    sizes = {sibling.rfilename: sibling.size or 0 for sibling in listed}
    files = [file] if file else needed(sizes, kind, name)
    total = sum(sizes.get(each, 0) for each in files)
    try:
        folder = huggingface_hub.snapshot_download(
            name,
            allow_patterns=[re.sub(r"([*?[])", r"[\1]", each) for each in files],
            tqdm_class=_reporting(progress, f"downloading {name}", total),
        )
    except Exception as error:
        raise _explained(name, error) from error
    return _file_or_folder(Path(folder), files)


def _explained(name: str, error: Exception) -> ConversionError:
    """Why ``name`` cannot be had, in one line."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    match error:
        case GatedRepoError():
            why, remedy = "its owners ask for consent to their terms", "accept them there, and set HF_TOKEN"
        case RepositoryNotFoundError():
            why, remedy = "it is neither here nor on the Hub, or it is private", "check it, or set HF_TOKEN"
        case OfflineModeIsEnabled():
            why, remedy = "it was never downloaded, and HF_HUB_OFFLINE is set", "unset it"
        case HfHubHTTPError():
            why, remedy = f"the Hub answered {error.response.status_code}", "try again later"
        case OSError() if error.errno is not None and error.strerror:
            why, remedy = reason(error), "make room, or set HF_HOME to another place"
        case _:
            why, remedy = "the Hub cannot be reached", "check the connection, or give a folder that is here"
    return ConversionError(f"{name} cannot be downloaded", why, remedy)


def needed(files: Collection[str], kind: Kind | None = None, name: str = "the repository") -> list[str]:
    """Which ``files`` of a repository a conversion reads: settings, vocabularies, one set of weights each.

    A repository without model_index.json is one network (``kind``), or holds one single file. Raises
    :class:`ConversionError` when neither is so.
    """
    if kind and "model_index.json" not in files and "config.json" in files:
        return ["config.json", *weights(files, "")]
    if "model_index.json" in files:
        networks = (kind,) if kind else COMPONENTS
        folders = networks if kind else (*COMPONENTS, *TOKENIZERS, "scheduler")
        return [
            "model_index.json",
            *(file for folder in folders for file in _settings(files, folder)),
            *(file for network in networks for file in weights(files, f"{network}/")),
        ]
    single = sorted(file for file in files if "/" not in file and file.endswith(".safetensors"))
    if len(single) == 1:
        return single
    raise ConversionError(
        f"{name} is no checkpoint",
        f"it holds {', '.join(single[:3])}" if single else "it has no model_index.json",
        "name one file, as in org/name/file.safetensors" if single else "give another",
    )


def weights(files: Collection[str], folder: str) -> list[str]:
    """The weights of the network in ``folder`` (``""`` or ``unet/``): safetensors before pickles."""
    for ending in ("safetensors", "bin"):
        for variant in VARIANTS:
            for stem in STEMS:
                whole = f"{folder}{stem}{variant}.{ending}"
                if whole in files:
                    return [whole]
                # the second form of each is that of before 2024
                indices = (
                    f"{folder}{stem}.{ending}.index{variant}.json",
                    f"{folder}{stem}{variant}.{ending}.index.json",
                )
                number, precision = r"-\d+-of-\d+", re.escape(variant)
                shards = re.compile(
                    rf"{re.escape(folder + stem)}({precision}{number}|{number}{precision})\.{ending}"
                )
                for index in indices:
                    if index in files:
                        return [index, *sorted(file for file in files if shards.fullmatch(file))]
    return []


def _settings(files: Collection[str], folder: str) -> list[str]:
    return [file for name in SETTINGS if (file := f"{folder}/{name}") in files]


def _downloaded_before(name: str, file: str | None) -> Path | None:
    """The newest snapshot of ``name`` in the cache, if there is one."""
    from huggingface_hub import constants

    cached = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    try:
        snapshot = cached / "snapshots" / (cached / "refs" / "main").read_text().strip()
    except OSError:
        return None
    if not snapshot.is_dir():
        return None
    if file:
        return snapshot / file if (snapshot / file).exists() else None
    present = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()]
    return _file_or_folder(snapshot, present)


def _file_or_folder(folder: Path, files: Collection[str]) -> Path:
    """A folder that consists of one file stands for the file."""
    return folder / next(iter(files)) if len(files) == 1 else folder


def _reporting(progress: Progress, stage: str, total: int) -> Any:
    """A progress bar that tells ``progress`` of bytes, in one thread at a time, and draws nothing."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    lock = threading.Lock()

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.counts_bytes = kwargs.get("unit") == "B"
            self.seen = kwargs.get("initial") or 0
            super().__init__(*args, **kwargs | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            with lock:
                self.seen += n or 0
                if self.counts_bytes and total:
                    progress(stage, min(self.seen / total, 1.0))

    return Bar
