"""Pictures that requests start from, kept so that a request can be sent again when they are gone.

Light: whoever submits a request calls this, and the engine too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from sdtui.errors import SdtuiError
from sdtui.files import create_atomically, read_regular, reason
from sdtui.request import GenerationRequest

MAX_BYTES = 512_000_000
"""What the file of a picture may take: far more than any photograph."""

_ENDINGS = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"RIFF", ".webp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"BM", ".bmp"),
)
"""How files begin, and what other programs expect such a file to be called."""


class InputError(SdtuiError):
    """A picture that a request starts from cannot be kept."""


def keep_pictures(request: GenerationRequest, folder: Path) -> GenerationRequest:
    """``request`` with its pictures kept in ``folder`` under their SHA-256, and paths that lead there.

    The same content is kept once; what is kept already stays as it is. What a file holds is not looked
    at: that is refused, if need be, when the picture is made. Raises :class:`InputError`.
    """
    changes: dict[str, object] = {}
    for field in ("image", "mask"):
        if (path := getattr(request, field)) is not None:
            changes[field] = _kept(path, folder)
    if request.controls:
        changes["controls"] = tuple(
            msgspec.structs.replace(control, image=_kept(control.image, folder))
            for control in request.controls
        )
    return request.replace(**changes) if changes else request


def _kept(path: str, folder: Path) -> str:
    try:
        given = Path(path).expanduser().absolute()
        if given.parent == folder.absolute() and given.is_file():
            _renew(given)
            return str(given)
        content = read_regular(given, MAX_BYTES)
    except OSError as error:
        raise InputError(f"the picture {path} cannot be used", reason(error), "check the path") from error
    except RuntimeError as error:  # ~ of a person whom nobody knows
        raise InputError(f"the picture {path} cannot be used", str(error), "check the path") from error
    kept = folder.absolute() / f"{hashlib.sha256(content).hexdigest()}{_ending(content)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if kept.exists():
            _renew(kept)
        else:
            with contextlib.suppress(FileExistsError):  # another process was quicker
                create_atomically(kept, content)
    except OSError as error:
        raise InputError(
            f"the picture {path} cannot be kept in {folder}", reason(error), "make room, or make it writable"
        ) from error
    return str(kept)


def _renew(kept: Path) -> None:
    """It is wanted again: not to be cleared away just now."""
    with contextlib.suppress(OSError):
        os.utime(kept)


def _ending(content: bytes) -> str:
    return next((ending for start, ending in _ENDINGS if content.startswith(start)), "")
