"""The images behind what belongs on the canvas."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from sdtui.diffusion.events import Preview
from sdtui.tui.session import Picture

if TYPE_CHECKING:
    from PIL import Image

KEPT_BYTES = 4_000_000
"""Of pictures looked at: some of 512 pixels a side. Another one is read again in a moment."""


class Images:
    """Previews are images at once; a picture is asked for with ``read``, once, and added later."""

    def __init__(self, read: Callable[[Picture], None]) -> None:
        self._read = read
        self._pictures: OrderedDict[int, Image.Image] = OrderedDict()
        self._asked: int | None = None
        self._preview: tuple[Preview, Image.Image] | None = None

    def add(self, identity: int, image: Image.Image) -> None:
        """A picture has been read."""
        self._pictures[identity] = image
        while len(self._pictures) > 1 and sum(map(_bytes, self._pictures.values())) > KEPT_BYTES:
            self._pictures.popitem(last=False)

    def of(self, shown: Picture | Preview) -> Image.Image | None:
        """Its image; None while it is being read, or when it cannot be."""
        if isinstance(shown, Preview):
            return self._image_of_preview(shown)
        if shown.id in self._pictures:
            self._pictures.move_to_end(shown.id)
            return self._pictures[shown.id]
        if shown.id != self._asked:
            self._asked = shown.id
            self._read(shown)
        return None

    def _image_of_preview(self, preview: Preview) -> Image.Image:
        from PIL import Image

        if self._preview is None or self._preview[0] is not preview:
            image = Image.frombytes("RGB", (preview.width, preview.height), preview.rgb)
            self._preview = preview, image
        return self._preview[1]


def _bytes(image: Image.Image) -> int:
    return image.width * image.height * len(image.getbands())
