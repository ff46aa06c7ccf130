"""What the gallery reads and changes on disk, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.message import Message

from sdtui.settings import places
from sdtui.tui import disk, messages
from sdtui.tui.background import Background
from sdtui.tui.session import Picture

if TYPE_CHECKING:
    from PIL import Image

    from sdtui.history import History, Search

AT_ONCE = 8
"""Thumbnails handed over together."""


class Shelf:
    """``deliver`` takes the answers, from another thread. Only the newest wish for thumbnails counts."""

    def __init__(self, deliver: Callable[[Message], object]) -> None:
        self._deliver = deliver
        self._background = Background(lambda error: deliver(messages.WentWrong(error)))
        self._wanted: Sequence[int] = ()

    def start(self) -> None:
        """Begin to answer."""
        self._background.start()

    def finish(self) -> None:
        """Drop what was only to be looked at; what was to be changed is still done."""
        self._wanted = ()
        self._background.finish(0)

    def find(self, search: Search) -> None:
        """Answers PicturesFound."""

        def find() -> None:
            with _history() as history:
                self._deliver(messages.PicturesFound(search, tuple(history.find(search))))

        self._background.do(find)

    def look(self, identities: Sequence[int], have: Sequence[int]) -> None:
        """Answers PicturesRead, then ThumbnailsLoaded, a few at a time, for those not in ``have``."""
        self._wanted = identities
        self._background.do(lambda: self._look(identities, frozenset(have)))

    def image(self, picture: Picture) -> None:
        """Answers ImageLoaded."""
        self._background.do(lambda: self._deliver(messages.ImageLoaded(picture.id, disk.image(picture))))

    def favour(self, identity: int, favourite: bool) -> None:
        """Answers PicturesRead."""

        def favour() -> None:
            with _history() as history:
                history.favour(identity, favourite)
                self._read(history, [identity])

        self._background.do(favour)

    def trash(self, identity: int) -> None:
        """Put a picture into the trash."""

        def trash() -> None:
            with _history() as history:
                history.trash(identity, places().trash)

        self._background.do(trash)

    def restore(self, identity: int) -> None:
        """Take a picture out of the trash; answers PicturesRead."""

        def restore() -> None:
            with _history() as history:
                history.restore(identity)
                self._read(history, [identity])

        self._background.do(restore)

    def _look(self, identities: Sequence[int], have: frozenset[int]) -> None:
        if self._wanted is not identities:
            return
        with _history() as history:
            pictures = self._read(history, identities)
        images: dict[int, Image.Image | None] = {}
        for picture in pictures:
            if self._wanted is not identities:
                break
            if picture.id not in have:
                images[picture.id] = disk.thumbnail(picture)
            if len(images) >= AT_ONCE:
                self._deliver(messages.ThumbnailsLoaded(images))
                images = {}
        if images:
            self._deliver(messages.ThumbnailsLoaded(images))

    def _read(self, history: History, identities: Sequence[int]) -> tuple[Picture, ...]:
        pictures = tuple(map(disk.picture_of, history.pictures(identities)))
        self._deliver(messages.PicturesRead(pictures))
        return pictures


def _history() -> History:
    from sdtui.history import History

    return History(places().history_file)
