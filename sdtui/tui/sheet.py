"""X/Y sheets: which pictures belong together, and the one picture they become."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdtui.errors import SdtuiError
from sdtui.files import create_numbered, reason
from sdtui.request import GenerationRequest
from sdtui.settings import places
from sdtui.tui.axes import Axis
from sdtui.tui.engine_view import EngineView

if TYPE_CHECKING:
    from PIL import Image


class Sheet(msgspec.Struct, frozen=True):
    """What was asked for: the request that is varied, both axes, and the cells' jobs row by row."""

    request: GenerationRequest
    x: Axis
    y: Axis
    jobs: tuple[str, ...]


class Sheets:
    """The sheets that wait for their pictures."""

    def __init__(self, waiting: tuple[Sheet, ...]) -> None:
        self.waiting = waiting

    def add(self, sheet: Sheet) -> None:
        """One more."""
        self.waiting += (sheet,)

    def ready(self, engine: EngineView) -> tuple[Sheet, ...]:
        """Those whose pictures are all made, or will not be; each is told once."""
        if engine.link != "on" or engine.memory is None:  # its jobs are not known
            return ()
        busy = {job.job for job in engine.jobs}
        ready = tuple(sheet for sheet in self.waiting if not busy & set(sheet.jobs))
        self.waiting = tuple(sheet for sheet in self.waiting if sheet not in ready)
        return ready


class SheetError(SdtuiError):
    """A sheet cannot be put together."""


def put_together(sheet: Sheet) -> tuple[Path, tuple[int, int]]:
    """Write the sheet of what its jobs made, beside the pictures; its path and size. Slow.

    Raises :class:`SheetError`, :class:`~sdtui.history.HistoryError`.
    """
    from sdtui.history import History
    from sdtui.history.contact_sheet import contact_sheet

    with History(places().history_file) as history:
        records = [history.of_job(job) for job in sheet.jobs]
    pictures = [_opened(Path(record.path)) if record else None for record in records]
    if not any(pictures):
        raise SheetError("there is no X/Y sheet", "none of its pictures was made", "make them again")
    image = contact_sheet(
        pictures,
        [sheet.x.label(index) for index in range(len(sheet.x.values))],
        [sheet.y.label(index) for index in range(len(sheet.y.values))] if sheet.y.setting else [""],
        sheet.request.prompt,
    )
    file = io.BytesIO()
    image.save(file, "PNG")
    folder = places().pictures / "sheets"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = create_numbered(folder, _name(sheet), ".png", file.getvalue())
    except OSError as error:
        raise SheetError(f"the sheet cannot be written to {folder}", reason(error), "make room") from error
    return path, image.size


def _name(sheet: Sheet) -> str:
    settings = [axis.setting for axis in (sheet.x, sheet.y) if axis.setting]
    return "-".join(["sheet", *settings, str(sheet.request.seed)]).replace("_", "-")


def _opened(path: Path) -> Image.Image | None:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return None
