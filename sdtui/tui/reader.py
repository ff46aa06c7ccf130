"""What the studio reads and writes on disk, in the background; it answers with messages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from textual.message import Message

from sdtui.errors import SdtuiError
from sdtui.settings import load_settings, save_settings
from sdtui.tui import disk, messages
from sdtui.tui.background import Background
from sdtui.tui.draft import Draft
from sdtui.tui.remembered import Remembered, remember
from sdtui.tui.session import Picture
from sdtui.tui.sheet import Sheet, put_together
from sdtui.tui.widgets.library import Model

if TYPE_CHECKING:
    from sdtui.bundle.tokenizer import Tokenizer
    from sdtui.tui.presets import Preset

RECENT = 24
"""Pictures in the strip."""
LEARNT = 2000
"""Prompts of the history that are suggested again."""
SEARCHED = 200
"""Pictures that a search goes through."""


class Reader:
    """``deliver`` takes the answers, from another thread."""

    def __init__(self, deliver: Callable[[Message], object]) -> None:
        self._deliver = deliver
        self._background = Background(lambda error: deliver(messages.WentWrong(error)))
        self._tokenizer: tuple[str | None, Tokenizer] | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._background.start()
        self._background.do(disk.warm_up)

    def finish(self, seconds: float) -> None:
        """Write what is still to be written, for so long at most."""
        self._background.finish(seconds)

    def models(self) -> None:
        """Answers ModelsListed."""
        self._background.do(lambda: self._deliver(messages.ModelsListed(disk.models())))

    def recent(self) -> None:
        """Answers RecentListed."""
        self._background.do(lambda: self._deliver(messages.RecentListed(disk.search("", RECENT))))

    def search(self, text: str) -> None:
        """Answers Found."""

        self._background.do(lambda: self._deliver(messages.Found(text, disk.search(text, SEARCHED))))

    def image(self, picture: Picture) -> None:
        """Answers ImageLoaded."""
        self._background.do(lambda: self._deliver(messages.ImageLoaded(picture.id, disk.image(picture))))

    def thumbnails(self, pictures: list[Picture]) -> None:
        """Answers ThumbnailsLoaded."""

        def read() -> None:
            images = {picture.id: disk.thumbnail(picture) for picture in pictures}
            self._deliver(messages.ThumbnailsLoaded(images))

        self._background.do(read)

    def prompts(self) -> None:
        """Answers PromptsRead."""
        self._background.do(lambda: self._deliver(messages.PromptsRead(*disk.prompts(LEARNT))))

    def presets(self) -> None:
        """Answers PresetsRead."""

        def read() -> None:
            from sdtui.tui.presets import load_presets

            self._deliver(messages.PresetsRead(load_presets()))

        self._background.do(read)

    def save_presets(self, presets: Mapping[str, Preset]) -> None:
        """Write the presets."""
        from sdtui.tui.presets import save_presets

        self._background.do(lambda: save_presets(presets))

    def put_together(self, sheet: Sheet) -> None:
        """Write an X/Y sheet; answers SheetWritten."""

        def write() -> None:
            path, size = put_together(sheet)
            self._deliver(messages.SheetWritten(sheet, str(path), size))

        self._background.do(write)

    def count_tokens(self, draft: Draft) -> None:
        """Answers TokensCounted."""

        def count() -> None:
            with contextlib.suppress(SdtuiError):  # a model that is not there is said when it is used
                self._deliver(counted())

        def counted() -> messages.TokensCounted:
            from sdtui.diffusion.prompt.chunks import tokenize
            from sdtui.diffusion.prompt.submission import foreseen

            if self._tokenizer is None or self._tokenizer[0] != draft.model:
                self._tokenizer = draft.model, disk.tokenizer(draft.model)
            tokens = tokenize(foreseen(draft.prompt, draft.seed or 0), self._tokenizer[1])
            return messages.TokensCounted(tokens.count, tokens.limit)

        self._background.do(count)

    def forget_vocabulary(self) -> None:
        """Give up to 15 MB back, until tokens are counted again."""

        def forget() -> None:
            self._tokenizer = None

        self._background.do(forget)

    def forecast(self, draft: Draft, models: Sequence[Model]) -> None:
        """Answers PeakForecast."""
        model = next((each for each in models if each.reference == (draft.model or "starter")), None)
        self._background.do(
            lambda: self._deliver(messages.PeakForecast(disk.forecast(draft, model) if model else None))
        )

    def remember(self, remembered: Remembered) -> None:
        """Write it down for the next run."""
        self._background.do(lambda: remember(remembered))

    def save_theme(self, name: str) -> None:
        """Write the theme into the settings."""
        self._background.do(lambda: save_settings(msgspec.structs.replace(load_settings(), theme=name)))
