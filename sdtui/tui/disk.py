"""What is read from disk for the studio. Slow, so it is called from the background only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sdtui.errors import SdtuiError
from sdtui.settings import places
from sdtui.tui.draft import Draft
from sdtui.tui.figures import size_on_disk
from sdtui.tui.memory_forecast import Forecast, estimated
from sdtui.tui.session import Picture
from sdtui.tui.widgets.library import Model

if TYPE_CHECKING:
    from PIL import Image

    from sdtui.bundle.tokenizer import Tokenizer
    from sdtui.history import PictureRecord

LARGEST = 1024
"""Pixels along a side that are kept of a picture: more than any terminal has."""


class PictureError(SdtuiError):
    """A picture cannot be shown."""


def warm_up() -> None:
    """Import what the first picture needs, before it is there."""
    import PIL.Image  # noqa: F401


def picture_of(record: PictureRecord) -> Picture:
    """A row of the history as the studio shows it."""
    return Picture(
        record.id,
        record.path,
        record.width,
        record.height,
        record.request,
        record.origin.model,
        record.favourite,
    )


def search(text: str, limit: int) -> tuple[Picture, ...]:
    """Pictures whose prompts match, newest first; all for an empty text. Raises HistoryError."""
    from sdtui.history import History

    with History(places().history_file) as history:
        return tuple(map(picture_of, history.search(text, limit)))


def prompts(limit: int) -> tuple[list[str], list[str]]:
    """The latest prompts and negative prompts of the history, newest first. Raises HistoryError."""
    from sdtui.history import History

    with History(places().history_file) as history:
        return history.prompts(limit), history.negative_prompts(limit)


def image(picture: Picture, largest: int = LARGEST) -> Image.Image:
    """The picture in RGB, at most ``largest`` pixels along a side. Raises :class:`PictureError`."""
    from PIL import Image

    try:
        with Image.open(picture.path) as opened:
            opened.thumbnail((largest, largest))
            return opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        why = "its file is gone" if not Path(picture.path).exists() else "its file is damaged"
        raise PictureError(
            f"picture {picture.id} cannot be shown", why, "enter takes its request, which makes it again"
        ) from error


def thumbnail(picture: Picture) -> Image.Image | None:
    """The picture small; None where its file is gone or damaged, which is said when it is opened."""
    from PIL import Image

    from sdtui.tui.thumbnails import thumbnail

    try:
        return thumbnail(Path(picture.path))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def in_trash() -> tuple[int, int]:
    """How many pictures lie in the trash, and the bytes of their files. Raises HistoryError."""
    from sdtui.history import History

    with History(places().history_file) as history:
        return history.in_trash()


def empty_trash() -> int:
    """Delete them for good; returns the bytes that are free again. Raises HistoryError."""
    from sdtui.history.trash import empty_trash

    return empty_trash(places(), 0).bytes


def models() -> tuple[Model, ...]:
    """The installed models with what they take on disk."""
    from sdtui.bundle import installed, reference

    return tuple(
        Model(
            reference(bundle),
            bundle.manifest.title,
            bundle.manifest.width,
            bundle.manifest.height,
            _bytes(bundle.path),
        )
        for bundle in installed()
    )


def forecast(draft: Draft, model: Model) -> Forecast:
    """What the draft's next picture will take of the memory. Raises HistoryError."""
    from sdtui.history import History

    width, height = (
        round((pixels or own) * draft.upscale)
        for pixels, own in ((draft.width, model.width), (draft.height, model.height))
    )
    with History(places().history_file) as history:
        peak = history.peak(model.reference, (width, height))
    if peak is not None:
        return Forecast(peak, measured=True)
    return estimated(model.size, width, height)


def model_facts(model: str | None) -> list[tuple[str, str]]:
    """Name and value of what is known of a model. Raises BundleError."""
    from sdtui.bundle import Bundle, locate, reference
    from sdtui.bundle.bundle import packages

    bundle = Bundle.open(locate(model))
    manifest = bundle.manifest
    sizes = {size for entry in bundle.entries.values() for size in (*entry.sizes, *entry.functions)}
    facts = [
        ("model", reference(bundle)),
        ("title", manifest.title),
        ("description", manifest.description),
        ("family", manifest.family),
        ("size", f"{manifest.width} × {manifest.height}"),
        ("other sizes", ", ".join(sorted(sizes))),
        ("prompt", f"{manifest.token_length} tokens"),
        ("attention", manifest.attention or ""),
        ("runs on", manifest.target or ""),
        *(
            (adapter.kind.replace("_", " "), f"{adapter.name} {adapter.weight:g}")
            for adapter in manifest.adapters
        ),
        ("licence", manifest.licence),
        ("source", manifest.source),
        ("on disk", size_on_disk(_bytes(bundle.path))),
        ("path", str(bundle.path)),
        ("hash", bundle.hash),
    ]
    networks = [
        (
            label.replace("_", " "),
            f"{size_on_disk(sum(_bytes(bundle.path / part) for part in packages(entry))):>8}   "
            f"{f'{entry.nbits:g} bits' if entry.nbits else '16 bits':<10}"
            f"{f'{entry.psnr:.1f} dB' if entry.psnr is not None else ''}",
        )
        for label, entry in bundle.entries.items()
    ]
    return [fact for fact in facts if fact[1]] + [("", ""), *networks]


def _bytes(folder: Path) -> int:
    """What a folder takes on disk: a file under several names counts once."""
    found = (file.stat() for file in folder.rglob("*") if file.is_file())
    return sum({(file.st_dev, file.st_ino): file.st_size for file in found}.values())


def tokenizer(model: str | None) -> Tokenizer:
    """The tokenizer of a model, to count with. Raises BundleError."""
    from sdtui.bundle import Bundle, locate
    from sdtui.bundle.tokenizer import Tokenizer

    return Tokenizer(Bundle.open(locate(model)))
