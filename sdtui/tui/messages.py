"""What the studio's threads tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from sdtui.conversion import ConversionRequest, Forecast
from sdtui.diffusion.events import Step
from sdtui.engine.protocol import Conversion, Failure, Gauge, Progress
from sdtui.errors import SdtuiError
from sdtui.tui.engine_link import LinkEvent
from sdtui.tui.memory_forecast import Forecast as MemoryForecast
from sdtui.tui.session import Picture
from sdtui.tui.sheet import Sheet
from sdtui.tui.widgets.library import Model

if TYPE_CHECKING:
    from PIL import Image

    from sdtui.history import Search
    from sdtui.tui.presets import Preset


@dataclass(eq=False, repr=False)
class FromEngine(Message):
    """The engine, or the link to it, says something."""

    event: LinkEvent

    @property
    def passing(self) -> bool:
        """Whether another one like it follows soon."""
        match self.event:
            case Gauge() | Progress(event=Step()) | Conversion(state="running"):
                return True
            case _:
                return False

    def can_replace(self, message: Message) -> bool:
        """Where the screen falls behind, only the newest step, stage and gauge count."""
        if not isinstance(message, FromEngine):
            return False
        match message.event, self.event:
            case Gauge(), Gauge():
                return True
            case Progress(job=before, event=Step()), Progress(job=now, event=Step()):
                return before == now
            case Conversion(job=before, state="running"), Conversion(job=now, state="running"):
                return before == now
            case _:
                return False


@dataclass(eq=False, repr=False)
class ModelsListed(Message):
    """These models are installed."""

    models: tuple[Model, ...]


@dataclass(eq=False, repr=False)
class RecentListed(Message):
    """These are the newest pictures."""

    pictures: tuple[Picture, ...]


@dataclass(eq=False, repr=False)
class ImageLoaded(Message):
    """A picture is ready to be shown."""

    identity: int
    image: Image.Image


@dataclass(eq=False, repr=False)
class ThumbnailsLoaded(Message):
    """Small images by picture id; None for a picture that cannot be read."""

    images: dict[int, Image.Image | None]


@dataclass(eq=False, repr=False)
class PicturesFound(Message):
    """The ids of the pictures that a search of the gallery asked for, in its order."""

    search: Search
    identities: tuple[int, ...]


@dataclass(eq=False, repr=False)
class PicturesRead(Message):
    """These pictures are as the history has them now."""

    pictures: tuple[Picture, ...]


@dataclass(eq=False, repr=False)
class PresetsRead(Message):
    """These presets are kept, by name."""

    presets: Mapping[str, Preset]


@dataclass(eq=False, repr=False)
class SheetWritten(Message):
    """An X/Y sheet is on disk, of so many pixels (width, height)."""

    sheet: Sheet
    path: str
    size: tuple[int, int]


@dataclass(eq=False, repr=False)
class PeakForecast(Message):
    """What the request as it is written will take of the memory; None where nobody knows."""

    forecast: MemoryForecast | None


@dataclass(eq=False, repr=False)
class PromptsRead(Message):
    """The prompts of the history, newest first, and its negative ones."""

    prompts: Sequence[str]
    negative_prompts: Sequence[str]


@dataclass(eq=False, repr=False)
class TokensCounted(Message):
    """How long a prompt is."""

    count: int
    limit: int


@dataclass(eq=False, repr=False)
class Found(Message):
    """These pictures match a search."""

    text: str
    pictures: tuple[Picture, ...]


@dataclass(eq=False, repr=False)
class Forecasted(Message):
    """What a conversion will take, or why that cannot be told."""

    request: ConversionRequest
    answer: Forecast | Failure


@dataclass(eq=False, repr=False)
class WentWrong(Message):
    """Something in the background did not work."""

    error: SdtuiError


FromThread = (
    FromEngine
    | ModelsListed
    | RecentListed
    | ImageLoaded
    | ThumbnailsLoaded
    | PresetsRead
    | SheetWritten
    | PeakForecast
    | PromptsRead
    | TokensCounted
    | Found
    | Forecasted
    | WentWrong
)
