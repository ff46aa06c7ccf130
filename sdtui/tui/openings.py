"""How each screen above the main one is opened, and what becomes of what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sdtui.conversion import ConversionRequest
from sdtui.request import GenerationRequest

if TYPE_CHECKING:
    from sdtui.tui.app import Studio


def recall(studio: Studio) -> None:
    """Find an earlier prompt."""
    from sdtui.tui.screens.recall import Recall

    def chosen(request: GenerationRequest | None) -> None:
        if request:
            studio.create.take(request)

    studio.push_screen(Recall(studio.reader.search), chosen)


def convert(studio: Studio) -> None:
    """Make a Core ML model."""
    from sdtui.tui.forecaster import Forecaster
    from sdtui.tui.screens.convert import Convert

    def closed(request: ConversionRequest | None) -> None:
        if request:
            studio.ask(lambda: studio.session.convert(request))

    studio.push_screen(Convert(studio.session, Forecaster(studio.post), studio.edited), closed)


def gallery(studio: Studio) -> None:
    """Look at every picture."""
    from sdtui.tui.screens.gallery import Gallery

    def closed(_: None) -> None:
        studio.reader.recent()

    studio.push_screen(Gallery(studio.session, studio.create.depth), closed)


def help(studio: Studio) -> None:
    """Read every key."""
    from sdtui.tui.screens.help import Help

    studio.push_screen(Help([active.binding for active in studio.create.active_bindings.values()]))


def jump(studio: Studio) -> None:
    """Go to a part of the main screen by its letter."""
    from sdtui.tui.screens.jump import Jump

    def chosen(part: str | None) -> None:
        if part:
            studio.create.open(part)

    studio.push_screen(Jump(studio.create.places()), chosen)


OPENINGS: dict[str, Callable[[Studio], None]] = {
    opening.__name__: opening for opening in (recall, convert, gallery, help, jump)
}
