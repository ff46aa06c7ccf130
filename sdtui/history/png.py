"""Pictures on disk: PNG files that say how they were made."""

from __future__ import annotations

import io
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
from sdtui.files import create_numbered, reason
from sdtui.history.record import Origin
from sdtui.request import Scheduler

SAMPLERS: dict[Scheduler, str] = {
    "pndm": "PLMS",
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "dpm++2m": "DPM++ 2M",
    "dpm++2m-karras": "DPM++ 2M Karras",
    "dpm++2m-sde": "DPM++ 2M SDE",
    "dpm++2m-sde-karras": "DPM++ 2M SDE Karras",
    "dpm++2s": "DPM++ 2S",
    "dpm++sde": "DPM++ SDE",
    "dpm2": "DPM2",
    "dpm2-a": "DPM2 a",
    "heun": "Heun",
    "lms": "LMS",
    "euler": "Euler",
    "euler-a": "Euler a",
    "euler-karras": "Euler Karras",
    "unipc": "UniPC",
    "deis": "DEIS",
    "lcm": "LCM",
    "tcd": "TCD",
    "flow-euler": "Euler",
    "flow-heun": "Heun",
    "flow-dpm++2m": "DPM++ 2M",
    "flow-unipc": "UniPC",
    "flow-lcm": "LCM",
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
        **({"Denoising strength": request.strength} if request.image is not None else {}),
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

    Nothing is overwritten. Raises :class:`PictureError` when the disk is full or ``folder`` not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return create_numbered(folder, picture_name(origin, created), ".png", encode_png(image, origin))
    except OSError as error:
        raise PictureError(
            f"the picture cannot be written to {folder}", reason(error), "make room or choose another folder"
        ) from error


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
