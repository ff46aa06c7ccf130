"""Pictures that were looked at are kept, as far as they are small."""

from __future__ import annotations

from PIL import Image

from sdtui.request import GenerationRequest
from sdtui.tui.images import KEPT_BYTES, Images
from sdtui.tui.session import Picture


def picture(identity: int, side: int) -> Picture:
    return Picture(identity, "", side, side, GenerationRequest(prompt="a", seed=1), "starter")


def test_as_many_are_kept_as_their_bytes_allow() -> None:
    asked: list[int] = []
    images = Images(lambda wanted: asked.append(wanted.id))
    side = 256
    fitting = KEPT_BYTES // (3 * side * side)
    for identity in range(fitting + 1):
        images.add(identity, Image.new("RGB", (side, side)))
    for identity in range(1, fitting + 1):
        assert images.of(picture(identity, side)) is not None
    assert images.of(picture(0, side)) is None
    assert asked == [0]


def test_the_newest_is_kept_however_large() -> None:
    images = Images(lambda _: None)
    for identity in (1, 2):
        images.add(identity, Image.new("RGB", (2048, 2048)))
    assert images.of(picture(2, 2048)) is not None
    assert images.of(picture(1, 2048)) is None
