"""How each screen above the main one is opened, and what becomes of what it answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sdtui.conversion import ConversionRequest
from sdtui.errors import SdtuiError
from sdtui.request import GenerationRequest, RequestError
from sdtui.settings import Settings, SettingsError, load_settings
from sdtui.tui import disk, wishes
from sdtui.tui.axes import Axis
from sdtui.tui.figures import size_on_disk
from sdtui.tui.session import Notice, Picture

if TYPE_CHECKING:
    from sdtui.tui.app import Studio
    from sdtui.tui.presets import Preset


def recall(studio: Studio) -> None:
    """Find an earlier prompt."""
    from sdtui.tui.screens.recall import Recall

    def chosen(request: GenerationRequest | None) -> None:
        if request:
            studio.create.take(request)

    studio.push_screen(Recall(studio.reader.search, studio.session.draft), chosen)


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

    studio.reader.forget_vocabulary()
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


def presets(studio: Studio) -> None:
    """Use named settings, or keep the present ones."""
    from sdtui.tui.presets import preset_of
    from sdtui.tui.screens.presets import Presets

    known = studio.presets
    if known is None:  # they could not be read, which was said: writing others over them would lose them
        studio.reader.presets()
        return

    def changed(presets: Mapping[str, Preset]) -> None:
        studio.presets = presets
        studio.reader.save_presets(presets)

    def chosen(preset: Preset | None) -> None:
        if preset is not None:
            use_preset(studio, preset)

    studio.push_screen(Presets(known, preset_of(studio.session.draft), changed), chosen)


def use_preset(studio: Studio, preset: Preset) -> None:
    """Go on with these settings."""
    from sdtui.tui.presets import with_preset

    studio.session.undo.settle()
    studio.create.use(with_preset(studio.session.draft, preset))


def mask(studio: Studio) -> None:
    """Paint where the source is to be made anew; without a source, the shown picture becomes it."""
    from sdtui.tui.screens.mask import MaskScreen

    draft, shown = studio.session.draft, studio.session.opened or studio.session.latest
    source = draft.image or (shown.path if shown else None)
    if source is None:
        studio.session.complain(
            SdtuiError("nothing to paint on", "there is no picture yet", "make one, or name a source")
        )
        studio.show()
        return

    def painted(path: Path | None) -> None:
        if path is not None:
            studio.create.gather()
            studio.create.use(studio.session.draft.replace(image=source, mask=str(path)))

    studio.push_screen(MaskScreen(source, draft.mask, studio.create.depth), painted)


def settings(studio: Studio) -> None:
    """Change the settings."""
    from sdtui.tui.screens.settings import SettingsScreen

    async def read_and_open() -> None:
        try:
            now = await asyncio.to_thread(load_settings)
        except SettingsError as error:  # opened with others, they would be written over it
            studio.session.complain(error)
            studio.show()
        else:
            studio.push_screen(SettingsScreen(now), saved)

    def saved(written: Settings | None) -> None:
        if written is not None and written.theme in studio.available_themes:
            studio.theme = written.theme

    studio.run_worker(read_and_open())


def empty_trash(studio: Studio) -> None:
    """Delete for good what lies in the trash, once the person has agreed to it."""
    from sdtui.tui.screens.confirm import Confirm

    async def weigh_and_ask() -> None:
        with _explained(studio):
            count, size = await asyncio.to_thread(disk.in_trash)
            if not count:
                _say(studio, "the trash is empty")
                return
            pictures = "1 picture" if count == 1 else f"{count} pictures"
            question = Confirm("Empty the trash?", f"{pictures}, {size_on_disk(size)}, are gone for good")
            studio.push_screen(question, agreed)

    def agreed(yes: bool | None) -> None:
        if yes:
            studio.run_worker(empty())

    async def empty() -> None:
        with _explained(studio):
            _say(
                studio, f"the trash is empty: {size_on_disk(await asyncio.to_thread(disk.empty_trash))} free"
            )

    studio.run_worker(weigh_and_ask())


@contextlib.contextmanager
def _explained(studio: Studio) -> Iterator[None]:
    """Tell the person what did not work."""
    try:
        yield
    except SdtuiError as error:
        studio.session.complain(error)
        studio.show()


def _say(studio: Studio, text: str) -> None:
    studio.session.notice = Notice(text)
    studio.show()


def copy_path(studio: Studio) -> None:
    """Copy the path of the shown picture, by OSC 52; it is shown too, for terminals that do not take it."""
    shown = studio.session.opened or studio.session.latest
    if shown is None:
        _say(studio, "there is no picture yet")
    else:
        studio.copy_to_clipboard(shown.path)
        studio.session.notice = Notice("copied", file=shown.path)
        studio.show()


def model(studio: Studio) -> None:
    """See everything known of the model that is used."""
    from sdtui.tui.screens.model_details import ModelDetails

    studio.push_screen(ModelDetails(studio.session.draft.model))


def log(studio: Studio) -> None:
    """Read what the engine has written down."""
    from sdtui.tui.screens.log import Log

    studio.push_screen(Log())


def help(studio: Studio) -> None:
    """Read every key."""
    from sdtui.tui.screens.help import Help

    studio.push_screen(Help(studio.keymap))


def jump(studio: Studio) -> None:
    """Go to a part of the main screen by its letter."""
    from sdtui.tui.screens.jump import Jump

    def chosen(part: str | None) -> None:
        if part:
            studio.create.open(part)

    studio.push_screen(Jump(studio.create.places), chosen)


def fulfil(studio: Studio, wish: wishes.Wish) -> None:
    """Do with a picture what the person wants, wherever it was shown."""
    match wish:
        case wishes.Take(picture):
            studio.back()
            studio.create.take(picture.request)
        case wishes.Vary(picture):
            vary(studio, picture.request)
        case wishes.Mark(picture):
            if pair := studio.session.mark(picture):
                compare_pair(studio, pair)
            studio.show()
        case wishes.StartFrom(picture):
            studio.back()
            studio.create.gather()
            studio.create.use(studio.session.draft.replace(image=picture.path, mask=None))
            studio.create.close()


OPENINGS: dict[str, Callable[[Studio], None]] = {
    opening.__name__: opening
    for opening in (
        recall,
        convert,
        gallery,
        compare,
        grid,
        presets,
        mask,
        settings,
        model,
        log,
        help,
        jump,
        empty_trash,
        copy_path,
    )
}
