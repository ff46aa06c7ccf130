"""How each screen above the main one is opened, and what becomes of what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sdtui.conversion import ConversionRequest
from sdtui.errors import SdtuiError
from sdtui.request import GenerationRequest, RequestError
from sdtui.tui.axes import Axis
from sdtui.tui.session import Picture

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


def compare(studio: Studio) -> None:
    """Put what is shown beside the marked picture, or the one before it."""
    pair = studio.session.to_compare
    if pair is None:
        studio.session.complain(
            SdtuiError("nothing to compare", "there are no two pictures yet", "make another one first")
        )
        studio.show()
    else:
        compare_pair(studio, pair)


def compare_pair(studio: Studio, pair: tuple[Picture, Picture]) -> None:
    """Put these two beside each other."""
    from sdtui.tui.screens.compare import Compare

    studio.push_screen(Compare(pair, studio.create.depth))


def grid(studio: Studio) -> None:
    """Vary the request that is being written."""
    draft = studio.session.draft
    try:
        vary(studio, (draft if draft.seed is not None else draft.with_seed()).request())
    except RequestError as error:
        studio.session.complain(error)
        studio.show()


def vary(studio: Studio, request: GenerationRequest) -> None:
    """Vary a request along two settings."""
    from sdtui.tui.screens.grid import Grid

    def chosen(axes: tuple[Axis, Axis] | None) -> None:
        if axes:
            studio.ask(lambda: studio.session.generate_sheet(request, *axes))
            studio.back()

    studio.push_screen(Grid(request), chosen)


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
    opening.__name__: opening for opening in (recall, convert, gallery, compare, grid, help, jump)
}
