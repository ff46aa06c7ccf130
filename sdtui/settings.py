"""What the person chose, and where things live. Light: every process imports this."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import platformdirs
from msgspec import Meta

from sdtui.errors import SdtuiError
from sdtui.files import reason, write_atomically
from sdtui.request import ComputeUnits, GenerationRequest, Precision, RandomSource, RequestError, Scheduler

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

TerminalImages = Literal["auto", "kitty", "iterm2", "sixel", "halfblock", "none"]

SOCKET_PATH_LIMIT = 100
"""Bytes: macOS allows 103 in a Unix socket's address, Linux 107."""


class SettingsError(SdtuiError):
    """The settings on disk cannot be used."""


@dataclass(frozen=True)
class Places:
    """The folders of one person's sdtui. None of them needs to exist yet."""

    config: Path
    data: Path
    cache: Path
    state: Path
    runtime: Path

    @property
    def settings_file(self) -> Path:
        return self.config / "settings.toml"

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def pictures(self) -> Path:
        return self.data / "pictures"

    @property
    def inputs(self) -> Path:
        """Where the pictures that requests start from are kept."""
        return self.data / "inputs"

    @property
    def trash(self) -> Path:
        return self.data / "trash"

    @property
    def presets_file(self) -> Path:
        return self.config / "presets.toml"

    @property
    def thumbnails(self) -> Path:
        return self.cache / "thumbnails"

    @property
    def compiled(self) -> Path:
        """Networks that Core ML has compiled."""
        return self.cache / "coreml"

    @property
    def history_file(self) -> Path:
        return self.data / "history.sqlite"

    @property
    def socket(self) -> Path:
        return self.runtime / "engine.sock"

    @property
    def queue_file(self) -> Path:
        return self.state / "queue.json"

    @property
    def conversions_file(self) -> Path:
        return self.state / "conversions.json"

    @property
    def log(self) -> Path:
        return self.state / "engine.log"


def places() -> Places:
    """Where things live: the platform's folders, or all under ``SDTUI_HOME`` when it is set."""
    home = os.environ.get("SDTUI_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Places(
            config=root / "config",
            data=root / "data",
            cache=root / "cache",
            state=root / "state",
            runtime=_short_enough(root / "runtime"),
        )
    folders = platformdirs.PlatformDirs("sdtui", appauthor=False)
    return Places(
        config=folders.user_config_path,
        data=folders.user_data_path,
        cache=folders.user_cache_path,
        state=folders.user_state_path,
        runtime=_short_enough(_runtime_folder(folders)),
    )


def _runtime_folder(folders: platformdirs.PlatformDirs) -> Path:
    """The platform's, or platformdirs' stand-in in the temporary folder without its warning to people."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return folders.user_runtime_path


def _short_enough(runtime: Path) -> Path:
    """``runtime``, or a stand-in in the temporary folder where its socket's address is too long."""
    if len(os.fsencode(runtime / "engine.sock")) <= SOCKET_PATH_LIMIT:
        return runtime
    import hashlib

    digest = hashlib.sha256(os.fsencode(runtime)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"sdtui-{os.getuid()}-{digest}"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of settings.toml; every field has a default.

    The first fields are what a new request starts with. ``unload_minutes`` is how long an idle
    engine keeps the model in memory, ``engine_idle_minutes`` how long it stays at all.
    ``trash_days`` is how long a deleted picture can be had back.
    ``compiled_cache_gigabytes`` (1e9 bytes) is what they may take on a Mac's disk.
    ``low_memory`` has one network of a model in memory at a time, also where there is room for all.
    ``keymap`` gives commands of the studio other keys, with commas between them. Raises
    :class:`~sdtui.request.RequestError` when a value is out of range.
    """

    model: Annotated[str | None, Meta(description="of new requests; empty is the built-in starter")] = None
    steps: Annotated[int, Meta(description="a new request starts with as many")] = 20
    guidance_scale: Annotated[float, Meta(description="how closely a new request is followed")] = 7.5
    scheduler: Annotated[Scheduler, Meta(description="what takes the noise away, step by step")] = "dpm++2m"
    rng: Annotated[RandomSource, Meta(description="whose random numbers a new request starts from")] = "torch"
    compute_units: Annotated[ComputeUnits, Meta(description="what runs the networks on a Mac")] = "all"
    precision: Annotated[Precision, Meta(description="what the portable runtime computes in")] = "auto"
    negative_prompt: Annotated[str, Meta(description="what a new request should not show")] = ""
    theme: Annotated[str, Meta(description="the studio's colours; the palette shows them all")] = "sdtui"
    terminal_images: Annotated[TerminalImages, Meta(description="how the terminal shows pictures")] = "auto"
    unload_minutes: Annotated[float, Meta(description="until an idle engine forgets the model")] = 10.0
    engine_idle_minutes: Annotated[float, Meta(description="until an idle engine ends")] = 30.0
    trash_days: Annotated[float, Meta(description="how long deleted pictures stay in the trash")] = 30.0
    compiled_cache_gigabytes: Annotated[float, Meta(description="for compiled networks on a Mac")] = 30.0
    keymap: Annotated[dict[str, str], Meta(description="other keys, by the ids that help shows")] = {}
    low_memory: Annotated[bool, Meta(description="one network in memory at a time")] = False

    def __post_init__(self) -> None:
        self.request("anything")
        for field in ("unload_minutes", "engine_idle_minutes"):
            if not 0 <= getattr(self, field) <= 60 * 24 * 365:
                raise RequestError(field, "it is outside 0 to a year", "choose minutes inside")
        if not 0 <= self.trash_days <= 36_500:
            raise RequestError("trash_days", "it is outside 0 to a century", "choose days inside")
        if not 0 <= self.compiled_cache_gigabytes <= 1e6:
            raise RequestError(
                "compiled_cache_gigabytes", "it is outside 0 to a million", "choose gigabytes inside"
            )

    def request(self, prompt: str) -> GenerationRequest:
        """A request for ``prompt`` with everything else as the settings say."""
        return GenerationRequest(
            prompt=prompt,
            negative_prompt=self.negative_prompt,
            model=self.model,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            scheduler=self.scheduler,
            rng=self.rng,
            compute_units=self.compute_units,
            precision=self.precision,
        )


def load_settings() -> Settings:
    """The settings on disk, or the defaults where there are none.

    Raises :class:`SettingsError` naming the line or the field; the file is left as it is.
    """
    file = places().settings_file
    found = _read(file)
    try:
        return msgspec.convert(found, Settings)
    except RequestError as error:
        why = f"{error.field}: {error.why}"
    except msgspec.ValidationError as error:
        why = str(error)
    raise SettingsError(f"{file} cannot be used", why, "correct that value, or delete the line")


def save_settings(settings: Settings) -> None:
    """Write what differs from the file, keeping the person's comments and order; all or nothing.

    A value that equals its default and is not in the file is left out of it. Raises
    :class:`SettingsError` when the file on disk is broken or cannot be written.
    """
    import tomlkit  # it keeps comments, and takes a tenth of a start to import

    file = places().settings_file
    document = _read_document(file)
    defaults = msgspec.to_builtins(Settings())
    for field, value in msgspec.to_builtins(settings).items():
        if value is None:
            document.pop(field, None)
        elif field in document:
            if document.unwrap()[field] != value:
                document[field] = value
        elif value != defaults[field]:
            document[field] = value
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file.resolve(), tomlkit.dumps(document).encode())
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be written", reason(error), "make room or make it writable"
        ) from error


def _read(file: Path) -> dict[str, Any]:
    """The file's tables. Raises :class:`SettingsError`."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        told = re.fullmatch(r"(.*) \(at (line \d+), column \d+\)", str(error), re.DOTALL)
        why = f"{told[2]}: {told[1][:1].lower()}{told[1][1:]}" if told else str(error)
    except UnicodeDecodeError as error:
        why = str(error)
    except OSError as error:
        why = reason(error)
    raise SettingsError(f"{file} cannot be read", why, "correct it, or move it away to start anew")


def _read_document(file: Path) -> TOMLDocument:
    """The file with its comments. Raises :class:`SettingsError`."""
    import tomlkit

    _read(file)
    return tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()
