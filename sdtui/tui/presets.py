"""Named settings of requests: everything but what one picture is about. Kept in a TOML file."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError

from sdtui.errors import SdtuiError
from sdtui.files import reason, write_atomically
from sdtui.request import Choices, GenerationRequest
from sdtui.settings import places
from sdtui.tui.draft import Draft

CONTENT = frozenset(
    {
        "prompt",
        "negative_prompt",
        "seed",
        "count",
        "image",
        "mask",
        "outpaint",
        "controls",
        "variation_seed",
        "blend_prompt",
        "blend",
    }
)
"""What belongs to one picture, and not to the way pictures are made."""
SETTINGS = tuple(name for name in Choices.__struct_fields__ if name not in CONTENT)
_DEFAULTS = Draft()

Preset = Mapping[str, object]
"""Settings by name, as TOML has them; what is left out is as a new request has it."""


class PresetError(SdtuiError):
    """The presets cannot be read or written."""


def preset_of(draft: Draft) -> Preset:
    """The draft's settings."""
    told = {name: getattr(draft, name) for name in SETTINGS}
    changed = {name: each for name, each in told.items() if each != getattr(_DEFAULTS, name)}
    return dict(msgspec.to_builtins(changed))


def with_preset(draft: Draft, preset: Preset) -> Draft:
    """The draft with the preset's settings. Raises :class:`~sdtui.request.RequestError`, ValidationError."""
    request = msgspec.convert({"prompt": "anything", **preset}, GenerationRequest)
    return draft.replace(**{name: getattr(request, name) for name in SETTINGS})


def load_presets() -> dict[str, Preset]:
    """The presets by name. Raises :class:`PresetError`."""
    file = places().presets_file
    try:
        found = tomlkit.parse(file.read_text(encoding="utf-8")).unwrap()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PresetError(f"{file} cannot be read", reason(error), "make it readable") from error
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise PresetError(f"{file} cannot be read", str(error), "correct it, or move it away") from error
    try:
        presets = msgspec.convert(found, dict[str, dict[str, object]])
        for preset in presets.values():
            with_preset(_DEFAULTS, preset)
    except (msgspec.ValidationError, SdtuiError) as error:
        raise PresetError(f"{file} cannot be used", str(error), "correct it, or move it away") from error
    return dict(presets)


def save_presets(presets: Mapping[str, Preset]) -> None:
    """Write them all, all or nothing. Raises :class:`PresetError`."""
    file = places().presets_file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, tomlkit.dumps({name: dict(each) for name, each in presets.items()}).encode())
    except OSError as error:
        raise PresetError(f"{file} cannot be written", reason(error), "make room") from error
