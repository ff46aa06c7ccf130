"""Pictures on disk: PNG files that say how they were made."""

from __future__ import annotations

import io
import itertools
import json
import re
import unicodedata
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdtui.errors import SdtuiError
from sdtui.files import create_atomically, reason
from sdtui.history.record import Origin
from sdtui.request import Scheduler

SAMPLERS: dict[Scheduler, str] = {
    "pndm": "PLMS",
    "ddim": "DDIM",
    "dpm++2m": "DPM++ 2M",
    "dpm++2m-karras": "DPM++ 2M Karras",
    "euler": "Euler",
    "euler-a": "Euler a",
}
"""Our schedulers by the names that other tools know them under."""

SLUG_LENGTH = 60


class PictureError(SdtuiError):
    """A picture file cannot be read or written."""


def encode_png(image: Image.Image, origin: Origin) -> bytes:
    """``image`` as a PNG file with the text chunks ``parameters`` and ``sdtui``."""
    chunks = PngInfo()
    chunks.add_text("parameters", parameters(origin, image.size))
    chunks.add_text("sdtui", msgspec.json.encode(origin).decode())
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


def parameters(origin: Origin, size: tuple[int, int]) -> str:
    """The request as AUTOMATIC1111's web interface writes it, which other tools read."""
    request = origin.request
    facts = {
        "Steps": request.steps,
        "Sampler": SAMPLERS[request.scheduler],
        "CFG scale": str(request.guidance_scale).removesuffix(".0"),
        "Seed": request.seed,
        "Size": f"{size[0]}x{size[1]}",
        "Model hash": origin.model_hash[:10],
        "Model": origin.model,
        "Version": f"sdtui {origin.version}",
    }
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in facts.items()))
    return "\n".join(lines)


def _quoted(value: str) -> str:
    """``value``, as JSON where it would end the field early: that layout's own convention."""
    return json.dumps(value, ensure_ascii=False) if re.search(r"[,:\n]", value) else value


def save_picture(folder: Path, image: Image.Image, origin: Origin, created: datetime) -> Path:
    """Write ``image`` into ``folder`` under a new name, whole or not at all; returns its path.

    Raises :class:`PictureError` when the disk is full or the folder cannot be written.
    """
    name = picture_name(origin, created)
    return store_picture(folder, name, encode_png(image, origin))


def store_picture(folder: Path, name: str, content: bytes) -> Path:
    """Write ``content`` as ``name.png`` into ``folder``, or ``name-2.png`` and so on; returns the path.

    Nothing is overwritten, nothing half-written stays. Raises :class:`PictureError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = folder / (f"{name}.png" if number == 1 else f"{name}-{number}.png")
            try:
                create_atomically(path, content)
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise PictureError(
            f"the picture cannot be written to {folder}", reason(error), "make room or choose another folder"
        ) from error
    raise AssertionError("itertools.count has no end")


def picture_name(origin: Origin, created: datetime) -> str:
    """A file name without its ending: local date and time, seed, the prompt's first words."""
    plain = unicodedata.normalize("NFKD", origin.request.prompt).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))[:SLUG_LENGTH].strip("-")
    moment = created.astimezone().strftime("%Y%m%d-%H%M%S")
    return "-".join(filter(None, (moment, str(origin.request.seed), slug)))


def read_origin(path: Path | IO[bytes]) -> Origin:
    """How the picture in ``path`` was made. Raises :class:`PictureError` when it does not say."""
    try:
        with Image.open(path) as image:
            image.load()
            text = image.info.get("sdtui")
    except (OSError, SyntaxError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise PictureError(f"{path} cannot be read", why, "choose a PNG picture") from error
    if not isinstance(text, str):
        raise PictureError(f"{path} has no request", "sdtui did not write it", "choose a picture of sdtui's")
    try:
        return msgspec.json.decode(text.encode(), type=Origin)
    except (msgspec.DecodeError, SdtuiError) as error:
        raise PictureError(
            f"the request in {path} cannot be read", str(error), "update sdtui, or choose another"
        ) from error
